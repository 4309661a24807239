"""Tables that people bring along: CSV with a header, by name; used by the commands about whole tables."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from pathlib import Path

from racoon.errors import Refused


class BadTable(Refused):
    """A table a command can't use."""

    code = "table.unusable"


def read_table(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Read a CSV file; commas, semicolons or tabs.

    Returns
    -------
    tuple
        Column names, and rows by name.

    Raises
    ------
    BadTable
        If it is none.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadTable(f"{path.name} cannot be read ({type(error).__name__}).") from error
    delimiter = max((",", ";", "\t"), key=text.partition("\n")[0].count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    if not rows or any(None in row or None in row.values() for row in rows):
        raise BadTable(f"{path.name} is no table with a header and rows of equal length.")
    names = [name.strip() for name in rows[0]]
    return names, [{name.strip(): cell.strip() for name, cell in row.items()} for row in rows]


def columns_named(text: str, known: Sequence[str], path: Path) -> list[str]:
    """Split names joined by commas; each has to be a column.

    Raises
    ------
    BadTable
        With the first name that is none.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise BadTable(f"{path.name} has no column {name!r}; it has {', '.join(known)}.")
    return names


def number(cell: str) -> float:
    """A number; NaN for an empty cell or a word."""
    try:
        found = float(cell)
    except ValueError:
        return math.nan
    return found if math.isfinite(found) else math.nan
