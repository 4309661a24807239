"""A node's process killed anywhere in a round: one release, the same numbers, nothing computed again once released."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from racoon.domain.analysis import parse_plan
from racoon.domain.dataset import DatasetManifest
from racoon.domain.study import StudyDefinition
from racoon.node.analysing.worker import analyse_handler
from racoon.node.approvals.model import job_content_hash
from racoon.platform import clock
from racoon.platform.database import metadata
from racoon.protocol.messages import JobOffer, StudyOffer, StudyState
from racoon.science.analysis import Question
from tests.analysing_sites import PLAN, cohort, definition
from tests.node_rooms import NodeInProcess
from tests.unit.node.jobs.test_jobs import RELEASE, STEPS

MOMENTS = ("before the rows", "after the rows", "before the release", "in the release", "after the release")
TABLE = cohort(120, 3)
MANIFEST = DatasetManifest("S1", "main", ())
SMALL = parse_plan({**PLAN, "estimators": [PLAN["estimators"][0], PLAN["estimators"][3]], "subgroups": []})


class Round:
    """One offered round of an analysis at a node whose study is released."""

    def __init__(self, node: NodeInProcess) -> None:
        self.node, self.log = node, node.folder / "computed"
        study = StudyDefinition.from_dict(definition(SMALL.to_dict()))
        database, approvals = node.rooms.database, node.rooms.approvals
        with database.begin() as connection:
            offer = StudyOffer(
                study_id="S1", study_hash=study.hash, definition=study.to_dict(), requested_by="office"
            )
            approvals.receive_offer(connection, offer)
        self._decide(STEPS)
        with database.begin() as connection:
            approvals.receive_state(
                connection, StudyState(study_id="S1", study_hash=study.hash, state="active")
            )
            approvals.dataset_frozen(connection, "S1", study.hash, MANIFEST.hash)
        self._decide(RELEASE)
        asked = [Question(0), Question(1, coefficients=(0.0,) * 5)]
        parameters = {
            "plan": SMALL.to_dict(), "dataset_hash": MANIFEST.hash, "round": 1, "sites": 3,
            "questions": [question.to_dict() for question in asked],
        }  # fmt: skip
        job = JobOffer(
            job_id="job-1", run_id="S1.analysis-1.round-1", study_id="S1", study_hash=study.hash, kind="analyse",
            plan_hash=SMALL.hash, content_hash=job_content_hash("analyse", parameters), parameters=parameters,
            not_after=clock.now() + timedelta(hours=1),
        )  # fmt: skip
        node.rooms.jobs.register("analyse", lambda *_: None)  # type: ignore[arg-type, return-value]  # only known, so far
        with database.begin() as connection:
            node.rooms.jobs.receive(connection, job)

    def _decide(self, steps: Any) -> None:
        for target, actor, role, artefacts in steps:
            with self.node.rooms.database.begin() as connection:
                study = self.node.rooms.approvals.current(connection, "S1")
                self.node.rooms.approvals.decide(
                    connection, study, target, actor=actor, roles={role}, artefacts=artefacts
                )

    def run(self, dies: str) -> int | None:
        """Do the job in a process of its own, which kills itself at a moment; returns its exit code."""
        self.node.rooms.database.dispose()
        child = multiprocessing.get_context("fork").Process(target=self._work, args=(dies,))
        child.start()
        child.join(60)
        return child.exitcode

    def _work(self, dies: str) -> None:
        def reach(moment: str) -> None:
            if moment == dies:
                os.kill(os.getpid(), signal.SIGKILL)

        def load(_plan: Any, _manifest: DatasetManifest) -> Any:
            reach("before the rows")
            with self.log.open("a") as file:
                file.write("rows\n")
            return TABLE

        computing = analyse_handler(lambda *_: MANIFEST, load)

        def handle(*arguments: Any) -> Any:
            outcome = computing(*arguments)
            reach("after the rows")
            return outcome

        rooms = self.node.rooms
        submit = rooms.jobs._submit

        def release(*arguments: Any) -> Any:
            reach("before the release")
            found = submit(*arguments)
            reach("in the release")
            return found

        rooms.jobs._submit = release
        rooms.jobs.register("analyse", handle)
        rooms.jobs.run("job-1")
        reach("after the release")
        os._exit(0)

    def results(self) -> list[dict[str, Any]]:
        """What lies ready for CENTRAL."""
        with self.node.rooms.database.connect() as connection:
            rows = connection.execute(metadata("node").tables["link_outbox"].select()).all()
        found = [row._mapping["envelope"] for row in rows]
        return [item["payload"]["payload"] for item in found if item["type"] == "job.result"]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[list[Round]]:
    found = [Round(NodeInProcess(tmp_path / name)) for name in ("calm", "stormy")]
    yield found
    for item in found:
        item.node.close()


def test_a_round_is_released_once_whenever_the_process_dies(nodes: list[Round]) -> None:
    calm, stormy = nodes
    assert calm.run("never") == 0
    for moment in MOMENTS[:-1]:
        assert stormy.run(moment) == -signal.SIGKILL
        assert stormy.results() == [], moment
    assert stormy.run("after the release") == -signal.SIGKILL
    computed = stormy.log.read_text().count("rows")
    assert stormy.results() == calm.results()
    assert json.dumps(stormy.results()[0]["answers"])
    assert stormy.run("never") == 0
    assert len(stormy.results()) == 1
    assert stormy.log.read_text().count("rows") == computed, "nothing is computed again for a released number"
