"""Runs as pure state: whatever happens in whatever order, nothing is counted twice and nothing is undone."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.central.orchestration.model import (
    JOB_TABLE,
    OPEN_STATES,
    Happening,
    Job,
    JobEvent,
    JobState,
    Run,
    RunState,
    SaveJob,
    SaveRun,
    TellCancelled,
    step,
)

SITES = ("ALPHA", "BRAVO", "CHARLIE")
ONE_JOB = [JobEvent.ACCEPTED, JobEvent.PROGRESS, JobEvent.REFUSED, JobEvent.FAILED, JobEvent.RESULT]


def run_of(*states: JobState, quorum: int = 1) -> Run:
    jobs = {site: Job(site, site, state) for site, state in zip(SITES, states, strict=False)}
    return Run("R", RunState.RUNNING, datetime(2026, 1, 1, tzinfo=UTC), quorum, jobs)


events = st.lists(
    st.one_of(
        st.builds(
            Happening,
            st.sampled_from(ONE_JOB),
            st.sampled_from(SITES),
            code=st.just("c"),
            public_reason=st.just("r"),
            done=st.integers(0, 3),
            result=st.none(),
        ),
        st.builds(Happening, st.sampled_from([JobEvent.CANCEL, JobEvent.TIME_OVER]), ends_run=st.booleans()),
    ),
    max_size=25,
)


@given(events, st.integers(0, 3))
def test_no_order_of_events_undoes_an_end_or_counts_twice(happenings: list[Happening], quorum: int) -> None:
    run = run_of(JobState.OFFERED, JobState.OFFERED, JobState.OFFERED, quorum=quorum)
    history, results, ends = [run], 0, 0
    for happening in happenings:
        run, instructions = step(run, happening)
        history.append(run)
        results += sum(isinstance(i, SaveJob) and i.job.state is JobState.SUCCEEDED for i in instructions)
        ends += sum(isinstance(i, SaveRun) for i in instructions)
        again, repeated = step(run, happening)
        assert (again, repeated) == (run, [])
    for before, after in pairwise(history):
        for job_id, job in before.jobs.items():
            if not job.is_open:
                assert after.jobs[job_id] == job
        if before.state is not RunState.RUNNING:
            assert after.state is before.state
    assert results == run.succeeded
    assert ends <= 1
    assert (run.state is RunState.RUNNING) == any(job.is_open for job in run.jobs.values())
    if run.state is RunState.COMPLETED:
        assert run.succeeded >= quorum


def test_run_fails_below_its_quorum() -> None:
    run, instructions = step(run_of(JobState.REFUSED, JobState.OFFERED, quorum=2), _result("BRAVO"))
    assert run.state is RunState.FAILED
    assert isinstance(instructions[-1], SaveRun)


def test_time_over_names_the_silent_and_keeps_the_results() -> None:
    run, instructions = step(
        run_of(JobState.SUCCEEDED, JobState.RUNNING, JobState.OFFERED), Happening(JobEvent.TIME_OVER)
    )
    assert run.state is RunState.COMPLETED
    assert [job.reason_code for job in run.jobs.values()] == [None, "no_answer", "no_answer"]
    assert sorted(i.job.site for i in instructions if isinstance(i, TellCancelled)) == ["BRAVO", "CHARLIE"]


def test_progress_counts_anew_in_each_phase() -> None:
    run = run_of(JobState.ACCEPTED)
    for done, total in ((8, 8), (1, 5)):
        run, _ = step(run, Happening(JobEvent.PROGRESS, "ALPHA", done=done, total=total))
        assert (run.jobs["ALPHA"].done, run.jobs["ALPHA"].total) == (done, total)


@pytest.mark.parametrize("event", list(JobEvent))
def test_ended_jobs_have_no_row_in_the_table(event: JobEvent) -> None:
    assert all(state in OPEN_STATES for state, known in JOB_TABLE if known is event)


def _result(site: str) -> Happening:
    return Happening(JobEvent.RESULT, site, result={})
