"""Analyses as one would write them over a data frame: nothing runs until a plan is proposed or run.

::

    table = central.open_study("study-1").table().rename(effusion_ml="pleural_effusion_volume")
    table = table.derive("effusion", "effusion_ml >= 100").describe("age", "sex", by="effusion")
    run = table.glm("effusion ~ age + sex").run("Effusion")
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from racoon.client.results import AnalysisRun, StudyServer
from racoon.domain.analysis import AnalysisPlan, parse_expression, parse_plan
from racoon.domain.analysis.columns import columns_of
from racoon.domain.analysis.sources import CLINICAL, HELP, source_kind
from racoon.domain.plan import MeasuringPlan
from racoon.errors import Defect
from racoon.science.biomarkers.catalogue import unit_of

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class FormulaDefect(Defect):
    """A formula that is not understood, or names a column the table does not have."""

    code: ClassVar[str] = "client.formula"


@dataclass(frozen=True)
class ResearchStudy:
    """A study one may analyse.

    Parameters
    ----------
    central
        Signed-in client.
    study_id
        Which study.
    """

    central: StudyServer
    study_id: str

    def table(self) -> Table:
        """Return the table every site has: one row per subject, with age, sex and all measured values.

        No row is fetched; the columns come from the study's definition.
        """
        definition = self.central.study(self.study_id)["definition"]
        measuring = definition.get("measuring")
        return Table(self, columns_of(MeasuringPlan.from_dict(measuring) if measuring else None, unit_of))


@dataclass(frozen=True)
class Table:
    """Rows at the sites, seen from outside: every method returns a new table that asks for more.

    Parameters
    ----------
    study
        Whose.
    columns
        JSON form of the plan's variables.
    estimators, subgroups
        Asked so far.
    """

    study: ResearchStudy
    columns: tuple[dict[str, Any], ...]
    estimators: tuple[dict[str, Any], ...] = ()
    subgroups: tuple[dict[str, str], ...] = ()

    def __repr__(self) -> str:
        names = ", ".join(f"{column['name']} ({column['kind']})" for column in self.columns)
        return f"<table of {self.study.study_id}: {names}; {len(self.estimators)} estimators>"

    # ------------------------------------------------------------------------------------------------ columns

    def rename(self, **names: str) -> Table:
        """Give columns other names: ``rename(new="old")``."""
        for old in names.values():
            self._column(old)
        back = {old: new for new, old in names.items()}
        renamed = [{**column, "name": back.get(column["name"], column["name"])} for column in self.columns]
        return replace(self, columns=tuple(renamed))

    def clinical(self, name: str, source: str, *, unit: str = "", bins: Sequence[float] = ()) -> Table:
        """Add a column from the clinical course at the sites.

        Parameters
        ----------
        name
            Of the column.
        source
            ``died``, ``died_within 30``, ``days_observed``, ``condition SYSTEM CODE``, ``observation SYSTEM
            CODE last``; see :mod:`racoon.domain.analysis.sources`.
        unit
            UCUM unit of a value; values in another unit are missing.
        bins
            Lower edge, upper edge and width of a histogram of a number.
        """
        full = source if source.startswith(CLINICAL) else CLINICAL + source
        kind = source_kind(full)
        if kind is None:
            raise FormulaDefect(f"{source!r} is no source of the clinical course. There are: {HELP}.")
        column: dict[str, Any] = {"name": name, "kind": kind, "unit": unit, "source": full}
        if bins:
            column["bins"] = dict(zip(("lower", "upper", "width"), map(float, bins), strict=True))
        return replace(self, columns=(*self.columns, column))

    def derive(self, name: str, expression: str) -> Table:
        """Add a column computed at the sites, in the plan's expression language."""
        kinds = {column["name"]: column["kind"] for column in self.columns}
        levels = {column["name"]: tuple(column.get("levels", ())) for column in self.columns}
        kind = parse_expression(expression).kind(kinds, {key: own for key, own in levels.items() if own})
        return replace(self, columns=(*self.columns, {"name": name, "kind": kind, "derivation": expression}))

    def where(self, name: str, condition: str) -> Table:
        """Compute everything for the rows of a condition too."""
        return replace(self, subgroups=(*self.subgroups, {"name": name, "condition": condition}))

    # ------------------------------------------------------------------------------------------------ estimators

    def describe(self, *variables: str, by: str | None = None, title: str = "Table 1") -> Table:
        """Ask for Table 1."""
        return self._with(
            {"estimator": "description", "title": title, "variables": list(variables), "by": by}
        )

    def compare(self, variable: str, by: str, test: str = "welch", title: str = "") -> Table:
        """Ask for a test of a variable between groups."""
        named = title or f"{variable} by {by}"
        return self._with(
            {"estimator": "comparison", "title": named, "variable": variable, "by": by, "test": test}
        )

    def glm(
        self, formula: str, family: str = "", *, robust: bool = False, ridge: float = 0.0, title: str = ""
    ) -> Table:
        """Ask for a generalised linear model.

        Parameters
        ----------
        formula
            ``"outcome ~ a + b"``; ``a:b`` is an interaction, ``a*b`` stands for ``a + b + a:b``.
        family
            ``gaussian``, ``binomial``, ``poisson`` or ``negative-binomial``; by the outcome's kind when empty.
        robust
            Robust standard errors.
        ridge
            Penalty on the squared coefficients.
        title
            The formula by default.
        """
        (outcome,), terms = parse_formula(formula, 1)
        usual = "binomial" if self._column(outcome)["kind"] == "truth" else "gaussian"
        return self._with(
            {
                "estimator": "model",
                "title": title or formula,
                "outcome": outcome,
                "terms": terms,
                "family": family or usual,
                "variance": "robust" if robust else "model",
                "ridge": ridge,
            }
        )

    def kaplan_meier(
        self, time: str, event: str, edges: Sequence[float], by: str | None = None, title: str = "Survival"
    ) -> Table:
        """Ask for survival curves on a published time grid."""
        wanted = {"estimator": "survival", "title": title, "time": time, "event": event, "by": by}
        return self._with({**wanted, "edges": [float(edge) for edge in edges]})

    def cox(
        self,
        formula: str,
        edges: Sequence[float] = (),
        ties: str = "efron",
        title: str = "",
        *,
        robust: bool = False,
        cluster: str | None = None,
    ) -> Table:
        """Ask for a Cox model: ``"time, event ~ a + b"``; stratified by site without the edges of a grid.

        Standard errors are robust where wished, and those of clusters where a variable names them.
        """
        (clock, event), terms = parse_formula(formula, 2)
        wanted = {
            "estimator": "cox",
            "title": title or formula,
            "time": clock,
            "event": event,
            "terms": terms,
            "edges": [float(edge) for edge in edges],
            "ties": ties,
        }
        if cluster is not None:
            return self._with({**wanted, "variance": "clustered", "cluster": cluster})
        return self._with({**wanted, "variance": "robust"} if robust else wanted)

    def harmonise(
        self, *features: str, keeping: Sequence[str] = (), suffix: str = "_h", title: str = "ComBat"
    ) -> Table:
        """Harmonise measured values between sites by ComBat; what comes after knows them with the suffix.

        Parameters
        ----------
        features
            Numbers, two or more.
        keeping
            Covariates whose effect stays.
        suffix
            ``liver`` is ``liver_h`` from here on, in sums, means and models.
        title
            Of the report of what changed.
        """
        for name in (*features, *keeping):
            self._column(name)
        wanted = {"features": list(features), "covariates": list(keeping), "suffix": suffix}
        return self._with({"estimator": "harmonisation", "title": title, **wanted})

    # ------------------------------------------------------------------------------------------------ plan

    def plan(self, name: str, *, minimum_sites: int = 3, on_dropout: str = "continue") -> AnalysisPlan:
        """Write and check the plan; columns that nothing uses are left out.

        Raises
        ------
        PlanDefect, ExpressionDefect
            Says what to change.
        """
        document = {
            "kind": "analysis",
            "name": name,
            "variables": self._used(),
            "estimators": list(self.estimators),
            "subgroups": list(self.subgroups),
            "minimum_sites": minimum_sites,
            "on_dropout": on_dropout,
        }
        return parse_plan(document)

    def propose(self, name: str, **options: Any) -> AnalysisPlan:
        """Write the plan into the study, while its definition may still change; sites approve it with the study."""
        plan = self.plan(name, **options)
        central, study_id = self.study.central, self.study.study_id
        found = central.study(study_id)
        others = [item for item in found["definition"].get("analyses", ()) if item["name"] != name]
        definition = {**found["definition"], "analyses": [*others, plan.to_dict()]}
        central.revise_study(study_id, definition, found["version"])
        return plan

    def run(self, name: str, *, mode: str = "federated", **options: Any) -> AnalysisRun:
        """Run the plan, if the study's sites have approved exactly this one.

        Parameters
        ----------
        name
            Of the plan.
        mode
            ``federated``, ``pool``, or ``sites`` for each site alone with a meta-analysis.
        options
            As in :meth:`plan`.
        """
        plan = self.plan(name, **options)
        central = self.study.central
        return AnalysisRun(central, central.start_analysis(self.study.study_id, plan.hash, mode))

    def _column(self, name: str) -> Mapping[str, Any]:
        for column in self.columns:
            if column["name"] == name:
                return column
        if name in self._harmonised():
            return {"name": name, "kind": "number"}
        known = ", ".join(column["name"] for column in self.columns)
        raise FormulaDefect(f"The table has no column {name!r}; it has {known}.")

    def _harmonised(self) -> set[str]:
        return {
            f"{feature}{item['suffix']}"
            for item in self.estimators
            if item.get("suffix")
            for feature in item["features"]
        }

    def _with(self, estimator: dict[str, Any]) -> Table:
        for key in ("outcome", "time", "event", "variable", "by"):
            if estimator.get(key):
                self._column(estimator[key])
        for term in (*estimator.get("terms", ()), *estimator.get("variables", ())):
            for part in term.split(":"):
                self._column(part)
        return replace(self, estimators=(*self.estimators, estimator))

    def _used(self) -> list[dict[str, Any]]:
        texts = [str(value) for item in self.estimators for key, value in item.items() if key != "title"]
        texts += [group["condition"] for group in self.subgroups]
        wanted: set[str] = set()
        waiting = [word for text in texts for word in _WORD.findall(text)]
        by_name = {column["name"]: column for column in self.columns}
        while waiting:
            name = waiting.pop()
            if name in by_name and name not in wanted:
                wanted.add(name)
                waiting += _WORD.findall(by_name[name].get("derivation", ""))
        return [column for column in self.columns if column["name"] in wanted]


def parse_formula(formula: str, outcomes: int) -> tuple[list[str], list[str]]:
    """Read ``"y ~ a + b*c"``.

    Parameters
    ----------
    formula
        Outcomes, a tilde, terms.
    outcomes
        How many outcomes stand on the left, separated by commas.

    Returns
    -------
    tuple
        Outcomes, and terms with interactions written out, each once.

    Raises
    ------
    FormulaDefect
        Shows how one looks.
    """
    left, tilde, right = formula.partition("~")
    names = [name.strip() for name in left.split(",")]
    terms: dict[str, None] = {}
    for text in right.split("+"):
        parts = [part.strip() for part in re.split(r"([*:])", text)]
        factors, signs = parts[::2], set(parts[1::2])
        if "*" in signs:
            terms |= dict.fromkeys(factors)
        terms[":".join(factors)] = None
    words = [*names, *(part for term in terms for part in term.split(":"))]
    if not tilde or len(names) != outcomes or not all(_WORD.fullmatch(word) for word in words):
        example = "death30 ~ age + effusion_ml" if outcomes == 1 else "days, died ~ age + effusion_ml"
        raise FormulaDefect(f"{formula!r} is no formula; write for example {example!r}.")
    return names, list(terms)
