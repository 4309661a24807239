"""What people set right and is on its way through the rules again, one small file each.

A correction may hold a patient's number, so it lies beside the quarantine, readable by this node's user only, and goes
when its object is archived.  The queue's file name carries a digest that leads here.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from racoon.node.deid.model import Correction, QuarantineReason
from racoon.platform.files import write_atomically

MARK = "corrects-"


@dataclass(frozen=True)
class OpenCorrection:
    """A correction and the quarantined object it belongs to.

    Parameters
    ----------
    released
        Suspicions that a person has overruled on the same object.
    """

    quarantine_id: str
    correction: Correction
    released: frozenset[QuarantineReason] = frozenset()


class Corrections:
    """Open corrections of one node.

    Parameters
    ----------
    quarantine
        Folder of quarantined objects; corrections lie beside it.
    """

    def __init__(self, quarantine: Path) -> None:
        self._folder = quarantine.with_name("corrections")

    @staticmethod
    def mark_of(quarantine_id: str) -> str:
        """Give the mark under which the object is queued again."""
        return MARK + hashlib.sha256(quarantine_id.encode()).hexdigest()[:16]

    def save(self, entry: OpenCorrection) -> str:
        """Keep a correction and give its mark."""
        mark = self.mark_of(entry.quarantine_id)
        document = {
            "quarantine_id": entry.quarantine_id,
            "subject": entry.correction.subject,
            "patient_id": entry.correction.patient_id,
            "uids": dict(entry.correction.uids),
            "released": sorted(reason.value for reason in entry.released),
        }
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(self._path(mark), json.dumps(document).encode())
        return mark

    def load(self, mark: str) -> OpenCorrection | None:
        """Give the correction of a mark, None when it is closed."""
        try:
            document = json.loads(self._path(mark).read_bytes())
        except FileNotFoundError:
            return None
        return OpenCorrection(
            document["quarantine_id"],
            Correction(document["subject"], document["patient_id"], document["uids"]),
            frozenset(QuarantineReason(code) for code in document["released"]),
        )

    def of(self, quarantine_id: str) -> OpenCorrection | None:
        """Give the open correction of a quarantined object."""
        return self.load(self.mark_of(quarantine_id))

    def close(self, quarantine_id: str) -> None:
        """Forget a correction."""
        self._path(self.mark_of(quarantine_id)).unlink(missing_ok=True)

    def _path(self, mark: str) -> Path:
        return self._folder / f"{mark}.json"
