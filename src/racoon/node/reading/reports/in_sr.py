"""A filled form as entries of a DICOM SR and back, without loss: codes, numbers, texts, dates, instances of groups."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Mapping, Sequence

from racoon.domain.coding import Code
from racoon.domain.questionnaire import Answer, Answered, BadAnswers, CodedWords, Coding, Item, Template
from racoon.standards.dicom.structured_form import CodedText, FormEntry, FormValue, Quantity

SCHEMES: Mapping[str, str] = {
    "http://snomed.info/sct": "SCT",
    "http://loinc.org": "LN",
    "http://radlex.org": "RADLEX",
    "http://www.radlex.org": "RADLEX",
    "http://unitsofmeasure.org": "UCUM",
    "http://dicom.nema.org/resources/ontology/DCM": "DCM",
}
"""Coding scheme designators of FHIR code systems (PS3.16 table 8-1); others are private."""

LOCAL = "urn:racoon:scheme:"
"""Before the designator of a scheme that has no FHIR system, a study's own labels for example."""

YES, NO = Code("373066001", "SCT", "Yes"), Code("373067005", "SCT", "No")


def code_of(coding: Coding, words: str = "") -> Code:
    """Return a FHIR coding as DICOM writes it; a scheme without a designator is private."""
    scheme = SCHEMES.get(coding.system, "99RACOON")
    if coding.system.startswith(LOCAL):
        scheme = coding.system.removeprefix(LOCAL)
    return Code(coding.code, scheme, coding.display or words or coding.code)


def coding_of(code: Code) -> Coding:
    """Return a DICOM code as FHIR writes it."""
    system = next(
        (system for system, scheme in SCHEMES.items() if scheme == code.scheme), LOCAL + code.scheme
    )
    return Coding(system, code.value, code.meaning)


def question_code(item: Item) -> Code:
    """Return what names a question: its first code, else a private one."""
    if item.codes:
        return code_of(item.codes[0], item.words.text)
    return Code(item.link_id[:16], "99RACOON", item.words.text)


def entries_of(template: Template, items: Sequence[Answered]) -> list[FormEntry]:
    """Return the entries of a filled form."""
    return _entries({item.link_id: item for item in template.walk()}, items, "")


def _entries(asked: Mapping[str, Item], items: Sequence[Answered], above: str) -> list[FormEntry]:
    counts: dict[str, int] = {}
    found = []
    for node in items:
        item, number = asked[node.link_id], counts.get(node.link_id, 0)
        counts[node.link_id] = number + 1
        path = f"{above}{node.link_id}" + (f"[{number}]" if item.repeats and not item.is_question else "")
        first = node.answers[0] if node.answers else Answer("")
        found.append(
            FormEntry(
                path,
                question_code(item),
                tuple(_value(item, answer) for answer in node.answers),
                tuple(_entries(asked, node.items, f"{path}/")),
                f"2.25.{uuid.UUID(first.finding_id).int}" if first.finding_id else "",
                first.level,
            )
        )
    return found


def _value(item: Item, answer: Answer) -> FormValue:
    value = answer.value
    if isinstance(value, bool):
        return YES if value else NO
    if isinstance(value, Coding):
        return code_of(value)
    if isinstance(value, int | float):
        return Quantity(float(value), item.unit.code if item.unit else "1")
    if item.kind == "date":
        return dt.date.fromisoformat(value)
    if answer.codes:
        return CodedText(value, tuple((found.words, code_of(found.coding)) for found in answer.codes))
    return value


def items_from(template: Template, entries: Sequence[FormEntry]) -> tuple[Answered, ...]:
    """Return the answers that the entries of an SR hold.

    Raises
    ------
    BadAnswers
        If they are not of this template.
    """
    asked = {item.link_id: item for item in template.walk()}
    return tuple(_answered(asked, entry) for entry in entries)


def _answered(asked: Mapping[str, Item], entry: FormEntry) -> Answered:
    item = asked.get(entry.path.rpartition("/")[2].partition("[")[0])
    if item is None:
        raise BadAnswers("The answers name a question that the template does not have at this place.")
    finding = str(uuid.UUID(int=int(entry.tracking_uid[5:]))) if entry.tracking_uid else ""
    answers = tuple(
        Answer(_read(item, value), finding, entry.automation, _codes(value)) for value in entry.values
    )
    return Answered(item.link_id, answers, tuple(_answered(asked, child) for child in entry.entries))


def _codes(value: FormValue) -> tuple[CodedWords, ...]:
    if not isinstance(value, CodedText):
        return ()
    return tuple(CodedWords(words, coding_of(code)) for words, code in value.codes)


def _read(item: Item, value: FormValue) -> bool | int | float | str | Coding:
    if isinstance(value, CodedText):
        return value.text
    if isinstance(value, Code):
        if item.kind == "boolean":
            return value.key == YES.key
        found = next((option for option in item.options if code_of(option.coding).key == value.key), None)
        if found is None:
            raise BadAnswers("An answer is none of those to choose.", details={"link_id": item.link_id})
        return found.coding
    if isinstance(value, Quantity):
        return int(value.value) if item.kind == "integer" else value.value
    return value.isoformat() if isinstance(value, dt.date) else value
