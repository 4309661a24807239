"""Forks the processes of a role, watches them, starts them again, stops them."""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import selectors
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racoon.platform.settings import CONFIGURATION_EXIT_CODE
from racoon.platform.supervise.inside import FAILED, HANDLED, READY, live
from racoon.platform.supervise.tree import take_lock

_log = logging.getLogger(__name__)

GRACE_S = 10.0
"""How long children may finish after SIGTERM; systemd waits 90 s, a person at Ctrl-C about this long."""

FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 30.0
STEADY_S = 30.0
"""A child that ran this long starts its pauses from the beginning when it dies."""


@dataclass
class _Child:
    name: str
    target: Callable[[], None]
    pid: int | None = None
    channel: int | None = None
    started_s: float = 0.0
    due_s: float = 0.0
    pause_s: float = FIRST_PAUSE_S
    restarts: int = 0
    is_ready: bool = False
    said: bytes = field(default=b"", repr=False)


class Supervisor:
    """Runs named children as forked processes until it is told to stop.

    Parameters
    ----------
    name
        Of the tree, for the log: ``"node"`` or ``"central"``.
    children
        What each child runs; started in this order.  A child's function runs until it is asked to stop.
    run_directory
        Gets ``<child>.pid``, ``supervisor.pid`` and, when every child said so, ``ready``.
    prepare
        Called with the child's name first thing in each child, for example to configure logging.
    on_ready
        Called in the supervisor when every child is ready for the first time.
    grace_s
        How long children may finish after a stop was asked for.
    """

    def __init__(
        self,
        name: str,
        children: Mapping[str, Callable[[], None]],
        run_directory: Path,
        *,
        prepare: Callable[[str], None] | None = None,
        on_ready: Callable[[], None] | None = None,
        grace_s: float = GRACE_S,
    ) -> None:
        self.name = name
        self._children = [_Child(child, target) for child, target in children.items()]
        self._run_directory = run_directory
        self._prepare = prepare
        self._on_ready = on_ready
        self._grace_s = grace_s
        self._failure: str | None = None
        self._stop_by_s: float | None = None
        self._had_to_kill = False
        self._lock = -1

    def run(self) -> int:
        """Start the children and watch them until SIGTERM or SIGINT; blocks.

        Returns
        -------
        int
            0 after a clean stop, 1 when a child had to be killed at the deadline, 78 for a configuration
            error.

        Raises
        ------
        AlreadyRunning
        """
        self._run_directory.mkdir(parents=True, exist_ok=True)
        self._lock = take_lock(self._run_directory)
        try:
            if threading.active_count() > 1:
                raise RuntimeError("a supervisor forks, so it must not have threads")
            with _signals_in_pipe() as wakeup:
                self._clear_run_directory()
                self._write("supervisor.pid", str(os.getpid()))
                # What exists now is never looked at by the garbage collector again, so its pages stay shared.
                gc.collect()
                gc.freeze()
                self._watch(wakeup)
            self._clear_run_directory()
        finally:
            gc.unfreeze()
            os.close(self._lock)
        if self._failure is not None:
            sys.stderr.write(f"{self._failure}\n")
            return CONFIGURATION_EXIT_CODE
        return 1 if self._had_to_kill else 0

    def _watch(self, wakeup: int) -> None:
        for child in self._children:
            self._start(child)
        while True:
            signals = self._wait(wakeup)
            if signals & {signal.SIGTERM, signal.SIGINT}:
                self._ask_to_stop()
            for child in self._children:
                self._listen(child)
            self._reap()
            moment = time.monotonic()
            if self._stop_by_s is not None:
                if not any(child.pid for child in self._children):
                    return
                if moment >= self._stop_by_s:
                    self._kill_all()
            else:
                for child in self._children:
                    if child.pid is None and moment >= child.due_s:
                        self._start(child)

    def _wait(self, wakeup: int) -> set[int]:
        """Sleep until a signal, a word from a child, or the next thing that is due; return the signals."""
        moment = time.monotonic()
        due = [child.due_s for child in self._children if child.pid is None and self._stop_by_s is None]
        if self._stop_by_s is not None:
            due.append(self._stop_by_s)
        timeout_s = max(0.0, min(due) - moment) if due else None
        with selectors.DefaultSelector() as selector:
            selector.register(wakeup, selectors.EVENT_READ)
            for child in self._children:
                if child.channel is not None:
                    selector.register(child.channel, selectors.EVENT_READ)
            selector.select(timeout_s)
        try:
            return set(os.read(wakeup, 4096))
        except BlockingIOError:
            return set()

    def _start(self, child: _Child) -> None:
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        supervisor = os.getpid()
        sys.stdout.flush()
        sys.stderr.flush()
        signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)
        pid = os.fork()
        if pid == 0:
            others = [other.channel for other in self._children if other.channel is not None]
            for descriptor in (reader, self._lock, *others):
                os.close(descriptor)
            live(child.name, child.target, channel=writer, supervisor=supervisor, prepare=self._prepare)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        os.close(writer)
        child.pid, child.channel, child.started_s = pid, reader, time.monotonic()
        child.is_ready, child.said = False, b""
        self._write(f"{child.name}.pid", str(pid))
        _log.info("process started", extra={"child": child.name, "restarts": child.restarts})

    def _listen(self, child: _Child) -> None:
        if child.channel is None:
            return
        try:
            said = os.read(child.channel, 8192)
        except BlockingIOError:
            return
        if not said:
            os.close(child.channel)
            child.channel = None
            return
        child.said += said
        if child.said.startswith(READY) and not child.is_ready:
            child.is_ready, child.said = True, child.said[1:]
            self._announce()

    def _announce(self) -> None:
        if self._stop_by_s is None and all(child.is_ready for child in self._children):
            self._write("ready", json.dumps({"pid": os.getpid()}))
            _log.info("all processes ready", extra={"count": len(self._children)})
            on_ready, self._on_ready = self._on_ready, None
            if on_ready is not None:
                on_ready()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            for child in self._children:
                if child.pid == pid:
                    self._bury(child, pid, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, pid: int, code: int) -> None:
        # What it started must not go on without it: its work is begun again by its successor.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
        self._listen(child)
        ran_s = time.monotonic() - child.started_s
        child.pid, child.is_ready = None, False
        self._remove(f"{child.name}.pid")
        self._remove("ready")
        if self._stop_by_s is not None:
            return
        if code == CONFIGURATION_EXIT_CODE:
            message = child.said.partition(FAILED)[2].decode("utf-8", "replace")
            self._failure = message or f"The configuration of {child.name} is wrong; see the log."
            self._ask_to_stop()
            return
        child.pause_s = FIRST_PAUSE_S if ran_s >= STEADY_S else child.pause_s
        child.due_s = time.monotonic() + child.pause_s
        _log.warning(
            "process ended, starting it again",
            extra={
                "child": child.name,
                "exit_code": code,
                "delay_s": child.pause_s,
                "seconds": round(ran_s, 1),
            },
        )
        child.pause_s = min(child.pause_s * 2, MAX_PAUSE_S)
        child.restarts += 1

    def _ask_to_stop(self) -> None:
        if self._stop_by_s is not None:
            self._kill_all()
            return
        self._stop_by_s = time.monotonic() + self._grace_s
        self._remove("ready")
        _log.info("stopping")
        for child in self._children:
            if child.pid is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGTERM)

    def _kill_all(self) -> None:
        for child in self._children:
            if child.pid is not None:
                self._had_to_kill = True
                _log.warning("process did not stop in time and is killed", extra={"child": child.name})
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(child.pid, signal.SIGKILL)
        self._stop_by_s = time.monotonic() + self._grace_s

    def _write(self, name: str, text: str) -> None:
        partial = self._run_directory / f".{name}.part"
        with contextlib.suppress(OSError):  # a full disk must not stop the tree
            partial.write_text(text, encoding="ascii")
            partial.replace(self._run_directory / name)

    def _remove(self, name: str) -> None:
        with contextlib.suppress(OSError):
            (self._run_directory / name).unlink()

    def _clear_run_directory(self) -> None:
        for name in ("ready", "supervisor.pid", *(f"{child.name}.pid" for child in self._children)):
            self._remove(name)


@contextlib.contextmanager
def _signals_in_pipe() -> Iterator[int]:
    """Turn signals into bytes of a pipe, so that the supervisor waits for everything in one place."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    os.set_blocking(writer, False)
    before = {number: signal.signal(number, _note) for number in HANDLED}
    before_wakeup = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(before_wakeup)
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _note(_number: int, _frame: object) -> None:
    """Do nothing: the wakeup pipe has the number already."""
