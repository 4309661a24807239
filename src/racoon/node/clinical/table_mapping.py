"""How a clinic's own table is read: what stands in which column.  Pure but for the reading of its file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from racoon.errors import Defect
from racoon.node.clinical.passing import CODE_SYSTEMS, is_public_code, is_ucum

Kind = Literal["condition", "observation", "procedure", "medication"]
Column = Annotated[str, Field(min_length=1, max_length=200)]


class BadMapping(Defect):
    """The mapping is not understood, or names columns that the table does not have."""

    code = "clinical.bad_mapping"


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PatientColumns(_Model):
    """Who a row is about.

    Attributes
    ----------
    number
        Column of the number under which the images came.
    birth_date, gender
        Columns, where the table has them; of the date of birth the year is kept.
    gender_values
        The table's words to ``male``, ``female``, ``other``, ``unknown``.
    """

    number: Column
    birth_date: Column | None = None
    gender: Column | None = None
    gender_values: Mapping[str, Literal["male", "female", "other", "unknown"]] = Field(default_factory=dict)


class Item(_Model):
    """One thing that a row may say about the patient.

    Attributes
    ----------
    kind
        What it is.
    column
        Where its value, or its code, stands; an empty cell says nothing.
    system
        Catalogue of the code: LOINC, ICD-10-GM, OPS, ATC, SNOMED CT ...
    code
        The code; where it is missing, the cell itself holds it.
    present
        Words that say that something with a fixed code is so, such as "ja" or "1"; other words say it is not.
    unit
        UCUM unit of a value.
    value_codes
        The table's words to (system, code) where a value is a word.
    date
        Column of the day.
    """

    kind: Kind
    column: Column
    system: str
    code: str | None = None
    present: tuple[str, ...] = ()
    unit: str | None = None
    value_codes: Mapping[str, tuple[str, str]] = Field(default_factory=dict)
    date: Column | None = None


class TableMapping(_Model):
    """How a table is read.

    Attributes
    ----------
    title
        For people and reports; also part of the resources' ids, so that the same table taken again replaces itself.
    separator, encoding, decimal, date_format
        Of the file; the date format as Python's ``strptime`` reads it.
    key
        Column that numbers the rows of a patient; without it a patient's rows are told apart by item and day.
    patient, items
        What stands in the columns.
    """

    title: Annotated[str, Field(min_length=3, max_length=100)]
    separator: Annotated[str, Field(min_length=1, max_length=1)] = ";"
    encoding: Literal["utf-8", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16"] = "utf-8"
    decimal: Literal[",", "."] = ","
    date_format: str = "%d.%m.%Y"
    key: Column | None = None
    patient: PatientColumns
    items: Annotated[tuple[Item, ...], Field(min_length=1)]

    def columns(self) -> set[str]:
        """Every column that the mapping names."""
        found = {self.patient.number, self.patient.birth_date, self.patient.gender, self.key}
        for item in self.items:
            found |= {item.column, item.date}
        return {name for name in found if name}


def read_mapping(path: Path) -> TableMapping:
    """Read a mapping.

    Raises
    ------
    BadMapping
        With the place of the first mistake.
    """
    try:
        mapping = TableMapping.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadMapping(f"The mapping {path.name} is no TOML file: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise BadMapping(f"The mapping says something wrong at {place}: {first['msg']}.") from error
    for number, item in enumerate(mapping.items):
        if problem := problem_of(item):
            field_name, code = problem
            told = f" Known are {', '.join(CODE_SYSTEMS)}." if code == "unknown_system" else ""
            raise BadMapping(
                f"The mapping says something wrong at items.{number}.{field_name}: {PROBLEMS[code]}{told}"
            )
    return mapping


PROBLEMS: Mapping[str, str] = {
    "unknown_system": "It is no catalogue whose codes are kept.",
    "no_code": "An observation needs a fixed code; the cell holds its value.",
    "wrong_code": "The code does not look like one of this catalogue.",
    "no_unit": "An observation needs a UCUM unit, or codes for its words.",
    "no_value": "Only observations have a value.",
    "no_words": "A fixed code needs the words that say it is so.",
    "no_words_needed": "A cell that holds the code needs no words.",
}
"""What can be wrong with an item."""


def problem_of(item: Item) -> tuple[str, str] | None:
    """Return the field of an item that is wrong, and a key of :data:`PROBLEMS`."""
    is_observation = item.kind == "observation"
    meanings = item.value_codes.values()
    if item.system not in CODE_SYSTEMS:
        return "system", "unknown_system"
    if is_observation and item.code is None:
        return "code", "no_code"
    if item.code is not None and not is_public_code(item.system, item.code):
        return "code", "wrong_code"
    if is_observation and not item.value_codes and not (item.unit and is_ucum(item.unit)):
        return "unit", "no_unit"
    if not is_observation and item.unit:
        return "unit", "no_value"
    if not is_observation and item.value_codes:
        return "value_codes", "no_value"
    if any(not is_public_code(system, code) or system not in CODE_SYSTEMS for system, code in meanings):
        return "value_codes", "wrong_code"
    if not is_observation and item.code is not None and not item.present:
        return "present", "no_words"
    if not is_observation and item.code is None and item.present:
        return "present", "no_words_needed"
    return None
