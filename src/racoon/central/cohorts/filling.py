"""From a definition back to the fields of the guided form.  Pure."""

from __future__ import annotations

from racoon.central.cohorts.offers import POLICIES, SYSTEMS
from racoon.central.cohorts.writing import MATCHING, SIDES, fields_of
from racoon.domain.clinical_criterion import ICD, ClinicalCriterion
from racoon.domain.cohort import (
    AgeCriterion,
    CohortDefinition,
    ConsentCriterion,
    Criterion,
    GenderCriterion,
    MeasuredValue,
)
from racoon.domain.matching import MatchingRule


def form_of(definition: CohortDefinition) -> dict[str, str]:
    """Fill the form with a cohort that is there already."""
    controls = definition.controls
    compared = (controls.inclusion, controls.exclusion) if controls is not None else ((), ())
    sides = zip(SIDES, (definition.inclusion, definition.exclusion, *compared), strict=True)
    matching = _matching(definition.matching) if definition.matching is not None else {}
    return matching | {
        key: value
        for side, groups in sides
        for key, value in fields_of(
            side, [[_row(criterion) for criterion in group] for group in groups]
        ).items()
    }


def _matching(rule: MatchingRule) -> dict[str, str]:
    fields = dict.fromkeys(rule.exact, "yes") | {name: _text(width) for name, width in rule.calipers.items()}
    fields |= {"ratio": str(rule.ratio), "seed": str(rule.seed)}
    if "ageBand" in rule.exact:
        fields["band"] = str(rule.age_band_years)
    return {f"{MATCHING}{name}": value for name, value in fields.items()}


def _row(criterion: Criterion) -> dict[str, str]:
    if isinstance(criterion, AgeCriterion):
        return {"kind": "age", "compare": criterion.comparator, "years": _text(criterion.years)}
    if isinstance(criterion, GenderCriterion):
        return {"kind": "gender", **dict.fromkeys(criterion.genders, "yes")}
    if isinstance(criterion, ClinicalCriterion):
        return {"kind": criterion.kind, **_clinical_row(criterion)}
    if isinstance(criterion, ConsentCriterion):
        known = {name: "yes" for name, policy in POLICIES.items() if policy in criterion.policies}
        others = [policy for policy in criterion.policies if policy not in POLICIES.values()]
        return {"kind": "consent", **known} | ({"others": ", ".join(others)} if others else {})
    row = dict.fromkeys(criterion.available, "yes") | {
        "modality": criterion.modality or "",
        "body_part": criterion.body_part or "",
        "label": criterion.label or "",
        "thickness": _text(criterion.max_slice_thickness_mm),
        "mask": {True: "yes", False: "no", None: ""}[criterion.has_mask],
        "studies": _text(criterion.min_studies),
    }
    if criterion.near is not None:
        row |= {f"near_{name}": value for name, value in _clinical_row(criterion.near.fact).items()}
        row |= {
            "near": criterion.near.fact.kind,
            "days_before": str(criterion.near.days_before),
            "days_after": str(criterion.near.days_after),
        }
    if criterion.measured is not None:
        measured = criterion.measured
        compare = compare_of(measured)
        row |= {
            "biomarker": measured.biomarker,
            "measured_label": measured.label or "",
            "measured_compare": compare,
            "measured_value": _text(measured.minimum if measured.minimum is not None else measured.maximum),
            "measured_value_to": _text(measured.maximum) if compare == "range" else "",
            "measured_unit": measured.unit,
        }
    if criterion.answered is not None:
        row |= {
            "question": criterion.answered.question,
            "answers": ", ".join(
                f"{system}|{code}" if system else code for system, code in criterion.answered.answers
            ),
            "template": criterion.answered.template,
        }
    return {"kind": "imaging", **{name: value for name, value in row.items() if value}}


def _clinical_row(fact: ClinicalCriterion) -> dict[str, str]:
    usual = next((system for system, _ in fact.codes if system in SYSTEMS), ICD)
    row = {
        "system": usual,
        "codes": ", ".join(code if system == usual else f"{system}|{code}" for system, code in fact.codes),
        "compare": compare_of(fact),
        "value": _text(fact.minimum if fact.minimum is not None else fact.maximum),
        "value_to": _text(fact.maximum) if compare_of(fact) == "range" else "",
        "unit": fact.unit,
        "after": fact.after.isoformat() if fact.after else "",
        "before": fact.before.isoformat() if fact.before else "",
    }
    return {name: value for name, value in row.items() if value}


def compare_of(fact: ClinicalCriterion | MeasuredValue) -> str:
    """Say how the value of a fact is compared: a comparator of CCDL, ``range``, or nothing."""
    if fact.minimum is not None and fact.maximum is not None:
        return "eq" if fact.minimum == fact.maximum else "range"
    if fact.minimum is None and fact.maximum is None:
        return ""
    return ("l" if fact.minimum is None else "g") + ("t" if fact.is_strict else "e")


def _text(value: float | None) -> str:
    return "" if value is None else repr(value).removesuffix(".0")
