"""Words of pooled studies, and the manifest that names every object of a shipment.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from racoon.domain.canonical import canonical_json
from racoon.errors import Defect, Refused

FORM = "racoon-shipment-1"

ENDED = frozenset({"closed", "archived", "withdrawn"})
"""States of a study in which the pool deletes what it holds of it."""


class ExportRefused(Refused):
    """An export may not be asked for, or may not leave."""

    code: ClassVar[str] = "pooling.refused"


class ShipmentDefect(Defect):
    """What came is not what its sender announced."""

    code: ClassVar[str] = "pooling.defect"


class ShipmentState(StrEnum):
    """Where an export stands at the site that sends it."""

    REVIEW = "review"
    REFUSED = "refused"
    BUILDING = "building"
    SENDING = "sending"
    SENT = "sent"
    RECEIVED = "received"
    PARTLY = "partly"
    STOPPED = "stopped"
    DELETED = "deleted"


class IncomingState(StrEnum):
    """Where a shipment stands at the pool."""

    ANNOUNCED = "announced"
    FETCHING = "fetching"
    STORED = "stored"
    PARTLY = "partly"
    QUARANTINED = "quarantined"
    DELETED = "deleted"


@dataclass(frozen=True)
class ShippedObject:
    """One object of a shipment.

    Parameters
    ----------
    sop_instance_uid
        In the study.
    sha256, size
        Of the plain file.
    """

    sop_instance_uid: str
    sha256: str
    size: int


@dataclass(frozen=True)
class ShippedSeries:
    """One series with its masks, in one parcel.

    Parameters
    ----------
    parcel, parcel_bytes
        SHA-256 and size of the closed file.
    subject
        The subject's name in the study.
    objects
        In the order in which they stand in the parcel.
    """

    parcel: str
    parcel_bytes: int
    subject: str
    objects: tuple[ShippedObject, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "parcel": self.parcel,
            "parcel_bytes": self.parcel_bytes,
            "subject": self.subject,
            "objects": [[item.sop_instance_uid, item.sha256, item.size] for item in self.objects],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> ShippedSeries:
        """Read the JSON form."""
        return cls(
            str(document["parcel"]),
            int(document["parcel_bytes"]),
            str(document["subject"]),
            tuple(ShippedObject(str(uid), str(sha), int(size)) for uid, sha, size in document["objects"]),
        )


@dataclass(frozen=True)
class Manifest:
    """Everything a shipment consists of; itself closed for the pool, its hash stands in the signed letter.

    Parameters
    ----------
    shipment_id, study_id, study_hash, dataset_hash, sender
        What was approved, and who sends.
    series
        In a fixed order.
    """

    shipment_id: str
    study_id: str
    study_hash: str
    dataset_hash: str
    sender: str
    series: tuple[ShippedSeries, ...]

    @property
    def objects(self) -> int:
        """Number of objects."""
        return sum(len(item.objects) for item in self.series)

    @property
    def subjects(self) -> int:
        """Number of subjects."""
        return len({item.subject for item in self.series})

    def to_bytes(self) -> bytes:
        """Return the canonical JSON, the same bytes for the same shipment."""
        return canonical_json(
            {
                "form": FORM,
                "shipment_id": self.shipment_id,
                "study_id": self.study_id,
                "study_hash": self.study_hash,
                "dataset_hash": self.dataset_hash,
                "sender": self.sender,
                "series": [item.to_dict() for item in self.series],
            }
        )

    @property
    def hash(self) -> str:
        """SHA-256 of the plain manifest."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def from_bytes(cls, data: bytes) -> Manifest:
        """Read a manifest.

        Raises
        ------
        ShipmentDefect
        """
        try:
            document = json.loads(data)
            if document["form"] != FORM:
                raise ValueError("form")
            return cls(
                document["shipment_id"],
                document["study_id"],
                document["study_hash"],
                document["dataset_hash"],
                document["sender"],
                tuple(ShippedSeries.from_dict(item) for item in document["series"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            raise ShipmentDefect("The manifest of a shipment cannot be read.") from error
