"""The columns every site of a study has: what one may begin a plan with."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from racoon.domain.analysis.sources import MEASURED
from racoon.domain.plan import MeasuringPlan

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


UnitOf = Callable[[str, str], str]
"""UCUM unit of a biomarker by id and version; empty where it is not known."""


def columns_of(measuring: MeasuringPlan | None, unit_of: UnitOf) -> tuple[dict[str, Any], ...]:
    """Describe the columns of a study's table.

    Parameters
    ----------
    measuring
        The study's measurements; ``Volume`` of ``Liver`` becomes ``liver_volume``.
    unit_of
        Says in which unit a biomarker is measured.
    """
    columns: list[dict[str, Any]] = [
        {"name": "age", "kind": "number", "unit": "a", "source": "subject.age_years",
         "bins": {"lower": 0.0, "upper": 120.0, "width": 10.0}},
        {"name": "sex", "kind": "category", "levels": ["female", "male"], "source": "subject.gender"},
    ]  # fmt: skip
    for item in measuring.measurements if measuring else ():
        words = [item.label.meaning or item.label.value if item.label else "", item.biomarker]
        name = "_".join(_WORD.findall(" ".join(words).lower().replace("_", " "))) or "value"
        taken = {column["name"] for column in columns}
        unique = next(
            f"{name}{end}" for end in ("", *(f"_{n}" for n in range(2, 999))) if f"{name}{end}" not in taken
        )
        bins = {"lower": item.bins.lower, "upper": item.bins.upper, "width": item.bins.width}
        column = {"name": unique[:64], "kind": "number", "source": MEASURED + item.key, "bins": bins}
        unit = unit_of(item.biomarker, item.version)
        columns.append({**column, "unit": unit} if unit else column)
    return tuple(columns)
