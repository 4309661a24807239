"""One patient's body: the template warped, painted and filled with vessels, before finding and scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racoon.demo.anatomy.abdomen import paint_abdomen
from racoon.demo.anatomy.canvas import Canvas, Point, Tissue
from racoon.demo.anatomy.chest import Chest, Contrast, coronaries, paint_airways, paint_chest
from racoon.demo.anatomy.grid import Float, Grid, Labels, draw_field
from racoon.demo.anatomy.tree import Tree, grow_tree, sample_targets, splat
from racoon.demo.anatomy.wall import Build, WallSpace, paint_ribs, paint_spine, paint_wall
from racoon.demo.anatomy.warp import draw_displacement

WARP_RMS_MM = 5.5
SLAB = 8
"""Slices painted at a time: arrays of one slab fit the processor's cache, three times as fast."""

Place = tuple[float, float, float]
LANDMARKS: dict[str, Point] = {"right hilum": (-34, 13, 30), "left hilum": (38, 14, 30)}
LANDMARKS |= {
    f"coronary {branch}.{step}": point
    for branch, course in enumerate(coronaries())
    for step, point in enumerate(course)
}
LANDMARKS |= {
    "aortic arch": (24, 30, 75),
    "descending aorta": (34, 44, 20),
    "abdominal aorta": (12, 28, -110),
}
LANDMARKS |= {"first lumbar vertebra": (0, 52, -132)}


@dataclass(frozen=True)
class Physique:
    """A person's size and build.

    Parameters
    ----------
    scale
        Size relative to the template along x, y, z.
    build
        Fat, muscle, bone, sex.
    lung_hu
        Mean density of healthy lung at this breath.
    """

    scale: tuple[float, float, float]
    build: Build
    lung_hu: float


@dataclass
class Body:
    """Painted density with exact labels and what findings need to be placed."""

    grid: Grid
    hu: Float
    tissue: Labels
    lung: Float
    """Signed distance to the pleura, mm; negative inside the lung."""
    depth: Float
    """0 outside the trunk to 1 in its middle."""
    vessels: Float
    """Fraction of lung vessels per voxel."""
    landmarks: dict[str, Place]
    """Template points in this patient, (x, y, z) in mm."""


def draw_physique(rng: np.random.Generator, is_female: bool, age: int) -> Physique:
    """Draw a person's size, fat, muscle and bone by sex and age."""
    size = float(np.clip(rng.normal(0.945 if is_female else 1.0, 0.03), 0.86, 1.06))
    fat = float(np.clip(rng.gamma(6, 2.6 if is_female else 2.1), 5, 24))
    girth = 1 + 0.002 * (fat - 12)
    return Physique(
        scale=(
            size * girth * float(rng.normal(1, 0.012)),
            size * girth * float(rng.normal(1, 0.02)),
            size * float(rng.normal(1, 0.02)),
        ),
        build=Build(
            fat_mm=fat,
            is_female=is_female,
            muscle_hu=float(rng.normal(58 - 0.18 * (age - 40), 4)),
            bone_hu=float(max(60, rng.normal(235 - 1.7 * (age - 30), 22))),
        ),
        lung_hu=float(rng.normal(-858, 14)),
    )


def make_body(rng: np.random.Generator, grid: Grid, physique: Physique, contrast: Contrast) -> Body:
    """Paint one patient.

    Parameters
    ----------
    rng
        Source of the warp, the textures and the vessels.
    grid
        Where to paint.
    physique
        Whom.
    contrast
        Phase of the scan.
    """
    displacement = draw_displacement(rng, grid, WARP_RMS_MM)
    reach = [float(np.abs(part.knots).max()) for part in displacement]
    soft, fine = draw_field(rng, grid, 22), draw_field(rng, grid, 5)
    bowel_seed = int(rng.integers(2**62))
    size = grid.shape
    body = Body(
        grid,
        np.empty(size, dtype=np.float32),
        np.empty(size, dtype=np.uint8),
        np.empty(size, dtype=np.float32),
        np.empty(size, dtype=np.float32),
        np.zeros(size, dtype=np.float32),
        {},
    )
    sx, sy, sz = (np.float32(part) for part in physique.scale)
    gaps = dict.fromkeys(LANDMARKS, np.inf)
    for start in range(0, size[0], SLAB):
        stop = min(start + SLAB, size[0])
        part = grid.get_slab(start, stop)
        z, y, x = part.axes()
        canvas = Canvas(
            part,
            x[None, None, :] / sx + displacement[2].evaluate(start, stop),
            y[None, :, None] / sy + displacement[1].evaluate(start, stop),
            z[:, None, None] / sz + displacement[0].evaluate(start, stop),
            scale=(float(1 / sx), float(1 / sy), float(1 / sz)),
            reach_mm=(reach[2], reach[1], reach[0]),
        )
        chest, space = _paint_slab(
            canvas, physique, contrast, soft.evaluate(start, stop), fine.evaluate(start, stop), bowel_seed
        )
        body.hu[start:stop], body.tissue[start:stop] = canvas.hu, canvas.tissue
        body.lung[start:stop] = chest.lung
        body.depth[start:stop] = np.clip(-space.muscle / 110, 0, 1)
        for name, point in LANDMARKS.items():
            gap, place = _locate(canvas, point)
            if gap < gaps[name]:
                gaps[name], body.landmarks[name] = gap, place
    _paint_lung_trees(body, contrast, rng)
    return body


def _paint_slab(
    canvas: Canvas, physique: Physique, contrast: Contrast, soft: Float, fine: Float, bowel_seed: int
) -> tuple[Chest, WallSpace]:
    space = paint_wall(canvas, physique.build, soft, fine)
    parenchyma = np.float32(physique.lung_hu) + np.float32(0.42) * (canvas.y - 10) + 11 * soft + 13 * fine
    chest = paint_chest(canvas, space, contrast, soft, parenchyma)
    # Every slab draws the same bowel.
    paint_abdomen(canvas, space, chest, contrast, soft, np.random.default_rng(bowel_seed))
    paint_ribs(canvas, space, soft)
    paint_spine(canvas, physique.build, soft, fine)
    paint_airways(canvas)
    return chest, space


def _locate(canvas: Canvas, point: Point) -> tuple[float, Place]:
    """Find the voxel that stems from a template point: squared gap in mm², (x, y, z) in the patient in mm."""
    box = canvas.get_box(point, point)
    if any(part.stop <= part.start for part in box):
        return np.inf, (0.0, 0.0, 0.0)
    gap = (canvas.x[box] - point[0]) ** 2 + (canvas.y[box] - point[1]) ** 2 + (canvas.z[box] - point[2]) ** 2
    flat = int(np.argmin(gap))
    at = np.unravel_index(flat, gap.shape)
    z, y, x = canvas.grid.axes()
    place = (float(x[box[2].start + at[2]]), float(y[box[1].start + at[1]]), float(z[box[0].start + at[0]]))
    return float(gap.flat[flat]), place


def _paint_lung_trees(body: Body, contrast: Contrast, rng: np.random.Generator) -> None:
    """Paint arteries, veins and small bronchi of both lungs."""
    grid = body.grid
    share = 0.35 if grid.spacing_mm[2] > 3 else 1.0
    lumen = np.zeros(grid.shape, dtype=np.float32)
    walls = np.zeros(grid.shape, dtype=np.float32)
    for tissue, side in ((Tissue.LUNG_RIGHT, "right"), (Tissue.LUNG_LEFT, "left")):
        lung = body.tissue == tissue
        inner = lung & (body.lung < -4)
        root = np.array(body.landmarks[f"{side} hilum"])
        for shift, count in ((np.zeros(3), 330), (np.array([0.0, -8.0, -18.0]), 240)):
            targets = sample_targets(rng, inner, grid, int(count * share))
            tree = grow_tree((root + shift)[None, :], targets, tip_mm=0.84)
            body.vessels += splat(tree, grid, rng, largest_mm=7.0, density=share)
        targets = sample_targets(rng, lung & (body.lung < -22), grid, int(30 * share))
        bronchi = grow_tree((root + np.array([0.0, 5.0, 4.0]))[None, :], targets, tip_mm=0.85)
        lumen += splat(bronchi, grid, rng, largest_mm=3.2)
        thick = Tree(bronchi.nodes, bronchi.parents, bronchi.radii * 1.25 + 0.6)
        walls += splat(thick, grid, rng, largest_mm=4.4)
    in_lung = (body.tissue == Tissue.LUNG_LEFT) | (body.tissue == Tissue.LUNG_RIGHT)
    body.vessels = np.clip(body.vessels, 0, 1) * in_lung
    lumen, walls = np.clip(lumen, 0, 1) * in_lung, np.clip(walls - lumen, 0, 1) * in_lung
    body.hu += walls * np.float32(0.8) * (20 - body.hu)
    body.hu += lumen * (-985 - body.hu)
    body.hu += body.vessels * np.maximum(np.float32(contrast.pulmonary) - body.hu, 0)
