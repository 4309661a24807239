"""Phantoms of calcium, lungs, body, liver, bone, heart and vessels with exact answers."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.biomarkers import Context, Region, get_definition
from racoon.science.biomarkers.aeration import severity_points
from racoon.science.biomarkers.body import pdff_percent, skeletal_muscle_index
from racoon.science.biomarkers.bone import calibration_line, genant_grade
from racoon.science.biomarkers.calcium import cac_drs_category, calibration_factor
from racoon.science.biomarkers.organs import body_surface_m2, ejection_fraction, extracellular_volume
from racoon.science.biomarkers.structures import LOBES
from racoon.science.image import Image

CARDIAC = Context("CT", kvp=120.0, slice_thickness_mm=3.0, is_gated=True)


def measure(name, voxels, mask, context=CARDIAC, spacing=(1.0, 1.0, 1.0), **parameters):
    image = Image(voxels, np.diag([*spacing, 1.0]))
    return get_definition(name, "1").compute(image, mask, context, parameters)


def heart(*blocks, slices=4):
    """Blocks (slice, row, column, rows, columns, HU) on a background of 0 HU."""
    voxels = np.zeros((slices, 60, 60), np.int16)
    for index, row, column, rows, columns, hu in blocks:
        voxels[index, row : row + rows, column : column + columns] = hu
    return voxels


def calcium(voxels, increment=3.0, name="agatston", **parameters):
    whole = np.ones(voxels.shape, bool)
    return measure(name, voxels, whole, spacing=(increment, 0.5, 0.5), **parameters).value


A1 = heart((2, 2, 2, 4, 4, 150), (2, 12, 2, 4, 4, 250), (2, 22, 2, 4, 4, 350), (3, 32, 2, 4, 4, 450))
A6 = heart(*[(index, 5, 5, 4, 4, 300) for index in range(3)])


def test_a1_four_squares():
    assert calcium(A1) == pytest.approx(40)
    assert calcium(A1, name="calcium_volume") == pytest.approx(48)


@pytest.mark.parametrize(("hu", "score"), [(129, 0), (130, 4), (199, 4), (200, 8), (300, 12), (400, 16)])
def test_a2_a3_steps_of_the_density_factor(hu, score):
    assert calcium(heart((1, 5, 5, 4, 4, hu))) == pytest.approx(score)


def test_a4_a5_smallest_lesion():
    assert calcium(heart((1, 5, 5, 1, 3, 500))) == 0
    assert calcium(heart((1, 5, 5, 1, 4, 500))) == pytest.approx(4)
    assert calcium(heart((1, 5, 5, 1, 4, 500)), name="calcium_volume") == pytest.approx(3)


def test_a6_a7_slices_and_increment():
    assert calcium(A6) == pytest.approx(36)
    assert calcium(A6, increment=1.5) == pytest.approx(18)
    assert calcium(A6, name="calcium_volume") == pytest.approx(36)


def test_a8_connectivity():
    touching = heart((1, 5, 5, 2, 2, 150), (1, 7, 7, 2, 2, 450))
    assert calcium(touching) == pytest.approx(8)
    assert calcium(touching, connectivity=4) == pytest.approx(5)
    assert calcium(touching, name="calcium_volume") == pytest.approx(6)


def test_a9_a10_mass_and_calibration():
    assert calcium(A6, name="calcium_mass", mg_per_cm3_per_hu=0.7) == pytest.approx(7.56)
    assert calibration_factor(200, 260) == pytest.approx(0.76923, abs=1e-5)
    without = measure("calcium_mass", A6, np.ones(A6.shape, bool), spacing=(3.0, 0.5, 0.5))
    assert without.reason == "parameter_missing"


@pytest.mark.parametrize(("score", "category"), [(0, 0), (1, 1), (99, 1), (100, 2), (299, 2), (300, 3)])
def test_cac_drs(score, category):
    assert cac_drs_category(score) == category


@pytest.mark.parametrize(
    ("context", "reason"),
    [
        (Context("CT", kvp=100.0, slice_thickness_mm=3.0, is_gated=True), "kvp_outside"),
        (Context("CT", kvp=120.0, slice_thickness_mm=3.0, is_gated=None), "not_gated"),
        (Context("CT", kvp=120.0, slice_thickness_mm=5.0, is_gated=True), "slice_too_thick"),
        (Context("CT", kvp=120.0, is_gated=True), "slice_unknown"),
        (Context("CT", kvp=120.0, has_contrast=True, slice_thickness_mm=3.0, is_gated=True), "contrast"),
        (
            Context("CT", kvp=120.0, slice_thickness_mm=3.0, is_gated=True, has_header=False),
            "contrast_unknown",
        ),
        (Context("", kvp=120.0, slice_thickness_mm=3.0, is_gated=True), "modality_unknown"),
        (CARDIAC, ""),
    ],
)
def test_calcium_outside_its_limits_says_so_and_keeps_the_number(context, reason):
    found = measure("agatston", A1, np.ones(A1.shape, bool), context, spacing=(3.0, 0.5, 0.5))
    assert (found.value, found.reason, found.valid) == (pytest.approx(40), reason, not reason)


@given(st.integers(0, 600), st.integers(0, 600))
def test_agatston_adds_up_over_disjoint_lesions_and_grows_with_density(first, second):
    one, other = heart((0, 5, 5, 4, 4, first)), heart((2, 20, 20, 3, 3, second))
    assert calcium(one + other) == pytest.approx(calcium(one) + calcium(other))
    assert calcium(one) <= calcium((one + second * (one > 0)).astype(np.int16)) + 1e-9


def test_aortic_calcium_lies_in_the_wall_outside_the_mask():
    voxels = heart((1, 20, 20, 10, 10, 40), (1, 19, 22, 1, 4, 500))
    mask = np.zeros(voxels.shape, bool)
    mask[1, 20:30, 20:30] = True
    found = measure("aortic_agatston", voxels, mask, spacing=(3.0, 0.5, 0.5))
    assert found.value == pytest.approx(4)
    assert measure("agatston", voxels, mask, spacing=(3.0, 0.5, 0.5)).value == 0


@pytest.mark.parametrize(
    ("percent", "points"),
    [(0, 0), (4.9, 1), (5, 2), (25, 2), (25.0001, 3), (50, 4), (75, 4), (75.1, 5), (100, 5)],
)
def test_severity_points(percent, points):
    assert severity_points(percent) == points


def lobes_with(shares):
    voxels = np.full((5, 10, 100), -800, np.int16)
    image = Image(voxels, np.eye(4))
    opacity = np.zeros(voxels.shape, bool)
    regions = {}
    for index, (lobe, share) in enumerate(zip(LOBES, shares, strict=True)):
        lobe_mask = np.zeros(voxels.shape, bool)
        lobe_mask[index] = True
        regions[lobe] = Region(image, lobe_mask)
        opacity[index].ravel()[: round(share * 10)] = True
    return image, opacity, Context("CT", kvp=120.0, structures=regions)


def test_l2_severity_score_over_five_lobes():
    image, opacity, context = lobes_with([0, 4.9, 5, 50, 75.1])
    score = get_definition("ct_severity_score", "1")
    assert score.compute(image, opacity, context).value == 12
    image, opacity, context = lobes_with([100] * 5)
    assert score.compute(image, opacity, context).value == 25
    assert get_definition("total_severity_score", "1").compute(image, opacity, context).value == 20


def test_r2_doubling_time():
    mask = np.ones((2, 10, 10), bool)
    found = measure(
        "volume_doubling_time", mask.astype(np.int16), mask, previous_volume_ml=0.1, interval_days=90
    )
    assert found.value == pytest.approx(90)


def test_b1_muscle_index():
    assert skeletal_muscle_index(150, 1.75) == pytest.approx(48.9796, abs=1e-4)
    assert skeletal_muscle_index(90, 1.62) == pytest.approx(34.2936, abs=1e-4)


def muscle():
    values = np.repeat(np.array([-30, -29, 29, 30, 150, 151], np.int16), 100)
    return values.reshape(1, 20, 30), np.ones((1, 20, 30), bool)


def test_b2_muscle_areas_and_density():
    voxels, mask = muscle()
    assert measure("sma", voxels, mask).value == pytest.approx(4.0)
    assert measure("lama", voxels, mask).value == pytest.approx(2.0)
    assert measure("nama", voxels, mask).value == pytest.approx(2.0)
    assert measure("smra", voxels, mask).value == pytest.approx(45.0)
    assert measure("smi", voxels, mask, height_m=2.0).value == pytest.approx(1.0)
    assert measure("smi", voxels, mask).reason == "parameter_missing"


def test_the_level_is_the_middle_of_the_vertebra():
    voxels, _ = muscle()
    volume = np.repeat(voxels, 9, axis=0)
    volume[:4], volume[5:] = -100, -100
    mask = np.ones(volume.shape, bool)
    image = Image(volume, np.eye(4))
    l3 = np.zeros(mask.shape, bool)
    l3[2:7, 5:8, 5:8] = True
    context = Context("CT", structures={"vertebra_l3": Region(image, l3)})
    sma = get_definition("sma", "1")
    found = sma.compute(image, mask, context)
    assert (found.value, found.key_slice) == (pytest.approx(4.0), 4)
    assert sma.compute(image, mask, Context("CT")).reason == "level_missing"
    assert sma.compute(image, mask, context, {"level": "L1"}).reason == "level_missing"


def test_b3_visceral_interval():
    voxels = np.array([-151, -150, -50, -49], np.int16).reshape(1, 1, 4)
    assert measure("vat_volume", voxels, np.ones((1, 1, 4), bool)).value == pytest.approx(0.002)


def test_e1_epicardial_fat():
    values = np.repeat(np.array([-191, -190, -100, -30, -29], np.int16), 200).reshape(10, 10, 10)
    whole = np.ones((10, 10, 10), bool)
    context = Context("CT", kvp=120.0)
    assert measure("eat_volume", values, whole, context).value == pytest.approx(0.6)
    assert measure("eat_attenuation", values, whole, context).value == pytest.approx(-106.667, abs=1e-3)


def test_b4_calibrated_mineral_density():
    slope, intercept = calibration_line(((5.0, 0.0), (185.0, 150.0)))
    assert (slope, intercept) == (pytest.approx(0.83333, abs=1e-5), pytest.approx(-4.16667, abs=1e-5))
    voxels = np.full((30, 40, 40), 600, np.int16)
    voxels[3:-3, 3:-3, 3:-3] = 113
    mask = np.ones(voxels.shape, bool)
    assert measure("trabecular_attenuation", voxels, mask).value == 113.0
    found = measure(
        "bone_mineral_density", voxels, mask, slope_mg_per_cm3_per_hu=slope, intercept_mg_per_cm3=intercept
    )
    assert found.value == pytest.approx(90.0)


@pytest.mark.parametrize(
    ("loss", "grade"), [(0, 0), (19.9, 0), (20, 1), (24.9, 1), (25, 2), (40, 2), (40.1, 3)]
)
def test_genant_grades(loss, grade):
    assert genant_grade(loss) == grade


def test_wedge_vertebra_loses_height_in_front():
    mask = np.zeros((30, 30, 30), bool)
    mask[:, 10:30] = True
    mask[:12, :10] = True
    found = measure("vertebral_height_loss", mask.astype(np.int16), mask)
    assert found.value == pytest.approx(60.0)
    assert measure("genant_grade", mask.astype(np.int16), mask).value == 3


def test_h1_liver_and_spleen():
    voxels = np.zeros((30, 30, 60), np.int16)
    liver, spleen = np.zeros(voxels.shape, bool), np.zeros(voxels.shape, bool)
    liver[:, :, :30], spleen[:, :, 30:] = True, True
    voxels[liver], voxels[spleen] = 45, 50
    context = Context("CT", kvp=120.0, structures={"spleen": Region(Image(voxels, np.eye(4)), spleen)})
    assert measure("liver_spleen_ratio", voxels, liver, context).value == pytest.approx(0.9)
    assert measure("liver_spleen_difference", voxels, liver, context).value == pytest.approx(-5)
    assert measure("liver_pdff", voxels, liver, context).value == pytest.approx(12.1)
    assert pdff_percent(45) == pytest.approx(12.1)
    small = np.zeros(voxels.shape, bool)
    small[:3, :3, :3] = True
    assert "rim_included" in measure("liver_attenuation", voxels, small, context).warnings


def test_m1_m2_s1_heart():
    assert extracellular_volume(1000, 500, 1600, 320, 0.40) == pytest.approx(24.0)
    assert ejection_fraction(150, 60) == pytest.approx(60)
    assert body_surface_m2(180, 80) == pytest.approx(2.0)
    full, half = np.ones((1, 300, 500), bool), np.zeros((1, 300, 500), bool)
    half[:, :120] = True
    image = Image(full.astype(np.int16), np.eye(4))
    context = Context("MR", structures={"lv_end_systole": Region(image, half)})
    assert get_definition("lv_ejection_fraction", "1").compute(image, full, context).value == pytest.approx(
        60
    )
    assert get_definition("lv_stroke_volume", "1").compute(image, full, context).value == pytest.approx(90)
    assert measure("lv_mass", image.voxels, full, spacing=(2 / 3, 1, 1)).value == pytest.approx(105)


def test_g7_cortical_thickness():
    z, y, x = np.ogrid[-36:37, -36:37, -36:37]
    radius = np.sqrt(x * x + y * y + z * z)
    white, cortex = radius <= 30, (radius > 30) & (radius <= 33)
    image = Image(np.zeros(white.shape, np.int16), np.eye(4))
    context = Context("MR", structures={"white_matter": Region(image, white)})
    found = get_definition("cortical_thickness", "1").compute(image, cortex, context)
    assert found.value == pytest.approx(3.0, abs=0.2)


def aorta():
    """A cane of 15 mm radius: ascending and descending limb and the arch between them."""
    z, y, x = np.ogrid[0:150, 0:110, 0:40]
    arch = (np.hypot(z - 100, y - 55) - 32) ** 2 + (x - 20) ** 2 <= 12**2
    front = (y - 23) ** 2 + (x - 20) ** 2 <= 16**2
    back = (y - 87) ** 2 + (x - 20) ** 2 <= 12**2
    return (arch & (z >= 100)) | ((front | back) & (z < 100) & (z >= 5))


def test_aorta_is_measured_perpendicular_in_each_limb():
    mask = aorta()
    voxels = mask.astype(np.int16)
    standing = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
    region = Region(Image(voxels, standing), mask)
    diameters = {
        part: get_definition(f"aorta_{part}_diameter", "1").compute_region(region, CARDIAC)
        for part in ("ascending", "arch", "descending")
    }
    assert diameters["ascending"].value == pytest.approx(32, abs=1.5)
    assert diameters["descending"].value == pytest.approx(24, abs=1.2)
    assert 22 < diameters["arch"].value < 33
    assert diameters["ascending"].key_slice is not None
    straight = mask.copy()
    straight[100:] = False
    straight[:, 60:] = False
    assert measure("aorta_ascending_diameter", voxels, straight).reason == "level_missing"
    assert measure("aorta_max_diameter", voxels, straight).value == pytest.approx(32, abs=1.0)


def test_pet():
    voxels = np.array([[[1.0, 2.0, 3.0, 4.0]]], np.float32)
    mask = np.ones(voxels.shape, bool)
    context = Context("PT", suv_factor=1.0)
    assert measure("suv_max", voxels, mask, context).value == 4
    assert measure("suv_max", voxels, mask, Context("PT")).reason == "uptake_unknown"
    assert measure("suv_max", voxels, mask, Context("PT", has_header=False)).valid
    assert measure("suv_mean", voxels, mask, context).value == 2.5
    assert measure("mtv", voxels, mask, context).value == pytest.approx(0.004)
    assert measure("mtv", voxels, mask, context, share_of_maximum=0.7).value == pytest.approx(0.002)
    assert measure("tlg", voxels, mask, context).value == pytest.approx(0.010)
    assert math.isnan(measure("suv_max", voxels, mask, Context("CT")).value)


@pytest.mark.parametrize("name", ["laa_950", "perc_15", "ggo_percent", "agatston"])
def test_a_sharp_kernel_is_outside_what_fixed_thresholds_hold_for(name):
    voxels = np.full((5, 9, 9), -800, np.int16)
    mask = np.zeros(voxels.shape, bool)
    mask[1:4, 2:7, 2:7] = True
    for kernel, valid in (("B30f", True), ("B70f", False), ("", True)):
        context = Context("CT", kvp=120.0, slice_thickness_mm=2.5, kernel=kernel, is_gated=True)
        found = measure(name, voxels, mask, context)
        assert (found.valid, found.reason) == (valid, "" if valid else "sharp_kernel")
        assert math.isfinite(found.value)


def test_whole_structures_that_touch_the_end_are_warned_about():
    voxels = np.full((5, 9, 9), -800, np.int16)
    inside = np.zeros(voxels.shape, bool)
    inside[1:4, 2:7, 2:7] = True
    context = Context("CT", kvp=120.0, slice_thickness_mm=5.0, kernel="B30f")
    assert measure("laa_950", voxels, np.ones_like(inside), context).warnings == ("cut_off", "thick_slices")
    sharp = Context("CT", kvp=120.0, slice_thickness_mm=1.0, kernel="B70f")
    assert measure("mean_lung_density", voxels, inside, sharp).warnings == ("sharp_kernel",)
    assert measure("laa_950", voxels, inside, Context("CT", kvp=120.0)).warnings == ()
