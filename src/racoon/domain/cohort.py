"""Cohort definitions: CCDL v2 with a typed imaging extension, as an AST with one canonical form.

CCDL (the clinical cohort definition language of the national portal) is a conjunction of disjunctions of criteria,
minus a disjunction of conjunctions.  Our extension ``x-imaging`` adds criteria on image series; all conditions of
one such criterion hold for the *same* series.  The definition compiles to SQL only in ``node.cohorts``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from racoon.domain.answered_criterion import (
    CONSENT_CONTEXT,
    ConsentCriterion,
    ReportAnswer,
    parse_answered,
    parse_available,
    parse_consent,
)
from racoon.domain.canonical import canonical_json, content_hash
from racoon.domain.clinical_criterion import CONTEXTS, ClinicalCriterion, CohortDefect, parse_clinical
from racoon.domain.matching import MatchingRule, parse_matching
from racoon.domain.measured_criterion import MeasuredValue, parse_measured

SNOMED = "http://snomed.info/sct"
GENDER_CODE = "263495000"
AGE_CODE = "424144002"
GENDERS = ("female", "male", "other", "unknown")
COMPARATORS = {"eq": "=", "gt": ">", "ge": ">=", "lt": "<", "le": "<="}


@dataclass(frozen=True)
class Near:
    """A clinical fact within some days of the examination.

    Parameters
    ----------
    fact
        What has to be near.
    days_before, days_after
        The fact at most so many days before, and after, the day of the examination.  Both days are shifted by the same
        number, so the distance is the true one.
    """

    fact: ClinicalCriterion
    days_before: int
    days_after: int


@dataclass(frozen=True)
class ImagingCriterion:
    """A series that meets all given conditions.

    Parameters
    ----------
    modality
        DICOM modality, e.g. ``"CT"``.
    body_part
        Body Part Examined (DICOM CS).
    label
        Key of a code (``"SCT:39607008"``) for which a mask of the series exists.
    max_slice_thickness_mm
        Largest slice thickness.
    has_mask
        True for series with any mask, False for those without.
    near
        A clinical fact near the examination.
    measured
        A value that was measured on the series.
    answered
        An answer in a signed report on the examination of the series.
    available
        Words of :data:`racoon.domain.answered_criterion.AVAILABILITY`, all of which hold.  Without ``inPacs`` a series
        is one of the archive.  With it the clinic's system has to name it, and modality and day are what that system
        says; every other condition holds for the same series in the archive.
    min_studies
        In how many imaging studies of the subject such a series has to occur; one when not given.
    """

    modality: str | None = None
    body_part: str | None = None
    label: str | None = None
    max_slice_thickness_mm: float | None = None
    has_mask: bool | None = None
    near: Near | None = None
    measured: MeasuredValue | None = None
    min_studies: int | None = None
    answered: ReportAnswer | None = None
    available: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the ``x-imaging`` form."""
        fields = {
            "modality": self.modality,
            "bodyPart": self.body_part,
            "label": self.label,
            "maxSliceThicknessMm": self.max_slice_thickness_mm,
            "hasMask": self.has_mask,
            "minStudies": self.min_studies,
            "measured": self.measured and self.measured.to_dict(),
            "answered": self.answered and self.answered.to_dict(),
            "available": sorted(set(self.available)) or None,
            "near": self.near
            and {
                "criterion": self.near.fact.to_dict(),
                "daysBefore": self.near.days_before,
                "daysAfter": self.near.days_after,
            },
        }
        return {"x-imaging": {key: value for key, value in fields.items() if value is not None}}


@dataclass(frozen=True)
class GenderCriterion:
    """Administrative gender is one of the given ones."""

    genders: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the CCDL form."""
        return {
            "termCodes": [{"code": GENDER_CODE, "system": SNOMED, "display": "Gender"}],
            "valueFilter": {
                "type": "concept",
                "selectedConcepts": [
                    {"code": gender, "system": "http://hl7.org/fhir/administrative-gender", "display": gender}
                    for gender in sorted(self.genders)
                ],
            },
        }


@dataclass(frozen=True)
class AgeCriterion:
    """Age in years at the examination compares as given (``comparator`` of :data:`COMPARATORS`)."""

    comparator: str
    years: float

    def to_dict(self) -> dict[str, Any]:
        """Return the CCDL form."""
        return {
            "termCodes": [{"code": AGE_CODE, "system": SNOMED, "display": "Current chronological age"}],
            "valueFilter": {
                "type": "quantity-comparator",
                "comparator": self.comparator,
                "value": self.years,
                "unit": {"code": "a", "display": "a"},
            },
        }


Criterion = ImagingCriterion | GenderCriterion | AgeCriterion | ClinicalCriterion | ConsentCriterion


@dataclass(frozen=True)
class CohortDefinition:
    """``(a or b) and (c) … minus ((d and e) or …)`` over subjects.

    Parameters
    ----------
    inclusion
        Outer AND, inner OR; at least one group.
    exclusion
        Outer OR, inner AND.
    controls, matching
        Whom the subjects are compared with, and how controls are found among them; both or none.
    """

    inclusion: tuple[tuple[Criterion, ...], ...]
    exclusion: tuple[tuple[Criterion, ...], ...] = ()
    controls: CohortDefinition | None = None
    matching: MatchingRule | None = None

    @property
    def cases(self) -> CohortDefinition:
        """The cohort without those it is compared with: what is counted."""
        return CohortDefinition(self.inclusion, self.exclusion)

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical form: the same question in another order has the same hash."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return canonical CCDL: groups and criteria sorted, duplicates removed."""
        document: dict[str, Any] = {
            "version": "http://to_be_decided.com/draft-2/schema#",
            "display": "",
            "inclusionCriteria": _canonical(self.inclusion),
            "exclusionCriteria": _canonical(self.exclusion),
        }
        if self.matching is not None and self.controls is not None:
            controls = self.controls.to_dict()
            document["x-matching"] = {
                **self.matching.to_dict(),
                "controls": {name: controls[name] for name in ("inclusionCriteria", "exclusionCriteria")},
            }
        return document


def parse_cohort(document: dict[str, Any]) -> CohortDefinition:
    """Read a CCDL v2 document.

    Parameters
    ----------
    document
        CCDL v2; criteria may be coded gender and age, or carry ``x-imaging``.

    Raises
    ------
    CohortDefect
        Names the place and what is not understood; nothing is ever ignored.
    """
    unknown = set(document) - {"version", "display", "inclusionCriteria", "exclusionCriteria", "x-matching"}
    if unknown:
        raise CohortDefect(f"The cohort definition has unknown parts: {', '.join(sorted(unknown))}.")
    if not document.get("version"):
        raise CohortDefect("The cohort definition lacks its version.")
    inclusion = _groups(document.get("inclusionCriteria"), "inclusionCriteria")
    if not inclusion:
        raise CohortDefect("The cohort definition needs at least one inclusion criterion.")
    exclusion = _groups(document.get("exclusionCriteria") or [], "exclusionCriteria")
    controls, matching = _matching(document.get("x-matching"))
    return CohortDefinition(inclusion, exclusion, controls, matching)


def _matching(found: Any) -> tuple[CohortDefinition | None, MatchingRule | None]:
    if found is None:
        return None, None
    controls = found.get("controls") if isinstance(found, dict) else None
    if not isinstance(controls, dict) or set(controls) - {"inclusionCriteria", "exclusionCriteria"}:
        raise CohortDefect("x-matching needs controls with inclusionCriteria and exclusionCriteria.")
    where = "x-matching.controls"
    inclusion = _groups(controls.get("inclusionCriteria"), f"{where}.inclusionCriteria")
    if not inclusion:
        raise CohortDefect("x-matching needs at least one criterion that controls meet.")
    exclusion = _groups(controls.get("exclusionCriteria") or [], f"{where}.exclusionCriteria")
    rule = parse_matching({name: value for name, value in found.items() if name != "controls"})
    return CohortDefinition(inclusion, exclusion), rule


def _groups(value: Any, where: str) -> tuple[tuple[Criterion, ...], ...]:
    if not isinstance(value, list) or not all(isinstance(group, list) and group for group in value):
        raise CohortDefect(f"{where} must be a list of non-empty lists of criteria.")
    return tuple(
        tuple(_criterion(item, f"{where}[{i}][{j}]") for j, item in enumerate(group))
        for i, group in enumerate(value)
    )


def _criterion(item: Any, where: str) -> Criterion:
    if not isinstance(item, dict):
        raise CohortDefect(f"{where} is not a criterion.")
    if "x-imaging" in item:
        return _imaging(item, where)
    if isinstance(item.get("context"), dict) and item["context"].get("code") in CONTEXTS:
        return parse_clinical(item, where)
    if isinstance(item.get("context"), dict) and item["context"].get("code") == CONSENT_CONTEXT:
        return parse_consent(item, where)
    codes = {(code.get("code"), code.get("system")) for code in item.get("termCodes", [])}
    value_filter = item.get("valueFilter") or {}
    if codes == {(GENDER_CODE, SNOMED)} and value_filter.get("type") == "concept":
        genders = tuple(sorted({concept.get("code") for concept in value_filter.get("selectedConcepts", [])}))
        if not genders or not set(genders) <= set(GENDERS):
            raise CohortDefect(f"{where}: gender must be one of {', '.join(GENDERS)}.")
        return GenderCriterion(genders)
    if codes == {(AGE_CODE, SNOMED)} and value_filter.get("type") == "quantity-comparator":
        comparator, years = value_filter.get("comparator"), value_filter.get("value")
        if comparator not in COMPARATORS or not isinstance(years, (int, float)) or isinstance(years, bool):
            raise CohortDefect(
                f"{where}: age needs a comparator ({', '.join(COMPARATORS)}) and a number of years."
            )
        return AgeCriterion(comparator, float(years))
    raise CohortDefect(f"{where}: this criterion is not supported at the nodes yet.")


_IMAGING_FIELDS: dict[str, tuple[type, ...]] = {
    "modality": (str,),
    "bodyPart": (str,),
    "label": (str,),
    "maxSliceThicknessMm": (int, float),
    "hasMask": (bool,),
    "minStudies": (int,),
    "near": (dict,),
    "measured": (dict,),
    "answered": (dict,),
    "available": (list,),
}


def _imaging(item: dict[str, Any], where: str) -> ImagingCriterion:
    fields = item["x-imaging"]
    if set(item) != {"x-imaging"} or not isinstance(fields, dict) or not fields:
        raise CohortDefect(
            f"{where}: an x-imaging criterion holds only x-imaging, with at least one condition."
        )
    for key, value in fields.items():
        if key not in _IMAGING_FIELDS:
            raise CohortDefect(
                f"{where}: x-imaging has no condition {key!r}; it has {', '.join(_IMAGING_FIELDS)}."
            )
        if not isinstance(value, _IMAGING_FIELDS[key]) or isinstance(value, bool) is not (key == "hasMask"):
            raise CohortDefect(f"{where}: x-imaging {key} has the wrong type.")
    if set(fields) == {"minStudies"} or fields.get("minStudies", 1) < 1:
        raise CohortDefect(f"{where}: x-imaging minStudies counts studies with a condition, at least one.")
    thickness = fields.get("maxSliceThicknessMm")
    return ImagingCriterion(
        modality=fields.get("modality"),
        body_part=fields.get("bodyPart"),
        label=fields.get("label"),
        max_slice_thickness_mm=float(thickness) if thickness is not None else None,
        has_mask=fields.get("hasMask"),
        near=_near(fields["near"], where) if "near" in fields else None,
        measured=parse_measured(fields["measured"], where) if "measured" in fields else None,
        min_studies=fields.get("minStudies"),
        answered=parse_answered(fields["answered"], where) if "answered" in fields else None,
        available=parse_available(fields["available"], where) if "available" in fields else (),
    )


def _near(found: dict[str, Any], where: str) -> Near:
    days = [found.get(name) for name in ("daysBefore", "daysAfter")]
    whole = [day for day in days if isinstance(day, int) and not isinstance(day, bool) and day >= 0]
    fact = found.get("criterion")
    if len(whole) != len(days) or set(found) != {"criterion", "daysBefore", "daysAfter"}:
        raise CohortDefect(f"{where}: x-imaging near needs a criterion, daysBefore and daysAfter.")
    parsed = _criterion(fact, f"{where}.near")
    if not isinstance(parsed, ClinicalCriterion):
        raise CohortDefect(f"{where}: x-imaging near needs a criterion on the clinical course.")
    return Near(parsed, whole[0], whole[1])


def _canonical(groups: tuple[tuple[Criterion, ...], ...]) -> list[list[dict[str, Any]]]:
    unique_groups = {}
    for group in groups:
        by_key = {canonical_json(criterion.to_dict()): criterion.to_dict() for criterion in group}
        ordered = [by_key[key] for key in sorted(by_key)]
        unique_groups[canonical_json(ordered)] = ordered
    return [unique_groups[key] for key in sorted(unique_groups)]


__all__ = [
    "AgeCriterion",
    "ClinicalCriterion",
    "CohortDefect",
    "CohortDefinition",
    "ConsentCriterion",
    "Criterion",
    "GenderCriterion",
    "ImagingCriterion",
    "MeasuredValue",
    "Near",
    "ReportAnswer",
    "parse_cohort",
]
