"""States of an amendment: a new version of a study's definition on its way, while the old one stays in force."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.domain.governance.machine import StateTable, rows
from racoon.domain.identity import Role

AMENDMENT_STATES = (
    "amend_submitted",
    "amend_check",
    "amend_voting",
    "amend_in_force",
    "amend_refused",
    "amend_withdrawn",
)

AMENDABLE_STATES = frozenset({"preparing", "active", "data_hold", "analysis"})
"""Study states in which the definition only changes by an amendment; before, it is simply revised."""

OPEN_AMENDMENT_STATES = frozenset({"amend_submitted", "amend_check", "amend_voting"})
"""States in which an amendment is on its way; a study has one at a time."""

_LEADS = (Role.PRINCIPAL_INVESTIGATOR, Role.DEPUTY)
_OFFICE = (Role.COORDINATOR,)


def _one_site_agrees(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("opted_in_sites", 0) else "no site has opted in to the new version yet."


AMENDMENT_TABLE = StateTable(
    name="amendment",
    initial="amend_submitted",
    states=AMENDMENT_STATES,
    transitions=(
        *rows("amend_submitted", "amend_check", _OFFICE),
        *rows("amend_check", "amend_refused", _OFFICE, artefacts=("comment",)),
        *rows(
            "amend_check",
            "amend_voting",
            _OFFICE,
            artefacts=("checklist",),
            four_eyes=True,
            optional=("ethics_vote", "ethics_valid_until"),
        ),
        *rows(
            "amend_voting",
            "amend_in_force",
            _OFFICE,
            artefacts=("protocol_version",),
            four_eyes=True,
            guard=_one_site_agrees,
        ),
        *rows("amend_voting", "amend_refused", _OFFICE, artefacts=("comment",)),
        *rows(
            ("amend_submitted", "amend_check", "amend_voting"),
            "amend_withdrawn",
            (*_LEADS, *_OFFICE),
            artefacts=("comment",),
        ),
    ),
)
