"""Objects rewritten in another transfer syntax with exactly the values that were stored.

HTJ2K (PS3.5 annex A.4.4, ISO/IEC 15444-15) is encoded by OpenJPH through imagecodecs; it decodes an order of magnitude
faster than JPEG 2000 at nearly its size, which is what a viewer on the web wants.
"""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, HTJ2KLossless

from racoon.standards.dicom.pixels import UndecodablePixels, decode_colour_frame, decode_frame, frame_count
from racoon.standards.dicom.uids import LABEL_MAP_SEGMENTATION, SEGMENTATION

NOT_COMPRESSED = frozenset(
    {
        SEGMENTATION,
        LABEL_MAP_SEGMENTATION,
        "1.2.840.10008.5.1.4.1.1.30",
        "1.2.840.10008.5.1.4.1.1.481.2",
    }
)
"""Masks (one bit, or a palette of labels), parametric maps and doses (32 bit): nothing for an image codec."""


class NotCompressible(UndecodablePixels):
    """Pixels that HTJ2K cannot hold without loss, or that no reader would expect in it."""

    code = "dicom.not_compressible"
    status = 406


def can_encode_htj2k(dataset: Dataset) -> bool:
    """Tell whether an image can be given in lossless HTJ2K: one integer of 8 or 16 bits per pixel."""
    return (
        "PixelData" in dataset
        and int(dataset.get("SamplesPerPixel", 1)) == 1
        and int(dataset.get("BitsAllocated", 0)) in (8, 16)
        and str(dataset.get("SOPClassUID", "")) not in NOT_COMPRESSED
    )


def encode_htj2k(frame: npt.NDArray[np.generic]) -> bytes:
    """Compress one greyscale frame (row, column) of 8- or 16-bit integers without loss."""
    return bytes(imagecodecs.htj2k_encode(np.ascontiguousarray(frame), reversible=True))


def in_htj2k(dataset: Dataset) -> bytes:
    """Rewrite a file in lossless HTJ2K.

    Parameters
    ----------
    dataset
        Data set with pixel data and file meta; changed.

    Returns
    -------
    bytes
        A whole DICOM file.  Bits Stored becomes the depth of the compressed values, 8 or 16, because both have to
        agree (PS3.5 section 8.2.4); the values stay what they are.

    Raises
    ------
    NotCompressible
        If the image cannot be given this way.
    """
    if not can_encode_htj2k(dataset):
        raise NotCompressible("This image cannot be given in HTJ2K; ask for it as stored or uncompressed.")
    frames = [encode_htj2k(decode_frame(dataset, index)) for index in range(frame_count(dataset))]
    dataset.BitsStored = int(dataset.BitsAllocated)
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelData = encapsulate(frames, has_bot=len(frames) > 1)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    return _written(dataset, HTJ2KLossless)


def uncompressed(dataset: Dataset) -> bytes:
    """Rewrite a file in explicit VR little endian; the data set is changed."""
    if "PixelData" in dataset:
        count = frame_count(dataset)
        if int(dataset.get("SamplesPerPixel", 1)) == 3:
            pixels = b"".join(decode_colour_frame(dataset, index).tobytes() for index in range(count))
            dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        elif int(dataset.BitsAllocated) == 1:
            pixels = dataset.PixelData
        else:
            pixels = b"".join(decode_frame(dataset, index).tobytes() for index in range(count))
        dataset.PixelData = pixels + b"\x00" * (len(pixels) % 2)
        dataset["PixelData"].VR = "OW" if int(dataset.BitsAllocated) > 8 else "OB"
        dataset["PixelData"].is_undefined_length = False
    return _written(dataset, ExplicitVRLittleEndian)


def frame_bytes(dataset: Dataset, index: int) -> bytes:
    """Return one frame uncompressed: RGB of 8 bit, or the stored values."""
    if int(dataset.get("SamplesPerPixel", 1)) == 3:
        return decode_colour_frame(dataset, index).tobytes()
    return decode_frame(dataset, index).tobytes()


def _written(dataset: Dataset, transfer_syntax: str) -> bytes:
    buffer = io.BytesIO()
    dataset.file_meta.TransferSyntaxUID = UID(transfer_syntax)
    pydicom.dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
