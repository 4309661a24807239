"""What a supervised process calls: ready, stop asked for, die with the parent."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

from racoon.errors import RacoonError
from racoon.platform.settings import CONFIGURATION_EXIT_CODE, ConfigurationError

_log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""Signals the supervisor turns into bytes of its pipe; blocked while it forks, so that none gets lost."""

READY, FAILED = b"R", b"E"
"""What a child says to its supervisor: it can work; its configuration is wrong, and the reason."""

_channel: int | None = None


def mark_ready() -> None:
    """Tell the supervisor that this process can do its work; does nothing outside of a supervised process."""
    if _channel is not None:
        with contextlib.suppress(OSError):
            os.write(_channel, b"R")


def stopping() -> threading.Event:
    """Return an event that is set when this process is asked to stop; from now on SIGTERM does only that.

    Call it in the main thread, at the start of a child's loop: ``while not stop.wait(0.2): ...``.
    """
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: event.set())
    return event


def die_with_parent(parent: int | None = None) -> None:
    """Let the kernel kill this process when the thread that started it ends.

    Parameters
    ----------
    parent
        Process id of who started it: where that one has ended already, and the kernel will never say so, this
        process ends at once.

    For ``subprocess.Popen(..., preexec_fn=die_with_parent)``. Mind "thread": a process started by a
    short-lived thread dies with that thread, so start long-lived processes from a thread that lives as long
    as they do.
    """
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def live(
    name: str,
    target: Callable[[], None],
    *,
    channel: int,
    supervisor: int,
    prepare: Callable[[str], None] | None,
) -> NoReturn:
    """Be a child: called right after the fork with :data:`HANDLED` signals blocked; never returns.

    Parameters
    ----------
    name, target
        Who the child is and what it runs.
    channel
        Pipe to the supervisor.
    supervisor
        Its process id.
    prepare
        Called with the name first.
    """
    global _channel  # noqa: PLW0603 -- one process is one child
    code = 1
    try:
        die_with_parent(supervisor)
        os.setsid()  # Ctrl-C reaches the supervisor alone, and a whole family can be killed by its group
        _reset_signals()
        _channel = channel
        if prepare is not None:
            prepare(name)
        target()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except ConfigurationError as error:
        code = CONFIGURATION_EXIT_CODE
        with contextlib.suppress(OSError):
            os.write(channel, FAILED + error.public_message.encode()[:4000])
    except RacoonError as error:
        _log.error("process failed", exc_info=error, extra={"child": name, "code": error.error_code})
    except BaseException as error:  # noqa: BLE001 -- the last stop before the process ends
        _log.error("process failed", exc_info=error, extra={"child": name})
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
            logging.shutdown()
        # Not sys.exit: what the supervisor registered to run at its end is not ours.
        os._exit(code)


def _reset_signals() -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)


def _end(_number: int, _frame: object) -> None:
    raise SystemExit(0)
