"""Attacks on feasibility counts, run against the gate as it is: every question is a job, every answer what leaves.

The attacker wants to know whether one person, the target, has a trait: he asks for a group with the target and for the
same group without, pads both with groups he knows, and compares the sums of the answers.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import timedelta
from math import sqrt
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.node.link.identity import Identity
from racoon.node.link.service import Outbox
from racoon.node.release import counting
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.service import ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer

TARGET = "target"


class CountingSite:
    """A site's release gate on a database of its own.

    Parameters
    ----------
    folder
        For files beside messages; none travel.
    policy
        Its limits.
    """

    def __init__(self, folder: Path, policy: DisclosurePolicy) -> None:
        self.database = Database("sqlite://")
        create_all(self.database, "node")
        self.audit = AuditLog("node")
        key = Ed25519PrivateKey.generate()
        identity = Identity(folder, "ALPHA", "https://127.0.0.1:1", "test", key, key.public_key())
        self.gate = ReleaseGate(policy, Outbox(identity, folder), self.audit)
        self._asked = 0

    def ask(
        self, name: str, members: frozenset[str], *, requester: str = "r", project: str = "p"
    ) -> int | None:
        """Ask for a count as CENTRAL would; None when it is not available, 0 for "fewer than"."""
        payload = self._submit(
            {"cohort_hash": name, "count": len(members), "members": members}, requester, project
        )
        return _value(payload["count"])

    def ask_flow(
        self, sets: dict[str, frozenset[str]], *, requester: str = "r", project: str = "p"
    ) -> list[int | None] | None:
        """Ask for a flow: sets by name that share nobody, the cohort first; None when it is not available."""
        asked = [
            {"cohort_hash": name, "count": len(members), "members": members} for name, members in sets.items()
        ]
        payload = self._submit({**asked[0], "flow": asked[1:]}, requester, project)
        if payload["flow"] is None:
            return None
        return [_value(payload["count"]), *(_value(found["count"]) for found in payload["flow"])]

    def _submit(self, aggregate: dict[str, Any], requester: str, project: str) -> dict[str, Any]:
        self._asked += 1
        offer = JobOffer(
            job_id=f"j{self._asked}",
            run_id=f"r{self._asked}",
            study_id=project,
            study_hash="a" * 64,
            kind="count",
            plan_hash=None,
            content_hash="b" * 64,
            parameters={"requester": requester},
            not_after=clock.now() + timedelta(hours=1),
        )
        with self.database.begin() as connection:
            return self.gate.submit(connection, offer, aggregate, {}).payload

    def is_held(self, project: str = "p") -> bool:
        with self.database.connect() as connection:
            return any(row["project"] == project for row in counting.holds(connection))

    def lift(self, project: str = "p") -> None:
        with self.database.begin() as connection:
            counting.lift(connection, self.audit, project, actor="careless", actor_role="diz")

    def close(self) -> None:
        self.database.dispose()


def _value(found: dict[str, Any] | None) -> int | None:
    if found is None:
        return None
    return 0 if found["value"] is None else int(found["value"])


@dataclass(frozen=True)
class Outcome:
    """How often the attacker was right.

    Parameters
    ----------
    right, trials
        Correct guesses, and guesses.
    queries
        Answers he got in one trial, at most.
    held
        In how many trials the site raised its hand.
    """

    right: int
    trials: int
    queries: int
    held: int

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(
            self.right + other.right,
            self.trials + other.trials,
            max(self.queries, other.queries),
            self.held + other.held,
        )

    @property
    def rate(self) -> float:
        return self.right / self.trials

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's interval, 95 %."""
        z, n, p = 1.96, self.trials, self.rate
        middle, half = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


def attack(
    folder: Path,
    policy: DisclosurePolicy,
    *,
    trials: int,
    pairs: int,
    careless: bool,
    seed: int = 1,
    padded: bool = True,
) -> Outcome:
    """Run an attack many times, each as another person of another project with a fresh week's budget.

    Parameters
    ----------
    trials
        Repetitions; in half of them, by chance, the target has the trait.
    pairs
        Pairs of questions the attacker has prepared.
    careless
        Whether somebody at the site lifts every hold at once.
    padded
        Whether each pair is padded with another known group; without, the same pair is asked again and again.
    """
    source = random.Random(seed)
    right = most = held = 0
    site = CountingSite(folder, policy)
    for trial in range(trials):
        who = {"requester": f"r{trial}", "project": f"p{trial}"}
        has_trait = source.random() < 0.5
        known = [f"k{number}" for number in range(source.randrange(60, 140))]
        group = frozenset(known) | ({TARGET} if has_trait else set())
        difference = answers = 0
        was_held = False
        for pair in range(pairs):
            padding = {f"q{pair}-{number}" for number in range(40 + 13 * pair)} if padded else set()
            found = []
            for word, members in (("with", group), ("without", group - {TARGET})):
                name = f"{trial}-{pair if padded else 0}-{word}"
                found.append(site.ask(name, members | padding, **who))
                if site.is_held(who["project"]):
                    was_held = True
                    if careless:
                        site.lift(who["project"])
            if found[0] is None or found[1] is None:
                break
            difference, answers = difference + found[0] - found[1], answers + 2
        expected = answers / 4
        guess = difference > expected if difference != expected else source.random() < 0.5
        right += guess == has_trait
        most, held = max(most, answers), held + was_held
    site.close()
    return Outcome(right, trials, most, held)


def attack_by_flows(
    folder: Path, policy: DisclosurePolicy, *, trials: int, pairs: int, seed: int = 1
) -> Outcome:
    """Run the same attack by flow diagrams: the group with the target is a set of one flow, without it of another.

    Parameters
    ----------
    trials
        Repetitions.
    pairs
        Pairs of flows the attacker has prepared; each flow has three more sets, because they cost nothing.
    """
    source = random.Random(seed)
    right = most = held = 0
    site = CountingSite(folder, policy)
    for trial in range(trials):
        who = {"requester": f"r{trial}", "project": f"p{trial}"}
        has_trait = source.random() < 0.5
        known = [f"k{number}" for number in range(source.randrange(60, 140))]
        group = frozenset(known) | ({TARGET} if has_trait else set())
        difference = answers = 0
        was_held = False
        for pair in range(pairs):
            padding = frozenset(f"q{pair}-{number}" for number in range(40 + 13 * pair))
            found = []
            for word, members in (("with", group), ("without", group - {TARGET})):
                name = f"{trial}-{pair}-{word}"
                others = {
                    f"{name}-{step}": frozenset(f"{name}-{step}-{number}" for number in range(40 + 20 * step))
                    for step in range(3)
                }
                found.append(site.ask_flow({name: members | padding, **others}, **who))
                if site.is_held(who["project"]):
                    was_held = True
                    site.lift(who["project"])
            if found[0] is None or found[1] is None:
                break
            difference, answers = difference + (found[0][0] or 0) - (found[1][0] or 0), answers + 2
        guess = difference > answers / 4 if difference != answers / 4 else source.random() < 0.5
        right += guess == has_trait
        most, held = max(most, answers), held + was_held
    site.close()
    return Outcome(right, trials, most, held)


def attack_at_the_border(
    folder: Path, policy: DisclosurePolicy, *, trials: int, questions: int, seed: int = 1
) -> Outcome:
    """Attack the threshold: the target and nine others who are known, other nine each time; a number, or none?

    Notes
    -----
    The strongest attacker of all: he knows every one of some hundred people exactly, and how many answers to expect.
    """
    source = random.Random(seed)
    right = most = held = 0
    site = CountingSite(folder, policy)
    for trial in range(trials):
        who = {"requester": f"r{trial}", "project": f"p{trial}"}
        has_trait = source.random() < 0.5
        shown = answers = 0
        was_held = False
        for question in range(questions):
            known = {f"k{question}-{number}" for number in range(policy.feasibility_minimum - 1)}
            members = frozenset(known | ({TARGET} if has_trait else set()))
            found = site.ask(f"{trial}-{question}", members, **who)
            if site.is_held(who["project"]):
                was_held = True
                site.lift(who["project"])
            if found is None:
                break
            shown, answers = shown + (found > 0), answers + 1
        # By the law of the noise nine people are shown as often as ten are not: half of the times lies between.
        guess = shown > answers / 2 if 2 * shown != answers else source.random() < 0.5
        right += guess == has_trait
        most, held = max(most, answers), held + was_held
    site.close()
    return Outcome(right, trials, most, held)
