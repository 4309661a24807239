"""Result tables of an analysis: rows one would print, with what was refused and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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
class Series:
    """Points of a plot, joined by a line where ``is_line``; limits may be empty."""

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    is_line: bool = True


@dataclass(frozen=True)
class Plot:
    """Something to draw: values of one kind over another.

    Parameters
    ----------
    kind
        ``roc``, ``calibration``, ``decision``, ``forest``, ``funnel``, ``time-series``, ``incidence``,
        ``prevalence``, ``network``.
    x, y
        What the axes show.
    series
        What is drawn; a network's edges are series of two nodes, named by places on a circle.
    """

    kind: str
    x: str
    y: str
    series: tuple[Series, ...]


@dataclass(frozen=True)
class SiteLine:
    """What one site alone says, beside the others: differences between sites are always in sight.

    Parameters
    ----------
    site, name
        Whose, and of what (a term, a group).
    n
        Rows behind it.
    value, low, high
        Estimate with its limits; ``None`` where a site has none of its own.
    """

    site: str
    name: str
    n: int
    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Shape:
    """A histogram to draw: its name, the JSON form of its cells, and the site; all sites added where it is empty."""

    name: str
    unit: str
    histogram: Mapping[str, Any]
    site: str = ""


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
    curves, shapes
        Curves and histograms to draw.
    per_site
        The same, site by site.
    rounds
        Rounds in which sites were asked for it.
    plots
        Everything else to draw.
    """

    title: str
    subgroup: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    withheld: tuple[tuple[str, str], ...] = ()
    sites: tuple[str, ...] = ()
    curves: tuple[PlottedCurve, ...] = ()
    shapes: tuple[Shape, ...] = ()
    per_site: tuple[SiteLine, ...] = ()
    rounds: int = 1
    plots: tuple[Plot, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        document = {
            "title": self.title,
            "subgroup": self.subgroup,
            "columns": list(self.columns),
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
            "withheld": [list(item) for item in self.withheld],
            "sites": list(self.sites),
            "curves": [asdict(curve) for curve in self.curves],
            "shapes": [asdict(shape) for shape in self.shapes],
            "per_site": [asdict(line) for line in self.per_site],
            "rounds": self.rounds,
        }
        return {**document, "plots": [asdict(plot) for plot in self.plots]} if self.plots else document


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
