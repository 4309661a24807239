"""The guided form of a cohort: which fields a criterion has, and the definition they make.  Pure.

Fields are named ``side.group.criterion.field``: a subject needs one criterion of every ``include`` group and must not
meet all criteria of any ``exclude`` group, as in CCDL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from racoon.domain.clinical_criterion import CONTEXTS, ICD, ClinicalCriterion
from racoon.domain.cohort import (
    COMPARATORS,
    GENDERS,
    SNOMED,
    AgeCriterion,
    CohortDefinition,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    Near,
)

SIDES = ("include", "exclude")

KINDS = ("imaging", "age", "gender", *CONTEXTS.values())
"""Kinds of criteria, as the parser knows them."""

MOST = 40
"""Most groups of a side, and most criteria of a group."""

SYSTEMS: Mapping[str, str] = {
    ICD: "ICD-10-GM",
    "http://loinc.org": "LOINC",
    "http://fhir.de/CodeSystem/bfarm/ops": "OPS",
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    SNOMED: "SNOMED CT",
}
"""Code systems that the form offers; a code of another one is written ``system|code``, as in a search of FHIR."""

USUAL_SYSTEM: Mapping[str, str] = {
    "condition": ICD,
    "observation": "http://loinc.org",
    "procedure": "http://fhir.de/CodeSystem/bfarm/ops",
    "medication": "http://fhir.de/CodeSystem/bfarm/atc",
}
"""Code system that a new criterion begins with."""

NO_CRITERION = "A cohort needs at least one criterion that has to hold."
NO_CONDITION = "Fill in at least one condition of the series."
NO_CODE = "Give at least one code; several are separated by commas."
NO_NUMBER = "Give a number."
NO_WHOLE_NUMBER = "Give a whole number of at most six digits."
NO_STUDY = "Count at least one examination."
NO_DAY = "Give a day such as 2026-01-31."
NO_GENDER = "Choose at least one."
NO_CODE_STRING = "Use up to 16 capital letters, digits, spaces or underscores, as in DICOM."
NO_LABEL = "Write the scheme and the code, such as SCT:39607008."
WRONG_RANGE = "The range ends below its beginning."
PROBLEMS = (
    NO_CRITERION, NO_CONDITION, NO_CODE, NO_NUMBER, NO_WHOLE_NUMBER, NO_STUDY, NO_DAY, NO_GENDER, NO_CODE_STRING,
    NO_LABEL, WRONG_RANGE,
)  # fmt: skip
"""Everything the form may find wrong, in English."""

_NUMBER = re.compile(r"[+-]?\d{1,300}(?:[.,]\d{1,300})?(?:[eE][+-]?\d{1,3})?")
_WHOLE = re.compile(r"\d{1,6}")
_CODE_STRING = re.compile(r"[A-Z0-9 _]{1,16}")

Row = Mapping[str, str]


@dataclass(frozen=True)
class Written:
    """What a form makes so far.

    Parameters
    ----------
    definition
        The cohort; ``None`` while something is wrong.
    problems
        What to change (one of :data:`PROBLEMS`), by name of the field; the empty name is the whole form.
    """

    definition: CohortDefinition | None
    problems: Mapping[str, str] = field(default_factory=dict)


def groups_of(form: Mapping[str, str], side: str) -> list[list[dict[str, str]]]:
    """Collect the criteria of a side, group by group, in order; a criterion without a known kind is left out."""
    found: dict[int, dict[int, dict[str, str]]] = {}
    for key, value in form.items():
        parts = key.split(".")
        if len(parts) != 4 or parts[0] != side:
            continue
        group, place, name = parts[1:]
        if all(number.isdecimal() and len(number) < 4 and int(number) < MOST for number in (group, place)):
            found.setdefault(int(group), {}).setdefault(int(place), {})[name] = value.strip()
    rows = [[group[place] for place in sorted(group)] for _, group in sorted(found.items())]
    known = [[row for row in group if row.get("kind") in KINDS] for group in rows]
    return [group for group in known if group]


def change(form: Mapping[str, str], action: str) -> tuple[dict[str, str], str]:
    """Carry out a button: ``add.SIDE.GROUP`` (``new`` for a new group) or ``remove.SIDE.GROUP.CRITERION``.

    Parameters
    ----------
    form
        As sent; the kind of a criterion to add stands in ``kind.SIDE.GROUP``.
    action
        The button.

    Returns
    -------
    tuple
        The form, and the name of the criterion that is new.
    """
    verb, _, rest = action.partition(".")
    side, _, where = rest.partition(".")
    sides = {name: groups_of(form, name) for name in SIDES}
    focus, groups = "", sides.get(side)
    if groups is not None and verb == "add":
        kind = form.get(f"kind.{side}.{where}", "")
        row = {"kind": kind if kind in KINDS else "imaging"}
        if where == "new" and len(groups) < MOST:
            groups.append([row])
            focus = f"{side}.{len(groups) - 1}.0"
        elif where.isdecimal() and int(where) < len(groups) and len(groups[int(where)]) < MOST:
            groups[int(where)].append(row)
            focus = f"{side}.{where}.{len(groups[int(where)]) - 1}"
    if groups is not None and verb == "remove":
        first, _, second = where.partition(".")
        if first.isdecimal() and int(first) < len(groups) and second.isdecimal():
            groups[int(first)] = [row for place, row in enumerate(groups[int(first)]) if place != int(second)]
    return {
        key: value for name in SIDES for key, value in _fields(name, [g for g in sides[name] if g]).items()
    }, focus


def _fields(side: str, groups: list[list[dict[str, str]]]) -> dict[str, str]:
    return {
        f"{side}.{number}.{place}.{name}": value
        for number, group in enumerate(groups)
        for place, row in enumerate(group)
        for name, value in row.items()
    }


# ------------------------------------------------------------------------------------------------ form to definition


def read_form(form: Mapping[str, str]) -> Written:
    """Make the definition of what was typed, or say field by field what is wrong."""
    problems: dict[str, str] = {}
    sides = {
        side: tuple(
            tuple(
                _criterion(_Fields(row, f"{side}.{number}.{place}", problems))
                for place, row in enumerate(group)
            )
            for number, group in enumerate(groups_of(form, side))
        )
        for side in SIDES
    }
    if not sides["include"]:
        problems[""] = NO_CRITERION
    return Written(None, problems) if problems else Written(CohortDefinition(*sides.values()))


@dataclass(frozen=True)
class _Fields:
    """The fields of one criterion; what cannot be read is noted and read as absent."""

    row: Row
    name: str
    problems: dict[str, str]

    def text(self, name: str) -> str:
        return self.row.get(name, "")

    def note(self, name: str, problem: str) -> None:
        self.problems.setdefault(f"{self.name}.{name}", problem)

    def number(self, name: str) -> float:
        text = self.text(name)
        value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.nan
        if not math.isfinite(value):
            self.note(name, NO_NUMBER)
            return 0.0
        return value

    def whole(self, name: str) -> int:
        if _WHOLE.fullmatch(self.text(name)) and self.text(name).isascii():
            return int(self.text(name))
        self.note(name, NO_WHOLE_NUMBER)
        return 0

    def day(self, name: str) -> date | None:
        try:
            return date.fromisoformat(self.text(name)) if self.text(name) else None
        except ValueError:
            self.note(name, NO_DAY)
            return None

    def code_string(self, name: str) -> str | None:
        text = self.text(name).upper()
        if text and not _CODE_STRING.fullmatch(text):
            self.note(name, NO_CODE_STRING)
        return text or None


def _criterion(fields: _Fields) -> Criterion:
    kind = fields.text("kind")
    if kind == "imaging":
        return _imaging(fields)
    if kind == "age":
        comparator = fields.text("compare")
        return AgeCriterion(comparator if comparator in COMPARATORS else "ge", fields.number("years"))
    if kind == "gender":
        genders = tuple(sorted(gender for gender in GENDERS if fields.text(gender) == "yes"))
        if not genders:
            fields.note("female", NO_GENDER)
        return GenderCriterion(genders)
    return _clinical(fields, kind, "")


def _imaging(fields: _Fields) -> ImagingCriterion:
    label = fields.text("label")
    if label and not re.fullmatch(r"[^:\s]+:\S+", label):
        fields.note("label", NO_LABEL)
    thickness = fields.number("thickness") if fields.text("thickness") else None
    studies = fields.whole("studies") if fields.text("studies") else None
    if studies == 0:
        fields.note("studies", NO_STUDY)
    near, kind = None, fields.text("near")
    if kind in CONTEXTS.values():
        fact = _clinical(fields, kind, "near_")
        near = Near(fact, fields.whole("days_before"), fields.whole("days_after"))
    found = ImagingCriterion(
        modality=fields.code_string("modality"),
        body_part=fields.code_string("body_part"),
        label=label or None,
        max_slice_thickness_mm=thickness,
        has_mask={"yes": True, "no": False}.get(fields.text("mask")),
        near=near,
        min_studies=studies,
    )
    if set(found.to_dict()["x-imaging"]) <= {"minStudies"}:
        fields.note("modality", NO_CONDITION)
    return found


def _clinical(fields: _Fields, kind: str, prefix: str) -> ClinicalCriterion:
    codes = []
    for text in fields.text(f"{prefix}codes").split(","):
        system, bar, code = text.strip().rpartition("|")
        if code:
            codes.append((system if bar and system else fields.text(f"{prefix}system") or ICD, code))
    if not codes:
        fields.note(f"{prefix}codes", NO_CODE)
    minimum, maximum, compare = None, None, fields.text(f"{prefix}compare")
    if compare == "range":
        minimum, maximum = fields.number(f"{prefix}value"), fields.number(f"{prefix}value_to")
        if maximum < minimum:
            fields.note(f"{prefix}value_to", WRONG_RANGE)
    elif compare in COMPARATORS:
        value = fields.number(f"{prefix}value")
        minimum = value if compare in ("eq", "gt", "ge") else None
        maximum = value if compare in ("eq", "lt", "le") else None
    return ClinicalCriterion(
        kind,
        tuple(sorted(set(codes))),
        minimum,
        maximum,
        compare in ("gt", "lt"),
        # Only a value has a unit, and only an observation has a value with one.
        fields.text(f"{prefix}unit") if kind == "observation" and compare else "",
        fields.day(f"{prefix}after"),
        fields.day(f"{prefix}before"),
    )


# ------------------------------------------------------------------------------------------------ definition to form


def form_of(definition: CohortDefinition) -> dict[str, str]:
    """Fill the form with a cohort that is there already."""
    sides = zip(SIDES, (definition.inclusion, definition.exclusion), strict=True)
    return {
        key: value
        for side, groups in sides
        for key, value in _fields(
            side, [[_row(criterion) for criterion in group] for group in groups]
        ).items()
    }


def _row(criterion: Criterion) -> dict[str, str]:
    if isinstance(criterion, AgeCriterion):
        return {"kind": "age", "compare": criterion.comparator, "years": _text(criterion.years)}
    if isinstance(criterion, GenderCriterion):
        return {"kind": "gender", **dict.fromkeys(criterion.genders, "yes")}
    if isinstance(criterion, ClinicalCriterion):
        return {"kind": criterion.kind, **_clinical_row(criterion)}
    row = {
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


def compare_of(fact: ClinicalCriterion) -> str:
    """Say how the value of a fact is compared: a comparator of CCDL, ``range``, or nothing."""
    if fact.minimum is not None and fact.maximum is not None:
        return "eq" if fact.minimum == fact.maximum else "range"
    if fact.minimum is None and fact.maximum is None:
        return ""
    return ("l" if fact.minimum is None else "g") + ("t" if fact.is_strict else "e")


def _text(value: float | None) -> str:
    return "" if value is None else repr(value).removesuffix(".0")
