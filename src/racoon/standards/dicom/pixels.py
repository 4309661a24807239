"""Frames decoded to exactly the stored values, or refused: a wrong picture is worse than none.

Uncompressed frames are cut from the buffer; compressed ones go to imagecodecs (BSD), which is the fastest
free decoder for each syntax, or to pydicom.  What no decoder here reproduces faithfully is refused (PS3.5
section 8, Annex A.4).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    CTImageStorage,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    MRImageStorage,
    PositronEmissionTomographyImageStorage,
    RLELossless,
)

from racoon.errors import Defect

MAXIMUM_FRAME_PIXELS = 1 << 28
"""268 million pixels: larger than any radiology frame; a header that claims more is a decompression bomb."""


class UndecodablePixels(Defect):
    """Pixel data that cannot be turned into the stored values faithfully."""

    code = "dicom.undecodable_pixels"


_LJPEG = imagecodecs.ljpeg_decode
_JPEGLS = imagecodecs.jpegls_decode
_J2K = imagecodecs.jpeg2k_decode

_CODECS: Mapping[str, Callable[[bytes], npt.NDArray[Any]]] = {
    JPEGBaseline8Bit: imagecodecs.jpeg8_decode,
    JPEGExtended12Bit: imagecodecs.jpeg8_decode,
    JPEGLossless: _LJPEG,
    JPEGLosslessSV1: _LJPEG,
    JPEGLSLossless: _JPEGLS,
    JPEGLSNearLossless: _JPEGLS,
    JPEG2000Lossless: _J2K,
    JPEG2000: _J2K,
    HTJ2KLossless: _J2K,
    HTJ2KLosslessRPCL: _J2K,
    HTJ2K: _J2K,
}

_LOSSY_8_BIT = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit})

_16_BIT_CLASSES = frozenset({CTImageStorage, MRImageStorage, PositronEmissionTomographyImageStorage})
"""Their values are at least 12 bits deep (PS3.3 C.8.2.1, C.8.3.1, C.8.9.4): 8 bits of JPEG are a copy for
the eye."""


def transfer_syntax_of(dataset: Dataset) -> UID:
    """Return the transfer syntax named in the file meta information."""
    meta = getattr(dataset, "file_meta", None)
    return UID(str(meta.get("TransferSyntaxUID", "")) if meta is not None else "")


def frame_count(dataset: Dataset) -> int:
    """Return the number of frames, 1 when the attribute is absent or empty."""
    return int(dataset.get("NumberOfFrames") or 1)


def decode_frame(dataset: Dataset, index: int = 0) -> npt.NDArray[np.generic]:
    """Decode one greyscale frame to its stored values.

    Parameters
    ----------
    dataset
        Data set with pixel data and file meta.
    index
        Frame, from 0.

    Returns
    -------
    numpy.ndarray
        Array (row, column) of 8-, 16- or 32-bit integers (float32/float64 for float pixel data), before any
        rescale.

    Raises
    ------
    UndecodablePixels
        If there are no pixels, if the values would not be those that were stored, or if the frame is colour.
    """
    if int(dataset.get("SamplesPerPixel", 1)) != 1:
        raise UndecodablePixels("The image is in colour; it has no single value per pixel.")
    rows, columns = _frame_shape(dataset)
    for keyword, dtype in (("FloatPixelData", "<f4"), ("DoubleFloatPixelData", "<f8")):
        if keyword in dataset:
            return _native(dataset[keyword].value, np.dtype(dtype), rows, columns, index)
    if "PixelData" not in dataset:
        raise UndecodablePixels("The object has no pixel data.")
    if not 0 <= index < frame_count(dataset):
        raise UndecodablePixels("There is no such frame.", details={"index": index})
    syntax = transfer_syntax_of(dataset)
    if not syntax.is_compressed or syntax.is_deflated:
        return _decode_native(dataset, syntax, rows, columns, index)
    stored = _decode_compressed(dataset, syntax, rows, columns, index)
    return _as_declared(stored, dataset)


def decode_colour_frame(dataset: Dataset, index: int = 0) -> npt.NDArray[np.uint8]:
    """Decode one frame of a colour image to RGB, array (row, column, 3) of 8 bit.

    Raises
    ------
    UndecodablePixels
        If no decoder can do it.
    """
    _frame_shape(dataset)
    try:
        array = dataset_frame_rgb(dataset, index)
    except Exception as error:
        # Decoders are foreign code fed with foreign bytes: whatever they raise means the same to us.
        raise UndecodablePixels("The pixel data cannot be decoded.") from error
    if array.ndim != 3 or array.shape[-1] != 3:
        raise UndecodablePixels("The image is not in colour.")
    return array if array.dtype == np.uint8 else (array >> (int(dataset.BitsStored) - 8)).astype(np.uint8)


def dataset_frame_rgb(dataset: Dataset, index: int) -> npt.NDArray[Any]:
    """Decode with pydicom, YBR turned to RGB."""
    if str(dataset.get("PhotometricInterpretation", "")) == "PALETTE COLOR":
        from pydicom.pixels.processing import apply_color_lut  # noqa: PLC0415  rarely needed

        array, _ = get_decoder(transfer_syntax_of(dataset)).as_array(dataset, index=index, raw=True)
        return np.asarray(apply_color_lut(array, dataset))
    array, _ = get_decoder(transfer_syntax_of(dataset)).as_array(dataset, index=index, raw=False)
    return np.asarray(array)


def _frame_shape(dataset: Dataset) -> tuple[int, int]:
    rows, columns = int(dataset.get("Rows") or 0), int(dataset.get("Columns") or 0)
    if rows <= 0 or columns <= 0:
        raise UndecodablePixels("The object has no image matrix.")
    if rows * columns > MAXIMUM_FRAME_PIXELS:
        raise UndecodablePixels("The image matrix is larger than any real image.")
    return rows, columns


def _native(
    data: bytes, dtype: np.dtype[Any], rows: int, columns: int, index: int
) -> npt.NDArray[np.generic]:
    offset = index * rows * columns * dtype.itemsize
    if offset + rows * columns * dtype.itemsize > len(data):
        raise UndecodablePixels("The pixel data end too early; the file was cut off.")
    return np.frombuffer(data, dtype, rows * columns, offset).reshape(rows, columns)


def _decode_native(
    dataset: Dataset, syntax: UID, rows: int, columns: int, index: int
) -> npt.NDArray[np.generic]:
    allocated = int(dataset.BitsAllocated)
    if allocated == 1:
        # Frames follow each other without padding to a byte (PS3.5 section 8.1.1).
        bits = np.unpackbits(np.frombuffer(dataset.PixelData, np.uint8), bitorder="little")
        if (index + 1) * rows * columns > bits.size:
            raise UndecodablePixels("The pixel data end too early; the file was cut off.")
        return bits[index * rows * columns : (index + 1) * rows * columns].reshape(rows, columns)
    if allocated not in (8, 16, 32):
        raise UndecodablePixels("The pixel data use an unusual number of bits.", details={"bits": allocated})
    order = "<" if syntax.is_little_endian or not syntax else ">"
    kind = "i" if int(dataset.get("PixelRepresentation", 0)) else "u"
    dtype = np.dtype(f"{order}{kind}{allocated // 8}")
    array = _native(dataset.PixelData, dtype, rows, columns, index)
    return _as_declared(array if order == "<" else array.astype(dtype.newbyteorder("<")), dataset)


def _decode_compressed(
    dataset: Dataset, syntax: UID, rows: int, columns: int, index: int
) -> npt.NDArray[np.generic]:
    bits_stored = int(dataset.BitsStored)
    is_16_bit_class = str(dataset.get("SOPClassUID", "")) in _16_BIT_CLASSES
    if syntax in _LOSSY_8_BIT and (bits_stored > 8 or is_16_bit_class):
        # pydicom decodes such files without an error, and the values are off by thousands.
        raise UndecodablePixels(
            "The image is compressed as JPEG in a way that does not keep its grey values.",
            details={"transfer_syntax": str(syntax), "bits_stored": bits_stored},
        )
    codec = _CODECS.get(syntax)
    if codec is None and syntax != RLELossless:
        raise UndecodablePixels(
            "The image is compressed in a way that cannot be decoded here.",
            details={"transfer_syntax": str(syntax)},
        )
    try:
        if codec is None:
            array, _ = get_decoder(RLELossless).as_array(dataset, index=index, raw=True)
        else:
            array = codec(get_frame(dataset.PixelData, index, number_of_frames=frame_count(dataset)))
    except Exception as error:
        # Decoders are foreign code fed with foreign bytes: whatever they raise means the same to us.
        raise UndecodablePixels(
            "The compressed pixel data are damaged.", details={"transfer_syntax": str(syntax)}
        ) from error
    if array.shape != (rows, columns):
        raise UndecodablePixels(
            "The compressed image has another size than the header says.", details={"shape": array.shape}
        )
    decoded: npt.NDArray[np.generic] = np.asarray(array)
    return decoded


def _as_declared(array: npt.NDArray[Any], dataset: Dataset) -> npt.NDArray[np.generic]:
    """Give values the declared sign, and drop bits above Bits Stored (overlays, garbage of old devices)."""
    stored, allocated = int(dataset.BitsStored), int(dataset.BitsAllocated)
    signed = bool(int(dataset.get("PixelRepresentation", 0)))
    if stored > allocated or not 1 <= stored <= 32:
        raise UndecodablePixels("The header contradicts itself about the number of bits.")
    bits = array.dtype.itemsize * 8
    wanted = np.dtype(f"{'i' if signed else 'u'}{max(allocated, 8) // 8}")
    if stored == bits and array.dtype == wanted:
        return array
    shift = wanted.itemsize * 8 - stored
    if shift == 0:
        return array.astype(wanted, copy=False) if bits == stored else array.astype(wanted)
    unsigned = array.astype(np.dtype(f"u{wanted.itemsize}"))
    if signed:
        result: npt.NDArray[Any] = (unsigned << shift).view(wanted) >> shift
        return result
    mask: npt.NDArray[Any] = unsigned & unsigned.dtype.type((1 << stored) - 1)
    return mask
