"""After a linkage a person of two sites counts at one of them, and the answer says so; without one nothing changes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.domain.cohort import CohortDefinition, GenderCriterion
from racoon.domain.identity import Pseudonym
from racoon.node.cohorts._store import series_fact
from racoon.node.cohorts.worker import CountedElsewhere, count_handler, nothing_linked
from racoon.node.release import _store
from racoon.node.release.counting import answer_count, index_epoch
from racoon.node.release.policy import DisclosurePolicy
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer

EVERYBODY = 40


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    with found.begin() as connection:
        rows = [
            {
                "series_uid": f"1.{number}",
                "imaging_study_uid": f"2.{number}",
                "pseudonym": f"P{number}",
                "modality": "CT",
                "body_part": "CHEST",
                "gender": "female",
                "instance_count": 1,
            }
            for number in range(EVERYBODY)
        ]
        connection.execute(sa.insert(series_fact), rows)
    yield found
    found.dispose()


def counted(database: Database, elsewhere: CountedElsewhere, cohort: dict[str, Any]) -> dict[str, Any]:
    offer = JobOffer(
        job_id="job-1",
        run_id="run-1",
        study_id="linked-study",
        study_hash="0" * 64,
        kind="count",
        plan_hash=None,
        content_hash="0" * 64,
        parameters={"cohort": cohort},
        not_after=clock.now() + timedelta(days=1),
    )
    handler = count_handler(database, lambda _column: sa.true(), counted_elsewhere=elsewhere)
    return dict(handler(offer, None, lambda _done, _all, _text: None).aggregate)


def test_who_counts_elsewhere_is_left_out_and_the_answer_says_so(database: Database) -> None:
    cohort = CohortDefinition(((GenderCriterion(("female",)),),)).to_dict()
    away = frozenset(Pseudonym(f"P{number}") for number in (3, 4, 5, 99))
    plain = counted(database, nothing_linked, cohort)
    linked = counted(database, lambda study: away if study == "linked-study" else None, cohort)
    assert (plain["count"], linked["count"]) == (EVERYBODY, EVERYBODY - 3)
    assert linked["members"] == plain["members"] - away
    assert "is_linked" not in plain
    audit, policy = AuditLog("node"), DisclosurePolicy()
    with database.begin() as connection:
        answers = [
            answer_count(connection, found, policy, audit, requester="r", project="linked-study").payload
            for found in (plain, linked, linked)
        ]
        epoch = index_epoch(clock.now())
        assert _store.load_answer(connection, plain["cohort_hash"], epoch) == answers[0]
    assert "is_linked" not in answers[0]
    assert answers[1]["is_linked"] is True
    # Asked again it is the stored answer, and never that to the other question.
    assert answers[2] == answers[1]
    assert {answer["cohort_hash"] for answer in answers} == {plain["cohort_hash"]}
