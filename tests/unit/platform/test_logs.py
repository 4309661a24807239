"""Logs: JSON lines that cannot betray a patient."""

from __future__ import annotations

import contextlib
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from racoon.errors import Defect
from racoon.platform.logs import allow_fields, configure_logging

PLANTED = "Doe^Erika"


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    root = logging.getLogger()
    ours = logging.getLogger("racoon")
    handlers, levels, raises = list(root.handlers), (root.level, ours.level), logging.raiseExceptions
    for handler in handlers:
        root.removeHandler(handler)
    configure_logging("node.test", tmp_path / "log" / "node.jsonl", "DEBUG")
    yield tmp_path / "log" / "node.jsonl"
    for handler in list(root.handlers):
        root.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    logging.raiseExceptions = raises
    logging.captureWarnings(False)


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_line_has_time_level_and_listed_fields(path: Path) -> None:
    logging.getLogger("racoon.x").info("series stored", extra={"count": 3, "patient_name": PLANTED})
    (line,) = _lines(path)
    assert line.pop("time").endswith("Z")
    line.pop("pid")
    assert line == {
        "level": "info",
        "logger": "racoon.x",
        "process": "node.test",
        "event": "series stored",
        "count": 3,
    }


def test_text_arguments_are_withheld(path: Path) -> None:
    logging.getLogger("racoon.x").warning("%s has %d of %.1f", PLANTED, 3, 4.5)
    logging.getLogger("racoon.x").warning("%(a)s %(b)d", {"a": PLANTED, "b": 1})
    logging.getLogger("racoon.x").warning("%d", PLANTED)
    assert [line["event"] for line in _lines(path)] == ["(withheld) has 3 of 4.5", "(withheld) 1", "%d"]


def test_exception_text_is_withheld_and_place_is_not(path: Path) -> None:
    def inner() -> None:
        raise KeyError(PLANTED)

    try:
        try:
            inner()
        except KeyError as error:
            raise Defect("The object is broken.", code="deid.broken", details={"name": PLANTED}) from error
    except Defect:
        logging.getLogger("racoon.x").exception("failed")
    (line,) = _lines(path)
    assert (line["error"], line["code"], line["message"]) == (
        "Defect",
        "deid.broken",
        "The object is broken.",
    )
    assert line["cause"]["error"] == "KeyError"
    assert any("test_logs.py" in place and "inner" in place for place in line["cause"]["at"])
    assert "Erika" not in path.read_text()


def test_foreign_libraries_are_withheld(path: Path) -> None:
    logging.getLogger("pynetdicom.acse").error("Rejected " + PLANTED)  # noqa: G003 -- as the libraries do it
    logging.getLogger("asyncio").error("Task exception " + PLANTED)  # noqa: G003 -- as the libraries do it
    logging.getLogger("sqlalchemy.engine").info("quiet")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    events = [line["event"] for line in _lines(path)]
    assert len(events) == 3
    assert events[0].startswith("message of pynetdicom withheld")
    assert events[2] == "Invalid HTTP request received."
    assert "Erika" not in path.read_text()


def test_objects_as_messages_and_warnings(path: Path) -> None:
    logging.getLogger("racoon.x").warning(ValueError(PLANTED))
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn(PLANTED, UserWarning, stacklevel=1)
    assert "Erika" not in path.read_text()
    assert _lines(path)[0]["event"] == "ValueError"


def test_fields_can_be_added_and_are_shortened(path: Path) -> None:
    allow_fields("slice_count_of_test")
    logging.getLogger("racoon.x").info("a", extra={"slice_count_of_test": 5, "reason": "x" * 1000})
    logging.getLogger("racoon.x").info("b", extra={"counts": {"a": 1, "b": {"c": 2.5}}})
    first, second = _lines(path)
    assert first["slice_count_of_test"] == 5
    assert len(first["reason"]) == 300
    assert second["counts"] == {"a": 1, "b": {"c": 2.5}}


def test_log_file_may_be_moved_away(path: Path) -> None:
    logging.getLogger("racoon.x").info("one")
    path.rename(path.with_suffix(".old"))
    logging.getLogger("racoon.x").info("two")
    assert [line["event"] for line in _lines(path)] == ["two"]


def test_full_disk_under_the_log_stops_nothing(path: Path) -> None:
    configure_logging("node.test", Path("/dev/full"))
    logging.getLogger("racoon.x").info("one")
