"""What each estimator of a plan may refer to; a plan that makes no sense is refused in a sentence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, get_args

from racoon.domain.analysis import estimators as known
from racoon.domain.analysis.estimators import Estimator
from racoon.domain.analysis.expression import Kind
from racoon.domain.analysis.terms import TermDefect, parse_term
from racoon.errors import Defect

_MOST_IMPUTATIONS = 50
_SUFFIX = re.compile(r"[A-Za-z0-9_]{0,16}")
_TAKES_HARMONISED = (
    known.Description,
    known.Comparison,
    known.Correlation,
    known.Model,
    known.MixedModel,
    known.CoxModel,
    known.Propensity,
)
"""Estimators that know a harmonised number only through sums.  Whoever asks chooses how it is harmonised, so nothing
that counts subjects between cuts may take one."""
_MOST_PERIODS = 600


class PlanDefect(Defect):
    """An analysis plan that makes no sense; nothing is ever ignored."""

    code: ClassVar[str] = "analysis.plan"


@dataclass(frozen=True)
class Check:
    """What estimators may refer to.

    Parameters
    ----------
    kinds, levels
        Of the variables.
    binned
        Numbers with bins.
    earlier
        Estimators that stand before, by title.
    title
        Of the estimator at hand.
    made
        Numbers that a harmonisation before it made.
    takes_made
        Whether it may use them as what it adds up; as a time, a cluster or with cuts none may.
    """

    kinds: Mapping[str, Kind]
    levels: Mapping[str, tuple[str, ...]]
    binned: frozenset[str]
    earlier: Mapping[str, Estimator] | None = None
    title: str = ""
    made: frozenset[str] = frozenset()
    takes_made: bool = False

    def refuse(self, sentence: str) -> PlanDefect:
        """Make a defect that names the estimator."""
        return PlanDefect(f"{self.title}: {sentence}")

    def need(self, name: str, *wanted: Kind, has_cuts: bool = False) -> None:
        """Demand a variable of some kind; ``has_cuts`` where its values sort subjects."""
        if name not in self.kinds:
            raise self.refuse(f"the plan has no variable {name!r}.")
        if name in self.made and (has_cuts or not self.takes_made):
            raise self.refuse(f"{name} is harmonised; only sums, means and models can use it.")
        if wanted and self.kinds[name] not in wanted:
            raise self.refuse(f"{name} must be a {' or '.join(wanted)}.")

    def choose(self, value: str, choices: Any, what: str) -> None:
        """Demand one of the known words."""
        if value not in get_args(choices):
            raise self.refuse(f"{what} is one of {', '.join(get_args(choices))}, not {value!r}.")

    def terms(self, terms: Sequence[str], *, may_switch: bool = False) -> None:
        """Demand terms over known variables."""
        for term in terms:
            try:
                factors = parse_term(term)
            except TermDefect as error:
                raise self.refuse(str(error)) from error
            for factor in factors:
                is_plain = factor.kind == "plain"
                self.need(factor.name, *(() if is_plain else ("number",)), has_cuts=not is_plain)
                if factor.kind == "after" and not (may_switch and len(factors) == 1):
                    raise self.refuse(
                        f"{term!r} stands alone in a Cox model without a grid; there a covariate may change in time."
                    )

    def group_count(self, name: str) -> int:
        """Levels of a category or truth."""
        return len(self.levels.get(name, ("0", "1")))

    def find(self, title: str, *kinds: type[Estimator]) -> Estimator:
        """Demand an earlier estimator by its title."""
        found = (self.earlier or {}).get(title)
        if found is None or (kinds and not isinstance(found, kinds)):
            raise self.refuse(f"no such estimator with the title {title!r} stands before it.")
        return found


def check_estimators(items: Sequence[Estimator], check: Check) -> None:
    """Check all estimators of a plan, in order.

    Raises
    ------
    PlanDefect
        Names the estimator and what to change.
    """
    earlier: dict[str, Estimator] = {}
    kinds, made = dict(check.kinds), set[str]()
    for item in items:
        takes_made = isinstance(item, _TAKES_HARMONISED)
        own = Check(kinds, check.levels, check.binned, earlier, item.title, frozenset(made), takes_made)
        CHECKS[type(item)](item, own)
        earlier[item.title] = item
        if isinstance(item, known.Harmonisation):
            made |= set(_made(item, own))
            kinds |= dict.fromkeys(made, "number")


def _made(item: known.Harmonisation, check: Check) -> Sequence[str]:
    """Check the names that a harmonisation makes."""
    names = tuple(known.harmonised_names(item))
    if not _SUFFIX.fullmatch(item.suffix):
        raise check.refuse("the suffix of harmonised names is letters, digits and underscores.")
    for name in names:
        if name in check.kinds:
            raise check.refuse(f"{name} is defined twice.")
    return names


def _edges(edges: Sequence[float], check: Check) -> None:
    if any(b <= a for a, b in zip((0.0, *edges), edges, strict=False)):
        raise check.refuse("edges of the time grid must be positive and ascending.")


def _description(item: known.Description, check: Check) -> None:
    if item.by is not None:
        check.need(item.by, "category", "truth")
    for name in item.variables:
        check.need(name)


def _comparison(item: known.Comparison, check: Check) -> None:
    check.choose(item.test, known.TestName, "the test")
    if item.test == "paired-t":
        check.need(item.variable, "number")
        check.need(item.by, "number")
        return
    check.need(item.by, "category", "truth")
    if item.test == "mcnemar":
        check.need(item.variable, "truth")
        check.need(item.by, "truth")
        return
    if item.test in {"chi-square", "fisher"}:
        check.need(item.variable, "category", "truth")
    else:
        check.need(item.variable, "number")
    if item.test != "chi-square" and check.group_count(item.by) != 2:
        raise check.refuse(f"{item.test} compares exactly two groups.")
    if item.test == "fisher" and check.group_count(item.variable) != 2:
        raise check.refuse("Fisher's test takes a table of two by two.")
    if item.test == "mann-whitney" and item.variable not in check.binned:
        raise check.refuse(f"a rank test across sites needs bins for {item.variable}.")


def _model(item: known.Model, check: Check) -> None:
    check.terms(item.terms)
    check.choose(item.family, known.FamilyName, "the family")
    check.choose(item.variance, known.VarianceName, "the variance")
    check.need(item.outcome, *(("truth",) if item.family == "binomial" else ("number",)))
    if item.ridge < 0 or item.lasso < 0:
        raise check.refuse(f"a {'ridge' if item.ridge < 0 else 'lasso'} penalty can't be negative.")
    if item.lasso and (item.variance != "model" or item.imputations or item.family == "negative-binomial"):
        raise check.refuse(
            "a lasso has no standard errors: it goes with the variance 'model', a linear, logistic or Poisson model "
            "and no imputations."
        )
    _clusters(item, check)
    if item.offset is not None:
        check.need(item.offset, "number")
    if item.imputations and not 2 <= item.imputations <= _MOST_IMPUTATIONS:
        raise check.refuse(f"imputations are 0, or 2 to {_MOST_IMPUTATIONS}.")
    if item.imputations and item.variance != "model":
        raise check.refuse("imputed data sets are combined with the variance 'model'.")


def _clusters(item: known.Model | known.CoxModel, check: Check) -> None:
    if (item.variance == "clustered") != (item.cluster is not None):
        raise check.refuse("a clustered variance, and only that, names the variable of the clusters.")
    if item.cluster is not None:
        check.need(item.cluster, has_cuts=True)


def _survival(item: known.SurvivalCurves, check: Check) -> None:
    if item.by is not None:
        check.need(item.by, "category", "truth")
    check.need(item.time, "number")
    check.need(item.event, "truth")
    _edges(item.edges, check)
    if not item.edges:
        raise check.refuse("curves across sites need the edges of a published time grid.")


def _cox(item: known.CoxModel, check: Check) -> None:
    switching = [term for term in item.terms if term.startswith("after(")]
    if item.edges and switching:
        raise check.refuse(
            f"{switching[0]!r} needs exact times, and over a grid nobody knows when within an interval it switches; "
            "leave the edges out, then the model is stratified by site."
        )
    check.terms(item.terms, may_switch=True)
    check.need(item.time, "number", has_cuts=True)
    check.need(item.event, "truth")
    check.choose(item.ties, known.TiesName, "ties")
    check.choose(item.variance, known.VarianceName, "the variance")
    _clusters(item, check)
    if item.variance != "model" and any(
        factor.kind == "after" for term in item.terms for factor in parse_term(term)
    ):
        raise check.refuse("covariates that switch on in time go with the variance 'model'.")
    _edges(item.edges, check)


def _incidence(item: known.Incidence, check: Check) -> None:
    if item.by is not None:
        check.need(item.by, "category", "truth")
    check.need(item.time, "number")
    check.need(item.cause, "category")
    _edges(item.edges, check)
    if not item.edges:
        raise check.refuse("curves across sites need the edges of a published time grid.")


def _different(names: Sequence[str], least: int, check: Check) -> None:
    if len(set(names)) != len(names) or len(names) < least:
        raise check.refuse(f"it takes {least} or more different variables.")


def _correlation(item: known.Correlation, check: Check) -> None:
    _different(item.variables, 2, check)
    for name in item.variables:
        check.need(name, "number", "truth")


def _agreement(item: known.Agreement, check: Check) -> None:
    check.choose(item.measure, known.MeasureName, "the measure")
    check.choose(item.weights, known.WeightsName, "the weights")
    _different(item.variables, 2, check)
    if item.measure != "icc" and len(item.variables) != 2:
        raise check.refuse(f"{item.measure} compares exactly two variables.")
    if item.measure != "kappa":
        for name in item.variables:
            check.need(name, "number")
        return
    for name in item.variables:
        check.need(name, "category", "truth")
    first, second = (check.levels.get(name, ("0", "1")) for name in item.variables)
    if first != second:
        raise check.refuse("both readers need the same levels in the same order.")


def _mixed(item: known.MixedModel, check: Check) -> None:
    check.terms(item.terms)
    check.choose(item.family, known.MixedFamilyName, "the family")
    check.need(item.outcome, "truth" if item.family == "binomial" else "number")
    check.choose(item.likelihood, known.LikelihoodName, "the likelihood")


def _prediction(item: known.Prediction, check: Check) -> None:
    check.need(item.outcome, "truth")
    for score in (item.score, *(() if item.against is None else (item.against,))):
        if score in check.kinds:
            check.need(score, "number")
            continue
        model = check.find(score, known.Model)
        if not isinstance(model, known.Model) or model.family != "binomial" or model.imputations:
            raise check.refuse("only a logistic model without imputations predicts a risk.")
    if any(not a < b for a, b in zip((0.0, *item.classes), (*item.classes, 1.0), strict=True)):
        raise check.refuse("classes are ascending risks between 0 and 1.")
    if bool(item.classes) != (item.against is not None):
        raise check.refuse("reclassification needs both a second score and the classes.")
    if not item.edges or any(not a < b for a, b in zip((0.0, *item.edges), (*item.edges, 1.0), strict=True)):
        raise check.refuse("edges are ascending risks between 0 and 1.")


def _propensity(item: known.Propensity, check: Check) -> None:
    check.terms(item.terms)
    check.need(item.treatment, "truth")
    check.need(item.outcome, "number", "truth")
    check.choose(item.method, known.BalanceName, "the method")
    check.choose(item.estimand, known.EstimandName, "the estimand")
    if len(item.trim) != 2 or not 0 < item.trim[0] < item.trim[1] < 1:
        raise check.refuse("trim is two ascending propensities between 0 and 1.")
    if item.method == "matching" and item.estimand != "att":
        raise check.refuse("matching estimates the effect on the treated; say estimand = 'att'.")
    if item.caliper <= 0:
        raise check.refuse("the caliper is positive.")


def _meta(item: known.Meta, check: Check) -> None:
    found = check.find(item.of, known.Model, known.CoxModel)
    if isinstance(found, known.CoxModel) and found.edges:
        raise check.refuse("a site can fit a Cox model alone only without a grid.")
    if isinstance(found, known.Model) and (found.lasso or found.imputations):
        raise check.refuse("a meta-analysis needs standard errors of complete rows.")
    check.choose(item.method, known.PoolingName, "the method")


def _multiplicity(item: known.Multiplicity, check: Check) -> None:
    check.choose(item.method, known.CorrectionName, "the method")
    if not item.of:
        raise check.refuse("it needs the titles of the estimators whose p values count.")
    for title in item.of:
        check.find(
            title, known.Comparison, known.SurvivalCurves, known.Model, known.CoxModel, known.MixedModel
        )


def _time_series(item: known.TimeSeries, check: Check) -> None:
    check.need(item.period, "number")
    check.choose(item.measure, known.SeriesName, "the measure")
    if (item.measure == "share") != (item.outcome is not None):
        raise check.refuse("a share, and only a share, names the outcome.")
    if item.outcome is not None:
        check.need(item.outcome, "truth")
    if not 0 < item.interruption < item.periods <= _MOST_PERIODS or item.season < 0:
        raise check.refuse(
            f"the interruption lies within the periods, of which there are at most {_MOST_PERIODS}."
        )


def _harmonisation(item: known.Harmonisation, check: Check) -> None:
    _different((*item.features, *item.covariates), 2, check)
    if len(item.features) < 2:
        raise check.refuse("harmonisation needs at least two features.")
    for name in item.features:
        check.need(name, "number")
    for name in item.covariates:
        check.need(name)


def _comorbidome(item: known.Comorbidome, check: Check) -> None:
    _different((*item.biomarkers, item.age), 2, check)
    for name in (*item.biomarkers, item.age):
        check.need(name, "number")
    for name in (*item.conditions, item.reference):
        check.need(name, "truth")
    if item.limit <= 0:
        raise check.refuse("the limit is a positive number of SD.")


CHECKS: Mapping[type[Estimator], Callable[[Any, Check], None]] = {
    known.Description: _description,
    known.Comparison: _comparison,
    known.Model: _model,
    known.SurvivalCurves: _survival,
    known.CoxModel: _cox,
    known.Correlation: _correlation,
    known.Agreement: _agreement,
    known.Incidence: _incidence,
    known.MixedModel: _mixed,
    known.Prediction: _prediction,
    known.Propensity: _propensity,
    known.Meta: _meta,
    known.Multiplicity: _multiplicity,
    known.TimeSeries: _time_series,
    known.Harmonisation: _harmonisation,
    known.Comorbidome: _comorbidome,
}
