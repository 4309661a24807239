"""Words of decisions between two readings."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from racoon.domain.canonical import canonical_json
from racoon.domain.questionnaire import Answer, same_answers
from racoon.errors import Refused

BOTH, OWN = "both", "own"
"""Whose answer a decision is, where it is not one reader's alone."""


class NothingToDecide(Refused):
    """There is no such decision, or it is another person's."""

    code = "reading.nothing_to_decide"
    status = 404


class ReadingsMissing(Refused):
    """A decision needs both readings."""

    code = "reading.readings_missing"
    status = 409


Answers = Mapping[str, tuple[Answer, ...]]
"""By path of the question."""


@dataclass(frozen=True)
class Reading:
    """A signed reading that a decision is about.

    Parameters
    ----------
    sha256
        Of the signed version.
    """

    reader: str
    report_id: str
    version: int
    sha256: str
    signed_at: datetime

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "reader": self.reader,
            "report": self.report_id,
            "version": self.version,
            "sha256": self.sha256,
            "signed_at": self.signed_at.isoformat(),
        }


@dataclass(frozen=True)
class MaskAgreement:
    """How two readers' masks of one label on one series agree.

    Parameters
    ----------
    label, meaning
        Key and English name of the label.
    segments
        Keys ``<SOP Instance UID>:<number>`` of the two masks, empty where a reader drew none.
    dice
        0 where only one of them drew it.
    hd95_mm
        95th percentile of the surface distances, None where one mask is empty.
    volumes_ml
        Of both masks.
    instance_uid, frame
        The slice on which they differ most; empty where they are the same.
    """

    series_uid: str
    label: str
    meaning: str
    segments: tuple[str, str]
    dice: float
    hd95_mm: float | None
    volumes_ml: tuple[float, float]
    instance_uid: str = ""
    frame: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        document: dict[str, Any] = {
            "series": self.series_uid,
            "label": self.label,
            "meaning": self.meaning,
            "segments": list(self.segments),
            "dice": self.dice,
            "hd95_mm": self.hd95_mm,
            "volumes_ml": list(self.volumes_ml),
        }
        if self.instance_uid:
            document |= {"instance": self.instance_uid, "frame": self.frame}
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> MaskAgreement:
        """Read the JSON form."""
        return cls(
            document["series"],
            document["label"],
            document["meaning"],
            (document["segments"][0], document["segments"][1]),
            document["dice"],
            document["hd95_mm"],
            (document["volumes_ml"][0], document["volumes_ml"][1]),
            document.get("instance", ""),
            document.get("frame", 1),
        )


@dataclass(frozen=True)
class MaskPairs:
    """How the masks of a case agree, for each pair of its readers.

    Parameters
    ----------
    found
        Both names in their order, and one label.
    made, waiting
        Pairs of segmentations that were compared now, and that are not compared yet.
    """

    found: tuple[tuple[tuple[str, str], MaskAgreement], ...] = ()
    made: int = 0
    waiting: int = 0


@dataclass(frozen=True)
class Decision:
    """The signed record of a decision; it never changes.

    Parameters
    ----------
    version
        Of the adjudicator's report.
    report_sha256
        Of that version.
    readings
        The two readings.
    whose
        By path of every answered question: :data:`BOTH`, a reader's name, or :data:`OWN`.
    masks
        How the readers' masks agreed.
    drawn
        Segmentations that the adjudicator stored, with the masks they began as.
    """

    list_name: str
    imaging_study_uid: str
    pseudonym: str
    adjudicator: str
    report_id: str
    version: int
    report_sha256: str
    decided_at: datetime
    readings: tuple[Reading, ...]
    whose: Mapping[str, str]
    masks: tuple[MaskAgreement, ...] = ()
    drawn: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, as it is stored and hashed."""
        return {
            "list": self.list_name,
            "imaging_study": self.imaging_study_uid,
            "adjudicator": self.adjudicator,
            "report": self.report_id,
            "version": self.version,
            "report_sha256": self.report_sha256,
            "decided_at": self.decided_at.isoformat(),
            "readings": [reading.to_dict() for reading in self.readings],
            "whose": dict(self.whose),
            "masks": [mask.to_dict() for mask in self.masks],
            "drawn": [{"instance": uid, "began_as": list(origins)} for uid, origins in self.drawn],
        }

    def digest(self) -> str:
        """SHA-256 of the canonical JSON (RFC 8785)."""
        return hashlib.sha256(canonical_json(self.to_dict())).hexdigest()


def whose_answers(decided: Answers, readings: Mapping[str, Answers]) -> dict[str, str]:
    """Say for every answered question of a decision whose answer it is.

    Parameters
    ----------
    decided
        Answers of the decision.
    readings
        Answers by reader.
    """
    found = {}
    for path, answers in decided.items():
        same = [reader for reader, given in readings.items() if same_answers(given.get(path, ()), answers)]
        found[path] = BOTH if len(same) == len(readings) else same[0] if same else OWN
    return found


def provenance_of(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored decision as a FHIR R4 Provenance: who decided, between whose signed readings."""

    def target(report: str, version: int) -> dict[str, Any]:
        return {"reference": f"QuestionnaireResponse/{report}/_history/{version}"}

    def kind(system: str, code: str) -> dict[str, Any]:
        return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}

    return {
        "resourceType": "Provenance",
        "target": [target(document["report"], document["version"])],
        "recorded": document["decided_at"],
        "activity": {"text": "Decision between two readings"},
        "agent": [
            {
                "type": kind("provenance-participant-type", "verifier"),
                "who": {"display": document["adjudicator"]},
            }
        ],
        "entity": [
            {
                "role": "source",
                "what": target(reading["report"], reading["version"])
                | {"identifier": {"system": "urn:racoon:sha256", "value": reading["sha256"]}},
                "agent": [
                    {
                        "type": kind("provenance-participant-type", "author"),
                        "who": {"display": reading["reader"]},
                    }
                ],
            }
            for reading in document["readings"]
        ],
    }
