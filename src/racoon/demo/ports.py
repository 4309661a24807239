"""Free ports for a demo's servers, kept for it until it ends.

A server of the demo may begin to listen minutes after its port was chosen; a second demo on the same machine
must not choose it meanwhile, or one demo's people would knock at the other's door.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path
from typing import IO, Self

SEARCHED = 2000
"""Ports tried from the wanted one on."""


class NoFreePort(OSError):
    """Nothing is free in the searched range."""


class Ports:
    """Ports reserved by this process; the locks end with it, however it ends.

    Parameters
    ----------
    folder
        Where the lock files stand; the same for all demos of a user.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir()) / f"racoon-demo-ports-{os.getuid()}"
        self._locks: dict[int, IO[bytes]] = {}

    def __enter__(self) -> Self:
        """Return itself; the reservations end with the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give all reservations back."""
        self.close()

    def reserve(self, start: int) -> int:
        """Reserve the first port from ``start`` on that nobody uses or has reserved.

        Raises
        ------
        NoFreePort
        """
        for port in range(start, start + SEARCHED):
            if self.keep(port):
                if _is_free(port):
                    return port
                self._locks.pop(port).close()
        raise NoFreePort("no free port found on this machine")

    def keep(self, port: int) -> bool:
        """Reserve exactly this port; False when it is reserved already, here or by another demo."""
        if port in self._locks:
            return False
        self._folder.mkdir(mode=0o700, exist_ok=True)
        lock = (self._folder / str(port)).open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            return False
        self._locks[port] = lock
        return True

    def close(self) -> None:
        """Give all reservations back."""
        for lock in self._locks.values():
            lock.close()
        self._locks.clear()


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
