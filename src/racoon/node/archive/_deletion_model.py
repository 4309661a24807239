"""What a deletion is, where it stands, and what can be wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from racoon.errors import Refused


class DeletionState(StrEnum):
    """Where a deletion stands."""

    WAITING = "waiting"
    REFUSED = "refused"
    REMOVING = "removing"
    DONE = "done"


class NoSuchDeletion(Refused):
    """No deletion of this id."""

    code = "archive.no_such_deletion"
    status = 404


class DeletionDecided(Refused):
    """Somebody else decided first."""

    code = "archive.deletion_decided"
    status = 409


class SamePerson(Refused):
    """Who asks for a deletion may not confirm it."""

    code = "archive.same_person"


class ReasonMissing(Refused):
    """A deletion without a reason."""

    code = "archive.reason_missing"
    status = 422


@dataclass(frozen=True)
class Deletion:
    """One deletion, asked for, decided or done.

    Parameters
    ----------
    series_uid, sop_instance_uid
        Empty where the whole imaging study or series goes.
    instances
        How many instances go, or went; with a series also the segmentations drawn on it.
    proof
        When it is done: what went, with its hashes, who decided, and what was checked afterwards.
    proof_hash
        SHA-256 of the proof's canonical JSON; the same stands in the audit chain.
    """

    deletion_id: str
    state: DeletionState
    imaging_study_uid: str
    series_uid: str
    sop_instance_uid: str
    pseudonym: str
    reason: str
    requested_by: str
    requested_at: datetime
    decided_by: str
    decided_at: datetime | None
    instances: int
    proof: dict[str, Any] | None = None
    proof_hash: str = ""
