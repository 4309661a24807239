"""When and how long trainings may run: the site's hours, places and pauses, and processes that follow them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from racoon.errors import Refused
from racoon.learning import subprocesses
from racoon.node.compute.limits import BadLimits, Gate, Limits, Standing, TimeUsed, TrainingLimits
from racoon.node.compute.processes import run_within_limits
from racoon.node.compute.seat import EngineSeat
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from tests.unit.learning.making import PLAN


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    create_all(database, "node")
    yield database
    database.dispose()


@dataclass
class Site:
    """A gate with a clock and with people who pause and stop."""

    database: Database
    folder: Path
    seconds: float = 0.0
    hour: int = 12
    ended: set[str] = field(default_factory=set)
    paused: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.limits = TrainingLimits(AuditLog("node"))
        self.open()

    def open(self) -> None:
        self.gate = Gate(
            self.database,
            self.limits,
            self.ended.__contains__,
            self.paused.__contains__,
            self.folder,
            now=lambda: datetime(2026, 1, 1, self.hour, 30, tzinfo=UTC),
            tick=lambda: self.seconds,
        )

    def allow(self, limits: Limits) -> None:
        with self.database.begin() as connection:
            self.limits.change(connection, limits, "inga", "site_informatician")


@pytest.fixture
def site(database: Database, tmp_path: Path) -> Site:
    return Site(database, tmp_path)


@pytest.mark.parametrize(
    ("opens", "closes", "hours"),
    [
        ("22:00", "06:00", {22, 23, 0, 1, 2, 3, 4, 5}),
        ("08:00", "18:00", set(range(8, 18))),
        ("", "", set(range(24))),
    ],
)
def test_the_hours_of_a_day_also_over_midnight(opens: str, closes: str, hours: set[int]) -> None:
    limits = Limits(opens=opens, closes=closes)
    found = {hour for hour in range(24) if limits.is_open(datetime(2026, 1, 1, hour, 0, tzinfo=UTC))}
    assert found == hours


@pytest.mark.parametrize(
    "words",
    [
        {"hours": 0.0},
        {"hours": float("nan")},
        {"trainings": 0},
        {"opens": "22:00"},
        {"opens": "22:00", "closes": "22:00"},
        {"opens": "24:00", "closes": "06:00"},
        {"opens": "9:00", "closes": "10:00"},
    ],
)
def test_limits_that_say_nothing_are_refused(words: dict[str, object]) -> None:
    with pytest.raises(BadLimits):
        Limits(**words)  # type: ignore[arg-type]  # that is the point


def test_paused_closed_ended_and_gone_on(site: Site) -> None:
    assert site.gate.look("a") is Standing.GO
    site.paused.add("a")
    assert site.gate.look("a") is Standing.PAUSED
    site.paused.clear()
    site.allow(Limits(opens="22:00", closes="06:00"))
    assert site.gate.look("a") is Standing.CLOSED
    site.hour = 23
    assert site.gate.look("a") is Standing.GO
    site.ended.add("a")
    assert site.gate.look("a") is Standing.ENDED


def test_places_are_kept_and_freed(site: Site) -> None:
    site.allow(Limits(trainings=1))
    assert [site.gate.look("a"), site.gate.look("b"), site.gate.look("a")] == ["go", "queued", "go"]
    site.paused.add("a")
    assert [site.gate.look("a"), site.gate.look("b")] == ["paused", "go"]
    site.gate.leave("b")
    site.paused.clear()
    assert site.gate.look("a") is Standing.GO


def test_only_work_counts_and_a_restart_forgets_none_of_it(site: Site) -> None:
    site.allow(Limits(hours=1.0))
    assert site.gate.look("a") is Standing.GO
    site.seconds = 1800.0
    site.paused.add("a")
    assert site.gate.look("a") is Standing.PAUSED
    site.seconds = 90_000.0
    site.paused.clear()
    assert site.gate.look("a") is Standing.GO
    assert site.gate.worked_s("a") == 1800.0
    site.open()
    assert site.gate.look("a") is Standing.GO
    site.seconds += 1801.0
    assert site.gate.look("a") is Standing.SPENT
    assert site.gate.look("b") is Standing.GO


def test_every_change_is_on_record(site: Site, database: Database) -> None:
    site.allow(Limits(hours=2.0))
    site.allow(Limits())
    with database.connect() as connection:
        assert site.limits.current(connection) == Limits()
        entries = AuditLog("node").entries(connection, 10)
    assert [entry.details["hours"] for entry in entries if entry.action == "training.limits"] == [None, 2.0]


class Script:
    """A gate that says what it is told, one word per look, the last for ever."""

    def __init__(self, *words: Standing) -> None:
        self.words = list(words)
        self.lock = threading.Lock()

    def __call__(self) -> Standing:
        with self.lock:
            return self.words.pop(0) if len(self.words) > 1 else self.words[0]


def test_a_process_is_ended_while_the_site_says_wait_and_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child waits for ever at its first start and ends at once at its second, as one that resumes may."""
    mark = tmp_path / "begun"
    (tmp_path / "child_of_limits.py").write_text(
        "import pathlib, sys, threading\n"
        f"mark = pathlib.Path({str(mark)!r})\n"
        "again = mark.exists()\n"
        "mark.write_text('x')\n"
        'print(\'{"event": "round", "round": 0}\', flush=True)\n'
        "again or threading.Event().wait()\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}")
    begun: list[dict] = []
    notes: list[str] = []
    standing = {"word": Standing.GO}

    def on_event(event: dict) -> None:
        begun.append(event)
        standing["word"] = Standing.PAUSED if len(begun) == 1 else Standing.GO

    def tell(note: str) -> None:
        notes.append(note)
        standing["word"] = Standing.GO

    run = subprocesses.run_training_process

    def run_child(arguments: list[str], log: Path, on_event: object, **options: object) -> None:
        run(arguments, log, on_event, module="child_of_limits", **options)

    monkeypatch.setattr("racoon.node.compute.processes.run_training_process", run_child)
    run_within_limits([], tmp_path / "log", on_event, lambda: standing["word"], tell)
    assert len(begun) == 2
    assert notes == ["paused at this site"]


@pytest.mark.parametrize(("word", "error"), [(Standing.ENDED, Refused), (Standing.SPENT, TimeUsed)])
def test_what_has_ended_begins_no_process(word: Standing, error: type[Refused], tmp_path: Path) -> None:
    with pytest.raises(error):
        run_within_limits([], tmp_path / "log", lambda _: None, lambda: word, lambda _: None)
    assert not (tmp_path / "log").exists()


@dataclass
class Engine:
    """The engine's site side as a list of what it was told."""

    told: list[str] = field(default_factory=list)
    alive: bool = False

    def request(self) -> str:
        return "request"

    def install(self, _identity: object) -> None:
        self.told.append("install")

    def approve(self, *_: object) -> None:
        self.told.append("approve")

    def withdraw(self, _plan_hash: str) -> None:
        self.told.append("withdraw")

    def start(self) -> None:
        self.told.append("start")
        self.alive = True

    def stop(self) -> None:
        self.told.append("stop")
        self.alive = False

    def is_alive(self) -> bool:
        return self.alive

    def is_working(self) -> bool:
        return False

    def trained_rounds(self, _run_id: str) -> list[dict]:
        return [{"round": PLAN.rounds - 1}]


def test_a_federated_training_leaves_the_engine_while_it_waits_and_comes_back(tmp_path: Path) -> None:
    engine = Engine()
    seat = EngineSeat(engine, lambda _: None)  # type: ignore[arg-type]  # only what the seat asks for
    go, closed = Standing.GO, Standing.CLOSED
    notes: list[str] = []
    seat.take_part(
        "run",
        PLAN,
        tmp_path,
        report=lambda *words: notes.append(words[2]),
        standing=Script(closed, go, go, closed, closed, go),
        linger_s=0.0,
    )
    around = ["install", "approve", "start", "withdraw", "stop"]
    assert engine.told in (around, [*around, *around])
    assert notes[0] == "waiting for the hours of this site"
