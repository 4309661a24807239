"""Words of analyses across sites.  Pure."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from racoon.errors import Defect

KIND = "analysis"
"""Kind of the run that holds the rounds of an analysis."""

MOST_ROUNDS = 250
"""A fit ends within forty rounds, and begins anew at most once per site that leaves."""


class Mode(StrEnum):
    """How the answers of a plan come together."""

    FEDERATED = "federated"
    """Sums of all sites are added: the fit of the pooled rows."""

    POOL = "pool"
    """The pool node computes over the rows that hospitals have approved for it."""

    SITES = "sites"
    """Each site is fitted alone; a meta-analysis puts the estimates together."""


class UnknownAnalysis(Defect):
    """There is no such analysis, or it has no result yet."""

    code: ClassVar[str] = "analysing.unknown"
    status: ClassVar[int] = 404
