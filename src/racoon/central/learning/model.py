"""What to do next in a federated run: observations in, one action out, no input or output.

A run is a row of engine jobs.  Whatever ends one (a site's process died, the server was killed, somebody came
back), the next begins from the last aggregated round; rounds are stateless, so the numbers do not depend on
the detours as long as the same sites answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from racoon.learning.engine import JobState, JobStatus

MAXIMUM_FRUITLESS = 6
"""Jobs in a row without a single new round after which a person must look."""

MAXIMUM_ABSENCES = 2
"""Jobs a connected site may fail to start before the run goes on without it (it refuses, or cannot)."""


@dataclass(frozen=True)
class Patience:
    """How long a run waits, in seconds.

    Parameters
    ----------
    join_s
        For all sites before the first round.
    rejoin_s
        For a site that was lost, before the others go on.
    absent_s
        A participant without a job process, or not signed in, for this long is lost.
    give_up_s
        Without a quorum.
    straggler_s
        In a round, after the quorum answered.
    round_s
        For a round, whoever answered.
    """

    join_s: float = 180.0
    rejoin_s: float = 60.0
    absent_s: float = 15.0
    give_up_s: float = 1800.0
    straggler_s: int = 120
    round_s: int = 3600


@dataclass(frozen=True)
class Attempt:
    """One engine job of a run.

    Parameters
    ----------
    name
        Name at the engine, unique for ever.
    job_id
        The engine's id; ``None`` until submitted.
    sites, first_round
        Who takes part, from which round.
    ended
        Why it ended, empty while it runs.
    """

    name: str
    job_id: str | None
    sites: tuple[str, ...]
    first_round: int
    ended: str = ""


@dataclass(frozen=True)
class RunState:
    """Everything a run must remember across a crash.

    Parameters
    ----------
    wanted, min_sites, rounds
        From plan and order.
    attempts
        Engine jobs so far, oldest first; the last may be running.
    left_out
        Site → public reason why the run goes on without it.
    absences
        Site → number of jobs it did not start though it was connected.
    """

    wanted: tuple[str, ...]
    min_sites: int
    rounds: int
    attempts: tuple[Attempt, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    absences: Mapping[str, int] = field(default_factory=dict)

    @property
    def current(self) -> Attempt | None:
        """The engine job that has not ended, if any."""
        return self.attempts[-1] if self.attempts and not self.attempts[-1].ended else None

    @property
    def eligible(self) -> tuple[str, ...]:
        """Wanted sites that are not left out."""
        return tuple(site for site in self.wanted if site not in self.left_out)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "wanted": list(self.wanted),
            "min_sites": self.min_sites,
            "rounds": self.rounds,
            "attempts": [
                {
                    "name": item.name,
                    "job_id": item.job_id,
                    "sites": list(item.sites),
                    "first_round": item.first_round,
                    "ended": item.ended,
                }
                for item in self.attempts
            ],
            "left_out": dict(self.left_out),
            "absences": dict(self.absences),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> RunState:
        """Read the JSON form."""
        return cls(
            wanted=tuple(document["wanted"]),
            min_sites=document["min_sites"],
            rounds=document["rounds"],
            attempts=tuple(
                Attempt(
                    item["name"], item["job_id"], tuple(item["sites"]), item["first_round"], item["ended"]
                )
                for item in document["attempts"]
            ),
            left_out=dict(document["left_out"]),
            absences=dict(document["absences"]),
        )


@dataclass(frozen=True)
class Observation:
    """What CENTRAL sees at one moment.

    Parameters
    ----------
    server_alive
        Whether the engine's server answers.
    rounds_done
        Aggregated rounds whose weights are on disk.
    connected
        Sites signed in at the engine.
    missing_s
        Participant of the current job → seconds since it was last seen at work.
    status
        Of the current job; ``None`` without one.
    waiting_s
        Seconds since the current job, or the wait for one, began.
    """

    server_alive: bool
    rounds_done: int
    connected: frozenset[str] = frozenset()
    missing_s: Mapping[str, float] = field(default_factory=dict)
    status: JobStatus | None = None
    waiting_s: float = 0.0


class Verb(StrEnum):
    """What the service can do."""

    START_SERVER = "start_server"
    SUBMIT = "submit"
    ABORT = "abort"
    FORGET = "forget"
    WAIT = "wait"
    FINISH = "finish"
    GIVE_UP = "give_up"


@dataclass(frozen=True)
class Action:
    """One thing to do next.

    Parameters
    ----------
    verb
        What.
    reason
        Why, in public words; kept in the run's account.
    sites
        With ``SUBMIT``, who takes part; with ``ABORT`` and ``FORGET``, who did not start though connected.
    """

    verb: Verb
    reason: str = ""
    sites: tuple[str, ...] = ()


def decide(state: RunState, seen: Observation, patience: Patience) -> Action:
    """Choose the next action.

    Parameters
    ----------
    state
        What the run remembers.
    seen
        What is the case now.
    patience
        How long to wait for what.

    Returns
    -------
    Action
    """
    if seen.rounds_done >= state.rounds:
        return Action(Verb.FINISH, "all rounds are aggregated")
    if len(state.eligible) < state.min_sites:
        reasons = "; ".join(f"{site}: {reason}" for site, reason in sorted(state.left_out.items()))
        return Action(Verb.GIVE_UP, f"fewer sites than the plan's minimum take part ({reasons})")
    if not seen.server_alive:
        return Action(Verb.START_SERVER, "the engine's server was lost")
    current = state.current
    if current is None:
        return _decide_submission(state, seen, patience)
    return _decide_running(state, current, seen, patience)


def _decide_submission(state: RunState, seen: Observation, patience: Patience) -> Action:
    if _fruitless(state, seen.rounds_done) >= MAXIMUM_FRUITLESS:
        return Action(Verb.GIVE_UP, "the engine failed again and again without finishing a round")
    present = tuple(site for site in state.eligible if site in seen.connected)
    limit = patience.rejoin_s if state.attempts else patience.join_s
    if present == state.eligible or (len(present) >= state.min_sites and seen.waiting_s >= limit):
        return Action(Verb.SUBMIT, "", present)
    if seen.waiting_s >= patience.give_up_s:
        return Action(Verb.GIVE_UP, "too few sites are connected to the training engine")
    return Action(Verb.WAIT)


def _decide_running(state: RunState, current: Attempt, seen: Observation, patience: Patience) -> Action:
    status = seen.status
    if status is None or status.state.is_final:
        detail = f"the engine ended the job as {status.state.value}" if status else "the engine lost the job"
        return Action(Verb.FORGET, detail, _idle_participants(current, seen, patience))
    if status.state is JobState.RUNNING:
        lost = tuple(site for site in current.sites if seen.missing_s.get(site, 0.0) >= patience.absent_s)
        if lost:
            connected = tuple(site for site in lost if site in seen.connected)
            return Action(Verb.ABORT, f"{', '.join(lost)} left the round", _to_blame(current, connected))
        back = [site for site in state.eligible if site in seen.connected and site not in current.sites]
        if back:
            return Action(Verb.ABORT, f"{', '.join(back)} came back")
    return Action(Verb.WAIT)


def _idle_participants(current: Attempt, seen: Observation, patience: Patience) -> tuple[str, ...]:
    """Sites that were connected but had no job process for long: the job may have ended because of them."""
    idle = tuple(
        site
        for site in current.sites
        if site in seen.connected and seen.missing_s.get(site, 0.0) >= patience.absent_s
    )
    return _to_blame(current, idle)


def _to_blame(current: Attempt, idle: tuple[str, ...]) -> tuple[str, ...]:
    """Blame nobody where several sites all did not start: then it is the engine, or a slow machine, not the sites."""
    return idle if len(idle) < len(current.sites) or len(idle) == 1 else ()


def _fruitless(state: RunState, rounds_done: int) -> int:
    count = 0
    for attempt in reversed(state.attempts):
        if attempt.first_round != rounds_done:
            break
        count += 1
    return count


def end_attempt(state: RunState, action: Action, refusals: tuple[tuple[str, str], ...] = ()) -> RunState:
    """Close the current job and note who must be left out from now on.

    Parameters
    ----------
    state
        With a current job.
    action
        ``ABORT`` or ``FORGET`` with its reason and the sites that did not start.
    refusals
        Site → reason, as the engine reported them.
    """
    closed = replace(state.attempts[-1], ended=action.reason)
    left_out = {**state.left_out, **dict(refusals)}
    absences = dict(state.absences)
    for site in action.sites:
        absences[site] = absences.get(site, 0) + 1
        if absences[site] >= MAXIMUM_ABSENCES:
            left_out.setdefault(site, "the site did not start the job")
    return replace(state, attempts=(*state.attempts[:-1], closed), left_out=left_out, absences=absences)
