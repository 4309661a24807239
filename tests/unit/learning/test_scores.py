"""Dice and the trivial models beside it."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.learning.cases import Case
from racoon.learning.scores import Score, best_trivial, dice_per_label, score_trivial


def test_dice_of_known_overlaps() -> None:
    reference = np.zeros((1, 4, 4), np.uint8)
    reference[0, 0, :] = 1
    predicted = np.zeros_like(reference)
    predicted[0, 0, :2] = 1
    predicted[0, 1, :2] = 1
    assert dice_per_label(predicted, reference, 3) == (2 * 2 / 8, None, None)
    assert dice_per_label(reference, reference, 1) == (1.0,)
    assert dice_per_label(np.zeros_like(reference), reference, 1) == (0.0,)


def test_mean_is_over_labels_of_means_over_cases_where_defined() -> None:
    score = Score({"a": (1.0, None), "b": (0.5, 0.2)})
    assert score.per_label == (0.75, 0.2)
    assert score.mean == pytest.approx(0.475)
    assert Score({"a": (None,)}).mean == 0.0


def _case(name: str, bright: bool) -> Case:
    classes = np.zeros((5, 8, 8), np.uint8)
    classes[1:4, 2:6, 2:6] = 1
    image = np.where((classes == 1) & bright, 0.8, -0.8).astype(np.float16)
    return Case(name, image, classes)


def test_prior_knows_the_place_and_threshold_the_brightness() -> None:
    dull = score_trivial([_case("a", bright=False), _case("b", bright=False)], 1)
    assert dull["empty"].mean == 0.0
    assert dull["prior"].mean == 1.0
    assert dull["threshold"].mean < 0.5
    assert best_trivial(dull) == ("prior", 1.0)
    assert score_trivial([_case("a", bright=True), _case("b", bright=True)], 1)["threshold"].mean == 1.0


def test_prior_of_a_single_case_knows_nothing() -> None:
    assert score_trivial([_case("a", bright=False)], 1)["prior"].mean == 0.0
