"""The guided form of a cohort: which fields a criterion has, and the definition they make.  Pure.

The way back, from a definition to the form, is in ``filling``.

Fields are named ``side.group.criterion.field``: a subject needs one criterion of every ``include`` group and must not
meet all criteria of any ``exclude`` group, as in CCDL.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from racoon.central.cohorts.offers import POLICIES
from racoon.domain.answered_criterion import AVAILABILITY, POLICY_PATTERN, QUESTION_PATTERN, ReportAnswer
from racoon.domain.clinical_criterion import CONTEXTS, ICD, ClinicalCriterion
from racoon.domain.cohort import (
    COMPARATORS,
    GENDERS,
    AgeCriterion,
    CohortDefinition,
    ConsentCriterion,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    MeasuredValue,
    Near,
)
from racoon.domain.matching import CALIPERS, EXACT, MOST_CONTROLS, MatchingRule
from racoon.domain.measured_criterion import BIOMARKER_PATTERN

SIDES = ("include", "exclude", "control", "control_not")
"""Who belongs to the cohort and who not; and the same of those it is compared with, where there are any."""

MATCHING = "matching."
"""Begins the names of the fields that say how controls are found."""

KINDS = ("imaging", "age", "gender", *CONTEXTS.values(), "consent")
"""Kinds of criteria, as the parser knows them."""

MOST = 40
"""Most groups of a side, and most criteria of a group."""

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
NO_BIOMARKER = "Write the name of a biomarker, such as volume."
NO_LIMIT = "Say how the value is compared."
NO_UNIT = "Give the unit of the limit."
NO_POLICY = "Choose at least one, or write the code of a policy."
NO_QUESTION = "Write the link id of the question, without spaces."
NO_ANSWER = "Write answers as system|code, or true or false, separated by commas."
NO_TEMPLATE = "Write the address of the template without its version."
NO_CONTROL = "Controls need at least one criterion that has to hold."
NO_WIDTH = "Give a number above 0."
NOTHING_ALIKE = "Choose what cases and controls share, or how far they may be apart."
NO_BAND = "Give a width from 1 to 50 years."
NO_RATIO = "Give a whole number from 1 to 10."
WRONG_RANGE = "The range ends below its beginning."
PROBLEMS = (
    NO_CRITERION, NO_CONDITION, NO_CODE, NO_NUMBER, NO_WHOLE_NUMBER, NO_STUDY, NO_DAY, NO_GENDER, NO_CODE_STRING,
    NO_LABEL, NO_BIOMARKER, NO_LIMIT, NO_UNIT, WRONG_RANGE, NO_POLICY,
    NO_CONTROL, NO_WIDTH, NOTHING_ALIKE, NO_BAND, NO_RATIO, NO_QUESTION, NO_ANSWER, NO_TEMPLATE,
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
    changed = {
        key: value for name in SIDES for key, value in fields_of(name, [g for g in sides[name] if g]).items()
    }
    return changed | {key: value for key, value in form.items() if key.startswith(MATCHING)}, focus


def fields_of(side: str, groups: list[list[dict[str, str]]]) -> dict[str, str]:
    """Name the fields of a side as the form does."""
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
    controls, rule = None, None
    if sides["control"]:
        controls = CohortDefinition(sides["control"], sides["control_not"])
        rule = _matching(
            _Fields(
                {
                    key[len(MATCHING) :]: value.strip()
                    for key, value in form.items()
                    if key.startswith(MATCHING)
                },
                "matching",
                problems,
            )
        )
    elif sides["control_not"]:
        problems[""] = NO_CONTROL
    if problems:
        return Written(None, problems)
    return Written(CohortDefinition(sides["include"], sides["exclude"], controls, rule))


def _matching(fields: _Fields) -> MatchingRule:
    exact = tuple(sorted(word for word in EXACT if fields.text(word) == "yes"))
    calipers = {word: fields.number(word) for word in sorted(CALIPERS) if fields.text(word)}
    for word, width in calipers.items():
        if width <= 0:
            fields.note(word, NO_WIDTH)
    if not exact and not calipers:
        fields.note("ageYears", NOTHING_ALIKE)
    band = fields.whole("band") if "ageBand" in exact else 10
    if not 1 <= band <= 50:
        fields.note("band", NO_BAND)
    ratio = fields.whole("ratio") if fields.text("ratio") else 1
    if not 1 <= ratio <= MOST_CONTROLS:
        fields.note("ratio", NO_RATIO)
    return MatchingRule(exact, calipers, ratio, band, fields.whole("seed") if fields.text("seed") else 1)


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
    if kind == "consent":
        return _consent(fields)
    return _clinical(fields, kind, "")


def _consent(fields: _Fields) -> ConsentCriterion:
    written = [text.strip() for text in fields.text("others").split(",") if text.strip()]
    policies = [code for name, code in POLICIES.items() if fields.text(name) == "yes"] + written
    if not policies or not all(POLICY_PATTERN.fullmatch(code) for code in written):
        fields.note("others", NO_POLICY)
    return ConsentCriterion(tuple(sorted(set(policies))))


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
        measured=_measured(fields) if fields.text("biomarker") else None,
        min_studies=studies,
        answered=_answered(fields) if fields.text("question") or fields.text("answers") else None,
        available=tuple(sorted(word for word in AVAILABILITY if fields.text(word) == "yes")),
    )
    if set(found.to_dict()["x-imaging"]) <= {"minStudies"}:
        fields.note("modality", NO_CONDITION)
    return found


def _answered(fields: _Fields) -> ReportAnswer:
    if not QUESTION_PATTERN.fullmatch(fields.text("question")):
        fields.note("question", NO_QUESTION)
    template = fields.text("template")
    if "|" in template or len(template) > 200:
        fields.note("template", NO_TEMPLATE)
    answers = set()
    for text in (part.strip() for part in fields.text("answers").split(",") if part.strip()):
        system, bar, code = text.rpartition("|")
        if not code or len(code) > 80 or (not (bar and system) and code not in ("true", "false")):
            fields.note("answers", NO_ANSWER)
        answers.add((system, code))
    if not answers:
        fields.note("answers", NO_ANSWER)
    return ReportAnswer(fields.text("question"), tuple(sorted(answers)), template)


def _measured(fields: _Fields) -> MeasuredValue:
    if not BIOMARKER_PATTERN.fullmatch(fields.text("biomarker")):
        fields.note("biomarker", NO_BIOMARKER)
    label = fields.text("measured_label")
    if label and not re.fullmatch(r"[^:\s]+:\S+", label):
        fields.note("measured_label", NO_LABEL)
    if not fields.text("measured_unit"):
        fields.note("measured_unit", NO_UNIT)
    minimum, maximum = _limits(fields, "measured_")
    if minimum is None and maximum is None:
        fields.note("measured_compare", NO_LIMIT)
    return MeasuredValue(
        fields.text("biomarker"),
        fields.text("measured_unit"),
        label or None,
        minimum,
        maximum,
        fields.text("measured_compare") in ("gt", "lt"),
    )


def _limits(fields: _Fields, prefix: str) -> tuple[float | None, float | None]:
    compare = fields.text(f"{prefix}compare")
    if compare == "range":
        minimum, maximum = fields.number(f"{prefix}value"), fields.number(f"{prefix}value_to")
        if maximum < minimum:
            fields.note(f"{prefix}value_to", WRONG_RANGE)
        return minimum, maximum
    if compare not in COMPARATORS:
        return None, None
    value = fields.number(f"{prefix}value")
    return (
        value if compare in ("eq", "gt", "ge") else None,
        value if compare in ("eq", "lt", "le") else None,
    )


def _clinical(fields: _Fields, kind: str, prefix: str) -> ClinicalCriterion:
    codes = []
    for text in fields.text(f"{prefix}codes").split(","):
        system, bar, code = text.strip().rpartition("|")
        if code:
            codes.append((system if bar and system else fields.text(f"{prefix}system") or ICD, code))
    if not codes:
        fields.note(f"{prefix}codes", NO_CODE)
    compare = fields.text(f"{prefix}compare")
    minimum, maximum = _limits(fields, prefix)
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
