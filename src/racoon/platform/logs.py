"""Logs that cannot betray a patient: JSON lines with text from our source code and listed fields.

Write ``logger.info("series stored", extra={"series_uid": uid, "count": 3})``. A field that is not on the list
is dropped. Numbers in ``%``-arguments are kept, strings in them are withheld, and of an exception only its
type and the place in the code are written, because its text may quote data. Messages of foreign libraries are
withheld unless the library is listed; their level and place stay visible. Logging is not audit: that is
``racoon.platform.audit``.
"""

from __future__ import annotations

import contextlib
import json
import logging
import logging.handlers
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from racoon.errors import RacoonError
from racoon.platform import clock

_allowed: set[str] = {
    # HTTP
    "request_id", "method", "route", "status", "duration_ms", "listener", "host", "port",
    # processes and jobs
    "child", "exit_code", "signal", "job_id", "job_kind", "queue", "state", "attempt", "attempts", "delay_s",
    "seconds", "restarts",
    # our own names of things, never a patient's
    "study_id", "site", "run_id", "round", "dataset_hash", "plan_hash", "message_id", "message_type", "model",
    "series_uid", "sop_instance_uid", "pseudonym", "modality", "quarantine_id", "reason",
    # outcome
    "code", "count", "total", "counts", "bytes", "revision", "version", "setting", "file_name", "rule",
    "fingerprint", "not_after", "outcome", "phase", "progress",
}  # fmt: skip

_READABLE_LIBRARIES: Final = frozenset({"racoon", "uvicorn", "alembic"})
_MAX_TEXT: Final = 300


def allow_fields(*names: str) -> None:
    """Add field names to the allow-list; only for names whose values can never identify a patient."""
    _allowed.update(names)


class JsonFormatter(logging.Formatter):
    """One JSON object per line with time, level, logger, process, event and the allowed fields."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Write a record without anything that is not known to be harmless."""
        entry: dict[str, object] = {
            "time": clock.to_text(clock.now()),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": self._process,
            "pid": os.getpid(),
            "event": _event(record),
        }
        for name in sorted(_allowed & record.__dict__.keys()):
            entry[name] = _plain(record.__dict__[name])
        if record.exc_info and record.exc_info[0] is not None:
            entry |= describe_exception(*record.exc_info)
        return json.dumps(entry, ensure_ascii=False, separators=(",", ":"))


def describe_exception(
    kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
) -> dict[str, object]:
    """Describe an exception by type and place; its text only when it is ours and meant to be public."""
    described: dict[str, object] = {
        "error": kind.__name__ if kind else "?",
        "at": [
            f"{_module_path(frame.filename)}:{frame.lineno} {frame.name}"
            for frame in traceback.extract_tb(trace, limit=-12)
        ],
    }
    if isinstance(error, RacoonError):
        described |= {"code": error.error_code, "message": error.public_message[:_MAX_TEXT]}
    cause = error.__cause__ if error is not None else None
    if cause is not None:
        described["cause"] = describe_exception(type(cause), cause, cause.__traceback__)
    return described


def _event(record: logging.LogRecord) -> str:
    library = record.name.partition(".")[0]
    if library not in _READABLE_LIBRARIES:
        return f"message of {library} withheld ({_module_path(record.pathname)}:{record.lineno})"
    if not isinstance(record.msg, str):
        return type(record.msg).__name__
    if not record.args:
        return record.msg[:2000]
    if isinstance(record.args, tuple):
        arguments: object = tuple(_argument(value) for value in record.args)
    else:
        arguments = {key: _argument(value) for key, value in record.args.items()}
    try:
        return (record.msg % arguments)[:2000]
    except (TypeError, ValueError):
        return record.msg[:2000]


def _argument(value: object) -> object:
    return value if isinstance(value, (int, float)) or value is None else "(withheld)"


def _plain(value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, dict):
        return {str(key)[:80]: _plain(item) for key, item in list(value.items())[:40]}
    return str(value)[:_MAX_TEXT]


def _module_path(filename: str) -> str:
    # The installed place of the program says nothing useful and differs on each machine.
    parts = Path(filename).parts
    for anchor in ("site-packages", "src"):
        if anchor in parts:
            return "/".join(parts[parts.index(anchor) + 1 :])
    return "/".join(parts[-2:])


def configure_logging(process: str, path: Path | None = None, level: str = "INFO") -> None:
    """Set up logging for this process; a second call (after a fork) replaces the first.

    Parameters
    ----------
    process
        Name written in each line, for example ``node.http``.
    path
        File to append to; standard error when ``None``. Several processes may append to one file: each line
        is one write. The file may be moved away by log rotation at any time.
    level
        Lowest level of our own messages; foreign libraries are heard from ``WARNING`` on.
    """
    if path is None:
        handler: logging.Handler = logging.StreamHandler(sys.stderr)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
    handler.setFormatter(JsonFormatter(process))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
        with contextlib.suppress(OSError):  # its last line may not fit on a full disk
            old.close()
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    logging.getLogger("racoon").setLevel(level.upper())
    logging.captureWarnings(True)
    # Logging must never stop the work: a full disk under the log file is reported by the health check.
    logging.raiseExceptions = False
