"""Result tables of an analysis: rows one would print, with what was refused and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Cell = str | float | int | None


@dataclass(frozen=True)
class PlottedCurve:
    """A curve to draw.

    Parameters
    ----------
    name
        Group.
    times, values, low, high
        Steps with their limits.
    at_risk
        Subjects at risk at each time.
    """

    name: str
    times: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    at_risk: tuple[int, ...]


@dataclass(frozen=True)
class ResultTable:
    """One estimator for one group of rows.

    Parameters
    ----------
    title
        From the plan.
    subgroup
        Name of the subgroup; empty for all rows.
    columns, rows
        Header and cells; ``None`` where nothing is known.
    notes
        What speaks against a number, in words.
    withheld
        Sites whose part stayed, with the reason.
    sites
        Sites whose numbers count.
    curves
        Curves to draw.
    """

    title: str
    subgroup: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()
    sites: tuple[str, ...] = ()
    curves: tuple[PlottedCurve, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "title": self.title,
            "subgroup": self.subgroup,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
            "withheld": [list(item) for item in self.withheld],
            "sites": list(self.sites),
        }


@dataclass(frozen=True)
class Analysis:
    """All results of a plan.

    Parameters
    ----------
    plan_hash
        Hash of the plan that was run.
    tables
        One per estimator and group of rows, in the plan's order.
    """

    plan_hash: str
    tables: tuple[ResultTable, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"plan_hash": self.plan_hash, "tables": [table.to_dict() for table in self.tables]}
