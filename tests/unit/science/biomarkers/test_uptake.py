"""From activity to SUV, with answers by hand."""

from __future__ import annotations

import math

import pytest

from racoon.science.biomarkers.uptake import delay_between, suv_factor


def test_one_half_life_doubles_the_factor():
    assert suv_factor(70.0, 350e6, 6586.2, 0.0) == pytest.approx(70_000 / 350e6)
    assert suv_factor(70.0, 350e6, 6586.2, 6586.2) == pytest.approx(2 * 70_000 / 350e6)


def test_a_clock_goes_over_midnight():
    assert delay_between(86_400 - 1800, 1800) == 3600
    assert delay_between(36_000, 39_600) == 3600


@pytest.mark.parametrize(
    "numbers", [(0, 1, 1, 0), (70, 0, 1, 0), (70, 1e6, 0, 0), (70, 1e6, 100, -1), (70, 1e6, 100, 801)]
)
def test_what_can_not_be_is_no_number(numbers):
    assert math.isnan(suv_factor(*numbers))
