"""Words of analyses across sites.  Pure."""

from __future__ import annotations

from typing import ClassVar

from racoon.errors import Defect

KIND = "analysis"
"""Kind of the run that holds the rounds of an analysis."""

MOST_ROUNDS = 250
"""A fit ends within forty rounds, and begins anew at most once per site that leaves."""


class UnknownAnalysis(Defect):
    """There is no such analysis, or it has no result yet."""

    code: ClassVar[str] = "analysing.unknown"
    status: ClassVar[int] = 404
