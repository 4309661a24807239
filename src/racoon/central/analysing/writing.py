"""The guided form of an analysis plan: what it asks for, and the document its answers make.  Pure.

The fields of an estimator come from its class, so that a new estimator has its form at once.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from racoon.domain.analysis import parse_expression, parse_plan
from racoon.domain.analysis.checks import PlanDefect
from racoon.domain.analysis.estimators import ESTIMATORS
from racoon.domain.analysis.sources import source_kind
from racoon.errors import Defect

Widget = Literal["text", "number", "choice", "check", "variable", "list", "numbers"]

PARTS = ("clinical", "derived", "estimator", "subgroup")
"""Repeated parts of the form; their fields are named ``part.number.field``."""

MOST = 60
"""Most rows of a part: a form sends no more, and nobody reads more."""

EXAMPLES = (
    "clinical died_within 30",
    "clinical days_observed",
    "clinical condition http://fhir.de/CodeSystem/bfarm/icd-10-gm J90*",
    "clinical observation http://loinc.org 1988-5 last",
)
"""Sources of the clinical course as the form shows them."""

_VARIABLES = frozenset(
    {"variable", "by", "outcome", "time", "event", "treatment", "score", "against", "cause", "period", "cluster",
     "offset", "age", "reference"}
)  # fmt: skip
"""Fields that name one variable of the plan."""

ROW_FIELDS: Mapping[str, tuple[str, ...]] = {
    "clinical": ("name", "source", "unit"),
    "derived": ("name", "derivation"),
    "subgroup": ("name", "condition"),
}
"""Fields of the parts that are no estimators."""


@dataclass(frozen=True)
class Field:
    """One field of an estimator.

    Parameters
    ----------
    name
        As in the plan.
    widget
        How it is asked.
    value
        As typed so far, or the default.
    choices
        Of a choice.
    is_needed
        Whether it has no default.
    """

    name: str
    widget: Widget
    value: str
    choices: tuple[str, ...] = ()
    is_needed: bool = False


def fields_of(kind: str, typed: Mapping[str, str]) -> list[Field]:
    """Describe the fields of an estimator.

    Parameters
    ----------
    kind
        Its name in plans.
    typed
        What stands in the form, by field.
    """
    own: Any = ESTIMATORS[kind]
    hints = get_type_hints(own)
    found = []
    for item in fields(own):
        widget, choices = _widget(item.name, hints[item.name])
        usual = "" if item.default is MISSING else _text(item.default)
        needed = item.default is MISSING and item.default_factory is MISSING
        found.append(Field(item.name, widget, typed.get(item.name, usual), choices, needed))
    return found


def _widget(name: str, hint: Any) -> tuple[Widget, tuple[str, ...]]:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "choice", tuple(map(str, arguments))
    if origin is tuple:
        return ("numbers" if float in arguments else "list"), ()
    kinds = set(arguments) - {types.NoneType} if origin in {Union, types.UnionType} else {hint}
    if kinds == {bool}:
        return "check", ()
    if kinds <= {int, float}:
        return "number", ()
    return ("variable" if name in _VARIABLES else "text"), ()


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, (list, tuple)):
        return ", ".join(_text(part) for part in value)
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


# ------------------------------------------------------------------------------------------------ form and document


def rows_of(form: Mapping[str, str], part: str) -> list[dict[str, str]]:
    """Collect the rows of a repeated part, in order."""
    rows: dict[int, dict[str, str]] = {}
    for key, value in form.items():
        name, _, rest = key.partition(".")
        number, _, field = rest.partition(".")
        if name == part and field and number.isdigit() and int(number) < MOST:
            rows.setdefault(int(number), {})[field] = value.strip()
    return [rows[number] for number in sorted(rows)]


def change(form: Mapping[str, str], action: str) -> dict[str, str]:
    """Carry out a button: ``add.PART``, for an estimator ``add.estimator.KIND``, or ``remove.PART.N``."""
    verb, _, rest = action.partition(".")
    part, _, which = rest.partition(".")
    kept = {key: value for key, value in form.items() if key.partition(".")[0] not in PARTS}
    for name in PARTS:
        rows = rows_of(form, name)
        if verb == "remove" and name == part and which.isdigit() and int(which) < len(rows):
            del rows[int(which)]
        if verb == "add" and name == part and len(rows) < MOST:
            rows.append(
                {"kind": which if which in ESTIMATORS else "description"}
                if part == "estimator"
                else {"name": ""}
            )
        for number, row in enumerate(rows):
            kept |= {f"{name}.{number}.{field}": value for field, value in row.items()}
    return kept


def document_of_form(form: Mapping[str, str], offered: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Make a plan's document of what was typed; it may still be wrong.

    Parameters
    ----------
    form
        Fields by name; an offered column is chosen by ``use.NAME``.
    offered
        Columns that every site of the study has.

    Raises
    ------
    PlanDefect, ExpressionDefect
        Where no document can be made.
    """
    variables = [dict(column) for column in offered if f"use.{column['name']}" in form]
    for row in rows_of(form, "clinical"):
        kind = source_kind(row.get("source", ""))
        variables.append(
            {"name": row.get("name", ""), "kind": kind or "number", "unit": row.get("unit", ""),
             "source": row.get("source", "")}
        )  # fmt: skip
    for row in rows_of(form, "derived"):
        text = row.get("derivation", "")
        kinds = {str(item["name"]): item["kind"] for item in variables}
        levels = {str(item["name"]): tuple(item["levels"]) for item in variables if item.get("levels")}
        kind = parse_expression(text).kind(kinds, levels)
        variables.append({"name": row.get("name", ""), "kind": kind, "derivation": text})
    minimum = form.get("minimum_sites", "3").strip() or "3"
    if not minimum.isdigit():
        raise PlanDefect("minimum_sites is a whole number of at least 1.")
    return {
        "kind": "analysis",
        "name": form.get("name", "").strip(),
        "variables": variables,
        "estimators": [_estimator(row) for row in rows_of(form, "estimator")],
        "subgroups": [
            {"name": row.get("name", ""), "condition": row.get("condition", "")}
            for row in rows_of(form, "subgroup")
        ],
        "minimum_sites": int(minimum),
        "on_dropout": form.get("on_dropout", "continue"),
    }


def _estimator(row: Mapping[str, str]) -> dict[str, Any]:
    kind = row.get("kind", "")
    if kind not in ESTIMATORS:
        raise PlanDefect(f"An estimator is one of {', '.join(ESTIMATORS)}, not {kind!r}.")
    document: dict[str, Any] = {"estimator": kind}
    for field in fields_of(kind, row):
        value: Any = field.value.strip()
        if field.widget == "check":
            document[field.name] = row.get(field.name, "") == "yes"
            continue
        if field.widget in {"list", "numbers"}:
            # A comma may stand inside a term: spline(age, 30, 50).
            parts = [part.strip() for part in _split(value)]
            value = [part for part in parts if part]
        if field.widget == "numbers":
            value = [_number(field.name, part) for part in value]
        elif field.widget == "number" and value:
            value = _number(field.name, value)
        if value not in ("", []) or field.is_needed:
            document[field.name] = value
    return document


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for sign in text:
        depth += {"(": 1, ")": -1}.get(sign, 0)
        if sign == "," and depth <= 0:
            parts.append("")
        else:
            parts[-1] += sign
    return parts


def _number(name: str, text: str) -> float | int:
    try:
        return int(text) if text.lstrip("-").isdigit() else float(text)
    except ValueError as error:
        raise PlanDefect(f"{name} takes numbers, with a point and separated by commas.") from error


def form_of_plan(plan: Mapping[str, Any], offered: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Fill the form with a plan that is there already.

    Parameters
    ----------
    plan
        JSON form of a checked plan.
    offered
        Columns that every site of the study has; others of the plan are shown as clinical or derived.
    """
    names = {column["name"] for column in offered}
    form = {
        "name": str(plan["name"]),
        "minimum_sites": str(plan["minimum_sites"]),
        "on_dropout": str(plan["on_dropout"]),
    }
    clinical = derived = 0
    for item in plan["variables"]:
        if item["derivation"] is not None:
            row, derived = f"derived.{derived}", derived + 1
            form |= {f"{row}.name": item["name"], f"{row}.derivation": item["derivation"]}
        elif item["name"] in names:
            form[f"use.{item['name']}"] = "yes"
        else:
            row, clinical = f"clinical.{clinical}", clinical + 1
            form |= {f"{row}.{key}": str(item[key] or "") for key in ("name", "source", "unit")}
    for number, item in enumerate(plan["estimators"]):
        form[f"estimator.{number}.kind"] = item["estimator"]
        form |= {
            f"estimator.{number}.{key}": _text(value) for key, value in item.items() if key != "estimator"
        }
    for number, item in enumerate(plan["subgroups"]):
        form |= {f"subgroup.{number}.{key}": item[key] for key in ("name", "condition")}
    return form


@dataclass(frozen=True)
class Preview:
    """What a form makes so far.

    Parameters
    ----------
    plan
        JSON form of the checked plan; ``None`` while something is wrong.
    problem
        What to change.
    """

    plan: dict[str, Any] | None
    problem: str = ""


def preview_of(form: Mapping[str, str], offered: Sequence[Mapping[str, Any]]) -> Preview:
    """Check a form as it stands."""
    try:
        return Preview(parse_plan(document_of_form(form, offered)).to_dict())
    except Defect as defect:
        return Preview(None, defect.public_message)
