"""Masks that do not look like their name, and values that do not look like the others."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.science.biomarkers import Region
from racoon.science.biomarkers.plausibility import EXPECTED, doubts_about, outlier_scores, swapped_sides
from racoon.science.biomarkers.structures import structure_name
from racoon.science.image import Image


def region(mask, hu=50, spacing=10.0, flip=1.0):
    """Voxels of one ml; ``x`` runs along the columns."""
    affine = np.eye(4)
    affine[:3, :3] = spacing * np.array([[0, 0, flip], [0, 1, 0], [1, 0, 0]])
    return Region(Image(np.full(mask.shape, hu, np.int16), affine), mask)


def box(slices, rows, columns, shape=(20, 20, 20)):
    mask = np.zeros(shape, bool)
    mask[slices, rows, columns] = True
    return mask


LIVER = box(slice(2, 12), slice(2, 12), slice(2, 14))


def test_a_plausible_liver_raises_no_doubt():
    assert doubts_about("liver", region(LIVER), "CT") == ()


def test_volume_density_and_parts_are_compared():
    small = region(box(slice(5, 8), slice(5, 8), slice(5, 8)))
    (doubt,) = doubts_about("liver", small, "CT")
    assert doubt.code == "volume"
    assert doubt.numbers == {"value": pytest.approx(27.0), "low": 400.0, "high": 5000.0}
    (doubt,) = doubts_about("liver", region(LIVER, hu=-800), "CT")
    assert (doubt.code, doubt.numbers["value"]) == ("density", -800.0)
    assert doubts_about("liver", region(LIVER, hu=-800), "MR") == ()
    scattered = LIVER | box(slice(15, 18), slice(2, 12), slice(2, 12))
    (doubt,) = doubts_about("liver", region(scattered), "CT")
    assert doubt.code == "scattered"
    assert doubt.numbers == {"parts": 2.0, "share": pytest.approx(80.0)}
    assert [doubt.code for doubt in doubts_about("liver", region(np.zeros((4, 4, 4), bool)), "CT")] == [
        "empty"
    ]


def test_an_organ_that_the_scan_cuts_off_may_be_small_and_not_large():
    at_end = region(box(slice(0, 3), slice(5, 8), slice(5, 8)))
    assert doubts_about("liver", at_end, "CT") == ()
    huge = region(np.ones((20, 20, 20), bool))
    assert [doubt.code for doubt in doubts_about("liver", huge, "CT")] == ["volume"]


def test_an_unknown_structure_is_not_judged():
    assert doubts_about("no_such_thing", region(LIVER, hu=3000), "CT") == ()
    assert all(structure_name(name) == name for name in EXPECTED)


@pytest.mark.parametrize("flip", [1.0, -1.0])
def test_swapped_sides_are_found_whichever_way_the_columns_run(flip):
    low, high = region(LIVER, flip=flip), region(np.roll(LIVER, 6, axis=2), flip=flip)
    left, right = (high, low) if flip > 0 else (low, high)
    assert swapped_sides({"kidney_left": left, "kidney_right": right, "liver": left}) == ()
    assert swapped_sides({"kidney_left": right, "kidney_right": left}) == ("kidney",)
    assert swapped_sides({"kidney_left": right}) == ()


def test_outliers_are_far_from_the_median_in_robust_deviations():
    values = [float(number) for number in range(100, 120)] + [400.0]
    scores = outlier_scores(values)
    # Median 110, MAD 5: (400 - 110) / (1.4826 · 5).
    assert scores[-1] == pytest.approx(290 / (1.4826 * 5))
    assert max(scores[:-1]) < 2
    assert outlier_scores(values[:10]) == [0.0] * 10
    assert outlier_scores([3.0] * 30 + [9.0]) == [0.0] * 31
