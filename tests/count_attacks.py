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
        aggregate = {"cohort_hash": name, "count": len(members), "members": members}
        with self.database.begin() as connection:
            payload = self.gate.submit(connection, offer, aggregate, {}).payload
        if payload["count"] is None:
            return None
        value = payload["count"]["value"]
        return 0 if value is None else int(value)

    def is_held(self, project: str = "p") -> bool:
        with self.database.connect() as connection:
            return any(row["project"] == project for row in counting.holds(connection))

    def lift(self, project: str = "p") -> None:
        with self.database.begin() as connection:
            counting.lift(connection, self.audit, project, actor="careless", actor_role="diz")

    def close(self) -> None:
        self.database.dispose()


@dataclass(frozen=True)
class Outcome:
    """How often the attacker was right.

    Parameters
    ----------
    queries
        Answers he got in one trial, at most.
    held
        In how many trials the site raised its hand.
    """

    right: int
    trials: int
    queries: int
    held: int

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
