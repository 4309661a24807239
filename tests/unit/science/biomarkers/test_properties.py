"""Laws of every biomarker: flips, upsampling, additivity, monotonicity."""

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from racoon.science.biomarkers import CATALOGUE, Context, Region, get_definition
from racoon.science.image import Image

DIRECTED = {"lesion_short_axis", "nodule_mean_diameter", "vertebral_height_loss", "genant_grade"}
"""Equal long axes may lie in several directions; vertebrae have a front."""

TUBES = {definition.id for definition in CATALOGUE.values() if "reach_mm" in definition.defaults} | {
    "pcat_attenuation"
}
"""Nothing of a few random voxels is a tube; shapes that are have their own tests."""

RESAMPLED = DIRECTED | {
    "surface_area",
    "sphericity",
    "cortical_thickness",
    "chest_calcium_weston",
    "chest_calcium_ordinal",
    *(
        definition.id
        for definition in CATALOGUE.values()
        if {"erosion_mm", "margin_mm", "level"} & set(definition.defaults)
    ),
}
"""What a finer grid may change: a staircase surface has more steps, and a margin in millimetres ends between voxels.

Their values are checked against shapes with a known answer instead."""
"""Marching cubes cut corners of voxels, rims are counted in voxels, a level is one slice.

Weston's score counts pixels; a piece of an artery holds the centres of its voxels."""

WHOLE_CATALOGUE = settings(max_examples=min(settings().max_examples, 200))
"""Each example computes every definition twice: two hundred of them are forty thousand values."""

shapes = st.tuples(*[st.integers(1, 5)] * 3)


@st.composite
def scans(draw):
    shape = draw(shapes)
    voxels = draw(arrays(np.int16, shape, elements=st.integers(-1024, 3071)))
    mask = draw(arrays(bool, shape, fill=st.nothing()))
    spacing = [draw(st.floats(0.4, 5)) for _ in range(3)]
    return voxels, mask, np.diag([*spacing, 1.0])


def everything(voxels, mask, affine):
    image = Image(voxels, affine)
    whole = Region(image, np.ones(mask.shape, bool))
    found = {}
    for key, definition in CATALOGUE.items():
        if definition.id in TUBES:
            continue
        modality = next(iter(definition.validity.modalities or {"CT"}))
        others = dict.fromkeys(definition.needs, whole)
        context = Context(modality, kvp=120.0, reference=whole, structures=others)
        found[key] = definition.compute(image, mask, context, dict.fromkeys(definition.required, 1.5))
    return found


def same(first, second, exempt=DIRECTED):
    return all(
        second[key].reason == value.reason
        and (math.isnan(value.value) or math.isclose(value.value, second[key].value, rel_tol=1e-9))
        for key, value in first.items()
        if key.partition("@")[0] not in exempt
    )


@WHOLE_CATALOGUE
@given(scans(), st.integers(0, 2))
def test_flips_change_nothing(scan, axis):
    voxels, mask, affine = scan
    moved = affine.copy()
    moved[:3, 3] += affine[:3, axis] * (mask.shape[axis] - 1)
    moved[:3, axis] *= -1
    assert same(everything(*scan), everything(np.flip(voxels, axis), np.flip(mask, axis), moved))


@WHOLE_CATALOGUE
@given(scans())
def test_nearest_neighbour_upsampling_changes_nothing(scan):
    voxels, mask, affine = scan
    finer = affine.copy()
    finer[:3, :3] /= 2
    doubled = [array.repeat(2, 0).repeat(2, 1).repeat(2, 2) for array in (voxels, mask)]
    assert same(everything(*scan), everything(*doubled, finer), RESAMPLED)


@given(scans(), st.data())
def test_volumes_add_up_over_disjoint_parts(scan, data):
    voxels, mask, affine = scan
    split = data.draw(arrays(bool, mask.shape, fill=st.nothing()))
    image = Image(voxels, affine)
    for name in ("volume", "fat_volume", "muscle_range_volume", "bone_range_volume"):
        definition = get_definition(name, "1")
        values = [
            definition.compute(image, part, Context("CT")).value
            for part in (mask & split, mask & ~split, mask)
        ]
        first, second, whole = (0.0 if math.isnan(value) else value for value in values)
        assert math.isclose(first + second, whole, rel_tol=1e-9, abs_tol=1e-12)


@WHOLE_CATALOGUE
@given(scans().filter(lambda scan: scan[1].any()), st.integers(1, 50))
def test_denser_tissue_never_lowers_a_density(scan, more):
    voxels, mask, affine = scan
    before, after = (
        everything(voxels, mask, affine),
        everything((voxels + more).astype(np.int16), mask, affine),
    )
    for key in ("mean_density@1", "mean_lung_density@1", "perc_15@1", "lung_mass@1"):
        assert after[key].value >= before[key].value
    assert after["laa_950@1"].value <= before["laa_950@1"].value
    assert math.isclose(after["mean_density@1"].value, before["mean_density@1"].value + more, abs_tol=1e-9)
    assert math.isclose(after["density_sd@1"].value, before["density_sd@1"].value, abs_tol=1e-9)


@WHOLE_CATALOGUE
@given(scans())
def test_integers_and_floats_of_the_same_image_agree(scan):
    voxels, mask, affine = scan
    assert same(everything(voxels, mask, affine), everything(voxels.astype(np.float32), mask, affine))


POWERS = {
    "volume": 3,
    "fat_volume": 3,
    "surface_area": 2,
    "max_diameter": 1,
    "lesion_long_axis": 1,
    "sphericity": 0,
    "mean_density": 0,
    "laa_950": 0,
}
"""How a value grows with the length of a voxel."""


@WHOLE_CATALOGUE
@given(scans().filter(lambda scan: scan[1].any()), st.floats(0.1, 10.0))
def test_lengths_in_another_unit_and_back_give_the_same_value(scan, factor):
    voxels, mask, affine = scan
    context = Context("CT", kvp=120.0)

    def measured(name, scaled):
        return get_definition(name, "1").compute(Image(voxels, scaled), mask, context).value

    longer = np.diag([factor, factor, factor, 1.0]) @ affine
    back = np.diag([1 / factor, 1 / factor, 1 / factor, 1.0]) @ longer
    for name, power in POWERS.items():
        here = measured(name, affine)
        if not math.isnan(here):
            assert math.isclose(measured(name, longer), here * factor**power, rel_tol=1e-6), name
            assert math.isclose(measured(name, back), here, rel_tol=1e-6), name


@WHOLE_CATALOGUE
@given(scans().filter(lambda scan: scan[1].any()), st.floats(0.2, 3.0), st.floats(-50.0, 50.0))
def test_densities_in_another_unit_and_back_give_the_same_value(scan, slope, intercept):
    voxels, mask, affine = scan
    image, context = Image(voxels, affine), Context("CT", kvp=120.0)
    percentile, grams = (
        get_definition(name, "1").compute(image, mask, context).value
        for name in ("perc_15", "perc_15_density")
    )
    # 0 HU is 1000 g/L and −1000 HU is 0: a step of one is the same in both.
    assert math.isclose(grams - 1000.0, percentile, abs_tol=1e-9)
    calibration = {"slope_mg_per_cm3_per_hu": slope, "intercept_mg_per_cm3": intercept}
    trabecular, mineral = (
        get_definition(name, "1").compute(image, mask, context, parameters).value
        for name, parameters in (("trabecular_attenuation", {}), ("bone_mineral_density", calibration))
    )
    if not math.isnan(trabecular):
        assert math.isclose((mineral - intercept) / slope, trabecular, rel_tol=1e-9, abs_tol=1e-6)


def test_equal_parts_of_a_vertebra_count_alike_whichever_comes_first():
    mask = np.zeros((9, 9, 20), bool)
    mask[:, :, 1:8] = mask[:, :, 12:19] = True
    voxels = np.zeros(mask.shape, np.int16)
    voxels[:, :, :10] = 100
    definition = get_definition("trabecular_attenuation", "1")
    found = [
        definition.compute(
            Image(voxels[:, :, ::step], np.eye(4)), mask[:, :, ::step], Context("CT"), {"erosion_mm": 1.0}
        )
        for step in (1, -1)
    ]
    assert found[0].value == found[1].value == 50.0
