"""The rehearsal: federated with the gate and pooled without, side by side, and as files one can read."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from racoon import __version__
from racoon.domain.analysis import AnalysisPlan
from racoon.node.analysing.gridding import grid_costs
from racoon.node.analysing.tables import TableDefect
from racoon.node.release.estimates import EstimateGate
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import Analysis, OpenGate, ResultTable, SiteTable, run_plan
from racoon.science.statistics.derivation import derive
from racoon.web.figures import Ratio, Steps, ratio_figure, survival_figure
from racoon.web.plots import plot_figure


@dataclass(frozen=True)
class Rehearsal:
    """Both runs of one plan.

    Parameters
    ----------
    plan
        What was run.
    federated, pooled
        Behind the gates of the sites, and on all rows in one table.
    policy
        The sites' policy.
    grid
        By title: what a published time grid costs.
    """

    plan: AnalysisPlan
    federated: Analysis
    pooled: Analysis
    policy: DisclosurePolicy
    grid: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the same input gives the same document."""
        return {
            "plan": self.plan.to_dict(),
            "plan_hash": self.plan.hash,
            "code_version": __version__,
            "policy_hash": self.policy.hash,
            "federated": self.federated.to_dict()["tables"],
            "pooled": self.pooled.to_dict()["tables"],
            "grid": dict(self.grid),
        }


def rehearse(
    plan: AnalysisPlan,
    tables: Mapping[str, Mapping[str, Sequence[str]]],
    policy: DisclosurePolicy | None = None,
) -> Rehearsal:
    """Run a plan federated and pooled.

    Parameters
    ----------
    plan
        Checked plan.
    tables
        By site: columns of texts.
    policy
        Policy of every site; the network's by default.

    Raises
    ------
    TableDefect
        Names the site and column, never a value.
    """
    policy = policy or DisclosurePolicy()
    sites = [
        SiteTable(site, _derive(plan, site, table), EstimateGate(policy)) for site, table in tables.items()
    ]
    names = [item.name for item in plan.variables if item.derivation is None]
    together: dict[str, ArrayLike] = {
        name: [text for site in sorted(tables) for text in tables[site][name]] for name in names
    }
    columns = derive(plan, together)
    pooled = run_plan(plan, [SiteTable("all sites", columns, OpenGate())])
    return Rehearsal(plan, run_plan(plan, sites), pooled, policy, grid_costs(plan, columns, pooled))


def _derive(plan: AnalysisPlan, site: str, table: Mapping[str, Sequence[str]]) -> Mapping[str, Any]:
    try:
        return derive(plan, dict(table))
    except ValueError as error:
        raise TableDefect(f"Table of {site}: {error}.") from error


def write_results(rehearsal: Rehearsal, folder: Path) -> list[Path]:
    """Write one CSV table per result, figures, and everything as JSON.

    Parameters
    ----------
    rehearsal
        What was computed.
    folder
        Made if it is not there; files of the same names are replaced.

    Returns
    -------
    list of Path
        Files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "results.json"]
    document = json.dumps(rehearsal.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    written[0].write_text(document + "\n", encoding="utf-8")
    pairs = zip(rehearsal.federated.tables, rehearsal.pooled.tables, strict=True)
    for number, (federated, pooled) in enumerate(pairs, start=1):
        stem = f"{number:02d}-{_file_name(federated)}"
        path = folder / f"{stem}.csv"
        _write_table(path, federated, pooled, rehearsal.grid if not federated.subgroup else {})
        written.append(path)
        if figure := _figure(rehearsal.plan, federated):
            path = folder / f"{stem}.svg"
            path.write_text(figure, encoding="utf-8")
            written.append(path)
        for plot in federated.plots:
            path = folder / f"{stem}-{plot.kind}.svg"
            path.write_text(plot_figure(f"{federated.title}: {plot.kind}", asdict(plot)), encoding="utf-8")
            written.append(path)
    return written


def _file_name(table: ResultTable) -> str:
    return re.sub(r"[^a-z0-9]+", "-", f"{table.title} {table.subgroup}".lower()).strip("-")[:60] or "result"


def _write_table(path: Path, federated: ResultTable, pooled: ResultTable, grid: Mapping[str, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["run", *federated.columns])
        for name, table in (("federated", federated), ("pooled", pooled)):
            writer.writerows([name, *("" if cell is None else cell for cell in row)] for row in table.rows)
        for name, table in (("federated", federated), ("pooled", pooled)):
            writer.writerows([f"note ({name})", note] for note in table.notes)
        if federated.title in grid:
            writer.writerow(["note (grid)", grid[federated.title]])
        writer.writerows([f"withheld ({site})", reason] for site, reason in federated.withheld)


def _figure(plan: AnalysisPlan, table: ResultTable) -> str:
    title = f"{table.title} ({table.subgroup})" if table.subgroup else table.title
    if table.curves:
        item = next(item for item in plan.estimators if item.title == table.title)
        unit = plan.variable(str(getattr(item, "time", ""))).unit
        curves = [
            Steps(curve.name, curve.times, curve.values, curve.low, curve.high, curve.at_risk)
            for curve in table.curves
        ]
        return survival_figure(title, curves, unit)
    if "ratio" not in table.columns:
        return ""
    place = table.columns.index("ratio")
    ratios = []
    for row in table.rows:
        limits = [cell for cell in row[place : place + 3] if isinstance(cell, float)]
        if len(limits) == 3 and row[0] != "(intercept)" and all(0 < limit < math.inf for limit in limits):
            ratios.append(Ratio(str(row[0]), *limits))
    return ratio_figure(title, ratios, "ratio") if ratios else ""
