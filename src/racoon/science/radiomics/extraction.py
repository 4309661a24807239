"""All features of one region: one call, one dictionary of IBSI tags."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from racoon.science.image import Image
from racoon.science.radiomics.configuration import Aggregation, Configuration
from racoon.science.radiomics.intensity import histogram, local_peaks, statistics, volume_histogram
from racoon.science.radiomics.matrices import (
    DIRECTIONS_2D,
    DIRECTIONS_3D,
    Direction,
    Entries,
    Grid,
    border_distances,
    cooccurrence,
    join,
    neighbourhoods,
    runs,
    zones,
)
from racoon.science.radiomics.morphology import morphology
from racoon.science.radiomics.preparation import Prepared, prepare
from racoon.science.radiomics.texture import average, cooccurrence_features, size_features, tone_features

_Pairs = dict[int, NDArray[np.float64]]
"""Co-occurrence counts by slice, as ``cooccurrence`` gives them."""


def extract(image: Image, mask: NDArray[np.bool_], settings: Configuration) -> dict[str, float]:
    """Compute the features of a region.

    Parameters
    ----------
    image
        Volume.
    mask
        Boolean array of its shape.
    settings
        How.

    Returns
    -------
    dict
        IBSI tag (``morph_volume``, ``cm_joint_max_3D_comb``, …) to value; empty when nothing is left of the mask.

    Notes
    -----
    Zwanenburg et al. 2020, doi:10.1148/radiol.2020191145; reference manual arXiv:1612.07003.
    """
    region = prepare(image, mask, settings)
    if region is None:
        return {}
    found: dict[str, float] = {}
    if "morph" in settings.families:
        found |= morphology(region, with_correlation=settings.moran)
    if "loc" in settings.families:
        found |= local_peaks(region)
    if "stat" in settings.families:
        found |= statistics(region)
    if "ih" in settings.families:
        found |= histogram(region)
    if "ivh" in settings.families:
        found |= volume_histogram(region, settings)
    return found | _textures(region, settings)


def _textures(region: Prepared, settings: Configuration) -> dict[str, float]:
    grid = Grid.of(region.levels, region.level_count)
    found: dict[str, float] = {}
    matrices: dict[Direction, _Pairs] = {}
    lines: dict[Direction, Entries] = {}
    for aggregation in settings.aggregation:
        if "cm" in settings.families:
            for direction in _directions(aggregation):
                if direction not in matrices:
                    matrices[direction] = cooccurrence(grid, direction)
            features = _cooccurrence(matrices, aggregation)
            found |= {f"cm_{name}_{aggregation}": value for name, value in features.items()}
        if "rlm" in settings.families:
            if aggregation.startswith("3D") and not lines:
                # Slices do not matter here: a table of each direction is all that is kept.
                lines = {direction: runs(grid, direction).counted() for direction in DIRECTIONS_3D}
            features = _runs(grid, aggregation, lines)
            found |= {f"rlm_{name}_{aggregation}": value for name, value in features.items()}
    for dimension in dict.fromkeys(item.rpartition("_")[0] for item in settings.aggregation):
        found |= _around(region, grid, dimension, settings)
    return found


def _directions(aggregation: Aggregation) -> tuple[Direction, ...]:
    return DIRECTIONS_3D if aggregation.startswith("3D") else DIRECTIONS_2D


def _cooccurrence(known: Mapping[Direction, _Pairs], aggregation: Aggregation) -> dict[str, float]:
    matrices = [known[direction] for direction in _directions(aggregation)]
    size = next((counts.shape for item in matrices for counts in item.values()), (1, 1))
    if aggregation == "2D_avg":
        groups = [counts for by_slice in matrices for counts in by_slice.values()]
    elif aggregation == "2D_comb":
        slices = sorted({index for by_slice in matrices for index in by_slice})
        groups = [
            sum((item[index] for item in matrices if index in item), np.zeros(size)) for index in slices
        ]
    elif aggregation.endswith("_avg"):
        groups = [sum(by_slice.values(), np.zeros(size)) for by_slice in matrices]
    else:
        groups = [sum((counts for item in matrices for counts in item.values()), np.zeros(size))]
    return average([cooccurrence_features(counts) for counts in groups if counts.any()])


def _runs(grid: Grid, aggregation: Aggregation, lines: Mapping[Direction, Entries]) -> dict[str, float]:
    directions = _directions(aggregation)
    is_solid = aggregation.startswith("3D")
    parts = [lines[direction] if is_solid else runs(grid, direction) for direction in directions]
    voxels = grid.inside.size
    by_slice = np.bincount(grid.slices_of(grid.inside), minlength=grid.slice_count)
    filled = [int(index) for index in np.flatnonzero(by_slice)]
    if aggregation == "2D_avg":
        groups = [(part.of_slice(index), int(by_slice[index])) for part in parts for index in filled]
    elif aggregation == "2D_comb":
        whole = join(parts)
        groups = [(whole.of_slice(index), int(by_slice[index]) * len(directions)) for index in filled]
    elif aggregation.endswith("_avg"):
        groups = [(part, voxels) for part in parts]
    else:
        groups = [(join(parts), voxels * len(directions))]
    return average([size_features("rlm", entries, count) for entries, count in groups])


def _around(region: Prepared, grid: Grid, dimension: str, settings: Configuration) -> dict[str, float]:
    """Zones, distance zones, tone differences and dependences: no directions, only slices to join."""
    by_slice = dimension != "3D"
    wanted = set(settings.families)
    slices = grid.slices_of(grid.inside)
    filled = [int(index) for index in np.unique(slices)]
    found: dict[str, float] = {}
    sized: list[tuple[str, Entries]] = []
    if {"szm", "dzm"} & wanted:
        distances = border_distances(region.morphological, by_slice=by_slice)
        sized += zip(("szm", "dzm"), zones(region.levels, distances, by_slice=by_slice), strict=True)
    if {"ngt", "ngl"} & wanted:
        seen = neighbourhoods(grid, by_slice=by_slice)
        sized.append(("ngl", Entries(seen.levels, seen.dependence, seen.slices)))
        masks = [slices == index for index in filled] if dimension == "2D" else [np.ones(slices.size, bool)]
        if "ngt" in wanted:
            tones = average([tone_features(seen, kept) for kept in masks])
            found |= {f"ngt_{name}_{dimension}": value for name, value in tones.items()}
    for family, entries in sized:
        if family in wanted:
            groups = (
                [(entries.of_slice(index), int(np.count_nonzero(slices == index))) for index in filled]
                if dimension == "2D"
                else [(entries, grid.inside.size)]
            )
            features = average([size_features(family, part, count) for part, count in groups])
            found |= {f"{family}_{name}_{dimension}": value for name, value in features.items()}
    return found
