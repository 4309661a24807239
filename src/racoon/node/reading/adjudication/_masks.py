"""How the masks of two readers agree, label by label."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from racoon.node.archive.service import Archive, SegmentationMask
from racoon.node.reading.adjudication.model import MaskAgreement
from racoon.standards.dicom.volume import Arrangement

Found = tuple[str, str, npt.NDArray[np.bool_]]
"""Key of the segment, English name, voxels."""


def compare_masks(archive: Archive, series_uid: str, first: str, second: str) -> list[MaskAgreement]:
    """Compare two segmentations of a series; segments of the same label in one of them are united.

    Parameters
    ----------
    first, second
        SOP Instance UIDs; an empty one is a reader who drew nothing on this series.
    """
    from racoon.science.geometry.distances import (  # noqa: PLC0415 - brings scipy, which only this needs
        dice,
        surface_distances,
    )

    arrangement = archive.arrange(series_uid)
    if not arrangement.is_regular or arrangement.affine is None:
        return []
    sides: tuple[dict[str, Found], dict[str, Found]] = {}, {}
    for item in archive.iterate_masks(series_uid, arrangement):
        for uid, side in zip((first, second), sides, strict=True):
            if item.seg_instance_uid == uid:
                _unite(side, item.mask.label.key, f"{uid}:{item.segment_number}", item)
    voxel_ml = abs(float(np.linalg.det(arrangement.affine[:3, :3]))) / 1000.0
    rows = []
    for label in dict.fromkeys([*sides[0], *sides[1]]):
        one, other = (side.get(label) for side in sides)
        hd95 = None
        overlap = 0.0
        if one is not None and other is not None:
            overlap = dice(one[2], other[2])
            distance = surface_distances(one[2], other[2], arrangement.affine).hd95_mm
            hd95 = distance if math.isfinite(distance) else None
        volumes = tuple(
            0.0 if item is None else int(np.count_nonzero(item[2])) * voxel_ml for item in (one, other)
        )
        rows.append(
            MaskAgreement(
                series_uid,
                label,
                next(item[1] for item in (one, other) if item is not None),
                (one[0] if one else "", other[0] if other else ""),
                overlap,
                hd95,
                (volumes[0], volumes[1]),
                *_where_they_differ(arrangement, one, other),
            )
        )
    return rows


def _where_they_differ(arrangement: Arrangement, one: Found | None, other: Found | None) -> tuple[str, int]:
    """Name the slice with most voxels that only one of two masks has."""
    voxels = [item[2] for item in (one, other) if item is not None]
    counts = np.logical_xor.reduce(voxels).sum(axis=(1, 2)) if len(voxels) > 1 else voxels[0].sum(axis=(1, 2))
    if not counts.any():
        return "", 1
    frame = arrangement.frames[int(counts.argmax())]
    return frame.sop_instance_uid, frame.number


def _unite(side: dict[str, Found], label: str, key: str, item: SegmentationMask) -> None:
    before = side.get(label)
    voxels = item.mask.voxels if before is None else before[2] | item.mask.voxels
    side[label] = (before[0] if before else key, item.mask.label.meaning or item.name, voxels)
