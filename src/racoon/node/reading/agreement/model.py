"""Words of agreement over a list."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from racoon.domain.finding import Place
from racoon.domain.questionnaire import Answer, Words
from racoon.node.reading.comparing.model import ItemAgreement

Interval = tuple[float | None, float | None, float | None]
"""Value with its 95 % limits; None where it does not exist."""


@dataclass(frozen=True)
class ReaderAgreement:
    """How one reader agrees with the others.

    Parameters
    ----------
    done, all
        Readings.
    answers, equal
        Answers that another reader gave too, and those that were the same; a question counts once for each other
        reader.
    share
        ``equal / answers`` with Wilson's limits.
    dice
        Mean over masks and other readers, with limits from Student's t.
    masks
        How many masks that mean is of.
    """

    reader: str
    done: int
    all: int
    answers: int
    equal: int
    share: Interval
    dice: Interval
    masks: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "reader": self.reader,
            "done": self.done,
            "all": self.all,
            "answers": self.answers,
            "equal": self.equal,
            "share": list(self.share),
            "dice": list(self.dice),
            "masks": self.masks,
        }


@dataclass(frozen=True)
class LabelAgreement:
    """How two readers agree on the masks of one label.

    Parameters
    ----------
    label, meaning
        Key and English name.
    cases
        Masks that at least one of them drew; Dice is 0 where only one did.
    dice
        Mean with limits from Student's t.
    lowest_dice
        Of the worst case.
    hd95_mm
        Median of the 95th percentiles of the surface distances, None where no case has both masks.
    volumes_ml
        Of both masks, case by case.
    icc
        ICC(2,1) of the volumes.
    limits
        Bland-Altman of the volumes, first - second in ml: lower limit, bias, upper limit; None below three cases.
    """

    readers: tuple[str, str]
    label: str
    meaning: str
    cases: int
    dice: Interval
    lowest_dice: float
    hd95_mm: float | None
    volumes_ml: tuple[tuple[float, float], ...]
    icc: Interval
    limits: tuple[float, float, float] | None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "readers": list(self.readers),
            "label": self.label,
            "meaning": self.meaning,
            "cases": self.cases,
            "dice": list(self.dice),
            "lowest_dice": self.lowest_dice,
            "hd95_mm": self.hd95_mm,
            "icc_of_volumes": list(self.icc),
            "limits_of_agreement_ml": list(self.limits) if self.limits else None,
        }


@dataclass(frozen=True)
class Disagreement:
    """One of the widest disagreements, with its picture and the way into the case.

    Parameters
    ----------
    words, meaning
        The question; or the English name of a mask's label.
    said
        What both readers said: keys, truth values and numbers; for a mask the volumes in ml.
    weight
        How bad it is, from 0 to 1: 1 - Dice, or the distance as a share of the widest one of the question.
    segments
        Of a mask: both segments, ``<SOP Instance UID>:<number>``.
    """

    kind: str
    imaging_study_uid: str
    series_uid: str
    pseudonym: str
    said: tuple[tuple[str, object], tuple[str, object]]
    weight: float
    link_id: str = ""
    words: Words | None = None
    meaning: str = ""
    dice: float | None = None
    hd95_mm: float | None = None
    segments: tuple[str, str] = ("", "")
    instance_uid: str = ""
    frame: int = 1
    finding_id: str = ""

    def at(self, place: Place) -> Disagreement:
        """Move it to the image of a finding."""
        return replace(
            self,
            series_uid=place.series_uid,
            instance_uid=place.sop_instance_uid,
            frame=place.frame,
        )

    @property
    def link(self) -> str:
        """Address that opens the case at the disagreement."""
        if self.finding_id:
            return f"/reading/findings/{self.finding_id}"
        at = f"?instance={self.instance_uid}&frame={self.frame}" if self.instance_uid else ""
        return f"/reading/series/{self.series_uid}{at}"

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": self.kind,
            "imaging_study": self.imaging_study_uid,
            "series": self.series_uid,
            "pseudonym": self.pseudonym,
            "question": self.words.in_language(language) if self.words else self.meaning,
            "link_id": self.link_id,
            "said": [{"reader": reader, "answer": answer} for reader, answer in self.said],
            "weight": self.weight,
            "dice": self.dice,
            "hd95_mm": self.hd95_mm,
            "link": self.link,
        }


@dataclass(frozen=True)
class ComparedCase:
    """One case that a number of agreement counts.

    Parameters
    ----------
    said
        By reader: the answer, or the volume of a mask in ml; None where a reader said nothing.
    findings
        By reader: the finding that the answer was taken from.
    meaning
        Of a mask: the English name of its label.
    instance_uid, frame, segments
        Of a mask: the slice on which both differ most, and both segments.
    """

    imaging_study_uid: str
    series_uid: str
    pseudonym: str
    said: Mapping[str, Answer | float | None]
    findings: Mapping[str, str] = field(default_factory=dict)
    meaning: str = ""
    dice: float | None = None
    hd95_mm: float | None = None
    instance_uid: str = ""
    frame: int = 1
    segments: tuple[str, str] = ("", "")

    def link(self, reader: str) -> str:
        """Address that shows what a reader said in the image."""
        if self.findings.get(reader):
            return f"/reading/findings/{self.findings[reader]}"
        at = {"instance": self.instance_uid, "frame": str(self.frame)} if self.instance_uid else {}
        own = list(self.said).index(reader) if self.segments != ("", "") else 0
        if self.segments[own]:
            at["segment"] = self.segments[own]
        return f"/reading/series/{self.series_uid}" + (f"?{urlencode(at)}" if at else "")


@dataclass(frozen=True)
class ListAgreement:
    """Agreement of a list as it is now.

    Parameters
    ----------
    cases, complete
        Cases of the list, and those that every reader is done with: only they count.
    readings, readings_done
        Of all readers together.
    items
        Question by question, for each pair of readers.
    together
        Question by question over three and more readers.
    waiting
        Comparisons of masks that are still to be made; asking again makes some of them.
    """

    list_name: str
    cases: int
    complete: int
    readings: int
    readings_done: int
    items: tuple[ItemAgreement, ...] = ()
    together: tuple[ItemAgreement, ...] = ()
    readers: tuple[ReaderAgreement, ...] = ()
    masks: tuple[LabelAgreement, ...] = ()
    worst: tuple[Disagreement, ...] = ()
    waiting: int = 0

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """Return the JSON form, questions in a language."""
        return {
            "list": self.list_name,
            "cases": self.cases,
            "complete": self.complete,
            "readings": self.readings,
            "readings_done": self.readings_done,
            "agreement": [item.to_dict(language) for item in self.items],
            "together": [item.to_dict(language) for item in self.together],
            "readers": [item.to_dict() for item in self.readers],
            "masks": [item.to_dict() for item in self.masks],
            "worst": [item.to_dict(language) for item in self.worst],
            "masks_waiting": self.waiting,
        }
