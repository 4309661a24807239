"""Colours of segments: as highdicom writes them, and back."""

from __future__ import annotations

import highdicom as hd
import pytest

from racoon.domain.labels import PALETTE
from racoon.standards.dicom.colour import colour_of, lab_of


@pytest.mark.parametrize("colour", [*PALETTE, "#000000", "#ffffff", "#ff0000", "#0000ff"])
def test_a_colour_comes_back_and_is_what_highdicom_writes(colour: str) -> None:
    lab = lab_of(colour)
    assert colour_of(lab) == colour
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    theirs = hd.color.CIELabColor.from_rgb(red, green, blue).value
    assert all(abs(own - other) < 40 for own, other in zip(lab, theirs, strict=True))
