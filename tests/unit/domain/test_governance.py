"""State tables: complete, closed, and walked by a machine that looks for a forbidden state."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from racoon.domain.governance.machine import StateTable, TransitionRefused
from racoon.domain.governance.site_track import OPTED_IN_STATES, RELEASED_STATES, SITE_TRACK_TABLE
from racoon.domain.governance.study import FHIR_STATUS, STUDY_TABLE
from racoon.domain.identity import Role

ALL_ROLES = frozenset(Role)
ARTEFACTS = {
    key: "given"
    for table in (STUDY_TABLE, SITE_TRACK_TABLE)
    for row in table.transitions
    for key in row.artefacts
}


@pytest.mark.parametrize("table", [STUDY_TABLE, SITE_TRACK_TABLE], ids=lambda table: table.name)
def test_every_state_is_reachable_and_every_row_names_known_states(table: StateTable) -> None:
    reached = {table.initial}
    while new := {row.target for row in table.transitions if row.source in reached} - reached:
        reached |= new
    assert reached == set(table.states)
    assert {row.source for row in table.transitions} <= set(table.states)
    assert len({(row.source, row.target) for row in table.transitions}) == len(table.transitions)


@pytest.mark.parametrize("table", [STUDY_TABLE, SITE_TRACK_TABLE], ids=lambda table: table.name)
def test_only_listed_steps_exist(table: StateTable) -> None:
    listed = {(row.source, row.target) for row in table.transitions}
    for source in table.states:
        for target in table.states:
            if (source, target) not in listed:
                with pytest.raises(TransitionRefused):
                    table.check(source, target, actor="a", roles=ALL_ROLES, artefacts=ARTEFACTS)


def test_each_row_refuses_every_role_it_does_not_list() -> None:
    for table in (STUDY_TABLE, SITE_TRACK_TABLE):
        for row in table.transitions:
            for role in ALL_ROLES - row.roles:
                with pytest.raises(TransitionRefused, match="belongs to"):
                    table.check(row.source, row.target, actor="a", roles={role}, artefacts=ARTEFACTS)


def test_a_missing_artefact_is_named() -> None:
    with pytest.raises(TransitionRefused, match="needs: legal_basis"):
        SITE_TRACK_TABLE.check("requested", "diz_check", actor="a", roles={Role.DIZ}, artefacts={})


def test_four_eyes_need_a_second_person() -> None:
    with pytest.raises(TransitionRefused, match="second person"):
        SITE_TRACK_TABLE.check(
            "local_ethics",
            "dpo_ok",
            actor="dora",
            roles={Role.DPO},
            artefacts={"data_protection": "yes"},
            previous_actor="dora",
        )


def test_a_site_can_stop_from_every_state_after_the_request() -> None:
    resting = {"not_requested", "declined", "stopped"}
    assert {row.source for row in SITE_TRACK_TABLE.transitions if row.target == "stopped"} == set(
        SITE_TRACK_TABLE.states
    ) - resting


def test_every_study_state_has_a_fhir_status() -> None:
    assert set(FHIR_STATUS) == set(STUDY_TABLE.states)


class SiteTrackMachine(RuleBasedStateMachine):
    """Random people take random steps; a site takes part only after its committee said yes."""

    def __init__(self) -> None:
        super().__init__()
        self.state = SITE_TRACK_TABLE.initial
        self.visited: list[str] = [self.state]
        self.vote: str | None = None
        self.dataset: str | None = None
        self.previous: str | None = None

    @rule(
        wanted=st.sampled_from(SITE_TRACK_TABLE.states),
        role=st.sampled_from(sorted(Role)),
        actor=st.sampled_from(["ada", "ben"]),
        vote=st.sampled_from(["yes", "no", "conditional"]),
    )
    def step(self, wanted: str, role: Role, actor: str, vote: str) -> None:
        try:
            SITE_TRACK_TABLE.check(
                self.state,
                wanted,
                actor=actor,
                roles={role},
                artefacts={**ARTEFACTS, "vote": vote},
                facts={"vote": self.vote, "dataset_hash": self.dataset},
                previous_actor=self.previous,
            )
        except TransitionRefused:
            return
        if wanted == "uac_vote":
            self.vote = vote
        self.state, self.previous = wanted, actor
        self.visited.append(wanted)

    @rule()
    def freeze(self) -> None:
        if self.state in OPTED_IN_STATES:
            self.dataset = "hash"

    @invariant()
    def takes_part_only_after_a_yes(self) -> None:
        if self.state in OPTED_IN_STATES:
            assert self.vote == "yes" or "conditions_met" in self.visited
            assert {"dpo_ok", "contract_signed", "local_ethics"} <= set(self.visited)

    @invariant()
    def releases_only_a_frozen_dataset(self) -> None:
        assert self.state not in RELEASED_STATES or self.dataset is not None


TestSiteTrackMachine = SiteTrackMachine.TestCase
