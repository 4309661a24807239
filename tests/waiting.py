"""Waiting for a condition instead of sleeping for a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(
    condition: Callable[[], T], *, timeout_s: float = 20.0, interval_s: float = 0.05, what: str = ""
) -> T:
    """Call a condition until it is true and return its value.

    Parameters
    ----------
    condition
        Called again and again; an ``AssertionError`` in it counts as not yet.
    timeout_s
        After this time the test fails with the last reason.
    interval_s
        Pause between two calls.
    what
        What we wait for, for the message.
    """
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    reason = ""
    while True:
        try:
            value = condition()
            if value:
                return value
            reason = f"last value: {value!r}"
        except AssertionError as error:
            reason = str(error)
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:g} s: {what or condition!r}; {reason}")
        pause.wait(interval_s)
