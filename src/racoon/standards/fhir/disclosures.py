"""What left, of whom and to whom, as AuditEvent of IHE BALP: Privacy Disclosure at Source.

The pattern has one event for each person; an entry of the log that names several becomes several.  This node is the
source and the audit's observer, as the pattern demands (val-audit-source).
"""

from __future__ import annotations

from racoon.standards.fhir.audits import OUTCOMES, AuditFacts, application_server, node_of, user_agent
from racoon.standards.fhir.building import (
    DCM,
    URI,
    Resource,
    coding,
    concept,
    fhir_instant,
    filled,
    metadata,
    reference,
    resource_id,
)
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import BALP

DISCLOSED = "fhir.disclose"
"""Action of the log: something of these subjects was given to somebody."""

DISCLOSURE = f"{BALP}/IHE.BasicAudit.PrivacyDisclosure.Source"
LIFECYCLE = "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle"

_RESEARCH = ("http://terminology.hl7.org/CodeSystem/v3-ActReason", "HRESCH", "healthcare research")
_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_PUSH, _FOLDER = "push/", "folder"


def disclosures(facts: AuditFacts, writing: Writing) -> list[Resource]:
    """Write an entry as one event for each subject whose data were given out; none where nothing was.

    Parameters
    ----------
    facts
        A read of one subject's resource, or an entry that lists subjects.
    writing
        How this node writes.
    """
    told = facts.subjects or ((facts.pseudonym,) if facts.action == "fhir.read" and facts.pseudonym else ())
    if OUTCOMES.get(facts.outcome) != "0":
        return []
    return [_event(facts, subject, number, writing) for number, subject in enumerate(told, start=1)]


def _event(facts: AuditFacts, subject: str, number: int, writing: Writing) -> Resource:
    place = facts.target.removeprefix("fhir/")
    kind, _, identity = place.partition("/")
    what = "" if place.startswith(_PUSH) or kind == _FOLDER else kind
    data: Resource = {
        "type": coding(_TYPE, "2", "System Object"),
        "role": coding(_ROLE, "4", "Domain Resource"),
    }
    if what and identity:
        data |= {"what": reference(what, identity)}
    else:
        data |= {"name": what or "ImagingStudy and what stands around it"}
    return filled(
        {
            "resourceType": "AuditEvent",
            "id": resource_id("audit", str(facts.number), str(number)),
            "meta": metadata(DISCLOSURE, source=writing.source),
            "type": coding(DCM, "110106", "Export"),
            "subtype": [coding(LIFECYCLE, "disclose", "Disclose Record Lifecycle Event")],
            "action": "R",
            "recorded": fhir_instant(facts.when),
            "outcome": "0",
            "purposeOfEvent": [concept(coding(*_RESEARCH))],
            "agent": [
                {
                    "type": concept(coding(DCM, "110153", "Source Role ID")),
                    "who": node_of(writing),
                    "requestor": False,
                    "network": {"address": writing.source, "type": "5"},
                },
                _recipient(facts, place),
                user_agent(facts),
            ],
            "source": application_server(writing),
            "entity": [
                {
                    "what": reference("Patient", resource_id(subject)),
                    "type": coding(_TYPE, "1", "Person"),
                    "role": coding(_ROLE, "1", "Patient"),
                },
                data,
            ],
        }
    )


def _recipient(facts: AuditFacts, place: str) -> Resource:
    """Say who got it: a server by its address, a program by that from which it asked, a folder of this machine."""
    made: Resource = {"type": concept(coding(DCM, "110152", "Destination Role ID")), "requestor": False}
    if place.startswith(_PUSH):
        server = place.removeprefix(_PUSH)
        return made | {
            "who": {"identifier": {"system": URI, "value": server}},
            "network": {"address": server, "type": "5"},
        }
    if not facts.client:
        return made | {"who": {"display": "Files"}, "network": {"address": "localhost", "type": "1"}}
    return made | {"who": {"display": "FHIR client"}, "network": {"address": facts.client, "type": "2"}}
