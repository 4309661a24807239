"""Pooling, scores, plots and words of the result."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.central.results.model import SiteRelease, pool_measurements, summarise_training
from racoon.central.results.plots import bars, curves, forest, histogram, nice_ticks
from racoon.central.words import number_text
from racoon.science.statistics import FixedBins, Moments
from racoon.web.words import tone, words_of

LABEL = {"value": "1", "scheme": "SCT", "meaning": "Liver <&>"}
PLAN = {"measurements": [{"key": "volume@1 SCT:1", "biomarker": "volume", "version": "1", "label": LABEL}]}
BINS = FixedBins(0, 10, 1)


def release(site: str, values: list[float] | None, **changed: Any) -> SiteRelease:
    item: dict[str, Any] = {"key": "volume@1 SCT:1", "unit": "mL", "moments": None, "histogram": None}
    if values is not None:
        item |= {"moments": Moments.of(values).to_dict(), "histogram": BINS.count_values(values).to_dict()}
    return SiteRelease(site, {"measurements": [{**item, **changed}]})


numbers = st.lists(st.floats(-5, 15, allow_nan=False), min_size=2, max_size=8)


@given(st.lists(numbers, min_size=1, max_size=4), st.randoms())
def test_pooled_mean_and_sd_are_those_of_all_values_in_any_order(
    parts: list[list[float]], random: Any
) -> None:
    releases = [release(f"S{index}", values) for index, values in enumerate(parts)]
    releases.append(release("SUPPRESSED", None))
    shuffled = list(releases)
    random.shuffle(shuffled)
    (row,), (again,) = pool_measurements(PLAN, releases), pool_measurements(PLAN, shuffled)
    assert row == again
    values = [value for part in parts for value in part]
    mean = math.fsum(values) / len(values)
    assert row["n"] == len(values)
    assert row["mean"] == pytest.approx(mean, abs=1e-9)
    variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
    assert row["sd"] == pytest.approx(math.sqrt(variance), abs=1e-9)
    assert row["suppressed_sites"] == ["SUPPRESSED"]


def test_site_with_another_unit_is_not_mixed_in() -> None:
    releases = [release("ALPHA", [1.0, 2.0]), release("BRAVO", [1000.0, 2000.0], unit="uL")]
    (row,) = pool_measurements(PLAN, releases)
    assert (row["n"], row["sites"], row["suppressed_sites"]) == (2, ["ALPHA"], ["BRAVO"])
    assert row["suppressed"][0]["site"] == "BRAVO"


def test_reasons_stand_with_the_measurement_they_concern() -> None:
    entry = {"code": "c", "public_reason": "r"}
    suppressed = [{**entry, "part": "volume@1 SCT:1: all"}, {**entry, "part": "volume@1 SCT:12: all"}]
    releases = [SiteRelease("ALPHA", release("ALPHA", None).payload, suppressed)]
    (row,) = pool_measurements(PLAN, releases)
    assert [item["part"] for item in row["suppressed"]] == ["volume@1 SCT:1: all"]


def test_nothing_released_gives_no_number() -> None:
    (row,) = pool_measurements(PLAN, [release("ALPHA", None), SiteRelease("BRAVO", {})])
    assert (row["n"], row["mean"], row["sd"]) == (0, None, None)


def test_scores_of_several_evaluation_sites_are_pooled_by_case() -> None:
    def score(n: int, dice: float) -> dict[str, Any]:
        return {"mean_dice": dice, "labels": [{"n": n, "sum": n * dice, "sum_of_squares": n * dice * dice}]}

    releases = [
        SiteRelease(
            "H1", {"cases": 1, "models": {"federated": score(1, 0.5), "baseline:prior": score(1, 0.1)}}
        ),
        SiteRelease(
            "H2", {"cases": 3, "models": {"federated": score(3, 0.9), "baseline:empty": score(3, 0.0)}}
        ),
    ]
    summary = summarise_training(releases, [{"round": 0}], [LABEL])
    assert summary["federated_dice"] == pytest.approx(0.8)
    assert (summary["cases"], summary["rounds"], summary["baseline"]) == (4, 1, "prior")
    assert summary["pooled_dice"] is None
    assert summary["local_dice"] == {}


def test_training_without_released_scores_has_no_numbers() -> None:
    summary = summarise_training([], None, [LABEL])
    assert (summary["federated_dice"], summary["baseline_dice"], summary["rounds"]) == (None, None, 0)


def test_modes_stand_by_site_with_the_interval_each_site_released() -> None:
    def score(dice: float, interval: dict[str, float] | None) -> dict[str, Any]:
        return {
            "mean_dice": dice,
            "labels": [{"n": 6, "sum": 6 * dice, "sum_of_squares": 6 * dice**2}],
            "interval": interval,
        }

    own = {"n": 6, "mean": 0.8, "lower": 0.7, "upper": 0.9}
    releases = [
        SiteRelease(
            "H2", {"cases": 6, "models": {"federated": score(0.5, None), "local:H1": score(0.4, None)}}
        ),
        SiteRelease("H1", {"cases": 6, "models": {"federated": score(0.8, own)}}),
    ]
    rounds = [
        {"round": 0, "sites": {"H1": {"loss": 0.5, "cases": 3}, "H2": {"epsilon": 1.0, "cases": 3}}},
        {"round": 2, "sites": {"H1": {"loss": 0.25, "cases": 3}}},
    ]
    summary = summarise_training(releases, rounds, [LABEL])
    (federated, local) = summary["by_site"]
    assert federated["cells"] == [
        {"site": "H1", **own},
        {"site": "H2", "n": None, "mean": 0.5, "lower": None, "upper": None},
    ]
    assert [cell["mean"] for cell in local["cells"]] == [None, 0.4]
    assert summary["site_effect"] == pytest.approx(0.3)
    assert summary["curves"] == {"H1": [(1, 0.5), (3, 0.25)]}
    plot = curves("losses", summary["curves"], "Round")
    ET.fromstring(plot)
    # The round without the site is a gap: two beginnings, no line between them.
    assert re.search(r'<path d="M[^L"]*M[^L"]*"', plot)
    assert curves("losses", {}, "Round") == ""


finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(st.lists(st.tuples(finite, st.floats(0, 1e5)), max_size=5), st.text(max_size=12))
def test_forest_is_well_formed_whatever_the_names(values: list[tuple[float, float]], name: str) -> None:
    printable = "".join(character for character in name if character.isprintable())
    rows = [{"name": printable, "mean": mean, "sd": sd, "n": 5} for mean, sd in values]
    plot = forest(printable, [*rows, {"name": "x", "mean": None, "sd": None, "n": None}], "mL")
    assert (plot == "") == (not values)
    if plot:
        ET.fromstring(plot)


def test_histogram_shows_hidden_cells_and_is_empty_without_values() -> None:
    document = {"bins": BINS.to_dict(), "cells": [0, 0, 0, 5, None, 8, 0, 0, 0, 0, 0, 0]}
    plot = histogram("Liver <&>", document, "mL")
    ET.fromstring(plot)
    assert plot.count('fill="url(#hatch)"') == 1
    assert histogram("x", None, "mL") == ""
    assert histogram("x", {**document, "cells": [0] * 12}, "mL") == ""


def test_bars_keep_scores_inside_the_plot() -> None:
    rows = [{"name": "a", "value": 0.5, "kind": "a"}, {"name": "b", "value": None, "kind": "b"}]
    ET.fromstring(bars("Dice", rows))
    assert bars("Dice", []) == ""


@given(finite, st.floats(0.001, 1e5))
def test_ticks_cover_the_range(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert ticks[0] <= low + 1e-6 * max(1, abs(low))
    assert ticks[-1] >= low + span - 1e-6 * max(1, abs(low))
    assert 2 <= len(ticks) <= 9


def test_numbers_and_words_in_both_languages() -> None:
    assert number_text(1234.567, "en") == "1,235"
    assert number_text(1234.567, "de") == "1.235"
    assert number_text(-0.012345, "de", 3) == "−0,0123"
    assert number_text(None, "en") == "–"
    assert (words_of("en")("site_voting"), words_of("de")("site_voting")) == ("site voting", "Standortvotum")
    assert words_of("de")("") == ""
    assert (tone("released"), tone("failed"), tone("concept")) == ("good", "bad", "")
