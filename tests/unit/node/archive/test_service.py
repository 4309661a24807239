"""The archive keeps every instance once, its counts right, and can rebuild its index from the objects."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from racoon.node.archive.model import BatchTooLarge, SeriesFacts, SeriesFilter, SeriesNotFound, StoreResult
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.database import Database
from tests.dicom_objects import ct_series, ct_slice, deidentified, segmentation, uid

VOXELS = np.arange(4 * 6 * 5, dtype=np.int16).reshape(4, 6, 5) - 60


def test_store_answers_in_order_and_keeps_counts(archive: Archive) -> None:
    slices = [deidentified(item) for item in ct_series(VOXELS)]
    outcomes = archive.store([slices[2], slices[0], slices[0], slices[1]])

    assert [outcome.sop_instance_uid for outcome in outcomes] == [uid(1, 1, n) for n in (3, 1, 1, 2)]
    assert [outcome.result for outcome in outcomes] == ["stored", "stored", "duplicate", "stored"]
    archive.store([slices[3]])
    row = archive.series_row(uid(1, 1))
    assert row.facts.instance_count == row.frame_count == 4
    assert row.size_bytes == sum(len(item.bytes) for item in slices)
    assert [item.instance_number for item in archive.instances(uid(1, 1))] == [1, 2, 3, 4]
    counts = archive.counts()
    assert (counts.subjects, counts.imaging_studies, counts.series, counts.instances) == (1, 1, 1, 4)


def test_facts_say_what_the_object_says(archive: Archive) -> None:
    archive.store([deidentified(item) for item in ct_series(VOXELS)])

    assert archive.series_row(uid(1, 1)).facts == SeriesFacts(
        series_uid=uid(1, 1),
        imaging_study_uid=uid(1),
        pseudonym="SUBJ-1",
        modality="CT",
        body_part="CHEST",
        sex="F",
        age_years=61.0,
        study_date_shifted="20240131",
        manufacturer="Phantom Works",
        model="Model 7",
        kvp=120.0,
        slice_thickness_mm=2.5,
        kernel="B30f",
        rows=6,
        columns=5,
        instance_count=4,
        has_contrast=None,
        description="Thorax 2.5 mm",
        series_number=1,
    )


def test_store_identical_again_changes_nothing(archive: Archive, objects: LocalFolder) -> None:
    batch = [deidentified(item, {"rules": "basic-1"}) for item in ct_series(VOXELS)]
    archive.store(batch)
    before = (archive.counts(), sorted(objects.keys()))

    assert {outcome.result for outcome in archive.store(batch)} == {StoreResult.DUPLICATE}
    assert (archive.counts(), sorted(objects.keys())) == before


def test_same_uid_with_other_content_is_a_conflict_and_never_overwrites(archive: Archive) -> None:
    first, *_ = ct_series(VOXELS)
    archive.store([deidentified(first)])
    stored = archive.read_object(archive.instance(uid(1, 1, 1)))
    first.SeriesDescription = "changed"

    (outcome,) = archive.store([deidentified(first)])

    assert outcome.result is StoreResult.CONFLICT
    assert "other content" in outcome.reason
    assert archive.read_object(archive.instance(uid(1, 1, 1)), verify=True) == stored
    report = archive.sweep()
    assert report.missing == report.damaged == ()
    assert report.referenced == 1


def test_series_of_another_subject_is_a_conflict_and_the_batch_goes_on(archive: Archive) -> None:
    good, stranger, *_ = ct_series(VOXELS)
    stranger.PatientID = "SUBJ-2"
    new_series = ct_slice(VOXELS[0], (0, 0, 0), number=1, series=2)

    outcomes = archive.store([deidentified(item) for item in (good, stranger, new_series)])

    assert [outcome.result for outcome in outcomes] == ["stored", "conflict", "stored"]
    assert archive.counts().subjects == 1


def test_content_that_is_not_what_the_label_says_is_refused(archive: Archive) -> None:
    first, *_ = ct_series(VOXELS)
    labelled = deidentified(first)
    first.PatientID = "SOMEBODY"
    wrong = type(labelled)(**{**vars(labelled), "bytes": deidentified(first).bytes})

    (outcome,) = archive.store([wrong])

    assert outcome.result is StoreResult.CONFLICT
    assert "SOMEBODY" not in outcome.reason
    assert archive.counts().instances == 0


def test_listeners_share_the_transaction(database: Database, objects: LocalFolder) -> None:
    seen: list[SeriesFacts] = []

    def listen(connection: sa.Connection, facts: Sequence[SeriesFacts]) -> None:
        assert connection.in_transaction()
        seen.extend(facts)
        if len(seen) > 1:
            raise RuntimeError("the listener fails")

    archive = Archive(database, objects, on_stored=[listen])
    batch = [deidentified(item) for item in ct_series(VOXELS)]
    archive.store(batch[:3])
    archive.store(batch[:3])  # nothing new: nobody is told
    assert [facts.instance_count for facts in seen] == [3]

    with pytest.raises(RuntimeError, match="the listener fails"):
        archive.store(batch[3:])
    assert archive.counts().instances == 3


def test_object_without_entry_is_taken_over_by_sweep_and_by_the_next_store(
    database: Database, objects: LocalFolder
) -> None:
    batch = [deidentified(item, {"rules": "basic-1"}) for item in ct_series(VOXELS)]

    def power_cut(_connection: sa.Connection, _facts: Sequence[SeriesFacts]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Archive(database, objects, on_stored=[power_cut]).store(batch)
    archive = Archive(database, objects)
    assert archive.counts().instances == 0

    assert archive.sweep().referenced == 4
    assert {outcome.result for outcome in archive.store(batch)} == {StoreResult.DUPLICATE}
    assert archive.evidence(uid(1, 1, 1)) == {"rules": "basic-1"}


def test_reindex_rebuilds_everything_from_the_objects(archive: Archive) -> None:
    slices = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[1:3, 2:4, 1:3, 0] = True
    seg = segmentation(slices, masks, [("39607008", "SCT", "Lung")])
    archive.store([deidentified(item, {"n": n}) for n, item in enumerate([*slices, seg])])

    def everything() -> object:
        rows = archive.series()
        return (
            archive.counts(),
            [row.facts for row in rows],
            {
                row.facts.series_uid: sorted(vars(i).items() for i in archive.instances(row.facts.series_uid))
                for row in rows
            },
            [archive.evidence(uid(1, 1, n)) for n in (1, 2, 3, 4)],
            sorted((name, str(document)) for name, document, _ in archive.metadata(uid(1, 1))),
        )

    before = everything()
    report = archive.reindex()

    assert everything() == before
    assert (report.objects, report.referenced, report.removed) == (5, 5, 0)


def test_sweep_reports_missing_and_damaged_objects(archive: Archive, tmp_path: Path) -> None:
    archive.store([deidentified(item) for item in ct_series(VOXELS)])
    first, second, *_ = archive.instances(uid(1, 1))
    (tmp_path / "objects" / first.object_key).unlink()
    path = tmp_path / "objects" / second.object_key
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")

    report = archive.sweep(verify=True)

    assert report.missing == (first.object_key,)
    assert report.damaged == (second.object_key,)


def test_segmentation_facts_name_labels_and_source(archive: Archive) -> None:
    slices = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 2), np.bool_)
    masks[1, 2, 1, :] = True
    seg = segmentation(slices, masks, [("39607008", "SCT", "Lung"), ("10200004", "SCT", "Liver")])
    archive.store([deidentified(item) for item in [*slices, seg]])

    (row,) = archive.series(SeriesFilter(modality="SEG"))

    assert [label.key for label in row.facts.segment_labels] == ["SCT:39607008", "SCT:10200004"]
    assert row.facts.referenced_series_uid == uid(1, 1)
    assert [item.sop_instance_uid for item in archive.segmentations(uid(1, 1))] == [uid(1, 50, 1)]


def test_series_list_filters_and_pages(archive: Archive) -> None:
    archive.store(
        [deidentified(ct_slice(VOXELS[0], (0, 0, 0), number=1, series=n, study=n)) for n in range(1, 6)]
    )
    head = archive.series(SeriesFilter(modality="CT", limit=2))
    tail = archive.series(SeriesFilter(modality="CT", after=head[-1].position))

    assert [row.facts.series_uid for row in head + tail] == [uid(n, n) for n in range(1, 6)]
    assert archive.series(SeriesFilter(modality="MR")) == []
    assert archive.series(SeriesFilter(pseudonym="nobody")) == []


def test_blocked_subject_is_as_if_not_there(database: Database, objects: LocalFolder) -> None:
    Archive(database, objects).store([deidentified(item) for item in ct_series(VOXELS)])
    archive = Archive(database, objects, is_readable=lambda pseudonym: pseudonym != "SUBJ-1")

    assert archive.series() == []
    assert archive.instances(uid(1, 1)) == []
    for call in (archive.series_row, archive.load_volume, archive.load_masks):
        with pytest.raises(SeriesNotFound):
            call(uid(1, 1))
    with pytest.raises(SeriesNotFound):
        archive.instance(uid(1, 1, 1))
    with pytest.raises(SeriesNotFound):
        list(archive.metadata(uid(1, 1)))


def test_batch_has_a_limit(archive: Archive) -> None:
    with pytest.raises(BatchTooLarge):
        archive.store([deidentified(ct_series(VOXELS)[0])] * 201)


def test_blob_survives_many_small_batches(archive: Archive) -> None:
    many = np.zeros((40, 3, 3), np.int16)
    for item in ct_series(many):
        archive.store([deidentified(item)])

    assert [name for name, _, _ in archive.metadata(uid(1, 1))] == [uid(1, 1, n) for n in range(1, 41)]
