"""`racoon node punch`, `import-table`, `comorbidome`: values beside a protocol, by an operator at the console.

Each needs a study that this site has released for measuring, and writes into the audit who did what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from racoon.domain.dataset import DatasetManifest
from racoon.domain.governance.approval import Purpose
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_archive, open_decisions
from racoon.node.archive.service import Archive
from racoon.node.curation import service as curation
from racoon.node.measuring import service as measuring
from racoon.node.measuring.adding import Mark, PunchRule, check_slots, import_table, punch_marks
from racoon.node.measuring.comorbidome import Vectors, load_vectors
from racoon.node.reading.findings.service import Findings
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.files.freesurfer import read_stats


@dataclass(frozen=True)
class _Site:
    database: Database
    archive: Archive
    audit: AuditLog
    manifest: DatasetManifest

    def note(self, action: str, details: Mapping[str, Any]) -> None:
        with self.database.begin() as connection:
            self.audit.append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action=action,
                target=f"study/{self.manifest.study_id}",
                purpose=self.manifest.study_id,
                details={**details, "dataset_hash": self.manifest.hash},
            )


@contextmanager
def _open(config: Path, study_id: str) -> Iterator[_Site]:
    """Open a node for a study it has released for measuring."""
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        audit = AuditLog("node", settings.release.policy().version)
        approvals = open_decisions(settings, audit)
        with database.connect() as connection:
            study = approvals.current(connection, study_id)
            approvals.require(connection, study, Purpose.MEASURE)
            manifest = curation.load(connection, study_id, study.dataset_hash or "")
        yield _Site(database, open_archive(settings, database), audit, manifest)
    finally:
        database.dispose()


def punch_series(
    config: Path,
    study_id: str,
    series_uid: str,
    marks: Sequence[Mark] | None,
    rule: PunchRule,
    slots: Mapping[str, str],
) -> list[dict[str, Any]]:
    """Punch pieces out of a series at landmarks, or at the marks of the reading room when none are given.

    Parameters
    ----------
    marks
        Landmarks in LPS mm; ``None`` for the findings that readers marked on the series.
    slots
        Name of a mark to the slot of the tissue taken there; overrides what the landmarks say.

    Raises
    ------
    NotApproved
        If the site has not released the study for measuring.
    """
    check_slots(slots.values())
    with _open(config, study_id) as site:
        found = list(marks) if marks is not None else _findings(site, series_uid)
        found = [replace(mark, slot=slots.get(mark.name, mark.slot)) for mark in found]
        values = punch_marks(site.archive, site.database, site.manifest, series_uid, found, rule)
        site.note("measurement.punch", {"series": series_uid, "marks": len(found), "values": len(values)})
    return [measuring.describe(value) for value in values]


def _findings(site: _Site, series_uid: str) -> list[Mark]:
    row = site.archive.instances(series_uid)[0]
    stored = Findings(site.database, site.audit, site.archive).of_study(row.imaging_study_uid)
    marks = []
    for item in stored:
        place = item.finding.place
        # What was measured in a mask has no point of its own.
        if place.series_uid == series_uid and place.points_mm:
            x, y, z = (float(value) for value in np.mean(place.points_mm, axis=0))
            origin = {
                "finding": item.finding.finding_id,
                "revision": str(item.revision),
                "kind": item.finding.kind.value,
                "meaning": item.finding.meaning.key,
                "author": item.author,
            }
            marks.append(Mark(item.finding.finding_id, (x, y, z), origin=origin))
    return marks


def import_tables(
    config: Path, study_id: str, series_uid: str, tables: Sequence[Path]
) -> list[dict[str, Any]]:
    """Store tables of FreeSurfer or FastSurfer beside the series they were computed from."""
    found = [read_stats(path) for path in tables]
    with _open(config, study_id) as site:
        # Refuses a series whose subject's consent was withdrawn.
        site.archive.series_row(series_uid)
        values = [
            value
            for table in found
            for value in import_table(site.database, site.manifest, series_uid, table)
        ]
        hashes = [table.sha256 for table in found]
        site.note("measurement.import", {"series": series_uid, "tables": hashes, "values": len(values)})
    return [measuring.describe(value) for value in values]


def load_comorbidome(config: Path, study_id: str) -> Vectors:
    """Load the vector of every readable subject of a study's frozen dataset."""
    with _open(config, study_id) as site:
        with site.database.connect() as connection:
            found = load_vectors(connection, site.manifest, site.archive.is_readable)
        counts = {"subjects": len(found.subjects), "measurements": len(found.measurements)}
        site.note("measurement.comorbidome", {**counts, "conditions": len(found.conditions)})
    return found
