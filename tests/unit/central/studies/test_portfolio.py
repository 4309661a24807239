"""Studies along time, and when a site's decision is due, reminded and overdue."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from racoon.central.studies.matrix import matrix
from racoon.central.studies.model import SiteTrack, Study, read_definition
from racoon.central.studies.portfolio import FINAL_STATES, overdue_sites, portfolio_matrix, timeline
from racoon.domain.governance.reminding import (
    OVERDUE_AFTER,
    REMIND_AFTER,
    REMIND_AGAIN,
    WAITING_STATES,
    is_reminder_due,
    wait_of,
)
from racoon.domain.governance.site_track import SITE_TRACK_STATES
from racoon.web.gantt import Bar, Row, gantt_figure
from tests.simulated_network import DEFINITION

NOW = datetime(2026, 5, 10, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def study(state: str = "site_voting", **application: Any) -> Study:
    document = {**DEFINITION, "application": {**DEFINITION["application"], **application}}
    definition = read_definition(document)
    created = NOW - 100 * DAY
    return Study("RS-0001", definition, definition.hash, state, 3, "pi", created, NOW, None)


def step(target: str, days_ago: float) -> dict[str, Any]:
    return {"target": target, "happened_at": NOW - days_ago * DAY}


def test_spans_touch_each_other_and_the_present_state_lasts_until_now() -> None:
    line = timeline(study(), [step("submitted", 60), step("site_voting", 20)], NOW)
    assert [(span.state, span.days) for span in line.spans] == [
        ("concept", pytest.approx(40)),
        ("submitted", pytest.approx(40)),
        ("site_voting", pytest.approx(20)),
    ]
    assert line.spans[0].end == line.spans[1].start
    assert line.spans[-1].end == NOW


def test_what_has_ended_takes_no_more_time() -> None:
    line = timeline(study("withdrawn"), [step("withdrawn", 30)], NOW)
    assert [(span.state, span.days) for span in line.spans] == [
        ("concept", pytest.approx(70)),
        ("withdrawn", 0),
    ]
    assert {"withdrawn", "archived", "rejected"} == FINAL_STATES


def test_plans_are_shown_where_they_are_dates() -> None:
    line = timeline(study(start="2026-01-01", end="one day"), [], NOW, date(2026, 6, 1))
    assert (line.planned_start, line.planned_end) == (date(2026, 1, 1), None)
    assert line.deadline == date(2026, 6, 1)
    assert timeline(study("active"), [], NOW, date(2026, 6, 1)).deadline is None


@pytest.mark.parametrize("state", SITE_TRACK_STATES)
def test_only_a_site_whose_turn_it_is_waits(state: str) -> None:
    since = NOW - OVERDUE_AFTER
    wait = wait_of(state, since, NOW)
    assert (wait is not None) is (state in WAITING_STATES)
    assert is_reminder_due(state, since, None, NOW) is (state in WAITING_STATES)


def test_reminders_and_overdue_follow_the_stated_rules() -> None:
    def due(waited: timedelta, reminded: timedelta | None = None) -> bool:
        return is_reminder_due("uac_vote", NOW - waited, NOW - reminded if reminded else None, NOW)

    second = timedelta(seconds=1)
    assert (due(REMIND_AFTER - second), due(REMIND_AFTER)) == (False, True)
    assert (due(REMIND_AFTER, REMIND_AGAIN - second), due(REMIND_AFTER, REMIND_AGAIN)) == (False, True)

    def late(waited: timedelta, deadline: date | None = None, state: str = "uac_vote") -> bool:
        wait = wait_of(state, NOW - waited, NOW, deadline)
        assert wait is not None
        return wait.is_overdue

    assert (late(OVERDUE_AFTER - second), late(OVERDUE_AFTER)) == (False, True)
    assert (late(DAY, NOW.date()), late(DAY, NOW.date() - DAY)) == (False, True)
    # Contracts come after the votes: the deadline for votes does not make them late.
    assert late(DAY, NOW.date() - DAY, "dpo_ok") is False


def test_sites_stand_beside_each_other_with_what_is_overdue() -> None:
    tracks = [
        SiteTrack("BRAVO", "uac_vote", "h", 2, NOW - 30 * DAY),
        SiteTrack("ALPHA", "released", "h", 9, NOW - 90 * DAY),
    ]
    rows = matrix(tracks, [(item.site, item.state, item.since) for item in tracks], NOW)
    assert [(row.site, row.is_overdue) for row in rows] == [("ALPHA", False), ("BRAVO", True)]
    assert overdue_sites(rows) == ["BRAVO"]
    one, ended, unasked = study(), study("archived"), study("concept")
    shown = portfolio_matrix([(one, rows), (ended, rows), (unasked, [])])
    assert shown.studies == (one,)
    assert list(shown.rows) == ["ALPHA", "BRAVO"]
    assert shown.rows["BRAVO"]["RS-0001"].waits_days == pytest.approx(30)


def draw(rows: list[Row]) -> ET.Element:
    text = gantt_figure(
        "Time",
        rows,
        NOW.date(),
        "de",
        planned="Geplant",
        deadline="Frist",
        say_day=lambda day: day.isoformat(),
    )
    return ET.fromstring(text)


def test_the_picture_holds_links_bars_in_place_and_no_markup_of_others() -> None:
    bars = [
        Bar(date(2026, 1, 1), date(2026, 3, 1), "<b>Entwurf</b>"),
        Bar(date(2026, 3, 1), NOW.date(), "läuft", "good"),
    ]
    row = Row("A & B", "/studies/x", bars, (date(2026, 1, 1), date(2026, 12, 31)), date(2026, 7, 1))
    svg = draw([row])
    space = "{http://www.w3.org/2000/svg}"
    (link,) = svg.iter(f"{space}a")
    assert (link.get("href"), link.get("aria-label")) == ("/studies/x", "A & B: läuft")
    boxes = {box.get("class"): box for box in svg.iter(f"{space}rect")}
    first, second = boxes["bar"], boxes["bar good"]
    ends = float(first.get("x", "0")) + float(first.get("width", "0"))
    assert ends == pytest.approx(float(second.get("x", "0")), abs=0.2)
    titles = [title.text for title in svg.iter(f"{space}title")]
    assert "<b>Entwurf</b>: 2026-01-01 – 2026-03-01" in titles
    assert "Geplant: 2026-01-01 – 2026-12-31" in titles
    assert "Frist: 2026-07-01" in titles
    ticks = [text.text for text in svg.iter(f"{space}text") if text.get("class") == "tick"]
    assert 3 <= len(ticks) <= 10
    assert "Jan. 26" in ticks


@pytest.mark.parametrize("days", [0, 1, 40, 400, 4000, 30_000])
def test_any_length_of_time_has_a_few_months_below_it(days: int) -> None:
    start = NOW.date() - days * DAY
    svg = draw([Row("x", "/", [Bar(start, NOW.date(), "läuft")])])
    ticks = [text for text in svg.iter("{http://www.w3.org/2000/svg}text") if text.get("class") == "tick"]
    assert 2 <= len(ticks) <= 11


def test_without_studies_there_is_no_picture() -> None:
    said = gantt_figure("t", [], NOW.date(), "en", planned="", deadline="", say_day=str)
    assert said == ""
