"""What one may ask about analyses across sites: start one, carry it on, read its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.central.analyses.model import AnalysisRefused, measuring_sites
from racoon.central.analyses.service import Analyses
from racoon.central.analysing import _store
from racoon.central.analysing.model import KIND, MOST_ROUNDS, Mode, UnknownAnalysis
from racoon.central.orchestration.model import JobOrder, RunState
from racoon.central.orchestration.service import Runs
from racoon.central.studies.model import Study
from racoon.central.studies.service import Studies
from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.governance.study import LIVE_STATES
from racoon.platform import clock


class AnalysisRuns:
    """Analyses of all studies.

    Parameters
    ----------
    studies, runs, analyses
        The rooms an analysis needs.
    time
        How long sites have for a round.
    """

    def __init__(self, studies: Studies, runs: Runs, analyses: Analyses, *, time: timedelta) -> None:
        self._studies = studies
        self._runs = runs
        self._analyses = analyses
        self._time = time

    def start(
        self,
        connection: sa.Connection,
        study_id: str,
        plan: str,
        actor: str,
        role: str,
        mode: Mode = Mode.FEDERATED,
    ) -> str:
        """Start an analysis that the study's sites have approved.

        Parameters
        ----------
        study_id
            The study.
        plan
            Hash or name of one of its analysis plans; may be empty where there is only one.
        actor, role
            Who asks.
        mode
            How the answers come together.

        Returns
        -------
        str
            Id of the run.

        Raises
        ------
        AnalysisRefused
            When study, plan or sites are not ready.
        """
        study = self._studies.study(connection, study_id)
        if study.state not in LIVE_STATES:
            raise AnalysisRefused(
                f"Not possible while the study is {study.state}.", code="analysis.study_state"
            )
        chosen = _choose(study.definition.analyses, plan)
        frozen = self._analyses.released_datasets(connection, study_id)
        hospitals = measuring_sites(study.definition, frozen)
        pool = study.definition.pool_site or ""
        if mode is Mode.POOL and pool not in frozen:
            raise AnalysisRefused("The study has no pool with a released dataset.", code="analysis.no_pool")
        datasets = {pool: frozen[pool]} if mode is Mode.POOL else hospitals
        if not datasets:
            raise AnalysisRefused("No site has released a frozen dataset yet.")
        said = self._analyses.frozen(connection, study_id)
        subjects = {site: said.get(site, {}).get("subjects") for site in sorted({*hospitals, *datasets})}
        count = len(self._runs.runs(connection, study_id=study_id, kinds=(KIND,)))
        run_id = f"{study_id}.{KIND}-{count + 1}"
        now = clock.now()
        self._runs.open_parent(
            connection,
            run_id=run_id,
            study_id=study_id,
            study_hash=study.hash,
            kind=KIND,
            deadline=now + 3 * self._time,
            created_by=actor,
            role=role,
        )
        _store.insert(
            connection,
            run_id=run_id,
            study_id=study_id,
            study_hash=study.hash,
            plan=chosen.to_dict(),
            plan_hash=chosen.hash,
            datasets=datasets,
            mode=mode,
            subjects=subjects,
            state=RunState.RUNNING,
            created_by=actor,
            created_at=now,
        )
        self._drive(connection, run_id)
        return run_id

    def study(self, connection: sa.Connection, study_id: str) -> Study:
        """Return the study that a plan is written for."""
        return self._studies.study(connection, study_id)

    def propose(
        self,
        connection: sa.Connection,
        study_id: str,
        plan: AnalysisPlan,
        version: int,
        actor: str,
        role: str,
    ) -> None:
        """Put a plan into a study whose definition may still change; one of the same name is replaced."""
        definition = self._studies.study(connection, study_id).definition
        others = [item for item in definition.analyses if item.name != plan.name]
        document = replace(definition, analyses=(*others, plan)).to_dict()
        self._studies.revise(connection, study_id, document, version, actor, role)

    def plan(self, connection: sa.Connection, study_id: str, plan: str) -> AnalysisPlan:
        """Return one of a study's approved plans, by hash or name.

        Raises
        ------
        AnalysisRefused
        """
        return _choose(self._studies.study(connection, study_id).definition.analyses, plan)

    def analyses(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return a study's analyses, newest first."""
        return _store.load_all(connection, study_id=study_id)

    def analysis(self, connection: sa.Connection, run_id: str) -> dict[str, Any]:
        """Return one analysis with its result, if it has one.

        Raises
        ------
        UnknownAnalysis
        """
        row = _store.load(connection, run_id)
        if row is None:
            raise UnknownAnalysis("There is no such analysis.")
        rounds = self._runs.runs(connection, parent=run_id)
        return {**row, "rounds": len(rounds), "is_running": row["state"] == RunState.RUNNING}

    def is_any_running(self, connection: sa.Connection) -> bool:
        """Tell whether there is an analysis to carry on."""
        return bool(_store.load_all(connection, state=RunState.RUNNING))

    def drive_all(self, connection: sa.Connection) -> None:
        """Carry every running analysis as far as its answers reach; idempotent."""
        for row in _store.load_all(connection, state=RunState.RUNNING):
            self._drive(connection, row["run_id"])

    def _drive(self, connection: sa.Connection, run_id: str) -> None:
        from racoon.central.analysing.modes import carry_on  # noqa: PLC0415 - scipy, only
        from racoon.central.analysing.replay import book_of, result_document  # noqa: PLC0415 - where an
        from racoon.science.analysis import Analysis  # noqa: PLC0415 - analysis runs

        row = _store.load(connection, run_id, to_change=True)
        assert row is not None, "only stored analyses are driven"
        if self._runs.run(connection, run_id)["state"] == RunState.CANCELLED:
            _store.update(connection, run_id, state=RunState.CANCELLED, ended_at=clock.now())
            return
        rounds = self._runs.runs(connection, parent=run_id)
        if any(run["state"] == RunState.RUNNING for run in rounds):
            return
        plan = parse_plan(row["plan"])
        book = book_of(plan, row["datasets"], rounds)
        if plan.on_dropout == "stop" and book.left:
            named = "; ".join(f"{site}: {reason}" for site, reason in sorted(book.left.items()))
            self._finish(connection, run_id, RunState.FAILED, reason=named[:500])
            return
        found = carry_on(plan, book, Mode(row["mode"]), self._hospitals(row))
        if isinstance(found, Analysis):
            study = self._studies.study(connection, row["study_id"]).definition
            known = {"title": study.title, "application": dict(study.application)}
            result = {**result_document(row, found, book, rounds), "study": known}
            self._finish(connection, run_id, RunState.COMPLETED, result=result)
        elif len(rounds) >= MOST_ROUNDS:
            self._finish(connection, run_id, RunState.FAILED, reason="It did not end within its rounds.")
        else:
            self._ask(connection, row, len(rounds) + 1, {
                site: [question.to_dict() for question in questions] for site, questions in found.items()
            })  # fmt: skip

    def _ask(
        self,
        connection: sa.Connection,
        row: Mapping[str, Any],
        number: int,
        questions: Mapping[str, list[dict[str, Any]]],
    ) -> None:
        # Sites that are fitted alone end in different rounds, and the pool holds the rows of several: what counts is
        # among how many hospitals a number will stand.
        is_alone = row["mode"] != Mode.FEDERATED
        orders = [
            JobOrder(
                site,
                {
                    "plan": row["plan"],
                    "dataset_hash": row["datasets"][site],
                    "round": number,
                    "sites": max(len(questions), self._hospitals(row)) if is_alone else len(questions),
                    "questions": asked,
                },
                row["plan_hash"],
            )
            for site, asked in questions.items()
        ]
        self._runs.start(
            connection,
            run_id=f"{row['run_id']}.round-{number}",
            study_id=row["study_id"],
            study_hash=row["study_hash"],
            kind="analyse",
            orders=orders,
            deadline=clock.now() + self._time,
            quorum=1,
            created_by=row["created_by"],
            role="central",
            parent=row["run_id"],
        )

    def _hospitals(self, row: Mapping[str, Any]) -> int:
        """Count the hospitals whose subjects take part."""
        own = set(row["subjects"] or row["datasets"])
        return len(own - set(row["datasets"])) if row["mode"] == Mode.POOL else len(row["datasets"])

    def _finish(
        self,
        connection: sa.Connection,
        run_id: str,
        state: RunState,
        *,
        reason: str | None = None,
        result: Mapping[str, Any] | None = None,
    ) -> None:
        _store.update(connection, run_id, state=state, reason=reason, result=result, ended_at=clock.now())
        self._runs.close_parent(connection, run_id, state)


def _choose(plans: tuple[AnalysisPlan, ...], wanted: str) -> AnalysisPlan:
    found = [plan for plan in plans if wanted in (plan.hash, plan.name)] if wanted else list(plans)
    if not plans:
        raise AnalysisRefused("The study has no analysis plan.", code="analysis.no_plan")
    if len(found) != 1:
        names = ", ".join(plan.name for plan in plans)
        raise AnalysisRefused(
            f"Name one of the study's approved analysis plans: {names}.", code="analysis.plan_not_approved"
        )
    return found[0]
