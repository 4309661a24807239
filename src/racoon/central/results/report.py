"""The report: one HTML file that needs nothing beside it, and the figures it shares with the page."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlencode

from racoon.central.results.model import BASELINE_PREFIX, LOCAL_PREFIX
from racoon.central.results.plots import bars, curves, forest, histogram
from racoon.central.words import fixed_text, number_text, score_text
from racoon.web.charts import Violin, violin_figure
from racoon.web.pages import environment
from racoon.web.translation import translations
from racoon.web.words import unit_text, words_of

Translate = Callable[[str], str]

FEWEST_BESIDE = 2
"""Sites beside each other; one alone is in the histogram of all."""

SHOWN_CELLS = 3
"""Fewer cells than this make no shape that is worth a picture, and quantiles as wide as the whole range."""

METRICS = {"dice": "Dice", "balanced_accuracy": "Balanced accuracy", "mae": "Mean absolute error"}
"""What models are compared by, as pages call it."""


def render_report(result: Mapping[str, Any], definition: Mapping[str, Any], language: str) -> str:
    """Render the report.

    Parameters
    ----------
    result
        The study's result document.
    definition
        The study's definition document: the protocol.
    language
        ``"de"`` or ``"en"``.
    """
    template = environment(language).get_template("central/report.html")
    return template.render(
        language=language,
        definition=json.dumps(definition, indent=2, ensure_ascii=False, sort_keys=True),
        **view(result, language),
    )


def view(
    result: Mapping[str, Any], language: str, addresses: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Prepare a result for people: figures, names and numbers in their language.

    Parameters
    ----------
    result
        The study's result document.
    language
        ``"de"`` or ``"en"``.
    addresses
        Where people of a site open its pages: there each number has its images. None in a file that goes elsewhere.
    """
    translate: Translate = translations(language).gettext
    study = urlencode({"study": result["study_id"]})

    def opens(path: str) -> dict[str, str]:
        return {site: f"{address}{path}" for site, address in sorted((addresses or {}).items())}

    def figure(value: float | None, digits: int = 4) -> str:
        return number_text(value, language, digits)

    return {
        "result": result,
        "own_page": f"/values?{study}",
        "opens": opens(f"/values?{study}"),
        "measurements": [
            _measurement(
                row, language, translate, opens(f"/values?{study}&{urlencode({'measurement': row['key']})}")
            )
            for row in result["measuring"]
        ],
        "suppressed": [
            {**entry, "measurement": title_of(row, language)}
            for row in result["measuring"]
            for entry in _grouped(row)
        ],
        "agreement": [
            {
                **row,
                "name": title_of(row, language),
                "unit_text": unit_text(row["unit"]),
                "opens": opens(f"/values/agreement?{study}"),
                "difference": partial(fixed_text, language=language, places=_places(row)),
            }
            for row in result.get("agreement", ())
        ],
        "training": _training(result["training"], translate, language) if result["training"] else None,
        "jobs": opens("/jobs"),
        "figure": figure,
        "score": lambda value, places=3: score_text(value, language, places),
    }


def _places(row: Mapping[str, Any]) -> int:
    """Decimals with which the widest limit of a comparison has four digits: all its numbers then compare."""
    limits = [
        abs(entry[name][0])
        for entry in (*row["per_site"], row["pooled"])
        for name in ("lower", "upper")
        if entry[name] and entry[name][0]
    ]
    return max(0, min(6, 3 - math.floor(math.log10(max(limits))))) if limits else 2


def title_of(row: Mapping[str, Any], language: str) -> str:
    """Name a measurement: ``"Volume: Liver"``."""
    label = row["label"]
    title = row["title_de"] if language == "de" else row["title"]
    words = title or str(row["biomarker"]).replace("_", " ").capitalize()
    return f"{words}: {words_of(language)(label['meaning'] or label['value'])}" if label else words


def _grouped(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Bring together the sites that held back the same part for the same reason."""
    sites: dict[tuple[str, str, str], list[str]] = {}
    for entry in row["suppressed"]:
        part = entry["part"].removeprefix(row["key"]).removeprefix(":").strip() or "all"
        sites.setdefault((part, entry["code"], entry["public_reason"]), []).append(entry["site"])
    return [
        {"part": part, "code": code, "public_reason": reason, "sites": sorted(found)}
        for (part, code, reason), found in sorted(sites.items())
    ]


def model_name(name: str, translate: Translate) -> str:
    """Name a model for people."""
    if name.startswith(LOCAL_PREFIX):
        return translate("Local only: %s") % name.removeprefix(LOCAL_PREFIX)
    if name.startswith(BASELINE_PREFIX):
        return translate("Trivial baseline: %s") % name.removeprefix(BASELINE_PREFIX)
    return {"federated": translate("Federated"), "pooled": translate("Pooled")}.get(name, name)


def _measurement(
    row: Mapping[str, Any], language: str, translate: Translate, opens: Mapping[str, str]
) -> dict[str, Any]:
    title = title_of(row, language)
    lines = [
        {"name": entry["site"], "mean": entry["mean"], "sd": entry["sd"], "n": entry["n"],
         "link": opens.get(entry["site"], "") if entry["n"] else "",
         "note": translate("suppressed") if entry["n"] is None else translate("no values")}
        for entry in row["per_site"]
    ]  # fmt: skip
    pooled = {"name": translate("Pooled"), "mean": row["mean"], "sd": row["sd"], "n": row["n"],
              "is_pooled": True, "note": "–"}  # fmt: skip
    unit = unit_text(row["unit"])
    # The gate merges bins until enough subjects stand in each; one or two broad bars show nothing.
    has_shape = row["histogram"] is not None and sum(map(bool, row["histogram"]["cells"])) >= SHOWN_CELLS
    return {
        **row,
        "title": title,
        "unit_text": unit,
        "opens": opens,
        "forest": forest(translate("%s, mean ± SD per site") % title, [*lines, pooled], unit, language),
        "violins": violin_figure(
            translate("%s, distribution per site") % title, _violins(row, opens), unit, language
        ),
        "histogram": histogram(
            translate("%s, pooled histogram") % title, row["histogram"] if has_shape else None, unit, language
        ),
        "has_shape": has_shape,
    }


def _violins(row: Mapping[str, Any], opens: Mapping[str, str]) -> list[Violin]:
    """The released distribution of each site, where it has a shape; of one site the histogram shows as much."""
    shapes = [
        (entry["site"], entry["histogram"])
        for entry in row["per_site"]
        if entry["histogram"] and sum(map(bool, entry["histogram"]["cells"])) >= SHOWN_CELLS
    ]
    if len(shapes) < FEWEST_BESIDE:
        return []
    return [
        Violin(
            site, shape["bins"]["lower"], shape["bins"]["width"], shape["cells"][1:-1], opens.get(site, "")
        )
        for site, shape in shapes
    ]


def _training(training: Mapping[str, Any], translate: Translate, language: str) -> dict[str, Any]:
    models = [{**model, "title": model_name(model["name"], translate)} for model in training["models"]]
    rows = [
        {"name": model["title"], "value": model["dice"], "kind": model["name"].partition(":")[0]}
        for model in models
    ]
    titles = {model["name"]: model["title"] for model in models}
    metric = translate(METRICS.get(training["metric"], training["metric"]))
    # Errors have no end; bars are for what lies between 0 and 1.
    shown = rows if training["metric"] != "mae" else []
    return {
        **training,
        "metric_title": metric,
        "models": models,
        "by_site": [{**row, "title": titles[row["name"]]} for row in training["by_site"]],
        "curve_plot": curves(
            translate("Training loss of each site by round"), training["curves"], translate("Round"), language
        ),
        "bars": bars(
            translate("%(metric)s on cases that no site trained on") % {"metric": metric},
            shown,
            language,
            metric,
        ),
    }
