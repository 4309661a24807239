"""Read IHE MRRT report templates (HTML5 with form controls) as FHIR Questionnaires; nothing in them is ever run.

Sections become groups, controls become questions, ``coded_content`` becomes codes.  Scripts, styles, handlers and
whatever points elsewhere are taken out and listed, as is all that no question can carry.  The result is not yet within
our subset: it passes ``domain.questionnaire.normalised`` like any foreign template.
IHE Radiology, Management of Radiology Report Templates, Rev. 1.5, 8.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

from racoon.domain.questionnaire import BadTemplate, Normalised, Note, normalised

LARGEST_BYTES = 2 << 20
DEEPEST = 60

SYSTEMS: Mapping[str, str] = {
    "RADLEX": "http://radlex.org",
    "RADELEMENT": "https://radelement.org",
    "SNOMED": "http://snomed.info/sct",
    "SNOMEDCT": "http://snomed.info/sct",
    "SCT": "http://snomed.info/sct",
    "LOINC": "http://loinc.org",
    "LN": "http://loinc.org",
    "UCUM": "http://unitsofmeasure.org",
}
"""FHIR code systems of the schemes that MRRT templates name."""

_SILENT = frozenset({"script", "style", "template", "noscript", "object", "iframe", "embed", "svg", "math"})
_VOID = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "wbr"}
)
_KINDS = {"text": "string", "search": "string", "date": "date", "checkbox": "boolean", "number": "decimal"}
_UNIT = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"


@dataclass
class _Control:
    """A question while it is read."""

    name: str
    item: dict[str, Any]
    heading: str = ""
    values: list[str] = field(default_factory=list)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.meta: dict[str, str] = {}
        self.attributes = ""
        self.notes: list[Note] = []
        self.root: dict[str, Any] = {"item": []}
        self.groups: list[tuple[int, dict[str, Any]]] = []
        self.open: list[str] = []
        self.labels: dict[str, str] = {}
        self.controls: dict[str, _Control] = {}
        self._text: list[str] = []
        self._collect = ""
        self._label_for = ""
        self._heading = ""
        self._option: dict[str, str | None] | None = None
        self._select: _Control | None = None
        self._lost: set[str] = set()

    def lose(self, code: str, detail: str, place: str = "") -> None:
        if (key := f"{code} {detail}") not in self._lost:
            self._lost.add(key)
            self.notes.append(Note(place, code, detail[:200], is_loss=True))

    @property
    def level(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (self.groups[-1][1] if self.groups else self.root)["item"]
        return found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        for name, text in given.items():
            if name.startswith("on") or text.strip().lower().startswith("javascript:"):
                self.lose("active", f"{tag} {name}")
        if tag == "meta":
            self.meta.setdefault(given.get("name", "").lower(), given.get("content", ""))
        elif tag == "script" and given.get("type", "").lower() == "text/xml":
            self._begin("attributes")
        elif tag in _SILENT or tag in ("link", "img", "a"):
            self.lose("active", f"{tag} {given.get('src', given.get('href', ''))}".strip())
        else:
            self._place(tag, given)
        if tag not in _VOID:
            self.open.append(tag)
            if len(self.open) > DEEPEST:
                raise BadTemplate("The template is nested too deeply to be read.")

    def _place(self, tag: str, given: dict[str, str]) -> None:
        if tag == "section":
            self._group(given.get("data-section-name", ""))
        elif tag in ("header", "th", "legend"):
            self._begin("heading")
        elif tag == "td" and self._heading and self.open and self.open[-1] == "tr":
            self._group(self._heading)
            self._heading = ""
        elif tag == "label":
            self._label_for = given.get("for", "")
            self._begin("label")
        elif tag == "input":
            self._input(given)
        elif tag == "textarea":
            self._add(given, {"type": "text"})
            self._begin("skip")
        elif tag == "select":
            kind = {"type": "choice", "answerOption": []}
            self._select = self._add(given, kind | ({"repeats": True} if "multiple" in given else {}))
        elif tag == "option":
            self._option = dict(given)
            self._begin("option")
        elif tag in ("button", "canvas", "video", "audio"):
            self.lose("control", tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.open:
            return
        while self.open.pop() != tag:
            pass
        self._finish(tag)
        while self.groups and self.groups[-1][0] > len(self.open):
            self.groups.pop()
        if tag == "tr":
            self._heading = ""

    def _finish(self, tag: str) -> None:
        ends = {
            "header": "heading",
            "th": "heading",
            "legend": "heading",
            "script": "attributes",
            "textarea": "skip",
        }
        wanted = ends.get(tag, tag)
        if tag == "select":
            self._select = None
        if self._collect != wanted:
            return
        text = "".join(self._text)
        plain = re.sub(r"\s+", " ", text).strip()
        self._collect, self._text = "", []
        if wanted == "attributes":
            self.attributes += text
        elif wanted == "heading" and tag == "th":
            self._heading = plain
        elif wanted == "heading" and self.groups:
            self.groups[-1][1]["text"] = plain
        elif wanted == "label" and self._label_for:
            self.labels[self._label_for] = plain
        elif wanted == "option" and self._select is not None and self._option is not None:
            words = plain or str(self._option.get("value") or "")
            self._select.item["answerOption"].append({"valueCoding": {"display": words}})
            if "selected" in self._option:
                self._select.item["initial"] = [{"valueString": words}]

    def handle_data(self, data: str) -> None:
        if self._collect:
            self._text.append(data)
        elif data.strip() and not _SILENT & set(self.open) and "body" in self.open:
            self.lose("free_words", re.sub(r"\s+", " ", data).strip())

    def _begin(self, what: str) -> None:
        self._collect, self._text = what, []

    def _group(self, text: str) -> None:
        group: dict[str, Any] = {"type": "group", "text": text, "item": []}
        self.level.append(group)
        self.groups.append((len(self.open) + 1, group))

    def _input(self, given: dict[str, str]) -> None:
        kind = given.get("type", "text").lower()
        name = given.get("name", "")
        words = given.get("value", "")
        if kind == "radio" or (kind == "checkbox" and name in self.controls):
            control = self.controls.get(name)
            if control is None:
                control = self._add({"name": name}, {"type": "choice", "answerOption": []})
            control.values.append(given.get("id", ""))
            control.item.setdefault("answerOption", []).append({"valueCoding": {"display": words}})
            if "checked" in given:
                control.item["initial"] = [{"valueString": words}]
            return
        if kind not in _KINDS:
            self.lose("control", f"input {kind}", given.get("id", ""))
            return
        item: dict[str, Any] = {"type": _KINDS[kind]}
        if kind == "number" and given.get("step", "").isdigit():
            item["type"] = "integer"
        name_of_limit = "valueInteger" if item["type"] == "integer" else "valueDecimal"
        for side, url in (("min", "minValue"), ("max", "maxValue")):
            if kind == "number" and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", given.get(side, "")):
                number = float(given[side])
                limit = int(number) if item["type"] == "integer" else number
                item.setdefault("extension", []).append(
                    {"url": f"http://hl7.org/fhir/StructureDefinition/{url}", name_of_limit: limit}
                )
        if unit := given.get("data-field-units") or given.get("data-unit"):
            coding = {"system": "http://unitsofmeasure.org", "code": unit, "display": unit}
            item.setdefault("extension", []).append({"url": _UNIT, "valueCoding": coding})
        if kind == "checkbox":
            item |= {"initial": [{"valueBoolean": True}]} if "checked" in given else {}
        elif words:
            item["initial"] = [{"valueString": words}]
        self._add(given, item)

    def _add(self, given: Mapping[str, str], item: dict[str, Any]) -> _Control:
        link_id = given.get("id") or given.get("name") or ""
        item = {"linkId": link_id} | item | ({"required": True} if "required" in given else {})
        self.level.append(item)
        control = _Control(link_id, item, self._heading)
        self.controls[given.get("name") or link_id] = control
        return control


def read_mrrt(data: bytes, name: str, version: str = "1") -> Normalised:
    """Read an MRRT template into a Questionnaire within our subset, with the lint report.

    Parameters
    ----------
    data
        The HTML file, UTF-8.
    name
        Names the template and its codes.

    Raises
    ------
    BadTemplate
        If it is too large, no text, nested too deeply, or holds no question.
    """
    if len(data) > LARGEST_BYTES:
        raise BadTemplate("The template is larger than 2 MB.")
    reader = _Reader()
    try:
        reader.feed(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadTemplate("An MRRT template is HTML in UTF-8.") from error
    reader.close()
    for control in reader.controls.values():
        _say(reader, control)
    codes = _codes(reader)
    _with_codes(reader.root["item"], codes)
    title = reader.meta.get("dcterms.title") or name
    document = {
        "resourceType": "Questionnaire",
        "title": title,
        "description": reader.meta.get("dcterms.description", ""),
        "publisher": reader.meta.get("dcterms.publisher", ""),
        "copyright": reader.meta.get("dcterms.rights", ""),
        "item": reader.root["item"],
    }
    found = normalised({key: value for key, value in document.items() if value}, name, version)
    return Normalised(found.document, (*reader.notes, *found.notes))


def _say(reader: _Reader, control: _Control) -> None:
    """Give a question its words, and the answers of radio buttons theirs."""
    item = control.item
    item["text"] = reader.labels.get(control.name, control.heading)
    for at, link_id in enumerate(control.values):
        if words := reader.labels.get(link_id):
            options = item["answerOption"]
            coding = options[len(options) - len(control.values) + at]["valueCoding"]
            for first in item.get("initial", ()):
                if first.get("valueString") == coding["display"]:
                    first["valueString"] = words
            coding["display"] = words
    if item["type"] == "boolean" and item.get("answerOption"):
        # Further boxes of the same name: several of these answers.
        options = [{"valueCoding": {"display": item["text"]}}, *item["answerOption"]]
        item |= {"type": "choice", "repeats": True, "answerOption": options}
        item.pop("initial", None)


def _codes(reader: _Reader) -> dict[str, dict[str, str]]:
    """Read the codes of template_attributes by the id of the control they are about."""
    text = reader.attributes.strip()
    if not text:
        return {}
    if "<!" in text.replace("<!--", ""):
        # No document type, so no entities: nothing in it grows or reaches elsewhere.
        reader.lose("active", "template_attributes with a document type")
        return {}
    try:
        root = ET.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand
    except ET.ParseError:
        reader.lose("key", "template_attributes")
        return {}
    found: dict[str, dict[str, str]] = {}
    for entry in root.iter():
        if entry.tag.lower() != "entry":
            continue
        about = next((value for key, value in entry.attrib.items() if key.lower() == "origtxt"), "")
        for part in entry.iter():
            if part.tag.lower() == "code" and part.get("value") and about:
                scheme = (part.get("scheme") or "").upper()
                coding = {
                    "system": SYSTEMS.get(scheme, f"urn:racoon:scheme:{scheme or 'none'}"),
                    "code": str(part.get("value")),
                }
                found.setdefault(about, coding | {"display": part.get("meaning") or ""})
    return found


def _with_codes(items: list[dict[str, Any]], codes: Mapping[str, Mapping[str, str]]) -> None:
    for item in items:
        if (coding := codes.get(str(item.get("linkId")))) is not None:
            item["code"] = [dict(coding)]
        _with_codes(item.get("item", []), codes)
