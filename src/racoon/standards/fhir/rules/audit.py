"""Tables of IHE BALP 1.1: who, where from, and what was read or searched for."""

from __future__ import annotations

from racoon.standards.fhir.building import DCM
from racoon.standards.fhir.rules.model import ProfileRules, Rule
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


AUDITS = tuple(
    _table(
        f"{'Patient' if has_patient else ''}{name}", action, subtype, is_read=is_read, has_patient=has_patient
    )
    for name, action, subtype, is_read in (("Read", "R", "read", True), ("Query", "E", "search", False))
    for has_patient in (False, True)
)
