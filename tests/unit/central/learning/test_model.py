"""Decisions of a federated run."""

from __future__ import annotations

from racoon.central.learning.model import (
    MAXIMUM_FRUITLESS,
    Action,
    Attempt,
    Observation,
    Patience,
    RunState,
    Verb,
    decide,
    end_attempt,
)
from racoon.learning.engine import JobState, JobStatus

ALL = ("ALPHA", "BRAVO", "CHARLIE")
FRESH = RunState(ALL, min_sites=2, rounds=5)
RUNNING = RunState(ALL, 2, 5, (Attempt("r-0", "id", ALL, 0),))
PATIENCE = Patience(join_s=60, rejoin_s=30, absent_s=10, give_up_s=300)


def _seen(**changes) -> Observation:
    return Observation(**{"server_alive": True, "rounds_done": 0, "connected": frozenset(ALL), **changes})


def _job(state: JobState) -> JobStatus:
    return JobStatus(state)


def test_all_sites_there_means_begin() -> None:
    assert decide(FRESH, _seen(), PATIENCE) == Action(Verb.SUBMIT, "", ALL)


def test_late_site_is_waited_for_then_left_behind() -> None:
    two = frozenset({"ALPHA", "CHARLIE"})
    assert decide(FRESH, _seen(connected=two, waiting_s=59), PATIENCE).verb is Verb.WAIT
    assert decide(FRESH, _seen(connected=two, waiting_s=60), PATIENCE) == Action(
        Verb.SUBMIT, "", ("ALPHA", "CHARLIE")
    )


def test_no_quorum_is_given_up_in_the_end() -> None:
    one = frozenset({"ALPHA"})
    assert decide(FRESH, _seen(connected=one, waiting_s=299), PATIENCE).verb is Verb.WAIT
    assert decide(FRESH, _seen(connected=one, waiting_s=300), PATIENCE).verb is Verb.GIVE_UP


def test_finished_rounds_end_the_run_whatever_else() -> None:
    seen = _seen(rounds_done=5, server_alive=False, connected=frozenset())
    assert decide(RUNNING, seen, PATIENCE).verb is Verb.FINISH


def test_dead_server_is_started_again() -> None:
    assert decide(RUNNING, Observation(False, 2), PATIENCE).verb is Verb.START_SERVER


def test_job_that_ended_early_is_forgotten_and_the_rest_begins_from_the_last_round() -> None:
    for state in (JobState.FAILED, JobState.UNKNOWN, JobState.COMPLETED, JobState.ABORTED):
        action = decide(RUNNING, _seen(rounds_done=3, status=_job(state)), PATIENCE)
        assert action.verb is Verb.FORGET
        after = end_attempt(RUNNING, action)
        assert after.current is None
        assert decide(after, _seen(rounds_done=3), PATIENCE) == Action(Verb.SUBMIT, "", ALL)


def test_lost_site_ends_the_job_so_that_it_can_come_back() -> None:
    status = _job(JobState.RUNNING)
    healthy = _seen(status=status, missing_s={"BRAVO": 9.0})
    assert decide(RUNNING, healthy, PATIENCE).verb is Verb.WAIT
    lost = _seen(status=status, missing_s={"BRAVO": 10.0}, connected=frozenset({"ALPHA", "CHARLIE"}))
    action = decide(RUNNING, lost, PATIENCE)
    assert (action.verb, action.sites) == (Verb.ABORT, ())
    after = end_attempt(RUNNING, action)
    assert decide(after, _seen(connected=lost.connected, waiting_s=29), PATIENCE).verb is Verb.WAIT
    assert decide(after, _seen(connected=lost.connected, waiting_s=30), PATIENCE).sites == (
        "ALPHA",
        "CHARLIE",
    )


def test_site_that_came_back_gets_a_seat() -> None:
    without = RunState(
        ALL, 2, 5, (Attempt("r-0", "a", ALL, 0, "lost"), Attempt("r-1", "b", ("ALPHA", "CHARLIE"), 1))
    )
    action = decide(without, _seen(rounds_done=2, status=_job(JobState.RUNNING)), PATIENCE)
    assert action == Action(Verb.ABORT, "BRAVO came back")


def test_site_that_never_starts_a_job_is_left_out_with_its_reason() -> None:
    state = RUNNING
    for _ in range(2):
        action = decide(state, _seen(status=_job(JobState.RUNNING), missing_s={"BRAVO": 11.0}), PATIENCE)
        assert action.sites == ("BRAVO",)
        state = end_attempt(state, action)
        state = RunState(**{**vars(state), "attempts": (*state.attempts, Attempt("next", "id", ALL, 0))})
    assert state.left_out == {"BRAVO": "the site did not start the job"}
    assert state.eligible == ("ALPHA", "CHARLIE")


def test_nobody_is_blamed_when_no_site_starts_a_job() -> None:
    """A server that was just restarted, or a slow machine, makes every site late."""
    late = dict.fromkeys(ALL, 30.0)
    for status in (JobState.RUNNING, JobState.FAILED):
        action = decide(RUNNING, _seen(status=_job(status), missing_s=late), PATIENCE)
        assert action.verb in (Verb.ABORT, Verb.FORGET)
        assert action.sites == ()
        assert end_attempt(RUNNING, action).left_out == {}


def test_refusals_leave_a_site_out_and_too_many_end_the_run() -> None:
    action = Action(Verb.FORGET, "failed")
    once = end_attempt(RUNNING, action, (("BRAVO", "not approved here"),))
    assert decide(once, _seen(), PATIENCE) == Action(Verb.SUBMIT, "", ("ALPHA", "CHARLIE"))
    again = RunState(**{**vars(once), "left_out": {**once.left_out, "ALPHA": "not approved here"}})
    refused = decide(again, _seen(), PATIENCE)
    assert refused.verb is Verb.GIVE_UP
    assert "BRAVO: not approved here" in refused.reason


def test_endless_failing_ends() -> None:
    attempts = tuple(Attempt(f"r-{n}", "id", ALL, 2, "failed") for n in range(MAXIMUM_FRUITLESS))
    assert decide(RunState(ALL, 2, 5, attempts), _seen(rounds_done=2), PATIENCE).verb is Verb.GIVE_UP
    assert decide(RunState(ALL, 2, 5, attempts), _seen(rounds_done=3), PATIENCE).verb is Verb.SUBMIT


def test_state_survives_its_file() -> None:
    state = end_attempt(RUNNING, Action(Verb.ABORT, "x", ("BRAVO",)), (("CHARLIE", "no"),))
    assert RunState.from_dict(state.to_dict()) == state
