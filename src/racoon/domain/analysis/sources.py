"""Where a site takes a variable from: the subject, a measurement of the study, or the clinical course.

::

    subject.age_years                                    number
    subject.gender                                       category
    measured KEY                                         number, mean over the subject's series
    clinical condition SYSTEM CODE                       truth; a code with * at its end stands for all that begin so
    clinical procedure | medication SYSTEM CODE          truth
    clinical observation SYSTEM CODE first|last|mean|min|max     number, in the variable's unit
    clinical died                                        truth
    clinical died_within DAYS                            truth, counted from the first examination of the dataset
    clinical days_observed                               number: until death or the last day anything is known of

A subject of whom the clinical systems said nothing is missing, not well.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from racoon.domain.analysis.expression import Kind

SUBJECT_SOURCES: Mapping[str, Kind] = {"subject.age_years": "number", "subject.gender": "category"}
"""What every site knows of the subjects of a dataset, and of which kind it is."""

MEASURED = "measured "
"""Begins the source of a measured value; the measurement's key follows."""

CLINICAL = "clinical "
"""Begins the source of something from the clinical course."""

EventKind = Literal["condition", "procedure", "medication"]
ChoiceName = Literal["first", "last", "mean", "min", "max"]

HELP = (
    "subject.age_years (number), subject.gender (category), 'measured KEY' (number), or 'clinical …' such as "
    "'clinical condition http://fhir.de/CodeSystem/bfarm/icd-10-gm J90*' (truth), 'clinical observation "
    "http://loinc.org 1988-5 last' (number), 'clinical died_within 30' (truth), 'clinical days_observed' (number)"
)

_EVENT = re.compile(rf"({'|'.join(get_args(EventKind))}) (\S{{1,160}}) ([A-Za-z0-9.\-]{{1,80}}\*?)")
_VALUE = re.compile(rf"observation (\S{{1,160}}) ([A-Za-z0-9.\-]{{1,80}}) ({'|'.join(get_args(ChoiceName))})")
_WITHIN = re.compile(r"died_within ([1-9][0-9]{0,4})")


@dataclass(frozen=True)
class ClinicalEvent:
    """Whether something with a code is known of a subject."""

    kind: EventKind
    system: str
    code: str

    def matches(self, kind: str, system: str, code: str) -> bool:
        """Tell whether a fact is one of these."""
        if (kind, system) != (self.kind, self.system):
            return False
        return code.startswith(self.code[:-1]) if self.code.endswith("*") else code == self.code


@dataclass(frozen=True)
class ClinicalValue:
    """One number of a subject, chosen from its values with a code."""

    system: str
    code: str
    choice: ChoiceName


@dataclass(frozen=True)
class Death:
    """Whether a subject died; within some days of the first examination where ``days`` says so."""

    days: int | None = None


@dataclass(frozen=True)
class DaysObserved:
    """Days from the first examination until death or the last day anything is known of."""


ClinicalSource = ClinicalEvent | ClinicalValue | Death | DaysObserved


def parse_clinical(source: str) -> ClinicalSource | None:
    """Read a clinical source; ``None`` for what is none.

    Parameters
    ----------
    source
        As above, with ``clinical`` at its beginning.
    """
    text = source.removeprefix(CLINICAL)
    if text == source:
        return None
    if text == "died":
        return Death()
    if text == "days_observed":
        return DaysObserved()
    if found := _WITHIN.fullmatch(text):
        return Death(int(found[1]))
    if found := _EVENT.fullmatch(text):
        return ClinicalEvent(found[1], found[2], found[3])  # type: ignore[arg-type]  # one of the pattern's words
    if found := _VALUE.fullmatch(text):
        return ClinicalValue(found[1], found[2], found[3])  # type: ignore[arg-type]  # one of the pattern's words
    return None


def source_kind(source: str) -> Kind | None:
    """Return the kind of what a source gives; ``None`` when there is no such source."""
    if source.startswith(MEASURED):
        return "number"
    if (found := parse_clinical(source)) is not None:
        return "number" if isinstance(found, (ClinicalValue, DaysObserved)) else "truth"
    return SUBJECT_SOURCES.get(source)
