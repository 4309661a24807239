"""What differentially private trainings have cost at a site: a ledger that is written before each round.

A round that was killed has looked at the cases all the same, so it stays charged.  Every training of a study at a site
is in one ledger: together they are what the study learned of a case.  The accountant needs torch and stands in
``private_training``.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from racoon.errors import Refused


class BudgetSpent(Refused):
    """A training would cost more privacy than plan or site allow."""

    code = "learning.privacy_budget"


@dataclass(frozen=True)
class Purse:
    """Where a site keeps account, and how much may be spent.

    Parameters
    ----------
    ledger
        The study's file.
    budget
        Largest ε of everything in the ledger together; ``None`` leaves it to the plans.
    """

    ledger: Path
    budget: float | None = None

    def holds(self, run: str) -> bool:
        """Tell whether a run was charged here before: it was affordable when it began, and each round asks again."""
        return any(charge.run == run for charge in load_charges(self.ledger))


@dataclass(frozen=True)
class Charge:
    """One round's use of the cases.

    Parameters
    ----------
    run
        The run it belongs to.
    round_index
        Counted from 0; a round done twice is charged twice.
    noise, rate, steps
        Noise multiplier, chance of a case to be taken, and number of steps: what the accountant composes.
    """

    run: str
    round_index: int
    noise: float
    rate: float
    steps: int


def append_charge(ledger: Path, charge: Charge) -> None:
    """Write a charge durably, before the round begins."""
    ledger.parent.mkdir(parents=True, exist_ok=True)
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(charge)) + "\n")
        file.flush()
        os.fsync(file.fileno())


def load_charges(ledger: Path) -> list[Charge]:
    """Read a ledger.

    Raises
    ------
    BudgetSpent
        If a line cannot be read: what was spent is not known then, so nothing more is.
    """
    if not ledger.exists():
        return []
    try:
        return [Charge(**json.loads(line)) for line in ledger.read_text(encoding="utf-8").splitlines()]
    except (ValueError, TypeError) as error:
        raise BudgetSpent(
            "This site's ledger of private trainings cannot be read; its administrator restores it from a backup."
        ) from error
