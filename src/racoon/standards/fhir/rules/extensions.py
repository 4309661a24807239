"""Tables of the imaging module's extensions: parts, types, units, where they may stand."""

from __future__ import annotations

from collections.abc import Mapping

from racoon.standards.fhir.rules.model import ExtensionRules, PartRules
from racoon.standards.fhir.versions import extension_url

_SERIES = ("ImagingStudy.series",)

_KVP = PartRules("Quantity", "kilovolt", "kV")
_TIME = PartRules("Quantity", "milliseconds", "ms")
_SECONDS = PartRules("Quantity", "Seconds", "s")
_EXPOSURE = PartRules("Quantity", "milliampere second", "mA.s")
_CURRENT = PartRules("Quantity", "milliampere", "mA")
_MILLIMETRE = PartRules("Quantity", "millimeter", "mm")
_CONCEPT = PartRules("CodeableConcept")


def _table(
    name: str, contexts: tuple[str, ...], value: PartRules | None = None, **parts: PartRules
) -> ExtensionRules:
    return ExtensionRules(extension_url(name), contexts, value, parts)


_TABLES = (
    _table("bildgebungsgrund", ("ImagingStudy",), PartRules("string")),
    _table("gewicht", ("ImagingStudy",), PartRules("Reference")),
    _table("groesse", ("ImagingStudy",), PartRules("Reference")),
    _table(
        "modalitaet-ct",
        _SERIES,
        CTDIvol=PartRules("Quantity", "milligray", "mGy"),
        KVP=_KVP,
        exposureTime=_TIME,
        exposure=_EXPOSURE,
        xRayTubeCurrent=_CURRENT,
        convolutionalKernel=PartRules("string"),
    ),
    _table(
        "modalitaet-mg-cr-dx",
        _SERIES,
        KVP=_KVP,
        exposureTime=_TIME,
        exposure=_EXPOSURE,
        xRayTubeCurrent=_CURRENT,
        viewPosition=_CONCEPT,
    ),
    _table(
        "modalitaet-mr",
        _SERIES,
        magneticFieldStrength=PartRules("Quantity", "tesla", "T"),
        scanningSequence=PartRules("CodeableConcept", codes="scanning-sequence", high=None),
        scanningSequenceVariant=PartRules("CodeableConcept", codes="scanning-sequence-variant", high=None),
        echoTime=_TIME,
        repetitionTime=_TIME,
        inversionTime=_TIME,
        flipAngle=PartRules("Quantity", "plane angle degree", "deg"),
    ),
    _table(
        "modalitaet-pt",
        _SERIES,
        radiopharmaceutical=_CONCEPT,
        radionuclide=_CONCEPT,
        tracerExposureTime=_SECONDS,
        units=_CONCEPT,
        radionuclideTotalDose=PartRules("Quantity", "Becquerel", "Bq"),
        radionuclideHalfLife=_SECONDS,
        seriesType=PartRules("CodeableConcept", high=None),
    ),
    _table(
        "modalitaet-nm",
        _SERIES,
        radiopharmaceutical=_CONCEPT,
        radionuclide=_CONCEPT,
        tracerExposureTime=_SECONDS,
        units=_CONCEPT,
        radionuclideTotalDose=PartRules("Quantity", "Megabecquerel", "MBq"),
        radionuclideHalfLife=_SECONDS,
    ),
    _table(
        "modalitaet-us",
        _SERIES,
        transducerType=PartRules("CodeableConcept", codes="transducer-type"),
        transducerFrequency=PartRules("Quantity", "kilohertz", "kHz"),
        pulseRepetitionFrequency=PartRules("Quantity", "hertz", "Hz"),
        ultrasoundColor=PartRules("boolean"),
    ),
    _table(
        "kontrastmittel",
        _SERIES,
        contrastBolus=PartRules("boolean", low=1),
        contrastBolusDetails=PartRules("Reference", high=None),
    ),
    _table("serie-schichtdicke", _SERIES, PartRules("Quantity", "millimeter", "mm", low=1)),
    _table(
        "instanz-details",
        ("ImagingStudy.series.instance",),
        pixelSpacingX=_MILLIMETRE,
        pixelSpacingY=_MILLIMETRE,
        sliceThickness=_MILLIMETRE,
        imageType=PartRules("CodeableConcept", high=None),
        burnedInAnnotation=PartRules("boolean"),
    ),
    _table("series-uid", ("Observation",), PartRules("id")),
    _table("sop-instanz-uid", ("Observation",), PartRules("id")),
)

EXTENSIONS: Mapping[str, ExtensionRules] = {table.url: table for table in _TABLES}
