"""A clinic's own spreadsheet as FHIR resources, by a mapping that is written once and kept.

Registries and trial databases give CSV.  A mapping (TOML) says which column is the patient's number and what stands in
the others; each row becomes the resources that a FHIR server would have sent, and goes the same way from there: under
pseudonyms, without names and free text.  What a row says wrongly is counted by line, column and reason, never shown.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TextIO

from racoon.errors import Defect
from racoon.node.clinical.table_mapping import BadMapping, Item, Kind, TableMapping
from racoon.standards.fhir.building import UCUM, Resource

SHOWN_LINES = 20
"""Line numbers named for each reason."""

_TYPES: Mapping[str, str] = {
    "condition": "Condition",
    "observation": "Observation",
    "procedure": "Procedure",
    "medication": "MedicationStatement",
}
_MEDICAL_RECORD = {"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "MR"}


class BadTable(Defect):
    """The file is no table of the separator and encoding that the mapping names."""

    code = "clinical.bad_table"


REASONS: Mapping[str, str] = {
    "no_number": "The row has no patient's number.",
    "no_date": "The day is none of the date format.",
    "unknown_word": "The mapping does not know the word.",
    "no_number_value": "The value is no number.",
}
"""Why a row or a cell was not taken."""

Source = Path | bytes
"""Of a table: its file, or what was in it."""


@dataclass
class Refusals:
    """Rows and cells that were not taken: counts by reason and column, and the first lines; never a value."""

    counts: Counter[str] = field(default_factory=Counter)
    lines: dict[str, list[int]] = field(default_factory=dict)

    def add(self, reason: str, column: str, line: int) -> None:
        """Count one."""
        name = f"{reason} {column}".strip()
        self.counts[name] += 1
        if len(lines := self.lines.setdefault(name, [])) < SHOWN_LINES:
            lines.append(line)

    def clear(self) -> None:
        """Begin to count anew."""
        self.counts.clear()
        self.lines.clear()


class Layout(Protocol):
    """What has to be known of a table to read its rows."""

    @property
    def separator(self) -> str:
        """Between two cells."""

    @property
    def encoding(self) -> str:
        """Of the file."""

    def columns(self) -> set[str]:
        """Columns that have to be there."""


def opened(source: Source, encoding: str) -> TextIO:
    """Open a table as text; a mark at its beginning is no part of its first column."""
    name = "utf-8-sig" if encoding == "utf-8" else encoding
    if isinstance(source, bytes):
        return io.TextIOWrapper(io.BytesIO(source), encoding=name, newline="")
    return source.open(encoding=name, newline="")


def iterate_rows(source: Source, mapping: Layout) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield line number and cells of each row.

    Raises
    ------
    BadTable
        If the file cannot be read as the mapping says.
    BadMapping
        If a column is missing.
    """
    try:
        with opened(source, mapping.encoding) as file:
            reader = csv.DictReader(file, delimiter=mapping.separator, strict=True)
            missing = sorted(mapping.columns() - set(reader.fieldnames or ()))
            if missing:
                # A table without a heading begins with a patient: what it has instead is not said.
                raise BadMapping(
                    f"The table has no column {', '.join(missing)}; it has {len(reader.fieldnames or ())} columns of"
                    " other names. Check names and separator, and that the first row holds the names of the columns."
                )
            for row in reader:
                yield reader.line_num, {name: (row[name] or "").strip() for name in mapping.columns()}
    except UnicodeDecodeError as error:
        raise BadTable(f"The table is not encoded as {mapping.encoding}. Name its encoding.") from error
    except csv.Error as error:
        raise BadTable("The table breaks off or is no CSV. Check separator and encoding.") from error


def patient_of(
    row: Mapping[str, str], line: int, mapping: TableMapping, system: str, refusals: Refusals
) -> Resource | None:
    """Make the Patient of a row; None and a refusal when the row names nobody.

    Parameters
    ----------
    system
        Identifier system that carries the number which is in the images; empty where none is configured.
    """
    number = row[mapping.patient.number]
    if not number:
        refusals.add("no_number", mapping.patient.number, line)
        return None
    identifier: Resource = {"type": {"coding": [_MEDICAL_RECORD]}, "value": number}
    made: Resource = {
        "resourceType": "Patient",
        "id": _patient_id(number),
        "identifier": [identifier | ({"system": system} if system else {})],
    }
    if (column := mapping.patient.birth_date) and row[column]:
        day = _day(row[column], mapping)
        if day is None:
            refusals.add("no_date", column, line)
        else:
            made["birthDate"] = day
    if (column := mapping.patient.gender) and row[column]:
        gender = mapping.patient.gender_values.get(row[column])
        if gender is None:
            refusals.add("unknown_word", column, line)
        else:
            made["gender"] = gender
    return made


def resources_of(
    row: Mapping[str, str], line: int, mapping: TableMapping, refusals: Refusals
) -> Iterator[Resource]:
    """Yield what a row says of its patient; a cell that is not understood is refused, the others are taken."""
    number = row[mapping.patient.number]
    if not number:
        return
    for place, item in enumerate(mapping.items):
        cell = row[item.column]
        if not cell:
            continue
        content = _content(item, cell, mapping)
        if isinstance(content, str):
            if content:
                refusals.add(content, item.column, line)
            continue
        day = ""
        if item.date is not None and row[item.date]:
            found = _day(row[item.date], mapping)
            if found is None:
                refusals.add("no_date", item.date, line)
                continue
            day = found
        key = row[mapping.key] if mapping.key else f"{day}/{cell if item.code is None else ''}"
        identity = hashlib.sha256(f"{mapping.title}/{number}/{place}/{key}".encode()).hexdigest()[:40]
        yield {
            "resourceType": _TYPES[item.kind],
            "id": f"table-{identity}",
            "subject": {"reference": f"Patient/{_patient_id(number)}"},
            **content,
            **_dated(item.kind, day),
        }


def _content(item: Item, cell: str, mapping: TableMapping) -> Resource | str:
    """What a cell says, or why it is not understood; an empty text when it says that something is not so."""
    if item.kind != "observation":
        if item.code is not None and cell not in item.present:
            return ""
        concept = {"coding": [{"system": item.system, "code": item.code or cell}]}
        if item.kind == "medication":
            return {"status": "completed", "medicationCodeableConcept": concept}
        return {"code": concept} | ({"status": "completed"} if item.kind == "procedure" else {})
    made: Resource = {
        "status": "final",
        "code": {"coding": [{"system": item.system, "code": item.code}]},
    }
    if item.value_codes:
        if cell not in item.value_codes:
            return "unknown_word"
        system, code = item.value_codes[cell]
        return made | {"valueCodeableConcept": {"coding": [{"system": system, "code": code}]}}
    number = _number(cell, mapping.decimal)
    if number is None:
        return "no_number_value"
    return made | {"valueQuantity": {"value": number, "system": UCUM, "code": item.unit}}


def _dated(kind: Kind, day: str) -> Resource:
    names = {
        "condition": "recordedDate",
        "observation": "effectiveDateTime",
        "procedure": "performedDateTime",
        "medication": "effectiveDateTime",
    }
    return {names[kind]: day} if day else {}


def _patient_id(number: str) -> str:
    return f"table-{hashlib.sha256(number.encode()).hexdigest()[:40]}"


def _number(text: str, decimal: str) -> float | None:
    """A number as the table writes it; anything else than digits, sign, mark and exponent is none."""
    plain = text.replace(" ", "")
    if decimal == ",":
        plain = plain.replace(".", "").replace(",", ".") if plain.count(",") <= 1 else "x"
    try:
        found = float(plain)
    except ValueError:
        return None
    return found if found == found and abs(found) != float("inf") else None  # noqa: PLR0124 -- NaN is no value


def _day(text: str, mapping: TableMapping) -> str | None:
    try:
        return datetime.strptime(text, mapping.date_format).date().isoformat()  # noqa: DTZ007 -- a day has no zone
    except ValueError:
        return None


def describe(refusals: Refusals) -> list[dict[str, Any]]:
    """Return the refusals as rows for people, the most frequent first."""
    return [
        {"reason": name, "cells": count, "first_lines": refusals.lines[name]}
        for name, count in refusals.counts.most_common()
    ]
