"""The comparison's steps as pure decisions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from racoon.central.analyses.model import (
    GATHERING,
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
    measuring_sites,
    training_setup,
)
from racoon.central.orchestration.model import JobState, RunState
from racoon.domain.study import StudyDefinition
from tests.simulated_network import DEFINITION

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETUP = Setup({"ALPHA": "a", "BRAVO": "b"}, {"HOLDOUT": "h"}, "POOL", "p", 2)


def phase(state: RunState, **jobs: JobState) -> RunFacts:
    facts = tuple(
        JobFacts(site, job, {"weights": f"w-{site}"} if job is JobState.SUCCEEDED else {})
        for site, job in jobs.items()
    )
    return RunFacts("T.x", state, facts, NOW)


LOCAL_DONE = phase(
    RunState.COMPLETED, ALPHA=JobState.SUCCEEDED, BRAVO=JobState.FAILED, POOL=JobState.SUCCEEDED
)


def test_local_and_pooled_training_come_first() -> None:
    assert decide(SETUP, {}, EngineFacts(), NOW) == [
        StartRun(Phase.LOCAL, {"ALPHA": "a", "BRAVO": "b", "POOL": "p"})
    ]
    running = phase(RunState.RUNNING, ALPHA=JobState.OFFERED)
    assert decide(SETUP, {Phase.LOCAL: running}, EngineFacts(), NOW) == []


def test_engine_waits_for_slow_sites_but_not_for_ever() -> None:
    setup = Setup({"ALPHA": "a", "BRAVO": "b", "CHARLIE": "c"}, {"HOLDOUT": "h"}, None, None, 2)
    jobs = {"ALPHA": JobState.ACCEPTED, "BRAVO": JobState.RUNNING, "CHARLIE": JobState.OFFERED}
    runs = {Phase.LOCAL: LOCAL_DONE, Phase.FEDERATED: phase(RunState.RUNNING, **jobs)}
    assert decide(setup, runs, EngineFacts(), NOW + GATHERING) == []
    later = NOW + GATHERING + timedelta(seconds=1)
    assert decide(setup, runs, EngineFacts(), later) == [StartEngine("T.x", ("ALPHA", "BRAVO"))]
    assert decide(setup, runs, EngineFacts(EngineState.RUNNING), later) == []


def test_federated_step_ends_when_too_few_are_left() -> None:
    jobs = {"ALPHA": JobState.REFUSED, "BRAVO": JobState.ACCEPTED}
    runs = {Phase.LOCAL: LOCAL_DONE, Phase.FEDERATED: phase(RunState.RUNNING, **jobs)}
    (instruction,) = decide(SETUP, runs, EngineFacts(), NOW)
    assert isinstance(instruction, CancelRun)


def test_evaluation_names_every_model_that_exists() -> None:
    ended = phase(RunState.COMPLETED, ALPHA=JobState.SUCCEEDED, BRAVO=JobState.SUCCEEDED)
    runs = {Phase.LOCAL: LOCAL_DONE, Phase.FEDERATED: ended}
    (instruction,) = decide(SETUP, runs, EngineFacts(EngineState.COMPLETED, "f"), NOW)
    assert instruction == StartRun(
        Phase.EVALUATE, {"HOLDOUT": "h"}, {"local:ALPHA": "w-ALPHA", "pooled": "w-POOL", "federated": "f"}
    )
    runs[Phase.EVALUATE] = phase(RunState.COMPLETED, HOLDOUT=JobState.SUCCEEDED)
    assert decide(SETUP, runs, EngineFacts(EngineState.COMPLETED, "f"), NOW) == [Finish(RunState.COMPLETED)]


def test_comparison_without_any_model_fails() -> None:
    nothing = phase(RunState.FAILED, ALPHA=JobState.FAILED, BRAVO=JobState.FAILED)
    runs = {Phase.LOCAL: nothing, Phase.FEDERATED: phase(RunState.CANCELLED, ALPHA=JobState.CANCELLED)}
    assert decide(SETUP, runs, EngineFacts(EngineState.FAILED), NOW) == [Finish(RunState.FAILED)]


def test_pool_and_evaluation_sites_keep_to_their_part() -> None:
    definition = StudyDefinition.from_dict(DEFINITION)
    datasets = {"ALPHA": "a", "BRAVO": "b", "HOLDOUT": "h", "POOL": "p"}
    assert training_setup(definition, datasets) == SETUP
    assert list(measuring_sites(definition, datasets)) == ["ALPHA", "BRAVO", "HOLDOUT"]
