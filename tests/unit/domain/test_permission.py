"""Role x scope x state, exhaustively: nothing is granted that a table does not list."""

from __future__ import annotations

import pytest

from racoon.domain.governance.machine import StateTable, TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.identity import Role
from racoon.domain.permission import ACTION_STATES, PERMISSIONS, Place, is_permitted, is_permitted_in

TABLES: dict[Place, StateTable] = {"central": STUDY_TABLE, "node": SITE_TRACK_TABLE}
STEPS = {"central": "study.transition", "node": "track.decide"}
FACTS = {
    "requested_sites": 1,
    "positive_sites": 1,
    "opted_in_sites": 1,
    "deletion_confirmed": True,
    "dataset_hash": "d",
}


def some_step_passes(table: StateTable, state: str, role: Role) -> bool:
    """Ask the table itself, with everything handed in, under every vote and past."""
    for row in table.transitions:
        for vote in ("yes", "no", "conditional"):
            for held_from in ("active", "analysis"):
                facts = {**FACTS, "vote": vote, "held_from": held_from}
                artefacts = dict.fromkeys(row.artefacts, "given")
                try:
                    table.check(state, row.target, actor="a", roles={role}, artefacts=artefacts, facts=facts)
                except TransitionRefused:
                    continue
                return True
    return False


@pytest.mark.parametrize("place", sorted(TABLES))
def test_every_role_action_and_state(place: Place) -> None:
    table, asked = TABLES[place], 0
    for action, roles in PERMISSIONS[place].items():
        for role in Role:
            for state in table.states:
                expected = role in roles and state in ACTION_STATES[place].get(action, table.states)
                if action == STEPS[place]:
                    expected = role in roles and some_step_passes(table, state, role)
                assert is_permitted_in(place, role, action, state) is expected, (action, role, state)
                asked += 1
    assert asked == len(PERMISSIONS[place]) * len(Role) * len(table.states)


@pytest.mark.parametrize("place", sorted(TABLES))
def test_what_no_table_lists_is_denied(place: Place) -> None:
    for role in Role:
        assert not is_permitted(place, [role], "no.such.action")
        assert not is_permitted_in(place, role, "no.such.action", TABLES[place].initial)
        assert not is_permitted_in(place, role, "overview.read", "no such state")


@pytest.mark.parametrize("place", sorted(TABLES))
def test_every_state_named_exists_and_everybody_with_a_step_may_take_it(place: Place) -> None:
    table = TABLES[place]
    for action, states in ACTION_STATES[place].items():
        assert action in PERMISSIONS[place]
        assert states <= set(table.states)
    # A role in the state table that the route would turn away could never act.
    may_ask = PERMISSIONS[place][STEPS[place]]
    network_side = {"requested"} if place == "node" else set()
    stranded = {(row.target, role) for row in table.transitions for role in row.roles if role not in may_ask}
    assert {target for target, _ in stranded} == network_side


def test_separation_of_duties() -> None:
    """Who asks does not decide, who votes does not run, who administers sees no patient data."""
    node, central = PERMISSIONS["node"], PERMISSIONS["central"]
    assert not node["track.decide"] & {Role.RESEARCHER, Role.PRINCIPAL_INVESTIGATOR, Role.READER}
    assert not node["subject.reidentify"] & {Role.READER, Role.DATA_SCIENTIST, Role.UAC_MEMBER}
    assert Role.ADMIN_CENTRAL not in central["result.read"] | central["study.transition"]
    assert not central["study.request_sites"] & central["study.create"]
