"""Start the training process from a process that must not load torch, and follow its lines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from racoon.errors import Defect, RacoonError, Refused, Unavailable
from racoon.learning.spending import Purse

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
"""One thread: results do not depend on the number of cores; two arenas save memory."""

PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LD_LIBRARY_PATH")
"""What a child inherits; no proxy, no token, no database address."""


LOOK_S = 0.5
"""How often a running process is asked whether it may go on."""


class TrainingFailed(Defect):
    """The training process ended without a result."""

    code = "learning.training_failed"


def child_environment(**extra: str) -> dict[str, str]:
    """Return the small environment of a training or engine process."""
    inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {**inherited, **ENVIRONMENT, "PYTHONUNBUFFERED": "1", **extra}


def purse_arguments(purse: Purse | None, run: str) -> list[str]:
    """Return what tells a training process where private trainings are accounted, and for whom."""
    if purse is None:
        return []
    arguments = ["--ledger", str(purse.ledger), "--run", run]
    return arguments if purse.budget is None else [*arguments, "--budget", repr(purse.budget)]


def start_training_process(
    arguments: Sequence[str],
    log: Path,
    module: str = "racoon.learning.train_process",
    prefix: Sequence[str] = (),
) -> subprocess.Popen[str]:
    """Start one of this room's modules as a process; its standard error goes to a log file."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as errors:
        return subprocess.Popen(
            [*prefix, sys.executable, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=child_environment(),
            text=True,
        )


def run_training_process(
    arguments: Sequence[str],
    log: Path,
    on_event: Callable[[dict[str, Any]], None] | None = None,
    *,
    module: str = "racoon.learning.train_process",
    prefix: Sequence[str] = (),
    should_end: Callable[[], bool] | None = None,
) -> None:
    """Run one command to its end.

    Parameters
    ----------
    arguments
        As of ``racoon.learning.train_process``.
    log
        File for the child's standard error.
    on_event
        Called with each event line (``round``, ``done``).
    module
        Which of this room's modules runs.
    prefix
        Program that starts it, such as the one that takes the network away.
    should_end
        Asked about twice a second; the process is killed when it says so.

    Raises
    ------
    RacoonError
        The child's own error, with its kind; :class:`TrainingFailed` if it died without one, ``Unavailable``
        if it was killed from outside (another try resumes).
    """
    process = start_training_process(arguments, log, module, prefix)
    over = threading.Event()

    def watch() -> None:
        while should_end is not None and not over.wait(LOOK_S):
            if should_end():
                process.kill()
                return

    watcher = threading.Thread(target=watch, name="training-watch", daemon=True)
    watcher.start()
    try:
        for event in read_events(process):
            if event.get("event") == "error":
                raise rebuild_error(event)
            if on_event:
                on_event(event)
        code = process.wait()
    finally:
        over.set()
        watcher.join()
        if process.poll() is None:
            process.kill()
            process.wait()
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
    if code < 0:
        raise Unavailable("The training process was killed; it will resume.", details={"signal": -code})
    if code:
        raise TrainingFailed("The training process failed.", details={"exit": code, "log": str(log)})


def read_events(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Yield the JSON lines of a training process until it closes its output."""
    for line in process.stdout or ():
        if line.startswith("{"):
            yield json.loads(line)


def rebuild_error(event: dict[str, Any]) -> RacoonError:
    """Make the error a child described."""
    kinds: dict[str, type[RacoonError]] = {"refused": Refused, "unavailable": Unavailable}
    return kinds.get(event["kind"], Defect)(event["message"], code=event["code"])
