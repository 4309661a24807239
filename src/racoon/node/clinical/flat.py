"""From a resource without identity to the rows of the flat tables.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from racoon.node.clinical.passing import ACCESSION, ORDERED_STUDY
from racoon.standards.fhir.building import Resource

Row = dict[str, Any]

PREFERRED_SYSTEMS = (
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "http://fhir.de/CodeSystem/bfarm/ops",
    "http://fhir.de/CodeSystem/bfarm/atc",
    "http://loinc.org",
    "http://snomed.info/sct",
)
"""Of several codes of one thing this one is the row's own; the others stand in ``codings``."""


def rows_of(
    resource: Resource, key: str, pseudonym: str, medication: Resource | None
) -> list[tuple[str, Row]]:
    """Return the rows of one resource, with the name of their table.

    Parameters
    ----------
    resource
        De-identified.
    key
        Its key; the rows' keys begin with it.
    pseudonym
        Subject.
    medication
        The Medication a medication resource refers to, where it is known.
    """
    make = _MAKERS.get(str(resource["resourceType"]))
    if make is None:
        return []
    found = []
    for number, (table, row) in enumerate(make(resource, medication)):
        own = key if number == 0 else f"{key}.{number}"
        found.append((table, {"key": own, "resource_key": key, "pseudonym": pseudonym, **row}))
    return found


SEVERAL = frozenset({"clinical_consent_period", "clinical_imaging_series"})
"""Tables in which one resource has several rows; in the others a row's key is its resource's."""

Maker = Callable[[Resource, Resource | None], Iterator[tuple[str, Row]]]


def _subject(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    died = item.get("deceasedDateTime", "")
    yield (
        "clinical_subject",
        {
            "gender": _text(item.get("gender")),
            "birth_year": _text(item.get("birthDate"))[:4],
            "is_deceased": True if died else item.get("deceasedBoolean"),
            "died": _text(died),
        },
    )


def _condition(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    yield (
        "clinical_condition",
        {
            **_coded(item.get("code")),
            "clinical_status": _code(item.get("clinicalStatus")),
            "verification_status": _code(item.get("verificationStatus")),
            "onset": _text(item.get("onsetDateTime")) or _text(_part(item, "onsetPeriod", "start")),
            "recorded": _text(item.get("recordedDate")),
            "encounter_key": _key(item.get("encounter")),
        },
    )


def _comparator(quantity: Any) -> str:
    """``<``, ``<=``, ``>=`` or ``>``: the number is a bound and not the value."""
    found = quantity.get("comparator") if isinstance(quantity, dict) else None
    return found if found in ("<", "<=", ">=", ">") else ""


def _observation(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    number, unit = _quantity(item.get("valueQuantity"))
    value_code = _code(item.get("valueCodeableConcept"))
    categories = {
        coding.get("code") for concept in _list(item.get("category")) for coding in _codings(concept)
    }
    yield (
        "clinical_observation",
        {
            **_coded(item.get("code")),
            "is_laboratory": bool(categories & {"laboratory", "26436-6"}),
            "status": _text(item.get("status")),
            "effective": _text(item.get("effectiveDateTime"))
            or _text(_part(item, "effectivePeriod", "start"))
            or _text(item.get("issued")),
            "value_number": number if number is not None else item.get("valueInteger"),
            "value_comparator": _comparator(item.get("valueQuantity")),
            "value_unit": unit,
            "value_code": value_code,
            "value_boolean": item.get("valueBoolean"),
            "interpretation": _code(next(iter(_list(item.get("interpretation"))), None)),
            "encounter_key": _key(item.get("encounter")),
        },
    )


_MEDICATION_KINDS = {
    "MedicationRequest": "request",
    "MedicationStatement": "statement",
    "MedicationAdministration": "administration",
}


def _medication(item: Resource, medication: Resource | None) -> Iterator[tuple[str, Row]]:
    coded = item.get("medicationCodeableConcept") or (medication or {}).get("code")
    if not _codings(coded):
        # A mixture has a name for people only; its active ingredients carry the codes.
        parts = [part.get("itemCodeableConcept") for part in _list((medication or {}).get("ingredient"))]
        coded = {"coding": [coding for part in parts for coding in _codings(part)]}
    dosage: Resource = next(iter(_list(item.get("dosage")) + _list(item.get("dosageInstruction"))), {})
    rate: Resource = next(iter(_list(dosage.get("doseAndRate"))), {})
    number, unit = _quantity(dosage.get("dose") or rate.get("doseQuantity"))
    yield (
        "clinical_medication",
        {
            **_coded(coded),
            "kind": _MEDICATION_KINDS[item["resourceType"]],
            "status": _text(item.get("status")),
            "start": _text(item.get("effectiveDateTime"))
            or _text(_part(item, "effectivePeriod", "start"))
            or _text(item.get("authoredOn")),
            "end": _text(_part(item, "effectivePeriod", "end")),
            "dose_number": number,
            "dose_unit": unit,
            "encounter_key": _key(item.get("encounter") or item.get("context")),
        },
    )


def _procedure(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    yield (
        "clinical_procedure",
        {
            **_coded(item.get("code")),
            "status": _text(item.get("status")),
            "start": _text(item.get("performedDateTime")) or _text(_part(item, "performedPeriod", "start")),
            "end": _text(_part(item, "performedPeriod", "end")),
            "encounter_key": _key(item.get("encounter")),
        },
    )


def _encounter(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    codings = [coding for concept in _list(item.get("type")) for coding in _codings(concept)]
    codings += _codings(item.get("serviceType"))
    yield (
        "clinical_encounter",
        {
            "class_code": _text(_part(item, "class", "code")),
            "codings": [_pair(coding) for coding in codings],
            "status": _text(item.get("status")),
            "start": _text(_part(item, "period", "start")),
            "end": _text(_part(item, "period", "end")),
        },
    )


def _consent(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    document = next((policy["uri"] for policy in _list(item.get("policy")) if "uri" in policy), "")
    outer = item.get("provision") or {}
    for inner in _list(outer.get("provision")):
        for concept in _list(inner.get("code")):
            for coding in _codings(concept):
                yield (
                    "clinical_consent_period",
                    {
                        "policy": _text(coding.get("code")),
                        "is_permit": inner.get("type") == "permit",
                        "start": _text(_part(inner, "period", "start")),
                        "end": _text(_part(inner, "period", "end")),
                        "document": _text(document),
                        "status": _text(item.get("status")),
                        "given": _text(item.get("dateTime")),
                    },
                )


def _imaging(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    uids = [
        _text(found.get("value")).removeprefix("urn:oid:")
        for found in _list(item.get("identifier"))
        if found.get("system") == "urn:dicom:uid"
    ]
    series = _list(item.get("series"))
    named = {_text(found.get("code")) for found in _list(item.get("modality"))}
    named |= {_text(_part(found, "modality", "code")) for found in series}
    study_uid, started = next(iter(uids), ""), _text(item.get("started"))
    yield (
        "clinical_imaging_study",
        {
            "imaging_study_uid": study_uid,
            "modalities": sorted(named - {""}),
            "status": _text(item.get("status")),
            "started": started,
            "series_count": item.get("numberOfSeries") or len(series),
            "encounter_key": _key(item.get("encounter")),
        },
    )
    for found in series:
        yield (
            "clinical_imaging_series",
            {
                "imaging_study_uid": study_uid,
                "series_uid": _text(found.get("uid")),
                "modality": _text(_part(found, "modality", "code")),
                "body_site": _text(_part(found, "bodySite", "code")),
                "laterality": _text(_part(found, "laterality", "code")),
                "started": _text(found.get("started")) or started,
                "instance_count": found.get("numberOfInstances"),
            },
        )


def _order(item: Resource, _: Resource | None) -> Iterator[tuple[str, Row]]:
    told = {_text(found.get("url")): found for found in _list(item.get("extension"))}
    study = _text(_part(told, ORDERED_STUDY, "valueId"))
    accession = _text(_part(told, ACCESSION, "valueCoding", "code"))
    # Only orders that say which images they are about.
    if study or accession:
        yield (
            "clinical_order",
            {
                "imaging_study_uid": study,
                "accession": accession,
                "status": _text(item.get("status")),
                "authored": _text(item.get("authoredOn")),
            },
        )


_MAKERS: Mapping[str, Maker] = {
    "Patient": _subject,
    "Condition": _condition,
    "Observation": _observation,
    "MedicationRequest": _medication,
    "MedicationStatement": _medication,
    "MedicationAdministration": _medication,
    "Procedure": _procedure,
    "Encounter": _encounter,
    "Consent": _consent,
    "ImagingStudy": _imaging,
    "ServiceRequest": _order,
}
"""Which types have a flat table; the others are kept as resources."""

_TABLES: Mapping[Maker, tuple[str, ...]] = {
    _subject: ("clinical_subject",),
    _condition: ("clinical_condition",),
    _observation: ("clinical_observation",),
    _medication: ("clinical_medication",),
    _procedure: ("clinical_procedure",),
    _encounter: ("clinical_encounter",),
    _consent: ("clinical_consent_period",),
    _imaging: ("clinical_imaging_study", "clinical_imaging_series"),
    _order: ("clinical_order",),
}


def tables_of(kind: str) -> tuple[str, ...]:
    """Return the tables in which a type of resource may have rows."""
    make = _MAKERS.get(kind)
    return () if make is None else _TABLES[make]


def _coded(concept: Any) -> Row:
    codings = _codings(concept)
    ranked = sorted(
        (coding for coding in codings if coding.get("code")),
        key=lambda coding: (
            PREFERRED_SYSTEMS.index(coding["system"])
            if coding.get("system") in PREFERRED_SYSTEMS
            else len(PREFERRED_SYSTEMS)
        ),
    )
    own = ranked[0] if ranked else {}
    return {
        "system": _text(own.get("system")),
        "code": _text(own.get("code")),
        "codings": [_pair(coding) for coding in codings],
    }


def _codings(concept: Any) -> list[Resource]:
    found = concept.get("coding") if isinstance(concept, dict) else None
    return [item for item in found or [] if isinstance(item, dict)]


def _pair(coding: Resource) -> list[str]:
    return [_text(coding.get("system")), _text(coding.get("code")), _text(coding.get("version"))]


def _code(concept: Any) -> str:
    return next((_text(coding.get("code")) for coding in _codings(concept) if coding.get("code")), "")


def _quantity(value: Any) -> tuple[float | None, str]:
    if not isinstance(value, dict) or not isinstance(value.get("value"), int | float):
        return None, ""
    return float(value["value"]), _text(value.get("code")) or _text(value.get("unit"))


def _key(found: Any) -> str:
    text = found.get("reference") if isinstance(found, dict) else None
    return _text(text).rpartition("/")[2]


def _part(item: Resource, *steps: str) -> Any:
    found: Any = item
    for step in steps:
        found = found.get(step) if isinstance(found, dict) else None
    return found


def _list(found: Any) -> list[Any]:
    items = found if isinstance(found, list) else [] if found is None else [found]
    return [item for item in items if isinstance(item, dict)]


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""
