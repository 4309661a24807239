"""States of one study at one site.  Every state after ``requested`` is decided and signed by the site itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.domain.governance.machine import StateTable, rows
from racoon.domain.identity import Role

SITE_TRACK_STATES = (
    "not_requested",
    "requested",
    "diz_check",
    "uac_vote",
    "conditions_open",
    "conditions_met",
    "local_ethics",
    "dpo_ok",
    "contract_signed",
    "opted_in",
    "data_ready",
    "released",
    "declined",
    "stopped",
)

SITE_TRACK_PATH = (
    "requested",
    "diz_check",
    "uac_vote",
    "local_ethics",
    "dpo_ok",
    "contract_signed",
    "opted_in",
    "data_ready",
    "released",
)
"""The usual way of a study through a site; the other states are side steps."""

POSITIVE_STATES = frozenset(
    {"conditions_met", "local_ethics", "dpo_ok", "contract_signed", "opted_in", "data_ready", "released"}
)
"""States in which the site's committee has said yes."""

OPTED_IN_STATES = frozenset({"opted_in", "data_ready", "released"})
"""States in which the site takes part: datasets may be frozen."""

RELEASED_STATES = frozenset({"released"})
"""States in which jobs on the frozen dataset may run and their protected results may leave."""

_INFORMATICIAN = (Role.SITE_INFORMATICIAN,)


def _vote_is_yes(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("vote") == "yes" else "the committee's vote is not an unconditional yes."


def _vote_has_conditions(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("vote") == "conditional" else "the committee's vote names no conditions."


def _vote_is_no(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("vote") == "no" else "the committee's vote is not a no."


def _dataset_frozen(facts: Mapping[str, Any]) -> str | None:
    return None if facts.get("dataset_hash") else "no dataset is frozen for this study yet."


SITE_TRACK_TABLE = StateTable(
    name="site track",
    initial="not_requested",
    states=SITE_TRACK_STATES,
    transitions=(
        *rows("not_requested", "requested", (Role.COORDINATOR,)),
        *rows(
            "requested",
            "diz_check",
            (Role.DIZ, Role.SITE_INFORMATICIAN),
            artefacts=("legal_basis",),
            optional=("cases", "effort", "valid_until"),
        ),
        *rows(
            "diz_check",
            "uac_vote",
            (Role.UAC_MEMBER, Role.UAC_CHAIR),
            artefacts=("vote",),
            four_eyes=True,
            optional=("conditions", "quorum", "abstentions", "valid_until"),
        ),
        *rows("uac_vote", "conditions_open", (Role.UAC_MEMBER, Role.UAC_CHAIR), guard=_vote_has_conditions),
        *rows(
            "uac_vote",
            "declined",
            (Role.UAC_MEMBER, Role.UAC_CHAIR),
            guard=_vote_is_no,
            optional=("public_reason",),
        ),
        *rows(
            "conditions_open",
            "conditions_met",
            (Role.UAC_CHAIR, Role.UAC_MEMBER),
            artefacts=("comment",),
            optional=("valid_until",),
        ),
        *rows(
            "uac_vote",
            "local_ethics",
            (Role.DIZ, Role.SITE_INFORMATICIAN),
            artefacts=("ethics_vote",),
            guard=_vote_is_yes,
            optional=("committee", "valid_until"),
        ),
        *rows(
            "conditions_met",
            "local_ethics",
            (Role.DIZ, Role.SITE_INFORMATICIAN),
            artefacts=("ethics_vote",),
            optional=("committee", "valid_until"),
        ),
        *rows(
            "local_ethics",
            "dpo_ok",
            (Role.DPO,),
            artefacts=("data_protection",),
            four_eyes=True,
            optional=("valid_until",),
        ),
        *rows(
            "dpo_ok",
            "contract_signed",
            (Role.SITE_INFORMATICIAN, Role.DIZ),
            artefacts=("contract",),
            four_eyes=True,
            optional=("valid_until",),
        ),
        *rows("contract_signed", "opted_in", _INFORMATICIAN),
        *rows("opted_in", "data_ready", _INFORMATICIAN, guard=_dataset_frozen),
        *rows(
            "data_ready",
            "released",
            (Role.SITE_INFORMATICIAN, Role.DIZ),
            guard=_dataset_frozen,
            four_eyes=True,
            optional=("purposes", "valid_until"),
        ),
        *rows(
            (
                "requested",
                "diz_check",
                "uac_vote",
                "conditions_open",
                "conditions_met",
                "local_ethics",
                "dpo_ok",
                "contract_signed",
                "opted_in",
                "data_ready",
                "released",
            ),
            "stopped",
            (Role.SITE_INFORMATICIAN, Role.DIZ, Role.DPO, Role.UAC_CHAIR),
            artefacts=("comment",),
            optional=("public_reason",),
        ),
    ),
)
