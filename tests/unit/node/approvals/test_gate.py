"""The technical gate: every purpose needs every signed, unexpired decision on exactly this version and dataset."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.domain.governance.approval import EXPIRED, MISSING, NEEDED, ApprovalKind, Purpose
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.identity import Role
from racoon.domain.study import StudyDefinition
from racoon.node.approvals._store import site_approval
from racoon.node.approvals.model import NotApproved, StudyAtSite
from racoon.node.jobs.model import Outcome, Progress
from racoon.platform import clock
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer
from tests.unit.node.jobs.test_jobs import COHORT, PLAN, RELEASE, STEPS, STUDY, Site, offer

Steps = tuple[tuple[str, str, Role, dict[str, Any]], ...]


@pytest.fixture
def site() -> Iterator[Site]:
    database = Database("sqlite://")
    create_all(database, "node")
    yield Site(database)
    database.dispose()


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """The clock of the node; its one element can be set."""
    moment = [datetime(2026, 11, 23, 12, tzinfo=UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    return moment


def with_last_day(steps: Steps, target: str, day: str) -> Steps:
    return tuple(
        (state, actor, role, {**artefacts, "valid_until": day} if state == target else artefacts)
        for state, actor, role, artefacts in steps
    )


def open_study(site: Site, steps: Steps = STEPS, release: Steps = RELEASE) -> None:
    site.offer_study()
    site.decide(steps)
    site.announce_state("active")
    with site.database.begin() as connection:
        site.approvals.dataset_frozen(connection, "S1", STUDY.hash, "d" * 64)
    site.decide(release)


def block(site: Site, purpose: Purpose) -> str | None:
    with site.database.connect() as connection:
        study = site.approvals.current(connection, "S1")
        try:
            site.approvals.require(connection, study, purpose)
        except NotApproved as refusal:
            return refusal.error_code
    return None


def standing(site: Site) -> dict[str, Any]:
    """What CENTRAL was told last."""
    return [message.model_dump() for kind, message in site.said if kind == "study.standing"][-1]


def test_each_purpose_is_open_once_everything_is_decided(site: Site) -> None:
    open_study(site)
    assert {purpose: block(site, purpose) for purpose in Purpose} == {
        **dict.fromkeys(Purpose),
        Purpose.EXPORT: "approvals.purpose",  # a federated study never asked for one
    }
    assert standing(site)["can_run"] is True


@pytest.mark.parametrize("kind", ApprovalKind)
@pytest.mark.parametrize("purpose", sorted(set(Purpose) - {Purpose.EXPORT}))
def test_a_missing_record_blocks_even_when_the_track_says_released(
    site: Site, kind: ApprovalKind, purpose: Purpose
) -> None:
    """Somebody with access to the database writes the state by hand; the signatures are not there."""
    open_study(site)
    with site.database.begin() as connection:
        connection.execute(sa.delete(site_approval).where(site_approval.c.kind == kind.value))
    expected = f"approvals.missing_{kind.value}" if kind in NEEDED[purpose] else None
    assert block(site, purpose) == expected


@pytest.mark.parametrize("changed", [{"positive": True}, {"valid_until": "2999-01-01"}, {"actor": "eve"}])
def test_an_altered_record_blocks(site: Site, changed: dict[str, Any]) -> None:
    open_study(site)
    with site.database.begin() as connection:
        record = connection.execute(sa.select(site_approval.c.record).limit(1)).scalar_one()
        altered = {**record, **changed}
        if altered == record:
            altered["positive"] = False
        connection.execute(
            sa.update(site_approval).where(site_approval.c.sequence == 1).values(record=altered)
        )
    assert block(site, Purpose.MEASURE) == "approvals.tampered"


def test_a_record_of_another_node_s_key_does_not_count(site: Site) -> None:
    open_study(site)
    stranger_database = Database("sqlite://")
    create_all(stranger_database, "node")
    stranger = Site(stranger_database)
    open_study(stranger)
    with stranger_database.connect() as connection:
        foreign = [dict(row._mapping) for row in connection.execute(sa.select(site_approval))]
    stranger_database.dispose()
    with site.database.begin() as connection:
        connection.execute(sa.delete(site_approval))
        connection.execute(sa.insert(site_approval), foreign)
    assert block(site, Purpose.MEASURE) == "approvals.tampered"


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("local_ethics", ApprovalKind.ETHICS),
        ("uac_vote", ApprovalKind.UAC),
        ("contract_signed", ApprovalKind.CONTRACT),
        ("dpo_ok", ApprovalKind.DATA_PROTECTION),
        ("released", ApprovalKind.RELEASE),
    ],
)
def test_an_ended_approval_stops_what_waits_and_runs_and_says_so(
    site: Site, today: list[datetime], target: str, kind: ApprovalKind
) -> None:
    open_study(site, with_last_day(STEPS, target, "2026-12-31"), with_last_day(RELEASE, target, "2026-12-31"))
    in_2027 = datetime(2027, 2, 1, tzinfo=UTC)
    site.receive(offer("J1", not_after=in_2027))
    today[0] = datetime(2026, 12, 31, 23, 59, tzinfo=UTC)
    assert block(site, Purpose.MEASURE) is None
    today[0] += timedelta(minutes=1)
    assert block(site, Purpose.MEASURE) == f"approvals.expired_{kind.value}"
    with site.database.begin() as connection:
        site.approvals.tick(connection)
    assert site.state("J1") == ("refused", f"approvals.expired_{kind.value}")
    told = standing(site)
    assert (told["can_run"], told["code"]) == (False, f"approvals.expired_{kind.value}")
    assert told["public_reason"] == f"{EXPIRED[kind]}: 2026-12-31"
    said = len(site.said)
    with site.database.begin() as connection:
        site.approvals.tick(connection)
    assert len(site.said) == said
    site.jobs.run("J1")
    assert site.worked == []


def test_a_vote_that_ends_while_the_work_goes_on_keeps_the_outcome_inside(
    site: Site, today: list[datetime]
) -> None:
    open_study(site, with_last_day(STEPS, "local_ethics", "2026-12-31"))
    site.receive(offer(not_after=datetime(2027, 2, 1, tzinfo=UTC)))

    def work(_offer: JobOffer, _study: StudyAtSite | None, _report: Progress) -> Outcome:
        today[0] = datetime(2027, 1, 1, tzinfo=UTC)
        return Outcome({"secret": 1})

    site.jobs._handlers["measure"] = work
    site.jobs.run("J1")
    assert site.released == []
    assert site.state("J1") == ("refused", "approvals.expired_ethics")


def test_a_renewed_vote_opens_again(site: Site, today: list[datetime]) -> None:
    open_study(site, with_last_day(STEPS, "local_ethics", "2026-12-31"))
    today[0] = datetime(2027, 1, 1, tzinfo=UTC)
    renewal = {"ethics_vote": "extension 1", "valid_until": "2027-12-31"}

    def renew(kind: ApprovalKind, role: Role, artefacts: dict[str, Any], version: int | None = None) -> None:
        with site.database.begin() as connection:
            study = site.approvals.current(connection, "S1")
            site.approvals.renew(
                connection, study, kind, actor="inga", roles={role}, artefacts=artefacts, version=version
            )

    with pytest.raises(TransitionRefused, match="belongs to"):
        renew(ApprovalKind.ETHICS, Role.DPO, renewal)
    with pytest.raises(TransitionRefused, match="needs: ethics_vote"):
        renew(ApprovalKind.ETHICS, Role.DIZ, {})
    with pytest.raises(TransitionRefused, match="not over yet"):
        renew(ApprovalKind.ETHICS, Role.DIZ, {**renewal, "valid_until": "2026-12-31"})
    with pytest.raises(TransitionRefused, match="no such approval"):
        renew(ApprovalKind.UAC, Role.UAC_CHAIR, {"vote": "yes"})
    with pytest.raises(TransitionRefused, match="meanwhile"):
        renew(ApprovalKind.ETHICS, Role.DIZ, renewal, version=1)
    assert block(site, Purpose.MEASURE) == "approvals.expired_ethics"
    renew(ApprovalKind.ETHICS, Role.DIZ, renewal)
    assert block(site, Purpose.MEASURE) is None
    assert standing(site)["can_run"] is True
    with site.database.connect() as connection:
        assert site.approvals.current(connection, "S1").track_state == "released"
        assert site.approvals.history(connection, "S1")[-1]["artefacts"]["renewed"] == "ethics"


def test_a_conditional_vote_counts_only_when_its_conditions_are_met(site: Site) -> None:
    site.offer_study()
    site.decide((STEPS[0], ("uac_vote", "uwe", Role.UAC_MEMBER, {"vote": "conditional"})))
    with site.database.connect() as connection:
        study = site.approvals.current(connection, "S1")
        (legal, vote) = site.approvals.records(connection, study).approvals
    assert (legal.positive, vote.positive) == (True, False)
    site.decide(
        (
            ("conditions_open", "uwe", Role.UAC_MEMBER, {}),
            ("conditions_met", "ulla", Role.UAC_CHAIR, {"comment": "defacing agreed"}),
        )
    )
    with site.database.connect() as connection:
        study = site.approvals.current(connection, "S1")
        assert site.approvals.records(connection, study).approvals[-1].positive


def test_a_narrow_release_opens_its_purposes_only(site: Site) -> None:
    narrow = (RELEASE[0], ("released", "dia", Role.DIZ, {"purposes": "measure, view"}))
    open_study(site, release=narrow)
    assert {purpose for purpose in Purpose if block(site, purpose) is None} == {
        Purpose.FREEZE,
        Purpose.MEASURE,
        Purpose.VIEW,
    }
    assert block(site, Purpose.TRAIN) == "approvals.purpose"
    assert standing(site)["can_run"] is True


def test_a_purpose_nobody_asked_for_cannot_be_released(site: Site) -> None:
    with pytest.raises(TransitionRefused, match="does not ask for: export"):
        open_study(site, release=(RELEASE[0], ("released", "dia", Role.DIZ, {"purposes": "export"})))


def test_a_dataset_frozen_after_the_release_is_not_released(site: Site) -> None:
    open_study(site)
    with site.database.begin() as connection:
        site.approvals.dataset_frozen(connection, "S1", STUDY.hash, "e" * 64)
    assert block(site, Purpose.MEASURE) == "approvals.dataset"
    assert standing(site)["code"] == "approvals.dataset"


def test_approving_one_version_approves_no_other_and_the_old_one_stays_in_force(site: Site) -> None:
    open_study(site)
    amended = StudyDefinition("t", "another summary", "federated", COHORT, measuring=PLAN)
    site.offer_study(amended)
    with site.database.begin() as connection:
        study = site.approvals.study(connection, "S1", amended.hash)
        assert study is not None
        with pytest.raises(NotApproved):
            site.approvals.require(connection, study, Purpose.MEASURE)
    site.receive(offer("J1"))
    site.receive(offer("J2", study_hash=amended.hash))
    site.jobs.run("J1")
    site.jobs.run("J2")
    assert site.worked == ["J1"]
    assert site.state("J2") == ("refused", "approvals.not_approved")


def test_the_reason_of_a_stop_is_said_and_running_work_ends_in_its_transaction(site: Site) -> None:
    open_study(site)
    site.receive(offer())
    site.decide((("stopped", "dora", Role.DPO, {"comment": "internal", "public_reason": "We pause."}),))
    assert site.state("J1") == ("refused", "approvals.stopped")
    told = standing(site)
    assert told["public_reason"] == "This site has stopped the study: We pause."
    assert "internal" not in repr([message.model_dump() for _, message in site.said])
    assert block(site, Purpose.VIEW) == "approvals.stopped"


def test_every_kind_has_its_words() -> None:
    assert set(MISSING) == set(EXPIRED) == set(ApprovalKind)
    assert set(NEEDED) == set(Purpose)
