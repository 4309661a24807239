"""Words of intake: what a quarantined object is, what people decide, what one day brought."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from racoon.errors import Refused


class NoSuchQuarantinedObject(Refused):
    """Nothing in quarantine has this id."""

    code = "intake.not_found"
    status = 404


class AlreadyDecided(Refused):
    """Somebody else decided first."""

    code = "intake.already_decided"
    status = 409


class ImportRefused(Refused):
    """A path that cannot be imported."""

    code = "intake.import_refused"
    status = 400


class UnsupportedUpload(Refused):
    """An upload in a media type that is not taken."""

    code = "intake.unsupported_upload"
    status = 415


class ReasonMissing(Refused):
    """A decision without a reason."""

    code = "intake.reason_missing"
    status = 400


class NotCorrectable(Refused):
    """What is wrong with an object cannot be set right by words."""

    code = "intake.not_correctable"


class QuarantineState(StrEnum):
    """Where a quarantined object stands."""

    WAITING = "waiting"
    CORRECTING = "correcting"
    CORRECTED = "corrected"
    RELEASED = "released"
    DELETED = "deleted"


OPEN_STATES = (QuarantineState.WAITING, QuarantineState.CORRECTING)
"""Nothing is decided for good yet: the original lies in the quarantine folder."""


class Decision(StrEnum):
    """What a person may decide: try again (a suspicion is overruled), or delete."""

    RELEASE = "release"
    DELETE = "delete"


DECIDED_STATE: Mapping[Decision, QuarantineState] = {
    Decision.RELEASE: QuarantineState.RELEASED,
    Decision.DELETE: QuarantineState.DELETED,
}


@dataclass(frozen=True)
class QuarantinedObject:
    """One object in quarantine, without anything that identifies a patient.

    Parameters
    ----------
    quarantine_id
        Also the name of its folder.
    code, reason, reason_de
        Stable code and plain words, English and German.
    """

    quarantine_id: str
    received_at: datetime
    code: str
    reason: str
    reason_de: str
    size_bytes: int
    state: QuarantineState
    decided_by: str = ""
    decided_at: datetime | None = None
    note: str = ""


@dataclass(frozen=True)
class DecisionOutcome:
    """What became of one object of a batch of decisions.

    Parameters
    ----------
    item
        The object after the decision, None when there was none to take.
    problem
        Public message of what stopped it, or empty.
    """

    quarantine_id: str
    item: QuarantinedObject | None
    problem: str = ""


@dataclass(frozen=True)
class QuarantinePage:
    """A page of the quarantine, newest first.

    Parameters
    ----------
    reasons
        Waiting objects by reason code, whatever the filter.
    next_before
        Id after which the next page begins, or empty.
    """

    items: tuple[QuarantinedObject, ...]
    reasons: Mapping[str, int]
    next_before: str = ""


@dataclass(frozen=True)
class ImportProblem:
    """A file that could not be imported, and why; the import goes on.

    Parameters
    ----------
    name
        Place below the imported path, for the person at the console only.
    code, message
        Stable code and plain words.
    """

    name: str
    code: str
    message: str


@dataclass(frozen=True)
class ImportReport:
    """What an import did.  ``seen = taken + taken_before + left_out + problems``.

    Parameters
    ----------
    seen
        Files looked at, members of archives included.
    taken, taken_bytes
        Put into the spool by this run.
    taken_before
        Put there by an earlier run that was interrupted.
    left_out
        Not DICOM, when only DICOM was asked for.
    problems
        What could not be taken.
    """

    seen: int
    taken: int
    taken_bytes: int
    taken_before: int = 0
    left_out: int = 0
    problems: tuple[ImportProblem, ...] = ()


@dataclass(frozen=True)
class ObjectSummary:
    """What a quarantined object says about itself, without anything that identifies a patient.

    Parameters
    ----------
    sop_class, transfer_syntax
        Names of the standard, or the UID where it has none.
    modality, rows, columns, frames, burned_in_annotation
        As written in the header; empty or zero where it does not say.
    tolerated
        What was wrong with the encoding and read all the same.
    problem
        Why the header cannot be read, or empty.
    """

    sha256: str
    sop_class: str = ""
    transfer_syntax: str = ""
    modality: str = ""
    image_type: str = ""
    rows: int = 0
    columns: int = 0
    frames: int = 0
    burned_in_annotation: str = ""
    tolerated: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class DayCounts:
    """What one day (UTC) brought.  ``received = archived + duplicates + quarantined``."""

    day: date
    received: int = 0
    archived: int = 0
    quarantined: int = 0

    @property
    def duplicates(self) -> int:
        """Objects that were there already, byte for byte."""
        return max(self.received - self.archived - self.quarantined, 0)


@dataclass(frozen=True)
class IntakeStatus:
    """What the intake page shows."""

    waiting: int
    waiting_bytes: int
    oldest_waiting_s: float
    in_quarantine: int
    days: tuple[DayCounts, ...]
    free_bytes: int
    disk_bytes: int = 0


@dataclass(frozen=True)
class Transfer:
    """One association, upload, import or fetch, as the intake page lists it.

    Parameters
    ----------
    way
        ``dicom``, ``http``, ``import`` or ``pull``.
    sender
        AE title, account or person; never a patient.
    address
        Host that called, where there is one.
    ended_at
        None while it goes on.
    refused
        Objects that were not taken.
    end
        ``released``, ``aborted``, ``interrupted`` or empty while it goes on.
    """

    way: str
    sender: str
    started_at: datetime
    address: str = ""
    ended_at: datetime | None = None
    objects: int = 0
    size_bytes: int = 0
    refused: int = 0
    end: str = ""


@dataclass(frozen=True)
class MinuteCounts:
    """What one minute brought and finished.

    Parameters
    ----------
    minute
        Its beginning.
    received, processed
        Objects made durable, objects archived or quarantined.
    """

    minute: datetime
    received: int = 0
    processed: int = 0


@dataclass(frozen=True)
class RoundCounts:
    """What one round of the ingest loop did."""

    taken: int = 0
    archived: int = 0
    duplicates: int = 0
    quarantined: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


class PeerOptions(Protocol):
    """Where another application entity is reached."""

    @property
    def ae_title(self) -> str:
        """Its AE title."""

    @property
    def host(self) -> str:
        """Its host."""

    @property
    def port(self) -> int:
        """Its DICOM port."""


class DicomOptions(Protocol):
    """The section of the settings that the listener reads; the node's settings have it as ``dicom``."""

    @property
    def host(self) -> str:
        """Address to bind."""

    @property
    def port(self) -> int:
        """Port to bind."""

    @property
    def ae_title(self) -> str:
        """Own AE title; another called title is rejected."""

    @property
    def calling_ae_titles(self) -> tuple[str, ...]:
        """Senders that are accepted; empty accepts any."""

    @property
    def max_pdu_bytes(self) -> int:
        """Largest PDU that is received."""

    @property
    def max_object_mb(self) -> int:
        """Largest object that is received."""

    @property
    def association_timeout_s(self) -> float:
        """ARTIM: how long a connection may take to ask for an association (PS3.8 section 9.1.5)."""

    @property
    def idle_timeout_s(self) -> float:
        """How long an association may be silent, and how long one PDU may take to arrive."""

    @property
    def max_associations(self) -> int:
        """Associations at the same time."""

    @property
    def certificate(self) -> Path | None:
        """Own certificate; with it only TLS is spoken."""

    @property
    def key(self) -> Path | None:
        """Key of the certificate."""

    @property
    def authority(self) -> Path | None:
        """Who signs senders; with it each needs a certificate."""

    @property
    def peers(self) -> Sequence[PeerOptions]:
        """Other application entities."""


class ListenerSettings(Protocol):
    """What :func:`racoon.node.intake.service.run_listener` needs of the node's settings."""

    @property
    def data_directory(self) -> Path:
        """Where the spool lies."""

    @property
    def dicom(self) -> DicomOptions:
        """The listener's section."""
