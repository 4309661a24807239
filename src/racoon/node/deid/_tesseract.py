"""Tesseract as a reader of text (extra ``ocr``, Debian's ``tesseract-ocr``): offline, in a process of its own."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image as Picture

from racoon.platform.loading import absent

with absent("pandas"):
    # It takes tables for its answers where it can; we ask for dictionaries, and every worker would carry pandas.
    import pytesseract

SURE = 60.0
"""Confidence in percent from which a word counts; noise and anatomy read as text stay below it."""

SHORTEST_WORD = 3
"""Side markers (L, R) and single ticks of a scale are no words."""

LEAST_EDGE = 1000
"""Smaller pictures are enlarged: letters of ten pixels are read badly, of twenty well."""

SPARSE = "--psm 11"
"""Find as much text as possible in no particular order: annotations stand anywhere."""

TIMEOUT_S = 60


@dataclass(frozen=True)
class TesseractDetector:
    """Reads with Tesseract."""

    @cached_property
    def name(self) -> str:
        """Program and version."""
        return f"tesseract {pytesseract.get_tesseract_version()}"

    def count_words(self, picture: npt.NDArray[np.uint8]) -> int:
        """Count the words that Tesseract is sure of, on the picture and on its negative."""
        return max(self._words(picture), self._words(np.invert(picture)))

    def _words(self, pixels: npt.NDArray[np.uint8]) -> int:
        picture = Picture.fromarray(pixels)
        scale = max(1, -(-LEAST_EDGE // max(picture.size)))
        if scale > 1:
            picture = picture.resize(
                (picture.width * scale, picture.height * scale), Picture.Resampling.BICUBIC
            )
        found = pytesseract.image_to_data(
            picture, config=SPARSE, output_type=pytesseract.Output.DICT, timeout=TIMEOUT_S
        )
        return sum(
            float(sure) >= SURE and sum(letter.isalnum() for letter in word) >= SHORTEST_WORD
            for word, sure in zip(found["text"], found["conf"], strict=True)
        )
