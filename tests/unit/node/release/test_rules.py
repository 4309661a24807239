"""The gate: all or none, no small cell, no dominated sum, no words that count."""

import json
import math
import re
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.release.jobs import PROTECT
from racoon.node.release.model import (
    REASONS,
    MeasuredAggregate,
    TensorFacts,
    apply_rules,
    apply_rules_to_all,
    check_training,
    check_update,
    largest_share,
)
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.statistics import FixedBins, Histogram, Moments, SiteSummary, pool

BINS = FixedBins(0.0, 120.0, 10.0)
POLICY = DisclosurePolicy()


def aggregate(values, subjects=None, not_valid=None):
    """Build what ``measuring`` hands over; subjects default to one per value."""
    subjects = list(range(len(values))) if subjects is None else subjects
    sums, cells = defaultdict(float), [set() for _ in range(BINS.count + 2)]
    for value, cell, subject in zip(values, BINS.cells(values), subjects, strict=True):
        sums[str(subject)] += abs(value)
        cells[cell].add(subject)
    return MeasuredAggregate(
        key="volume@1 SCT:10200004",
        description={"biomarker": "volume", "version": "1", "unit": "mL"},
        moments=Moments.of(values),
        subjects=len(set(subjects)),
        largest_share=largest_share(sums) if sums else 0.0,
        histogram=BINS.count_values(values),
        cell_subjects=tuple(map(frozenset, cells)),
        not_valid=not_valid or {},
    )


values_lists = st.lists(st.floats(-20, 140), max_size=40)


@given(values_lists, st.integers(2, 12))
def test_no_small_number_of_subjects_leaves(values, minimum):
    found = apply_rules(aggregate(values), DisclosurePolicy(minimum_cell=minimum))
    payload = found.payload
    if payload["subjects"] is not None:
        assert payload["subjects"] >= minimum
        assert payload["moments"]["n"] >= minimum
    for cell in (payload["histogram"] or {"cells": []})["cells"]:
        assert cell is None or cell == 0 or cell >= minimum


@given(values_lists)
def test_the_unit_leaves_whole_and_exact_or_not_at_all(values):
    found = apply_rules(aggregate(values), POLICY)
    if found.payload["moments"] is None:
        assert found.payload["subjects"] is None
        assert {"all", "moments"} & {reason.part for reason in found.suppressed}
    else:
        assert Moments.from_dict(found.payload["moments"]) == Moments.of(values)


@given(values_lists)
def test_every_held_back_part_has_a_reason_and_the_payload_is_plain_json(values):
    found = apply_rules(aggregate(values), POLICY)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == found.to_dict()
    missing = found.payload["moments"] is None or found.payload["histogram"] is None
    if missing or None in found.payload["histogram"]["cells"]:
        assert found.suppressed


@given(st.lists(values_lists, min_size=1, max_size=4))
def test_totals_and_shown_sites_do_not_reveal_a_held_back_cell(sites):
    results = [apply_rules(aggregate(values), POLICY).payload for values in sites]
    found = pool([SiteSummary.from_dict(f"S{i}", item) for i, item in enumerate(results)])
    for values, item in zip(sites, results, strict=True):
        if not item["histogram"] or not item["moments"]:
            continue
        shown = Histogram.from_dict(item["histogram"])
        left = len(values) - shown.known
        hidden = sum(cell is None for cell in shown.cells)
        assert left == 0 or (left >= 2 * POLICY.minimum_cell and hidden >= 2)
    assert found.moments.n == sum(len(v) for v, item in zip(sites, results, strict=True) if item["moments"])


def test_several_series_of_few_subjects_protect_nobody():
    found = apply_rules(aggregate([10.0, 20, 30, 40, 50, 60], subjects=[1, 1, 1, 2, 2, 2]), POLICY)
    assert found.payload["moments"] is None
    assert [reason.reason_code for reason in found.suppressed] == ["release.minimum_cell"]


def test_too_few_and_none_look_the_same():
    none, few = apply_rules(aggregate([]), POLICY), apply_rules(aggregate([1.0, 2, 3, 4]), POLICY)
    assert none.to_dict() == few.to_dict()


def test_one_subject_may_not_dominate_the_sum():
    dominated = apply_rules(aggregate([1.0, 1.5, 1.2, 1.1, 1.3, 119.0]), POLICY)
    assert dominated.payload["moments"] is None
    assert "release.dominance" in {reason.reason_code for reason in dominated.suppressed}
    assert apply_rules(aggregate([20.0, 21, 22, 23, 24, 25]), POLICY).payload["moments"] is not None


def test_equal_values_would_reveal_each():
    found = apply_rules(aggregate([50.0] * 20), POLICY)
    assert found.payload["moments"] is None
    assert "release.no_variation" in {reason.reason_code for reason in found.suppressed}


def test_bins_are_merged_before_cells_are_withheld():
    values = [float(value) for value in range(1, 120, 6)]
    found = apply_rules(aggregate(values), POLICY)
    shown = Histogram.from_dict(found.payload["histogram"])
    assert shown.bins.width == 30.0
    assert shown.is_complete
    assert [reason.reason_code for reason in found.suppressed] == ["release.coarser_bins"]


def test_few_excluded_subjects_are_not_counted_out():
    values = [float(value) for value in range(1, 120, 2)]
    assert apply_rules(aggregate(values, not_valid={"contrast": 7}), POLICY).payload["not_valid"] == {
        "contrast": 7
    }
    found = apply_rules(aggregate(values, not_valid={"contrast": 7, "empty": 1}), POLICY)
    assert found.payload["not_valid"] is None


def test_one_refused_measurement_does_not_stop_the_others():
    found = apply_rules_to_all([aggregate([1.0]), aggregate([float(value) for value in range(60)])], POLICY)
    first, second = found.payload["measurements"]
    assert first["moments"] is None
    assert second["moments"] is not None
    assert found.payload["policy_version"] == "1"


def test_reasons_carry_no_number():
    assert not any(re.search(r"\d", text) for pair in REASONS.values() for text in pair)


@pytest.mark.parametrize(
    ("sites", "cases", "codes"),
    [
        (3, 20, []),
        (2, 20, ["release.minimum_sites"]),
        (3, 19, ["release.minimum_cases"]),
        (1, 1, ["release.minimum_sites", "release.minimum_cases"]),
    ],
)
def test_training_needs_sites_and_cases(sites, cases, codes):
    found = check_training("lung opacities", sites=sites, cases=cases, policy=POLICY)
    assert [reason.reason_code for reason in found] == codes


def test_model_updates_are_finite_bounded_and_of_the_planned_shape():
    shapes = {"a": (3, 3), "b": (3,)}
    good = [TensorFacts("a", (3, 3), True, 3.0), TensorFacts("b", (3,), True, 4.0)]
    assert check_update("m", good, shapes, POLICY) == ()
    assert [
        r.reason_code for r in check_update("m", good, shapes, DisclosurePolicy(maximum_update_norm=4.9))
    ] == ["release.norm"]
    broken = [good[0], TensorFacts("b", (3,), False, math.nan)]
    assert [r.reason_code for r in check_update("m", broken, shapes, POLICY)] == ["release.not_finite"]
    stowaway = [*good, TensorFacts("pixels", (512, 512), True, 0.0)]
    assert [r.reason_code for r in check_update("m", stowaway, shapes, POLICY)] == [
        "release.unexpected_shape"
    ]


def test_an_interval_of_scores_leaves_with_enough_cases_and_no_label_held_back():
    def evaluated(cases, hidden=0):
        labels = [{"n": n, "sum": n / 2, "sum_of_squares": n / 3} for n in (cases, cases - hidden)]
        interval = {"n": cases, "mean": 0.5, "lower": 0.4, "upper": 0.6, "per_case": [0.5] * cases}
        model = {"mean_dice": 0.5, "labels": labels, "interval": interval}
        released = PROTECT["evaluate"](
            {"plan_hash": "p", "cases": cases, "baseline": "empty", "models": {"federated": model}}, POLICY
        )
        return released.payload["models"].get("federated", {}).get("interval")

    enough = POLICY.minimum_cell + 3
    assert evaluated(enough) == {"n": enough, "mean": 0.5, "lower": 0.4, "upper": 0.6}
    assert evaluated(enough, hidden=4) is None
    assert evaluated(POLICY.minimum_cell - 1) is None


def test_a_private_training_tells_epsilon_and_nothing_else_new():
    rounds = [{"round": 0, "steps": 3, "cases": 9, "seconds": 1.0, "epsilon": 1.5, "names": ["x"]}]
    released = PROTECT["train.federated"]({"plan_hash": "p", "cases": 50, "rounds": rounds}, POLICY)
    assert released.payload["rounds"] == [{"round": 0, "steps": 3, "epsilon": 1.5}]
