"""Whoever drew a mask, the rule finds it."""

import numpy as np
import pytest

from racoon.domain.coding import Code
from racoon.science.biomarkers import Context, Region
from racoon.science.biomarkers.panel import Structure, UnknownChoice, choose, measure_panel, with_wholes
from racoon.science.biomarkers.structures import family, structure_name
from racoon.science.image import Image


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("Lung-Left", "lung_left"),
        ("left_lung", "lung_left"),
        ("Lung L", "lung_left"),
        ("Lungs", "lung"),
        ("Left Main", "left_main"),
        ("LAD", "lad"),
        ("vertebrae_L3", "vertebra_l3"),
        ("L3", "vertebra_l3"),
        ("Th12", "th12"),
        ("vertebra Th12", "vertebra_t12"),
        ("GTV-1", "tumour"),
        ("lung_upper_lobe_left", "lung_upper_lobe_left"),
        ("kidney_right", "kidney_right"),
        ("", ""),
        ("something else", "something_else"),
    ],
)
def test_names(written, name):
    assert structure_name(written) == name


def test_a_code_wins_over_a_name():
    assert structure_name("ROI 7", Code("10200004", "SCT")) == "liver"
    assert structure_name("liver", Code("1", "99LOCAL")) == "liver"


def test_kinds():
    assert "vertebra" in family("vertebra_l1")
    assert {"lesion", "nodule"} <= family("nodule_3")
    assert family("liver") == {"liver"}


def scan():
    image = Image(np.full((4, 10, 20), -800, np.int16), np.eye(4))
    left, right = np.zeros(image.shape, bool), np.zeros(image.shape, bool)
    left[..., :10], right[..., 10:] = True, True
    sides = [
        Structure("lung_left", "L", Region(image, left), (0,)),
        Structure("lung_right", "R", Region(image, right), (1,)),
    ]
    return image, sides


def test_both_lungs_are_built_from_their_sides():
    image, sides = scan()
    whole = with_wholes(image, sides)[-1]
    assert (whole.name, whole.region.voxel_count, whole.members) == ("lung", 800, (0, 1))
    assert len(with_wholes(image, sides[:1])) == 1


def test_a_panel_measures_what_fits_and_names_what_is_missing():
    image, sides = scan()
    structures = with_wholes(image, sides)
    context = Context("CT", kvp=120.0)
    rows = measure_panel(structures, context, choose(["mean_lung_density", "liver_attenuation@1"]), {})
    assert [(row.definition.id, row.structure and row.structure.name, row.value.reason) for row in rows] == [
        ("mean_lung_density", "lung_left", ""),
        ("mean_lung_density", "lung_right", ""),
        ("mean_lung_density", "lung", ""),
        ("liver_attenuation", None, "mask_missing"),
    ]
    fitting = {row.definition.id for row in measure_panel(structures, context, None, {})}
    assert "laa_950" in fitting
    assert not {"liver_attenuation", "mean_intensity", "agatston"} & fitting
    with pytest.raises(UnknownChoice):
        choose(["nothing"])
