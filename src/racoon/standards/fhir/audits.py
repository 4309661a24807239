"""Entries of the audit log about FHIR as AuditEvent, after the pattern of IHE BALP 1.1 (Basic Audit Log Patterns).

Client and server change places between reading and searching, as the pattern has it: the one that sends content is the
source.  What was searched for stands in ``entity.query`` as far as the log knows it: names of parameters, no values.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime

from racoon.standards.fhir.building import (
    DCM,
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

INTERACTIONS = "http://hl7.org/fhir/restful-interaction"
_ENTITY_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ENTITY_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_SOURCE = (DCM, "110153", "Source Role ID")
_DESTINATION = (DCM, "110152", "Destination Role ID")
_USER = ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
OUTCOMES = {"success": "0", "refused": "4", "failure": "8"}

KINDS = {"fhir.read": ("read", "R"), "fhir.search": ("search", "E"), "fhir.export": ("operation", "E")}
"""Action of the log to interaction and action code; other entries are no FHIR interaction."""


@dataclass(frozen=True)
class AuditFacts:
    """One entry of the log about FHIR.

    Parameters
    ----------
    number
        Place in the chain; ``hash`` proves it.
    when
        Time of the deed.
    action, outcome
        As the log names them.
    actor, role, client
        Who, in which role, from which address.
    target
        ``fhir/<type>`` or ``fhir/<type>/<id>``.
    pseudonym
        Subject, where one was read.
    parameters
        Names of the parameters of a search.
    subjects
        Of whom something was given out, where an entry is about that.
    """

    number: int
    hash: str
    when: datetime
    action: str
    outcome: str
    actor: str
    role: str
    client: str
    target: str
    pseudonym: str = ""
    parameters: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()


def node_of(writing: Writing) -> Resource:
    """Build the reference to this node as an agent."""
    return {"identifier": {"system": "urn:ietf:rfc:3986", "value": writing.source}}


def user_agent(facts: AuditFacts) -> Resource:
    """Build the agent of the person behind a deed."""
    return filled(
        {
            "type": concept(coding(*_USER)),
            "who": {"identifier": {"system": "urn:racoon:account", "value": facts.actor}},
            "requestor": True,
            "role": [concept(coding("urn:racoon:role", facts.role))] if facts.role else [],
        }
    )


def application_server(writing: Writing) -> Resource:
    """Build the source of every entry: this node."""
    kind = ("http://terminology.hl7.org/CodeSystem/security-source-type", "4", "Application Server")
    return {"observer": node_of(writing), "type": [coding(*kind)]}


def audit_event(facts: AuditFacts, writing: Writing) -> Resource:
    """Write one entry."""
    interaction, action = KINDS[facts.action]
    kind, _, identity = facts.target.removeprefix("fhir/").partition("/")
    is_read = interaction == "read"
    profile = f"{BALP}/IHE.BasicAudit.{'Patient' if facts.pseudonym else ''}{'Read' if is_read else 'Query'}"
    client, server = (_DESTINATION, _SOURCE) if is_read else (_SOURCE, _DESTINATION)
    address = {"address": facts.client, "type": "2"} if facts.client else None
    node = node_of(writing)
    entities: list[Resource] = []
    if facts.pseudonym:
        entities.append(
            {
                "what": reference("Patient", resource_id(facts.pseudonym)),
                "type": coding(_ENTITY_TYPE, "1", "Person"),
                "role": coding(_ENTITY_ROLE, "1", "Patient"),
            }
        )
    if is_read:
        entities.append(
            {
                "what": reference(kind, identity),
                "type": coding(_ENTITY_TYPE, "2", "System Object"),
                "role": coding(_ENTITY_ROLE, "4", "Domain Resource"),
            }
        )
    else:
        asked = "&".join(facts.parameters)
        entities.append(
            {
                "type": coding(_ENTITY_TYPE, "2", "System Object"),
                "role": coding(_ENTITY_ROLE, "24", "Query"),
                "query": base64.b64encode(f"{kind}?{asked}".encode()).decode(),
            }
        )
    return filled(
        {
            "resourceType": "AuditEvent",
            "id": resource_id("audit", str(facts.number)),
            "meta": metadata("" if interaction == "operation" else profile, source=writing.source),
            "type": coding(
                "http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation"
            ),
            "subtype": [coding(INTERACTIONS, interaction)],
            "action": action,
            "recorded": fhir_instant(facts.when),
            "outcome": OUTCOMES.get(facts.outcome, "8"),
            "agent": [
                filled(
                    {
                        "type": concept(coding(*client)),
                        "who": {"display": "FHIR client"},
                        "requestor": False,
                        "network": address,
                    }
                ),
                {"type": concept(coding(*server)), "who": node, "requestor": False},
                user_agent(facts),
            ],
            "source": application_server(writing),
            "entity": entities,
        }
    )
