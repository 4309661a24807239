"""Reading protocols: what a study's reading asks for, as data that study staff write, version and check.

A protocol names the template, the series that are read, how they are first shown, how many people read each case,
whether a third person decides, the order and who is blinded to what.  It names no persons: those come when a list is
made from it.  Not here: making lists and handing cases over (``node.reading.work``).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from racoon.domain.canonical import canonical_json
from racoon.domain.coding import Code
from racoon.domain.labels import LABEL_MAPS, PALETTE, Label
from racoon.errors import Defect

MESSAGES: Mapping[str, str] = {
    "not_a_table": "A protocol is a table of names and values, as in the example.",
    "unknown": "%(place)s is not part of a protocol. Did you mean one of: %(expected)s?",
    "missing": "%(place)s is missing.",
    "not_text": "%(place)s is a text of at most %(expected)s characters.",
    "not_name": "%(place)s is made of small letters, digits and hyphens, at most 60 of them.",
    "not_number": "%(place)s is a whole number from %(expected)s.",
    "not_yes_no": "%(place)s is yes or no.",
    "not_choice": "%(place)s is one of: %(expected)s.",
    "not_list": "%(place)s is a list of texts.",
    "not_code": "%(place)s is a code such as SCT:39607008.",
    "not_colour": "%(place)s is a colour such as #4cc9f0.",
    "not_labels": "%(place)s is the name of a list (%(expected)s) or a list of labels, each a table.",
    "same_twice": "%(place)s has the same code twice.",
    "not_part": "%(place)s is a table of its own.",
    "no_template": "There is no report template of the address in %(place)s.",
    "two_readers": "A third person decides between exactly two readers: set readers to 2, or leave %(place)s out.",
}
"""Sentences for what is wrong in a protocol; ``place`` and ``expected`` fill their gaps."""

Prefer = Literal["thinnest slices", "most images", "first series"]
PREFER = ("thinnest slices", "most images", "first series")
ORDERS = ("random", "as listed")
LAYOUTS = ("slices", "planes")
MOST_READERS = 10


@dataclass(frozen=True)
class ProtocolProblem:
    """Something wrong at a place; ``code`` is a key of :data:`MESSAGES`."""

    place: str
    code: str
    expected: str = ""

    def said(self) -> str:
        """Return the sentence in English."""
        return MESSAGES[self.code] % {"place": self.place, "expected": self.expected}


class BadProtocol(Defect):
    """A protocol with problems; ``problems`` has them all."""

    code = "reading.bad_protocol"

    def __init__(self, problems: Sequence[ProtocolProblem]) -> None:
        super().__init__(" ".join(problem.said() for problem in problems))
        self.problems = tuple(problems)


@dataclass(frozen=True)
class SeriesRule:
    """Which series of an imaging study is read; what is empty fits any.

    Parameters
    ----------
    words, not_words
        Any of them, none of them, in the series description (small letters).
    thickest_mm
        Largest slice thickness.
    prefer
        Which one is taken where several fit.
    """

    modality: str = ""
    body_part: str = ""
    words: tuple[str, ...] = ()
    not_words: tuple[str, ...] = ()
    thickest_mm: int | None = None
    fewest_images: int = 1
    prefer: str = "thinnest slices"


@dataclass(frozen=True)
class Hanging:
    """How a series is first shown; an empty window leaves it to the site's table."""

    window: str = ""
    layout: str = "slices"
    prior: bool = False


@dataclass(frozen=True)
class ReadingProtocol:
    """What a reading asks for.

    Parameters
    ----------
    name, version
        Name it for good; a version is never changed.
    template
        Address of the report template.
    readers
        How many people read each case.
    adjudication
        Whether a third person decides when two readers are done.
    order
        ``"random"`` for each reader in another way, or ``"as listed"``.
    blinded_to_readers, blinded_to_machines
        Until every reader of a case is done: nothing of the others; no stored mask that is not one's own.
    labels
        What a segment may mean; empty leaves it to the body part.
    """

    name: str
    version: int
    template: str
    title: str = ""
    series: SeriesRule = field(default_factory=SeriesRule)
    hanging: Hanging = field(default_factory=Hanging)
    readers: int = 1
    adjudication: bool = False
    order: str = "random"
    blinded_to_readers: bool = True
    blinded_to_machines: bool = False
    labels: tuple[Label, ...] = ()

    @property
    def key(self) -> str:
        """Name and version in one."""
        return f"{self.name}|{self.version}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, which :func:`protocol_of` reads."""
        document = asdict(self)
        document["series"] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in document["series"].items()
            if value is not None
        }
        document["blinding"] = {
            "readers": document.pop("blinded_to_readers"),
            "machines": document.pop("blinded_to_machines"),
        }
        document["labels"] = [_label_to_dict(label) for label in self.labels]
        return document

    def digest(self) -> str:
        """SHA-256 of the canonical JSON (RFC 8785)."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def protocol_of(document: object, templates: Sequence[str]) -> ReadingProtocol:
    """Read a protocol and check all of it.

    Parameters
    ----------
    document
        What a YAML or JSON file holds.
    templates
        Addresses of the report templates there are.

    Raises
    ------
    BadProtocol
        With every problem, not only the first.
    """
    if not isinstance(document, Mapping):
        raise BadProtocol([ProtocolProblem("", "not_a_table")])
    found = _Reader(document, "", _PARTS)
    series = found.part("series", _SERIES)
    hanging = found.part("hanging", ("window", "layout", "prior"))
    blinding = found.part("blinding", ("readers", "machines"))
    protocol = ReadingProtocol(
        name=found.name("name"),
        version=found.number("version", 1, None),
        template=found.text("template", 200, needed=True),
        title=found.text("title", 200),
        series=SeriesRule(
            modality=series.text("modality", 16).upper(),
            body_part=series.text("body_part", 64).upper(),
            words=series.texts("words"),
            not_words=series.texts("not_words"),
            thickest_mm=series.number("thickest_mm", 1, None) if "thickest_mm" in series.document else None,
            fewest_images=series.number("fewest_images", 1, 1),
            prefer=series.choice("prefer", PREFER),
        ),
        hanging=Hanging(
            window=hanging.text("window", 64),
            layout=hanging.choice("layout", LAYOUTS),
            prior=hanging.truth("prior", default=False),
        ),
        readers=found.number("readers", 1, 1, most=MOST_READERS),
        adjudication=found.truth("adjudication", default=False),
        order=found.choice("order", ORDERS),
        blinded_to_readers=blinding.truth("readers", default=True),
        blinded_to_machines=blinding.truth("machines", default=False),
        labels=_labels(found),
    )
    problems = [*found.problems, *series.problems, *hanging.problems, *blinding.problems]
    if protocol.template and protocol.template not in templates:
        problems.append(ProtocolProblem("template", "no_template"))
    if protocol.adjudication and protocol.readers != 2:
        problems.append(ProtocolProblem("adjudication", "two_readers"))
    if problems:
        raise BadProtocol(problems)
    return protocol


_PARTS = (
    "name", "version", "template", "title", "series", "hanging", "readers", "adjudication", "order", "blinding",
    "labels",
)  # fmt: skip
_SERIES = ("modality", "body_part", "words", "not_words", "thickest_mm", "fewest_images", "prefer")


_LABEL = ("code", "english", "german", "colour", "also")
_CODE = re.compile(r"[A-Z0-9]{1,16}:[A-Za-z0-9.\-]{1,16}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")


def _labels(found: _Reader) -> tuple[Label, ...]:
    value = found.document.get("labels", [])
    names = ", ".join(entry.name for entry in LABEL_MAPS)
    if isinstance(value, str):
        shipped = next((entry.labels for entry in LABEL_MAPS if entry.name == value), None)
        if shipped is None:
            found.wrong("labels", "not_labels", names)
        return shipped or ()
    if not isinstance(value, Sequence) or not all(isinstance(item, Mapping) for item in value):
        found.wrong("labels", "not_labels", names)
        return ()
    labels = []
    for at, item in enumerate(value):
        reader = _Reader(item, f"labels[{at}]", _LABEL)
        english = reader.text("english", 64, needed=True)
        colour = reader.text("colour", 7) or PALETTE[at % len(PALETTE)]
        if not _COLOUR.fullmatch(colour):
            reader.wrong("colour", "not_colour")
        code = reader.code("code", reader.text("code", 40, needed=True), english)
        also = tuple(reader.code("also", text, english) for text in reader.texts("also", lower=False))
        labels.append(Label(code, reader.text("german", 64), colour.lower(), also))
        found.problems += reader.problems
    if len({label.code.key for label in labels}) < len(labels):
        found.wrong("labels", "same_twice")
    return tuple(labels)


def _label_to_dict(label: Label) -> dict[str, Any]:
    return {
        "code": label.code.key,
        "english": label.code.meaning,
        "german": label.german,
        "colour": label.colour,
        "also": [code.key for code in label.also],
    }


class _Reader:
    """Reads the values of one table and notes what is wrong with each."""

    def __init__(self, document: Mapping[Any, Any], place: str, known: Sequence[str]) -> None:
        self.document = document
        self.place = place
        self.problems = [
            ProtocolProblem(self._at(str(key)), "unknown", ", ".join(known))
            for key in document
            if key not in known
        ]

    def _at(self, key: str) -> str:
        return f"{self.place}.{key}" if self.place else key

    def wrong(self, key: str, code: str, expected: object = "") -> None:
        self.problems.append(ProtocolProblem(self._at(key), code, str(expected)))

    def part(self, key: str, known: Sequence[str]) -> _Reader:
        value = self.document.get(key, {})
        if not isinstance(value, Mapping):
            self.wrong(key, "not_part")
            value = {}
        return _Reader(value, self._at(key), known)

    def text(self, key: str, longest: int, *, needed: bool = False) -> str:
        value = self.document.get(key)
        if value is None:
            if needed:
                self.wrong(key, "missing")
            return ""
        if not isinstance(value, str) or len(value) > longest or (needed and not value.strip()):
            self.wrong(key, "not_text", longest)
            return ""
        return value.strip()

    def name(self, key: str) -> str:
        value = self.text(key, 60, needed=True)
        if value and not all(character in "abcdefghijklmnopqrstuvwxyz0123456789-" for character in value):
            self.wrong(key, "not_name")
        return value

    def number(self, key: str, fewest: int, default: int | None, *, most: int = 1_000_000) -> int:
        value = self.document.get(key, default)
        if value is None:
            self.wrong(key, "missing")
            return fewest
        if not isinstance(value, int) or isinstance(value, bool) or not fewest <= value <= most:
            self.wrong(key, "not_number", f"{fewest} to {most}" if most < 1_000_000 else fewest)
            return fewest
        return value

    def truth(self, key: str, *, default: bool) -> bool:
        value = self.document.get(key, default)
        if not isinstance(value, bool):
            self.wrong(key, "not_yes_no")
            return default
        return value

    def choice(self, key: str, choices: Sequence[str]) -> str:
        value = self.document.get(key, choices[0])
        if value not in choices:
            self.wrong(key, "not_choice", ", ".join(choices))
            return choices[0]
        return str(value)

    def code(self, key: str, text: str, meaning: str) -> Code:
        if text and not _CODE.fullmatch(text):
            self.wrong(key, "not_code")
        scheme, _, value = text.partition(":")
        return Code(value, scheme, meaning)

    def texts(self, key: str, *, lower: bool = True) -> tuple[str, ...]:
        value = self.document.get(key, [])
        if (
            not isinstance(value, Sequence)
            or isinstance(value, str)
            or not all(isinstance(item, str) and 0 < len(item) <= 64 for item in value)
        ):
            self.wrong(key, "not_list")
            return ()
        return tuple(item.lower() if lower else item for item in value)
