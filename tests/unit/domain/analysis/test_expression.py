"""The expression language: means what Python means, refuses everything else, always ends."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.analysis import ExpressionDefect, parse_expression
from racoon.science.statistics.derivation import evaluate

KINDS = {"x": "number", "y": "number", "t": "truth", "sex": "category"}
LEVELS = {"sex": ("female", "male")}


def value(text, **row):
    columns = {
        name: np.array([float(given)]) for name, given in {"x": 0, "y": 0, "t": 0, "sex": 0, **row}.items()
    }
    expression = parse_expression(text)
    expression.kind(KINDS, LEVELS)
    return evaluate(expression, columns, LEVELS)[0]


numbers = st.recursive(
    st.sampled_from(["x", "y", "2", "0.5", "3e1"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/"]), inner).map(
            lambda p: f"({p[0]} {p[1]} {p[2]})"
        ),
        inner.map(lambda text: f"-{text}"),
        inner.map(lambda text: f"abs({text})"),
    ),
    max_leaves=8,
)


@given(numbers, st.floats(-50, 50), st.floats(-50, 50))
def test_arithmetic_means_what_python_means(text, x, y):
    try:
        expected = eval(text, {"__builtins__": {"abs": abs}}, {"x": x, "y": y})
    except ZeroDivisionError:
        expected = math.nan
    found = value(text, x=x, y=y)
    if math.isfinite(expected):
        assert found == pytest.approx(expected, rel=1e-12, abs=1e-300)
    else:
        assert math.isnan(found)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("1 + 2 * 3 ^ 2", {}, 19),
        ("-2 ^ 2", {}, -4),
        ("8 / 4 / 2", {}, 1),
        ("2 - 3 - 4", {}, -5),
        ("x > 1 and not y < 2", {"x": 2, "y": 3}, 1),
        ("x > 1 or y < 2 and x < 0", {"x": 2, "y": 3}, 1),
        ("not not t", {"t": 1}, 1),
        ("sex = 'male'", {"sex": 1}, 1),
        ("'male' != sex", {"sex": 1}, 0),
        ("sex in ['male', 'female']", {"sex": 1}, 1),
        ("x in [-1, 2]", {"x": -1}, 1),
        ("if(x >= 30, x - 30, 0)", {"x": 42}, 12),
        ("max(min(x, 100), 0)", {"x": 140}, 100),
        ("sqrt(x)", {"x": -1}, math.nan),
        ("log(x)", {"x": 0}, math.nan),
        ("x + 1", {"x": math.nan}, math.nan),
        ("x > 1", {"x": math.nan}, math.nan),
        ("x > 1 and t", {"x": math.nan, "t": 0}, 0),
        ("x > 1 and t", {"x": math.nan, "t": 1}, math.nan),
        ("x > 1 or t", {"x": math.nan, "t": 1}, 1),
        ("missing(x)", {"x": math.nan}, 1),
        ("missing(sex) or t", {"sex": math.nan}, 1),
        ("sex = 'male'", {"sex": math.nan}, math.nan),
    ],
)
def test_meaning(text, row, expected):
    assert value(text, **row) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends too early"),
        ("x +", "ends too early"),
        ("x y", "expected the end"),
        ("(x", "expected '\\)'"),
        ("x.real", "character 2"),
        ("__import__('os')", "character 1"),
        ("open('x')", "no function 'open'"),
        ("x[0]", "expected the end"),
        ("lambda", "no variable 'lambda'"),
        ("z", "no variable 'z'"),
        ("sex + 1", "takes \\(number, number\\)"),
        ("x and t", "takes \\(truth, truth\\)"),
        ("sex = 'other'", "no level 'other'"),
        ("x = 'male'", "can't be compared"),
        ("x in ['male']", "must be of the kind number"),
        ("if(x, 1, 2)", "takes \\(truth, number, number\\)"),
        ("abs(x, y)", "takes \\(number\\)"),
        ("missing(x, y)", "takes"),
        ("x < y < 2", "expected the end"),
        ("'male'= 'male'", "only be compared with a categorical"),
    ],
)
def test_everything_else_is_refused_with_its_place(text, message):
    with pytest.raises(ExpressionDefect, match=message):
        parse_expression(text).kind(KINDS, LEVELS)


def test_size_and_depth_are_bounded():
    for text in ("(" * 100 + "x" + ")" * 100, "2 ^ " * 100 + "2", "abs(" * 60 + "x" + ")" * 60):
        with pytest.raises(ExpressionDefect, match="nested"):
            parse_expression(text)
    with pytest.raises(ExpressionDefect, match="2000 characters"):
        parse_expression("x + " * 600 + "x")
    with pytest.raises(ExpressionDefect, match="300 words"):
        parse_expression("x" + "+x" * 900)
    assert value("x" + "+x" * 149, x=2.0) == 300.0
    assert value("-" * 200 + "x", x=2.0) == 2.0


@given(st.text(max_size=60))
def test_any_text_ends_in_a_tree_or_a_sentence(text):
    try:
        parse_expression(text)
    except ExpressionDefect as refused:
        assert refused.public_message  # noqa: PT017 -- other expressions are right


def test_names_are_known_before_it_runs():
    assert parse_expression("if(t, x, y) + x").names == {"t", "x", "y"}
