"""Analysis plans: one hash for one meaning, and a sentence for everything that makes no sense."""

import copy
import json

import numpy as np
import pytest

from racoon.domain.analysis import ExpressionDefect, PlanDefect, parse_plan
from racoon.science.statistics.derivation import derive

PLAN = {
    "name": "effusion",
    "variables": [
        {"name": "age", "kind": "number", "unit": "a", "bins": {"lower": 0, "upper": 120, "width": 5}},
        {"name": "sex", "kind": "category", "levels": ["female", "male"]},
        {"name": "effusion_ml", "kind": "number", "unit": "mL"},
        {"name": "effusion", "kind": "truth", "derivation": "effusion_ml >= 50"},
        {"name": "days", "kind": "number", "unit": "d"},
        {"name": "died", "kind": "truth"},
    ],
    "estimators": [
        {"estimator": "description", "title": "Table 1", "variables": ["age", "sex"], "by": "effusion"},
        {"estimator": "comparison", "title": "Age", "variable": "age", "by": "effusion", "test": "mann-whitney"},
        {"estimator": "model", "title": "Death", "outcome": "died", "terms": ["age", "effusion:sex"],
         "family": "binomial"},
        {"estimator": "survival", "title": "Survival", "time": "days", "event": "died", "edges": [30, 60]},
        {"estimator": "cox", "title": "Hazard", "time": "days", "event": "died", "terms": ["effusion"]},
    ],
    "subgroups": [{"name": "old", "condition": "age >= 65 and sex = 'male'"}],
}  # fmt: skip


def test_a_plan_survives_the_wire_with_its_hash():
    plan = parse_plan(PLAN)
    again = parse_plan(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    assert again.hash == plan.hash
    assert plan.minimum_sites == 3
    assert parse_plan({**PLAN, "name": "other"}).hash != plan.hash


def with_change(path, value):
    document = copy.deepcopy(PLAN)
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["surprise"], 1, "unknown parts: surprise"),
        (["kind"], "training", "kind 'analysis'"),
        (["minimum_sites"], 0, "at least 1"),
        (["variables", 0, "name"], "1age", "is no name"),
        (["variables", 0, "kind"], "float", "must be of the kind"),
        (["variables", 0, "levels"], ["a", "b"], "only a category"),
        (["variables", 0, "bins"], {"lower": 0}, "lower, upper and width"),
        (["variables", 1, "levels"], ["a"], "two or more"),
        (["variables", 2, "name"], "age", "defined twice"),
        (["variables", 3, "kind"], "number", "gives a truth, not a number"),
        (["estimators"], [], "computes nothing"),
        (["estimators", 0, "estimator"], "magic", "not 'magic'"),
        (["estimators", 0, "by"], "age", "must be a category or truth"),
        (["estimators", 0, "variables"], ["weight"], "no variable 'weight'"),
        (["estimators", 1, "test"], "anova", "not 'anova'"),
        (["estimators", 1, "variable"], "days", "needs bins for days"),
        (["estimators", 2, "family"], "gamma", "not 'gamma'"),
        (["estimators", 2, "outcome"], "age", "must be a truth"),
        (["estimators", 2, "terms"], ["age", "effusion:height"], "no variable 'height'"),
        (["estimators", 2, "ridge"], -1, "negative"),
        (["estimators", 2, "terms"], "age", "wrong type"),
        (["estimators", 3, "edges"], [], "published time grid"),
        (["estimators", 3, "edges"], [60, 30], "ascending"),
        (["estimators", 4], {"estimator": "cox", "title": "x"}, "lacks a part"),
        (["subgroups", 0, "condition"], "age + 1", "true or false"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_sentence(path, value, message):
    with pytest.raises(PlanDefect, match=message):
        parse_plan(with_change(path, value))


def test_a_derivation_may_refer_to_earlier_variables_only():
    with pytest.raises(ExpressionDefect, match="no variable 'days' before"):
        parse_plan(with_change(["variables", 3, "derivation"], "days > 3"))


TABLE = {
    "age": ["70", "", 50],
    "sex": ["male", None, "female"],
    "effusion_ml": [10, 80.5, "50"],
    "days": [1, 2, 3],
    "died": ["true", "0", 1],
}


def test_columns_of_a_site_become_variables():
    columns = derive(parse_plan(PLAN), TABLE)
    np.testing.assert_array_equal(columns["age"], [70, np.nan, 50])
    np.testing.assert_array_equal(columns["sex"], [1, np.nan, 0])
    np.testing.assert_array_equal(columns["effusion"], [0, 1, 1])
    np.testing.assert_array_equal(columns["died"], [1, 0, 1])


@pytest.mark.parametrize(
    ("column", "values", "message"),
    [
        ("sex", ["Müller", "", ""], "level that the plan does not know"),
        ("age", ["Müller", "", ""], "no number"),
        ("died", [2, 0, 0], "0 or 1"),
        ("days", [1, 2], "different lengths"),
    ],
)
def test_a_bad_table_is_refused_without_its_values(column, values, message):
    with pytest.raises(ValueError, match=message) as refused:
        derive(parse_plan(PLAN), {**TABLE, column: values})
    assert "Müller" not in str(refused.value)


def test_a_missing_column_is_named():
    with pytest.raises(ValueError, match="no column days"):
        derive(parse_plan(PLAN), {name: values for name, values in TABLE.items() if name != "days"})
