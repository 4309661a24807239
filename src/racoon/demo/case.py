"""One synthetic patient as arrays: image, masks and exact truth, from a seed and a hospital's style."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon.demo.anatomy.body import draw_physique, make_body
from racoon.demo.anatomy.canvas import Tissue
from racoon.demo.anatomy.chest import Contrast
from racoon.demo.anatomy.disease import Mixture, paint_disease
from racoon.demo.anatomy.findings import Finding
from racoon.demo.anatomy.grid import Bool, Grid
from racoon.demo.anatomy.scanner import Scanner, paint_table, scan
from racoon.demo.labels import SINGLE_LEVEL

TOP_MM = 162.0
COVERAGE_MM = 344.0
SLAB_MM = 30.0
"""Height of the slab at the first lumbar vertebra on which muscle and fat are outlined."""

TISSUES: dict[str, Tissue] = {
    "right_lung": Tissue.LUNG_RIGHT,
    "left_lung": Tissue.LUNG_LEFT,
    "heart": Tissue.HEART,
    "aorta": Tissue.AORTA,
    "liver": Tissue.LIVER,
    "spleen": Tissue.SPLEEN,
    "right_kidney": Tissue.KIDNEY_RIGHT,
    "left_kidney": Tissue.KIDNEY_LEFT,
    "vertebral_column": Tissue.VERTEBRA,
    "skeletal_muscle": Tissue.SKELETAL_MUSCLE,
    "subcutaneous_fat": Tissue.SUBCUTANEOUS_FAT,
}


@dataclass(frozen=True)
class Style:
    """What makes a site's images its own: scanner, contrast phases with their shares, mixture of disease."""

    scanner: Scanner
    phases: tuple[tuple[Contrast, float], ...]
    mixture: Mixture


@dataclass(frozen=True)
class Case:
    """One synthetic patient.

    Parameters
    ----------
    grid
        Voxel grid.
    voxels
        HU as stored, (slice, row, column), slice 0 the most caudal.
    masks
        By label key.
    phase
        Contrast phase.
    findings
        Exact truth of every finding.
    volumes_ml
        Exact volume per kind of finding.
    """

    grid: Grid
    voxels: npt.NDArray[np.int16]
    masks: Mapping[str, Bool]
    phase: Contrast
    findings: tuple[Finding, ...]
    volumes_ml: Mapping[str, float]


def choose_grid(
    style: Style, *, light: bool, matrix: int | None = None, slice_mm: float | None = None
) -> Grid:
    """Choose the voxel grid: the site's own slices, or a coarse one for quick runs.

    Parameters
    ----------
    style
        Whose scanner.
    light
        24 slices of 96 x 96 instead of about 60 of 192 x 192.
    matrix, slice_mm
        Rows and columns, and slice distance in mm, to override either.
    """
    rows = matrix or (96 if light else 192)
    step = slice_mm or (COVERAGE_MM / 24 if light else style.scanner.slice_mm)
    pixel = 384.0 / rows
    return Grid((int(COVERAGE_MM // step), rows, rows), (step, pixel, pixel), TOP_MM)


def make_case(rng: np.random.Generator, style: Style, grid: Grid, *, is_female: bool, age: int) -> Case:
    """Make one patient's image, masks and truth.

    Parameters
    ----------
    rng
        Only source of randomness.
    style
        The site's.
    grid
        Where.
    is_female, age
        Of the patient.
    """
    physique = draw_physique(rng, is_female, age)
    phases = [phase for phase, _ in style.phases]
    phase = phases[int(rng.choice(len(phases), p=[share for _, share in style.phases]))]
    body = make_body(rng, grid, physique, phase)
    painter = paint_disease(rng, body, style.mixture)
    paint_table(body.hu, grid, 124 * physique.scale[1] + physique.build.fat_mm)
    voxels = scan(body.hu, body.depth, grid, style.scanner, rng)
    masks: dict[str, Bool] = {key: body.tissue == tissue for key, tissue in TISSUES.items()}
    level = body.landmarks["first lumbar vertebra"][2]
    outside = np.abs(grid.axes()[0] - level) > SLAB_MM / 2
    for key in SINGLE_LEVEL:
        masks[key][outside] = False
    for key, kind in (
        ("lung_opacity", "opacity"),
        ("lung_nodule", "nodule"),
        ("pleural_effusion", "effusion"),
        ("calcification", "calcification"),
    ):
        masks[key] = painter.compute_mask(kind)  # type: ignore[arg-type]  # one of the kinds just named
    volumes: dict[str, float] = {}
    for finding in painter.findings:
        volumes[finding.kind] = volumes.get(finding.kind, 0.0) + finding.volume_ml
    return Case(grid, voxels, masks, phase, tuple(painter.findings), volumes)
