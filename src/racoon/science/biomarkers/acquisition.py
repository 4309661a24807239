"""How an image was made, and where the thresholds of a definition hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from racoon.science.biomarkers.region import Region


@dataclass(frozen=True)
class Context:
    """What is known about an image beside its voxels; ``None`` means the image does not say.

    Parameters
    ----------
    modality
        DICOM modality.
    kvp
        Tube voltage in kV.
    has_contrast
        ``True`` when a contrast agent is recorded.  ``None`` and ``False`` both mean unenhanced: the
        Contrast/Bolus module is required if contrast media was used (DICOM PS3.3 A.3.3).
    slice_thickness_mm, kernel
        Recorded with every value.
    reference
        Region of a second structure where a definition needs one.
    has_header
        False for file formats without acquisition facts: there, a missing mark of contrast medium says nothing.
    is_gated
        ``True`` when the scan was triggered by the heart beat.
    structures
        Further regions of the same image by name, for definitions that compare structures.
    suv_factor
        For PET: by what the stored values were multiplied to give SUV; ``None`` when that can't be known.
    """

    modality: str
    kvp: float | None = None
    has_contrast: bool | None = None
    slice_thickness_mm: float | None = None
    kernel: str = ""
    reference: Region | None = None
    has_header: bool = True
    is_gated: bool | None = None
    structures: Mapping[str, Region] = field(default_factory=dict)
    suv_factor: float | None = None

    def acquisition(self) -> dict[str, Any]:
        """Return the facts that belong beside every value."""
        facts: dict[str, Any] = {
            "modality": self.modality,
            "kvp": self.kvp,
            "has_contrast": bool(self.has_contrast) if self.has_header else self.has_contrast,
            "slice_thickness_mm": self.slice_thickness_mm,
            "kernel": self.kernel,
        }
        if self.is_gated is not None:
            facts["is_gated"] = self.is_gated
        return facts if self.suv_factor is None else {**facts, "suv_factor": self.suv_factor}


_SHARP = (
    "B60",
    "B70",
    "B80",
    "BR59",
    "BR60",
    "BR64",
    "BL57",
    "BL60",
    "LUNG",
    "BONE",
    "EDGE",
    "FC5",
    "FC8",
    "YC",
    "YD",
    "YE",
)
"""Beginnings of the names of edge-enhancing kernels of four vendors."""


def is_sharp(kernel: str) -> bool:
    """Tell whether a kernel enhances edges; one that is not named is taken for a soft one."""
    return kernel.upper().startswith(_SHARP)


@dataclass(frozen=True)
class Validity:
    """Where the thresholds of a definition hold.

    Parameters
    ----------
    modalities
        Kinds of image for which the value is defined at all; empty for any.
    kvp
        Closed range of tube voltages; ``None`` for any.
    unenhanced
        True when contrast medium makes the value invalid.
    enhanced
        True when the value needs contrast medium.
    maximum_slice_mm
        Thickest slice for which the rule holds.
    gated
        True when the scan has to be triggered by the heart beat.
    uptake
        True when the values have to be SUV: a header must then allow the conversion.
    soft_kernel
        True when an edge-enhancing kernel makes the value invalid: its noise moves voxels across fixed thresholds.
    """

    modalities: frozenset[str] = frozenset()
    kvp: tuple[float, float] | None = None
    unenhanced: bool = False
    enhanced: bool = False
    maximum_slice_mm: float | None = None
    gated: bool = False
    uptake: bool = False
    soft_kernel: bool = False

    def defines(self, context: Context) -> bool:
        """Tell whether the value exists for this kind of image; an unknown kind is judged by ``reason``."""
        return not self.modalities or not context.modality or context.modality in self.modalities

    def reason(self, context: Context) -> str:
        """Name what makes the value invalid; empty when nothing does."""
        if self.modalities and not context.modality:
            return "modality_unknown"
        if self.uptake and context.has_header and context.suv_factor is None:
            return "uptake_unknown"
        return self._tube(context) or self._medium(context) or self._timing(context) or self._kernel(context)

    def _kernel(self, context: Context) -> str:
        return "sharp_kernel" if self.soft_kernel and is_sharp(context.kernel) else ""

    def _tube(self, context: Context) -> str:
        if self.kvp is None:
            return ""
        if context.kvp is None:
            return "kvp_unknown"
        return "" if self.kvp[0] <= context.kvp <= self.kvp[1] else "kvp_outside"

    def _medium(self, context: Context) -> str:
        if (self.unenhanced or self.enhanced) and context.has_contrast is None and not context.has_header:
            return "contrast_unknown"
        if self.unenhanced and context.has_contrast:
            return "contrast"
        return "no_contrast" if self.enhanced and not context.has_contrast else ""

    def _timing(self, context: Context) -> str:
        if self.maximum_slice_mm is not None:
            if context.slice_thickness_mm is None:
                return "slice_unknown"
            if context.slice_thickness_mm > self.maximum_slice_mm + 1e-6:
                return "slice_too_thick"
        return "not_gated" if self.gated and not context.is_gated else ""
