"""Units of what is shown and measured: uptake as SUV by body weight, from the headers, for every number of the room."""

from __future__ import annotations

from dataclasses import dataclass

from racoon.node.archive.service import Archive
from racoon.standards.acquisition import read_acquisition

SUV_UNIT = "g/mL"
"""UCUM unit of SUV by body weight, as in measured values."""

PET = "PT"


@dataclass(frozen=True)
class Scale:
    """From output values to what people read.

    Parameters
    ----------
    factor
        1 where values stay as they are.
    unit
        UCUM; empty where the modality's own unit holds.
    gap
        Why a PET image is not in SUV, in one sentence; empty where nothing is missing.
    """

    factor: float = 1.0
    unit: str = ""
    gap: str = ""

    @property
    def is_suv(self) -> bool:
        """Tell whether values are SUV by body weight."""
        return self.unit == SUV_UNIT


AS_STORED = Scale()
"""Values stay as the object's rescale gives them."""


def scale_of(archive: Archive, series_uid: str, modality: str) -> Scale:
    """Return the scale of a series: that of its first object, as for measured values."""
    if modality != PET:
        return AS_STORED
    header = next((document for _, document, _ in archive.metadata(series_uid)), {})
    taken = read_acquisition(header)
    return Scale(taken.suv_factor, SUV_UNIT) if taken.suv_factor else Scale(gap=taken.suv_gap)
