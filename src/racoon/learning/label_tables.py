"""The truth of whole images in a folder of a data scientist: one table beside them, one row per image or subject."""

from __future__ import annotations

import csv
from pathlib import Path

from racoon.domain.plan import Target
from racoon.learning.folders import BadFolder, Pair

TABLES = ("labels.csv", "labels.tsv", "participants.tsv")
"""Names under which it is looked for; the last is that of BIDS."""

KEYS = ("image", "case", "subject", "participant_id")
"""Columns that say whose row it is, by the name of the image or of the subject; the first that is there."""

MISSING = frozenset({"", "n/a", "NA", "NaN", "nan"})
"""What stands where there is no value; BIDS writes ``n/a``."""


class LabelTable:
    """Values of one column, and what a plan learns of them.

    Parameters
    ----------
    path, target
        As :func:`load_values`.
    """

    def __init__(self, path: Path, target: Target) -> None:
        self._target = target
        self._values = load_values(path, target)

    def find(self, pair: Pair) -> float | None:
        """Return what the plan learns of an image; ``None`` without a value.

        Raises
        ------
        BadTarget
            If there is one the plan cannot use.
        """
        value, unit = self._values.get(pair.name) or self._values.get(pair.subject) or ("", "")
        return self._target.encode(value, unit) if value else None


def load_values(path: Path, target: Target) -> dict[str, tuple[str, str]]:
    """Read the values of a target's column and their units, by image or subject; rows without a value are left out.

    Parameters
    ----------
    path
        The table, or a folder that holds one of :data:`TABLES`.
    target
        Names the column; a column ``unit`` or ``NAME_unit`` says the unit of each value.

    Raises
    ------
    BadFolder
        If there is no table, no column that says whose row it is or none of the target's name, or a row twice.
    """
    file = path if path.is_file() else next((path / n for n in TABLES if (path / n).is_file()), None)
    if file is None:
        raise BadFolder(
            f"{path.name} holds no table of labels; put one of {', '.join(TABLES)} beside the images."
        )
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise BadFolder(f"{file.name} cannot be read as a table.") from error
    delimiter = max((",", ";", "\t"), key=text.partition("\n")[0].count)
    rows = list(csv.DictReader(text.splitlines(), delimiter=delimiter))
    names = [str(name) for name in rows[0]] if rows else []
    key = next((name for name in KEYS if name in names), None)
    if key is None or target.name not in names:
        raise BadFolder(
            f"{file.name} needs a column {' or '.join(KEYS)} and a column {target.name}; it has "
            f"{', '.join(names)[:200] or 'none'}."
        )
    unit = next((name for name in (f"{target.name}_unit", "unit") if name in names), None)
    values: dict[str, tuple[str, str]] = {}
    for row in rows:
        name = (row[key] or "").strip()
        if name in values:
            raise BadFolder(f"{file.name} has two rows for {name[:60]}.")
        values[name] = ((row[target.name] or "").strip(), (row[unit] or "").strip() if unit else "")
    return {name: found for name, found in values.items() if found[0] not in MISSING}
