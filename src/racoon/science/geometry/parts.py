"""Connected parts of a mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.box import Box, bounding_box

Connectivity = Literal[6, 18, 26]


@dataclass(frozen=True, eq=False)
class Parts:
    """Connected parts of one mask, largest first.

    Parameters
    ----------
    box
        Where ``labels`` lies in the original array; ``None`` when the mask is empty.
    labels
        Cropped label array, 1 for the largest part, 0 background.
    voxel_counts
        Voxels of part 1, 2, …
    """

    box: Box | None
    labels: NDArray[Any]
    voxel_counts: tuple[int, ...]

    @property
    def count(self) -> int:
        """Number of parts."""
        return len(self.voxel_counts)

    def mask(self, part: int) -> NDArray[np.bool_]:
        """Cropped boolean array of one part (1 is the largest)."""
        found: NDArray[np.bool_] = self.labels == part
        return found

    def largest(self) -> NDArray[np.bool_]:
        """Cropped boolean array of the largest part, with every part of the same size.

        Which of two equal parts comes first depends on how the image lies in memory; a value must not.
        """
        ties = sum(count == self.voxel_counts[0] for count in self.voxel_counts)
        found: NDArray[np.bool_] = (self.labels > 0) & (self.labels <= ties)
        return found


def find_parts(
    mask: NDArray[np.bool_], *, connectivity: Connectivity = 26, smallest_voxels: int = 1
) -> Parts:
    """Split a mask into its connected parts.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).
    connectivity
        6 (faces), 18 (faces and edges) or 26 (corners too).
    smallest_voxels
        Parts with fewer voxels are dropped.

    Returns
    -------
    Parts
        Sorted by size, equal sizes in the order of their first voxel, so the numbering is reproducible.
    """
    box = bounding_box(mask)
    if box is None:
        return Parts(None, np.zeros((0, 0, 0), np.uint32), ())
    # As bytes, not as booleans: for booleans cc3d 4.1.1 fails at 26-connectivity on some thin masks, e.g. on
    # (1, 3, 1) with a gap in it.
    crop = np.ascontiguousarray(mask[box.slices]).view(np.uint8)
    labels = np.asarray(cc3d.connected_components(crop, connectivity=connectivity))
    counts = np.bincount(labels.ravel())
    counts[0] = 0
    order = [
        int(part) for part in np.argsort(-counts, kind="stable") if counts[part] >= max(1, smallest_voxels)
    ]
    table = np.zeros(counts.size, dtype=np.uint32)
    for position, part in enumerate(order, start=1):
        table[part] = position
    return Parts(box, table[labels], tuple(int(counts[part]) for part in order))
