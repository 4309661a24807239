"""Who was looked at, who left on the way and what counts: the flow diagram of a result.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape

LINE, GAP = 18, 26
LEFT, WIDE, SIDE, TOTAL = 20, 300, 350, 640
_CHARACTERS = 40
_BOLD = ' font-weight="600"'


def counted_rows(table: Mapping[str, Any]) -> int | None:
    """Count the subjects behind a table, as far as sites say it; ``None`` where none does.

    Parameters
    ----------
    table
        JSON form of a result table.

    Notes
    -----
    A site has one line per term or group: for groups the lines add up, for terms they repeat the same subjects.
    """
    if not table["per_site"]:
        return None
    by_name: dict[str, int] = {}
    for line in table["per_site"]:
        by_name[line["name"]] = by_name.get(line["name"], 0) + line["n"]
    groups = {curve["name"] for curve in table["curves"]}
    if groups:
        return sum(count for name, count in by_name.items() if name in groups)
    return max(by_name.values())


def flow_steps(result: Mapping[str, Any], language: str) -> list[tuple[list[str], list[str]]]:
    """Say the flow in words.

    Parameters
    ----------
    result
        The kept document.
    language
        ``"de"`` or ``"en"``.

    Returns
    -------
    list of tuple
        From top to bottom: what goes on, and what leaves beside it.
    """
    german = language == "de"
    subjects: Mapping[str, int | None] = result.get("subjects", {})
    known = [count for count in subjects.values() if count is not None]
    silent = len(result["datasets"]) - len(known)
    frozen = [
        f"{len(result['datasets'])} "
        + ("Standorte mit eingefrorenem Datensatz" if german else "sites with a frozen dataset"),
        f"{sum(known)} {'Personen' if german else 'subjects'}",
    ]
    if silent:
        words = "Standorte nennen keine Zahl" if german else "sites say no number"
        frozen.append(f"{silent} {words}")
    left = [f"{site}: {reason}" for site, reason in sorted(result["left"].items())]
    gone = [f"{'Ausgeschieden' if german else 'Left'} (n = {len(left)})", *left] if left else []
    steps: list[tuple[list[str], list[str]]] = [(frozen, gone)]
    for table in result["tables"]:
        title = f"{table['title']} ({table['subgroup']})" if table["subgroup"] else str(table["title"])
        count = counted_rows(table)
        inside = [title, f"{len(table['sites'])} {'Standorte' if german else 'sites'}"]
        if count is not None:
            inside.append(f"{count} {'Personen' if german else 'subjects'}")
        stayed = sorted({site for site, _ in table["withheld"]} - set(table["sites"]) - set(result["left"]))
        beside = [f"{'Zurückgehalten' if german else 'Held back'}: {', '.join(stayed)}"] if stayed else []
        steps.append((inside, beside))
    return steps


def flow_figure(result: Mapping[str, Any], language: str) -> str:
    """Draw the flow diagram.

    Parameters
    ----------
    result
        The kept document.
    language
        ``"de"`` or ``"en"``.

    Returns
    -------
    str
        SVG.
    """
    title = "Wer gezählt wurde" if language == "de" else "Who was counted"
    parts, y = [], 20.0
    for number, (inside, beside) in enumerate(flow_steps(result, language)):
        lines = [part for text in inside for part in _wrapped(text)]
        aside = [part for text in beside for part in _wrapped(text)]
        height = LINE * len(lines) + 14
        if number:
            middle = LEFT + WIDE / 2
            parts.append(_line(middle, y - GAP, middle, y))
        parts.append(_box(LEFT, y, WIDE, lines))
        if aside:
            parts.append(_line(LEFT + WIDE, y + height / 2, SIDE, y + height / 2))
            parts.append(_box(SIDE, y, TOTAL - SIDE - 10, aside))
        y += max(height, LINE * len(aside) + 14) + GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {TOTAL} {y:g}" role="img" font-family="sans-serif" '
        f'font-size="13"><title>{escape(title)}</title>{"".join(parts)}</svg>'
    )


def _wrapped(text: str) -> list[str]:
    lines = [""]
    for word in text.split():
        if lines[-1] and len(lines[-1]) + len(word) >= _CHARACTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def _box(x: float, y: float, width: float, lines: list[str]) -> str:
    height = LINE * len(lines) + 14
    texts = "".join(
        f'<text x="{x + 10:g}" y="{y + 20 + LINE * number:g}" fill="currentColor"'
        f"{_BOLD if number == 0 else ''}>{escape(text)}</text>"
        for number, text in enumerate(lines)
    )
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" fill="none" stroke="#888888"/>{texts}'


def _line(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="#888888"/>'
