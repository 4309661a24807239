"""States of a study, from concept to archive, at CENTRAL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.domain.governance.machine import StateTable, rows
from racoon.domain.identity import Role

STUDY_STATES = (
    "concept",
    "submitted",
    "formal_check",
    "rework",
    "rejected",
    "ethics",
    "site_voting",
    "contracting",
    "preparing",
    "active",
    "data_hold",
    "analysis",
    "closed",
    "archived",
    "withdrawn",
)

LIVE_STATES = frozenset({"active", "analysis"})
"""States in which jobs on data may run, where a site has released its data."""

FHIR_STATUS: Mapping[str, str] = {
    "concept": "in-review",
    "submitted": "in-review",
    "formal_check": "in-review",
    "rework": "in-review",
    "rejected": "disapproved",
    "ethics": "in-review",
    "site_voting": "in-review",
    "contracting": "approved",
    "preparing": "approved",
    "active": "active",
    "data_hold": "temporarily-closed-to-accrual",
    "analysis": "closed-to-accrual",
    "closed": "completed",
    "archived": "completed",
    "withdrawn": "withdrawn",
}
"""FHIR R4 ResearchStudy.status per state."""

NO_SITE_OPTED_IN = "no site has opted in yet."
HELD_IN_ANALYSIS = "the study was held during its analysis and goes back there."
HELD_BEFORE_ANALYSIS = "the study was held before its analysis."

LAST_DAYS: Mapping[str, str] = {
    "ethics_valid_until": "The lead ethics vote has ended",
    "contract_valid_until": "The contract of the study has ended",
}
"""Artefacts that name a last day, and what is said (with the day) when it is over."""

_LEADS = (Role.PRINCIPAL_INVESTIGATOR, Role.DEPUTY)
_OFFICE = (Role.COORDINATOR,)


def _form_complete(facts: Mapping[str, Any]) -> str | None:
    missing = facts.get("missing_fields", ())
    return f"the application lacks: {', '.join(missing)}." if missing else None


def _sites_requested(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("requested_sites", 0) else "no site has been requested yet."


def _one_site_positive(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("positive_sites", 0) else "no site has voted positively yet."


def _ready_to_work(facts: Mapping[str, Any]) -> str | None:
    if not facts.get("opted_in_sites", 0):
        return NO_SITE_OPTED_IN
    ended: str | None = facts.get("ended")
    return ended


def _back_to_active(facts: Mapping[str, Any]) -> str | None:
    return HELD_IN_ANALYSIS if facts.get("held_from") == "analysis" else _ready_to_work(facts)


def _back_to_analysis(facts: Mapping[str, Any]) -> str | None:
    if facts.get("held_from") != "analysis":
        return HELD_BEFORE_ANALYSIS
    ended: str | None = facts.get("ended")
    return ended


def _deletion_confirmed(facts: Mapping[str, Any]) -> str | None:
    if facts.get("deletion_confirmed") or facts.get("retention_noted"):
        return None
    return "deletion is not confirmed by every recipient, and no retention is noted."


STUDY_TABLE = StateTable(
    name="study",
    initial="concept",
    states=STUDY_STATES,
    transitions=(
        *rows("concept", "submitted", _LEADS, artefacts=("signature",), guard=_form_complete),
        *rows("rework", "submitted", _LEADS, artefacts=("signature",), guard=_form_complete),
        *rows("submitted", "formal_check", _OFFICE),
        *rows("formal_check", "rework", _OFFICE, artefacts=("comment",)),
        *rows("formal_check", "rejected", _OFFICE, artefacts=("comment",)),
        *rows("formal_check", "ethics", _OFFICE, artefacts=("checklist",), four_eyes=True),
        *rows("ethics", "rework", _OFFICE, artefacts=("comment",)),
        *rows(
            "ethics",
            "site_voting",
            _OFFICE,
            artefacts=("ethics_vote",),
            guard=_sites_requested,
            optional=("ethics_valid_until", "deadline"),
        ),
        *rows(
            "site_voting",
            "contracting",
            _OFFICE,
            artefacts=("contract_draft",),
            guard=_one_site_positive,
            optional=("data_protection_annex", "joint_control", "impact_assessment"),
        ),
        *rows(
            "contracting",
            "preparing",
            _OFFICE,
            artefacts=("contract",),
            four_eyes=True,
            optional=("contract_valid_until",),
        ),
        *rows(
            "preparing",
            "active",
            _OFFICE,
            artefacts=("protocol_version",),
            four_eyes=True,
            guard=_ready_to_work,
            optional=("data_dictionary", "form_version"),
        ),
        *rows(
            ("active", "analysis"),
            "data_hold",
            (Role.COORDINATOR, Role.DPO, *_LEADS),
            artefacts=("comment",),
            by_timer=True,
        ),
        *rows(
            "data_hold",
            "active",
            _OFFICE,
            artefacts=("comment",),
            four_eyes=True,
            guard=_back_to_active,
            optional=("ethics_valid_until", "contract_valid_until"),
        ),
        *rows(
            "data_hold",
            "analysis",
            _OFFICE,
            artefacts=("comment",),
            four_eyes=True,
            guard=_back_to_analysis,
            optional=("ethics_valid_until", "contract_valid_until"),
        ),
        *rows("active", "analysis", _LEADS, artefacts=("freeze",)),
        *rows(
            "analysis",
            "closed",
            (*_LEADS, *_OFFICE),
            artefacts=("final_report", "deletion_deadline"),
            optional=("publications",),
        ),
        *rows(
            "closed",
            "archived",
            _OFFICE,
            guard=_deletion_confirmed,
            optional=("deletion_confirmed", "retention_noted"),
        ),
        *rows(
            (
                "concept",
                "submitted",
                "formal_check",
                "rework",
                "ethics",
                "site_voting",
                "contracting",
                "preparing",
                "active",
                "data_hold",
                "analysis",
            ),
            "withdrawn",
            (*_LEADS, *_OFFICE),
            artefacts=("comment",),
        ),
    ),
)
