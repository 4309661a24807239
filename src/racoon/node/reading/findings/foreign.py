"""Takes measurements of foreign structured reports (DICOM SR after TID 1500) in as findings, with where they are from.

Their numbers stay what their author wrote; nothing is computed again, so nothing of it can be mistaken for a number
of this node.  A group whose place is not here is kept by name with the reason.
"""

from __future__ import annotations

import io
import logging
import uuid
from dataclasses import asdict
from typing import Any

import pydicom

from racoon.domain.coding import Code
from racoon.domain.finding import NAMES, Finding, Quantity
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.service import Archive
from racoon.node.reading.findings import _store
from racoon.node.reading.findings._placing import place_of
from racoon.node.reading.findings._shapes import NotPlaced
from racoon.node.reading.findings.model import StoredFinding
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.dicom.foreign_report import ForeignGroup, ForeignNumber, ForeignReport, read_report

_log = logging.getLogger(__name__)

AUTHOR = "DICOM SR"
"""Stands where a reader's name stands; no account has a space in its name."""

UNKNOWN = Code("49755003", "SCT", "Morphologically abnormal structure")
"""What a group that names no finding is taken for."""

UNREADABLE = "The report is malformed and could not be read."

REPORTS = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34))
"""Basic Text, Enhanced, Comprehensive and Comprehensive 3D SR (PS3.4 B.5)."""

OWN_UNITS = {
    "length": "mm", "long_axis": "mm", "short_axis": "mm", "diameter": "mm", "area": "mm2", "volume": "mL",
    "angle": "deg",
}  # fmt: skip
"""A foreign number has our name only in our unit; answers of reports take numbers by name."""


class ForeignFindings:
    """Findings of reports that were made elsewhere."""

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def take_in(self, imaging_study_uid: str) -> None:
        """Read the structured reports of an imaging study that were not read yet; each is read once."""
        # By class and not by series: writers put reports into the series of their images.
        everything = self._archive.instances_of_study(imaging_study_uid, seen_by="")
        rows = [row for row in everything if row.sop_class_uid in REPORTS]
        if not rows:
            return
        with self._database.connect() as connection:
            known = _store.load_foreign(connection, imaging_study_uid)
        for row in rows:
            # What this node wrote itself has its findings here already.
            if row.sop_instance_uid not in known and not self._is_own(row):
                self._read(row)

    def left_out(self, imaging_study_uid: str) -> list[dict[str, Any]]:
        """List the groups of foreign reports that have no place here, with the reason."""
        with self._database.connect() as connection:
            found = _store.load_foreign(connection, imaging_study_uid)
        return [item for items in found.values() for item in items]

    def _is_own(self, row: InstanceRow) -> bool:
        return bool(self._archive.evidence(row.sop_instance_uid).get("source"))

    def _read(self, row: InstanceRow) -> None:
        stored: list[StoredFinding] = []
        left_out: list[dict[str, Any]] = []
        try:
            report = read_report(pydicom.dcmread(io.BytesIO(self._archive.read_object(row))))
        except (ValueError, TypeError, AttributeError) as error:
            # Somebody's malformed document must not close the images to their reader.
            _log.warning("structured report not read", extra={"code": type(error).__name__})
            report = ForeignReport("", "")
            left_out.append(
                {
                    "instance": row.sop_instance_uid,
                    "name": "",
                    "meaning": "",
                    "numbers": [],
                    "reason": UNREADABLE,
                }
            )
        for at, group in enumerate(report.groups):
            try:
                stored.append(self._finding(row, report, at, group))
            except NotPlaced as reason:
                left_out.append(
                    {
                        "instance": row.sop_instance_uid,
                        "name": group.name,
                        "meaning": group.meaning.meaning if group.meaning else "",
                        "numbers": [_described(number) for number in group.numbers],
                        "reason": str(reason),
                    }
                )
        with self._database.begin() as connection:
            if not _store.claim_foreign(connection, row, left_out):
                return  # somebody else read it at the same time
            for item in stored:
                _store.insert(connection, item)
            self._audit.append(
                connection,
                actor="node",
                actor_role="system",
                action="finding.take_in",
                target=f"instance/{row.sop_instance_uid}",
                details={"findings": len(stored), "left_out": len(left_out), "pseudonym": str(row.pseudonym)},
            )

    def _finding(
        self, row: InstanceRow, report: ForeignReport, at: int, group: ForeignGroup
    ) -> StoredFinding:
        kind, place, beside_mm = place_of(self._archive, row.imaging_study_uid, group)
        identifier = uuid.uuid5(uuid.NAMESPACE_OID, f"{row.sop_instance_uid}/{at}")
        finding = Finding(str(identifier), kind, group.meaning or UNKNOWN, place, group.name[:500])
        origin = {
            "instance": row.sop_instance_uid,
            "tracking_uid": group.tracking_uid,
            "observer": report.observer,
            "device": report.device,
            "site": asdict(group.site) if group.site else None,
            "statements": [[name.meaning, value.meaning] for name, value in group.statements],
            "segment": ":".join(map(str, group.segment)) if group.segment else "",
            "beside_mm": beside_mm,
        }
        numbers = tuple(_quantity(number) for number in group.numbers)
        return StoredFinding(
            finding, 1, row.pseudonym, AUTHOR, clock.now(), numbers, report.device[:80], origin=origin
        )


def _quantity(number: ForeignNumber) -> Quantity:
    """Keep a number under our name where code and unit are ours, else under its own code."""
    own = next((name for name, code in NAMES.items() if code.key == number.name.key), "")
    if own and OWN_UNITS.get(own) == number.unit:
        return Quantity(own, number.value, number.unit)
    return Quantity(number.name.key, number.value, number.unit, number.name)


def _described(number: ForeignNumber) -> str:
    return f"{number.name.meaning or number.name.key} {number.value:g} {number.unit}"
