"""The slice on which two masks differ most, with the rims of both."""

from __future__ import annotations

import io

import numpy as np
import numpy.typing as npt
import pydicom

from racoon.node.archive.service import Archive
from racoon.node.reading.adjudication.model import MaskAgreement
from racoon.standards.dicom.rendering import encode_picture, render_frame

FIRST, SECOND = (76, 201, 240), (255, 159, 28)
"""Colours of both rims, the first reader's and the second's: told apart on grey and by most colour-blind readers."""

Plane = npt.NDArray[np.bool_]


def draw_masks(archive: Archive, found: MaskAgreement) -> bytes:
    """Draw as PNG; where both rims lie, the colours alternate by pixel."""
    row = archive.instance(found.instance_uid)
    dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    picture = render_frame(dataset, found.frame - 1)
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    arrangement = archive.arrange(found.series_uid)
    places = [(frame.sop_instance_uid, frame.number) for frame in arrangement.frames]
    at = places.index((found.instance_uid, found.frame))
    uids = [key.partition(":")[0] for key in found.segments]
    planes = [np.zeros(picture.shape[:2], np.bool_), np.zeros(picture.shape[:2], np.bool_)]
    for item in archive.iterate_masks(found.series_uid, arrangement):
        if item.mask.label.key == found.label and item.seg_instance_uid in uids:
            planes[uids.index(item.seg_instance_uid)] |= item.mask.voxels[at]
    first, second = (_rim(plane) for plane in planes)
    chess = np.indices(first.shape).sum(axis=0) % 2 == 0
    picture[first & (~second | chess)] = FIRST
    picture[second & (~first | ~chess)] = SECOND
    top, bottom, left, right = _around(planes[0] | planes[1])
    return encode_picture(picture[top:bottom, left:right], "png")


def _rim(mask: Plane) -> Plane:
    """Pixels of a mask with a neighbour outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return np.asarray(mask & ~inner, np.bool_)


def _around(mask: Plane) -> tuple[int, int, int, int]:
    """Return a square around both masks with as much again on each side, so that a small nodule is not a dot."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    middle = (int(rows[0] + rows[-1]) // 2, int(columns[0] + columns[-1]) // 2)
    reach = max(24, int(rows[-1] - rows[0]), int(columns[-1] - columns[0]))
    top, left = (max(0, centre - reach) for centre in middle)
    return top, middle[0] + reach, left, middle[1] + reach
