"""What a site computed for a question, still unprotected, and how it passes the gate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from racoon.science.analysis.gate import Gate, Reasons
from racoon.science.statistics.description import CountTable, NumberSummary
from racoon.science.statistics.regression import Meat, ModelStep
from racoon.science.statistics.survival import RiskSums, SurvivalTable


class Computed(Protocol):
    """What a site computed for one question; it holds rows and never leaves as it is."""

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Return what the gate lets out, and why the rest stays."""


@dataclass(frozen=True)
class Impossible:
    """The rows can't be used as the plan says; the sentence names columns, never a value."""

    sentence: str

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:  # noqa: ARG002 -- the signature of all results
        """Let the gate decide."""
        return None, (self.sentence,)


@dataclass(frozen=True)
class Several:
    """Variables side by side; each is protected for itself."""

    parts: Sequence[Computed]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide."""
        reasons: list[str] = []
        values = []
        for part in self.parts:
            value, why = part.pass_through(gate)
            values.append(value)
            reasons += why
        return {"variables": values}, tuple(dict.fromkeys(reasons))


@dataclass(frozen=True)
class Numbers:
    """A numeric variable by group."""

    name: str
    groups: Sequence[tuple[NDArray[np.float64], NumberSummary]]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any], Reasons]:
        """Let the gate decide."""
        reasons: list[str] = []
        shown = []
        for values, summary in self.groups:
            protected, why = gate.numbers(self.name, values, summary)
            shown.append(protected.to_dict() if protected is not None else None)
            reasons += why
        return {"groups": shown}, tuple(reasons)


@dataclass(frozen=True)
class Counts:
    """A table of levels by group."""

    name: str
    table: CountTable

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any], Reasons]:
        """Let the gate decide."""
        shown, reasons = gate.table(self.name, self.table)
        return {"table": shown.to_dict() if shown is not None else None}, reasons


@dataclass(frozen=True)
class Step:
    """A model's sums, or the squared scores of its robust variance."""

    item: str
    columns: NDArray[np.float64]
    weights: NDArray[np.float64]
    step: ModelStep
    has_events: bool
    meat: Meat | None = None

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide."""
        shown, reasons = gate.model(
            self.item, self.columns, self.weights, self.step, has_events=self.has_events
        )
        if shown is None:
            return None, reasons
        return shown.to_dict() if self.meat is None else self.meat.to_dict(), reasons


@dataclass(frozen=True)
class Tables:
    """Counts over a grid, one table per group; all or none."""

    item: str
    tables: Sequence[SurvivalTable]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide."""
        for table in self.tables:
            if reasons := gate.survival(self.item, table):
                return None, reasons
        return {"tables": [table.to_dict() for table in self.tables]}, ()


@dataclass(frozen=True)
class Risk:
    """Risk-set sums over a grid, or the squared score residuals of a robust variance."""

    item: str
    columns: NDArray[np.float64]
    weights: NDArray[np.float64]
    sums: RiskSums
    meat: Meat | None = None

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide."""
        shown, reasons = gate.risk_sums(self.item, self.columns, self.weights, self.sums)
        if shown is None:
            return None, reasons
        return (shown.to_dict() if self.meat is None else self.meat.to_dict()), reasons


@dataclass(frozen=True)
class Sums:
    """Anything made of sums over the rows; it leaves whole or not at all.

    Parameters
    ----------
    item
        Name for the ledger.
    columns, weights
        What is summed, and what each row weighs in it, shapes (columns, rows) and (kinds, rows).
    parameters
        Numbers of a model that could be fitted to them.
    cells
        Counts that stand in the sums or follow from them; a small one keeps everything here.
    value
        JSON form of what would leave.
    """

    item: str
    columns: NDArray[np.float64]
    weights: NDArray[np.float64]
    parameters: int
    cells: tuple[int, ...]
    value: Mapping[str, Any]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide."""
        reasons = gate.sums(
            self.item, self.columns, self.weights, parameters=self.parameters, cells=self.cells
        )
        return (None if reasons else dict(self.value)), reasons


@dataclass(frozen=True)
class Guarded:
    """Something made of other columns; it leaves as its own rules say, and only if sums of those columns may."""

    columns: Sums
    made: Computed

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide on both."""
        shown, reasons = self.columns.pass_through(gate)
        return self.made.pass_through(gate) if shown is not None else (None, reasons)


@dataclass(frozen=True)
class Together:
    """Parts of which none makes sense without the others: all leave, or nothing does."""

    parts: Mapping[str, Computed]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide on each."""
        found: dict[str, Any] = {}
        for name, part in self.parts.items():
            value, reasons = part.pass_through(gate)
            if value is None:
                return None, reasons
            found[name] = value
        return found, ()
