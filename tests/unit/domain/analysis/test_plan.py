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


EXTRA = [
    {"estimator": "correlation", "title": "c", "variables": ["age", "days"]},
    {"estimator": "agreement", "title": "a", "variables": ["age", "days"], "measure": "ccc"},
    {"estimator": "incidence", "title": "i", "time": "days", "cause": "sex", "edges": [30, 60]},
    {"estimator": "mixed", "title": "m", "outcome": "age", "terms": ["sex"]},
    {"estimator": "model", "title": "risk", "outcome": "died", "family": "binomial",
     "terms": ["spline(age, 40, 60, 80)"]},
    {"estimator": "prediction", "title": "p", "outcome": "died", "score": "risk"},
    {"estimator": "propensity", "title": "w", "treatment": "effusion", "outcome": "died", "terms": ["age"]},
    {"estimator": "meta", "title": "x", "of": "risk", "term": "age"},
    {"estimator": "multiplicity", "title": "h", "of": ["risk"]},
    {"estimator": "time-series", "title": "t", "period": "days", "periods": 40, "interruption": 20},
    {"estimator": "harmonisation", "title": "b", "features": ["age", "effusion_ml"], "covariates": ["sex"]},
    {"estimator": "comorbidome", "title": "z", "biomarkers": ["effusion_ml"], "age": "age", "reference": "died"},
    {"estimator": "cox", "title": "s", "time": "days", "event": "died", "terms": ["age", "after(days)"]},
    {"estimator": "comparison", "title": "n", "variable": "died", "by": "effusion", "test": "mcnemar"},
]  # fmt: skip


def extended(**changes):
    items = copy.deepcopy(EXTRA)
    for item in items:
        if item["title"] == changes.get("title"):
            item.update({key: value for key, value in changes.items() if key != "title"})
    return {**PLAN, "estimators": items}


def test_every_estimator_survives_the_wire():
    plan = parse_plan(extended())
    assert parse_plan(json.loads(json.dumps(plan.to_dict()))).hash == plan.hash
    assert "lasso" not in plan.to_dict()["estimators"][4]
    changed = parse_plan(extended(title="risk", offset="days"))
    assert changed.to_dict()["estimators"][4]["offset"] == "days"
    assert changed.hash != plan.hash


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"title": "c", "variables": ["age", "age"]}, "two or more|2 or more different"),
        ({"title": "c", "variables": ["age", "sex"]}, "sex must be a number or truth"),
        ({"title": "a", "measure": "kappa"}, "age must be a category or truth"),
        ({"title": "a", "variables": ["age", "days", "effusion_ml"]}, "exactly two"),
        ({"title": "i", "cause": "died"}, "must be a category"),
        ({"title": "i", "edges": []}, "published time grid"),
        ({"title": "m", "outcome": "sex"}, "must be a number"),
        ({"title": "m", "family": "binomial"}, "age must be a truth"),
        ({"title": "m", "likelihood": "max"}, "likelihood is one of reml, ml"),
        ({"title": "risk", "terms": ["spline(age, 40, 30, 80)"]}, "ascending knots"),
        ({"title": "risk", "terms": ["spline(age, old, 30)"]}, "knots of a spline are numbers"),
        ({"title": "risk", "terms": ["age age"]}, "is not understood"),
        ({"title": "risk", "terms": ["spline(sex, 1, 2, 3)"]}, "sex must be a number"),
        ({"title": "risk", "terms": ["after(days)"]}, "Cox model without a grid"),
        ({"title": "risk", "lasso": 1.0, "variance": "robust"}, "no standard errors"),
        ({"title": "risk", "lasso": -1.0}, "lasso penalty can't be negative"),
        ({"title": "risk", "variance": "clustered"}, "names the variable of the clusters"),
        ({"title": "risk", "imputations": 1}, "2 to 50"),
        ({"title": "risk", "imputations": True}, "wrong type"),
        ({"title": "p", "score": "m"}, "no such estimator with the title 'm'"),
        ({"title": "p", "edges": [0.5, 0.2]}, "ascending risks"),
        ({"title": "p", "classes": [0.5]}, "both a second score and the classes"),
        ({"title": "w", "treatment": "age"}, "must be a truth"),
        ({"title": "w", "method": "matching"}, "estimand = 'att'"),
        ({"title": "w", "trim": [0.5]}, "two ascending propensities"),
        ({"title": "w", "caliper": 0}, "caliper is positive"),
        ({"title": "x", "of": "m"}, "no such estimator"),
        ({"title": "h", "of": []}, "needs the titles"),
        ({"title": "h", "method": "magic"}, "not 'magic'"),
        ({"title": "t", "interruption": 90}, "lies within the periods"),
        ({"title": "t", "measure": "share"}, "names the outcome"),
        ({"title": "b", "features": ["age"]}, "two features"),
        ({"title": "z", "limit": 0}, "positive number of SD"),
        ({"title": "s", "edges": [30, 60]}, "leave the edges out"),
        ({"title": "s", "terms": ["age:after(days)"]}, "stands alone"),
        ({"title": "n", "variable": "age"}, "must be a truth"),
    ],
)
def test_what_an_estimator_cannot_do_is_said_in_a_sentence(changes, message):
    with pytest.raises(PlanDefect, match=message):
        parse_plan(extended(**changes))
