"""What needs a person today: whose turn it is, what is overdue, and what the site's own process asks first."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from racoon.domain.governance.local_process import read_process
from racoon.domain.identity import Role
from racoon.node.approvals.model import StudyAtSite
from racoon.node.portal.model import Facts, Task, tasks_for
from tests.unit.node.jobs.test_jobs import STUDY

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
EXAMPLE = Path(__file__).parents[3] / "examples" / "use-and-access-three-steps.json"
ADVICE, REVIEW, _ = read_process(json.loads(EXAMPLE.read_text("utf-8"))).steps

ASKED = StudyAtSite("S1", STUDY.hash, STUDY, "site_voting", "requested", 1, None, None, None, NOW)


def facts(study: StudyAtSite = ASKED, **more: object) -> Facts:
    well = Facts(
        now=NOW,
        last_contact=NOW,
        certificate_expires_at=NOW + timedelta(days=90),
        disk_free_bytes=10**12,
        intake_waiting=0,
        oldest_waiting_s=0,
        quarantined=0,
        studies=(study,),
        jobs=(),
    )
    return replace(well, **more)  # type: ignore[arg-type]  # names of the record


def about(found: Facts, *roles: Role) -> list[str]:
    return [task.text.partition(" ")[2] for task in tasks_for(found, roles)]


def only(found: Facts, *roles: Role) -> Task:
    (task,) = tasks_for(found, roles)
    return task


def test_a_decision_is_shown_to_those_whose_turn_it_is() -> None:
    assert about(facts(), Role.DIZ) == ["waits for your decision."]
    assert about(facts(), Role.DPO) == []
    assert about(facts(replace(ASKED, central_state="withdrawn")), Role.DIZ) == []


@pytest.mark.parametrize(("days", "is_overdue"), [(27, False), (28, True), (40, True)])
def test_what_waits_too_long_is_overdue_by_the_clock_of_the_site(days: int, is_overdue: bool) -> None:
    since = {("S1", STUDY.hash): NOW - timedelta(days=days)}
    task = only(facts(since=since), Role.DIZ)
    assert ("overdue" in task.text) is is_overdue
    assert task.values.get("days") == (str(days) if is_overdue else None)
    assert task.level == ("warn" if is_overdue else "todo")


def test_a_reminder_of_an_earlier_step_is_over() -> None:
    reminded = replace(ASKED, reminded_at=NOW - timedelta(days=3))
    earlier = {("S1", STUDY.hash): NOW - timedelta(days=20)}
    later = {("S1", STUDY.hash): NOW - timedelta(days=1)}
    assert "reminded" in only(facts(reminded, since=earlier), Role.DIZ).next_step
    assert "reminded" not in only(facts(reminded, since=later), Role.DIZ).next_step


def test_the_own_process_comes_before_the_track() -> None:
    key = ("S1", STUDY.hash)
    first = facts(local={key: ADVICE})
    assert about(first, Role.DIZ) == ["waits for a step of this site's own process."]
    assert about(first, Role.DPO) == []
    # A later local step leaves the track's earlier steps open.
    second = facts(local={key: REVIEW})
    assert about(second, Role.DIZ) == ["waits for your decision."]
    assert about(second, Role.DPO) == ["waits for a step of this site's own process."]
    left = replace(ASKED, track_state="stopped")
    assert about(facts(left, local={key: ADVICE}), Role.DIZ) == []
