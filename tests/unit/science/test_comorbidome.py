"""Z-scores, frailty and age gaps."""

import math

import numpy as np
import pytest

from racoon.science.comorbidome import AgeGap, ReferenceLine, frailty_index, z_scores


def test_z_scores_know_age_and_missing_values():
    reference = {
        "smi": ReferenceLine(60.0, -0.2, 5.0, 100, "made up"),
        "laa_950": ReferenceLine(0.0, 0.0, 2.0, 100, "made up"),
    }
    found = z_scores({"smi": 40.0}, 50.0, reference)
    assert found["smi"] == pytest.approx(-2.0)
    assert math.isnan(found["laa_950"])
    with pytest.raises(ValueError, match="positive"):
        ReferenceLine(0, 0, 0, 3, "").z_score(1, 2)


def test_frailty_is_the_share_of_known_deficits():
    found = frailty_index({"a": 1, "b": 0, "c": 0.5, "d": 0, "e": None})
    assert (found.index, found.considered, found.missing) == (pytest.approx(0.375), 4, 1)
    assert found.is_frail
    unknown = frailty_index({"a": 1, "b": None})
    assert math.isnan(unknown.index)
    assert not unknown.is_frail
    assert math.isnan(frailty_index({}).index)
    with pytest.raises(ValueError, match="between"):
        frailty_index({"a": 2})


def test_the_corrected_gap_has_no_trend_with_age():
    age = np.linspace(20, 80, 61)
    predicted = 50 + 0.6 * (age - 50) + np.sin(age)
    model = AgeGap.fit(predicted, age)
    gaps = [model.corrected(guess, own) for guess, own in zip(predicted, age, strict=True)]
    assert np.polyfit(age, gaps, 1) == pytest.approx([0, 0], abs=1e-9)
    assert model.slope == pytest.approx(-0.4, abs=0.02)
    assert model.corrected(60.0, 50.0) == pytest.approx(10.0, abs=0.3)
    assert 0 < model.residual_sd < 1
    with pytest.raises(ValueError, match="three"):
        AgeGap.fit([1, 2], [1, 2])
