"""Stop a demo that still runs in a folder, whoever started it, and remove what it made."""

from __future__ import annotations

import contextlib
import os
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from racoon.demo.refusal import DemoRefused

PID_FILE = "demo.pid"

MODULES = frozenset({"racoon", "nvflare"})
"""What the demo's processes run; an editor that has a file of the folder open is nobody to stop."""

GRACE_S = 40.0
"""Time a demo, or a server that outlived it, gets to stop gently."""


def write_pid(folder: Path) -> None:
    """Say in the folder which process runs the demo there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / PID_FILE).write_text(str(os.getpid()))


def forget_pid(folder: Path) -> None:
    """The demo has ended."""
    (folder / PID_FILE).unlink(missing_ok=True)


def clean(folder: Path) -> dict[str, Any]:
    """Stop a demo that still runs in a folder and remove what it made.

    Servers that outlived their demo (it was killed, or the terminal went away) are stopped too: they are our
    processes, and the training engine's, that were started with a path inside the folder.

    Raises
    ------
    DemoRefused
        When the folder was not made by the demo.
    """
    folder = folder.resolve()
    if not folder.exists():
        return {"folder": str(folder), "stopped": 0, "removed": False}
    if not (folder / "ports.json").exists():
        raise DemoRefused(f"{folder} was not made by the demo; nothing was removed.")
    with contextlib.suppress(psutil.Error, ValueError, OSError):
        demo = psutil.Process(int((folder / PID_FILE).read_text()))
        # After a kill the number may have been given to somebody else's process.
        if "demo" in demo.cmdline():
            demo.terminate()
            demo.wait(GRACE_S)
    left = left_behind(folder)
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.terminate()
    _, alive = psutil.wait_procs(left, GRACE_S)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    shutil.rmtree(folder)
    return {"folder": str(folder), "stopped": len(left), "removed": True}


def left_behind(folder: Path) -> list[psutil.Process]:
    """Find the demo's processes of this user that were started with a path inside the folder, oldest first."""
    inside = f"{folder}{os.sep}"
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if (
                process.pid not in mine
                and process.uids().real == os.getuid()
                and any(word.startswith(inside) for word in words)
                and any(
                    flag == "-m" and module.partition(".")[0] in MODULES for flag, module in pairwise(words)
                )
            ):
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())
