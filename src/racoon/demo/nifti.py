"""NIfTI images and label maps in any orientation, as LPS volumes ready to become DICOM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import numpy.typing as npt

from racoon.demo.series import Affine
from racoon.errors import Defect

OFF_GRID_VOXELS = 0.1
"""Largest distance of a label's voxel from the image's grid; more is another grid, not a rounding error."""


class NiftiDefect(Defect):
    """No usable three-dimensional NIfTI image, or a label map on another grid than its image."""

    code = "demo.nifti"


@dataclass(frozen=True)
class Volume:
    """A volume from a file.

    Parameters
    ----------
    data
        (slice, row, column), values as in the file.
    affine
        4x4 from (slice, row, column, 1) to LPS mm.
    is_integer
        Whether the file stores whole numbers.
    """

    data: npt.NDArray[np.generic]
    affine: Affine
    is_integer: bool


def load_nifti(path: Path) -> Volume:
    """Load a NIfTI file and turn its axes to the nearest (foot to head, front to back, right to left) order.

    Only axes are swapped and flipped, never resampled: voxels and their places in the world stay exactly as
    they were. NIfTI's world is RAS, DICOM's LPS: x and y change sign (DICOM PS3.3 C.7.6.2.1.1).
    """
    try:
        image = nib.load(path)
    except Exception as error:
        raise NiftiDefect("A file is not a NIfTI image.", details={"path": str(path)}) from error
    if not isinstance(image, nib.spatialimages.SpatialImage) or len(image.shape) != 3:
        raise NiftiDefect("A NIfTI file is not one three-dimensional image.", details={"path": str(path)})
    stored = image.get_data_dtype()
    data = np.asanyarray(image.dataobj)
    ras = np.asarray(image.affine, dtype=np.float64)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ ras
    turned, affine = turn_to_axial(data, lps)
    return Volume(
        turned,
        affine,
        bool(np.issubdtype(stored, np.integer)) and bool(np.issubdtype(data.dtype, np.integer)),
    )


def turn_to_axial(data: npt.NDArray[np.generic], lps: Affine) -> tuple[npt.NDArray[np.generic], Affine]:
    """Swap and flip axes so that they run as nearly as possible along +z, +y, +x (slice, row, column)."""
    cosines = np.abs(lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0))
    array_axis = [0, 0, 0]
    for _ in range(3):
        # The best fit first: an oblique scan has ties of its second and third axis, never of all.
        world, best = np.unravel_index(int(np.argmax(cosines)), (3, 3))
        array_axis[int(world)] = int(best)
        cosines[world, :] = cosines[:, best] = -1
    order = array_axis[::-1]
    turned = np.transpose(data, order)
    affine = np.eye(4)
    affine[:, :3], affine[:, 3] = lps[:, order], lps[:, 3]
    for axis in range(3):
        if affine[2 - axis, axis] < 0:
            turned = np.flip(turned, axis)
            affine[:3, 3] += affine[:3, axis] * (turned.shape[axis] - 1)
            affine[:3, axis] *= -1
    return np.ascontiguousarray(turned), affine


def match_labels(labels: Volume, shape: tuple[int, int, int], affine: Affine) -> npt.NDArray[np.generic]:
    """Bring a label map onto an image's grid if it is the same grid in another order, or refuse.

    Parameters
    ----------
    labels
        The label map.
    shape, affine
        The image's.

    Returns
    -------
    numpy.ndarray
        Labels (slice, row, column) of the image; 0 where the label map does not reach.
    """
    mapping = np.linalg.inv(labels.affine) @ affine
    whole = np.rint(mapping)
    corners = np.array(
        [[i, j, k, 1] for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)]
    )
    if float(np.abs(corners @ (mapping - whole).T).max()) > OFF_GRID_VOXELS:
        raise NiftiDefect(
            "A label map does not lie on the grid of its image.", details={"mapping": mapping.tolist()}
        )
    out = np.zeros(shape, dtype=labels.data.dtype)
    grid = np.indices(shape).reshape(3, -1)
    at = (whole[:3, :3] @ grid + whole[:3, 3:]).astype(np.intp)
    inside = np.all((at >= 0) & (at < np.array(labels.data.shape)[:, None]), axis=0)
    out.reshape(-1)[inside] = labels.data[at[0, inside], at[1, inside], at[2, inside]]
    return out
