"""One table of a study's modes on subjects nobody trained on: per site, over all, against doing almost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from racoon.science.statistics.bootstrap import bootstrap_mean

ALL = "all"
"""Row over the unseen subjects of every site together."""

SiteScores = Mapping[str, Mapping[str, Any]]
"""Site → ``scores.json`` of the evaluation on its unseen subjects."""


def case_means(score: Mapping[str, Any]) -> list[float | None]:
    """Return the mean Dice over labels of each case; ``None`` where no label is defined."""
    return [_mean(values) for _, values in sorted(score["per_case_dice"].items())]


def comparison_table(scores: SiteScores) -> list[dict[str, Any]]:
    """Build the rows model × site.

    Parameters
    ----------
    scores
        Per site, every model's Dice per case and label, and the trivial models'.

    Returns
    -------
    list
        ``model``, ``site`` (or ``all``), ``n``, ``mean``, ``lower``, ``upper``: Dice over labels, then over cases,
        with a percentile bootstrap over cases; the trivial models are rows called ``trivial:NAME``.
    """
    columns: dict[str, dict[str, list[float | None]]] = {}
    for site, found in scores.items():
        models = {**found["models"], **{f"trivial:{k}": v for k, v in found["baseline"]["all"].items()}}
        for model, score in models.items():
            columns.setdefault(model, {})[site] = case_means(score)
    rows = []
    for model in sorted(columns):
        by_site = columns[model]
        rows += [
            {"model": model, "site": site, **bootstrap_mean(values).to_dict()}
            for site, values in sorted(by_site.items())
        ]
        if set(by_site) == set(scores):
            together = [value for site in sorted(by_site) for value in by_site[site]]
            rows.append({"model": model, "site": ALL, **bootstrap_mean(together).to_dict()})
    return rows


def verdict(rows: Sequence[Mapping[str, Any]], sites: Sequence[str]) -> dict[str, Any]:
    """Compare the modes as the goals of a federated study do.

    Parameters
    ----------
    rows
        Of :func:`comparison_table`, with models ``federated``, ``pooled`` and ``local:SITE``; what is missing has no
        comparison.
    sites
        Who took part.

    Returns
    -------
    dict
        ``federated_to_pooled`` (ratio), ``federated_minus_mean_local`` (on all unseen subjects),
        ``worst_site_difference`` (smallest federated - own local), ``best_trivial``.
    """
    means = {(row["model"], row["site"]): row["mean"] for row in rows}
    federated, pooled = means.get(("federated", ALL)), means.get(("pooled", ALL))
    local = [means.get((f"local:{site}", ALL)) for site in sites]
    own = [
        means[("federated", site)] - means[(f"local:{site}", site)]
        for site in sites
        if means.get(("federated", site)) is not None and means.get((f"local:{site}", site)) is not None
    ]
    trivial = [
        row["mean"]
        for row in rows
        if row["site"] == ALL and row["model"].startswith("trivial:") and row["mean"] is not None
    ]
    mean_local = _mean(local) if all(value is not None for value in local) else None
    return {
        "federated_to_pooled": federated / pooled if federated is not None and pooled else None,
        "federated_minus_mean_local": (
            federated - mean_local if federated is not None and mean_local is not None else None
        ),
        "worst_site_difference": min(own) if own else None,
        "best_trivial": max(trivial) if trivial else None,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
