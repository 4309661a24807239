"""What the archive knows of a series behind the intake: class, quality rules, the last cumulative dose."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _assessments
from racoon.node.archive.assessing import HEADER_KEYWORDS, Assessor, assess
from racoon.node.archive.deletion import Deletions
from racoon.node.archive.model import StudyFilter, StudyRow
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.dicom.folder import SeriesFiles
from racoon.standards.dicom.quality import RULES
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.standards.dicom.test_dose import ct as dose_report

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (12, 16, 12)).astype(np.int16)


def dose(study: int, number: int, dlp: float, *events: str) -> Dataset:
    """Make a CT dose report of a study, as a machine sends it."""
    made = dose_report(dlp, *events)
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.88.67", uid(study, 77, number)
    made.SeriesInstanceUID, made.StudyInstanceUID = uid(study, 77), uid(study)
    made.PatientID, made.PatientName, made.Modality = f"SUBJ-{study}", f"SUBJ-{study}^", "SR"
    made.StudyDate, made.SeriesNumber, made.InstanceNumber = "20240131", 77, number
    return made


def put(archive: Archive, *items: Dataset) -> None:
    archive.store([deidentified(item) for item in items])


def assessed(archive: Archive, **criteria: object) -> list[StudyRow]:
    while Assessor(archive, quiet_s=0).run_once():
        pass
    return archive.browse(StudyFilter(**criteria))  # type: ignore[arg-type] - the test's own keywords


@pytest.fixture
def filled(archive: Archive) -> Archive:
    put(
        archive,
        *ct_series(VOXELS, subject="SUBJ-1"),
        dose(1, 1, 77.27, "1.1", "1.2"),
        dose(1, 2, 7.46, "1.1"),
    )
    arterial = ct_series(
        VOXELS, study=2, subject="SUBJ-2", SeriesDescription="Thorax arteriell", ContrastBolusAgent="agent"
    )
    put(archive, *(item for number, item in enumerate(arterial) if number != 5))
    put(archive, dose(2, 1, 60.17, "2.1"), dose(2, 2, 56.44, "2.2"))
    return archive


def test_dose_is_the_last_cumulative_value_and_never_a_sum(filled: Archive) -> None:
    second, first = assessed(filled)
    assert first.dose is not None
    assert (first.dose.reports, first.dose.superseded, first.dose.dlp_mgy_cm) == (2, 1, 77.27)
    assert second.dose is not None
    assert (second.dose.is_single, second.dose.dlp_mgy_cm) == (False, None), "side by side: nobody adds them"
    assert sorted(total["value"] for total in second.dose.totals) == [56.44, 60.17]
    # The study goes on: a third report holds both.
    put(filled, dose(2, 3, 116.61, "2.1", "2.2"))
    second = assessed(filled)[0]
    assert second.dose is not None
    assert (second.dose.superseded, second.dose.dlp_mgy_cm) == (2, 116.61)


def test_studies_are_found_by_dose_class_quality_and_day(filled: Archive) -> None:
    def found(**criteria: object) -> list[str]:
        return [row.pseudonym for row in assessed(filled, **criteria)]

    assert found() == ["SUBJ-2", "SUBJ-1"]
    assert found(dlp_from_mgy_cm=50.0) == ["SUBJ-1"]
    assert found(dlp_from_mgy_cm=50.0, dlp_to_mgy_cm=70.0) == []
    assert found(contrast="arterial") == ["SUBJ-2"]
    assert found(contrast="arterial", modality="CT") == ["SUBJ-2"]
    assert found(contrast="arterial", modality="SR") == [], "one series has to have both"
    assert found(worst="error") == ["SUBJ-2"], "a slice is missing"
    assert found(plane="axial", kind="volume") == ["SUBJ-2", "SUBJ-1"]
    assert found(kind="dose_report") == ["SUBJ-2", "SUBJ-1"]
    assert found(day_from="20240201") == []
    assert found(day_from="20240101", day_to="20240131") == ["SUBJ-2", "SUBJ-1"]


def test_a_series_says_what_it_is_and_what_is_wrong_with_it(filled: Archive) -> None:
    (row, *_) = assessed(filled)[0].series
    assert row.assessment is not None
    assert (row.assessment.kind, row.assessment.plane, row.assessment.contrast) == (
        "volume",
        "axial",
        "arterial",
    )
    assert row.assessment.findings == ("missing",)
    assert row.assessment.rules[0] == "irregular_geometry"
    assert {rule.code for rule in RULES} >= set(row.assessment.rules)
    # What is missing comes: the series is looked at again.
    put(filled, ct_series(VOXELS, study=2, subject="SUBJ-2", SeriesDescription="Thorax arteriell")[5])
    (row, *_) = assessed(filled)[0].series
    assert row.assessment is not None
    assert row.assessment.findings == ()


def test_a_growing_series_waits_and_one_that_may_not_be_read_is_asked_for_again(
    database: Database, objects: LocalFolder
) -> None:
    blocked: set[Pseudonym] = {Pseudonym("SUBJ-1")}
    archive = Archive(database, objects, is_readable=lambda pseudonym: pseudonym not in blocked)
    put(archive, *ct_series(VOXELS, subject="SUBJ-1"))
    assert Assessor(archive, quiet_s=60).run_once() == 0
    assert Assessor(archive, quiet_s=0).run_once() == 1
    with database.connect() as connection:
        assert _assessments.waiting(connection, clock.now(), 10) == []
        (later,) = _assessments.waiting(connection, clock.now() + timedelta(hours=1), 10)
    blocked.clear()
    with database.begin() as connection:
        _assessments.mark(connection, later.series_id)
    (row,) = assessed(archive)
    assert row.series[0].assessment is not None


def test_nothing_is_left_of_a_deleted_series_and_a_rebuild_assesses_again(
    filled: Archive, database: Database, objects: LocalFolder
) -> None:
    assessed(filled)
    deletions = Deletions(database, objects, AuditLog("node"), needs_second_person=False)
    deletions.request(uid(1), series_uid=uid(1, 77), reason="test", actor="a", actor_role="b")
    (row,) = assessed(filled, pseudonym="SUBJ-1")
    assert row.dose is None
    deletions.request(uid(1), reason="test", actor="a", actor_role="b")
    deletions.request(uid(2), reason="test", actor="a", actor_role="b")
    with database.connect() as connection:
        left = [
            connection.execute(sa.select(sa.func.count()).select_from(table)).scalar()
            for table in _assessments.TABLES
        ]
    assert left == [0, 0, 0, 0]
    put(filled, *ct_series(VOXELS, subject="SUBJ-1"))
    filled.reindex()
    (row,) = assessed(filled)
    assert row.series[0].assessment is not None


def test_the_few_attributes_that_are_read_are_enough(filled: Archive) -> None:
    """A header of all its attributes is judged the same."""
    for study in (1, 2):
        items = ct_series(VOXELS, study=study, BurnedInAnnotation="YES", KVP=80 + study)
        few = [Dataset({e.tag: e for e in item if e.keyword in HEADER_KEYWORDS}) for item in items]
        paths = [Path(str(item.SOPInstanceUID)) for item in items]
        assert assess(SeriesFiles("1", paths, items)) == assess(SeriesFiles("1", paths, few))
