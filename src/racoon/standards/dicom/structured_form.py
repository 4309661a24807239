"""A filled form inside a DICOM SR: containers with answers, written and read without loss.

Below the root of a Measurement Report stands one CONTAINER "Findings" (121070, DCM).  Each group and each question of
the form is a CONTAINER with its path as Tracking Identifier (112039, DCM) in its observation context, as TID 1501 has
it; a question contains its answers as CODE, NUM, TEXT or DATE.  Numbers carry a Floating Point Value, because a decimal
string of 16 characters loses digits (PS3.3 C.18.1).
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

from racoon.domain.coding import Code

UNITS: Mapping[str, str] = {
    "mm": "millimeter",
    "mm2": "square millimeter",
    "mL": "milliliter",
    "deg": "degree",
    "[hnsf'U]": "Hounsfield unit",
    "[arb'U]": "arbitrary unit",
    "1": "no units",
}
"""Meanings of UCUM codes, which a CodedConcept has to carry."""

FORM = Code("121070", "DCM", "Findings")
TRACKING_ID = Code("112039", "DCM", "Tracking Identifier")
TRACKING_UID = Code("112040", "DCM", "Tracking Unique Identifier")
WORDS = Code("words", "99RACOON", "Words of the text")
MEANING = Code("meaning", "99RACOON", "Meaning of words of the text")
AUTOMATION = Code("automation", "99RACOON", "How automatic the answer is")


@dataclass(frozen=True)
class Quantity:
    """A number with its UCUM unit."""

    value: float
    unit: str


@dataclass(frozen=True)
class CodedText:
    """A text with what some of its words mean: pairs of words and concept."""

    text: str
    codes: tuple[tuple[str, Code], ...]


FormValue = Code | Quantity | dt.date | str | CodedText


@dataclass(frozen=True)
class FormEntry:
    """A group, or a question with its answers.

    Parameters
    ----------
    path
        Place in the form, e.g. ``"lungs/nodules[0]/nodule-size"``.
    tracking_uid
        Of the finding an answer was taken from, or empty.
    automation
        Code for how automatic the answers are, or empty.
    """

    path: str
    name: Code
    values: tuple[FormValue, ...] = ()
    entries: tuple[FormEntry, ...] = ()
    tracking_uid: str = ""
    automation: str = ""


def form_container(entries: Sequence[FormEntry]) -> Dataset:
    """Return the content item that holds a form."""
    from highdicom import sr  # noqa: PLC0415 - a second that only writing needs

    container: Dataset = _container(sr, FORM, [], [_entry(sr, entry) for entry in entries])
    return container


def read_form(dataset: Dataset) -> tuple[FormEntry, ...]:
    """Read the form of an SR that :func:`form_container` is part of; empty where there is none."""
    for item in dataset.get("ContentSequence", ()):
        if item.ValueType == "CONTAINER" and _code_of(item.ConceptNameCodeSequence[0]).key == FORM.key:
            return tuple(_read(child) for child in item.get("ContentSequence", ()))
    return ()


def _container(sr: Any, name: Code, context: Sequence[Dataset], content: Sequence[Dataset]) -> Any:
    item = sr.ContainerContentItem(
        name=_concept(sr, name), is_content_continuous=False, relationship_type="CONTAINS"
    )
    item.ContentSequence = sr.ContentSequence([*context, *content])
    return item


def _entry(sr: Any, entry: FormEntry) -> Any:
    context = [sr.TextContentItem(_concept(sr, TRACKING_ID), entry.path, "HAS OBS CONTEXT")]
    if entry.tracking_uid:
        context.append(
            sr.UIDRefContentItem(_concept(sr, TRACKING_UID), entry.tracking_uid, "HAS OBS CONTEXT")
        )
    if entry.automation:
        level = Code(entry.automation, "99RACOON", entry.automation)
        context.append(sr.CodeContentItem(_concept(sr, AUTOMATION), _concept(sr, level), "HAS OBS CONTEXT"))
    content = [_value(sr, entry.name, value) for value in entry.values]
    content += [_entry(sr, child) for child in entry.entries]
    return _container(sr, entry.name, context, content)


def _value(sr: Any, name: Code, value: FormValue) -> Any:
    concept = _concept(sr, name)
    if isinstance(value, Code):
        return sr.CodeContentItem(concept, _concept(sr, value), "CONTAINS")
    if isinstance(value, dt.date):
        return sr.DateContentItem(concept, value, "CONTAINS")
    if isinstance(value, str):
        return sr.TextContentItem(concept, value, "CONTAINS")
    if isinstance(value, CodedText):
        return _coded_text(sr, concept, value)
    unit = sr.CodedConcept(value.unit, "UCUM", UNITS.get(value.unit, value.unit))
    item = sr.NumContentItem(concept, value.value, unit, relationship_type="CONTAINS")
    item.MeasuredValueSequence[0].FloatingPointValue = float(value.value)
    return item


def _coded_text(sr: Any, concept: Any, value: CodedText) -> Any:
    """Write a text with its codes as properties, each with the words it is of (PS3.3 table A.35.3-2)."""
    item = sr.TextContentItem(concept, value.text, "CONTAINS")
    codes = []
    for words, code in value.codes:
        meaning = sr.CodeContentItem(_concept(sr, MEANING), _concept(sr, code), "HAS PROPERTIES")
        quoted = sr.TextContentItem(_concept(sr, WORDS), words, "HAS CONCEPT MOD")
        meaning.ContentSequence = sr.ContentSequence([quoted])
        codes.append(meaning)
    item.ContentSequence = sr.ContentSequence(codes)
    return item


def short(text: str) -> str:
    """Cut a code's meaning to what LO holds, counted in bytes so that no reader complains (PS3.5 6.2)."""
    return text.encode()[:64].decode(errors="ignore").strip()


def _concept(sr: Any, code: Code) -> Any:
    return sr.CodedConcept(code.value, code.scheme, short(code.meaning or code.value))


def _read(item: Dataset) -> FormEntry:
    path = tracking = automation = ""
    values: list[FormValue] = []
    entries: list[FormEntry] = []
    for child in item.get("ContentSequence", ()):
        name = _code_of(child.ConceptNameCodeSequence[0]).key
        if child.RelationshipType == "HAS OBS CONTEXT":
            if name == TRACKING_ID.key:
                path = str(child.TextValue)
            elif name == TRACKING_UID.key:
                tracking = str(child.UID)
            elif name == AUTOMATION.key:
                automation = _code_of(child.ConceptCodeSequence[0]).value
        elif child.ValueType == "CONTAINER":
            entries.append(_read(child))
        else:
            values.append(_read_value(child))
    name_of = _code_of(item.ConceptNameCodeSequence[0])
    return FormEntry(path, name_of, tuple(values), tuple(entries), tracking, automation)


def _read_value(item: Dataset) -> FormValue:
    kind = item.ValueType
    if kind == "CODE":
        return _code_of(item.ConceptCodeSequence[0])
    if kind == "DATE":
        text = str(item.Date)
        return dt.date(int(text[:4]), int(text[4:6]), int(text[6:8]))
    if kind == "NUM":
        measured = item.MeasuredValueSequence[0]
        exact = measured.get("FloatingPointValue")
        unit = _code_of(measured.MeasurementUnitsCodeSequence[0]).value
        return Quantity(float(measured.NumericValue if exact is None else exact), unit)
    codes = tuple(
        (str(child.ContentSequence[0].TextValue), _code_of(child.ConceptCodeSequence[0]))
        for child in item.get("ContentSequence", ())
        if _code_of(child.ConceptNameCodeSequence[0]).key == MEANING.key
    )
    return CodedText(str(item.TextValue), codes) if codes else str(item.TextValue)


def _code_of(item: Dataset) -> Code:
    value = item.get("CodeValue") or item.get("LongCodeValue") or item.get("URNCodeValue") or ""
    return Code(str(value), str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", "")))
