"""Value sets that bind with strength ``required`` in the profiles in use.

Members are listed where the set is small and free; SNOMED CT, LOINC and ICD are described by the shape of their
codes, because their content is not ours to ship.
"""

from __future__ import annotations

from collections.abc import Mapping

from racoon.standards.fhir.acquisition import SCANNING_SEQUENCES, SEQUENCE_VARIANTS, TRANSDUCER_TYPES
from racoon.standards.fhir.building import DCM, LOINC, SNOMED
from racoon.standards.fhir.codes import LATERALITIES, MODALITIES
from racoon.standards.fhir.rules.model import ValueSet
from racoon.standards.fhir.versions import IMAGING_CODES


def _plain(*members: str) -> ValueSet:
    return ValueSet(members=frozenset(members))


VALUE_SETS: Mapping[str, ValueSet] = {
    "snomed": ValueSet(SNOMED, pattern=r"[1-9]\d{5,17}"),
    "loinc": ValueSet(LOINC, pattern=r"\d{1,7}-\d"),
    "icd-10-gm": ValueSet("http://fhir.de/CodeSystem/bfarm/icd-10-gm", pattern=r"[A-Z]\d{2}(\.[\d-]{1,3})?[†*!]?"),
    "alpha-id": ValueSet("http://fhir.de/CodeSystem/bfarm/alpha-id", pattern=r"[A-Z]\d{1,6}"),
    "consent-policy": ValueSet(
        "urn:oid:2.16.840.1.113883.3.1937.777.24.5.3",
        pattern=r"2\.16\.840\.1\.113883\.3\.1937\.777\.24\.5\.3\.\d{1,4}",
    ),
    "cid-33": ValueSet(DCM, frozenset(MODALITIES)),
    # CID 244 and SNOMED's newer pair, which published examples use.
    "cid-244": ValueSet(
        SNOMED, frozenset({code for code, _ in LATERALITIES.values()} | {"419161000", "419465000"})
    ),
    "scanning-sequence": ValueSet(f"{IMAGING_CODES}/mii-cs-bildgebung-scanning-sequence", SCANNING_SEQUENCES),
    "scanning-sequence-variant": ValueSet(
        f"{IMAGING_CODES}/mii-cs-bildgebung-scanning-sequence-variant", SEQUENCE_VARIANTS
    ),
    "transducer-type": ValueSet(f"{IMAGING_CODES}/mii-cs-bildgebung-transducer-type", TRANSDUCER_TYPES),
    "imaging-status": _plain("registered", "available", "cancelled", "entered-in-error", "unknown"),
    "observation-status": _plain(
        "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown"
    ),
    "report-status": _plain(
        "registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled",
        "entered-in-error", "unknown",
    ),
    "audit-action": _plain("C", "R", "U", "D", "E"),
    "audit-outcome": _plain("0", "4", "8", "12"),
    "care-plan-status": _plain(
        "draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"
    ),
    "care-plan-intent": _plain("proposal", "plan", "order", "option"),
    "composition-status": _plain("preliminary", "final", "amended", "entered-in-error"),
    "response-status": _plain("in-progress", "completed", "amended", "entered-in-error", "stopped"),
    "body-weight-units": _plain("g", "kg", "[lb_av]"),
    "body-length-units": _plain("cm", "[in_i]"),
    "gender": _plain("male", "female", "other", "unknown"),
    "device-name": _plain(
        "udi-label-name", "user-friendly-name", "patient-reported-name", "manufacturer-name", "model-name", "other"
    ),
    "consent-status": _plain("draft", "proposed", "active", "rejected", "inactive", "entered-in-error"),
    "provision-type": _plain("deny", "permit"),
    "research-study-status": _plain(
        "active", "administratively-completed", "approved", "closed-to-accrual",
        "closed-to-accrual-and-intervention", "completed", "disapproved", "in-review",
        "temporarily-closed-to-accrual", "temporarily-closed-to-accrual-and-intervention", "withdrawn",
    ),
    "research-subject-status": _plain(
        "candidate", "eligible", "follow-up", "ineligible", "not-registered", "off-study", "on-study",
        "on-study-intervention", "on-study-observation", "pending-on-study", "potential-candidate", "screening",
        "withdrawn",
    ),
    "procedure-status": _plain(
        "preparation", "in-progress", "not-done", "on-hold", "stopped", "completed", "entered-in-error", "unknown"
    ),
    "encounter-status": _plain(
        "planned", "arrived", "triaged", "in-progress", "onleave", "finished", "cancelled", "entered-in-error",
        "unknown",
    ),
    "request-status": _plain(
        "draft", "active", "on-hold", "revoked", "completed", "entered-in-error", "unknown"
    ),
    "request-intent": _plain(
        "proposal", "plan", "directive", "order", "original-order", "reflex-order", "filler-order",
        "instance-order", "option",
    ),
    "entity-role": _plain("derivation", "revision", "quotation", "source", "removal"),
}  # fmt: skip
