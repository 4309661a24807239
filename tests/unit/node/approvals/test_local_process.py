"""A site's own process: steps in order, by their people, signed; without them nothing of the study runs here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.domain.governance.approval import Purpose
from racoon.domain.governance.local_process import (
    LOCAL_ENDED,
    LOCAL_MISSING,
    LOCAL_REFUSED,
    LocalProcess,
    read_process,
)
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.identity import Role
from racoon.node.approvals._store import local_decision
from racoon.node.approvals.model import NotApproved
from racoon.node.settings import ApprovalsSettings
from racoon.platform import clock
from racoon.platform.database import Database, create_all
from tests.unit.node.jobs.test_jobs import RELEASE, STEPS, STUDY, Site

EXAMPLE = Path(__file__).parents[4] / "examples" / "use-and-access-three-steps.json"
PROCESS = read_process(json.loads(EXAMPLE.read_text("utf-8")))

ADVICE = ("advice", "dia", Role.DIZ, {"local_number": "7", "local_lead": "Dr. B"}, "")
REVIEW = ("review", "dora", Role.DPO, {"statements": "none objects"}, "")
BOARD = ("signature", "ute", Role.UAC_CHAIR, {"minutes": "3"}, "2026-12-31")

Decision = tuple[str, str, Role, dict[str, str], str]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    database = Database("sqlite://")
    create_all(database, "node")
    moment = datetime(2026, 11, 23, 12, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: moment)
    site = Site(database)
    site.approvals.process = PROCESS
    site.offer_study()
    yield site
    database.dispose()


def local(site: Site, step: Decision, *, positive: bool = True) -> None:
    key, actor, role, handed_in, last = step
    with site.database.begin() as connection:
        site.approvals.decide_local(
            connection,
            site.approvals.current(connection, "S1"),
            key,
            actor=actor,
            roles={role},
            positive=positive,
            handed_in=handed_in,
            valid_until=last,
        )


def refused(site: Site, step: Decision, *, positive: bool = True) -> str:
    with pytest.raises(TransitionRefused) as refusal:
        local(site, step, positive=positive)
    return refusal.value.error_code


def block(site: Site, purpose: Purpose = Purpose.MEASURE) -> str | None:
    with site.database.connect() as connection:
        try:
            site.approvals.require(connection, site.approvals.current(connection, "S1"), purpose)
        except NotApproved as refusal:
            return refusal.error_code
    return None


def release(site: Site) -> None:
    local(site, ADVICE)
    site.decide(STEPS[:1])
    local(site, REVIEW)
    site.decide(STEPS[1:4])
    local(site, BOARD)
    site.decide(STEPS[4:])
    site.announce_state("active")
    with site.database.begin() as connection:
        site.approvals.dataset_frozen(connection, "S1", STUDY.hash, "d" * 64)
    site.decide(RELEASE)


def said(site: Site) -> dict[str, Any]:
    return [message.model_dump() for kind, message in site.said if kind == "study.standing"][-1]


def test_the_network_track_waits_for_each_local_step(site: Site) -> None:
    with pytest.raises(TransitionRefused, match="own process comes first"):
        site.decide(STEPS[:1])
    local(site, ADVICE)
    site.decide(STEPS[:1])
    with pytest.raises(TransitionRefused, match="own process comes first"):
        site.decide(STEPS[1:2])
    local(site, REVIEW)
    site.decide(STEPS[1:4])
    with pytest.raises(TransitionRefused, match="own process comes first"):
        site.decide(STEPS[4:5])
    # A site leaves from every state, whatever its own process says.
    site.decide((("stopped", "dora", Role.DPO, {"comment": "no"}),))


def test_a_study_that_went_through_runs(site: Site) -> None:
    release(site)
    assert block(site) is None
    assert said(site)["can_run"] is True


def test_steps_belong_to_people_in_order_with_what_they_ask_for(site: Site) -> None:
    assert refused(site, REVIEW) == "track.local_first"
    assert refused(site, ("elsewhere", "dia", Role.DIZ, {}, "")) == "track.local_step"
    assert refused(site, ("advice", "rita", Role.READER, ADVICE[3], "")) == "track.local_role"
    assert refused(site, ("advice", "dia", Role.DIZ, {"local_number": "7"}, "")) == "track.local_fields"
    assert refused(site, ("advice", "dia", Role.DIZ, {**ADVICE[3], "more": "x"}, "")) == "track.local_fields"
    local(site, ADVICE)
    assert refused(site, ("review", "dia", Role.DPO, REVIEW[3], "")) == "track.local_person"
    local(site, REVIEW)
    assert refused(site, ("signature", "ute", Role.UAC_CHAIR, BOARD[3], "")) == "track.local_day"
    assert refused(site, ("signature", "ute", Role.UAC_CHAIR, BOARD[3], "2026-01-01")) == "track.last_day"
    # A no needs no papers, and everything after it waits again.
    local(site, ("review", "dora", Role.DPO, {"comment": "objections"}, ""), positive=False)
    assert refused(site, BOARD) == "track.local_first"


def test_a_no_stops_a_running_study_and_central_hears_no_word_of_it(site: Site) -> None:
    release(site)
    local(site, ("review", "dora", Role.DPO, {"comment": "secret objection"}, ""), positive=False)
    assert block(site) == "approvals.local_refused"
    assert said(site)["public_reason"] == LOCAL_REFUSED
    assert "secret objection" not in str(site.said)
    assert "Review by" not in str(site.said)
    local(site, REVIEW)
    assert block(site) is None


def test_an_ended_decision_stops_reads_and_renewing_it_opens_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    release(site)
    later = datetime(2027, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: later)
    with site.database.begin() as connection:
        site.approvals.tick(connection)
    assert block(site, Purpose.VIEW) == "approvals.local_expired"
    assert said(site)["public_reason"] == f"{LOCAL_ENDED}: 2026-12-31"
    local(site, (*BOARD[:4], (later + timedelta(days=30)).date().isoformat()))
    assert block(site, Purpose.VIEW) is None


def test_a_forged_decision_counts_for_nothing(site: Site) -> None:
    release(site)
    with site.database.begin() as connection:
        row = connection.execute(sa.select(local_decision).order_by(local_decision.c.sequence.desc())).first()
        assert row is not None
        forged = {**row.record, "valid_until": "2099-12-31"}
        connection.execute(
            local_decision.update().where(local_decision.c.sequence == row.sequence).values(record=forged)
        )
    assert block(site) == "approvals.tampered"


def test_a_process_that_is_written_later_blocks_until_it_is_followed(site: Site) -> None:
    site.approvals.process = LocalProcess()
    site.decide(STEPS)
    site.announce_state("active")
    assert block(site, Purpose.FREEZE) is None
    site.approvals.process = PROCESS
    assert block(site, Purpose.FREEZE) == "approvals.local_missing"
    with site.database.begin() as connection:
        site.approvals.tick(connection)
    assert said(site)["public_reason"].startswith("This site has not released")
    assert LOCAL_MISSING


def test_a_step_before_the_release_does_not_hold_the_freeze(site: Site) -> None:
    steps = (PROCESS.steps[0], *(step for step in [PROCESS.steps[2]] if step))
    last = steps[1].__class__(**{**steps[1].__dict__, "before": "released"})
    site.approvals.process = LocalProcess(PROCESS.name, (steps[0], last))
    local(site, ADVICE)
    site.decide(STEPS)
    site.announce_state("active")
    assert block(site, Purpose.FREEZE) is None
    with site.database.begin() as connection:
        site.approvals.dataset_frozen(connection, "S1", STUDY.hash, "d" * 64)
    site.decide(RELEASE[:1])
    with pytest.raises(TransitionRefused, match="own process comes first"):
        site.decide(RELEASE[1:])
    local(site, BOARD)
    site.decide(RELEASE[1:])
    assert block(site) is None


def step(**changed: Any) -> dict[str, Any]:
    words = {"en": "x", "de": "y"}
    return {"key": "a", "title": words, "question": words, "before": "uac_vote", "roles": ["diz"], **changed}


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"name": {"en": "x", "de": "y"}, "steps": []},
        {"name": {"en": "x", "de": "y"}, "steps": [step()], "more": 1},
        {"name": {"en": "x"}, "steps": [step()]},
        *(
            {"name": {"en": "x", "de": "y"}, "steps": [step(**wrong)]}
            for wrong in (
                {"key": "a b"},
                {"before": "requested"},
                {"before": "stopped"},
                {"roles": []},
                {"roles": ["reader"]},
                {"fields": ["minutes"]},
                {"four_eyes": "yes"},
                {"title": {"en": "x", "de": ""}},
                {"unknown": 1},
            )
        ),
        {"name": {"en": "x", "de": "y"}, "steps": [step(), step()]},
        {"name": {"en": "x", "de": "y"}, "steps": [step(), step(key="b", before="diz_check")]},
    ],
)
def test_a_wrong_process_stops_the_node_at_boot(document: Any, tmp_path: Path) -> None:
    path = tmp_path / "process.json"
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(ValueError, match=r"process\.json is wrong"):
        ApprovalsSettings(process=path)


def test_a_process_is_read_at_boot(tmp_path: Path) -> None:
    assert ApprovalsSettings(process=EXAMPLE).local_process == PROCESS
    assert ApprovalsSettings().local_process == LocalProcess()
    with pytest.raises(ValueError, match="cannot be read"):
        ApprovalsSettings(process=tmp_path / "nowhere.json")
