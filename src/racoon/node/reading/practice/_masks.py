"""The masks of a reference, from the archive."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon.node.archive.service import Archive
from racoon.node.reading.practice.scoring import Masks


def drawn_of(archive: Archive, series_uid: str, instance_uid: str) -> Masks:
    """Return the masks of a stored segmentation; segments of the same label are united, nothing without one."""
    found: dict[str, tuple[str, npt.NDArray[np.bool_]]] = {}
    if not instance_uid:
        return found
    for item in archive.iterate_masks(series_uid):
        if item.seg_instance_uid == instance_uid:
            key = item.mask.label.key
            before = found[key][1] if key in found else np.zeros_like(item.mask.voxels)
            found[key] = (item.mask.label.meaning or item.name, before | item.mask.voxels)
    return found
