"""What a plan may compute, one class per estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

FamilyName = Literal["gaussian", "binomial", "poisson", "negative-binomial"]
VarianceName = Literal["model", "robust", "clustered"]
TestName = Literal["t", "welch", "mann-whitney", "chi-square", "fisher", "mcnemar", "paired-t"]
TiesName = Literal["breslow", "efron"]
MeasureName = Literal["kappa", "icc", "ccc", "bland-altman"]
WeightsName = Literal["none", "linear", "quadratic"]
BalanceName = Literal["iptw", "matching"]
EstimandName = Literal["ate", "att"]
PoolingName = Literal["fixed", "dersimonian-laird", "reml"]
MixedFamilyName = Literal["gaussian", "binomial", "poisson"]
LikelihoodName = Literal["reml", "ml"]
CorrectionName = Literal["bonferroni", "holm", "hochberg", "benjamini-hochberg", "benjamini-yekutieli"]
SeriesName = Literal["count", "share"]

_LATER = {"later": True}
"""Marks a part that came after plans were first approved: left out of the document where it has its default, so that
a plan that never used it keeps its hash."""


@dataclass(frozen=True)
class Description:
    """Table 1: variables by the levels of another."""

    title: str
    variables: tuple[str, ...]
    by: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A test of a variable between the levels of another."""

    title: str
    variable: str
    by: str
    test: TestName


@dataclass(frozen=True)
class Model:
    """A generalised linear model.

    Parameters
    ----------
    title
        Of the table.
    outcome
        Variable on the left.
    terms
        Variables, splines ``spline(age, 30, 50, 70)`` with published knots, and interactions ``a:b``.
    family, variance
        Distribution of the outcome, and which standard errors.
    ridge, lasso
        Penalties ``ridge / 2 · Σ b²`` and ``lasso · Σ |b|`` on the log-likelihood, in the columns' own units.
    cluster
        Variable whose equal values make a cluster within a site; wanted by the variance ``clustered``.
    offset
        Number added to the linear predictor (the logarithm of the time at risk).
    imputations, seed
        Data sets in which missing values are drawn at each site, combined by Rubin's rules; 0 leaves incomplete rows
        out.  The same seed gives the same draws.
    """

    title: str
    outcome: str
    terms: tuple[str, ...]
    family: FamilyName
    variance: VarianceName = "model"
    ridge: float = 0.0
    lasso: float = field(default=0.0, metadata=_LATER)
    cluster: str | None = field(default=None, metadata=_LATER)
    offset: str | None = field(default=None, metadata=_LATER)
    imputations: int = field(default=0, metadata=_LATER)
    seed: int = field(default=1, metadata=_LATER)


@dataclass(frozen=True)
class SurvivalCurves:
    """Kaplan–Meier curves over a published grid, with a log-rank test between the levels of ``by``."""

    title: str
    time: str
    event: str
    edges: tuple[float, ...]
    by: str | None = None


@dataclass(frozen=True)
class CoxModel:
    """A Cox model over a published grid, or stratified by site without one (``edges`` empty).

    A term ``after(day)`` is a covariate that is 0 until the time ``day`` and 1 from then on; without a grid only.
    Standard errors are the model's, Lin and Wei's (``robust``), or theirs of clusters: equal values of ``cluster``.
    """

    title: str
    time: str
    event: str
    terms: tuple[str, ...]
    edges: tuple[float, ...] = ()
    ties: TiesName = "efron"
    variance: VarianceName = field(default="model", metadata=_LATER)
    cluster: str | None = field(default=None, metadata=_LATER)


@dataclass(frozen=True)
class Correlation:
    """Pearson correlations between numbers, with intervals."""

    title: str
    variables: tuple[str, ...]


@dataclass(frozen=True)
class Agreement:
    """How well readers or methods agree about the same subjects.

    Parameters
    ----------
    title
        Of the table.
    variables
        Two categories or truths with the same levels (kappa), two numbers (ccc, bland-altman), two or more (icc).
    measure, weights
        What is computed; the weights are kappa's.
    """

    title: str
    variables: tuple[str, ...]
    measure: MeasureName
    weights: WeightsName = "none"


@dataclass(frozen=True)
class Incidence:
    """Cumulative incidence of competing events (Aalen–Johansen) over a published grid.

    Parameters
    ----------
    title
        Of the table.
    time, cause
        Follow-up, and how it ended: a category whose first level is censored and whose others are events.
    edges
        Of the published grid.
    by
        Groups.
    """

    title: str
    time: str
    cause: str
    edges: tuple[float, ...]
    by: str | None = None


@dataclass(frozen=True)
class MixedModel:
    """A linear, logistic or Poisson model with a random intercept per site.

    Parameters
    ----------
    title
        Of the table.
    outcome, terms, family
        As in a model.
    likelihood
        Of the linear model; the others have the full likelihood only.
    """

    title: str
    outcome: str
    terms: tuple[str, ...]
    likelihood: LikelihoodName = "reml"
    family: MixedFamilyName = "gaussian"


@dataclass(frozen=True)
class Prediction:
    """How well a predicted risk tells and matches an outcome.

    Parameters
    ----------
    title
        Of the table.
    outcome
        Truth that was predicted.
    score
        Number from 0 to 1 that predicts it, or the title of a logistic model of the plan, whose risks are then
        computed at the sites.
    against
        A second score to compare with, of the same kinds.
    classes
        Ascending risks that part classes; wanted for net reclassification.
    edges
        Published risks between which sites count predictions; areas and curves come with the bounds this costs.
    """

    title: str
    outcome: str
    score: str
    against: str | None = None
    classes: tuple[float, ...] = ()
    edges: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Propensity:
    """The effect of a treatment, balanced by the propensity to be treated.

    Parameters
    ----------
    title
        Of the table.
    treatment, outcome
        Truth, and a number or truth.
    terms
        What the propensity depends on.
    method, estimand
        Inverse weights, or pairs within each site; matching estimates the effect on the treated (``att``).
    trim
        Propensities beyond these two are brought to them before they weigh.
    caliper
        Largest distance of a pair, on the logit of the propensity.
    """

    title: str
    treatment: str
    outcome: str
    terms: tuple[str, ...]
    method: BalanceName = "iptw"
    estimand: EstimandName = "ate"
    trim: tuple[float, ...] = (0.01, 0.99)
    caliper: float = 0.2


@dataclass(frozen=True)
class Meta:
    """A meta-analysis of one term: each site fits the model alone and gives its estimate and variance.

    Parameters
    ----------
    title
        Of the table.
    of, term
        Title of a model or of a Cox model without a grid, and the name of one of its columns.
    method
        How effects are pooled.
    hartung_knapp
        Interval by Hartung and Knapp.
    """

    title: str
    of: str
    term: str
    method: PoolingName = "reml"
    hartung_knapp: bool = True


@dataclass(frozen=True)
class Multiplicity:
    """P values of other estimators, corrected for their number.

    Parameters
    ----------
    title
        Of the table.
    of
        Titles of comparisons, curves, models.
    method
        How they are corrected.
    """

    title: str
    of: tuple[str, ...]
    method: CorrectionName = "holm"


@dataclass(frozen=True)
class TimeSeries:
    """An interrupted time series of the subjects per period.

    Parameters
    ----------
    title
        Of the table.
    period
        Number of the period of each subject: 0 is the first.
    periods, interruption
        How many periods there are, and the first after the interruption.
    measure, outcome
        Counts of subjects, or the share for whom a truth holds.
    log_scale
        Changes are relative.
    season
        Periods per year; 0 for no seasonal terms.
    """

    title: str
    period: str
    periods: int
    interruption: int
    measure: SeriesName = "count"
    outcome: str | None = None
    log_scale: bool = True
    season: int = 0


@dataclass(frozen=True)
class Harmonisation:
    """ComBat: shifts and scales of each site's measurements, keeping what covariates explain.

    Parameters
    ----------
    title
        Of the report.
    features, covariates
        Numbers of each site, and variables whose effect stays.
    suffix
        Later estimators know the harmonised feature ``fat`` as ``fat`` with this ending; without one there is the
        report only.
    """

    title: str
    features: tuple[str, ...]
    covariates: tuple[str, ...] = ()
    suffix: str = field(default="", metadata=_LATER)


@dataclass(frozen=True)
class Comorbidome:
    """Biomarkers and conditions together: z-scores, prevalences, network, biological-age gap.

    Parameters
    ----------
    title
        Of the table.
    biomarkers, conditions
        Numbers and truths.
    age
        In years.
    reference
        Truth: the subjects from whom the expected values are learnt.
    limit
        A biomarker beyond this many SD counts as abnormal.
    """

    title: str
    biomarkers: tuple[str, ...]
    age: str
    reference: str
    conditions: tuple[str, ...] = ()
    limit: float = 2.0


Estimator = (
    Description
    | Comparison
    | Model
    | SurvivalCurves
    | CoxModel
    | Correlation
    | Agreement
    | Incidence
    | MixedModel
    | Prediction
    | Propensity
    | Meta
    | Multiplicity
    | TimeSeries
    | Harmonisation
    | Comorbidome
)

ESTIMATORS: Mapping[str, type[Estimator]] = {
    "description": Description,
    "comparison": Comparison,
    "model": Model,
    "survival": SurvivalCurves,
    "cox": CoxModel,
    "correlation": Correlation,
    "agreement": Agreement,
    "incidence": Incidence,
    "mixed": MixedModel,
    "prediction": Prediction,
    "propensity": Propensity,
    "meta": Meta,
    "multiplicity": Multiplicity,
    "time-series": TimeSeries,
    "harmonisation": Harmonisation,
    "comorbidome": Comorbidome,
}
"""Name in the document, and class."""


def harmonised_names(item: Harmonisation) -> dict[str, str]:
    """Name the variables that a harmonisation makes for later estimators, with the feature of each."""
    return {f"{feature}{item.suffix}": feature for feature in item.features} if item.suffix else {}


def document_of(item: Estimator) -> dict[str, Any]:
    """Return the JSON form, without later parts that have their default."""
    names = {kind: name for name, kind in ESTIMATORS.items()}
    document = asdict(item)
    for part in fields(item):
        if part.metadata.get("later") and document[part.name] == part.default:
            del document[part.name]
    return {"estimator": names[type(item)], **document}
