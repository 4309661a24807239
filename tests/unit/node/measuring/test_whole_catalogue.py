"""The node feeds every definition: several structures, facts of the header and of the subject, rules of the plan."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, SeriesRule
from racoon.node.measuring import service
from racoon.node.measuring.model import BadPlan, check_plan
from racoon.science.biomarkers.structures import CODES
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

BINS = Bins(0.0, 100.0, 10.0)
LIVER, SPLEEN, LUNG = CODES["liver"], CODES["spleen"], CODES["lung"]
MUSCLE, L3 = CODES["skeletal_muscle"], CODES["vertebra_l3"]
RIGHT, LEFT = CODES["lung_right"], CODES["lung_left"]
SHAPE = (6, 24, 24)


def block(*place):
    mask = np.zeros(SHAPE, bool)
    mask[place] = True
    return mask


def store(archive, structures, *, study=1, kinds=(), hu=None, **attributes):
    """Store a CT in which each structure has one density, and freeze it."""
    voxels = np.full(SHAPE, -1000, np.int16)
    for _, mask, density in structures:
        voxels[mask] = density
    source = ct_series(voxels, study=study, subject=f"SUBJ-{study}", **attributes)
    codes = [(code.value, code.scheme, code.meaning) for code, _, _ in structures]
    drawn = segmentation(source, np.stack([mask for _, mask, _ in structures], axis=-1), codes)
    for segment, kind in zip(drawn.SegmentSequence, kinds, strict=False):
        segment.SegmentAlgorithmType = kind
        if kind != "MANUAL":
            segment.SegmentAlgorithmName = "net"
    archive.store([deidentified(item) for item in (*source, drawn)])
    series, mask = uid(study, 1), uid(study, 50)
    entry = DatasetSeries(
        series, Pseudonym(f"SUBJ-{study}"), SHAPE[0], archive.content_hash([series, mask]), (mask,)
    )
    return DatasetManifest("study-1", "several", (entry,))


def measure(database, archive, manifest, *measurements, **options):
    plan = MeasuringPlan("several", measurements, **options)
    service.run_protocol(plan, manifest, archive, database)
    with database.connect() as connection:
        found = [value for _, value in service.load_values(connection, limit=None)]
    wanted = {task.identity[3] for task in check_plan(plan)}
    return [value for value in found if value.parameters_hash in wanted]


def test_a_comparison_gets_both_structures_and_names_them(database, archive):
    liver = block(slice(0, 6), slice(2, 20), slice(2, 10))
    spleen = block(slice(0, 6), slice(2, 20), slice(12, 20))
    manifest = store(archive, [(LIVER, liver, 45), (SPLEEN, spleen, 50)])
    plan = Measurement("liver_spleen_ratio", "1", LIVER, BINS, {"erosion_mm": 0.0})
    (value,) = measure(database, archive, manifest, plan)
    assert (value.value, value.valid, value.reason) == (pytest.approx(0.9), True, "")
    assert [mask.segment_number for mask in value.masks] == [1, 2]


def test_a_structure_that_is_not_there_is_a_reason(database, archive):
    liver = block(slice(0, 6), slice(2, 20), slice(2, 10))
    manifest = store(archive, [(LIVER, liver, 45)])
    (value,) = measure(database, archive, manifest, Measurement("liver_spleen_ratio", "1", LIVER, BINS))
    assert (value.value, value.valid, value.reason) == (None, False, "structure_missing")


def test_a_whole_is_built_from_its_sides(database, archive):
    right = block(slice(0, 6), slice(2, 20), slice(2, 8))
    left = block(slice(0, 6), slice(2, 20), slice(12, 20))
    manifest = store(archive, [(RIGHT, right, -800), (LEFT, left, -900)])
    volume, density = measure(
        database,
        archive,
        manifest,
        Measurement("volume", "1", LUNG, BINS),
        Measurement("mean_lung_density", "1", LUNG, BINS),
    )
    assert volume.value == pytest.approx(6 * 18 * (6 + 8) * 2.5 * 0.8 * 0.7 / 1000)
    assert density.value == pytest.approx((6 * -800 + 8 * -900) / 14)


def test_one_side_is_not_the_whole(database, archive):
    manifest = store(archive, [(RIGHT, block(slice(0, 6), slice(2, 20), slice(2, 8)), -800)])
    (value,) = measure(database, archive, manifest, Measurement("volume", "1", LUNG, BINS))
    assert value.reason == "mask_missing"


def test_body_height_comes_from_the_header(database, archive):
    muscle = block(slice(0, 6), slice(2, 12), slice(2, 12))
    structures = [(MUSCLE, muscle, 50), (L3, block(slice(2, 4), slice(14, 18), slice(5, 9)), 200)]
    manifest = store(archive, structures, PatientSize=1.6)
    (value,) = measure(database, archive, manifest, Measurement("smi", "1", MUSCLE, BINS))
    area_cm2 = 100 * 0.8 * 0.7 / 100
    assert value.value == pytest.approx(area_cm2 / 1.6**2)
    assert value.parameters["height_m"] == 1.6
    assert value.key_slice == 2


def test_without_body_height_there_is_a_reason_and_something_to_look_at(database, archive):
    muscle = block(slice(0, 6), slice(2, 12), slice(2, 12))
    structures = [(MUSCLE, muscle, 50), (L3, block(slice(2, 4), slice(14, 18), slice(5, 9)), 200)]
    manifest = store(archive, structures)
    (value,) = measure(database, archive, manifest, Measurement("smi", "1", MUSCLE, BINS))
    assert (value.value, value.reason) == (None, "parameter_missing")
    with database.connect() as connection:
        checks = service.checks(connection, "study-1", manifest.hash)
    assert [check.code for check in checks] == ["fact.parameter_missing"]
    assert checks[0].about == value.measurement


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({}, "not_gated"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE"}, ""),
        ({"CardiacSynchronizationTechnique": "NONE"}, "not_gated"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE", "KVP": 100}, "kvp_outside"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE", "KVP": None}, "kvp_unknown"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE", "thickness_mm": 5.0}, "slice_too_thick"),
        ({"CardiacSynchronizationTechnique": "PROSPECTIVE", "ContrastBolusAgent": "Iomeprol"}, "contrast"),
    ],
)
def test_limits_answer_by_the_header(database, archive, attributes, reason):
    coronary = Code("41801008", "SCT", "Coronary artery")
    calcium = block(slice(2, 3), slice(4, 8), slice(4, 8))
    manifest = store(archive, [(coronary, calcium, 300)], **attributes)
    (value,) = measure(database, archive, manifest, Measurement("agatston", "1", coronary, BINS))
    assert (value.reason, value.valid) == (reason, not reason)
    # 16 pixels of 0.56 mm², weight 3, slices 2.5 mm apart.
    assert value.value == pytest.approx(16 * 0.56 * 3 * 2.5 / 3)


def test_uptake_is_converted_or_refused(database, archive):
    tumour = CODES["tumour"]
    structures = [(tumour, block(slice(2, 4), slice(4, 8), slice(4, 8)), 500)]
    known = store(archive, structures, Modality="PT", Units="GML")
    unknown = store(archive, structures, study=2, Modality="PT", Units="BQML", DecayCorrection="START")
    manifest = dataclasses.replace(known, series=(*known.series, *unknown.series))
    found = measure(database, archive, manifest, Measurement("suv_max", "1", tumour, BINS))
    by_subject = {value.pseudonym: value for value in found}
    assert (by_subject["SUBJ-1"].value, by_subject["SUBJ-1"].valid) == (500.0, True)
    assert by_subject["SUBJ-1"].parameters["suv_factor"] == 1.0
    assert by_subject["SUBJ-2"].reason == "uptake_unknown"


def test_masks_by_hand_and_by_a_program_give_two_values(database, archive):
    by_hand, by_net = (
        block(slice(0, 3), slice(2, 12), slice(2, 12)),
        block(slice(0, 4), slice(2, 12), slice(2, 12)),
    )
    manifest = store(archive, [(LIVER, by_hand, 50), (LIVER, by_net, 50)], kinds=("MANUAL", "AUTOMATIC"))
    found = measure(
        database,
        archive,
        manifest,
        *(
            Measurement("volume", "1", LIVER, BINS, {"drawn": level} if level else {})
            for level in ("manual", "automatic", "")
        ),
    )
    voxel_ml = 2.5 * 0.8 * 0.7 / 1000
    assert {
        value.parameters.get("drawn"): (round(value.value / voxel_ml), value.automation) for value in found
    } == {
        "manual": (300, "manual"),
        "automatic": (400, "automatic"),
        None: (400, "automatic"),
    }


@pytest.mark.parametrize(
    ("rule", "is_measured"),
    [
        (SeriesRule(modality="CT", maximum_slice_mm=2.5), True),
        (SeriesRule(modality="MR"), False),
        (SeriesRule(maximum_slice_mm=1.5), False),
        (SeriesRule(has_contrast=True), False),
        (SeriesRule(kernels=("B30",)), True),
        (SeriesRule(kernels=("B70", "BR")), False),
    ],
)
def test_a_plan_chooses_its_series(database, archive, rule, is_measured):
    manifest = store(archive, [(LIVER, block(slice(0, 3), slice(2, 12), slice(2, 12)), 50)])
    plan = Measurement("volume", "1", LIVER, BINS)
    (value,) = measure(database, archive, manifest, plan, series=rule)
    assert value.reason == ("" if is_measured else "other_series")
    # The same plan without the rule is another question, and gets its own answer.
    (open_value,) = measure(database, archive, manifest, plan)
    assert open_value.valid


def test_a_level_nobody_knows_is_refused():
    plan = MeasuringPlan("p", (Measurement("volume", "1", LIVER, BINS, {"drawn": "by magic"}),))
    with pytest.raises(BadPlan, match="manual, assisted or automatic"):
        check_plan(plan)
