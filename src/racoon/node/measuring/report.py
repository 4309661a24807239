"""Values of a series as a DICOM structured report (TID 1500), to download or to keep beside their images."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from typing import ClassVar, Protocol

import pydicom
from pydicom.dataset import Dataset

from racoon import __version__
from racoon.errors import Refused
from racoon.node.archive.derived import DerivedObjects, DerivedOutcome
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.service import Archive
from racoon.node.measuring import _store
from racoon.node.measuring.model import StoredValue, title_of
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.science.biomarkers.reasons import REASONS
from racoon.standards.dicom.measurement_report import (
    ReportedMask,
    ReportedValue,
    build_measurement_report,
)

LARGEST_REPORT = 2000
"""Values of one report; TID 1500 has no limit, viewers do."""


class NothingToReport(Refused):
    """A series without values, or with more than a report holds."""

    code: ClassVar[str] = "measuring.nothing_to_report"
    status: ClassVar[int] = 404


class ReportNotStored(Refused):
    """The archive did not take a report."""

    code: ClassVar[str] = "measuring.report_not_stored"
    status: ClassVar[int] = 409


class ObjectSource(Protocol):
    """What a report needs of an archive; ``archive.service.Archive`` is one."""

    def instances(self, series_uid: str) -> Sequence[InstanceRow]:
        """Stored instances of a series."""
        ...

    def instance(self, sop_instance_uid: str) -> InstanceRow:
        """Facts of an instance; refused when it may not be read."""
        ...

    def read_object(self, row: InstanceRow) -> bytes:
        """Its file."""
        ...


def write_report(values: Sequence[StoredValue], archive: ObjectSource) -> bytes:
    """Write the values of one series as a DICOM file.

    Parameters
    ----------
    values
        All of one series.
    archive
        Where its images and masks are.

    Raises
    ------
    NothingToReport
        Without a value.
    """
    if not 0 < len(values) <= LARGEST_REPORT:
        raise NothingToReport("There is no value of this series to report; measure it first.")
    keys = list(dict.fromkeys(value.key_instance_uid for value in values if value.key_instance_uid))
    rows = [archive.instance(key) for key in keys] or list(archive.instances(values[0].series_uid))[:1]
    masks = dict.fromkeys(
        mask.seg_instance_uid for value in values for mask in value.masks if mask.seg_instance_uid
    )
    report = build_measurement_report(
        [_reported(value) for value in values],
        [_header(archive.read_object(row)) for row in rows],
        [_header(archive.read_object(archive.instance(uid))) for uid in masks],
        ("racoon", __version__),
        _identity(values),
    )
    stream = io.BytesIO()
    report.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def report_of_series(database: Database, archive: Archive, study_id: str, series_uid: str) -> bytes:
    """Write the report of everything that may be read of a series."""
    with database.connect() as connection:
        rows = list(
            _store.load_values(
                connection, study_id=study_id, series_uids=(series_uid,), limit=LARGEST_REPORT + 1
            )
        )
    return write_report([value for _, value in rows if archive.is_readable(value.pseudonym)], archive)


def store_report(
    database: Database,
    archive: Archive,
    objects: DerivedObjects,
    user: User,
    study_id: str,
    series_uid: str,
) -> DerivedOutcome:
    """Keep the report of a series in the archive; audited.

    Raises
    ------
    ReportNotStored
        With the archive's reason.
    """
    outcome = objects.store(report_of_series(database, archive, study_id, series_uid))
    objects.record([outcome], actor=user.name, actor_role=",".join(sorted(user.roles)))
    if outcome.failure:
        raise ReportNotStored(outcome.reason)
    return outcome


def _identity(values: Sequence[StoredValue]) -> str:
    """Name these values and no others; the moment of their computation does not belong to it."""
    stated = [
        [
            value.series_uid,
            value.measurement,
            value.parameters_hash,
            value.value,
            value.reason,
            value.software,
        ]
        for value in values
    ]
    return hashlib.sha256(json.dumps(stated, sort_keys=True).encode()).hexdigest()[:40]


def _reported(value: StoredValue) -> ReportedValue:
    is_number = value.valid and value.value is not None
    reason = value.reason or "nothing_in_range"
    facts = {**value.parameters, "automation": value.automation, "software": value.software}
    return ReportedValue(
        definition=f"{value.biomarker}@{value.version}",
        title=title_of(value),
        biomarker=value.biomarker,
        structure=value.label,
        value=value.value if is_number else None,
        unit=value.unit,
        reason="" if is_number else REASONS.get(reason, ("", reason))[1],
        reason_code="" if is_number else reason,
        masks=tuple(
            ReportedMask(mask.seg_instance_uid, mask.segment_number)
            for mask in value.masks
            if mask.seg_instance_uid
        ),
        image_uid=value.key_instance_uid,
        frame=value.key_frame,
        parameters=tuple(f"{name}={fact}" for name, fact in sorted(facts.items()) if fact is not None),
    )


def _header(data: bytes) -> Dataset:
    return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
