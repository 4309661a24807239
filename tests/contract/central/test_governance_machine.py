"""Random people at CENTRAL and two sites do random things, days pass and forged messages arrive; invariants hold.

The oracle is not the gate: it replays the history of each site's steps and says which work was allowed at that moment.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from racoon.domain.governance.approval import RENEWABLE, ApprovalKind
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.identity import Role
from racoon.errors import RacoonError
from racoon.node.jobs.model import Outcome, Progress
from racoon.platform import clock
from racoon.protocol.envelope import seal, to_wire
from racoon.protocol.messages import JobOffer
from tests.governed_network import DATASET, LADDER, GovernedNetwork, GovernedNode

SITES = ("ALPHA", "BRAVO")
PEOPLE = ("ada", "ben", "cleo")
ARTEFACTS = {
    "legal_basis": "consent",
    "ethics_vote": "E-1",
    "data_protection": "agreed",
    "contract": "C-1",
    "comment": "said",
}
GRANTS = {
    "diz_check": "legal_basis",
    "uac_vote": "uac",
    "conditions_met": "uac",
    "local_ethics": "ethics",
    "dpo_ok": "data_protection",
    "contract_signed": "contract",
    "opted_in": "opt_in",
    "released": "release",
}
ALL_KINDS = set(GRANTS.values())


def is_allowed(node: GovernedNode, study_id: str, now: datetime) -> bool:
    """Replay the site's history: every decision a yes and not over, released, not left, study live."""
    with node.database.connect() as connection:
        study = node.approvals.current(connection, study_id)
        history = node.approvals.history(connection, study_id)
    standing: dict[str, str | None] = {}
    for event in history:
        artefacts, target = event["artefacts"], event["target"]
        kind = artefacts.get("renewed") or GRANTS.get(target)
        if target == "uac_vote" and not artefacts.get("renewed") and artefacts["vote"] != "yes":
            standing.pop("uac", None)
        elif kind:
            standing[kind] = artefacts.get("valid_until")
    is_valid = all(last is None or now.date().isoformat() <= last for last in standing.values())
    return (
        set(standing) == ALL_KINDS
        and is_valid
        and history[-1]["target"] == "released"
        and study.central_state in ("active", "analysis")
        and study.dataset_hash == DATASET
    )


class GovernanceMachine(RuleBasedStateMachine):
    """CENTRAL, two sites, a clock and an attacker."""

    @initialize(
        is_running=st.sampled_from([True, True, False]),
        ends=st.integers(0, 4),
        ending=st.sampled_from(
            ["diz_check", "uac_vote", "local_ethics", "dpo_ok", "contract_signed", "released"]
        ),
    )
    def open(self, is_running: bool, ends: int, ending: str) -> None:
        """Start before the first decision, or in a running study in which one approval at ALPHA ends soon."""
        self.folder = tempfile.TemporaryDirectory()
        self.moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(clock, "now", lambda: self.moment)
        self.governed = GovernedNetwork(Path(self.folder.name), SITES)
        if is_running:
            self.study_id = self.governed.running_study({"ALPHA": {ending: self.last_day(ends)}})
        else:
            self.study_id = self.governed.network.study_in_site_voting(list(SITES))
            self.governed.exchange()
        self.runs = 0
        self.wrong: list[str] = []
        for node in self.governed.nodes.values():
            node.jobs.register("measure", self.watched(node))

    def teardown(self) -> None:
        if hasattr(self, "governed"):
            self.governed.close()
            self.patch.undo()
            self.folder.cleanup()

    def watched(self, node: GovernedNode) -> Any:
        def work(offer: JobOffer, _study: object, _report: Progress) -> Outcome:
            if not is_allowed(node, self.study_id, self.moment):
                self.wrong.append(offer.job_id)
            node.worked.append(offer.job_id)
            return Outcome({})

        return work

    def last_day(self, days: int | None) -> dict[str, str]:
        return (
            {} if days is None else {"valid_until": (self.moment + timedelta(days=days)).date().isoformat()}
        )

    # -------------------------------------------------------------------------------------------- people

    @rule(site=st.sampled_from(SITES), steps=st.integers(1, 8), days=st.none() | st.integers(0, 6))
    def go_on(self, site: str, steps: int, days: int | None) -> None:
        """The site goes on the usual way, as far as its people let it."""
        node = self.governed.nodes[site]
        order = [target for target, *_ in LADDER]
        for _ in range(steps):
            state = node.study(self.study_id).track_state
            position = order.index(state) + 1 if state in order else 0 if state == "requested" else len(order)
            if position >= len(order):
                return
            target, actor, role, artefacts = LADDER[position]
            if target == "data_ready":
                node.freeze(self.study_id)
            try:
                node.decide(self.study_id, target, actor, role, {**artefacts, **self.last_day(days)})
            except TransitionRefused:
                return

    @rule(
        site=st.sampled_from(SITES),
        wanted=st.sampled_from(SITE_TRACK_TABLE.states),
        role=st.sampled_from(sorted(Role)),
        actor=st.sampled_from(PEOPLE),
        vote=st.sampled_from(["yes", "no", "conditional"]),
    )
    def try_step(self, site: str, wanted: str, role: Role, actor: str, vote: str) -> None:
        """Anybody tries anything."""
        node = self.governed.nodes[site]
        before = node.study(self.study_id).track_state
        row = SITE_TRACK_TABLE.find(before, wanted)
        try:
            node.decide(self.study_id, wanted, actor, role, {**ARTEFACTS, "vote": vote})
        except TransitionRefused:
            assert node.study(self.study_id).track_state == before
        else:
            assert row is not None
            assert role in row.roles

    @rule(
        site=st.sampled_from(SITES),
        kind=st.sampled_from(sorted(RENEWABLE)),
        role=st.sampled_from(sorted(Role)),
        actor=st.sampled_from(PEOPLE),
        days=st.none() | st.integers(0, 6),
    )
    def try_renewal(self, site: str, kind: ApprovalKind, role: Role, actor: str, days: int | None) -> None:
        node = self.governed.nodes[site]
        artefacts = {**ARTEFACTS, **self.last_day(days)}
        try:
            with node.database.begin() as connection:
                study = node.approvals.current(connection, self.study_id)
                node.approvals.renew(connection, study, kind, actor=actor, roles={role}, artefacts=artefacts)
        except TransitionRefused:
            pass

    @rule(
        wanted=st.sampled_from(["contracting", "preparing", "active", "data_hold", "analysis", "withdrawn"])
    )
    def try_study_step(self, wanted: str) -> None:
        central = self.governed.network.central
        artefacts = {
            "contract_draft": "c",
            "contract": "c",
            "protocol_version": "1",
            "comment": "x",
            "freeze": "h",
        }
        for actor in ("office", "office2", "pi"):
            role = Role.PRINCIPAL_INVESTIGATOR if actor == "pi" else Role.COORDINATOR
            try:
                with central.database.begin() as connection:
                    before = central.studies.study(connection, self.study_id).state
                    central.studies.transition(
                        connection,
                        self.study_id,
                        wanted,
                        artefacts=artefacts,
                        version=None,
                        actor=actor,
                        roles={role},
                    )
            except RacoonError:
                continue
            assert STUDY_TABLE.find(before, wanted) is not None
            return

    @rule()
    def make_active(self) -> None:
        for target in ("contracting", "preparing", "active"):
            self.try_study_step(target)

    # -------------------------------------------------------------------------------------------- machines

    @rule(days=st.integers(0, 4), ticks=st.booleans())
    def a_whole_run(self, days: int, ticks: bool) -> None:
        """A run from offer to work, with days passing while its jobs wait."""
        self.offer()
        for node in self.governed.nodes.values():
            node.exchange()
        self.moment += timedelta(days=days)
        for node in self.governed.nodes.values():
            if ticks:
                node.tick()
            node.work()
            node.exchange()

    @rule()
    def offer(self) -> None:
        self.runs += 1
        self.governed.offer(self.study_id, f"run-{self.runs}")

    @rule(site=st.sampled_from(SITES))
    def exchange(self, site: str) -> None:
        self.governed.nodes[site].exchange()

    @rule(site=st.sampled_from(SITES))
    def work(self, site: str) -> None:
        self.governed.nodes[site].work()

    @rule(days=st.integers(1, 4))
    def days_pass(self, days: int) -> None:
        """After the clock has been looked at, nothing that waits at a site is forbidden."""
        self.moment += timedelta(days=days)
        for node in self.governed.nodes.values():
            node.tick()
            if not is_allowed(node, self.study_id, self.moment):
                assert node.jobs.pending() == []

    # -------------------------------------------------------------------------------------------- attacker

    @rule(site=st.sampled_from(SITES), state=st.sampled_from(["active", "analysis"]))
    def forge_central(self, site: str, state: str) -> None:
        node = self.governed.nodes[site]
        before = node.study(self.study_id)
        payload = {"study_id": self.study_id, "study_hash": before.study_hash, "state": state}
        node.line.receive(
            to_wire(
                seal(
                    Ed25519PrivateKey.generate(),
                    type="study.state",
                    sender="CENTRAL",
                    recipient=site,
                    payload=payload,
                    issued_at=self.moment,
                )
            )
        )
        assert node.study(self.study_id) == before

    @rule(site=st.sampled_from(SITES), wanted=st.sampled_from(SITE_TRACK_TABLE.states))
    def forge_site(self, site: str, wanted: str) -> None:
        """Somebody with the site's certificate but not its signing key speaks for it."""
        node = self.governed.nodes[site]
        study = node.study(self.study_id)
        payload = {
            "study_id": self.study_id,
            "study_hash": study.study_hash,
            "source": study.track_state,
            "target": wanted,
            "actor_role": "dpo",
            "decided_at": self.moment.isoformat(),
            "version": 999,
        }
        forged = node.wire.seal("track.changed", payload, key=Ed25519PrivateKey.generate())
        assert len(node.wire.send(forged)["rejected"]) == 1

    # -------------------------------------------------------------------------------------------- invariants

    @invariant()
    @precondition(lambda self: hasattr(self, "governed"))
    def nothing_ran_that_its_site_had_not_allowed(self) -> None:
        assert self.wrong == []

    @invariant()
    @precondition(lambda self: hasattr(self, "governed"))
    def every_state_at_central_carries_its_site_s_signature(self) -> None:
        assert self.governed.signatures_hold(self.study_id)

    @invariant()
    @precondition(lambda self: hasattr(self, "governed"))
    def what_the_gate_says_now_is_what_the_history_says(self) -> None:
        for node in self.governed.nodes.values():
            with node.database.connect() as connection:
                study = node.approvals.current(connection, self.study_id)
                can_run = node.approvals.standing(connection, study).can_run
            assert can_run == is_allowed(node, self.study_id, self.moment)


TestGovernanceMachine = GovernanceMachine.TestCase
TestGovernanceMachine.settings = settings(
    max_examples=6,
    stateful_step_count=30,
    deadline=None,
    # Shrinking builds whole networks hundreds of times; the steps as they were found are short enough to read.
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
