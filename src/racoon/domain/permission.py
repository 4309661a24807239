"""Who may do what: one table, one pure function, deny by default.

A route names an action; an action names the roles that may do it, at which kind of participant.  Study states and
site tracks add their own guards on top (``domain.governance``); nothing here ever grants more than the table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from racoon.domain.governance.amendment import AMENDABLE_STATES, AMENDMENT_TABLE
from racoon.domain.governance.machine import StateTable
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.governance.study import LIVE_STATES, STUDY_STATES, STUDY_TABLE
from racoon.domain.identity import Role

Place = Literal["node", "central"]

_SITE_STAFF = frozenset(
    {Role.SITE_INFORMATICIAN, Role.DIZ, Role.DATA_MANAGER, Role.DPO, Role.UAC_MEMBER, Role.UAC_CHAIR}
)
_STUDY_LEADS = frozenset({Role.PRINCIPAL_INVESTIGATOR, Role.DEPUTY})
_NETWORK = frozenset({Role.COORDINATOR, Role.ADMIN_CENTRAL, Role.AUDITOR, Role.ETHICS_OFFICE})
_EVERYONE = frozenset(Role)

PERMISSIONS: Mapping[Place, Mapping[str, frozenset[Role]]] = {
    "node": {
        "overview.read": _EVERYONE,
        "permission.read": _EVERYONE,
        "intake.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DPO, Role.DIZ}),
        "intake.send": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "quarantine.decide": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "pull.manage": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "hl7.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DPO, Role.DIZ}),
        "hl7.decide": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DIZ}),
        "match.decide": frozenset({Role.DIZ, Role.DATA_MANAGER}),
        "table.take": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DIZ}),
        "neighbour.exchange": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DIZ}),
        "outgoing.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DPO, Role.DIZ}),
        "fhir.read": frozenset({Role.DIZ}),
        "identity.compare": frozenset({Role.DIZ}),
        "archive.read": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "image.read": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "finding.read": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "finding.write": frozenset({Role.READER}),
        "report.write": frozenset({Role.READER}),
        "report.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "template.read": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "template.write": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "template.sign": frozenset({Role.READER}),
        "reading.assign": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "derived.store": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "archive.read.all": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "image.grant": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "image.delete": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DPO}),
        "image.delete.confirm": frozenset({Role.DATA_MANAGER, Role.DPO}),
        "measurement.read": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "measurement.decide": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "study.read": _SITE_STAFF | {Role.READER},
        "track.decide": frozenset(
            {Role.SITE_INFORMATICIAN, Role.DIZ, Role.UAC_MEMBER, Role.UAC_CHAIR, Role.DPO}
        ),
        "dataset.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "dataset.freeze": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "series.tag": frozenset({Role.SITE_INFORMATICIAN, Role.READER, Role.DATA_MANAGER}),
        "job.read": _SITE_STAFF,
        "job.cancel": frozenset({Role.SITE_INFORMATICIAN, Role.DPO}),
        "basis.decide": frozenset({Role.DIZ, Role.DPO, Role.UAC_CHAIR}),
        "consent.read": frozenset({Role.SITE_INFORMATICIAN, Role.DIZ, Role.DATA_MANAGER, Role.DPO}),
        "consent.withdraw": frozenset({Role.SITE_INFORMATICIAN, Role.DIZ, Role.DATA_MANAGER, Role.DPO}),
        "release.read": frozenset({Role.SITE_INFORMATICIAN, Role.DPO, Role.DIZ}),
        "release.decide": frozenset({Role.DPO, Role.DIZ}),
        "export.ask": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER}),
        "pool.read": frozenset({Role.SITE_INFORMATICIAN, Role.DATA_MANAGER, Role.DPO, Role.DIZ}),
        "pool.delete": frozenset({Role.DATA_MANAGER, Role.DPO}),
        "subject.reidentify": frozenset({Role.DPO, Role.DIZ}),
        "audit.read": frozenset({Role.DPO, Role.AUDITOR}),
        "diagnostics.read": frozenset({Role.SITE_INFORMATICIAN}),
        "account.manage": frozenset({Role.SITE_INFORMATICIAN}),
        "account.confirm": frozenset({Role.SITE_INFORMATICIAN, Role.DPO}),
    },
    "central": {
        "overview.read": _EVERYONE,
        "site.read": _NETWORK | _STUDY_LEADS | {Role.RESEARCHER},
        "site.manage": frozenset({Role.ADMIN_CENTRAL}),
        "study.read": _NETWORK | _STUDY_LEADS | {Role.RESEARCHER, Role.DATA_SCIENTIST, Role.MONITOR},
        "study.create": _STUDY_LEADS | {Role.RESEARCHER},
        "study.transition": _STUDY_LEADS | {Role.RESEARCHER, Role.COORDINATOR, Role.ETHICS_OFFICE, Role.DPO},
        "study.answer": _STUDY_LEADS | {Role.RESEARCHER},
        "permission.read": _EVERYONE,
        "study.amend": _STUDY_LEADS,
        "study.request_sites": frozenset({Role.COORDINATOR}),
        "cohort.count": _STUDY_LEADS | {Role.RESEARCHER, Role.COORDINATOR},
        "run.start": _STUDY_LEADS | {Role.COORDINATOR},
        "run.read": _NETWORK | _STUDY_LEADS | {Role.DATA_SCIENTIST, Role.MONITOR, Role.RESEARCHER},
        "result.read": _STUDY_LEADS | {Role.COORDINATOR, Role.DATA_SCIENTIST, Role.MONITOR},
        "model.read": _NETWORK | _STUDY_LEADS | {Role.RESEARCHER, Role.DATA_SCIENTIST},
        "model.offer": _STUDY_LEADS | {Role.COORDINATOR, Role.DATA_SCIENTIST},
        "model.approve": frozenset({Role.COORDINATOR, Role.ADMIN_CENTRAL}),
        "monitoring.read": _NETWORK | _STUDY_LEADS,
        "audit.read": frozenset({Role.AUDITOR, Role.ADMIN_CENTRAL}),
        "account.manage": frozenset({Role.ADMIN_CENTRAL}),
        "account.confirm": frozenset({Role.ADMIN_CENTRAL, Role.COORDINATOR, Role.DPO}),
    },
}
"""Every action of every route; a test walks all routes and finds each action here."""

SECOND_PERSON = frozenset({"image.delete"})
"""Actions at a node that take effect only when another person confirms them; who may is the action with
``.confirm`` behind it."""

TWO_PEOPLE: Mapping[Place, frozenset[str]] = {
    "node": frozenset(
        {
            "subject.reidentify",
            "image.delete",
            "image.delete.confirm",
            "basis.decide",
            "release.decide",
            "export.ask",
            "pool.delete",
            "account.manage",
            "account.confirm",
        }
    ),
    "central": frozenset({"account.manage", "account.confirm"}),
}
"""Actions whose sense is that two people take part, beside the four-eyes steps of the state tables."""

_MACHINES: Mapping[Place, tuple[StateTable, ...]] = {
    "node": (SITE_TRACK_TABLE,),
    "central": (STUDY_TABLE, AMENDMENT_TABLE),
}


def _deciding(place: Place) -> frozenset[Role]:
    found: set[Role] = set()
    for action in TWO_PEOPLE[place]:
        found |= PERMISSIONS[place][action]
    for table in _MACHINES[place]:
        checked = [row for row in table.transitions if row.four_eyes]
        before = {row.source for row in checked}
        # Both persons of such a step: who takes it, and who took the one before.
        for row in table.transitions:
            if row.four_eyes or row.target in before:
                found |= row.roles
    return frozenset(found)


DECIDING_ROLES: Mapping[Place, frozenset[Role]] = {"node": _deciding("node"), "central": _deciding("central")}
"""Roles that take part in a rule of two people; nobody who manages accounts grants one alone."""


def is_permitted(place: Place, roles: Iterable[Role], action: str) -> bool:
    """Tell whether any of the roles may do the action at this kind of participant.

    Parameters
    ----------
    place
        ``"node"`` or ``"central"``.
    roles
        Roles the user holds at this participant.
    action
        A key of :data:`PERMISSIONS`; an unknown action is denied.

    Returns
    -------
    bool
    """
    allowed = PERMISSIONS[place].get(action, frozenset())
    return any(role in allowed for role in roles)


_CLOSED = frozenset({"data_hold", "closed", "archived", "withdrawn"})

ACTION_STATES: Mapping[Place, Mapping[str, frozenset[str]]] = {
    "central": {
        "study.answer": frozenset({"concept", "rework"}),
        "study.amend": AMENDABLE_STATES,
        "study.request_sites": frozenset(STUDY_STATES) - _CLOSED - {"concept", "rework", "rejected"},
        "run.start": frozenset({"preparing", *LIVE_STATES}),
    },
    "node": {},
}
"""States of a study in which an action exists at all; an action that is not here does not depend on the state."""

_STEPS: Mapping[Place, tuple[str, StateTable]] = {
    "central": ("study.transition", STUDY_TABLE),
    "node": ("track.decide", SITE_TRACK_TABLE),
}
"""The action that takes steps, and the table that says whose turn it is."""


def is_permitted_in(place: Place, role: Role, action: str, state: str) -> bool:
    """Tell whether a role may do an action on a study in a state: role x scope x state, deny by default.

    Parameters
    ----------
    place
        ``"central"`` for the network's study, ``"node"`` for a site's track.
    role
        One role.
    action
        A key of :data:`PERMISSIONS`.
    state
        State of the study (CENTRAL) or of the site's track (node); an unknown one is denied.

    Returns
    -------
    bool
        Guards, artefacts and the second person come on top; nothing here grants more than the tables.
    """
    steps, table = _STEPS[place]
    if state not in table.states or not is_permitted(place, (role,), action):
        return False
    if action == steps:
        return any(row.source == state and role in row.roles for row in table.transitions)
    return state in ACTION_STATES[place].get(action, table.states)
