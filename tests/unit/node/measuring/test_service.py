"""A plan over a real archive: right numbers, full provenance, nothing twice, and the next series goes on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import sqlalchemy as sa

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.errors import Refused, Unavailable
from racoon.node.measuring import _store, service
from racoon.node.measuring.model import BadPlan, check_plan
from racoon.node.release.model import apply_rules_to_all
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.statistics import Moments
from tests.dicom_objects import ct_series, ct_slice, deidentified, segmentation, uid
from tests.unit.node.measuring.cohort import (
    LIVER,
    LUNGS,
    OPACITY,
    SUBJECTS,
    VOXEL_ML,
    liver_voxels,
    store_subject,
)


def values_of(database, **criteria):
    with database.connect() as connection:
        return [value for _, value in service.load_values(connection, limit=None, **criteria)]


def test_every_value_is_right_and_traceable(plan, manifest, archive, database):
    seen = []
    summary = service.run_protocol(plan, manifest, archive, database, lambda *step: seen.append(step))
    assert (summary.series, summary.measured, summary.findings) == (SUBJECTS, SUBJECTS, 0)
    assert summary.values == SUBJECTS * len(plan.measurements)
    assert [step[:2] for step in seen] == [(number, SUBJECTS) for number in range(1, SUBJECTS + 1)]

    for value in values_of(database, biomarker="volume"):
        subject = int(value.pseudonym.removeprefix("SUBJ-"))
        assert value.value == pytest.approx(liver_voxels(subject) * VOXEL_ML, rel=1e-12)
        assert (value.unit, value.valid, value.automation) == ("mL", True, "manual")
        assert value.masks[0].seg_instance_uid == uid(subject, 50, 1)
        assert value.masks[0].segment_number == 1
        # The liver fills slice 1 first, so that is where its area is largest.
        assert (value.key_slice, value.key_instance_uid, value.key_frame) == (1, uid(subject, 1, 2), 1)
        assert value.parameters["kvp"] == 120.0
        assert value.software.startswith("racoon ")
        assert value.link == (
            f"/reading/series/{uid(subject, 1)}?instance={uid(subject, 1, 2)}"
            f"&segmentation={uid(subject, 50, 1)}&segment=1"
        )
    assert {value.value for value in values_of(database, biomarker="mean_density")} == {
        40.0 + subject for subject in range(1, SUBJECTS + 1)
    }


def test_structures_that_are_not_there_have_no_value_and_a_reason(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    found = values_of(database, biomarker="opacity_involvement")
    assert [value.value for value in found if value.valid] == [20.0] * (SUBJECTS // 2)
    absent = [value for value in found if not value.valid]
    assert {(value.value, value.reason) for value in absent} == {(None, "mask_missing")}


def test_tissue_needs_no_mask_and_says_who_drew_the_body(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    for value in values_of(database, biomarker="fat_volume"):
        assert value.automation == "automatic"
        assert value.masks[0].algorithm_name == "body@1"
        assert value.value > 0


def test_a_second_run_computes_nothing_and_changes_nothing(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    before = values_of(database)
    summary = service.run_protocol(plan, manifest, archive, database)
    assert summary.measured == 0
    assert values_of(database) == before


class Killed(BaseException):
    pass


def test_a_run_killed_again_and_again_ends_with_the_same_table(plan, manifest, archive, database):
    def die(done, _total, _note):
        if done % 3 == 0:
            raise Killed

    computed = 0
    for _ in range(10):
        try:
            computed += service.run_protocol(plan, manifest, archive, database, die).measured
            break
        except Killed:
            # What was stored stays: the next run starts behind it, and dies at the next third series.
            done = len({value.series_uid for value in values_of(database)})
            manifest_rest = {entry.series_uid for entry in sorted(manifest.series)[:done]}
            assert {value.series_uid for value in values_of(database)} == manifest_rest

            def die(done, _total, _note, after=done):
                if done % 3 == 0 and done > after:
                    raise Killed

    table = {(value.series_uid, value.measurement): value.value for value in values_of(database)}
    assert len(table) == len(values_of(database)) == SUBJECTS * len(plan.measurements)

    with database.begin() as connection:
        connection.execute(sa.delete(_store.measurement))
    service.run_protocol(plan, manifest, archive, database)
    assert {(value.series_uid, value.measurement): value.value for value in values_of(database)} == table


def test_an_added_measurement_is_all_that_is_computed(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    before = values_of(database)
    more = dataclasses.replace(
        plan, measurements=(*plan.measurements, Measurement("density_sd", "1", LIVER, Bins(0.0, 100.0, 10.0)))
    )
    service.run_protocol(more, manifest, archive, database)
    after = values_of(database)
    assert after[: len(before)] == before
    assert [value.biomarker for value in after[len(before) :]] == ["density_sd"] * SUBJECTS


def test_a_bad_series_becomes_a_finding_and_the_rest_goes_on(plan, manifest, archive, database):
    # One gap in the stack, one series that was never stored, one that changed after the freeze.
    holes = [
        item for item in ct_series(np.zeros((6, 16, 16), np.int16), study=90) if item.InstanceNumber != 3
    ]
    archive.store([deidentified(item) for item in holes])
    changed = store_subject(archive, 91)
    added = ct_slice(np.zeros((16, 16), np.int16), (0, 0, 500), number=77, study=91, subject="SUBJ-91")
    archive.store([deidentified(added)])
    entry = manifest.series[0]
    bad = (
        dataclasses.replace(entry, series_uid=uid(90, 1), instance_count=5),
        dataclasses.replace(entry, series_uid=uid(404, 1)),
        changed,
    )
    whole = DatasetManifest("study-1", "livers", (*manifest.series, *bad))
    summary = service.run_protocol(plan, whole, archive, database)
    assert summary.findings == 3
    assert summary.values == SUBJECTS * len(plan.measurements)
    with database.connect() as connection:
        findings = service.load_findings(connection, study_id="study-1", dataset_hash=whole.hash)
    assert {item.series_uid: item.code for item in findings} == {
        uid(90, 1): "volume.irregular",
        uid(404, 1): "archive.not_found",
        uid(91, 1): "measuring.dataset_changed",
    }
    assert all(item.message.endswith(".") for item in findings)


def test_masks_drawn_after_the_freeze_do_not_count(plan, manifest, archive, database):
    entry = min(manifest.series)
    subject = int(entry.pseudonym.removeprefix("SUBJ-"))
    voxels = np.zeros((4, 16, 16), np.int16)
    later = np.ones((4, 16, 16, 1), bool)
    code = [(LIVER.value, LIVER.scheme, LIVER.meaning)]
    source = ct_series(voxels, study=subject, subject=f"SUBJ-{subject}")
    archive.store([deidentified(segmentation(source, later, code, series=60))])
    service.run_protocol(plan, manifest, archive, database)
    found = values_of(database, biomarker="volume", series_uids=[entry.series_uid])
    assert found[0].value == pytest.approx(liver_voxels(subject) * VOXEL_ML, rel=1e-12)


def test_several_segments_of_one_structure_count_together(archive, database):
    voxels = np.zeros((3, 8, 8), np.int16)
    masks = np.zeros((3, 8, 8, 2), bool)
    masks[0, :2, :2, 0] = masks[0, 1:3, 1:3, 1] = True
    source = ct_series(voxels, study=70, subject="SUBJ-70")
    code = (LIVER.value, LIVER.scheme, LIVER.meaning)
    archive.store([deidentified(item) for item in (*source, segmentation(source, masks, [code, code]))])
    entry = dataclasses.replace(store_subject(archive, 71), series_uid=uid(70, 1), instance_count=3)
    entry = dataclasses.replace(entry, mask_series_uids=(uid(70, 50),))
    plan = MeasuringPlan("p", (Measurement("volume", "1", LIVER, Bins(0.0, 1.0, 0.1)),))
    service.run_protocol(plan, DatasetManifest("s", "n", (entry,)), archive, database)
    (value,) = values_of(database)
    assert value.value == pytest.approx(7 * VOXEL_ML)
    assert [mask.segment_number for mask in value.masks] == [1, 2]


def test_outside_its_limits_a_value_is_kept_and_not_used(archive, database, plan):
    entries = [store_subject(archive, 1, KVP=100), store_subject(archive, 2, ContrastBolusAgent="Iomeprol")]
    manifest = DatasetManifest("s", "n", tuple(entries))
    service.run_protocol(plan, manifest, archive, database)
    found = values_of(database, biomarker="laa_950")
    assert sorted(value.reason for value in found) == ["contrast", "kvp_outside"]
    assert all(value.value is not None and not value.valid for value in found)
    with database.connect() as connection:
        laa = service.aggregates(connection, plan, manifest)[2]
    assert laa.moments.n == 0
    assert laa.not_valid == {"contrast": 1, "kvp_outside": 1}


def test_aggregates_are_exact_and_pass_the_gate(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    with database.connect() as connection:
        found = service.aggregates(connection, plan, manifest)
    volumes = [value.value for value in values_of(database, biomarker="volume")]
    assert found[0].moments == Moments.of(volumes)
    assert found[0].subjects == SUBJECTS
    assert found[0].largest_share == pytest.approx(max(volumes) / sum(volumes))
    assert [len(cell) for cell in found[0].cell_subjects] == list(found[0].histogram.cells)
    assert found[3].not_valid == {"mask_missing": SUBJECTS // 2}

    released = apply_rules_to_all(found, DisclosurePolicy())
    first, _, _, involvement, _ = released.payload["measurements"]
    assert Moments.from_dict(first["moments"]).mean == pytest.approx(np.mean(volumes), rel=1e-12)
    assert first["label"]["value"] == LIVER.value
    # Four subjects have an opacity: fewer than five, so nothing of it leaves.
    assert involvement["moments"] is None


def test_a_withdrawn_subject_leaves_the_sums_at_once(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    with database.connect() as connection:
        found = service.aggregates(connection, plan, manifest, lambda pseudonym: pseudonym != "SUBJ-3")
    assert found[0].subjects == SUBJECTS - 1
    assert sum(found[0].not_valid.values()) == 0


def test_the_csv_is_exact_and_starts_no_formula(plan, manifest, archive, database):
    service.run_protocol(plan, manifest, archive, database)
    text = "".join(service.csv_pieces(values_of(database)))
    lines = text.split("\r\n")
    assert len(lines) == 1 + SUBJECTS * len(plan.measurements) + 1
    header = lines[0].split(",")
    volumes = [line.split(",") for line in lines[1:-1] if ",volume," in line]
    exact = {float(row[header.index("value")]) for row in volumes}
    assert exact == {value.value for value in values_of(database, biomarker="volume")}
    assert "'=Abnormal lung opacity" in text
    assert ",=" not in text


def test_an_archive_that_is_away_stops_the_run_for_a_later_try(
    plan, manifest, archive, database, monkeypatch
):
    class Away:
        """An archive on a disk that is not there now."""

        def __getattr__(self, name):
            def fail(*_args, **_options):
                raise Unavailable("The archive's disk is not there. Mount it; the work continues by itself.")

            return fail

    with pytest.raises(Unavailable):
        service.run_protocol(plan, manifest, Away(), database)
    assert service.run_protocol(plan, manifest, archive, database).findings == 0


@pytest.mark.parametrize(
    ("measurements", "words"),
    [
        ((), "no measurement"),
        ((Measurement("volume", "1", None, Bins(0, 1, 0.1)),), "needs a structure"),
        ((Measurement("volume", "1", LIVER, Bins(0, 1, 0.3)),), "whole number of bin widths"),
        ((Measurement("volume", "1", LIVER, Bins(0, 1, 0.1), {"zoom": 2}),), "no parameter"),
        ((Measurement("opacity_involvement", "1", OPACITY, Bins(0, 100, 10)),), "within"),
        ((Measurement("volume", "1", LIVER, Bins(0, 1, 0.1), {"within": LUNGS.key}),), "takes no"),
        ((Measurement("volume", "2", LIVER, Bins(0, 1, 0.1)),), "not installed"),
        (
            (
                Measurement("volume", "1", LIVER, Bins(0, 1, 0.1)),
                Measurement("volume", "1", LIVER, Bins(0, 1, 0.2)),
            ),
            "twice",
        ),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused_before_anything_runs(measurements, words):
    with pytest.raises(Refused, match=words):
        check_plan(MeasuringPlan("p", measurements))


def test_a_refused_plan_is_its_own_error():
    with pytest.raises(BadPlan):
        check_plan(MeasuringPlan("p", ()))
