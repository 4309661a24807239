"""Text in pixels, looked for by a reader of text: a port, and the question which images are worth a look.

A reader finds only what it can read: nothing here makes an image safe, it only stops more of them.  Where no reader is
installed the table of pixel risks decides alone.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import shutil
import warnings
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import pydicom

from racoon.platform.settings import ConfigurationError
from racoon.standards.dicom.elements import Dataset
from racoon.standards.dicom.rendering import UndecodablePixels, render_frame
from racoon.standards.dicom.text import text_of, values_of

LOG = logging.getLogger(__name__)

DetectText = Literal["off", "derived", "all"]
"""Which images are looked at: none, those that are not original slices of CT, MR or PET, or every one."""

MOST_FRAMES = 24
"""Of an object with more frames the first, the last and some between: text that a machine writes stays in place."""

_MODALITY, _IMAGE_TYPE, _PHOTOMETRIC = 0x00080060, 0x00080008, 0x00280004


class TextDetector(Protocol):
    """Reads text in a picture."""

    @property
    def name(self) -> str:
        """Program and version, for the evidence."""

    def count_words(self, picture: npt.NDArray[np.uint8]) -> int:
        """Count the words in a picture.

        Parameters
        ----------
        picture
            Grey levels (row, column), or RGB (row, column, 3).
        """


def detector_for(mode: DetectText) -> TextDetector | None:
    """Give the installed reader, None when none is wanted or installed.

    Raises
    ------
    ConfigurationError
        If every image is to be looked at and no reader is installed: what was asked for must not be left out silently.
    """
    if mode == "off":
        return None
    if importlib.util.find_spec("pytesseract") is not None and shutil.which("tesseract") is not None:
        from racoon.node.deid._tesseract import TesseractDetector  # noqa: PLC0415 - an optional extra

        return TesseractDetector()
    if mode == "all":
        raise ConfigurationError(
            "deid.detect_text = \"all\" needs a reader of text. Install the extra 'ocr' and Debian's tesseract-ocr."
        )
    LOG.info("no reader of text is installed; the table of pixel risks decides alone")
    return None


def is_worth_a_look(dataset: Dataset, mode: DetectText) -> bool:
    """Tell whether an image may hold text that no rule of the table names."""
    if mode == "all":
        return True
    image_type = [value.upper() for value in values_of(dataset.get(_IMAGE_TYPE))]
    is_slice = text_of(dataset.get(_MODALITY)).upper() in ("CT", "MR", "PT")
    is_grey = text_of(dataset.get(_PHOTOMETRIC)).upper() in ("MONOCHROME1", "MONOCHROME2")
    return not (is_slice and is_grey and image_type[:2] == ["ORIGINAL", "PRIMARY"])


def frames_with_text(detector: TextDetector, data: bytes) -> list[int]:
    """Give the numbers (from 1) of the frames in which a reader finds words.

    Parameters
    ----------
    detector
        The reader.
    data
        A whole DICOM file.

    Raises
    ------
    UndecodablePixels
        If a frame cannot be shown, so that nobody can say what is in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(io.BytesIO(data))
        return [
            index + 1
            for index in _chosen(int(dataset.get("NumberOfFrames") or 1))
            if detector.count_words(render_frame(dataset, index))
        ]


def _chosen(frames: int) -> Sequence[int]:
    if frames <= MOST_FRAMES:
        return range(frames)
    return sorted({int(place) for place in np.linspace(0, frames - 1, MOST_FRAMES).round()})


__all__ = [
    "DetectText",
    "TextDetector",
    "UndecodablePixels",
    "detector_for",
    "frames_with_text",
    "is_worth_a_look",
]
