"""Hanging protocols: how a series is first shown, as data; the first row that fits is taken.  Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class HangingProtocol:
    """One row.

    Parameters
    ----------
    name
        For people who change the table.
    modality, body_part
        DICOM codes; empty fits any.
    words
        Any of them in the series description, in small letters; none fits any.
    window
        Name of the window to start with; empty starts with what the object proposes.
    layout
        ``"slices"`` or ``"planes"``.
    shows_prior
        Whether an earlier examination of the same subject opens beside it.
    is_inverted
        Whether high values are dark.
    is_fused
        Whether the first layer in its frame of reference lies over it.
    """

    name: str
    modality: str = ""
    body_part: str = ""
    words: tuple[str, ...] = ()
    window: str = ""
    layout: str = "slices"
    shows_prior: bool = False
    is_inverted: bool = False
    is_fused: bool = False

    def fits(self, modality: str, body_part: str, description: str) -> bool:
        """Tell whether a series is shown this way."""
        return (
            self.modality in ("", modality)
            and self.body_part in ("", body_part.upper())
            and (not self.words or any(word in description.lower() for word in self.words))
        )

    def to_dict(self) -> dict[str, Any]:
        """Return what the page needs."""
        return {
            "window": self.window,
            "layout": self.layout,
            "prior": self.shows_prior,
            "inverted": self.is_inverted,
            "fused": self.is_fused,
        }


HANGING: tuple[HangingProtocol, ...] = (
    HangingProtocol("PET", "PT", window="SUV 0–5", is_inverted=True),
    HangingProtocol("CT of a PET", "CT", words=("attenuation", "pet", "ac ct", "ctac"), is_fused=True),
    HangingProtocol("CT lung kernel", "CT", words=("lung", "lunge", "b70", "i70", "hrct"), window="Lung"),
    HangingProtocol("CT bone kernel", "CT", words=("bone", "knochen"), window="Bone"),
    HangingProtocol("CT head", "CT", body_part="HEAD", window="Brain"),
    HangingProtocol("CT follow-up", "CT", words=("follow-up", "verlauf"), shows_prior=True),
    HangingProtocol("anything"),
)


def hanging_for(
    modality: str, body_part: str, description: str, table: Sequence[HangingProtocol] = HANGING
) -> HangingProtocol:
    """Return the first row that fits; the last row of the table fits everything."""
    return next(row for row in table if row.fits(modality, body_part, description))
