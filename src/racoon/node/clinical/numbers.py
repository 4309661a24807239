"""Under which number a patient's images came, as a Patient's identifiers tell it.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from racoon.domain.identity import PatientId
from racoon.standards.fhir.building import Resource


def patient_number(patient: Resource, systems: Sequence[str] = ()) -> tuple[PatientId, str]:
    """Find the number under which a patient's images came, and how it was found.

    Parameters
    ----------
    patient
        A Patient with its identifiers.
    systems
        Identifier systems that carry it; the identifier of type MR counts where none is given.

    Returns
    -------
    tuple
        The number; and ``number``, ``only_identifier`` or ``other``.  An ``other`` patient gets a pseudonym of his
        own, which joins no images.
    """
    found = [
        item
        for item in patient.get("identifier", [])
        if isinstance(item, dict) and isinstance(item.get("value"), str) and item["value"].strip()
    ]
    for item in found:
        if item.get("system") in systems:
            return PatientId(item["value"]), "number"
    if not systems:
        for item in found:
            if "MR" in [coding.get("code") for coding in _type_codings(item)]:
                return PatientId(item["value"]), "number"
        if len(found) == 1 and not _type_codings(found[0]):
            return PatientId(found[0]["value"]), "only_identifier"
    for item in found:
        return PatientId(f"{item.get('system', '')}|{item['value']}"), "other"
    return PatientId(f"fhir|{patient['id']}"), "other"


def _type_codings(item: Resource) -> list[Resource]:
    kind = item.get("type")
    codings = kind.get("coding", []) if isinstance(kind, dict) else []
    return [coding for coding in codings if isinstance(coding, dict)]
