"""Words of reading protocols, and what can be wrong with one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from racoon.domain.canonical import canonical_json
from racoon.domain.labels import Label
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
    "not_rules": "%(place)s is a list of tables.",
    "not_steps": "%(place)s are tables of from and answer, with rising numbers in from.",
    "no_question": "%(place)s is no question of the template, or lies in a group that repeats.",
    "no_answer": "%(place)s does not fit the question: %(expected)s.",
    "no_biomarker": "There is no biomarker of the name in %(place)s.",
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
class ProposalRule:
    """Which measured value proposes the answer to which question.

    Parameters
    ----------
    question
        linkId in the template.
    biomarker, label
        Name of the biomarker, and key of its structure where it has several.
    answers
        From which value on which answer (a code, a whole number, ``true`` or ``false``), ascending; empty for a
        question that the value itself answers.
    """

    question: str
    biomarker: str
    label: str = ""
    answers: tuple[tuple[float, str], ...] = ()


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
    blinded_to_names
        Whether whoever decides between two readings learns whose they are only afterwards.
    labels
        What a segment may mean; empty leaves it to the body part.
    proposals
        Measured values that propose answers.
    calibration
        Name of the reference set that a reader passes before the first case, or empty.
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
    blinded_to_names: bool = False
    labels: tuple[Label, ...] = ()
    proposals: tuple[ProposalRule, ...] = ()
    calibration: str = ""

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
        # Left out where it is not so: protocols of before keep their hash.
        if document.pop("blinded_to_names"):
            document["blinding"]["names"] = True
        if not document["calibration"]:
            del document["calibration"]
        document["proposals"] = [
            asdict(rule) | {"answers": [{"from": least, "answer": said} for least, said in rule.answers]}
            for rule in self.proposals
        ]
        document["labels"] = [_label_to_dict(label) for label in self.labels]
        return document

    def digest(self) -> str:
        """SHA-256 of the canonical JSON (RFC 8785)."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def _label_to_dict(label: Label) -> dict[str, Any]:
    return {
        "code": label.code.key,
        "english": label.code.meaning,
        "german": label.german,
        "colour": label.colour,
        "also": [code.key for code in label.also],
    }
