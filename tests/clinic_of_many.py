"""A hospital's export of any size, line by line: patients, conditions and imaging studies with their series."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

CONDITIONS = 5
"""Of each patient."""

_BORN, _SEEN = date(1940, 1, 1), date(2020, 1, 1)
_SITES = ("51185008", "818981001", "69536005")
"""Of the series of a patient's one imaging study."""

SERIES = len(_SITES)


def write_clinic(
    folder: Path, patients: int, *, first: int = 0, step: int = 1, revision: int = 0
) -> dict[str, int]:
    """Write NDJSON, one file a type; returns resources by type.

    Parameters
    ----------
    folder
        Where the files go.
    patients
        How many the clinic has.
    first, step
        Only each ``step``-th of them from ``first`` on: a feed of changes.
    revision
        Another one changes the day of each condition.
    """
    folder.mkdir(parents=True, exist_ok=True)
    numbers = range(first, patients, step)
    counts = {}
    for kind, lines in (
        ("Patient", (patient(number) for number in numbers)),
        ("Condition", (item for number in numbers for item in conditions(number, revision))),
        ("ImagingStudy", (imaging_study(number) for number in numbers)),
    ):
        count = 0
        with (folder / f"{kind}.ndjson").open("w", encoding="utf-8") as file:
            for item in lines:
                file.write(json.dumps(item) + "\n")
                count += 1
        counts[kind] = count
    return counts


def patient(number: int) -> dict[str, Any]:
    """One patient with a number as images have it."""
    kind = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}]}
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"type": kind, "system": "http://hospital.example/mrn", "value": f"MRN{number}"}],
        "name": [{"family": f"Name{number}"}],
        "gender": "female" if number % 2 else "male",
        "birthDate": (_BORN + timedelta(days=number % 25_000)).isoformat(),
    }


def conditions(number: int, revision: int = 0) -> Iterator[dict[str, Any]]:
    """The diagnoses of one patient."""
    for index in range(CONDITIONS):
        code = {
            "system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
            "version": "2024",
            "code": f"C{30 + (number + index) % 60}.{index}",
        }
        day = _SEEN + timedelta(days=number % 1000 + index + revision)
        yield {
            "resourceType": "Condition",
            "id": f"c{number}-{index}",
            "subject": {"reference": f"Patient/p{number}"},
            "code": {"coding": [code]},
            "recordedDate": day.isoformat(),
        }


def imaging_study(number: int) -> dict[str, Any]:
    """One study with its series."""
    uid = f"1.2.840.99999.{number}"
    started = (_SEEN + timedelta(days=number % 1000)).isoformat()
    modality = {"system": "http://dicom.nema.org/resources/ontology/DCM", "code": "CT"}
    return {
        "resourceType": "ImagingStudy",
        "id": f"i{number}",
        "identifier": [{"system": "urn:dicom:uid", "value": f"urn:oid:{uid}"}],
        "status": "available",
        "subject": {"reference": f"Patient/p{number}"},
        "started": started,
        "numberOfSeries": SERIES,
        "series": [
            {
                "uid": f"{uid}.{index + 1}",
                "number": index + 1,
                "modality": modality,
                "numberOfInstances": 100 + index,
                "bodySite": {"system": "http://snomed.info/sct", "code": site},
            }
            for index, site in enumerate(_SITES)
        ],
    }
