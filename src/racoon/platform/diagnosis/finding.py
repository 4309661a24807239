"""One line of a diagnosis."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warning", "problem", "skipped"]


@dataclass(frozen=True)
class Finding:
    """What was checked, how it is, and what to do.

    Parameters
    ----------
    check
        Short name of the check, stable across releases.
    state
        ``problem`` stops the product or will soon; ``warning`` does not.
    message
        One sentence about what is.
    next_step
        One sentence about what to do; never empty for a problem.
    """

    check: str
    state: State
    message: str
    next_step: str = ""

    def __post_init__(self) -> None:
        if self.state == "problem" and not self.next_step:
            raise TypeError(f"{self.check}: a problem says what to do next")

    def as_json(self) -> dict[str, str]:
        """Field names and values."""
        return asdict(self)
