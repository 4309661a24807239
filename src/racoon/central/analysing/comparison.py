"""The same plan in its three ways, number beside number.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from racoon.central.analysing.model import Mode
from racoon.central.words import number_text


def values_of(table: Mapping[str, Any]) -> dict[str, dict[str, float | None]]:
    """Read what a table estimates, with its interval, by name.

    Parameters
    ----------
    table
        JSON form of a result table of any mode.

    Returns
    -------
    dict
        ``value``, ``low``, ``high`` and, for a meta-analysis, ``i2``.
    """
    found: dict[str, dict[str, float | None]] = {}
    for cells in table["rows"]:
        row = dict(zip(table["columns"], cells, strict=False))
        if "term" in row and "estimate" in row:
            name, value = str(row["term"]), row["estimate"]
        elif "variable" in row and row.get("mean") is not None:
            name = str(row["variable"]) if row["group"] == "all" else f"{row['variable']}: {row['group']}"
            value = row["mean"]
        elif "median" in row and "events" in row:
            name, value = str(row["group"]), row["median"]
        elif "difference" in row:
            name, value = str(row["test"]), row["difference"]
        else:
            continue
        found[name] = {
            "value": value, "low": row.get("low"), "high": row.get("high"), "i2": row.get("I² %"),
        }  # fmt: skip
    return found


def side_by_side(results: Mapping[Mode, Mapping[str, Any]], language: str) -> list[dict[str, Any]]:
    """Put the results of several modes of one plan together.

    Parameters
    ----------
    results
        Kept documents by mode; at least one.
    language
        ``"de"`` or ``"en"``.

    Returns
    -------
    list of dict
        One per table: ``title``, ``rows`` with a text per mode (empty where a mode has no such number), and the
        heterogeneity of the sites.
    """
    by_mode = {
        mode: {(table["title"], table["subgroup"]): table for table in result["tables"]}
        for mode, result in results.items()
    }
    order = list(dict.fromkeys(key for tables in by_mode.values() for key in tables))
    found = []
    for title, subgroup in order:
        own = {mode: tables.get((title, subgroup)) for mode, tables in by_mode.items()}
        values = {mode: values_of(table) if table else {} for mode, table in own.items()}
        names = list(dict.fromkeys(name for numbers in values.values() for name in numbers))
        rows = []
        for name in names:
            cells = {mode.value: _text(numbers.get(name), language) for mode, numbers in values.items()}
            alone = values.get(Mode.SITES, {}).get(name, {})
            rows.append({"name": name, "cells": cells, "i2": _percent(alone.get("i2"), language)})
        reasons = {
            mode.value: list(table["notes"]) for mode, table in own.items() if table and not table["rows"]
        }
        heading = f"{title} ({subgroup})" if subgroup else title
        found.append({"title": heading, "rows": rows, "reasons": reasons})
    return found


def _text(value: Mapping[str, float | None] | None, language: str) -> str:
    if value is None or value["value"] is None:
        return ""
    text = number_text(value["value"], language)
    if value["low"] is None or value["high"] is None:
        return text
    to = "bis" if language == "de" else "to"
    return f"{text} ({number_text(value['low'], language)} {to} {number_text(value['high'], language)})"


def _percent(value: float | None, language: str) -> str:
    return "" if value is None else f"{number_text(value, language, 2)} %"
