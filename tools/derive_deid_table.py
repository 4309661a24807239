"""Derive the confidentiality table of PS3.15 Annex E as data from the PyPI package ``dicom-anonymizer``.

``python tools/derive_deid_table.py`` writes ``src/racoon/node/deid/tables/confidentiality.csv``.  The basic
profile's
column comes from that package (Copyright Kitware Europe, BSD licence; it transcribes Table E.1-1, edition
below); its
text is not copied, only tags and action codes, which are facts of the standard.  The package does not carry
the
option columns, so they are rebuilt here by the rules that Table E.1-1 follows, written down as tables below.
"""

from __future__ import annotations

import re
import sys
from importlib import import_module, metadata
from pathlib import Path

from pydicom.datadict import dictionary_VR, keyword_for_tag

EDITION = "2026c"
PACKAGE = "dicom-anonymizer"
COLUMNS = (
    "tag",
    "keyword",
    "vr",
    "basic",
    "modified_dates",
    "clean_descriptors",
    "patient_characteristics",
    "device_identity",
)
TARGET = Path(__file__).parents[1] / "src/racoon/node/deid/tables/confidentiality.csv"

BASIC = {
    "D_TAGS": "D",
    "Z_TAGS": "Z",
    "X_TAGS": "X",
    "U_TAGS": "U",
    "Z_D_TAGS": "Z/D",
    "X_Z_TAGS": "X/Z",
    "X_D_TAGS": "X/D",
    "X_Z_D_TAGS": "X/Z/D",
    "X_Z_U_STAR_TAGS": "X/Z/U*",
}

NOT_LONGITUDINAL = {"PatientBirthDate", "PatientBirthTime", "PatientBirthDateInAlternativeCalendar"}
"""Dates that identify the person rather than place an event in time; the option never keeps them."""

DESCRIPTIVE_VR = {"LO", "SH", "ST", "LT", "UT", "UC"}
DESCRIPTIVE = re.compile(
    r"Description|Comment|Label|Reason|History|Agent|Name$|Allergies|Alerts|Impression|Diagnos|State|Notes|Remarks"
)
NEVER_DESCRIPTIVE = re.compile(
    r"Physician|Patient.*Name|Person|Operator|Institution|Address|Telephone|Station|Site|Sponsor|Ethics|Protocol(ID|Ethics)"
    r"|ClinicalTrial(Protocol|Sponsor|Site|Coordinating)|Distribution|Issuer|Observer|Insurance|Organization|Author|Owner"
    r"|Scheduled.*Name|MilitaryRank|ResponsiblePerson|MachineName|BirthName|OtherPatient"
)

DEVICE_IDENTITY = {
    "DeviceSerialNumber", "DeviceUID", "StationName", "GantryID", "GeneratorID", "PlateID", "CassetteID",
    "DetectorID", "UniqueDeviceIdentifier", "DeviceDescription", "DeviceLabel", "DeviceID", "UDISequence",
    "XRayDetectorID", "XRaySourceID", "XRayDetectorLabel", "XRaySourceLabel", "DigitalSubtractionDeviceID",
    "LensSerialNumber", "LensMake", "LensModel", "TransducerIdentificationSequence", "PerformedStationName",
    "ScheduledStationName", "ScheduledStudyLocation", "PerformedStationAETitle", "ScheduledStationAETitle",
    "StationAETitle", "PerformedStationNameCodeSequence", "ScheduledStationNameCodeSequence",
    "ManufacturerDeviceIdentifier",
}  # fmt: skip
"""Column "Rtn. Dev. Id." of Table E.1-1: what tells one machine from another."""

PATIENT_CHARACTERISTICS = {
    "PatientAge": "K", "PatientSex": "K", "PatientSize": "K", "PatientWeight": "K", "EthnicGroup": "K",
    "EthnicGroups": "K", "EthnicGroupCodeSequence": "K", "SmokingStatus": "K", "PregnancyStatus": "K",
    "PatientSexNeutered": "K", "Allergies": "C", "MedicalAlerts": "C", "PatientState": "C", "PreMedication":
    "C",
    "SpecialNeeds": "C", "SelectorASValue": "K", "PatientBodyMassIndex": "K", "MeasuredAPDimension": "K",
    "MeasuredLateralDimension": "K",
}  # fmt: skip
"""Column "Rtn. Pat. Chars." of Table E.1-1."""


def _vr(tag: int) -> str:
    try:
        return dictionary_VR(tag)
    except KeyError:
        return ""


def rows() -> list[list[str]]:
    """Give one row per element: tag, keyword, VR, basic action, one column per option."""
    source = import_module(f"dicomanonymizer.dicom_anonymization_databases.dicomfields_{EDITION}")
    table: dict[int, list[str]] = {}
    for group, action in BASIC.items():
        for entry in getattr(source, group):
            if len(entry) != 2:  # repeating groups (50xx, 60xx) are removed by the engine's code, not by rows
                continue
            tag = entry[0] << 16 | entry[1]
            keyword, vr = keyword_for_tag(tag), _vr(tag)
            dates = "C" if vr in ("DA", "DT", "TM") and keyword not in NOT_LONGITUDINAL else ""
            descriptive = (
                vr in DESCRIPTIVE_VR and DESCRIPTIVE.search(keyword) and not NEVER_DESCRIPTIVE.search(keyword)
            )
            table[tag] = [
                f"{tag:08X}",
                keyword,
                vr,
                action,
                dates,
                "C" if descriptive else "",
                PATIENT_CHARACTERISTICS.get(keyword, ""),
                "K" if keyword in DEVICE_IDENTITY else "",
            ]
    return [table[tag] for tag in sorted(table)]


def main() -> int:
    """Write the file, or with ``--check`` tell whether it is current."""
    lines = rows()
    source = f"{PACKAGE} {metadata.version(PACKAGE)} (BSD, Kitware Europe)"
    head = f"# DICOM PS3.15 {EDITION} Table E.1-1; basic column from {source}"
    text = "\n".join([head, ",".join(COLUMNS), *(",".join(line) for line in lines)]) + "\n"
    if "--check" in sys.argv[1:]:
        return 0 if TARGET.read_text(encoding="utf-8") == text else 1
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(text, encoding="utf-8")
    print(f"{TARGET.name}: {len(lines)} elements")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
