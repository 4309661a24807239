"""From released aggregates to the study's result.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.science.statistics import Moments, Pooled, SiteSummary, pool

BASELINE_PREFIX = "baseline:"
LOCAL_PREFIX = "local:"


@dataclass(frozen=True)
class SiteRelease:
    """What one site let through for one run.

    Parameters
    ----------
    site
        Site code.
    payload
        Protected aggregates.
    suppressed
        What its gate held back: ``part``, ``code``, ``public_reason``.
    release_id, policy_version
        From its ledger.
    """

    site: str
    payload: Mapping[str, Any]
    suppressed: Sequence[Mapping[str, str]] = ()
    release_id: str = ""
    policy_version: str = ""


def pool_measurements(plan: Mapping[str, Any], releases: Sequence[SiteRelease]) -> list[dict[str, Any]]:
    """Pool every measurement of a plan over the sites.

    Parameters
    ----------
    plan
        JSON form of the measuring plan, with each measurement's ``key``.
    releases
        One per site that answered.

    Returns
    -------
    list of dict
        In the plan's order; see :func:`pool_one`.
    """
    by_site = {
        release.site: {str(item.get("key")): item for item in release.payload.get("measurements", ())}
        for release in releases
    }
    return [
        pool_one(
            measurement,
            {site: items.get(measurement["key"], {}) for site, items in by_site.items()},
            [
                {"site": release.site, **_shown(entry)}
                for release in releases
                for entry in release.suppressed
                if _concerns(str(entry.get("part", "")), measurement["key"])
            ],
        )
        for measurement in plan["measurements"]
    ]


def _concerns(part: str, key: str) -> bool:
    return part == key or part.startswith(f"{key}:")


def pool_one(
    measurement: Mapping[str, Any],
    items: Mapping[str, Mapping[str, Any]],
    suppressed: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Pool one measurement.

    Parameters
    ----------
    measurement
        From the plan, with ``key``.
    items
        Site → its released measurement; empty when it released none.
    suppressed
        What the sites' gates held back of it.

    Returns
    -------
    dict
        ``key``, ``biomarker``, ``version``, ``label``, ``unit``, ``n``, ``mean``, ``sd``, ``quantiles``,
        ``histogram``, ``unplaced``, ``sites`` (that count), ``suppressed_sites``, ``per_site``,
        ``suppressed``.
        Numbers are ``None`` where nothing was released.
    """
    units = sorted({str(item["unit"]) for item in items.values() if item.get("unit")})
    words = next((item for _, item in sorted(items.items()) if item.get("title")), {})
    problems: list[dict[str, str]] = []
    summaries = []
    for site, item in sorted(items.items()):
        try:
            if item.get("unit") and str(item["unit"]) != units[0]:
                raise ValueError("another unit")
            summaries.append(SiteSummary.from_dict(site, item))
        except (ValueError, KeyError, TypeError):
            problems.append(_unusable(site, measurement["key"]))
            summaries.append(SiteSummary(site, None))
    try:
        pooled = pool(summaries)
    except ValueError:
        # Bins that differ make histograms useless, not means.
        problems += [
            _unusable(summary.site, measurement["key"]) for summary in summaries if summary.histogram
        ]
        pooled = pool([SiteSummary(summary.site, summary.moments) for summary in summaries])
    return {
        "key": measurement["key"],
        "biomarker": measurement["biomarker"],
        "version": measurement["version"],
        "label": measurement["label"],
        "unit": units[0] if units else "",
        **{name: str(words.get(name, "")) for name in ("title", "title_de", "formula", "source")},
        **_numbers(pooled.moments),
        "quantiles": _quantiles(pooled),
        "histogram": pooled.histogram.to_dict() if pooled.histogram else None,
        "unplaced": pooled.unplaced,
        "sites": list(pooled.sites),
        "suppressed_sites": list(pooled.suppressed_sites),
        "per_site": [
            {
                "site": summary.site,
                **_numbers(summary.moments),
                "subjects": items[summary.site].get("subjects"),
                "histogram": summary.histogram.to_dict() if summary.histogram else None,
                "not_valid": items[summary.site].get("not_valid"),
            }
            for summary in summaries
        ],
        "suppressed": [*suppressed, *problems],
    }


def summarise_training(
    releases: Sequence[SiteRelease],
    rounds: Sequence[Mapping[str, Any]] | None,
    labels: Sequence[Mapping[str, str]],
) -> dict[str, Any]:
    """Bring the scores of all models on cases that no site trained on together.

    Parameters
    ----------
    releases
        One per evaluation site: ``cases``, ``baseline``, ``models`` → ``mean_dice`` and per label
        ``(n, sum, sum_of_squares)`` of Dice; of whole images ``metric`` and ``mean``, and sums of cases told or of
        absolute errors.
    rounds
        Records of the federated rounds; ``None`` without federated training.
    labels
        Codes of the structures, in the plan's order.

    Returns
    -------
    dict
        ``metric`` (``dice``, ``balanced_accuracy`` or ``mae``; the names below are of the first), ``federated_dice``,
        ``pooled_dice``, ``local_dice`` per site, ``baseline_dice``, ``rounds``, the full table
        ``models``, ``by_site`` (model × evaluation site with the interval the site released), ``site_effect`` of the
        federated model (largest less smallest mean of a site), and ``curves`` (site → loss of each round).
    """
    names = sorted({name for release in releases for name in release.payload.get("models", {})}, key=_order)
    models = [
        _score(name, [release.payload.get("models", {}).get(name) for release in releases], labels)
        for name in names
    ]
    dice = {model["name"]: model["dice"] for model in models}
    baselines = {
        name: value for name, value in dice.items() if name.startswith(BASELINE_PREFIX) and value is not None
    }
    metric = next(
        (
            str(entry["metric"])
            for release in releases
            for entry in release.payload.get("models", {}).values()
            if entry.get("metric")
        ),
        "dice",
    )
    sign = -1.0 if metric == "mae" else 1.0
    best = max(sorted(baselines), key=lambda name: sign * baselines[name]) if baselines else None
    local = {
        name.removeprefix(LOCAL_PREFIX): value
        for name, value in dice.items()
        if name.startswith(LOCAL_PREFIX)
    }
    known = [value for value in local.values() if value is not None]
    by_site = _by_site(names, releases)
    means = [
        cell["mean"]
        for row in by_site
        if row["name"] == "federated"
        for cell in row["cells"]
        if cell["mean"] is not None
    ]
    return {
        "metric": metric,
        "federated_dice": dice.get("federated"),
        "pooled_dice": dice.get("pooled"),
        "local_dice": local,
        "mean_local_dice": math.fsum(known) / len(known) if known else None,
        "baseline_dice": baselines[best] if best else None,
        "baseline": best.removeprefix(BASELINE_PREFIX) if best else None,
        "rounds": len(rounds or ()),
        "round_records": [dict(entry) for entry in rounds or ()],
        "cases": sum(int(release.payload.get("cases") or 0) for release in releases),
        "evaluation_sites": sorted(release.site for release in releases),
        "models": models,
        "by_site": by_site,
        "site_effect": max(means) - min(means) if len(means) > 1 else None,
        "curves": _curves(rounds or ()),
    }


def _by_site(names: Sequence[str], releases: Sequence[SiteRelease]) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "cells": [
                {"site": release.site, **_cell(release.payload.get("models", {}).get(name))}
                for release in sorted(releases, key=lambda release: release.site)
            ],
        }
        for name in names
    ]


def _cell(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what a site released of a model's mean over cases; a site of an older version has no interval."""
    found = (entry or {}).get("interval") or {}
    cell = {name: found.get(name) for name in ("n", "mean", "lower", "upper")}
    if cell["mean"] is None and entry:
        cell["mean"] = _mean_of(entry)
    return cell


def _mean_of(entry: Mapping[str, Any]) -> float | None:
    mean: float | None = entry.get("mean_dice", entry.get("mean"))
    return mean


def _curves(rounds: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[int, float]]]:
    curves: dict[str, list[tuple[int, float]]] = {}
    for entry in rounds:
        for site, facts in sorted((entry.get("sites") or {}).items()):
            # A private training keeps its loss at the site.
            if isinstance(facts, Mapping) and isinstance(facts.get("loss"), (int, float)):
                curves.setdefault(site, []).append((int(entry["round"]) + 1, float(facts["loss"])))
    return curves


def _score(
    name: str, entries: Sequence[Mapping[str, Any] | None], labels: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    per_label: list[dict[str, Any]] = []
    for index, label in enumerate(labels):
        units = [
            entry["labels"][index]
            for entry in entries
            if entry and entry.get("labels") and len(entry["labels"]) > index and entry["labels"][index]
        ]
        n = sum(int(unit["n"]) for unit in units)
        total = math.fsum(float(unit["sum"]) for unit in units)
        squares = math.fsum(float(unit["sum_of_squares"]) for unit in units)
        variance = (squares - total * total / n) / (n - 1) if n > 1 else None
        per_label.append(
            {
                "label": dict(label),
                "n": n,
                "dice": total / n if n else None,
                "sd": math.sqrt(max(variance, 0.0)) if variance is not None else None,
            }
        )
    defined = [entry["dice"] for entry in per_label if entry["dice"] is not None]
    means = [float(mean) for entry in entries if entry and (mean := _mean_of(entry)) is not None]
    if defined:
        dice: float | None = math.fsum(defined) / len(defined)
    else:
        dice = math.fsum(means) / len(means) if means else None
    return {"name": name, "dice": dice, "labels": per_label}


def _order(name: str) -> tuple[int, str]:
    kinds = ("federated", "pooled", LOCAL_PREFIX, BASELINE_PREFIX)
    return next((rank for rank, kind in enumerate(kinds) if name.startswith(kind)), len(kinds)), name


def _numbers(moments: Moments | None) -> dict[str, Any]:
    if moments is None or moments.n == 0:
        return {"n": 0 if moments is not None else None, "mean": None, "sd": None, "moments": None}
    return {
        "n": moments.n,
        "mean": moments.mean,
        "sd": moments.sd if moments.n > 1 else None,
        "moments": moments.to_dict(),
    }


def _quantiles(pooled: Pooled) -> dict[str, Any]:
    return {
        f"{probability:g}": {"value": found.value, "low": found.low, "high": found.high}
        for probability, found in pooled.quantiles.items()
    }


def _shown(entry: Mapping[str, str]) -> dict[str, str]:
    return {name: str(entry.get(name, "")) for name in ("part", "code", "public_reason")}


def _unusable(site: str, key: str) -> dict[str, str]:
    return {
        "site": site,
        "part": key,
        "code": "results.unusable",
        "public_reason": "What the site released for it does not fit the plan and was not used.",
    }


def csv_rows(result: Mapping[str, Any]) -> Iterable[list[Any]]:
    """Yield the rows of the CSV, header first: one line per measurement and site, and per model and label."""
    yield [
        "study_id", "part", "name", "version", "label", "site", "n", "mean", "sd", "unit", "suppressed",
        "data_origin",
    ]  # fmt: skip
    study, origin = result["study_id"], result["data_origin"]
    for row in result["measuring"]:
        label = row["label"]["meaning"] or row["label"]["value"] if row["label"] else "image"
        head = [study, "measuring", row["biomarker"], row["version"], label]
        for entry in [{**row, "site": "(pooled)"}, *row["per_site"]]:
            hidden = "yes" if entry["n"] is None else "no"
            yield [*head, entry["site"], entry["n"], entry["mean"], entry["sd"], row["unit"], hidden, origin]
    training = result["training"]
    for model in training["models"] if training else ():
        for entry in model["labels"]:
            label = entry["label"]["meaning"] or entry["label"]["value"]
            yield [
                study, "training", "dice", model["name"], label, ";".join(training["evaluation_sites"]),
                entry["n"], entry["dice"], entry["sd"], "1", "no", origin,
            ]  # fmt: skip
