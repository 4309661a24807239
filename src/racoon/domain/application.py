"""The application form: its groups and fields as data, and one function that says in words what is wrong.

The groups are those of the national proposal portal; radiology's own come last.  Values stand in a study's
``application`` by field name; names the table does not know are kept and shown, never checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

Kind = Literal["line", "text", "number", "date", "choice", "yes_no"]

LONGEST_TEXT = 20_000
LONGEST_LINE = 500

TOO_LONG = "This answer is too long; shorten it or attach a document."
NOT_A_NUMBER = "A whole number from 1 to 10000000 is expected."
NOT_A_DATE = "A date is written as 2027-12-31."
NOT_A_CHOICE = "Choose one of the answers offered."
END_BEFORE_START = "The study ends before it starts."
NO_EXPORT = "A federated study hands no images out; choose pooled, or no export."
NEEDS_DEFACING = "Head images that leave a site are defaced; say how, or keep the images at the sites."


@dataclass(frozen=True)
class Field:
    """One question of the form.

    Parameters
    ----------
    name
        Key in the study's ``application``.
    label
        English; translated when shown.
    kind
        How it is asked and checked.
    choices
        Codes of the answers offered.
    is_required
        Whether the study can be submitted without it.
    """

    name: str
    label: str
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    is_required: bool = False


@dataclass(frozen=True)
class Group:
    """Questions that belong together."""

    name: str
    title: str
    fields: tuple[Field, ...]


GROUPS: tuple[Group, ...] = (
    Group(
        "general",
        "General",
        (
            Field("acronym", "Short name", "line"),
            Field("keywords", "Keywords", "line"),
            Field("start", "Start", "date"),
            Field("end", "End", "date"),
            Field("funding", "Funding", "line"),
            Field("data_origin", "Origin of the images", "choice", ("synthetic", "real"), is_required=True),
        ),
    ),
    Group(
        "project",
        "Project",
        (
            Field("background", "Background", is_required=True),
            Field("hypothesis", "Hypothesis", is_required=True),
            Field("methods", "Methods"),
            Field("executive_summary", "Summary for the use and access committees"),
            Field("literature", "Literature"),
            Field("biometry", "Biometry"),
        ),
    ),
    Group(
        "cases",
        "Cases and data",
        (
            Field("target_cases", "Target number of cases", "number"),
            Field("case_selection", "Selection of cases"),
            Field("controls", "Controls"),
            Field("requested_data", "Requested data"),
            Field("record_linkage", "Record linkage wanted", "yes_no"),
            Field("named_sites", "Site as a named variable", "yes_no"),
            Field("biosamples", "Biosamples"),
        ),
    ),
    Group(
        "ethics",
        "Ethics",
        (
            Field("ethics_committee", "Ethics committee", "line"),
            Field("ethics_number", "Number of the lead vote", "line"),
            Field("ethics_date", "Date of the lead vote", "date"),
            Field("recontact", "Recontact and incidental findings"),
        ),
    ),
    Group(
        "people",
        "People and results",
        (
            Field("participants", "Participants with role and institute"),
            Field("resources", "Resources"),
            Field("property_rights", "Property rights"),
            Field("planned_publications", "Planned publications"),
        ),
    ),
    Group(
        "radiology",
        "Radiology",
        (
            Field("modalities", "Modalities", "line"),
            Field("protocol", "Image protocol"),
            Field("reading_plan", "Reading and annotation plan"),
            Field("reader_qualification", "Qualification of the readers"),
            Field("software", "AI software and its regulatory status"),
            Field("image_export", "Images leave the sites", "choice", ("never", "to_pool")),
            Field("head_images", "Images of the head", "yes_no"),
            Field("defacing", "Defacing", "line"),
            Field("result_return", "Return of results to the patient record"),
        ),
    ),
)

FIELDS: Mapping[str, Field] = {field.name: field for group in GROUPS for field in group.fields}


def check_application(application: Mapping[str, Any], mode: str) -> dict[str, str]:
    """Say what is wrong with the answers.

    Parameters
    ----------
    application
        Answers by field name; empty answers are not wrong, only missing.
    mode
        ``"federated"`` or ``"pooled"``.

    Returns
    -------
    dict of str to str
        Field name → sentence.
    """
    problems = {
        name: problem
        for name, field in FIELDS.items()
        if not _is_empty(application.get(name)) and (problem := _check_field(field, application[name]))
    }
    start, end = application.get("start"), application.get("end")
    if start and end and not {"start", "end"} & set(problems) and str(end) < str(start):
        problems["end"] = END_BEFORE_START
    if mode == "federated" and application.get("image_export") == "to_pool":
        problems["image_export"] = NO_EXPORT
    is_leaving = application.get("image_export") == "to_pool" and application.get("head_images") == "yes"
    if is_leaving and _is_empty(application.get("defacing")):
        problems["defacing"] = NEEDS_DEFACING
    return problems


def read_answer(name: str, text: str) -> Any:
    """Turn what was typed into the value that is stored: numbers become numbers, everything else stays text."""
    field = FIELDS.get(name)
    stripped = text.strip()
    if field is not None and field.kind == "number" and stripped.isascii() and stripped.isdigit():
        return int(stripped[:12])
    return stripped


def answered(application: Mapping[str, Any]) -> tuple[int, int]:
    """Count the answered questions, and all."""
    return sum(not _is_empty(application.get(name)) for name in FIELDS), len(FIELDS)


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip())


def _check_field(field: Field, value: Any) -> str | None:
    if field.kind == "number":
        is_number = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 10_000_000
        return None if is_number else NOT_A_NUMBER
    if field.kind in ("choice", "yes_no"):
        return None if value in (field.choices or ("yes", "no")) else NOT_A_CHOICE
    if field.kind == "date":
        try:
            date.fromisoformat(str(value))
        except ValueError:
            return NOT_A_DATE
        return None
    limit = LONGEST_LINE if field.kind == "line" else LONGEST_TEXT
    return TOO_LONG if len(str(value)) > limit else None
