"""Training processes that run only while the site's limits let them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from racoon.errors import Unavailable
from racoon.learning.subprocesses import run_training_process
from racoon.node.compute.limits import WAITING_NOTES, Look, Standing, require_going_on

LOOK_S = 0.5


def run_within_limits(
    arguments: list[str],
    log: Path,
    on_event: Callable[[dict[str, Any]], None],
    standing: Look,
    tell: Callable[[str], None],
) -> None:
    """Run a process that resumes by itself, whenever the site lets it; say once what it waits for.

    Parameters
    ----------
    arguments, log, on_event
        As ``run_training_process``.
    standing
        What the limits say now.
    tell
        Called with what the process waits for.
    """
    pause = threading.Event()
    now = Standing.GO
    while True:
        before, now = now, standing()
        if now is Standing.GO:
            try:
                run_training_process(
                    arguments, log, on_event, should_end=lambda: standing() is not Standing.GO
                )
                return
            except Unavailable:
                if standing() is Standing.GO:
                    raise
                continue
        require_going_on(now)
        if now is not before:
            tell(WAITING_NOTES[now])
        pause.wait(LOOK_S)
