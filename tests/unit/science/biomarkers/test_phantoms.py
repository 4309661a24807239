"""Attenuation phantoms with exact answers, and what happens where there is no answer."""

import math

import numpy as np
import pytest

from racoon.errors import Refused
from racoon.science.biomarkers import CATALOGUE, REASONS, Context, Region, get_definition
from racoon.science.image import Image

CHEST = Context("CT", kvp=120.0)


def row(*counts_and_values, spacing=(1.0, 1.0, 1.0), dtype=np.int16):
    """An image of one row of voxels, all of them in the mask."""
    voxels = np.concatenate([np.full(count, value, dtype) for count, value in counts_and_values])
    image = Image(voxels.reshape(1, 1, -1), np.diag([*spacing, 1.0]))
    return image, np.ones(image.voxels.shape, bool)


def measure(name, image, mask, context=CHEST, **parameters):
    return get_definition(name, "1").compute(image, mask, context, parameters)


LUNG = ((100, -951), (100, -950), (300, -870), (400, -600), (100, -50))


def test_lung_phantom():
    image, mask = row(*LUNG)
    assert measure("laa_950", image, mask).value == 10.0
    assert measure("laa_950", image, mask, threshold_hu=-949).value == 20.0
    assert measure("mean_lung_density", image, mask).value == pytest.approx(-696.1)
    assert measure("perc_15", image, mask).value == -950
    assert measure("high_attenuation_area", image, mask).value == 40.0
    assert measure("lung_mass", image, mask).value / measure("volume", image, mask).value == pytest.approx(
        0.3039
    )


def test_fat_phantom():
    image, mask = row((200, -191), (200, -190), (200, -100), (200, -30), (200, -29))
    assert measure("fat_volume", image, mask).value == pytest.approx(0.6)
    assert measure("fat_attenuation", image, mask).value == pytest.approx(-320 / 3)


def test_muscle_phantom():
    image, mask = row((100, -30), (100, -29), (100, 29), (100, 30), (100, 150), (100, 151))
    # 4 cm² of 1 mm slices are 0.4 ml; LAMA and NAMA are the same rule with other limits.
    assert measure("muscle_range_volume", image, mask).value == pytest.approx(0.4)
    assert measure("muscle_range_volume", image, mask, upper_hu=29).value == pytest.approx(0.2)
    assert measure("muscle_range_volume", image, mask, lower_hu=30).value == pytest.approx(0.2)
    assert measure("muscle_range_attenuation", image, mask).value == 45.0


def test_visceral_interval_is_closed():
    image, mask = row((1, -151), (1, -150), (1, -50), (1, -49))
    assert measure("fat_volume", image, mask, lower_hu=-150, upper_hu=-50).value == pytest.approx(0.002)


def test_mean_and_sd_of_a_structure():
    image, mask = row((2, 40), (2, 60))
    assert measure("mean_density", image, mask).value == 50.0
    assert measure("density_sd", image, mask).value == 10.0


def test_involvement_is_the_same_whether_the_lung_mask_holds_the_opacity_or_not():
    image, _ = row((10, -800))
    opacity, with_it, without_it = (np.zeros((1, 1, 10), bool) for _ in range(3))
    opacity[..., :2] = with_it[..., :8] = without_it[..., 2:8] = True
    for lungs in (with_it, without_it):
        context = Context("CT", kvp=120.0, reference=Region(image, lungs))
        assert measure("opacity_involvement", image, opacity, context).value == 25.0


def test_lesions_are_measured_one_by_one_and_the_largest_counts():
    voxels = np.zeros((5, 20, 20), np.int16)
    mask = np.zeros(voxels.shape, bool)
    mask[1, 2:4, 2:4] = True
    mask[3, 8:18, 10] = True
    image = Image(voxels, np.diag([5.0, 1.0, 1.0, 1.0]))
    assert measure("lesion_count", image, mask).value == 2
    assert measure("lesion_count", image, mask, smallest_voxels=5).value == 1
    found = measure("lesion_long_axis", image, mask)
    assert found.value == pytest.approx(math.hypot(10, 1))
    assert found.key_slice == 3
    assert measure("lesion_max_diameter", image, mask).value == pytest.approx(math.sqrt(100 + 1 + 25))


@pytest.mark.parametrize("definition", CATALOGUE.values(), ids=lambda definition: definition.key)
def test_nothing_to_measure_is_nan_with_a_reason_and_never_zero(definition):
    image, mask = row((5, 40))
    modality = next(iter(definition.validity.modalities or {"CT"}))
    found = definition.compute(image, np.zeros_like(mask), Context(modality, kvp=120.0))
    assert math.isnan(found.value)
    assert (found.valid, found.reason) == (False, "empty_mask")
    assert found.public_reason


@pytest.mark.parametrize("definition", CATALOGUE.values(), ids=lambda definition: definition.key)
def test_every_definition_is_complete(definition):
    assert definition.title_de
    assert definition.title_en
    assert definition.unit
    assert definition.formula
    assert definition.source
    image, mask = row((5, 40), (4, -800))
    modality = next(iter(definition.validity.modalities or {"CT"}))
    whole = Region(image, mask)
    others = dict.fromkeys(definition.needs, whole)
    context = Context(
        modality, kvp=120.0, kernel="B", slice_thickness_mm=1.0, reference=whole, structures=others
    )
    found = definition.compute(image, mask, context, dict.fromkeys(definition.required, 1.5))
    # The limit of the pulmonary trunk needs the sex or a limit of its own.
    known = {"nothing_in_range", "no_tube", "level_missing"} | (
        {"parameter_missing"} if definition.id == "pulmonary_trunk_dilated" else set()
    )
    assert math.isfinite(found.value) or found.reason in known
    assert (
        definition.needs == ()
        or definition.compute(
            image, mask, Context(modality, kvp=120.0), dict.fromkeys(definition.required, 1.5)
        ).reason
        == "structure_missing"
    )
    assert not definition.required or definition.compute(image, mask, context).reason == "parameter_missing"
    assert found.unit == definition.unit
    assert found.parameters["kernel"] == "B"


@pytest.mark.parametrize(
    ("name", "context", "reason"),
    [
        ("laa_950", Context("CT", kvp=100.0), "kvp_outside"),
        ("laa_950", Context("CT"), "kvp_unknown"),
        ("laa_950", Context("CT", kvp=120.0, has_contrast=True), "contrast"),
        ("lung_mass", Context("CT", has_contrast=True), "contrast"),
    ],
)
def test_outside_its_limits_a_value_is_shown_as_not_valid(name, context, reason):
    found = measure(name, *row(*LUNG), context)
    assert math.isfinite(found.value)
    assert (found.valid, found.reason) == (False, reason)


def test_density_of_another_modality_does_not_exist():
    assert measure("mean_density", *row((5, 40)), Context("MR")).reason == "wrong_modality"
    assert measure("mean_intensity", *row((5, 40)), Context("CT")).reason == "wrong_modality"
    assert measure("mean_intensity", *row((5, 40)), Context("MR")).value == 40
    assert measure("volume", *row((5, 40)), Context("MR")).valid


def test_values_that_are_no_numbers_make_densities_unknown_and_leave_volumes_alone():
    image, mask = row((3, 40.0), (1, math.nan), dtype=np.float32)
    assert measure("mean_density", image, mask).reason == "not_finite"
    assert measure("fat_volume", image, mask).reason == "not_finite"
    assert math.isnan(measure("mean_density", image, mask).value)
    assert measure("volume", image, mask).value == pytest.approx(0.004)


def test_missing_reference_is_a_reason():
    image, mask = row((3, -500))
    assert measure("opacity_involvement", image, mask).reason == "reference_missing"
    empty = Context("CT", kvp=120.0, reference=Region(image, np.zeros_like(mask)))
    assert measure("opacity_involvement", image, mask, empty).reason == "reference_missing"


def test_unknown_names_are_refused():
    with pytest.raises(Refused, match="not installed"):
        get_definition("volume", "99")
    with pytest.raises(ValueError, match="no parameter"):
        measure("volume", *row((3, 1)), lower_hu=3)
    with pytest.raises(ValueError, match="wrong type"):
        measure("fat_volume", *row((3, 1)), lower_hu="3")
    with pytest.raises(ValueError, match="shape"):
        Region(row((3, 1))[0], np.ones((1, 1, 4), bool))


def test_reasons_have_words_in_both_languages():
    assert all(german and english for german, english in REASONS.values())
