"""Loading a program's modules without the garbage collector looking at each of them again and again."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector while modules load: they make a million objects and no garbage.

    It saves a quarter of a server's start.  What was loaded is frozen after it: never looked at again, and so
    its pages stay shared with forked children.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def absent(*names: str) -> Iterator[None]:
    """Let a library that may use another one load as if that were not installed.

    pydicom brings a downloader of test files, pytesseract tables of pandas: no server of ours needs either, and each
    of its processes would carry them.
    """
    hidden = [name for name in names if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # how an import is made to fail (import system, 5.3.1)
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
