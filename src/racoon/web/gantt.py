"""Bars along a line of time, a row for each case; each row opens a page.  SVG.

The table with the same numbers stands beside it on the page: nobody depends on the picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from xml.sax.saxutils import escape, quoteattr

from babel import dates

WIDTH, LEFT, RIGHT, TOP, ROW = 960, 250, 34, 34, 34
_LONGEST_NAME = 30
_LETTER = 7.2
"""Width of a letter of a bar's text, in units of the picture."""

_STEPS_MONTHS = (1, 2, 3, 6, 12, 24, 60, 120)
_STEPS_DAYS = (1, 2, 7, 14)
_MOST_TICKS = 10
_SHORT_DAYS = 90
DAYS = {"de": "d. MMM", "en": "d MMM"}
"""Single days on the line of time."""


@dataclass(frozen=True)
class Bar:
    """A time in one state.

    Parameters
    ----------
    start, end
        First and last day.
    text
        What the bar says, in the reader's language.
    tone
        ``good``, ``warn``, ``bad`` or nothing: its colour; the text says the same.
    """

    start: date
    end: date
    text: str
    tone: str = ""


@dataclass(frozen=True)
class Row:
    """One case.

    Parameters
    ----------
    name
        What is written at its left.
    link
        Page it opens.
    bars
        Oldest first.
    planned
        First and last planned day, drawn as an outline; either may be unknown.
    deadline
        A day drawn as a mark.
    """

    name: str
    link: str
    bars: Sequence[Bar]
    planned: tuple[date | None, date | None] = (None, None)
    deadline: date | None = None


def gantt_figure(
    title: str,
    rows: Sequence[Row],
    today: date,
    language: str,
    *,
    planned: str,
    deadline: str,
    say_day: Callable[[date], str],
) -> str:
    """Draw the rows along time.

    Parameters
    ----------
    title
        Read out by screen readers.
    rows
        Drawn from above.
    today
        Drawn as a line.
    language
        Of the months.
    planned, deadline
        Words for the outline and the mark.
    say_day
        Writes a day in the reader's language.

    Returns
    -------
    str
        SVG; empty without rows.
    """
    if not rows:
        return ""
    days = [day for row in rows for bar in row.bars for day in (bar.start, bar.end)]
    days += [day for row in rows for day in (*row.planned, row.deadline) if day is not None]
    first, last = min([*days, today]), max([*days, today])
    margin = timedelta(days=max(2, (last - first).days // 40))
    axis = _Axis(first - margin, last + margin)
    bottom = TOP + ROW * len(rows)
    parts = [
        (
            f'<svg class="gantt" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {bottom + 12}" role="group" '
            f"aria-label={quoteattr(title)}><title>{escape(title)}</title>"
        ),
        *_ticks(axis, bottom, language),
    ]
    x = axis(today)
    parts.append(f'<line class="today" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom + 6}"/>')
    for number, row in enumerate(rows):
        parts.append(_row(row, TOP + ROW * number, axis, planned, deadline, say_day))
    return "".join([*parts, "</svg>"])


@dataclass(frozen=True)
class _Axis:
    first: date
    last: date

    def __call__(self, day: date) -> float:
        share = (day - self.first).days / max(1, (self.last - self.first).days)
        return LEFT + share * (WIDTH - LEFT - RIGHT)


def _ticks(axis: _Axis, bottom: float, language: str) -> list[str]:
    parts = []
    for day, pattern in _marks(axis, language):
        x = axis(day)
        text = escape(dates.format_date(day, pattern, locale=language))
        parts.append(f'<line class="month" x1="{x:.1f}" y1="{TOP - 6}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{text}</text>')
    return parts


def _marks(axis: _Axis, language: str) -> list[tuple[date, str]]:
    """Return first days of months, or single days where there are not two months to mark."""
    days = (axis.last - axis.first).days
    if days < _SHORT_DAYS:
        step = next(item for item in _STEPS_DAYS if days / item <= _MOST_TICKS)
        return [(axis.first + timedelta(days=number), DAYS[language]) for number in range(0, days + 1, step)]
    span = (axis.last.year - axis.first.year) * 12 + axis.last.month - axis.first.month
    step = next((item for item in _STEPS_MONTHS if span / item <= _MOST_TICKS), _STEPS_MONTHS[-1])
    # Months counted from year 0, January of each year being a multiple of twelve.
    number = axis.first.year * 12 + axis.first.month - 1
    number += -number % step
    marks = []
    while (day := date(number // 12, number % 12 + 1, 1)) <= axis.last:
        if day >= axis.first:
            marks.append((day, "MMM yy"))
        number += step
    return marks


def _row(
    row: Row, top: float, axis: _Axis, planned: str, deadline: str, say_day: Callable[[date], str]
) -> str:
    name = row.name if len(row.name) <= _LONGEST_NAME else f"{row.name[: _LONGEST_NAME - 1]}…"
    now = row.bars[-1].text if row.bars else ""
    parts = [
        (
            f"<a href={quoteattr(row.link)} aria-label={quoteattr(f'{row.name}: {now}')}>"
            f'<rect class="row" x="0" y="{top:.1f}" width="{WIDTH}" height="{ROW}"/>'
            f'<text class="name" x="8" y="{top + 21:.1f}">{escape(name)}</text>'
        )
    ]
    start, end = row.planned
    if start or end:
        left, right = axis(start or axis.first), axis(end or axis.last)
        said = f"{planned}: {say_day(start) if start else '…'} – {say_day(end) if end else '…'}"
        parts.append(_box("planned", left, top + 2, right - left, ROW - 4, said))
    for bar in row.bars:
        left, right = axis(bar.start), axis(bar.end)
        width = max(right - left, 3.0)
        said = f"{bar.text}: {say_day(bar.start)} – {say_day(bar.end)}"
        parts.append(_box(f"bar {bar.tone}".strip(), left, top + 7, width, ROW - 14, said))
        if len(bar.text) * _LETTER < width - 8:
            parts.append(
                f'<text class="inside" x="{left + 5:.1f}" y="{top + 21:.1f}">{escape(bar.text)}</text>'
            )
    if row.deadline:
        x = axis(row.deadline)
        parts.append(
            f'<path class="deadline" d="M{x:.1f} {top + 4:.1f} l6 8 l-6 8 l-6 -8 Z">'
            f"<title>{escape(f'{deadline}: {say_day(row.deadline)}')}</title></path>"
        )
    return "".join([*parts, "</a>"])


def _box(kind: str, x: float, y: float, width: float, height: float, said: str) -> str:
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="3">'
        f"<title>{escape(said)}</title></rect>"
    )
