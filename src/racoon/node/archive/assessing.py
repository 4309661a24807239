"""Says of every archived series what it is, what is wrong with it, and which dose it reports; behind the intake.

Everything is read from the metadata that the index keeps: no pixels, and no object but those whose metadata are stored
without their per-frame groups.  A series is looked at when it has been quiet for a while, and again when it changes.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from threading import Event
from typing import Any

import pydicom
import sqlalchemy as sa
from pydicom.dataset import Dataset

from racoon.domain.identity import Pseudonym
from racoon.errors import RacoonError
from racoon.node.archive import _assessments, _doses, _store
from racoon.node.archive.model import SeriesAssessment, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.platform import clock
from racoon.standards.dicom.classification import classify, quality_of
from racoon.standards.dicom.dose import DoseReport, read_dose_report
from racoon.standards.dicom.folder import SeriesFiles
from racoon.standards.dicom.plane import PLANE_KEYWORDS
from racoon.standards.dicomweb.dicom_json import JsonDataset, tag_key

LOG = logging.getLogger(__name__)

QUIET_S = 3.0
"""A series that still grows would be assessed once per batch; so long nothing must have come."""

ASK_AGAIN = timedelta(minutes=10)
"""A series that may not be read now is asked for again after this time."""

BATCH = 20

HEADER_KEYWORDS = frozenset(PLANE_KEYWORDS) | {
    "SOPClassUID",
    "StudyInstanceUID",
    "Modality",
    "ImageType",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "BodyPartExamined",
    "Manufacturer",
    "ConvolutionKernel",
    "ContrastBolusAgent",
    "ContrastBolusAgentSequence",
    "BurnedInAnnotation",
    "LossyImageCompression",
    "KVP",
    "InstanceNumber",
    "RadiopharmaceuticalInformationSequence",
    "PatientWeight",
    "ContentSequence",
    "ContentDate",
    "ContentTime",
}
"""All that class, quality and dose are read from; reading the rest of 250 headers would take a second."""

_KEYS = frozenset(tag_key(keyword) for keyword in HEADER_KEYWORDS)

_RANKS = {"error": 3, "warning": 2, "note": 1}


def assessments_of(archive: Archive, series_uids: Sequence[str]) -> dict[str, SeriesAssessment]:
    """Return what is known of some series; what was not looked at yet, or may not be read now, is left out."""
    table = _store.series
    found: dict[str, tuple[str, SeriesAssessment]] = {}
    with archive.database.connect() as connection:
        for start in range(0, len(series_uids), 500):
            query = sa.select(table.c.id, table.c.series_uid, table.c.pseudonym).where(
                table.c.series_uid.in_(series_uids[start : start + 500])
            )
            rows = {row.id: row for row in connection.execute(query)}
            for series_id, known in _assessments.of_series(connection, rows).items():
                found[rows[series_id].series_uid] = (rows[series_id].pseudonym, known)
        readable = archive.readable_among(connection, {Pseudonym(name) for name, _ in found.values()})
    return {uid: known for uid, (name, known) in found.items() if name in readable}


class Assessor:
    """Assesses the series of one archive.

    Parameters
    ----------
    archive
        Whose metadata are read; it asks for consent like every reader.
    quiet_s
        How long a series has to be unchanged.
    """

    def __init__(self, archive: Archive, *, quiet_s: float = QUIET_S) -> None:
        self._archive = archive
        self._quiet = timedelta(seconds=quiet_s)

    def run(self, stop: Event, *, idle_s: float = 2.0) -> None:
        """Work until asked to stop."""
        while not stop.is_set():
            try:
                done = self.run_once()
            except (RacoonError, sa.exc.SQLAlchemyError) as error:
                LOG.warning("assessing waits", extra={"reason": type(error).__name__})
                done = 0
            if not done:
                stop.wait(idle_s)

    def run_once(self, limit: int = BATCH) -> int:
        """Assess what waits; tell how many series were looked at."""
        database = self._archive.database
        with database.connect() as connection:
            rows = _assessments.waiting(connection, clock.now() - self._quiet, limit)
        for row in rows:
            try:
                self._assess(row.series_id, row.changed_at)
            except SeriesNotFound:
                # Nothing may be read of this subject now; that can change.
                with database.begin() as connection:
                    _assessments.mark(connection, row.series_id, clock.now() + ASK_AGAIN)
            except Exception:
                # One strange header must not keep all others from being assessed.
                LOG.exception("a series could not be assessed")
                with database.begin() as connection:
                    _assessments.unmark(connection, row.series_id, row.changed_at)
        return len(rows)

    def _assess(self, series_id: int, changed_at: Any) -> None:
        table = _store.series
        with self._archive.database.connect() as connection:
            query = sa.select(table.c.series_uid, table.c.study_id).where(table.c.id == series_id)
            found = connection.execute(query).one_or_none()
        if found is None:
            with self._archive.database.begin() as connection:
                _assessments.unmark(connection, series_id, changed_at)
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            headers = list(self._headers(found.series_uid))
            files = SeriesFiles(
                found.series_uid, [Path(uid) for uid, _ in headers], [item for _, item in headers]
            )
            row, reports = assess(files)
        with self._archive.database.begin() as connection:
            if connection.execute(sa.select(table.c.id).where(table.c.id == series_id)).scalar() is None:
                return
            before = _assessments.load_dose_reports(connection, found.study_id)
            _assessments.save(
                connection, series_id, found.study_id, row, [_doses.row_of(item) for item in reports]
            )
            if reports or before:
                _doses.update_study_dose(connection, found.study_id)
            _assessments.unmark(connection, series_id, changed_at)

    def _headers(self, series_uid: str) -> Iterator[tuple[str, Dataset]]:
        for uid, document, is_complete in self._archive.metadata(series_uid):
            if is_complete:
                yield uid, _header(document)
                continue
            with self._archive.open_object(self._archive.instance(uid)) as stream:
                yield uid, pydicom.dcmread(stream, stop_before_pixels=True)


def assess(series: SeriesFiles) -> tuple[dict[str, Any], list[DoseReport]]:
    """Say what a series is, which rules it breaks, and what its dose reports hold.

    Parameters
    ----------
    series
        Headers of all its instances.

    Returns
    -------
    tuple
        Columns of ``image_series_assessment``, and the dose reports.
    """
    found = classify(series)
    broken = quality_of(found, series)
    reports: list[DoseReport] = []
    if found.kind in ("dose_report", "structured_report"):
        reports = [report for report in map(read_dose_report, series.headers) if report is not None]
    row = {
        "kind": found.kind,
        "body_part": found.body_part,
        "plane": found.plane,
        "contrast": found.contrast,
        "kernel": found.kernel,
        "thickness": found.thickness,
        "worst": max((item["severity"] for item in broken), key=_RANKS.__getitem__, default=""),
        "rules": [item["rule"] for item in broken],
        "findings": [item.code.value for item in found.findings],
        "sources": dict(found.sources),
    }
    return row, reports


def _header(document: JsonDataset) -> Dataset:
    kept: Mapping[str, Any] = {key: value for key, value in document.items() if key in _KEYS}
    return Dataset.from_json(dict(kept), lambda *_: b"")
