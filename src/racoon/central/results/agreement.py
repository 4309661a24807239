"""Manual against automatic in the network: bias, limits, ICC and CCC of each site, from sums the sites released."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from racoon.central.results.model import SiteRelease
from racoon.domain.plan import AgreementPair, Measurement, MeasuringPlan, agreement_pairs
from racoon.science.statistics import Moments

if TYPE_CHECKING:
    from racoon.science.statistics.estimate import Estimate
    from racoon.science.statistics.sums import CrossProducts

FIGURES = ("bias", "lower", "upper", "icc", "ccc")
FEWEST = 3
"""Limits of agreement and CCC need three subjects; sites release sums of more."""


def compare_sites(plan: MeasuringPlan, releases: Sequence[SiteRelease]) -> list[dict[str, Any]]:
    """Compare masks by hand with masks of a program, for each site and for all together.

    Parameters
    ----------
    plan
        As it was run; pairs are measurements that differ only in ``drawn``.
    releases
        One per site that answered.

    Returns
    -------
    list of dict
        ``key``, ``manual``, ``automatic``, ``biomarker``, ``version``, ``label``, ``unit``, ``pooled``
        and ``per_site``: ``site``, ``n`` and each of ``FIGURES`` as value, low, high of the 95 % interval,
        automatic minus manual;
        ``n`` is ``None`` where the site released too little.
    """
    by_key = {item.key: item for item in plan.measurements}
    return [_compare(pair, by_key[pair.manual], releases) for pair in agreement_pairs(plan.measurements)]


def _compare(
    pair: AgreementPair, measurement: Measurement, releases: Sequence[SiteRelease]
) -> dict[str, Any]:
    from racoon.science.statistics.sums import CrossProducts  # noqa: PLC0415 - scipy's neighbour, for this page only

    parts: list[CrossProducts] = []
    rows: list[dict[str, Any]] = []
    units: set[str] = set()
    titles: dict[str, str] = {}
    for release in sorted(releases, key=lambda item: item.site):
        items = {str(item.get("key")): item for item in release.payload.get("measurements", ())}
        shown = items.get(pair.manual, {})
        if shown.get("unit"):
            units.add(str(shown["unit"]))
        titles = titles or {name: str(shown[name]) for name in ("title", "title_de") if shown.get(name)}
        sums = _sums(pair, items)
        if sums is not None:
            parts.append(sums)
        rows.append({"site": release.site, **_figures(sums)})
    pooled = CrossProducts.merge(parts) if parts and len(units) == 1 else None
    return {
        "key": pair.key,
        "manual": pair.manual,
        "automatic": pair.automatic,
        "biomarker": measurement.biomarker,
        "version": measurement.version,
        "label": measurement.label.to_dict() if measurement.label else None,
        "title": titles.get("title", ""),
        "title_de": titles.get("title_de", ""),
        "unit": units.pop() if len(units) == 1 else "",
        "pooled": _figures(pooled),
        "per_site": rows,
    }


def agreement_rows(result: Mapping[str, Any]) -> Iterator[list[Any]]:
    """Yield the rows of the CSV, header first: one line per biomarker and site, and one for all together.

    Parameters
    ----------
    result
        The study's result, with what :func:`compare_sites` returns as ``agreement``.
    """
    yield [
        *("study_id", "biomarker", "version", "label", "unit", "site", "n"),
        *(f"{name}{end}" for name in FIGURES for end in ("", "_low", "_high")),
        *("suppressed", "data_origin"),
    ]
    for row in result.get("agreement", ()):
        label = (row["label"]["meaning"] or row["label"]["value"]) if row["label"] else "image"
        head = [result["study_id"], row["biomarker"], row["version"], label, row["unit"]]
        for entry in [*row["per_site"], {**row["pooled"], "site": "(pooled)"}]:
            numbers = [number for name in FIGURES for number in entry[name] or (None, None, None)]
            hidden = "yes" if entry["n"] is None else "no"
            yield [*head, entry["site"], entry["n"], *numbers, hidden, result["data_origin"]]


def _sums(pair: AgreementPair, items: Mapping[str, Mapping[str, Any]]) -> CrossProducts | None:
    from racoon.science.statistics.agreement import paired_from_moments  # noqa: PLC0415 - scipy, for this page only

    try:
        manual, automatic, difference = (
            Moments.from_dict(items[key]["moments"]) for key in (pair.manual, pair.automatic, pair.key)
        )
        return paired_from_moments(automatic, manual, difference) if difference.n >= FEWEST else None
    except (KeyError, TypeError, ValueError):
        # Held back, or not what the plan asks for: nothing to show either way.
        return None


def _figures(sums: CrossProducts | None) -> dict[str, Any]:
    if sums is None:
        return {"n": None, **dict.fromkeys(FIGURES)}
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - as above
        bland_altman,
        concordance_correlation,
        intraclass_correlation,
    )

    limits = bland_altman(sums)
    found = {
        "bias": limits.bias,
        "lower": limits.lower,
        "upper": limits.upper,
        "icc": intraclass_correlation(sums).two_way,
        "ccc": concordance_correlation(sums),
    }
    return {"n": sums.n, **{name: _interval(item) for name, item in found.items()}}


def _interval(item: Estimate) -> list[float | None]:
    return [number if math.isfinite(number) else None for number in (item.value, item.low, item.high)]
