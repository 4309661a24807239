"""Who may read which resources, whoever asks: the routes of FHIR and the page of what goes out.  Pure."""

from __future__ import annotations

from racoon.domain.identity import Role
from racoon.domain.permission import is_permitted
from racoon.node.clinical.model import ACTION_OF_TYPE, DIZ_ACTION, TYPES_OF_DIZ
from racoon.platform.auth import User
from racoon.standards.fhir.building import Resource

REPORTS = "report.read"
"""Action of what is made of signed reports."""


def may_read(user: User, kind: str) -> bool:
    """Tell whether a user may read resources of a type."""
    if ACTION_OF_TYPE[kind] == REPORTS:
        return sees_reports(user)
    return is_permitted("node", user.roles, ACTION_OF_TYPE[kind]) or (
        kind in TYPES_OF_DIZ and is_permitted("node", user.roles, DIZ_ACTION)
    )


def sees_reports(user: User) -> bool:
    """Whoever reads is not given what others signed: the reading may be blinded, whatever other roles there are."""
    is_allowed = any(is_permitted("node", user.roles, action) for action in (REPORTS, DIZ_ACTION))
    return Role.READER not in user.roles and is_allowed


def subject_of(resource: Resource) -> str:
    """Return whose a resource is; empty where it is nobody's."""
    if resource["resourceType"] == "Patient":
        return str(resource["id"])
    found = resource.get("subject") or resource.get("patient") or resource.get("individual") or {}
    return str(found.get("reference", "")).removeprefix("Patient/")
