"""An analysis for people: tables with words and numbers of their language, and the figures one would print."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

from racoon.central.analysing.cells import cell_text
from racoon.central.analysing.sentences import ESTIMATOR_PATTERNS
from racoon.central.results.plots import forest, histogram
from racoon.central.words import number_text
from racoon.web.charts import Violin, violin_figure
from racoon.web.figures import Ratio, Steps, ratio_figure, survival_figure
from racoon.web.plots import plot_figure
from racoon.web.translation import translations
from racoon.web.words import unit_text, words_of

Say = Callable[[str | None], str]

_PATTERNS = (
    (re.compile(r"(?P<rows>\d+) rows, (?P<rounds>\d+) rounds\."), "%(rows)s rows, %(rounds)s rounds."),
    (re.compile(r"Left in round (?P<round>\d+): (?P<reason>.*)"), "Left in round %(round)s: %(reason)s"),
    (
        re.compile(
            r"(?P<name>[^ ]+): meta-analysis of the sites (?P<value>[^ ]+) "
            r"\((?P<low>[^ ]+) to (?P<high>[^ ]+)\), I² (?P<share>\d+) %\."
        ),
        "%(name)s: meta-analysis of the sites %(value)s (%(low)s to %(high)s), I² %(share)s per cent.",
    ),
    (
        re.compile(
            r"p lies between (?P<low>[^ ]+) and (?P<high>[^ ]+) whatever the values inside the bins\."
        ),
        "p lies between %(low)s and %(high)s whatever the values inside the bins.",
    ),
    (
        re.compile(r"Separation: (?P<names>.+) predicts the outcome without exception; (?P<advice>.*)"),
        "Separation: %(names)s predicts the outcome without exception; no finite estimate exists.",
    ),
    (
        re.compile(r"Linearly dependent, leave one of them out: (?P<names>.+)\."),
        "Linearly dependent, leave one of them out: %(names)s.",
    ),
    (
        re.compile(r"No convergence within (?P<rounds>\d+) rounds; do not read these numbers\."),
        "No convergence within %(rounds)s rounds; do not read these numbers.",
    ),
    (re.compile(r"Not computed: (?P<reason>.*)"), "Not computed: %(reason)s"),
    (
        re.compile(
            r"(?P<name>.+): the sites differ much \(I² (?P<share>\d+) %\); a common number hides that\."
        ),
        "%(name)s: the sites differ much (I² %(share)s per cent); a common number hides that.",
    ),
    (
        re.compile(r"(?P<name>.+): the interval is so wide that the ratio says little\."),
        "%(name)s: the interval is so wide that the ratio says little.",
    ),
)
"""Sentences of the estimators that carry numbers or names, and what the catalogue knows them as."""


def sentence(text: str, language: str) -> str:
    """Say a sentence of an estimator or a site in a language."""
    translate, words = translations(language).gettext, words_of(language)
    for pattern, known in (*_PATTERNS, *ESTIMATOR_PATTERNS):
        if found := pattern.fullmatch(text):
            # Names of variables are the plan's own; only reasons are sentences of the catalogue.
            values = {
                name: (words(part) or part) if name == "reason" else part
                for name, part in found.groupdict().items()
            }
            if language == "de":
                values = {name: _german(part) for name, part in values.items()}
            return translate(known) % values
    return words(text)


def _german(text: str) -> str:
    return text.replace(".", ",") if re.fullmatch(r"-?\d+\.\d+(e-?\d+)?", text) else text


def view(result: Mapping[str, Any], language: str, links: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Prepare a result for a page.

    Parameters
    ----------
    result
        The kept document.
    language
        ``"de"`` or ``"en"``.
    links
        By site: its own page, where each number is points that open cases.
    """
    links = links or {}
    return {
        "tables": [
            _table(result["plan"], table, number, language, links)
            for number, table in enumerate(result["tables"], start=1)
        ],
        "sites": [
            {**site, "left": sentence(site["left"], language) if site["left"] else ""}
            for site in result["sites"]
        ],
        "held_back": [_held(entry, language) for entry in result["held_back"]],
    }


def _table(
    plan: Mapping[str, Any],
    table: Mapping[str, Any],
    number: int,
    language: str,
    links: Mapping[str, str],
) -> dict[str, Any]:
    say = words_of(language)
    title = f"{table['title']} ({table['subgroup']})" if table["subgroup"] else str(table["title"])
    own = {str(item["name"]) for item in plan["variables"]}
    own |= {str(level) for item in plan["variables"] for level in item["levels"]}
    return {
        "id": f"t{number}",
        "title": title,
        "header": [say(column) for column in table["columns"]],
        "rows": [
            [_cell(column, cell, language, own) for column, cell in zip(table["columns"], row, strict=True)]
            for row in table["rows"]
        ],
        "notes": [sentence(note, language) for note in table["notes"] if not note.startswith(_DOUBTS)],
        "warnings": [
            *(sentence(note, language) for note in table["notes"] if note.startswith(_DOUBTS)),
            *(sentence(text, language) for text in doubts(table)),
        ],
        "withheld": [(site, sentence(reason, language)) for site, reason in table["withheld"]],
        "sites": table["sites"],
        "rounds": table["rounds"],
        "per_site": [
            {**_line(line, language, own), "link": links.get(line["site"], "")} for line in table["per_site"]
        ],
        "figures": [drawing for _, drawing in figures(plan, table, title, language, links)],
    }


def _cell(column: str, cell: str | float | None, language: str, own: Collection[str]) -> dict[str, Any]:
    if cell is None or isinstance(cell, str):
        text = "–" if cell is None else cell_text(cell, language, own)
        return {"text": text, "is_number": cell is None}
    if column.startswith("p") and column != "percent" and cell < 0.001:
        return {"text": "< 0,001" if language == "de" else "< 0.001", "is_number": True}
    whole = isinstance(cell, int) or float(cell).is_integer()
    return {"text": str(int(cell)) if whole else number_text(cell, language), "is_number": True}


def _line(line: Mapping[str, Any], language: str, own: Collection[str]) -> dict[str, Any]:
    numbers = {key: number_text(line[key], language) for key in ("value", "low", "high")}
    name = cell_text(line["name"], language, own)
    return {"site": line["site"], "name": name, "n": line["n"], **numbers}


def _held(entry: Mapping[str, Any], language: str) -> dict[str, Any]:
    """Say what was held back: the plan's own names, then which part of them."""
    say = words_of(language)
    name, colon, part = entry["part"].rpartition(": ")
    return {**entry, "part": f"{name}{colon}{say(part)}", "reason": say(entry["public_reason"])}


def figures(
    plan: Mapping[str, Any],
    table: Mapping[str, Any],
    title: str,
    language: str,
    links: Mapping[str, str] | None = None,
) -> list[tuple[str, str]]:
    """Draw everything a table has to show.

    Parameters
    ----------
    plan, table
        The plan, and one table of its result.
    title, language
        Title of the figures, and ``"de"`` or ``"en"``.
    links
        By site: what its line of a figure opens; for pages, not for files.

    Returns
    -------
    list of tuple
        Short name, and the figure as SVG.
    """
    say = words_of(language)
    found: list[tuple[str, str]] = []
    if table["curves"]:
        curves = [
            Steps(*(curve[key] for key in ("name", "times", "values", "low", "high", "at_risk")))
            for curve in table["curves"]
        ]
        unit = unit_text(_unit_of_time(plan, str(table["title"])))
        found.append(
            ("survival", survival_figure(title, curves, unit, say("time"), say("at risk"), language))
        )
    if "ratio" in table["columns"] and (ratios := _ratios(table)):
        found.append(("ratios", ratio_figure(title, ratios, say("ratio"), language)))
    common = [shape for shape in table["shapes"] if not shape.get("site")]
    for place, shape in enumerate(common, start=1):
        name = f"{title}: {shape['name']}"
        found.append(
            (f"histogram-{place}", histogram(name, shape["histogram"], unit_text(shape["unit"]), language))
        )
    found += _violins(table, title, language, links or {})
    for place, plot in enumerate(table.get("plots", ()), start=1):
        found.append(
            (f"{plot['kind']}-{place}", plot_figure(f"{title}: {say(plot['kind'])}", plot, say, language))
        )
    found += _forests(table, title, language, links or {})
    return [(name, drawing) for name, drawing in found if drawing]


_DOUBTS = ("Separation", "Linearly dependent", "No convergence", "Not computed")
"""Beginnings of what an estimator says against its own numbers."""

MUCH_HETEROGENEITY = 75.0
"""I² from which sites differ considerably (Cochrane Handbook, section 10.10.2)."""

WIDE_RATIO = 10.0
"""Upper over lower limit of a ratio from which it says hardly anything."""


def doubts(table: Mapping[str, Any]) -> list[str]:
    """Say where a table's numbers should not be trusted, beyond what the estimators say themselves.

    Parameters
    ----------
    table
        JSON form of a result table.
    """
    found = []
    for name, share in _heterogeneity(table):
        if share >= MUCH_HETEROGENEITY:
            found.append(f"{name}: the sites differ much (I² {share:.0f} %); a common number hides that.")
    for row in table["rows"]:
        cells = dict(zip(table["columns"], row, strict=False))
        low, high = cells.get("ratio low"), cells.get("ratio high")
        if low and high and cells.get("term") != "(intercept)" and high / low > WIDE_RATIO:
            found.append(f"{cells['term']}: the interval is so wide that the ratio says little.")
    silent = {site for site, _ in table["withheld"]} - set(table["sites"])
    if table["rows"] and len(silent) > len(table["sites"]):
        found.append("More sites are missing from this part than count in it.")
    return found


def _heterogeneity(table: Mapping[str, Any]) -> list[tuple[str, float]]:
    if "I² %" in table["columns"]:
        place = table["columns"].index("I² %")
        return [(str(row[0]), float(row[place])) for row in table["rows"] if row[place] is not None]
    pattern = next(pattern for pattern, known in _PATTERNS if "meta-analysis" in known)
    return [
        (match["name"], float(match["share"]))
        for note in table["notes"]
        if (match := pattern.fullmatch(note))
    ]


def _violins(
    table: Mapping[str, Any], title: str, language: str, links: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Draw each site's distribution beside the others."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for shape in table["shapes"]:
        if shape.get("site"):
            by_name.setdefault(shape["name"], []).append(shape)
    found = []
    for place, (name, shapes) in enumerate(by_name.items(), start=1):
        violins = []
        for shape in shapes:
            bins, cells = shape["histogram"]["bins"], shape["histogram"]["cells"]
            link = links.get(shape["site"], "")
            violins.append(Violin(shape["site"], bins["lower"], bins["width"], cells[1:-1], link))
        drawing = violin_figure(f"{title}: {name}", violins, unit_text(shapes[0]["unit"]), language)
        found.append((f"violins-{place}", drawing))
    return found


def _unit_of_time(plan: Mapping[str, Any], title: str) -> str:
    times = [item["time"] for item in plan["estimators"] if item["title"] == title and "time" in item]
    return next((str(item["unit"]) for item in plan["variables"] if item["name"] in times), "")


def _ratios(table: Mapping[str, Any]) -> list[Ratio]:
    place = table["columns"].index("ratio")
    found = []
    for row in table["rows"]:
        limits = [cell for cell in row[place : place + 3] if isinstance(cell, float)]
        if len(limits) == 3 and row[0] != "(intercept)" and all(0 < limit < math.inf for limit in limits):
            found.append(Ratio(str(row[0]), *limits))
    return found


def _forests(
    table: Mapping[str, Any], title: str, language: str, links: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Draw each site's own number beside the others and the common one."""
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for line in table["per_site"]:
        if line["value"] is not None:
            by_name.setdefault(line["name"], []).append(line)
    found = []
    for place, (name, lines) in enumerate(by_name.items(), start=1):
        rows = [
            {
                "name": line["site"],
                "mean": line["value"],
                "sd": _half(line),
                "n": line["n"],
                "link": links.get(line["site"], ""),
            }
            for line in lines
        ]
        if (common := _common(table, name)) is not None:
            rows.append({"name": words_of(language)("all sites"), "is_pooled": True, **common})
        found.append((f"sites-{place}", forest(f"{title}: {name}", rows, name, language)))
    return found


def _half(line: Mapping[str, Any]) -> float:
    return 0.0 if line["low"] is None or line["high"] is None else (line["high"] - line["low"]) / 2


def _common(table: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    rows = [dict(zip(table["columns"], row, strict=True)) for row in table["rows"]]
    for row in rows:
        if "term" in row and row["term"] == name:
            n = sum(line["n"] for line in table["per_site"] if line["name"] == name)
            return {"mean": row["estimate"], "sd": (row["high"] - row["low"]) / 2, "n": n}
        is_number = "variable" in row and row["mean"] is not None
        if is_number and name in (row["variable"], f"{row['variable']}: {row['group']}"):
            return {"mean": row["mean"], "sd": row["sd"] or 0.0, "n": row["n"]}
    return None
