"""End a child process when the process that started it is gone.

``PR_SET_PDEATHSIG`` fires when the *thread* that forked ends, and jobs run in threads; so a child watches its
parent's process id instead.
"""

from __future__ import annotations

import os
import signal
import threading

POLL_S = 1.0
"""A kill -9 of the parent is noticed within this time."""

GRACE_S = 5.0
"""Time to end in good order before the process is ended hard."""


def watch_parent(poll_s: float = POLL_S) -> None:
    """Start a thread that ends this process soon after its parent died.

    Parameters
    ----------
    poll_s
        Time between looks.
    """
    parent = os.getppid()

    def watch() -> None:
        never = threading.Event()
        while os.getppid() == parent:
            never.wait(poll_s)
        os.kill(os.getpid(), signal.SIGTERM)
        never.wait(GRACE_S)
        os._exit(143)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
