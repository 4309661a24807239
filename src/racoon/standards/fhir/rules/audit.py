"""Tables of IHE BALP 1.1: who, where from, and what was read or searched for."""

from __future__ import annotations

from racoon.standards.fhir.building import DCM, SNOMED, Resource
from racoon.standards.fhir.rules.model import Invariant, ProfileRules, Rule, contains
from racoon.standards.fhir.versions import BALP

_TYPE = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
_ROLE = "http://terminology.hl7.org/CodeSystem/object-role"
_PATIENT = {"type": {"system": _TYPE, "code": "1"}, "role": {"system": _ROLE, "code": "1"}}
_QUERY = {"type": {"system": _TYPE, "code": "2"}, "role": {"system": _ROLE, "code": "24"}}


def _agent(code: str) -> dict[str, object]:
    return {"type": {"coding": [{"system": DCM, "code": code}]}}


def _table(name: str, action: str, subtype: str, *, is_read: bool, has_patient: bool) -> ProfileRules:
    data = "entity:data" if is_read else "entity:query"
    rules = [
        Rule("type.code", 1, 1, pattern="rest"),
        Rule("subtype", 1),
        Rule("subtype:interaction", 1, 1),
        Rule("action", 1, 1, pattern=action),
        Rule("outcome", 1, 1),
        Rule("agent", 2),
        Rule("agent:client", 1, 1),
        Rule("agent:client.who", 1, 1),
        Rule("agent:server", 1, 1),
        Rule("agent:server.who", 1, 1),
        Rule(data, 1, 1 if not is_read else None),
    ]
    if not is_read:
        rules.append(Rule("entity:query.query", 1, 1))
    if has_patient:
        rules += [Rule("entity:patient", 1), Rule("entity:patient.what", 1, 1)]
    client, server = ("110152", "110153") if is_read else ("110153", "110152")
    return ProfileRules(
        f"{BALP}/IHE.BasicAudit.{name}",
        "AuditEvent",
        rules=tuple(rules),
        slices={
            "subtype:interaction": {"system": "http://hl7.org/fhir/restful-interaction", "code": subtype},
            "agent:client": _agent(client),
            "agent:server": _agent(server),
            "entity:patient": _PATIENT,
            "entity:data": {"type": {"system": _TYPE, "code": "2"}},
            "entity:query": _QUERY,
        },
    )


def _source_is_observer(event: Resource) -> bool:
    observer = event.get("source", {}).get("observer")
    return all(
        agent.get("who") == observer
        for agent in event.get("agent", [])
        if isinstance(agent, dict) and contains(agent, _agent("110153"))
    )


DISCLOSURE = ProfileRules(
    f"{BALP}/IHE.BasicAudit.PrivacyDisclosure.Source",
    "AuditEvent",
    rules=(
        Rule("modifierExtension", 0, 0),
        Rule("type", 1, 1, pattern={"system": DCM, "code": "110106"}),
        Rule("subtype:disclosure", 1),
        Rule("action", 1, 1, pattern="R"),
        Rule("outcome", 1, 1),
        Rule("agent", 2),
        *(
            Rule(f"agent:{name}{part}", 1, 1)
            for name in ("source", "recipient")
            for part in ("", ".who", ".network")
        ),
        Rule("agent:custodian", 0, 1),
        Rule("agent:custodian.who", 1, 1),
        Rule("agent:authorizer", 0, 1),
        Rule("agent:authorizer.who", 1, 1),
        Rule("entity", 2),
        Rule("entity:patient", 1, 1),
        Rule("entity:patient.what", 1, 1, targets=("Patient",)),
    ),
    slices={
        "subtype:disclosure": {
            "system": "http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle",
            "code": "disclose",
        },
        "agent:source": _agent("110153"),
        "agent:recipient": _agent("110152"),
        "agent:custodian": {"type": {"coding": [{"system": SNOMED, "code": "159541003"}]}},
        "agent:authorizer": {"type": {"coding": [{"system": SNOMED, "code": "429577009"}]}},
        "entity:patient": _PATIENT,
    },
    invariants=(
        Invariant("val-audit-source", "The source of the data is who observed it.", _source_is_observer),
    ),
)

AUDITS = (
    *(
        _table(
            f"{'Patient' if has_patient else ''}{name}",
            action,
            subtype,
            is_read=is_read,
            has_patient=has_patient,
        )
        for name, action, subtype, is_read in (("Read", "R", "read", True), ("Query", "E", "search", False))
        for has_patient in (False, True)
    ),
    DISCLOSURE,
)
