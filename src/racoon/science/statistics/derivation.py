"""Values of derived variables: an expression of the plan, applied to whole columns.

Every column is an array of doubles: numbers, truth as 0 and 1, categories as the index of their level.  NaN is missing
and stays missing: a comparison with it is unknown, ``and`` and ``or`` follow Kleene's logic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.domain.analysis import AnalysisPlan, Expression, parse_expression
from racoon.domain.analysis.expression import Among, Call, Name, Node, Number, Text

Columns = Mapping[str, NDArray[np.float64]]


def evaluate(
    expression: Expression, columns: Columns, levels: Mapping[str, tuple[str, ...]]
) -> NDArray[np.float64]:
    """Compute a derivation for all rows.

    Parameters
    ----------
    expression
        Parsed and checked.
    columns
        By name, shape (rows,).
    levels
        Levels of the categorical ones.

    Returns
    -------
    ndarray
        Shape (rows,); NaN where the value is unknown or no finite number (a division by 0, a root below 0).
    """
    rows = next(iter(columns.values())).size if columns else 0
    with np.errstate(all="ignore"):
        found = np.array(np.broadcast_to(_value(expression.root, columns, levels), (rows,)), dtype=np.float64)
    found[~np.isfinite(found)] = np.nan
    return found


def derive(
    plan: AnalysisPlan, table: Mapping[str, ArrayLike | Sequence[object]]
) -> dict[str, NDArray[np.float64]]:
    """Compute all variables of a plan from a site's table.

    Parameters
    ----------
    plan
        Checked plan.
    table
        Columns of the site by name; categories as texts, missing values as NaN, ``None`` or an empty text.

    Raises
    ------
    ValueError
        If a column is missing or holds something its variable can't be; names the column, never a value.
    """
    levels = {item.name: item.levels for item in plan.variables if item.levels}
    columns: dict[str, NDArray[np.float64]] = {}
    for item in plan.variables:
        if item.derivation is not None:
            columns[item.name] = evaluate(parse_expression(item.derivation), columns, levels)
            continue
        if item.name not in table:
            raise ValueError(f"the table has no column {item.name}")
        values = np.asarray(table[item.name], dtype=object)
        if item.kind == "category":
            columns[item.name] = _codes(item.name, values, item.levels)
        else:
            columns[item.name] = _numbers(item.name, values, is_truth=item.kind == "truth")
    if len({column.size for column in columns.values()}) > 1:
        raise ValueError("the columns of the table have different lengths")
    return columns


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value)) or value == ""


def _codes(name: str, values: NDArray[np.object_], levels: tuple[str, ...]) -> NDArray[np.float64]:
    places = {level: float(index) for index, level in enumerate(levels)}
    unknown = any(not _is_missing(value) and str(value) not in places for value in values)
    if unknown:
        raise ValueError(f"the column {name} holds a level that the plan does not know")
    return np.array([np.nan if _is_missing(value) else places[str(value)] for value in values])


def _numbers(name: str, values: NDArray[np.object_], *, is_truth: bool) -> NDArray[np.float64]:
    words = {"true": "1", "false": "0"} if is_truth else {}
    texts = ["nan" if _is_missing(value) else str(value).lower() for value in values]
    try:
        found = np.array([float(words.get(text, text)) for text in texts])
    except ValueError as error:
        raise ValueError(f"the column {name} holds something that is no number") from error
    if np.isinf(found).any() or (is_truth and not np.isin(found[~np.isnan(found)], (0.0, 1.0)).all()):
        raise ValueError(f"the column {name} must hold {'0 or 1' if is_truth else 'finite numbers'}")
    return found


def _value(node: Node, columns: Columns, levels: Mapping[str, tuple[str, ...]]) -> NDArray[np.float64]:
    if isinstance(node, Number):
        return np.array(node.value)
    if isinstance(node, Name):
        return columns[node.name]
    if isinstance(node, Among):
        column = _value(node.argument, columns, levels)
        choices = [_literal(choice, node.argument, levels) for choice in node.choices]
        return np.where(np.isnan(column), np.nan, np.isin(column, choices).astype(np.float64))
    assert isinstance(node, Call), "a text stands only beside a categorical variable"
    if node.operator in {"=", "!="}:
        return _equal(node, columns, levels)
    arguments = [_value(argument, columns, levels) for argument in node.arguments]
    return _call(node.operator, arguments)


def _literal(choice: Number | Text, variable: Node, levels: Mapping[str, tuple[str, ...]]) -> float:
    if isinstance(choice, Number):
        return choice.value
    assert isinstance(variable, Name), "the type check demands a variable beside a level"
    return float(levels[variable.name].index(choice.value))


def _equal(node: Call, columns: Columns, levels: Mapping[str, tuple[str, ...]]) -> NDArray[np.float64]:
    first, second = node.arguments
    a = (
        np.array(_literal(first, second, levels))
        if isinstance(first, Text)
        else _value(first, columns, levels)
    )
    b = (
        np.array(_literal(second, first, levels))
        if isinstance(second, Text)
        else _value(second, columns, levels)
    )
    same = (a == b) if node.operator == "=" else (a != b)
    return np.where(np.isnan(a) | np.isnan(b), np.nan, same.astype(np.float64))


def _call(operator: str, arguments: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    a = arguments[0]
    b = arguments[-1]
    unknown = np.isnan(a) | np.isnan(b)
    if operator == "missing":
        return np.isnan(a).astype(np.float64)
    if operator == "and":  # false and unknown is false
        return np.where((a == 0) | (b == 0), 0.0, np.where(unknown, np.nan, 1.0))
    if operator == "or":
        return np.where((a == 1) | (b == 1), 1.0, np.where(unknown, np.nan, 0.0))
    if operator == "not":
        return 1.0 - a
    if operator == "if":
        return np.where(np.isnan(a), np.nan, np.where(a == 1, arguments[1], arguments[2]))
    if operator in _ORDER:
        return np.where(unknown, np.nan, _ORDER[operator](a, b).astype(np.float64))
    if operator in _UNARY:
        return np.asarray(_UNARY[operator](a), dtype=np.float64)
    return np.asarray(_BINARY[operator](a, b), dtype=np.float64)


_ORDER = {"<": np.less, "<=": np.less_equal, ">": np.greater, ">=": np.greater_equal}
_UNARY = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "exp": np.exp,
    "floor": np.floor,
    "negative": np.negative,
}
_BINARY = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "^": np.power,
    "min": np.minimum,
    "max": np.maximum,
}
