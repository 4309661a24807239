"""From rows of the clinical course to facts that a cohort can ask for.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from racoon.domain.clinical_criterion import category_of

_KINDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "clinical_condition": ("condition", ("onset", "recorded")),
    "clinical_observation": ("observation", ("effective",)),
    "clinical_procedure": ("procedure", ("start",)),
    "clinical_medication": ("medication", ("start",)),
}
"""By flat table: kind of the fact, and the columns in which its day is looked for, the better one first."""

NOT_A_FACT = frozenset({"entered-in-error", "refuted", "cancelled", "not-done"})
"""Statuses of what was written by mistake, ruled out or never happened."""


def facts_of_row(table: str, row: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a fact for each code of a row; tables that hold no facts of this kind give none."""
    if table not in _KINDS:
        return
    if {row.get("status"), row.get("verification_status")} & NOT_A_FACT:
        return
    kind, columns = _KINDS[table]
    day = next((number for name in columns if (number := day_number(row.get(name) or ""))), None)
    pairs = [(str(system), str(code)) for system, code, *_ in row.get("codings") or () if code]
    for number, (system, code) in enumerate(dict.fromkeys(pairs)):
        yield {
            "key": row["key"],
            "number": number,
            "resource_key": row["resource_key"],
            "pseudonym": row["pseudonym"],
            "kind": kind,
            "system": system[:160],
            "code": code[:80],
            "category": category_of(system, code)[:80],
            "day_number": day,
            "value_number": row.get("value_number"),
            "value_unit": row.get("value_unit") or "",
        }


def day_number(text: str) -> int | None:
    """Count the days since 0001-01-01 of a full date, written as DICOM or as FHIR does; None for anything else."""
    digits = text[:10].replace("-", "")[:8]
    try:
        return date(int(digits[:4]), int(digits[4:6]), int(digits[6:8])).toordinal()
    except ValueError:
        return None
