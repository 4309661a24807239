"""NIfTI-1 and -2 as (slice, row, column) arrays with an LPS affine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.standards.files.opening import UnreadableImage

_RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


def load_nifti(path: Path) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Read voxels and affine.

    Parameters
    ----------
    path
        ``.nii`` or ``.nii.gz``.

    Returns
    -------
    tuple
        Array (slice, row, column), integers where the file has them without scaling; 4x4 affine to LPS in mm.

    Raises
    ------
    UnreadableImage
        If it is no volume, or the file says nothing about its place in space.

    Notes
    -----
    The affine is the sform, else the qform, as the standard orders them; header zooms are never used.
    """
    import nibabel  # noqa: PLC0415 - half a second that only this format needs

    try:
        found: Any = nibabel.load(path)
        voxels = np.asarray(found.dataobj)
        affine = np.asarray(found.affine, dtype=np.float64)
    except (OSError, ValueError, EOFError, nibabel.filebasedimages.ImageFileError) as error:
        raise UnreadableImage(f"{path.name} cannot be read as NIfTI ({type(error).__name__}).") from error
    while voxels.ndim > 3 and voxels.shape[-1] == 1:
        voxels = voxels[..., 0]
    if voxels.ndim != 3:
        raise UnreadableImage(f"{path.name} has {voxels.ndim} axes; one volume with three axes is needed.")
    if abs(float(np.linalg.det(affine[:3, :3]))) < 1e-9:
        raise UnreadableImage(f"{path.name} has an affine without volume; its place in space is unknown.")
    return voxels.transpose(2, 1, 0), (_RAS_TO_LPS @ affine)[:, [2, 1, 0, 3]]
