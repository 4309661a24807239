"""The body on CT: skin and everything inside it, without table and blanket."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry import find_parts
from racoon.science.image import Image

BODY_VERSION = "body@1"

TISSUE_FROM_HU = -350
"""Denser than lung and foam, lighter than fat; the edge between air and skin crosses it halfway."""

_WORKING_MM = 2.0
"""In-plane grid on which the shape is found; the body has no finer detail that matters here."""

_TABLE_MM = 6.0
"""Thickness up to which a thing that touches the body (table top, blanket, tube) is cut off."""


def segment_body(image: Image) -> NDArray[np.bool_]:
    """Find the body of a CT.

    Parameters
    ----------
    image
        HU.

    Returns
    -------
    numpy.ndarray
        Boolean, same shape; all false when nothing is denser than air.

    Notes
    -----
    Threshold, in-plane opening against the table, largest part, holes filled slice by slice.  It fails when
    the table is thicker than 6 mm and touches the skin, when the field of view cuts arms off the trunk, and
    with phantoms in the same scan.
    """
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    _, row_mm, column_mm = image.spacing_mm
    strides = (max(1, int(_WORKING_MM / row_mm)), max(1, int(_WORKING_MM / column_mm)))
    coarse: NDArray[Any] = image.voxels[:, :: strides[0], :: strides[1]]
    tissue: NDArray[np.bool_] = np.greater(coarse, TISSUE_FROM_HU)
    opening = _disc(_TABLE_MM / 2, row_mm * strides[0], column_mm * strides[1])
    body = np.zeros_like(tissue)
    parts = find_parts(ndimage.binary_opening(tissue, opening), connectivity=6)
    if parts.box is None:
        return np.zeros(image.voxels.shape, bool)
    body[parts.box.slices] = parts.largest()
    # The opening shaved the skin; give back the tissue that touches the body, no more than the opening took.
    body = ndimage.binary_dilation(body, opening, mask=tissue)
    for index in range(body.shape[0]):
        body[index] = ndimage.binary_fill_holes(body[index])
    fine: NDArray[np.bool_] = body.repeat(strides[0], axis=1).repeat(strides[1], axis=2)
    return fine[:, : image.voxels.shape[1], : image.voxels.shape[2]]


def _disc(radius_mm: float, row_mm: float, column_mm: float) -> NDArray[np.bool_]:
    """Flat structuring element of one slice, at least a cross."""
    rows, columns = max(1, math.floor(radius_mm / row_mm)), max(1, math.floor(radius_mm / column_mm))
    y, x = np.ogrid[-rows : rows + 1, -columns : columns + 1]
    disc: NDArray[np.bool_] = ((y / rows) ** 2 + (x / columns) ** 2 <= 1.0)[None]
    return disc
