"""What the header of an image says about how it was taken and of whom: facts, never guesses."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from racoon.science.biomarkers.uptake import delay_between, suv_factor
from racoon.standards.dicomweb.dicom_json import JsonDataset, first, values

_NO_AGENT = frozenset({"no", "none", "n", "ohne", "native", "nativ"})
"""Words that some technicians write into the field of the contrast agent when none was given."""

_GATED = frozenset({"PROSPECTIVE", "RETROSPECTIVE", "REALTIME", "PACED"})
"""Cardiac Synchronization Technique (0018,9037) of a scan that follows the heart beat."""

_DAYS = {"D": 1.0, "W": 7.0, "M": 30.4375, "Y": 365.25}


@dataclass(frozen=True)
class Acquisition:
    """Facts of one series.

    Parameters
    ----------
    modality
        DICOM modality.
    kvp, slice_thickness_mm
        ``None`` when the header does not say.
    has_contrast
        ``None`` when no element of the Contrast/Bolus module is there.
    kernel
        Reconstruction kernel; empty when not said.
    is_gated
        ``True`` when the scan follows the heart beat, ``None`` when nothing is said.
    scanner
        Manufacturer and model, for people.
    field_strength_t
        Magnetic field in tesla.
    suv_factor
        From stored values to SUV by body weight; ``None`` when it can't be known, 1 when they are SUV already.
    suv_gap
        What is missing for it, in one sentence; empty when nothing is.
    subject
        ``height_m``, ``weight_kg``, ``age_years``, ``sex`` where the header has them.
    """

    modality: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    has_contrast: bool | None = None
    kernel: str = ""
    is_gated: bool | None = None
    scanner: str = ""
    field_strength_t: float | None = None
    suv_factor: float | None = None
    suv_gap: str = ""
    subject: Mapping[str, float | str] = field(default_factory=dict)


def read_acquisition(document: JsonDataset) -> Acquisition:
    """Read the facts of one object's header in DICOM JSON (PS3.18 annex F)."""
    modality = _text(document, "Modality").upper()
    factor, gap = _uptake(document) if modality == "PT" else (None, "")
    thickness = _positive(document, "SliceThickness")
    return Acquisition(
        modality=modality,
        kvp=_positive(document, "KVP"),
        slice_thickness_mm=thickness or _shared_thickness(document),
        has_contrast=_has_contrast(document),
        kernel=_text(document, "ConvolutionKernel"),
        is_gated=_is_gated(document),
        scanner=" ".join(
            word
            for word in (_text(document, "Manufacturer"), _text(document, "ManufacturerModelName"))
            if word
        ),
        field_strength_t=_positive(document, "MagneticFieldStrength"),
        suv_factor=factor,
        suv_gap=gap,
        subject=_subject(document),
    )


def _has_contrast(document: JsonDataset) -> bool | None:
    """Tell whether contrast medium is recorded (PS3.3 C.7.6.4)."""
    agent = _text(document, "ContrastBolusAgent")
    if agent:
        return agent.lower() not in _NO_AGENT
    for keyword in ("ContrastBolusRoute", "ContrastBolusVolume", "ContrastBolusTotalDose"):
        if _text(document, keyword) not in {"", "0", "0.0", "NONE"}:
            return True
    if values(document, "ContrastBolusAgentSequence"):
        return True
    return None


def _is_gated(document: JsonDataset) -> bool | None:
    technique = _text(document, "CardiacSynchronizationTechnique").upper()
    if technique:
        return technique in _GATED
    return True if _text(document, "HeartRate") or _text(document, "TriggerTime") else None


def _shared_thickness(document: JsonDataset) -> float | None:
    """Slice thickness of an enhanced object (PS3.3 C.7.6.16.2.1)."""
    for group in values(document, "SharedFunctionalGroupsSequence"):
        for measures in values(group, "PixelMeasuresSequence"):
            return _positive(measures, "SliceThickness")
    return None


def _subject(document: JsonDataset) -> dict[str, float | str]:
    facts: dict[str, float | str] = {}
    for name, keyword in (("height_m", "PatientSize"), ("weight_kg", "PatientWeight")):
        value = _positive(document, keyword)
        if value is not None:
            facts[name] = value
    age = re.fullmatch(r"(\d{1,3})([DWMY])", _text(document, "PatientAge"))
    if age:
        amount = int(age[1])
        facts["age_years"] = float(amount) if age[2] == "Y" else round(amount * _DAYS[age[2]] / _DAYS["Y"], 3)
    sex = _text(document, "PatientSex").upper()
    if sex in {"M", "F"}:
        facts["sex"] = sex
    return facts


def _uptake(document: JsonDataset) -> tuple[float | None, str]:
    """Find the factor to SUV by body weight, or what is missing for it (PS3.3 C.8.9.1, C.8.9.2)."""
    units = _text(document, "Units").upper()
    if units == "GML":
        return 1.0, ""
    if units != "BQML":
        return None, f"The values are in {units or 'no stated unit'}, not in Bq/mL."
    drug: JsonDataset = next(iter(values(document, "RadiopharmaceuticalInformationSequence")), {})
    numbers = {
        "the body weight": _positive(document, "PatientWeight"),
        "the injected dose": _positive(drug, "RadionuclideTotalDose"),
        "the half-life": _positive(drug, "RadionuclideHalfLife"),
    }
    missing = [name for name, number in numbers.items() if number is None]
    correction = _text(document, "DecayCorrection").upper()
    delay = 0.0
    if correction == "START":
        injected = _seconds(_text(drug, "RadiopharmaceuticalStartDateTime")[8:14]) or _seconds(
            _text(drug, "RadiopharmaceuticalStartTime")
        )
        # The series' own clock is the start of the scan unless a reconstruction rewrote it.
        times = [_seconds(_text(document, name)) for name in ("SeriesTime", "AcquisitionTime")]
        known = [time for time in times if time is not None]
        if injected is None or not known:
            missing.append("the time of injection or scan")
        else:
            delay = min(delay_between(injected, time) for time in known)
    elif correction != "ADMIN":
        missing.append("the time the decay is corrected to")
    if missing:
        return None, f"For SUV the header lacks {', '.join(missing)}."
    weight, dose, half_life = (number or 0.0 for number in numbers.values())
    factor = suv_factor(weight, dose, half_life, delay)
    if math.isnan(factor):
        return None, "The clocks of injection and scan don't fit the half-life."
    return factor, ""


def _seconds(text: str) -> float | None:
    """Seconds of the day of a DICOM time ``HHMMSS.FFFFFF`` (PS3.5 section 6.2)."""
    found = re.fullmatch(r"(\d{2})(\d{2})(\d{2})(\.\d*)?", text.strip())
    if found is None:
        return None
    hours, minutes, seconds = (int(part) for part in found.groups()[:3])
    return hours * 3600.0 + minutes * 60.0 + seconds + float(f"0{found[4] or '.0'}")


def _text(document: Mapping[str, Any], keyword: str) -> str:
    parts = [part for part in values(document, keyword) if part is not None and not isinstance(part, dict)]
    return "\\".join(str(part) for part in parts).strip()


def _positive(document: Mapping[str, Any], keyword: str) -> float | None:
    found = first(document, keyword)
    try:
        number = float(found)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) and number > 0.0 else None
