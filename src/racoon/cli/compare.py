"""``racoon compare``: how far two masks are apart, without a node."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from racoon.standards.files import LabelledMask, LoadedImage

SURFACE = "centres of mask voxels with a face neighbour outside the mask; every surface voxel counts once"
"""Definition behind the distances; other tools use others and get other numbers."""


def compare(
    first: Path,
    second: Path,
    /,
    *,
    image: Path | None = None,
    labels: Path | None = None,
    tolerance: float = 1.0,
    json: JsonFlag = False,
) -> None:
    """Compare two masks on one grid: overlap, surface distances and volumes, for all labels and each.

    Parameters
    ----------
    first
        Mask: NIfTI or NRRD label map, DICOM SEG or RTSTRUCT.
    second
        Mask on the same grid.
    image
        Image the masks were drawn on; needed for DICOM SEG and RTSTRUCT.
    labels
        JSON table of label numbers and names, such as {"1": "liver", "2": "spleen"}.
    tolerance
        Tolerance of the normalised surface Dice in mm.
    json
        Print one JSON document.
    """
    from racoon.standards.files import load_image, load_masks, read_label_names
    from racoon.standards.files.masks import load_mask_grid

    names = read_label_names(labels) if labels else {}
    grid = load_image(image) if image else load_mask_grid(first)
    sides = [list(load_masks(path, grid, names)) for path in (first, second)]
    rows = []
    for number in sorted({item.number for side in sides for item in side}):
        pair = [[item for item in side if item.number == number] for side in sides]
        name = next((item.name for side in pair for item in side if item.name), "")
        rows.append({"label": number, "name": name or None, **_measures(grid, pair, tolerance)})
    whole = _measures(grid, sides, tolerance)
    document = {**whole, "labels": rows, "surface": SURFACE, "grid_shape": list(grid.image.shape)}
    if json:
        print_json(document)
        return
    lines = [{"label": "all", "name": None, **whole}, *rows]
    print_table(f"{first.name} and {second.name}", [_line(line) for line in lines])


def _measures(grid: LoadedImage, sides: list[list[LabelledMask]], tolerance: float) -> dict[str, Any]:
    import math

    from racoon.science.geometry import dice, jaccard, surface_distances, volume_ml

    masks = _together(sides)
    affine = grid.image.affine
    found = surface_distances(*masks, affine, tolerances_mm=(tolerance,))
    volumes = [volume_ml(mask, affine) for mask in masks]
    values = {
        "dice": dice(*masks),
        "jaccard": jaccard(*masks),
        "hd_mm": found.hd_mm,
        "hd95_mm": found.hd95_mm,
        "assd_mm": found.assd_mm,
        "nsd": found.nsd[float(tolerance)],
    }
    empty = [name for name, volume in zip(("first", "second"), volumes, strict=True) if volume == 0.0]
    return {
        **{name: value if math.isfinite(value) else None for name, value in values.items()},
        "nsd_tolerance_mm": tolerance,
        "volume_a_ml": volumes[0],
        "volume_b_ml": volumes[1],
        "volume_difference_ml": volumes[1] - volumes[0],
        "valid": not empty,
        "reason": f"empty mask: {' and '.join(empty)}" if empty else None,
    }


def _together(sides: list[list[LabelledMask]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both masks in the smallest box that holds them."""
    import numpy as np

    from racoon.science.geometry.box import union

    boxes = [item.box for side in sides for item in side if item.box]
    if not boxes:
        return np.zeros((1, 1, 1), bool), np.zeros((1, 1, 1), bool)
    box = boxes[0]
    for other in boxes[1:]:
        box = union(box, other)
    found = []
    for side in sides:
        mask = np.zeros(box.shape, bool)
        for item in side:
            if item.box:
                starts = zip(item.box.start, item.box.stop, box.start, strict=True)
                mask[tuple(slice(low - first, high - first) for low, high, first in starts)] |= item.crop
        found.append(mask)
    return found[0], found[1]


def _line(row: dict[str, Any]) -> dict[str, object]:
    numbers = ("dice", "hd_mm", "hd95_mm", "assd_mm", "nsd", "volume_a_ml", "volume_b_ml")
    shown = {name: "–" if row[name] is None else f"{row[name]:.4g}" for name in numbers}
    return {"label": row["name"] or row["label"], **shown}
