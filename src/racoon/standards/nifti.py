"""Volumes as NIfTI-1 files (Cox et al. 2004), for programs that do not speak DICOM."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from racoon.science.image import Image

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def write_nifti(image: Image, path: Path, *, description: str = "") -> None:
    """Write a volume; ``.nii.gz`` is compressed.

    Parameters
    ----------
    image
        Array (slice, row, column) in LPS; the file holds (column, row, slice) in RAS, as NIfTI wants it.
    path
        Target; its folder exists.
    description
        Goes into the header; up to 79 ASCII characters.
    """
    library: Any = nib
    library.save(_volume(image, description), path)


def nifti_bytes(image: Image, *, description: str = "") -> bytes:
    """Return the compressed file as bytes; the same volume gives the same bytes."""
    # Without the time of packing, which gzip would write.
    return gzip.compress(_volume(image, description).to_bytes(), mtime=0)


def _volume(image: Image, description: str) -> Any:
    affine = _LPS_TO_RAS @ image.affine[:, [2, 1, 0, 3]]
    # nibabel has no types.
    library: Any = nib
    volume = library.Nifti1Image(np.ascontiguousarray(image.voxels.transpose(2, 1, 0)), affine)
    # Both forms say the same, so that no reader prefers the other one; a sheared grid only fits the sform.
    volume.set_sform(affine, code=1)
    volume.header.set_xyzt_units("mm", "sec")
    if description:
        volume.header["descrip"] = description.encode("ascii", "replace")[:79]
    return volume
