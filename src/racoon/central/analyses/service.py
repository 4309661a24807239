"""What one may ask about analyses: start them, drive comparisons, look at them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Literal

import sqlalchemy as sa

from racoon.central.analyses import _store
from racoon.central.analyses.model import (
    JOB_KIND,
    AnalysisRefused,
    CancelRun,
    EngineFacts,
    EngineState,
    Finish,
    JobFacts,
    Phase,
    RunFacts,
    Setup,
    StartEngine,
    StartRun,
    decide,
    labels_of,
    measuring_sites,
    training_setup,
)
from racoon.central.analyses.network import network_references
from racoon.central.orchestration.model import JobOrder, JobState, RunState
from racoon.central.orchestration.service import Artifacts, Runs
from racoon.central.sites.service import Sites
from racoon.central.studies.model import FREEZE_STATES, Study
from racoon.central.studies.service import Studies
from racoon.domain.canonical import content_hash
from racoon.domain.governance.site_track import OPTED_IN_STATES, RELEASED_STATES
from racoon.domain.governance.study import LIVE_STATES
from racoon.domain.plan import MeasuringPlan
from racoon.platform import clock

AnalysisKind = Literal["freeze", "measure", "training"]

DATASET_NAME = "main"
"""A study freezes one dataset per site; curation will name more."""


class Analyses:
    """Analyses of studies.

    Parameters
    ----------
    sites, studies, runs, artifacts
        The rooms an analysis needs.
    time
        How long sites have for a job.
    """

    def __init__(
        self, sites: Sites, studies: Studies, runs: Runs, artifacts: Artifacts, *, time: timedelta
    ) -> None:
        self._sites = sites
        self._studies = studies
        self._runs = runs
        self._artifacts = artifacts
        self._time = time

    # ------------------------------------------------------------------------------------------------ start

    def start(
        self,
        connection: sa.Connection,
        study_id: str,
        kind: AnalysisKind,
        actor: str,
        role: str,
        only: Sequence[str] = (),
    ) -> str:
        """Start an analysis.

        Parameters
        ----------
        study_id, kind
            What.
        actor, role
            Who asks.
        only
            Ask exactly these enrolled sites, whatever CENTRAL believes about their decisions: the site
            decides.

        Returns
        -------
        str
            Id of the run.

        Raises
        ------
        AnalysisRefused
            When study or sites are not ready.
        """
        study = self._studies.study(connection, study_id)
        if strange := sorted(set(only) - set(self._sites.enrolled(connection))):
            raise AnalysisRefused(f"Not enrolled: {', '.join(strange)}.", code="analysis.sites")
        allowed = FREEZE_STATES if kind == "freeze" else LIVE_STATES
        if study.state not in allowed:
            raise AnalysisRefused(
                f"Not possible while the study is {study.state}.", code="analysis.study_state"
            )
        if kind == "freeze":
            return self._start_freeze(connection, study, actor, role, only)
        if kind == "measure":
            return self._start_measure(connection, study, actor, role, only)
        return self._start_training(connection, study, actor, role)

    def _start_freeze(
        self, connection: sa.Connection, study: Study, actor: str, role: str, only: Sequence[str]
    ) -> str:
        parameters = {
            "name": DATASET_NAME,
            "cohort": study.definition.cohort,
            "labels": labels_of(study.definition),
        }
        chosen = only or self._in_states(connection, study, OPTED_IN_STATES)
        if not chosen:
            raise AnalysisRefused("No site has opted in to this version of the study yet.")
        orders = [JobOrder(site, parameters) for site in chosen]
        return self._start_run(connection, study, "freeze", orders, actor, role)

    def _start_measure(
        self, connection: sa.Connection, study: Study, actor: str, role: str, only: Sequence[str]
    ) -> str:
        plan = study.definition.measuring
        if plan is None:
            raise AnalysisRefused("The study has no measuring plan.", code="analysis.no_plan")
        if only:
            datasets = self.datasets(connection, study.study_id)
            chosen = {site: datasets.get(site, content_hash({})) for site in only}
        else:
            frozen = self.released_datasets(connection, study.study_id)
            chosen = measuring_sites(study.definition, frozen)
        if not chosen:
            raise AnalysisRefused("No site has released a frozen dataset yet.")
        document, digest = plan.to_dict(), plan.hash
        network = self._network(connection, study.study_id, plan)
        orders = [
            JobOrder(site, {"plan": document, "dataset_hash": dataset, **network}, digest)
            for site, dataset in chosen.items()
        ]
        return self._start_run(connection, study, "measure", orders, actor, role)

    def _network(self, connection: sa.Connection, study_id: str, plan: MeasuringPlan) -> dict[str, Any]:
        """Pooled figures of the newest run that brought any; nodes look for outliers against them."""
        for run in self._runs.runs(connection, study_id=study_id, kinds=("measure",)):
            released = {job["site"]: job["result"]["payload"] for job in run["jobs"] if job["result"]}
            if found := network_references(plan, released):
                return {"network": found}
        return {}

    def _start_training(self, connection: sa.Connection, study: Study, actor: str, role: str) -> str:
        plan = study.definition.training
        if plan is None:
            raise AnalysisRefused("The study has no training plan.", code="analysis.no_plan")
        setup = training_setup(study.definition, self.released_datasets(connection, study.study_id))
        run_id = self._new_id(connection, study.study_id, "training")
        now = clock.now()
        self._runs.open_parent(
            connection,
            run_id=run_id,
            study_id=study.study_id,
            study_hash=study.hash,
            kind="training",
            deadline=now + 3 * self._time,
            created_by=actor,
            role=role,
        )
        _store.insert(
            connection,
            run_id=run_id,
            study_id=study.study_id,
            study_hash=study.hash,
            plan=plan.to_dict(),
            setup=setup.to_dict(),
            state=RunState.RUNNING,
            created_by=actor,
            created_at=now,
            engine_state=EngineState.IDLE,
        )
        self._drive(connection, run_id)
        return run_id

    # ------------------------------------------------------------------------------------------------ look

    def datasets(self, connection: sa.Connection, study_id: str) -> dict[str, str]:
        """Return the hash of the dataset each site froze last, by site."""
        return {site: facts["dataset_hash"] for site, facts in self.frozen(connection, study_id).items()}

    def frozen(self, connection: sa.Connection, study_id: str) -> dict[str, dict[str, Any]]:
        """Return what each site said about its newest frozen dataset, by site."""
        found: dict[str, dict[str, Any]] = {}
        for run in self._runs.runs(connection, study_id=study_id, kinds=("freeze",)):
            for job in run["jobs"]:
                payload = (job["result"] or {}).get("payload", {})
                if job["state"] == JobState.SUCCEEDED and payload.get("dataset_hash"):
                    found.setdefault(job["site"], payload)
        return found

    def released_datasets(self, connection: sa.Connection, study_id: str) -> dict[str, str]:
        """Return the hash of the frozen dataset of each enrolled site that has released the study, by site."""
        study = self._studies.study(connection, study_id)
        datasets = self.datasets(connection, study_id)
        released = self._in_states(connection, study, RELEASED_STATES)
        return {site: datasets[site] for site in released if site in datasets}

    def trainings(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return a study's training comparisons, newest first."""
        return _store.load_all(connection, study_id=study_id)

    # ------------------------------------------------------------------------------------------------ drive

    def is_any_running(self, connection: sa.Connection) -> bool:
        """Tell whether there is a comparison to drive."""
        return bool(_store.load_all(connection, state=RunState.RUNNING))

    def drive_all(self, connection: sa.Connection) -> list[str]:
        """Carry every running comparison one step on; idempotent.

        Returns
        -------
        list of str
            Ids of comparisons whose engine part has to run (again).
        """
        engine = []
        for row in _store.load_all(connection, state=RunState.RUNNING):
            self._drive(connection, row["run_id"])
            current = _store.load(connection, row["run_id"])
            if (
                current
                and current["state"] == RunState.RUNNING
                and current["engine_state"] == EngineState.RUNNING
            ):
                engine.append(row["run_id"])
        return engine

    def engine_order(self, connection: sa.Connection, run_id: str) -> dict[str, Any] | None:
        """Return the comparison if its engine part is wanted, ``None`` when it was taken back."""
        row = _store.load(connection, run_id)
        federated = self._runs.find(connection, f"{run_id}.{Phase.FEDERATED}")
        wanted = (
            row is not None
            and row["engine_state"] == EngineState.RUNNING
            and federated is not None
            and federated["state"] != RunState.CANCELLED
        )
        return row if wanted else None

    def engine_progressed(
        self, connection: sa.Connection, run_id: str, rounds: Sequence[Mapping[str, Any]]
    ) -> None:
        """Keep the account of the rounds so far, so that people see the curves while it trains."""
        row = _store.load(connection, run_id)
        if row is not None and row["engine_state"] == EngineState.RUNNING:
            _store.update(connection, run_id, rounds=[dict(entry) for entry in rounds])

    def engine_finished(
        self, connection: sa.Connection, run_id: str, weights: bytes, rounds: Sequence[Mapping[str, Any]]
    ) -> None:
        """Record the model the engine made: keep its weights, end the sites' jobs; once."""
        row = _store.load(connection, run_id)
        if row is None or row["engine_state"] != EngineState.RUNNING:
            return
        setup = Setup.from_dict(row["setup"])
        digest = self._artifacts.keep(connection, weights, setup.evaluation)
        _store.update(
            connection,
            run_id,
            engine_state=EngineState.COMPLETED,
            federated_model=digest,
            rounds=[dict(entry) for entry in rounds],
        )
        for site in row["engine_sites"]:
            self._runs.finish_job(
                connection,
                f"{run_id}.{Phase.FEDERATED}.{site}",
                site,
                {"payload": {}, "artifacts": {}, "suppressed": []},
            )
        self._drive(connection, run_id)

    def engine_failed(self, connection: sa.Connection, run_id: str, reason: str) -> None:
        """Record that the engine could not finish; the comparison goes on without a federated model."""
        row = _store.load(connection, run_id)
        if row is None or row["engine_state"] != EngineState.RUNNING:
            return
        _store.update(connection, run_id, engine_state=EngineState.FAILED, engine_reason=reason[:500])
        self._drive(connection, run_id)

    def _drive(self, connection: sa.Connection, run_id: str) -> None:
        while (row := _store.load(connection, run_id)) is not None and row["state"] == RunState.RUNNING:
            setup = Setup.from_dict(row["setup"])
            parent = self._runs.run(connection, run_id)
            if parent["state"] == RunState.CANCELLED:
                _store.update(connection, run_id, state=RunState.CANCELLED, ended_at=clock.now())
                return
            engine = EngineFacts(EngineState(row["engine_state"]), row["federated_model"])
            instructions = decide(setup, self._phases(connection, run_id), engine, clock.now())
            if not instructions:
                return
            for instruction in instructions:
                self._carry_out(connection, row, instruction)

    def _carry_out(
        self,
        connection: sa.Connection,
        row: Mapping[str, Any],
        instruction: StartRun | StartEngine | CancelRun | Finish,
    ) -> None:
        run_id = row["run_id"]
        if isinstance(instruction, StartRun):
            self._start_phase(connection, row, instruction)
        elif isinstance(instruction, StartEngine):
            _store.start_engine(connection, run_id, list(instruction.sites))
        elif isinstance(instruction, CancelRun):
            self._runs.cancel(connection, instruction.run_id, "CENTRAL", "central", instruction.reason)
        else:
            _store.update(connection, run_id, state=instruction.state, ended_at=clock.now())
            self._runs.close_parent(connection, run_id, instruction.state)

    def _start_phase(self, connection: sa.Connection, row: Mapping[str, Any], instruction: StartRun) -> None:
        plan_hash = content_hash(row["plan"])
        orders = []
        for site, dataset in instruction.datasets.items():
            parameters: dict[str, Any] = {"plan": row["plan"], "dataset_hash": dataset}
            if instruction.phase is Phase.EVALUATE:
                parameters["models"] = dict(instruction.models)
            elif instruction.phase is Phase.FEDERATED:
                parameters["sites"] = sorted(instruction.datasets)
            orders.append(JobOrder(site, parameters, plan_hash, tuple(instruction.models.values())))
        quorum = row["setup"]["min_sites"] if instruction.phase is Phase.FEDERATED else 1
        self._runs.start(
            connection,
            run_id=f"{row['run_id']}.{instruction.phase}",
            study_id=row["study_id"],
            study_hash=row["study_hash"],
            kind=JOB_KIND[instruction.phase],  # type: ignore[arg-type]  # the table's values are job kinds
            orders=orders,
            deadline=clock.now() + self._time,
            quorum=quorum,
            created_by=row["created_by"],
            role="central",
            parent=row["run_id"],
        )

    def _phases(self, connection: sa.Connection, run_id: str) -> dict[Phase, RunFacts]:
        phases = {}
        for run in self._runs.runs(connection, parent=run_id):
            jobs = tuple(
                JobFacts(job["site"], JobState(job["state"]), (job["result"] or {}).get("artifacts", {}))
                for job in run["jobs"]
            )
            phase = Phase(run["run_id"].rsplit(".", 1)[-1])
            phases[phase] = RunFacts(run["run_id"], RunState(run["state"]), jobs, run["created_at"])
        return phases

    # ------------------------------------------------------------------------------------------------ inner

    def _start_run(
        self,
        connection: sa.Connection,
        study: Study,
        kind: Literal["freeze", "measure"],
        orders: list[JobOrder],
        actor: str,
        role: str,
    ) -> str:
        return self._runs.start(
            connection,
            run_id=self._new_id(connection, study.study_id, kind),
            study_id=study.study_id,
            study_hash=study.hash,
            kind=kind,
            orders=orders,
            deadline=clock.now() + self._time,
            quorum=1,
            created_by=actor,
            role=role,
        )

    def _new_id(self, connection: sa.Connection, study_id: str, kind: str) -> str:
        return f"{study_id}.{kind}-{len(self._runs.runs(connection, study_id=study_id, kinds=(kind,))) + 1}"

    def _in_states(self, connection: sa.Connection, study: Study, states: frozenset[str]) -> list[str]:
        enrolled = set(self._sites.enrolled(connection))
        return [
            track.site
            for track in self._studies.tracks(connection, study.study_id)
            if track.state in states and track.study_hash == study.hash and track.site in enrolled
        ]
