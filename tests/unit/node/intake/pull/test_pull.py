"""The work list: each accession number ends in a state with a reason, in its hours, and goes on after a stop."""

from __future__ import annotations

import stat
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.intake.pull.model import (
    BadAccession,
    BadProtocol,
    FoundStudy,
    PacsRefused,
    PacsUnavailable,
    PullProtocol,
    PullState,
    Retrieval,
    Window,
    check_accession,
)
from racoon.node.intake.pull.service import Puller, only_one
from racoon.node.intake.pull.worklist import WorkList

Answer = Retrieval | Exception


@dataclass
class SmallArchive:
    """A PACS in memory: studies by accession number, and what it answers to each request for a study, in turn."""

    studies: dict[str, list[FoundStudy]]
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    examinations: list[FoundStudy] = field(default_factory=list)
    searches: list[tuple[date, date]] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)

    def find(self, accession_number: str) -> list[FoundStudy]:
        self.asked.append(accession_number)
        return self.studies.get(accession_number, [])

    def search(self, protocol: PullProtocol, first: date, last: date) -> list[FoundStudy]:
        self.searches.append((first, last))
        if self.failures:
            raise self.failures.pop(0)
        inside = f"{first:%Y%m%d}", f"{last:%Y%m%d}"
        return [study for study in self.examinations if inside[0] <= study.study_date <= inside[1]]

    def retrieve(self, study: FoundStudy) -> Retrieval:
        turns = self.answers.get(study.imaging_study_uid, [])
        answer = turns.pop(0) if turns else Retrieval(study.instances or 0, 0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def work_list(tmp_path: Path) -> WorkList:
    return WorkList(tmp_path / "pull")


def puller(work_list: WorkList, archive: SmallArchive, **options: object) -> Puller:
    settings: dict[str, object] = {"window": Window(), "retry_pause_s": 0.0} | options
    return Puller(work_list, archive, **settings)


def states(work_list: WorkList) -> dict[str, tuple[str, str]]:
    return {item.accession_number: (item.state.value, item.reason) for item in work_list.items()}


def busy() -> Exception:
    return PacsUnavailable("lost")


def test_every_number_ends_with_its_reason(work_list: WorkList) -> None:
    archive = SmallArchive(
        {
            "A1": [FoundStudy("1.1", 3)],
            "A2": [FoundStudy("1.2", 4)],
            "A4": [FoundStudy("1.4", None), FoundStudy("1.5", None)],
            "A5": [FoundStudy("1.6", 2)],
            "A6": [FoundStudy("1.7", 5)],
        },
        {
            "1.2": [Retrieval(3, 1)] * 3,
            "1.4": [Retrieval(7, 0)],
            "1.5": [Retrieval(1, 0)],
            "1.6": [PacsRefused("no", code="pull.destination_unknown")],
            "1.7": [busy(), Retrieval(4, 0), Retrieval(5, 0)],
        },
    )
    assert work_list.add(["A1", " A2", "A3", "A4", "A5", "A6", "A1"]) == 6
    summary = puller(work_list, archive).run(threading.Event())
    assert states(work_list) == {
        "A1": ("fetched", ""),
        "A2": ("partial", "failed_objects"),
        "A3": ("refused", "not_found"),
        "A4": ("fetched", ""),
        "A5": ("refused", "destination_unknown"),
        "A6": ("fetched", ""),
    }
    assert (summary.fetched, summary.partial, summary.refused, summary.waiting) == (3, 1, 2, 0)
    assert summary.stopped_by == "done"
    assert {item.accession_number: item.attempts for item in work_list.items()}["A6"] == 3
    assert work_list.retry() == 3
    assert [item.accession_number for item in work_list.items(PullState.WAITING)] == ["A2", "A3", "A5"]


def test_silent_pacs_leaves_the_rest_waiting_and_the_next_run_goes_on(work_list: WorkList) -> None:
    archive = SmallArchive(
        {name: [FoundStudy(f"1.{name[1]}", 1)] for name in ("A1", "A2", "A3")}, {"1.2": [busy()] * 3}
    )
    work_list.add(["A1", "A2", "A3"])
    first = puller(work_list, archive).run(threading.Event())
    assert (first.stopped_by, first.fetched, first.waiting) == ("unavailable", 1, 2)
    assert states(work_list)["A2"] == ("waiting", "unavailable")
    archive.asked.clear()
    second = puller(work_list, archive).run(threading.Event())
    assert (second.stopped_by, second.fetched, archive.asked) == ("done", 2, ["A2", "A3"])


def test_daily_limit_and_hours_are_kept(work_list: WorkList) -> None:
    archive = SmallArchive({f"A{n}": [FoundStudy(f"1.{n}", 10)] for n in range(5)})
    work_list.add(list(archive.studies))
    limited = puller(work_list, archive, daily_limit=15).run(threading.Event())
    assert (limited.stopped_by, limited.objects, limited.waiting) == ("daily_limit", 20, 3)
    night = Window(time(20), time(6))
    noon = puller(work_list, archive, window=night, clock=lambda: datetime(2026, 1, 1, 12, tzinfo=UTC)).run(
        threading.Event()
    )
    assert (noon.stopped_by, noon.objects) == ("window", 0)
    late = puller(work_list, archive, window=night, clock=lambda: datetime(2026, 1, 1, 23, tzinfo=UTC)).run(
        threading.Event()
    )
    assert (late.stopped_by, late.objects) == ("done", 30)


def test_asked_to_stop(work_list: WorkList) -> None:
    work_list.add(["A1"])
    stop = threading.Event()
    stop.set()
    assert puller(work_list, SmallArchive({})).run(stop).stopped_by == "asked"


@pytest.mark.parametrize("text", ["", "  ", "*", "A*", "A?1", "A\\B", "x" * 17, "A\n1"])
def test_text_that_would_match_everything_is_no_accession_number(work_list: WorkList, text: str) -> None:
    with pytest.raises(BadAccession):
        work_list.add(["GOOD", text])
    assert work_list.items() == []


@given(st.text(max_size=20))
def test_accepted_numbers_hold_no_wildcard(text: str) -> None:
    try:
        accepted = check_accession(text)
    except BadAccession:
        return
    assert 1 <= len(accepted) <= 16
    assert not set(accepted) & set("*?\\")


def test_cleared_numbers_are_gone_from_the_disk(work_list: WorkList, tmp_path: Path) -> None:
    work_list.add(["SECRET4711"])
    file = tmp_path / "pull" / "worklist.sqlite"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"SECRET4711" in file.read_bytes()
    assert work_list.clear() == 0, "it was not fetched yet"
    assert work_list.clear(everything=True) == 1
    assert b"SECRET4711" not in file.read_bytes()


def test_only_one_process_fetches(tmp_path: Path) -> None:
    with only_one(tmp_path) as first, only_one(tmp_path) as second:
        assert (first, second) == (True, False)
    with only_one(tmp_path) as again:
        assert again


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("20:00-06:00", [20, 23, 0, 5], [6, 12, 19]),
        ("08:00-17:30", [8, 17], [7, 18, 0]),
        ("", [0, 12, 23], []),
    ],
)
def test_hours(text: str, inside: list[int], outside: list[int]) -> None:
    window = Window.parse(text)
    holds: Callable[[int], bool] = lambda hour: window.holds(datetime(2026, 5, 1, hour, tzinfo=UTC))  # noqa: E731 -- one line, used twice
    assert all(holds(hour) for hour in inside)
    assert not any(holds(hour) for hour in outside)
    with pytest.raises(ValueError, match="20:00-06:00"):
        Window.parse("nightly")


# Study protocols


def found(
    uid: str, day: str, *, description: str = "CT Thorax", modalities: tuple[str, ...] = ("CT",)
) -> FoundStudy:
    return FoundStudy(uid, 4, f"ACC{uid[-1]}", day, description, modalities)


LUNG = PullProtocol("lung", ("CT",), date(2026, 1, 1), date(2026, 1, 20), "*thorax*")
MARCH = datetime(2026, 3, 1, 23, tzinfo=UTC)


def test_protocol_fetches_what_it_wants_and_nothing_else(work_list: WorkList) -> None:
    """A PACS that ignores what it does not index answers with more; only what fits is fetched."""
    archive = SmallArchive({}, examinations=[
        found("1.1", "20260101"),
        found("1.2", "20260105", description="MR Knie"),
        found("1.3", "20260106", modalities=("MR",)),
        found("1.4", "20260107", modalities=()),
        found("1.5", "20260120", description="low dose THORAX", modalities=("CT", "SR")),
        found("1.6", "20260121"),
    ])  # fmt: skip
    work_list.add_protocol(LUNG)
    summary = puller(work_list, archive, clock=lambda: MARCH).run(threading.Event())
    assert archive.searches == [
        (date(2026, 1, 1), date(2026, 1, 7)),
        (date(2026, 1, 8), date(2026, 1, 14)),
        (date(2026, 1, 15), date(2026, 1, 20)),
    ]
    assert [(item.key, item.protocol, item.state.value, item.expected) for item in work_list.items()] == [
        ("1.1", "lung", "fetched", 4), ("1.5", "lung", "fetched", 4),
    ]  # fmt: skip
    assert (summary.found, summary.fetched, summary.objects) == (2, 2, 8)
    assert archive.asked == [], "a found examination is fetched by its UID"
    assert puller(work_list, archive, clock=lambda: MARCH).run(threading.Event()).found == 0
    assert len(archive.searches) == 3, "no day is searched twice"


def test_search_goes_on_where_it_was_stopped(work_list: WorkList) -> None:
    archive = SmallArchive({}, examinations=[found("1.1", "20260101"), found("1.5", "20260119")])
    work_list.add_protocol(LUNG)
    archive.failures = [busy()]
    puller(work_list, archive, clock=lambda: datetime(2026, 1, 10, 12, tzinfo=UTC)).run(threading.Event())
    assert archive.searches == [
        (date(2026, 1, 1), date(2026, 1, 7)),
        (date(2026, 1, 1), date(2026, 1, 7)),
        (date(2026, 1, 8), date(2026, 1, 9)),
    ], "a lost answer is asked for again; a day that is not over is not searched yet"
    archive.failures = [busy()] * 3
    away = puller(work_list, archive, clock=lambda: MARCH).run(threading.Event())
    assert away.stopped_by == "unavailable"
    (protocol,) = work_list.protocols()
    assert (protocol.searched_until, protocol.found) == (date(2026, 1, 9), 1)
    puller(work_list, archive, clock=lambda: MARCH).run(threading.Event())
    assert [item.key for item in work_list.items()] == ["1.1", "1.5"]


def test_search_keeps_its_hours_and_says_a_refusal(work_list: WorkList) -> None:
    archive = SmallArchive({}, failures=[PacsRefused("no", code="pull.refused")])
    work_list.add_protocol(LUNG)
    noon = puller(work_list, archive, window=Window(time(20), time(6)), clock=lambda: MARCH.replace(hour=12))
    assert (noon.run(threading.Event()).stopped_by, archive.searches) == ("window", [])
    puller(work_list, archive, clock=lambda: MARCH).run(threading.Event())
    assert work_list.protocols()[0].problem == "refused"


def test_listed_accession_number_is_not_fetched_twice(work_list: WorkList) -> None:
    work_list.add(["ACC1"])
    assert work_list.add_found("lung", [found("1.1", "20260101"), found("1.2", "20260101")]) == 1
    assert work_list.add_found("other", [found("1.2", "20260101")]) == 0
    assert work_list.counts()[PullState.WAITING] == 2


@pytest.mark.parametrize(
    ("pattern", "fits"),
    [
        ("", True),
        ("CT Thorax", True),
        ("ct t*", True),
        ("C? Thorax", True),
        ("[C]T Thorax", False),
        ("Thorax", False),
    ],
)
def test_description_matches_as_dicom_does(pattern: str, fits: bool) -> None:
    protocol = PullProtocol("lung", ("CT",), date(2026, 1, 1), date(2026, 1, 2), pattern)
    assert protocol.wants(found("1.1", "20260101")) is fits


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "../x"},
        {"modalities": ()},
        {"modalities": ("*",)},
        {"last_day": date(2025, 12, 31)},
        {"description": "a\\b"},
    ],
)
def test_protocol_that_makes_no_sense(wrong: dict[str, object]) -> None:
    values: dict[str, object] = {
        "name": "lung",
        "modalities": ("CT",),
        "first_day": date(2026, 1, 1),
        "last_day": date(2026, 1, 2),
    }
    with pytest.raises(BadProtocol):
        PullProtocol(**values | wrong)
