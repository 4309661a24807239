"""Dates, times and ages as DICOM writes them (PS3.5 section 6.2: DA, DT, TM, AS), shifted by whole days."""

from __future__ import annotations

import re
from datetime import date, timedelta

_DATE = re.compile(r"(\d{4})[.\-]?(\d{2})[.\-]?(\d{2})")
_DATETIME = re.compile(r"(\d{4})(\d{2})(\d{2})(\d{2}(?:\d{2}(?:\d{2}(?:\.\d{1,6})?)?)?)?([+-]\d{4})?")
_TIME = re.compile(r"\d{2}(:?\d{2}(:?\d{2}(\.\d{1,6})?)?)?")
_AGE = re.compile(r"(\d{3})([DWMY])")

OLDEST_AGE_YEARS = 90
"""Ages above 89 are reported as this one: the oldest are few enough to be recognised."""


def parse_date(text: str) -> date | None:
    """Read a date, also in the old form with dots; None when it is none."""
    match = _DATE.fullmatch(text.strip())
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3]))
    except ValueError:
        return None


def shift_date(text: str, days: int) -> str:
    """Move a date by whole days; empty when it is no date or leaves the calendar."""
    day = parse_date(text)
    if day is None:
        return ""
    try:
        return (day + timedelta(days=days)).strftime("%Y%m%d").zfill(8)
    except OverflowError:
        return ""


def shift_datetime(text: str, days: int) -> str:
    """Move a date-time by whole days and keep its time and offset; empty when the day is not complete."""
    match = _DATETIME.fullmatch(text.strip())
    if match is None:
        return ""
    shifted = shift_date("".join(match.group(1, 2, 3)), days)
    return f"{shifted}{match[4] or ''}{match[5] or ''}" if shifted else ""


def is_time(text: str) -> bool:
    """Tell whether a text is a time of day."""
    return _TIME.fullmatch(text.strip()) is not None


def cap_age(text: str) -> str:
    """Keep an age string, cap it above 89 years; empty when it is none."""
    match = _AGE.fullmatch(text.strip().upper())
    if match is None:
        return ""
    number, unit = int(match[1]), match[2]
    years = {"D": number / 365.25, "W": number / 52.18, "M": number / 12, "Y": number}[unit]
    return f"{OLDEST_AGE_YEARS:03d}Y" if years >= OLDEST_AGE_YEARS else f"{number:03d}{unit}"


def age_between(birth: str, day: str) -> str:
    """Age string at a day, capped above 89 years; empty when either date is missing or they are the wrong way
    round.
    """
    born, then = parse_date(birth), parse_date(day)
    if born is None or then is None or then < born:
        return ""
    years = then.year - born.year - ((then.month, then.day) < (born.month, born.day))
    if years >= 2:
        return cap_age(f"{min(years, 999):03d}Y")
    months = (then.year - born.year) * 12 + then.month - born.month - (then.day < born.day)
    return f"{months:03d}M" if months else f"{(then - born).days:03d}D"
