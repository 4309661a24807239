"""Recommended Display CIELab Value (0062,000D): colours of segments as DICOM stores them (PS3.3 C.10.7.1.1).

The standard asks for PCS-Values, whose white is D50; highdicom, dcmjs and the viewers built on them write and read
the plain D65 values of sRGB, and so does this, so that a colour comes back as it was chosen.  Not here: which colour a
segment has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
"""Linear sRGB to XYZ under D65, IEC 61966-2-1."""

_WHITE = np.array([0.95047, 1.0, 1.08883])
_KNEE = (6 / 29) ** 3


def lab_of(colour: str) -> tuple[int, int, int]:
    """Return the DICOM values of ``#rrggbb``."""
    srgb = np.array([int(colour[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    ratio = _TO_XYZ @ linear / _WHITE
    bent = np.where(ratio > _KNEE, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    lightness = 116 * bent[1] - 16
    red_green, yellow_blue = 500 * (bent[0] - bent[1]), 200 * (bent[1] - bent[2])
    scaled = (lightness / 100, (red_green + 128) / 255, (yellow_blue + 128) / 255)
    values = [round(float(np.clip(value, 0, 1)) * 65535) for value in scaled]
    return values[0], values[1], values[2]


def colour_of(lab: Sequence[int]) -> str:
    """Return ``#rrggbb`` of DICOM values; what lies outside sRGB is cut to it."""
    lightness, red_green, yellow_blue = (
        lab[0] / 65535 * 100,
        lab[1] / 65535 * 255 - 128,
        lab[2] / 65535 * 255 - 128,
    )
    middle = (lightness + 16) / 116
    bent = np.array([middle + red_green / 500, middle, middle - yellow_blue / 200])
    ratio = np.where(bent > 6 / 29, bent**3, 3 * (6 / 29) ** 2 * (bent - 4 / 29))
    linear = np.clip(np.linalg.solve(_TO_XYZ, ratio * _WHITE), 0, 1)
    srgb = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return "#" + "".join(f"{round(float(value) * 255):02x}" for value in srgb)
