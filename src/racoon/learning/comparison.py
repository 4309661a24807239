"""One table of a study's modes on subjects nobody trained on: per site, over all, against doing almost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from racoon.learning.readings import LOWER_IS_BETTER, measures_of
from racoon.science.statistics.bootstrap import bootstrap_mean

ALL = "all"
"""Row over the unseen subjects of every site together."""

SiteScores = Mapping[str, Mapping[str, Any]]
"""Site → ``scores.json`` of the evaluation on its unseen subjects."""


def case_means(score: Mapping[str, Any]) -> list[float | None]:
    """Return the mean over labels of each case's score; ``None`` where no label is defined."""
    return [_mean(values) for _, values in sorted(score["per_case"].items())]


def comparison_table(scores: SiteScores) -> list[dict[str, Any]]:
    """Build the rows model × site.

    Parameters
    ----------
    scores
        Per site, every model's scores per case and label, and the trivial models'.

    Returns
    -------
    list
        ``model``, ``site`` (or ``all``), ``metric``, ``n``, ``mean``, ``lower``, ``upper``, with a percentile bootstrap
        over cases: Dice over labels, then over cases; of whole images the metric of their task, and ``measures`` has
        all others.  The trivial models are rows called ``trivial:NAME``.
    """
    columns: dict[str, dict[str, Mapping[str, Any]]] = {}
    for site, found in scores.items():
        models = {**found["models"], **{f"trivial:{k}": v for k, v in found["baseline"]["all"].items()}}
        for model, score in models.items():
            columns.setdefault(model, {})[site] = score
    rows = []
    for model in sorted(columns):
        by_site = columns[model]
        rows += [{"model": model, "site": site, **_row([score])} for site, score in sorted(by_site.items())]
        if set(by_site) == set(scores):
            rows.append({"model": model, "site": ALL, **_row([by_site[site] for site in sorted(by_site)])})
    return rows


def _row(scores: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one model's row over the cases of some sites."""
    metric = scores[0]["metric"]
    if "readings" not in scores[0]:
        together = [value for score in scores for value in case_means(score)]
        return {"metric": metric, **bootstrap_mean(together).to_dict()}
    readings = {
        f"{number}/{name}": read
        for number, score in enumerate(scores)
        for name, read in score["readings"].items()
    }
    measures = measures_of(scores[0]["task"], readings)
    return {"metric": metric, **measures[metric], "measures": measures}


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
        ``metric``, ``lower_is_better``, ``federated_to_pooled`` (ratio), ``federated_minus_mean_local`` (on all unseen
        subjects), ``worst_site_difference`` (federated - own local where that is worst), ``best_trivial``.
    """
    metric = next((row["metric"] for row in rows), "dice")
    best, worst = (min, max) if metric in LOWER_IS_BETTER else (max, min)
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
        "metric": metric,
        "lower_is_better": metric in LOWER_IS_BETTER,
        "federated_to_pooled": federated / pooled if federated is not None and pooled else None,
        "federated_minus_mean_local": (
            federated - mean_local if federated is not None and mean_local is not None else None
        ),
        "worst_site_difference": worst(own) if own else None,
        "best_trivial": best(trivial) if trivial else None,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
