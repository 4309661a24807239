"""Times of HL7 v2 (data types DT, TS, DTM: chapter 2A) as FHIR writes them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone, tzinfo

_TIME = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:\.(\d{1,6})\d*)?)?)?)?)?)?([+-]\d{4})?"
)


def fhir_date(text: str) -> str:
    """Return the day of a time, as precise as it is; empty when it is none.

    Examples
    --------
    >>> fhir_date("19610517"), fhir_date("196105"), fhir_date("19611399")
    ('1961-05-17', '1961-05', '')
    """
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return ""
    try:
        date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        return ""
    return "-".join(part for part in match.group(1, 2, 3) if part)


def fhir_time(text: str, zone: tzinfo) -> str:
    """Return a time as a FHIR dateTime; empty when it is none.

    Parameters
    ----------
    text
        As HL7 writes it.
    zone
        Of times that say none.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> fhir_time("202407011230", ZoneInfo("Europe/Berlin")), fhir_time("20240701", ZoneInfo("Europe/Berlin"))
    ('2024-07-01T12:30:00+02:00', '2024-07-01')
    """
    match = _TIME.fullmatch(text.strip())
    day = fhir_date(text)
    if match is None or not day or match[4] is None:
        return day
    try:
        found = datetime.fromisoformat(f"{day}T{match[4]}:{match[5] or '00'}:{match[6] or '00'}")
        if match[8]:
            hours, minutes = int(match[8][1:3]), int(match[8][3:])
            offset = timedelta(hours=hours, minutes=minutes)
            return found.replace(tzinfo=timezone(-offset if match[8][0] == "-" else offset)).isoformat()
    except ValueError:
        return ""
    return found.replace(tzinfo=zone).isoformat()
