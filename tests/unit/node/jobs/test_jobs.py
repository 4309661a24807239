"""The life of a job at a site: verified, run once, ended in public words; nothing starts that was not allowed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.identity import Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.domain.study import StudyDefinition
from racoon.errors import Defect, Refused, Unavailable
from racoon.node.approvals.model import StudyAtSite, job_content_hash
from racoon.node.approvals.service import Approvals, StudyOfferDefect
from racoon.node.jobs import _store
from racoon.node.jobs.model import JobState, Outcome, Progress
from racoon.node.jobs.service import Jobs
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobCancel, JobOffer, Message, StudyOffer, StudyState

PLAN = MeasuringPlan("organs", (Measurement("volume", "1", Code("10200004", "SCT"), Bins(0, 3000, 100)),))
COHORT = {"version": "2", "inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]]}
STUDY = StudyDefinition("t", "l", "federated", COHORT, measuring=PLAN)

STEPS = (
    ("diz_check", "dia", Role.DIZ, {"legal_basis": "consent"}),
    ("uac_vote", "uwe", Role.UAC_MEMBER, {"vote": "yes"}),
    ("local_ethics", "inga", Role.SITE_INFORMATICIAN, {"ethics_vote": "1"}),
    ("dpo_ok", "dora", Role.DPO, {"data_protection": "ok"}),
    ("contract_signed", "inga", Role.SITE_INFORMATICIAN, {"contract": "c"}),
    ("opted_in", "inga", Role.SITE_INFORMATICIAN, {}),
)
RELEASE = (("data_ready", "inga", Role.SITE_INFORMATICIAN, {}), ("released", "dia", Role.DIZ, {}))


@dataclass
class Site:
    """A node's decisions and jobs on an in-memory database; what it says to CENTRAL is kept in a list."""

    database: Database
    said: list[tuple[str, Message]] = field(default_factory=list)
    released: list[tuple[str, Any]] = field(default_factory=list)
    worked: list[str] = field(default_factory=list)
    failure: Exception | None = None

    def __post_init__(self) -> None:
        audit = AuditLog("node")
        self.audit = audit
        self.approvals = Approvals(
            audit,
            lambda _, kind, message: self.said.append((kind, message)),
            Ed25519PrivateKey.generate(),
            feasibility_enabled=True,
        )
        self.jobs = Jobs(
            self.database,
            audit,
            self.approvals,
            lambda _, kind, message: self.said.append((kind, message)),
            lambda _, offer, outcome: self.released.append((offer.job_id, outcome.aggregate)),
            {"count": self.work, "measure": self.work, "freeze": self.work},
        )

    def work(self, offer: JobOffer, _study: StudyAtSite | None, report: Progress) -> Outcome:
        self.worked.append(offer.job_id)
        if self.failure is not None:
            raise self.failure
        report(1, 1, "")
        return Outcome({"done": True})

    def offer_study(self, definition: StudyDefinition = STUDY) -> None:
        with self.database.begin() as connection:
            self.approvals.receive_offer(
                connection,
                StudyOffer(
                    study_id="S1",
                    study_hash=definition.hash,
                    definition=definition.to_dict(),
                    requested_by="office",
                ),
            )

    def decide(self, steps: tuple[tuple[str, str, Role, dict[str, Any]], ...]) -> None:
        for target, actor, role, artefacts in steps:
            with self.database.begin() as connection:
                study = self.approvals.current(connection, "S1")
                self.approvals.decide(
                    connection, study, target, actor=actor, roles={role}, artefacts=artefacts
                )

    def announce_state(self, state: str) -> None:
        with self.database.begin() as connection:
            self.approvals.receive_state(
                connection, StudyState(study_id="S1", study_hash=STUDY.hash, state=state)
            )

    def open(self) -> None:
        """Walk to a released dataset in an active study."""
        self.offer_study()
        self.decide(STEPS)
        self.announce_state("active")
        with self.database.begin() as connection:
            self.approvals.dataset_frozen(connection, "S1", STUDY.hash, "d" * 64)
        self.decide(RELEASE)

    def receive(self, offer: JobOffer) -> None:
        with self.database.begin() as connection:
            self.jobs.receive(connection, offer)

    def state(self, job_id: str) -> tuple[str, str]:
        with self.database.connect() as connection:
            job = next(job for job in self.jobs.newest(connection) if job.offer.job_id == job_id)
        return job.state.value, job.code


@pytest.fixture
def site() -> Iterator[Site]:
    database = Database("sqlite://")
    create_all(database, "node")
    yield Site(database)
    database.dispose()


def offer(job_id: str = "J1", kind: str = "measure", **changes: Any) -> JobOffer:
    parameters = changes.pop("parameters", {"plan": PLAN.to_dict(), "dataset_hash": "d" * 64})
    fields: dict[str, Any] = {
        "job_id": job_id,
        "run_id": "R1",
        "study_id": "S1",
        "study_hash": STUDY.hash,
        "kind": kind,
        "plan_hash": content_hash(parameters["plan"]) if "plan" in parameters else None,
        "content_hash": job_content_hash(kind, parameters),
        "parameters": parameters,
        "not_after": clock.now() + timedelta(days=1),
    }
    return JobOffer(**{**fields, **changes})


def test_an_allowed_job_runs_once_and_its_outcome_passes_the_gate(site: Site) -> None:
    site.open()
    site.receive(offer())
    site.receive(offer())
    site.jobs.run("J1")
    site.jobs.run("J1")
    assert site.worked == ["J1"]
    assert site.released == [("J1", {"done": True})]
    assert site.state("J1") == ("succeeded", "")
    assert [kind for kind, _ in site.said if kind == "job.accepted"] == ["job.accepted"]


ALTERED = {"plan": {**PLAN.to_dict(), "name": "other"}, "dataset_hash": "d" * 64}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"content_hash": "0" * 64}, "approvals.content_hash"),
        ({"study_id": "S2"}, "approvals.unknown_study"),
        ({"study_hash": "0" * 64}, "approvals.unknown_study"),
        ({"plan_hash": "0" * 64}, "approvals.plan"),
        ({"parameters": ALTERED}, "approvals.plan"),
        ({"parameters": {"plan": PLAN.to_dict(), "dataset_hash": "e" * 64}}, "approvals.dataset"),
        ({"not_after": clock.now() - timedelta(seconds=1)}, "approvals.expired"),
        ({"kind": "evaluate"}, "jobs.kind_not_installed"),
    ],
)
def test_a_job_that_was_not_approved_never_starts(site: Site, changes: dict[str, Any], code: str) -> None:
    site.open()
    site.receive(offer(**changes))
    site.jobs.run("J1")
    assert site.worked == []
    assert site.state("J1") == ("refused", code)
    kind, refusal = site.said[-1]
    assert kind == "job.refused"
    assert refusal.model_dump()["code"] == code
    with site.database.connect() as connection:
        newest = site.audit.entries(connection, 1)[0]
    assert (newest.action, newest.outcome) == ("job.receive", "refused")


@pytest.mark.parametrize("steps", range(len(STEPS) + 1))
def test_nothing_runs_before_the_site_has_released_its_data(site: Site, steps: int) -> None:
    site.offer_study()
    site.decide(STEPS[:steps])
    site.announce_state("active")
    site.receive(offer())
    site.jobs.run("J1")
    assert site.worked == []
    assert site.state("J1")[0] == "refused"


def test_a_stop_between_acceptance_and_start_wins(site: Site) -> None:
    site.open()
    site.receive(offer())
    site.decide((("stopped", "dora", Role.DPO, {"comment": "doubts"}),))
    site.jobs.run("J1")
    assert site.worked == []
    assert site.state("J1") == ("refused", "approvals.stopped")


def test_a_hold_while_the_work_goes_on_keeps_the_outcome_inside(site: Site) -> None:
    site.open()
    site.receive(offer())

    def work(_offer: JobOffer, _study: StudyAtSite | None, _report: Progress) -> Outcome:
        site.announce_state("data_hold")
        return Outcome({"secret": 1})

    site.jobs._handlers["measure"] = work
    site.jobs.run("J1")
    assert site.released == []
    assert site.state("J1") == ("refused", "approvals.study_state")


def test_errors_end_a_job_in_public_words_and_unavailability_does_not_end_it(site: Site) -> None:
    site.open()
    site.failure = Unavailable("later")
    site.receive(offer("J1"))
    with pytest.raises(Unavailable):
        site.jobs.run("J1")
    assert [job.offer.job_id for job in site.jobs.pending()] == ["J1"]
    site.failure = Defect("The images cannot be read.", details={"patient": "SECRET"})
    site.jobs.run("J1")
    assert site.state("J1") == ("failed", "defect")
    site.failure = ZeroDivisionError("SECRET")
    site.receive(offer("J2"))
    with pytest.raises(Exception, match="its log names the place"):
        site.jobs.run("J2")
    assert "SECRET" not in repr([message.model_dump() for _, message in site.said])


def test_cancelling_works_from_both_sides(site: Site) -> None:
    site.open()
    for job_id in ("J1", "J2"):
        site.receive(offer(job_id))
    with site.database.begin() as connection:
        site.jobs.receive_cancel(connection, JobCancel(job_id="J1"))
        site.jobs.cancel(connection, "J2", "inga", Role.SITE_INFORMATICIAN)
    for job_id in ("J1", "J2"):
        site.jobs.run(job_id)
        assert site.state(job_id)[0] == JobState.CANCELLED
    assert site.worked == []


def test_counts_need_no_study_but_the_site_s_standing_permission(site: Site) -> None:
    site.receive(offer(kind="count", study_id="S9", parameters={"cohort": COHORT}, plan_hash=None))
    site.jobs.run("J1")
    assert site.worked == ["J1"]


def test_a_study_whose_definition_is_not_what_its_hash_says_is_refused(site: Site) -> None:
    with pytest.raises(StudyOfferDefect), site.database.begin() as connection:
        site.approvals.receive_offer(
            connection,
            StudyOffer(study_id="S1", study_hash="0" * 64, definition=STUDY.to_dict(), requested_by="x"),
        )


def test_a_stale_decision_is_refused(site: Site) -> None:
    site.offer_study()
    with site.database.connect() as connection:
        seen = site.approvals.current(connection, "S1")
    site.decide(STEPS[:1])
    with pytest.raises(TransitionRefused), site.database.begin() as connection:
        site.approvals.decide(
            connection,
            site.approvals.current(connection, "S1"),
            "uac_vote",
            actor="uwe",
            roles={Role.UAC_MEMBER},
            artefacts={"vote": "yes"},
            version=seen.version,
        )


def test_the_audit_chain_holds_after_everything(site: Site) -> None:
    site.open()
    site.receive(offer())
    site.jobs.run("J1")
    with site.database.connect() as connection:
        assert site.audit.verify(connection).valid
        actions = {entry.action for entry in site.audit.entries(connection, 100)}
    assert {"study.requested", "track.decide", "job.receive", "job.start"} <= actions


def test_a_training_is_paused_and_goes_on_and_other_work_is_not(site: Site) -> None:
    with site.database.begin() as connection:
        _store.insert(connection, offer("T1", "train.local"), JobState.RUNNING, "", "")
        _store.insert(connection, offer("M1"), JobState.RUNNING, "", "")
        for job_id, code in (("M1", "jobs.not_a_training"), ("none", "jobs.unknown")):
            with pytest.raises(Refused) as refusal:
                site.jobs.pause(connection, job_id, "inga", "site_informatician")
            assert refusal.value.error_code == code
    for is_paused, shown in ((True, "paused"), (False, "running")):
        with site.database.begin() as connection:
            change = site.jobs.pause if is_paused else site.jobs.go_on
            for _ in range(2):
                change(connection, "T1", "inga", "site_informatician")
        assert site.jobs.is_paused("T1") is is_paused
        with site.database.connect() as connection:
            job = next(job for job in site.jobs.newest(connection) if job.offer.job_id == "T1")
            assert (job.shown_state, job.state, job.can_pause) == (shown, JobState.RUNNING, True)
    with site.database.begin() as connection:
        site.jobs.pause(connection, "T1", "inga", "site_informatician")
        site.jobs.cancel(connection, "T1", "inga", "site_informatician")
        site.jobs.go_on(connection, "T1", "inga", "site_informatician")
        actions = [entry.action for entry in site.audit.entries(connection, 10)]
    # Twice the same wish is one entry, and what has ended is not paused.
    assert actions[:4] == ["job.cancel", "job.pause", "job.go_on", "job.pause"]
    assert site.state("T1")[0] == "cancelled"
