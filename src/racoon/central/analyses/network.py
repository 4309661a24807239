"""What a node may compare its values with: pooled figures of the last run, back from CENTRAL to the sites.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from racoon.domain.plan import MeasuringPlan
from racoon.science.statistics import SiteSummary, pool

FEWEST_SITES = 3
"""With two, a site could subtract its own figures and read the other one's."""

FEWEST_VALUES = 20
"""Fewer give no usable spread."""


def network_references(
    plan: MeasuringPlan, released: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Pool the released figures of a finished run for each measurement.

    Parameters
    ----------
    plan
        The plan that is run next; figures of the same measurement keys are compared.
    released
        Site to the payload its gate released.

    Returns
    -------
    dict
        Measurement key to ``sites``, ``subjects``, ``mean`` and ``sd``; only where enough sites released enough.

    Notes
    -----
    Nothing here is new: every figure went through the gate of its site, and only their sum goes back.
    """
    found: dict[str, dict[str, Any]] = {}
    for measurement in plan.measurements:
        summaries = []
        units = set()
        for site, payload in sorted(released.items()):
            item: Mapping[str, Any] = next(
                (item for item in payload.get("measurements", ()) if item.get("key") == measurement.key), {}
            )
            try:
                summary = SiteSummary.from_dict(site, item)
            except (ValueError, KeyError, TypeError):
                continue
            if summary.moments is not None:
                # Sums of moments need no bins.
                summaries.append(SiteSummary(site, summary.moments))
                units.add(str(item.get("unit", "")))
        if len(summaries) < FEWEST_SITES or len(units) != 1:
            continue
        moments = pool(summaries).moments
        if moments.n < FEWEST_VALUES or not math.isfinite(moments.sd):
            continue
        found[measurement.key] = {
            "sites": len(summaries),
            "subjects": moments.n,
            "mean": moments.mean,
            "sd": moments.sd,
        }
    return found
