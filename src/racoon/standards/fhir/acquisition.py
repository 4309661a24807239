"""How a series was acquired: from the header of one instance to the extension of its modality.

The header is DICOM JSON (PS3.18 Annex F) as the archive keeps it.  Each row of a table names the part of the
extension, where it stands in DICOM, and its unit; a value that is absent, empty or no member of a required value set
is left out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from racoon.standards.fhir.acquisition_codes import FORMER, RADIONUCLIDES, TRACERS, VIEW_POSITIONS, VIEWS
from racoon.standards.fhir.building import (
    SNOMED,
    UCUM,
    Resource,
    coding,
    complex_extension,
    concept,
    extension,
    quantity,
)
from racoon.standards.fhir.codes import PLACES, SYSTEM_OF_SCHEME
from racoon.standards.fhir.versions import IMAGING_CODES, extension_url

Header = Mapping[str, Any]

Kind = Literal["quantity", "text", "codes", "code_sequence", "units", "boolean", "uptake"]

SCANNING_SEQUENCES = frozenset({"SE", "IR", "GR", "EP", "RM"})
SEQUENCE_VARIANTS = frozenset({"SK", "MTC", "SS", "TRSS", "SP", "MP", "OSP", "NONE"})
SERIES_TYPES = frozenset({"STATIC", "DYNAMIC", "GATED", "WHOLE BODY", "WHOLEBODY", "IMAGE", "REPROJECTION"})
TRANSDUCER_TYPES = frozenset(
    {
        "SECTOR_PHASED", "SECTOR_MECH", "SECTOR_ANNULAR", "LINEAR", "CURVED_LINEAR", "SINGLE_CRYSTAL",
        "SPLIT_XTAL_CWD", "IV_PHASED", "IV_ROT_XTAL", "IV_ROT_MIRROR", "ENDOCAV_PA", "ENDOCAV_MECH",
        "ENDOCAV_CLA", "ENDOCAV_AA", "ENDOCAV_LINEAR", "VECTOR_PHASED",
    }
)  # fmt: skip
IMAGE_TYPES = frozenset(
    {
        "ORIGINAL", "DERIVED", "PRIMARY", "SECONDARY", "AXIAL", "LOCALIZER", "DENSITYMAP", "DIFFUSIONMAP",
        "IMAGEADDITION", "MODULUSSUBTRACT", "MPR", "OTHER", "PHASEMAP", "PHASESUBTRACT", "PROJECTIONIMAGE",
        "T1MAP", "T2MAP", "VELOCITYMAP", "STATIC", "DYNAMIC", "GATED", "WHOLEBODY", "TOMO", "GATEDTOMO",
        "RECONTOMO", "RECONGATEDTOMO", "EMISSION", "TRANSMISSION",
    }
)  # fmt: skip
"""Members of the module's code system for Image Type (0008,0008), ultrasound's own left out."""

PET_UNITS: Mapping[str, str] = {
    "BQML": "Bq/ml",
    "CNTS": "{counts}",
    "CPS": "{counts}/s",
    "PROPCNTS": "{propcounts}",
    "PROPCPS": "{propcounts}/s",
    "PCNT": "%",
    "NONE": "1",
    "CM2": "cm2",
    "GML": "g/ml",
    "MGMINML": "mg/min/ml",
    "UMOLMINML": "umol/min/ml",
    "MLMING": "ml/min/g",
    "MLG": "ml/g",
    "1CM": "1/cm",
    "UMOLML": "umol/ml",
}
"""Units (0054,1001, PS3.3 C.8.9.1.1.3) to UCUM as DICOM CID 84 writes it."""

_DECIMAL = re.compile(r"[+-]?\d{1,12}(\.\d{1,24})?([eE][+-]?\d{1,2})?")

_PLAIN_CODE = re.compile(r"[A-Z]{0,3}-?[0-9]{1,12}(-[0-9])?")
"""Codes of DICOM, LOINC, RadLex and the like: letters in front of a number, never a word."""

_FORMER_SCHEMES = frozenset({"SRT", "SNM3"})

_KERNEL = re.compile(
    r"[A-Z]{1,2}|[A-Z]{1,2}[a-z]?\d{2,3}[a-z]?(-[A-Z])?(\\\d)?"
    r"|SOFT|STANDARD|BONE|BONEPLUS|LUNG|DETAIL|EDGE|SMOOTH|SHARP|CHST"
)
"""What a kernel is called; the element is free text, so anything else stays out."""


@dataclass(frozen=True)
class Part:
    """One part of an extension.

    Parameters
    ----------
    name
        Its url.
    tag
        Where the value stands; inside the first item of ``within``, where that is given.
    kind
        How the value is written.
    unit, code
        Words and UCUM code of a quantity, as the profile fixes them.
    system, members
        Code system and its members, for codes.
    words
        What the standard calls the codes that it lists for this part.
    otherwise
        Tag of a defined term that says the same where the code is missing.
    """

    name: str
    tag: str
    kind: Kind = "quantity"
    unit: str = ""
    code: str = ""
    within: str = ""
    system: str = ""
    members: frozenset[str] = frozenset()
    words: Mapping[str, str] = field(default_factory=dict)
    otherwise: str = ""


_KVP = Part("KVP", "00180060", unit="kilovolt", code="kV")
_EXPOSURE_TIME = Part("exposureTime", "00181150", unit="milliseconds", code="ms")
_EXPOSURE = Part("exposure", "00181152", unit="milliampere second", code="mA.s")
_CURRENT = Part("xRayTubeCurrent", "00181151", unit="milliampere", code="mA")
_PHARMACEUTICAL = "00540016"
_REGIONS = "00186011"


def _tracer(dose_unit: str, dose_code: str) -> tuple[Part, ...]:
    return (
        Part("radiopharmaceutical", "00540304", "code_sequence", within=_PHARMACEUTICAL, words=TRACERS),
        Part("radionuclide", "00540300", "code_sequence", within=_PHARMACEUTICAL, words=RADIONUCLIDES),
        Part("tracerExposureTime", "00181072", "uptake", "Seconds", "s", within=_PHARMACEUTICAL),
        Part("units", "00541001", "units"),
        Part("radionuclideTotalDose", "00181074", unit=dose_unit, code=dose_code, within=_PHARMACEUTICAL),
        Part("radionuclideHalfLife", "00181075", unit="Seconds", code="s", within=_PHARMACEUTICAL),
    )


MODALITY_PARTS: Mapping[str, tuple[Part, ...]] = {
    "modalitaet-ct": (
        Part("CTDIvol", "00189345", unit="milligray", code="mGy"),
        _KVP,
        _EXPOSURE_TIME,
        _EXPOSURE,
        _CURRENT,
        Part("convolutionalKernel", "00181210", "text"),
    ),
    "modalitaet-mg-cr-dx": (
        _KVP,
        _EXPOSURE_TIME,
        _EXPOSURE,
        _CURRENT,
        Part("viewPosition", "00540220", "code_sequence", words=VIEWS, otherwise="00185101"),
    ),
    "modalitaet-mr": (
        Part("magneticFieldStrength", "00180087", unit="tesla", code="T"),
        Part(
            "scanningSequence",
            "00180020",
            "codes",
            system=f"{IMAGING_CODES}/mii-cs-bildgebung-scanning-sequence",
            members=SCANNING_SEQUENCES,
        ),
        Part(
            "scanningSequenceVariant",
            "00180021",
            "codes",
            system=f"{IMAGING_CODES}/mii-cs-bildgebung-scanning-sequence-variant",
            members=SEQUENCE_VARIANTS,
        ),
        Part("echoTime", "00180081", unit="milliseconds", code="ms"),
        Part("repetitionTime", "00180080", unit="milliseconds", code="ms"),
        Part("inversionTime", "00180082", unit="milliseconds", code="ms"),
        Part("flipAngle", "00181314", unit="plane angle degree", code="deg"),
    ),
    "modalitaet-pt": (
        *_tracer("Becquerel", "Bq"),
        Part(
            "seriesType",
            "00541000",
            "codes",
            system=f"{IMAGING_CODES}/mii-cs-bildgebung-series-type",
            members=SERIES_TYPES,
        ),
    ),
    "modalitaet-nm": _tracer("Megabecquerel", "MBq"),
    "modalitaet-us": (
        Part(
            "transducerType",
            "00186031",
            "codes",
            system=f"{IMAGING_CODES}/mii-cs-bildgebung-transducer-type",
            members=TRANSDUCER_TYPES,
        ),
        Part("transducerFrequency", "00186030", unit="kilohertz", code="kHz", within=_REGIONS),
        Part("pulseRepetitionFrequency", "00186032", unit="hertz", code="Hz", within=_REGIONS),
        Part("ultrasoundColor", "00280014", "boolean"),
    ),
}
"""Extension of each modality; the order is that of the profile."""

EXTENSION_OF_MODALITY: Mapping[str, str] = {
    "CT": "modalitaet-ct",
    "MG": "modalitaet-mg-cr-dx",
    "CR": "modalitaet-mg-cr-dx",
    "DX": "modalitaet-mg-cr-dx",
    "MR": "modalitaet-mr",
    "PT": "modalitaet-pt",
    "NM": "modalitaet-nm",
    "US": "modalitaet-us",
}


def modality_extension(modality: str, header: Header) -> Resource | None:
    """Build the extension of a series' modality; None when the modality has none or nothing is known.

    Parameters
    ----------
    modality
        Modality (0008,0060).
    header
        DICOM JSON of one instance of the series.
    """
    name = EXTENSION_OF_MODALITY.get(modality)
    if name is None:
        return None
    parts = (built for part in MODALITY_PARTS[name] for built in _build(part, header))
    return complex_extension(extension_url(name), parts)


def instance_details(header: Header) -> Resource | None:
    """Build the extension of an instance: pixel spacing, slice thickness, image type."""
    # Pixel Spacing (0028,0030) is row spacing first: the distance in y.
    spacing = [number for number in map(_number, _values(header, "00280030")) if number is not None]
    spacing_y, spacing_x = (spacing[0], spacing[1]) if len(spacing) == 2 else (None, None)
    thickness = _number(_first(header, "00180050"))
    parts = [
        extension(name, valueQuantity=quantity(number, "millimeter", "mm"))
        for name, number in (
            ("pixelSpacingX", spacing_x),
            ("pixelSpacingY", spacing_y),
            ("sliceThickness", thickness),
        )
        if number is not None
    ]
    system = f"{IMAGING_CODES}/mii-cs-bildgebung-instance-image-type"
    types = [coding(system, text) for text in _values(header, "00080008") if text in IMAGE_TYPES]
    if types:
        parts.append(extension("imageType", valueCodeableConcept=concept(*types)))
    burned_in = {"YES": True, "NO": False}.get(str(_first(header, "00280301") or ""))
    if burned_in is not None:
        parts.append(extension("burnedInAnnotation", valueBoolean=burned_in))
    return complex_extension(extension_url("instanz-details"), parts)


def anatomic_region(header: Header) -> Resource | None:
    """Read the code of the Anatomic Region (0008,2218), where it is one of DICOM's own body parts."""
    item = _item(header, "00082218")
    scheme, value = text_of(item, "00080102"), text_of(item, "00080100")
    return PLACES.get(value) if scheme == "SCT" else None


def is_kernel(value: object) -> bool:
    """Tell whether a value is the name of a reconstruction kernel."""
    return isinstance(value, str) and _KERNEL.fullmatch(value) is not None


def number_of(header: Header, tag: str) -> float | None:
    """Read a number from DICOM JSON; None when it is none."""
    return _number(_first(header, tag))


def text_of(header: Header, tag: str) -> str:
    """Read a text from DICOM JSON; empty when there is none."""
    found = _first(header, tag)
    return found if isinstance(found, str) else ""


def _build(part: Part, header: Header) -> Iterator[Resource]:
    scope = _item(header, part.within) if part.within else header
    found = _values(scope, part.tag)
    if part.otherwise and not found:
        term = VIEW_POSITIONS.get(str(_first(scope, part.otherwise) or ""))
        if term is not None:
            yield extension(part.name, valueCodeableConcept=_worded(SNOMED, term, part.words))
    if not found:
        return
    if part.kind == "quantity":
        number = _number(found[0])
        if number is not None:
            yield extension(part.name, valueQuantity=quantity(number, part.unit, part.code))
    elif part.kind == "uptake":
        seconds = _uptake_s(header, str(found[0]))
        if seconds is not None:
            yield extension(part.name, valueQuantity=quantity(seconds, part.unit, part.code))
    elif part.kind == "text":
        if is_kernel(found[0]):
            yield extension(part.name, valueString=found[0])
    elif part.kind == "boolean":
        yield extension(part.name, valueBoolean=str(found[0]) not in ("0", "00"))
    else:
        built = _coded(part, found)
        if built is not None:
            yield extension(part.name, valueCodeableConcept=built)


def _coded(part: Part, found: list[Any]) -> Resource | None:
    if part.kind == "units":
        code = PET_UNITS.get(str(found[0]))
        return concept(coding(UCUM, code), text=str(found[0])) if code else None
    if part.kind == "codes":
        members = [coding(part.system, text.replace(" ", "")) for text in found if text in part.members]
        return concept(*members) if members else None
    item = found[0] if isinstance(found[0], dict) else {}
    scheme, value = str(_first(item, "00080102") or ""), str(_first(item, "00080100") or "")
    if scheme in _FORMER_SCHEMES and value in FORMER:
        scheme, value = "SCT", FORMER[value]
    system = SYSTEM_OF_SCHEME.get(scheme)
    is_code = value.isdigit() if system == SNOMED else _PLAIN_CODE.fullmatch(value) is not None
    return _worded(system, value, part.words) if system and is_code else None


def _worded(system: str, code: str, words: Mapping[str, str]) -> Resource:
    """Write a code with the standard's own words: those beside it in a header may be anything."""
    word = words.get(code, "") if system == SNOMED else ""
    return concept(coding(system, code, word), text=word)


def _uptake_s(header: Header, start: str) -> float | None:
    """Seconds from the injection to the acquisition, where both are on one day."""
    begin = _seconds(start)
    end = _seconds(str(_first(header, "00080032") or _first(header, "00080031") or ""))
    return None if begin is None or end is None or end < begin else end - begin


def _seconds(text: str) -> float | None:
    match = re.fullmatch(r"(\d{2})(\d{2})(\d{2})(?:\.\d+)?", text.strip())
    return None if match is None else int(match[1]) * 3600.0 + int(match[2]) * 60.0 + int(match[3])


def _values(header: Header, tag: str) -> list[Any]:
    element = header.get(tag)
    return [value for value in element.get("Value", ()) if value is not None] if element else []


def _first(header: Header, tag: str) -> Any:
    found = _values(header, tag)
    return found[0] if found else None


def _item(header: Header, tag: str) -> Header:
    found = _first(header, tag)
    return found if isinstance(found, dict) else {}


def _number(value: Any) -> float | None:
    if isinstance(value, str):
        # Overlong decimal strings (more than the 16 characters of a DS) come as text.
        return float(value) if _DECIMAL.fullmatch(value.strip()) else None
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None
