"""Which sites an analysis asks, and the steps of a training comparison.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar

from racoon.central.orchestration.model import JobState, RunState
from racoon.domain.study import StudyDefinition
from racoon.errors import Refused


class AnalysisRefused(Refused):
    """The study or its sites are not ready for this analysis."""

    code: ClassVar[str] = "analysis.not_ready"
    status: ClassVar[int] = 409


class Phase(StrEnum):
    """Steps of a training comparison; each is one run."""

    LOCAL = "local"
    FEDERATED = "federated"
    EVALUATE = "evaluate"


class EngineState(StrEnum):
    """What became of the engine's part of the federated step."""

    IDLE = "idle"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"


JOB_KIND: Mapping[Phase, str] = {
    Phase.LOCAL: "train.local",
    Phase.FEDERATED: "train.federated",
    Phase.EVALUATE: "evaluate",
}

GATHERING = timedelta(minutes=2)
"""How long a federated training waits for slow sites once enough have accepted."""


@dataclass(frozen=True)
class Setup:
    """Who does what in a comparison; fixed when it starts.

    Parameters
    ----------
    training, evaluation
        Site → hash of its frozen dataset.
    pool_site
        Site with pooled training data, if any; its hash is in ``pool_hash``.
    min_sites
        Smallest number of sites in a federated training.
    """

    training: Mapping[str, str]
    evaluation: Mapping[str, str]
    pool_site: str | None
    pool_hash: str | None
    min_sites: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "training": dict(self.training),
            "evaluation": dict(self.evaluation),
            "pool_site": self.pool_site,
            "pool_hash": self.pool_hash,
            "min_sites": self.min_sites,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Setup:
        """Read the JSON form."""
        return cls(**document)


@dataclass(frozen=True)
class JobFacts:
    """What the state machine needs to know of a job."""

    site: str
    state: JobState
    artifacts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunFacts:
    """What the state machine needs to know of a phase's run."""

    run_id: str
    state: RunState
    jobs: tuple[JobFacts, ...]
    created_at: datetime

    @property
    def is_ended(self) -> bool:
        """Whether the run will not change any more."""
        return self.state is not RunState.RUNNING


@dataclass(frozen=True)
class EngineFacts:
    """What the state machine needs to know of the engine."""

    state: EngineState = EngineState.IDLE
    model: str | None = None


@dataclass(frozen=True)
class StartRun:
    """Instruction: offer a phase's jobs; site → parameters beside plan and dataset."""

    phase: Phase
    datasets: Mapping[str, str]
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class StartEngine:
    """Instruction: let the engine train at these sites."""

    run_id: str
    sites: tuple[str, ...]


@dataclass(frozen=True)
class CancelRun:
    """Instruction: a phase cannot go on; what is missing stands in the reason."""

    run_id: str
    reason: str


@dataclass(frozen=True)
class Finish:
    """Instruction: the comparison has ended."""

    state: RunState


Instruction = StartRun | StartEngine | CancelRun | Finish


def training_setup(definition: StudyDefinition, datasets: Mapping[str, str]) -> Setup:
    """Decide who trains and who evaluates.

    Parameters
    ----------
    definition
        The study.
    datasets
        Released site → hash of its frozen dataset.

    Raises
    ------
    AnalysisRefused
        When nobody could train or nobody could evaluate.
    """
    assert definition.training is not None
    special = {*definition.evaluation_sites, definition.pool_site}
    training = {site: digest for site, digest in sorted(datasets.items()) if site not in special}
    evaluation = {site: datasets[site] for site in sorted(definition.evaluation_sites) if site in datasets}
    if not training:
        raise AnalysisRefused("No site has released a frozen dataset for training yet.")
    if not evaluation:
        raise AnalysisRefused("No evaluation site has released a frozen dataset yet.")
    pool = definition.pool_site if definition.pool_site in datasets else None
    return Setup(training, evaluation, pool, datasets[pool] if pool else None, definition.training.min_sites)


def measuring_sites(definition: StudyDefinition, datasets: Mapping[str, str]) -> dict[str, str]:
    """Choose the sites whose values are pooled: not the pool, whose cases are copies of other sites'
    cases.
    """
    return {site: digest for site, digest in sorted(datasets.items()) if site != definition.pool_site}


def labels_of(definition: StudyDefinition) -> list[dict[str, str]]:
    """Return the codes of all structures the study's plans need masks of, sorted by key."""
    codes = {}
    for measurement in definition.measuring.measurements if definition.measuring else ():
        if measurement.label:
            codes[measurement.label.key] = measurement.label.to_dict()
    for label in definition.training.labels if definition.training else ():
        codes[label.key] = label.to_dict()
    return [codes[key] for key in sorted(codes)]


def decide(
    setup: Setup, runs: Mapping[Phase, RunFacts], engine: EngineFacts, now: datetime
) -> list[Instruction]:
    """Decide what a comparison needs next.

    Parameters
    ----------
    setup
        Who does what.
    runs
        The phases' runs that exist.
    engine
        The engine's part.
    now
        Aware time.

    Returns
    -------
    list
        Instructions; empty while something is awaited.  Carrying one out changes the facts, so the same facts
        never lead to the same instruction twice.
    """
    local, federated, evaluate = (runs.get(phase) for phase in Phase)
    if local is None:
        pool = {setup.pool_site: setup.pool_hash} if setup.pool_site and setup.pool_hash else {}
        return [StartRun(Phase.LOCAL, {**setup.training, **pool})]
    if not local.is_ended:
        return []
    if local.state is RunState.CANCELLED:
        return [Finish(RunState.CANCELLED)]
    if federated is None and len(setup.training) >= setup.min_sites:
        return [StartRun(Phase.FEDERATED, setup.training)]
    if federated is not None:
        waiting = _drive_federated(setup, federated, engine, now)
        if waiting is not None:
            return waiting
    if evaluate is None:
        models = models_of(setup, local, engine)
        return [StartRun(Phase.EVALUATE, setup.evaluation, models)] if models else [Finish(RunState.FAILED)]
    if not evaluate.is_ended:
        return []
    return [Finish(evaluate.state)]


def models_of(setup: Setup, local: RunFacts, engine: EngineFacts) -> dict[str, str]:
    """Name the models that exist: ``local:SITE``, ``pooled``, ``federated`` → SHA-256 of their weights."""
    models: dict[str, str] = {}
    for job in local.jobs:
        digest = model_of(job)
        if digest is not None:
            models["pooled" if job.site == setup.pool_site else f"local:{job.site}"] = digest
    if engine.model is not None:
        models["federated"] = engine.model
    return models


def model_of(job: JobFacts) -> str | None:
    """Return the SHA-256 of the weights a job left; the file is called ``weights`` or is the only one."""
    if job.state is not JobState.SUCCEEDED or not job.artifacts:
        return None
    return job.artifacts.get("weights") or job.artifacts[min(job.artifacts)]


def _drive_federated(
    setup: Setup, run: RunFacts, engine: EngineFacts, now: datetime
) -> list[Instruction] | None:
    """Return instructions, an empty list to wait, or ``None`` when the phase is over."""
    if engine.state is EngineState.RUNNING:
        # The engine outlives a run that was taken back only until its driver notices.
        return []
    if engine.state is EngineState.COMPLETED:
        return None if run.is_ended else []
    if run.is_ended or engine.state is EngineState.FAILED:
        return None if run.is_ended else [CancelRun(run.run_id, "The training engine could not finish.")]
    ready = _sites(run.jobs, {JobState.ACCEPTED, JobState.RUNNING})
    undecided = _sites(run.jobs, {JobState.OFFERED})
    if len(ready) + len(undecided) < setup.min_sites:
        return [
            CancelRun(run.run_id, f"Fewer than {setup.min_sites} sites take part in the federated training.")
        ]
    if len(ready) >= setup.min_sites and (not undecided or now - run.created_at > GATHERING):
        return [StartEngine(run.run_id, tuple(ready))]
    return []


def _sites(jobs: Iterable[JobFacts], states: set[JobState]) -> list[str]:
    return sorted(job.site for job in jobs if job.state in states)
