"""The comorbidome of a group: every subject's vector, what is missing, frailty, biological age, what goes with what."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.comorbidome.age import FEWEST_PER_FEATURE, BiologicalAge
from racoon.science.comorbidome.network import Network, network_of
from racoon.science.comorbidome.scores import ReferenceLine, frailty_index, z_scores

DEFICIT_Z = 1.645
"""A z-score beyond it, where one in ten of the reference group lies, counts as a deficit."""

FEWEST_SUBJECTS = 10
"""Complete subjects below which no model of age is fitted."""

NOTES = "Research use only; no diagnosis. Deficits are z-scores beyond 1.645 and conditions that are present."


@dataclass(frozen=True)
class Subject:
    """One subject's vector.

    Parameters
    ----------
    name
        Pseudonym.
    age_years
        NaN when unknown.
    sex
        Any word; empty when unknown.
    values
        Biomarker to value; what is not there is missing.
    conditions
        Name to present, absent, or ``None`` when unknown.
    is_reference
        True when the subject belongs to the group that z-scores and the age model are learnt from.
    """

    name: str
    age_years: float
    sex: str
    values: Mapping[str, float]
    conditions: Mapping[str, bool | None] = field(default_factory=dict)
    is_reference: bool = True


@dataclass(frozen=True, eq=False)
class Comorbidome:
    """A group's comorbidome.

    Parameters
    ----------
    document
        JSON form: ``subjects``, ``missing``, ``reference``, ``biological_age``, ``prevalence``, ``links``.
    network
        Conditions and deficits, and what goes with what.
    """

    document: dict[str, Any]
    network: Network


def describe_group(
    subjects: Sequence[Subject], biomarkers: Sequence[str], source: str, features: Sequence[str] = ()
) -> Comorbidome:
    """Put the vectors of a group together.

    Parameters
    ----------
    subjects
        Their vectors.
    biomarkers
        Names of the biomarkers, in the order of the document.
    source
        What to call the reference.
    features
        Biomarkers of the age model; without them those known of most subjects, as many as the group allows.
    """
    basis = [subject for subject in subjects if subject.is_reference]
    lines = {
        sex: _lines(biomarkers, [subject for subject in basis if subject.sex == sex], source)
        for sex in sorted({subject.sex for subject in subjects if subject.sex})
    }
    chosen = list(features) or fitting_features(basis, biomarkers)
    model, reason = _model(chosen, basis)
    people = [_person(subject, biomarkers, lines, model) for subject in subjects]
    network = network_of([{**person["conditions"], **person["deficits"]} for person in people])
    document: dict[str, Any] = {
        "subjects": people,
        "missing": {name: sum(person["values"][name] is None for person in people) for name in biomarkers},
        "reference": {
            sex: {name: _line(line) for name, line in found.items()} for sex, found in lines.items()
        },
        "biological_age": _age_model(model) if model else {"reason": reason},
        "prevalence": [
            {
                "name": item.name,
                "present": item.present,
                "known": item.known,
                "share": _finite(item.prevalence),
            }
            for item in network.conditions
        ],
        "links": [
            {
                "first": link.first,
                "second": link.second,
                "together": link.together,
                "known": link.known,
                "odds_ratio": link.odds_ratio,
                "interval": [link.low, link.high],
                "shown": link.is_shown,
            }
            for link in network.links
        ],
        "notes": NOTES,
    }
    return Comorbidome(document, network)


def deficit_name(biomarker: str, *, is_high: bool) -> str:
    """Name of the deficit of a biomarker that is far above or below what is expected."""
    return f"{biomarker} {'high' if is_high else 'low'}"


def fitting_features(subjects: Sequence[Subject], biomarkers: Sequence[str]) -> list[str]:
    """Choose biomarkers of an age model by how many subjects have them, never by how well they go with age.

    Choosing by the age itself would make the model look better than it is; the error of left-out subjects would
    not show it.
    """
    aged = [subject for subject in subjects if math.isfinite(subject.age_years)]
    columns: dict[str, NDArray[np.float64]] = {
        name: np.array([subject.values.get(name, math.nan) for subject in aged]) for name in biomarkers
    }
    order = sorted(biomarkers, key=lambda name: -int(np.isfinite(columns[name]).sum()))
    chosen: list[str] = []
    complete = np.ones(len(aged), bool)
    for name in order:
        together = complete & np.isfinite(columns[name])
        if together.sum() < max(FEWEST_SUBJECTS, FEWEST_PER_FEATURE * (len(chosen) + 1)):
            continue
        if all(np.ptp(columns[other][together]) > 0.0 for other in (*chosen, name)):
            chosen.append(name)
            complete = together
    # With too few subjects for any, all of them are named, and the reason says how many would do.
    return chosen or list(biomarkers)


def _lines(biomarkers: Sequence[str], subjects: Sequence[Subject], source: str) -> dict[str, ReferenceLine]:
    found = {}
    for name in biomarkers:
        known = [
            (value, subject.age_years)
            for subject in subjects
            if math.isfinite(value := subject.values.get(name, math.nan)) and math.isfinite(subject.age_years)
        ]
        try:
            found[name] = ReferenceLine.fit(
                [value for value, _ in known], [years for _, years in known], source
            )
        except ValueError:
            continue  # too few of this sex: the subject's z-score is then missing, and counted as such
    return found


def _model(features: Sequence[str], subjects: Sequence[Subject]) -> tuple[BiologicalAge | None, str]:
    rows = [
        [*(subject.values.get(name, math.nan) for name in features), subject.age_years]
        for subject in subjects
    ]
    complete = [row for row in rows if all(map(math.isfinite, row))]
    try:
        model = BiologicalAge.fit(features, [row[:-1] for row in complete], [row[-1] for row in complete])
    except ValueError as error:
        return None, str(error)
    return model, ""


def _person(
    subject: Subject,
    biomarkers: Sequence[str],
    lines: Mapping[str, Mapping[str, ReferenceLine]],
    model: BiologicalAge | None,
) -> dict[str, Any]:
    values = {name: subject.values.get(name, math.nan) for name in biomarkers}
    own = lines.get(subject.sex, {})
    scores = {**dict.fromkeys(biomarkers, math.nan), **z_scores(values, subject.age_years, own)}
    deficits = {
        deficit_name(name, is_high=sign > 0): (None if math.isnan(score) else sign * score > DEFICIT_Z)
        for name, score in scores.items()
        for sign in (1, -1)
    }
    # A biomarker is one deficit, whichever way it is off.
    counted: dict[str, float | None] = {
        name: None if math.isnan(score) else float(abs(score) > DEFICIT_Z) for name, score in scores.items()
    }
    frailty = frailty_index(
        {
            **counted,
            **{name: None if state is None else float(state) for name, state in subject.conditions.items()},
        }
    )
    gap = None
    needed = [subject.age_years, *(values[name] for name in model.features)] if model else [math.nan]
    if model is not None and all(map(math.isfinite, needed)):
        corrected, low, high = model.gap_years(values, subject.age_years)
        gap = {"years": corrected, "interval": [low, high], "terms_years": model.terms(values)}
    return {
        "subject": subject.name,
        "age_years": _finite(subject.age_years),
        "sex": subject.sex or None,
        "values": {name: _finite(value) for name, value in values.items()},
        "z": {name: _finite(score) for name, score in scores.items()},
        "conditions": dict(subject.conditions),
        "deficits": deficits,
        "frailty": {
            "index": _finite(frailty.index),
            "present": frailty.present,
            "considered": frailty.considered,
            "missing": frailty.missing,
            "frail": frailty.is_frail,
        },
        "age_gap": gap,
    }


def _line(line: ReferenceLine) -> dict[str, Any]:
    return {
        "intercept": line.intercept,
        "slope_per_year": line.slope_per_year,
        "residual_sd": line.residual_sd,
        "subjects": line.subjects,
        "source": line.source,
    }


def _age_model(model: BiologicalAge) -> dict[str, Any]:
    return {
        "subjects": model.subjects,
        "years_per_sd": dict(zip(model.features, model.coefficients, strict=True)),
        "mean_age": model.intercept,
        "penalty": model.penalty,
        "bias_correction": {"intercept": model.gap.intercept, "slope": model.gap.slope},
        "gap_sd_years": model.gap.residual_sd,
        "calibration": {
            "slope": _finite(model.calibration.slope),
            "intercept": _finite(model.calibration.intercept),
            "mean_absolute_error": model.calibration.mean_absolute_error,
            "correlation": _finite(model.calibration.correlation),
            "fifths": [list(pair) for pair in model.calibration.groups],
        },
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
