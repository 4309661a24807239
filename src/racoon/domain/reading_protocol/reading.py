"""Reads a reading protocol and notes everything that is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from racoon.domain.coding import Code
from racoon.domain.labels import LABEL_MAPS, PALETTE, Label
from racoon.domain.reading_protocol.model import (
    LAYOUTS,
    MOST_READERS,
    ORDERS,
    PREFER,
    BadProtocol,
    Hanging,
    ProposalRule,
    ProtocolProblem,
    ReadingProtocol,
    SeriesRule,
)


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
    blinding = found.part("blinding", ("readers", "machines", "names"))
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
        blinded_to_names=blinding.truth("names", default=False),
        labels=_labels(found),
        proposals=_proposals(found),
        calibration=found.text("calibration", 60),
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
    "labels", "proposals", "calibration",
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


_RULE = ("question", "biomarker", "label", "answers")


def _proposals(found: _Reader) -> tuple[ProposalRule, ...]:
    value = found.document.get("proposals", [])
    is_list = isinstance(value, Sequence) and not isinstance(value, str)
    if not is_list or not all(isinstance(item, Mapping) for item in value):
        found.wrong("proposals", "not_rules")
        return ()
    rules = []
    for at, item in enumerate(value):
        reader = _Reader(item, f"proposals[{at}]", _RULE)
        steps = item.get("answers", [])
        answers: list[tuple[float, str]] = []
        for step in steps if isinstance(steps, Sequence) and not isinstance(steps, str) else [None]:
            if not isinstance(step, Mapping) or set(step) != {"from", "answer"}:
                reader.wrong("answers", "not_steps")
                break
            least, said = step["from"], step["answer"]
            if not isinstance(least, int | float) or (answers and least <= answers[-1][0]):
                reader.wrong("answers", "not_steps")
                break
            answers.append((float(least), str(said).lower() if isinstance(said, bool) else str(said)))
        rules.append(
            ProposalRule(
                reader.text("question", 80, needed=True),
                reader.text("biomarker", 80, needed=True),
                reader.text("label", 80),
                tuple(answers),
            )
        )
        found.problems += reader.problems
    return tuple(rules)


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
