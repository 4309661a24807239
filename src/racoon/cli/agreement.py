"""``racoon agreement``: how well readers or methods agree, from a table, without a node."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon.cli.output import JsonFlag, print_facts, print_json
from racoon.errors import Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from racoon.science.statistics.estimate import Estimate


class BadTable(Refused):
    """A table from which agreement cannot be computed."""

    code = "agreement.bad_table"


def agreement(
    table: Path,
    /,
    *,
    columns: str | None = None,
    categorical: bool = False,
    categories: str | None = None,
    by: str | None = None,
    json: JsonFlag = False,
) -> None:
    """Compute the agreement of readers or methods from a table with one row per subject.

    Numbers give Bland-Altman limits, ICC and CCC; words (or numbers with --categorical) give kappa.

    Parameters
    ----------
    table
        CSV file with a header; each column of ratings is a reader or method.
    columns
        Names of the columns to compare, joined by commas; without it, all columns of ratings.
    categorical
        Treat numbers as categories, in their order.
    categories
        Words in their order, joined by commas; only with an order can kappa be weighted.
    by
        Column of the site (or scanner): numbers are compared for each of them too.
    json
        Print one JSON document.
    """
    names, rows, groups = _read(table, columns, by)
    is_complete = [all(cell != "" for cell in row) for row in rows]
    complete = [row for row, whole in zip(rows, is_complete, strict=True) if whole]
    groups = [group for group, whole in zip(groups, is_complete, strict=True) if whole]
    left_out = len(rows) - len(complete)
    if len(complete) < 3:
        raise BadTable("Agreement needs at least three subjects that every reader rated.")
    numbers = _numbers(complete)
    document: dict[str, Any] = {
        "columns": names,
        "subjects": len(complete),
        "left_out_incomplete": left_out,
        "kind": "categorical" if categorical or numbers is None else "continuous",
    }
    if numbers is not None and not categorical:
        document |= _continuous(names, numbers)
        if by is not None:
            document["by"] = {
                group: _of_group(names, numbers, groups, group) for group in sorted(set(groups))
            }
    if categorical or numbers is None or _are_categories(numbers):
        order = [word.strip() for word in categories.split(",")] if categories else None
        document |= _categories(names, complete, order)
    if json:
        print_json(document)
    else:
        print_facts(f"Agreement of {' and '.join(names)}", _flat(document))


_IDENTIFIERS = frozenset(
    {"id", "case", "subject", "patient", "pseudonym", "name", "subject_id", "case_id", "series"}
)


def _of_group(
    names: list[str], numbers: list[list[float]], groups: Sequence[str], group: str
) -> dict[str, Any]:
    """The same figures for one site; too few subjects there are a reason, not a number."""
    own = [row for row, name in zip(numbers, groups, strict=True) if name == group]
    if len(own) < 3:
        return {"subjects": len(own), "reason": "fewer than three subjects"}
    return {"subjects": len(own), **_continuous(names, own)}


def _read(table: Path, columns: str | None, by: str | None) -> tuple[list[str], list[list[str]], list[str]]:
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{table.name} cannot be read ({type(error).__name__}).") from error
    first = text.partition("\n")[0]
    delimiter = max((",", ";", "\t"), key=first.count)
    records = [
        [cell.strip() for cell in row] for row in csv.reader(text.splitlines(), delimiter=delimiter) if row
    ]
    if len(records) < 2 or len({len(row) for row in records}) != 1:
        raise BadTable(f"{table.name} is no table with a header and rows of equal length.")
    header, body = records[0], records[1:]
    if by is not None and by not in header:
        raise BadTable(f"{table.name} has no column {by!r}; it has {', '.join(header)}.")
    groups = [row[header.index(by)] if by is not None else "" for row in body]
    if columns is not None:
        names = [name.strip() for name in columns.split(",")]
        if missing := [name for name in names if name not in header]:
            raise BadTable(f"{table.name} has no column {missing[0]!r}; it has {', '.join(header)}.")
    else:
        names = [name for name in header if name.lower() not in _IDENTIFIERS and name != by]
        if len(names) > 2:
            # A first column of words that are all different names the subjects.
            cells = [row[header.index(names[0])] for row in body]
            if _numbers([[cell] for cell in cells]) is None and len(set(cells)) == len(cells):
                names = names[1:]
    if len(names) < 2:
        raise BadTable("Agreement needs at least two columns of ratings.")
    places = [header.index(name) for name in names]
    return names, [[row[place] for place in places] for row in body], groups


def _numbers(rows: Sequence[Sequence[str]]) -> list[list[float]] | None:
    import math

    try:
        found = [[float(cell) for cell in row if cell != ""] for row in rows]
    except ValueError:
        return None
    if not all(math.isfinite(number) for row in found for number in row):
        raise BadTable("The table holds numbers that are not finite; leave such cells empty.")
    return found


def _are_categories(numbers: list[list[float]]) -> bool:
    """Few whole numbers are grades as well as measurements: both answers are given."""
    values = {number for row in numbers for number in row}
    return len(values) <= min(10, len(numbers)) and all(number == int(number) for number in values)


def _continuous(names: list[str], numbers: list[list[float]]) -> dict[str, Any]:
    from racoon.science.statistics.agreement import (
        bland_altman,
        concordance_correlation,
        intraclass_correlation,
        paired,
    )
    from racoon.science.statistics.sums import CrossProducts

    correlation = intraclass_correlation(CrossProducts.of(tuple(names), numbers))
    forms = {
        "icc_1_1": correlation.one_way,
        "icc_2_1": correlation.two_way,
        "icc_3_1": correlation.consistency,
        "icc_1_k": correlation.one_way_mean,
        "icc_2_k": correlation.two_way_mean,
        "icc_3_k": correlation.consistency_mean,
    }
    pairs = []
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            products = paired([row[first] for row in numbers], [row[second] for row in numbers])
            limits = bland_altman(products)
            pairs.append(
                {
                    "first": names[first],
                    "second": names[second],
                    "bland_altman": {
                        "bias": _estimate(limits.bias),
                        "lower_limit": _estimate(limits.lower),
                        "upper_limit": _estimate(limits.upper),
                        "sd": limits.sd,
                        "slope": _estimate(limits.slope),
                    },
                    "ccc": _estimate(concordance_correlation(products)),
                }
            )
    return {
        "icc": {name: _estimate(form) for name, form in forms.items()},
        "within_subject_sd": correlation.within_subject_sd,
        "repeatability_coefficient": correlation.repeatability_coefficient,
        **({key: pairs[0][key] for key in ("bland_altman", "ccc")} if len(pairs) == 1 else {"pairs": pairs}),
    }


def _categories(names: list[str], rows: list[list[str]], order: list[str] | None) -> dict[str, Any]:
    from racoon.science.statistics.agreement import cohen_kappa, fleiss_kappa, rating_table
    from racoon.science.statistics.sums import CrossProducts

    found = {cell for row in rows for cell in row}
    is_ordered = True
    if order is not None:
        categories = order
        if unknown := sorted(found - set(order)):
            raise BadTable(f"The rating {unknown[0][:40]!r} is not among the categories.")
    else:
        try:
            categories = sorted(found, key=float)
        except ValueError:
            categories, is_ordered = sorted(found), False
    pairs = []
    for first in range(len(names)):
        for second in range(first + 1, len(names)):
            table = rating_table([row[first] for row in rows], [row[second] for row in rows], categories)
            pair: dict[str, Any] = {
                "first": names[first],
                "second": names[second],
                "kappa": _estimate(cohen_kappa(table)),
                "table": table.tolist(),
            }
            if is_ordered:
                pair["kappa_linear"] = _estimate(cohen_kappa(table, weights="linear"))
                pair["kappa_quadratic"] = _estimate(cohen_kappa(table, weights="quadratic"))
            pairs.append(pair)
    counts = [[row.count(category) for category in categories] for row in rows]
    fleiss = fleiss_kappa(CrossProducts.of(tuple(categories), counts)) if len(categories) > 1 else None
    one = {key: value for key, value in pairs[0].items() if key not in {"first", "second"}}
    return {
        "categories": categories,
        **(one if len(pairs) == 1 else {"kappa_pairs": pairs}),
        "fleiss_kappa": _estimate(fleiss) if fleiss else None,
    }


def _estimate(found: Estimate) -> dict[str, float | int | None]:
    import math

    numbers = {"value": found.value, "low": found.low, "high": found.high}
    return {**{key: value if math.isfinite(value) else None for key, value in numbers.items()}, "n": found.n}


def _flat(document: dict[str, Any]) -> dict[str, object]:
    lines: dict[str, object] = {}
    for key, value in document.items():
        if isinstance(value, dict) and "value" in value:
            lines[key] = _in_words(value)
        elif isinstance(value, dict):
            lines |= {f"{key}: {name}": _in_words(part) for name, part in value.items()}
        elif not isinstance(value, list):
            lines[key] = _in_words(value)
    return lines


def _in_words(value: Any) -> object:
    if isinstance(value, dict):
        if value.get("value") is None:
            return "–"
        low, high = value.get("low"), value.get("high")
        interval = f" ({low:.4g} to {high:.4g})" if low is not None and high is not None else ""
        return f"{value['value']:.4g}{interval}"
    return f"{value:.4g}" if isinstance(value, float) else value
