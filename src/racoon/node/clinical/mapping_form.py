"""The editor's form: its fields as a mapping, a mapping as its fields, and what is wrong beside the field.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from racoon.node.clinical.table_mapping import PROBLEMS, TableMapping, problem_of

GENDERS = ("female", "male", "other", "unknown")

MOST_ITEMS = 60
"""Of one form."""

CATALOGUES: Mapping[str, str] = {
    "http://loinc.org": "LOINC",
    "http://fhir.de/CodeSystem/bfarm/icd-10-gm": "ICD-10-GM",
    "http://fhir.de/CodeSystem/bfarm/ops": "OPS",
    "http://fhir.de/CodeSystem/bfarm/atc": "ATC",
    "http://snomed.info/sct": "SNOMED CT",
    "http://fhir.de/CodeSystem/ifa/pzn": "PZN",
    "http://fhir.de/CodeSystem/bfarm/alpha-id": "Alpha-ID",
}
"""Catalogues that the editor offers; a mapping that was written by hand may name any other whose codes are kept."""

DATE_FORMATS: Mapping[str, str] = {
    "%d.%m.%Y": "31.12.2024",
    "%Y-%m-%d": "2024-12-31",
    "%d/%m/%Y": "31/12/2024",
    "%m/%d/%Y": "12/31/2024",
    "%d.%m.%y": "31.12.24",
    "%Y%m%d": "20241231",
}

_OF_THE_FILE = ("title", "separator", "encoding", "decimal", "date_format", "key")
_OF_PATIENT = ("number", "birth_date", "gender")
_OF_ITEM = ("kind", "column", "system", "code", "present", "unit", "value_codes", "date")

NEEDED = "Fill this in."
NOT_READ = "Write one word in each line: the word, an equals sign, catalogue, a bar and the code."
TWICE = "This word already has a meaning."
NO_COLUMN = "The table has no such column."
NO_ITEM = "Say of at least one column what it holds."

NOT_UNDERSTOOD = "This is not understood."
TOO_MUCH = "This mapping says more than the editor can show. Change it as a file."

_BY_TYPE = {
    "string_too_long": "This is too long.",
    "string_too_short": "This is too short.",
    "literal_error": "Choose one of the list.",
    "missing": NEEDED,
}

SENTENCES = (*_BY_TYPE.values(), NOT_READ, TWICE, NO_COLUMN, NO_ITEM, NOT_UNDERSTOOD, TOO_MUCH)
"""What the editor says beside a field, with what is wrong with an item."""


@dataclass
class Draft:
    """A form as it was sent.

    Parameters
    ----------
    fields
        Of file and patient.
    items
        Fields of each item.
    problems
        Name of a field to what is wrong with it.
    warnings
        Name of a field to what the sample's rows say of it: why, how many, in which lines.
    """

    fields: dict[str, str]
    items: list[dict[str, str]]
    problems: dict[str, list[str]] = field(default_factory=dict)
    warnings: dict[str, list[tuple[str, int, str]]] = field(default_factory=dict)

    def refuse(self, place: str, sentence: str) -> None:
        """Note what is wrong with a field."""
        found = self.problems.setdefault(place, [])
        if sentence not in found:
            found.append(sentence)


def empty_draft() -> Draft:
    """Return the form of a new mapping."""
    empty = dict.fromkeys((*_OF_THE_FILE, *_OF_PATIENT, *(f"word_{name}" for name in GENDERS)), "")
    usual = {"separator": ";", "encoding": "utf-8", "decimal": ",", "date_format": "%d.%m.%Y"}
    return Draft(empty | usual, [new_item()])


def new_item() -> dict[str, str]:
    """Return the fields of a new item."""
    return dict.fromkeys(_OF_ITEM, "") | {"kind": "observation", "system": "http://loinc.org"}


def draft_of_form(form: Mapping[str, str]) -> Draft:
    """Read what the browser sent."""
    words = [f"word_{name}" for name in GENDERS]
    found = Draft({name: form.get(name, "").strip() for name in (*_OF_THE_FILE, *_OF_PATIENT, *words)}, [])
    # A tab is no blank around a word.
    found.fields["separator"] = form.get("separator", ";")
    for number in range(MOST_ITEMS):
        if f"item-{number}-column" not in form:
            break
        found.items.append({name: form.get(f"item-{number}-{name}", "").strip() for name in _OF_ITEM})
    return found


def draft_of_mapping(mapping: TableMapping) -> Draft:
    """Return the form that says what a mapping says."""
    patient = mapping.patient
    fields = {name: getattr(mapping, name) or "" for name in _OF_THE_FILE}
    fields |= {name: getattr(patient, name) or "" for name in _OF_PATIENT}
    for name in GENDERS:
        words = [word for word, meaning in patient.gender_values.items() if meaning == name]
        fields[f"word_{name}"] = ", ".join(words)
    items = []
    for item in mapping.items:
        codes = [f"{word} = {system}|{code}" for word, (system, code) in item.value_codes.items()]
        items.append(
            {
                "kind": item.kind,
                "column": item.column,
                "system": item.system,
                "code": item.code or "",
                "present": ", ".join(item.present),
                "unit": item.unit or "",
                "value_codes": "\n".join(codes),
                "date": item.date or "",
            }
        )
    return Draft(fields, items)


def mapping_of(draft: Draft) -> TableMapping | None:
    """Return the mapping that a form says; None, with the problems noted in the form, where it says none."""
    document = _document(draft)
    if not draft.items:
        draft.refuse("items", NO_ITEM)
    try:
        mapping = TableMapping.model_validate(document)
    except ValidationError as error:
        for found in error.errors():
            steps = [str(step) for step in found["loc"]]
            draft.refuse(_place(steps), _BY_TYPE.get(found["type"], NOT_UNDERSTOOD))
        return None
    for number, item in enumerate(mapping.items):
        if problem := problem_of(item):
            draft.refuse(f"item-{number}-{problem[0]}", PROBLEMS[problem[1]])
    return None if draft.problems else mapping


def check_columns(draft: Draft, columns: set[str]) -> None:
    """Note the columns that the form names and the table does not have."""
    for name in ("key", *_OF_PATIENT):
        if draft.fields.get(name) and draft.fields[name] not in columns:
            draft.refuse(name, NO_COLUMN)
    for number, item in enumerate(draft.items):
        for name in ("column", "date"):
            if item.get(name) and item[name] not in columns:
                draft.refuse(f"item-{number}-{name}", NO_COLUMN)


def places_of_column(draft: Draft, column: str) -> list[str]:
    """Return the fields that name a column."""
    found = [name for name in ("key", *_OF_PATIENT) if draft.fields.get(name) == column]
    for number, item in enumerate(draft.items):
        found += [f"item-{number}-{name}" for name in ("column", "date") if item.get(name) == column]
    return found


def _document(draft: Draft) -> dict[str, Any]:
    fields = draft.fields
    patient: dict[str, Any] = {name: fields[name] for name in _OF_PATIENT if fields.get(name)}
    meanings: dict[str, str] = {}
    for name in GENDERS:
        for word in _split(fields.get(f"word_{name}", "")):
            if meanings.setdefault(word, name) != name:
                draft.refuse(f"word_{name}", TWICE)
    if meanings:
        patient["gender_values"] = meanings
    made: dict[str, Any] = {name: fields[name] for name in _OF_THE_FILE if fields.get(name)}
    items = []
    for number, item in enumerate(draft.items):
        content: dict[str, Any] = {
            name: item[name] for name in _OF_ITEM if item.get(name) and name not in ("present", "value_codes")
        }
        content["present"] = tuple(_split(item.get("present", "")))
        codes: dict[str, tuple[str, str]] = {}
        for line in item.get("value_codes", "").splitlines():
            word, equals, meaning = (part.strip() for part in line.partition("="))
            system, bar, code = (part.strip() for part in meaning.rpartition("|"))
            if not line.strip():
                continue
            if not (word and equals and bar and system and code):
                draft.refuse(f"item-{number}-value_codes", NOT_READ)
            elif codes.setdefault(word, (system, code)) != (system, code):
                draft.refuse(f"item-{number}-value_codes", TWICE)
        content["value_codes"] = codes
        items.append(content)
    return made | {"patient": patient, "items": items}


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]


def _place(steps: list[str]) -> str:
    """Name the form's field of a place in the mapping."""
    if steps[0] == "items" and len(steps) > 2:
        return f"item-{steps[1]}-{steps[2]}"
    if steps[0] == "patient":
        return "word_female" if steps[1] == "gender_values" else steps[1]
    return steps[0]
