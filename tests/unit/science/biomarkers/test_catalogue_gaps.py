"""Phantoms of aortic levels, ordinal calcium scores, heart segments, effusions and reticulation."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.science.biomarkers import Context, Region, get_definition
from racoon.science.biomarkers.counted import counted_region, is_counted_in_space
from racoon.science.biomarkers.heart_segments import aha_segments
from racoon.science.biomarkers.ordinal_calcium import ordinal_points, weston_points
from racoon.science.biomarkers.structures import structure_name
from racoon.science.image import Image

STANDING = np.array([[0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]])
"""Slices run to the head, rows to the back, columns to the patient's left; 1 mm."""

CHEST = {"modality": "CT", "kvp": 120.0, "slice_thickness_mm": 3.0}


def value(name, image, mask, context, **parameters):
    return get_definition(name, "1").compute(image, mask, context, parameters)


def cane():
    """Ascending 32 mm with a root of 40 mm, arch and descending 24 mm, an aneurysm of 36 mm below the kidneys."""
    z, y, x = np.ogrid[0:190, 0:120, 0:48]
    away = np.hypot(y - 26, x - 24)
    front = (away <= 16) | ((away <= 20) & (abs(z - 92) <= 6))
    back_away = np.hypot(y - 90, x - 24)
    back = (back_away <= 12) | ((back_away <= 18) & (abs(z - 20) <= 10))
    arch = (np.hypot(z - 140, y - 58) - 32) ** 2 + (x - 24) ** 2 <= 12**2
    return (arch & (z >= 140)) | (front & (z < 140) & (z >= 65)) | (back & (z < 140) & (z >= 3))


@pytest.fixture(scope="module")
def aorta():
    mask = cane()
    image = Image(np.zeros(mask.shape, np.int16), STANDING)

    def at(low, high, columns=slice(0, 5)):
        other = np.zeros(mask.shape, bool)
        other[low:high, 110:118, columns] = True
        return Region(image, other)

    structures = {
        "pulmonary_trunk": at(110, 121),
        "vertebra_t12": at(60, 71),
        "kidney_left": at(40, 51, slice(40, 46)),
        "kidney_right": at(36, 47),
    }
    return Region(image, mask), structures


@pytest.mark.parametrize(
    ("level", "diameter_mm"),
    [
        ("sinus", 40),
        ("sinotubular_junction", 32),
        ("mid_ascending", 32),
        ("proximal_arch", 24),
        ("mid_arch", 24),
        ("proximal_descending", 24),
        ("mid_descending", 24),
        ("diaphragm", 24),
        ("infrarenal", 36),
    ],
)
def test_nine_levels_of_the_aorta(aorta, level, diameter_mm):
    region, structures = aorta
    found = get_definition(f"aorta_level_{level}", "1").compute_region(
        region, Context(**CHEST, structures=structures)
    )
    assert found.reason == ""
    assert found.value == pytest.approx(diameter_mm, abs=1.5)


def test_levels_lie_at_their_landmarks(aorta):
    region, structures = aorta
    context = Context(**CHEST, structures=structures)
    slices = {
        level: get_definition(f"aorta_level_{level}", "1").compute_region(region, context).key_slice
        for level in ("mid_ascending", "mid_descending", "diaphragm", "mid_arch", "infrarenal")
    }
    assert slices["mid_ascending"] == pytest.approx(115, abs=3)
    assert slices["mid_descending"] == pytest.approx(115, abs=3)
    assert slices["diaphragm"] == pytest.approx(65, abs=3)
    assert slices["mid_arch"] == pytest.approx(172, abs=5)
    assert slices["infrarenal"] < 36


def test_levels_without_landmark_or_arch_say_so(aorta):
    region, _ = aorta
    assert (
        get_definition("aorta_level_diaphragm", "1").compute_region(region, Context(**CHEST)).reason
        == "structure_missing"
    )
    far = {
        "vertebra_t12": Region(Image(np.zeros((400, 4, 4), np.int16), STANDING), np.ones((400, 4, 4), bool))
    }
    far["vertebra_t12"].mask[:390] = False
    found = get_definition("aorta_level_diaphragm", "1").compute_region(
        region, Context(**CHEST, structures=far)
    )
    assert found.reason == "level_missing"
    straight = region.mask.copy()
    straight[130:] = False
    image = Image(np.zeros(straight.shape, np.int16), STANDING)
    assert value("aorta_level_mid_arch", image, straight, Context(**CHEST)).reason == "level_missing"


@pytest.mark.parametrize(
    ("foci", "maximum", "points"),
    [([], 0, 0), ([1], 200, 1), ([1, 1], 200, 2), ([6], 300, 2), ([1], 700, 3), ([20, 5], 900, 3)],
)
def test_weston_points(foci, maximum, points):
    assert weston_points(foci, maximum, 600) == points


@pytest.mark.parametrize(
    ("share", "points"), [(0.0, 0), (0.01, 1), (0.33, 1), (1 / 3, 2), (2 / 3, 2), (0.67, 3), (1.0, 3)]
)
def test_ordinal_points(share, points):
    assert ordinal_points(share) == points


def arteries(calcified, hu=300):
    """Four arteries of twelve 3 mm slices and 4 × 4 pixels; the first so many slices of each hold calcium."""
    voxels = np.full((12, 40, 40), 40, np.int16)
    image = Image(voxels, np.diag([3.0, 0.7, 0.7, 1.0]))
    regions = {}
    for place, (name, slices) in enumerate(calcified.items()):
        mask = np.zeros(voxels.shape, bool)
        mask[:, 2:6, 2 + 8 * place : 6 + 8 * place] = True
        voxels[:slices, 3:5, 3 + 8 * place : 5 + 8 * place] = hu
        regions[name] = mask
    whole = np.logical_or.reduce(list(regions.values()))
    return image, whole, {name: Region(image, mask) for name, mask in regions.items()}


def test_ordinal_score_adds_the_arteries():
    image, whole, structures = arteries({"left_main": 0, "lad": 3, "lcx": 6, "rca": 12})
    context = Context(**CHEST, structures=structures)
    assert value("chest_calcium_ordinal", image, whole, context).value == 0 + 1 + 2 + 3
    assert value("chest_calcium_weston", image, whole, context).value == 0 + 2 + 2 + 2
    dense, whole, structures = arteries({"lad": 1, "lcx": 0, "rca": 0}, hu=800)
    context = Context(**CHEST, structures=structures)
    assert value("chest_calcium_weston", dense, whole, context).value == 3
    assert value("chest_calcium_ordinal", dense, whole, context).value == 1


def test_scores_of_chest_ct_need_no_gating_and_all_arteries():
    image, whole, structures = arteries({"lad": 0, "lcx": 0, "rca": 0})
    found = value("chest_calcium_ordinal", image, whole, Context(**CHEST, structures=structures))
    assert (found.value, found.valid) == (0.0, True)
    del structures["lcx"]
    missing = value("chest_calcium_ordinal", image, whole, Context(**CHEST, structures=structures))
    assert missing.reason == "structure_missing"
    enhanced = Context(**CHEST, has_contrast=True, structures={**structures, "lcx": structures["lad"]})
    assert value("chest_calcium_weston", image, whole, enhanced).reason == "contrast"


def heart(flip_slices=False):
    """A ring whose voxels hold their angle from the septum over the front; the base is at the head's end."""
    _, rows, columns = np.mgrid[0:9, 0:61, 0:61]
    away = np.hypot(rows - 30, columns - 30)
    ring = (away >= 10) & (away <= 20)
    # The right ventricle lies to the patient's right: small columns.  Front is small rows.
    angle = np.degrees(np.arctan2(-(rows - 30), -(columns - 30))) % 360.0
    right = np.zeros(ring.shape, bool)
    right[3:, 25:36, 2:9] = True
    affine = STANDING.copy()
    arrays = [angle.astype(np.float32), ring, right]
    if flip_slices:
        arrays = [array[::-1].copy() for array in arrays]
        affine[2, 0], affine[2, 3] = -1.0, 8.0
    image = Image(arrays[0], affine)
    return image, arrays[1], Region(image, arrays[2])


@pytest.mark.parametrize("flip_slices", [False, True])
def test_segments_follow_the_septum_and_the_front(flip_slices):
    image, ring, right = heart(flip_slices)
    context = Context("MR", structures={"right_ventricle": right})
    expected = {
        2: 30,
        1: 90,
        6: 150,
        5: 210,
        4: 270,
        3: 330,
        8: 30,
        7: 90,
        12: 150,
        9: 330,
        13: 90,
        16: 180,
        15: 270,
    }
    for segment, degrees in expected.items():
        found = value("native_t1_segment", image, ring, context, segment=segment)
        assert found.value == pytest.approx(degrees, abs=1.5), segment
    assert 6 <= value("t2_segment", image, ring, context, segment=1).key_slice <= 8 or flip_slices


def test_enhancement_is_counted_in_each_segment():
    image, ring, right = heart()
    myocardium = Region(image, ring)
    numbers = np.zeros(ring.shape, np.uint8)
    numbers[myocardium.box.slices] = aha_segments(myocardium, right)
    voxels = np.where(ring, 100.0, 0.0)
    # Remote myocardium of 100 ± 2: bright is what lies above 110.
    voxels[numbers == 3] = np.resize([98.0, 102.0], int((numbers == 3).sum()))
    scarred = np.argwhere(numbers == 9)
    voxels[tuple(scarred[: scarred.shape[0] // 2].T)] = 111.0
    bright = Image(voxels, image.affine)
    context = Context(
        "MR",
        has_contrast=True,
        structures={
            "right_ventricle": Region(bright, right.mask, right.box),
            "remote_myocardium": Region(bright, numbers == 3),
        },
    )
    share = 100.0 * (scarred.shape[0] // 2) / scarred.shape[0]
    assert value("lge_segment", bright, ring, context, segment=9).value == pytest.approx(share)
    assert value("lge_segment", bright, ring, context, segment=10).value == 0.0
    assert value("lge_segment", bright, ring, context, segment=17).reason == "level_missing"


def test_segments_cover_the_myocardium_once():
    image, ring, right = heart()
    numbers = aha_segments(Region(image, ring), right)
    assert set(np.unique(numbers)) == set(range(17))
    assert np.count_nonzero(numbers) == np.count_nonzero(ring)
    counts = np.bincount(numbers.ravel())[1:]
    assert counts[:12].min() > 0.9 * counts[:12].max()


def test_a_segment_that_does_not_exist_has_no_value():
    image, ring, right = heart()
    context = Context("MR", structures={"right_ventricle": right})
    assert value("ecv_segment", image, ring, context, segment=17).reason == "level_missing"
    assert value("ecv_segment", image, ring, context).reason == "parameter_missing"
    assert value("ecv_segment", image, ring, Context("MR"), segment=1).reason == "structure_missing"


def test_effusion_density_and_reticulation():
    voxels = np.zeros((2, 10, 10), np.int16)
    voxels[0], voxels[1] = 10, 20
    image = Image(voxels, np.eye(4))
    assert value("effusion_density", image, np.ones(voxels.shape, bool), Context("CT")).value == 15
    lung = np.ones(voxels.shape, bool)
    reticulation = np.zeros(voxels.shape, bool)
    reticulation[0, :5] = True
    context = Context("CT", structures={"lung": Region(image, lung)})
    assert value("reticular_percent", image, reticulation, context).value == pytest.approx(25.0)
    assert structure_name("Lung reticulation") == "reticulation"
    assert structure_name("Right ventricle") == "right_ventricle"


def test_vessels_are_flagged_above_their_limit():
    _, y, x = np.mgrid[-50:51, -25:26, -25:26]
    mask = np.hypot(y, x) <= 14.2
    region = Region(Image(np.zeros(mask.shape, np.int16), STANDING), mask)

    def flag(**parameters):
        return get_definition("pulmonary_trunk_dilated", "1").compute_region(
            region, Context("CT"), parameters
        )

    # About 28.4 mm: above the limit of women, below that of men.
    assert (flag(sex="F").value, flag(sex="M").value) == (1.0, 0.0)
    assert flag(limit_mm=28.0).value == 1.0
    assert flag().reason == "parameter_missing"
    assert flag(sex="F").evidence["plane"]["circle_mm"] == pytest.approx(28.4, abs=0.5)


def test_late_enhancement_in_grams_and_by_half_maximum():
    voxels = np.zeros((10, 10, 20), np.int16)
    voxels[:, :, :10], voxels[:, :, 15:] = 10, 100
    voxels[0, 0, 0] = 12
    image = Image(voxels, STANDING)
    myocardium = np.ones(voxels.shape, bool)
    remote = np.zeros(voxels.shape, bool)
    remote[:, :, :10] = True
    context = Context("MR", has_contrast=True, structures={"remote_myocardium": Region(image, remote)})
    assert value("lge_half_maximum", image, myocardium, context).value == pytest.approx(25.0)
    mass = value("lge_mass", image, myocardium, context).value
    percent = value("lge_percent", image, myocardium, context).value
    assert mass == pytest.approx(percent / 100 * 2.0 * 1.05)
    assert mass > 0.5


def test_bone_density_from_blood_and_fat_of_the_same_scan():
    voxels = np.full((30, 30, 60), -100, np.int16)
    voxels[5:25, 5:25, 5:25] = 140
    voxels[:, :, 40:45] = 40
    image = Image(voxels, STANDING)
    vertebra, aorta, fat = (np.zeros(voxels.shape, bool) for _ in range(3))
    vertebra[5:25, 5:25, 5:25] = aorta[:, :, 40:45] = fat[:, :, 50:] = True
    context = Context(
        "CT", structures={"aorta": Region(image, aorta), "subcutaneous_fat": Region(image, fat)}
    )
    found = value(
        "bone_mineral_density_phantomless",
        image,
        vertebra,
        context,
        blood_mg_per_cm3=30.0,
        fat_mg_per_cm3=-75.0,
    )
    # 0.75 mg/cm³ per HU, zero at 0 HU.
    assert found.value == pytest.approx(105.0)
    assert value("bone_mineral_density_phantomless", image, vertebra, context).reason == "parameter_missing"


def test_the_mean_diameter_of_a_nodule_shows_both_axes():
    y, x = np.mgrid[-20:21, -20:21]
    mask = ((x / 12) ** 2 + (y / 6) ** 2 <= 1)[None].repeat(3, axis=0)
    image = Image(np.zeros(mask.shape, np.int16), STANDING)
    found = value("nodule_mean_diameter", image, mask, Context("CT"))
    long_axis = value("lesion_long_axis", image, mask, Context("CT")).value
    short_axis = value("lesion_short_axis", image, mask, Context("CT")).value
    assert found.value == pytest.approx((long_axis + short_axis) / 2)
    assert len(found.evidence["lines_mm"]) == 2


def test_mass_of_the_right_ventricle() -> None:
    image = Image(np.zeros((10, 10, 10), np.int16), np.diag([1.0, 1.0, 2.0, 1.0])[:, [2, 1, 0, 3]])
    wall = np.zeros(image.shape, bool)
    wall[2:7, 2:8, 2:8] = True
    found = get_definition("rv_mass", "1").compute_region(Region(image, wall), Context("MR"))
    assert found.value == pytest.approx(1.05 * 5 * 6 * 6 * 2.0 / 1000.0)
    assert structure_name("right ventricle myocardium", None) == "rv_myocardium"


def test_involvement_of_a_lobe() -> None:
    image = Image(np.full((10, 10, 10), -700, np.int16), np.eye(4)[:, [2, 1, 0, 3]])
    lobe, opacity = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    lobe[:, :5], opacity[:, 3:8, :4] = True, True
    context = Context("CT", structures={"lung_opacity": Region(image, opacity)})
    definition = get_definition("lobe_involvement", "1")
    assert definition.compute_region(Region(image, lobe), context).value == pytest.approx(
        100 * 10 * 2 * 4 / 500
    )
    assert definition.compute_region(Region(image, lobe), Context("CT")).reason == "structure_missing"


def test_what_counts_lies_where_the_value_was_taken() -> None:
    _z, y, x = np.mgrid[:24, :40, :40]
    away = np.hypot(y - 20, x - 20)
    voxels = np.where((away > 8) & (away < 12), -80, 40).astype(np.int16)
    voxels[10, 20, 29] = voxels[10, 20, 30] = 500
    image = Image(voxels, np.eye(4)[:, [2, 1, 0, 3]])
    vessel = Region(image, away <= 8)
    calcium = get_definition("aortic_agatston", "1")
    measured = calcium.compute_region(vessel, Context("CT", 120.0, slice_thickness_mm=1.0))
    wall = counted_region("aortic_agatston", vessel, {}, measured.parameters)
    # The mask ends at column 28; the margin reaches what lies in the wall behind it.
    assert wall is not None
    assert wall.box is not None
    assert (wall.voxel_count, wall.box.start) == (2, (10, 20, 29))
    fat = get_definition("pcat_attenuation", "1").compute_region(vessel, Context("CT", 120.0))
    around = counted_region("pcat_attenuation", vessel, {}, fat.parameters)
    assert around is not None
    assert around.mean == pytest.approx(fat.value) == pytest.approx(-80.0)
    box = np.zeros(image.shape, bool)
    box[2:22, 4:36, 4:36] = True
    for name in ("liver_attenuation", "trabecular_attenuation"):
        value = get_definition(name, "1").compute_region(Region(image, box), Context("CT", 120.0))
        core = counted_region(name, Region(image, box), {}, value.parameters)
        assert is_counted_in_space(name, value.parameters)
        assert core is not None
        assert core.mean == pytest.approx(value.value)
        assert 0 < core.voxel_count < box.sum()


def test_parts_of_the_brain_are_shares_of_the_skulls_inside():
    image = Image(np.zeros((10, 10, 10), np.int16), STANDING)
    inside = np.ones(image.shape, bool)
    cortex = np.zeros(image.shape, bool)
    cortex[2:6, 2:6, 2:7] = True
    context = Context("MR", structures={"intracranial_volume": Region(image, inside)})
    assert value("intracranial_percent", image, cortex, context).value == pytest.approx(8.0)
    assert value("intracranial_percent", image, cortex, Context("MR")).reason == "structure_missing"
