"""Take the network away from a process that runs a model somebody else trained.

Two locks: a network namespace without any interface where the system lets an ordinary user have one, and an audit
hook that ends every attempt to open a socket; the hook can't be taken off again.
"""

from __future__ import annotations

import functools
import resource
import shutil
import subprocess
import sys
from pathlib import Path

NAMESPACE = ("unshare", "--user", "--map-current-user", "--net", "--")
"""Starts a program in a network namespace of its own, which has no interface at all."""

_FORBIDDEN = ("socket.", "urllib.", "http.client.", "ftplib.", "smtplib.")


@functools.cache
def network_prefix() -> tuple[str, ...]:
    """Return what to put before a command so that it has no network; empty where the system forbids it."""
    if shutil.which(NAMESPACE[0]) is None:
        return ()
    tried = subprocess.run(
        [*NAMESPACE, "true"], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return NAMESPACE if tried.returncode == 0 else ()


def seal_process() -> None:
    """Refuse sockets and new programs from here on, and leave no core file with images in it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    def guard(event: str, _: tuple[object, ...]) -> None:
        if event.startswith(_FORBIDDEN) or event in {
            "os.system",
            "os.exec",
            "os.posix_spawn",
            "subprocess.Popen",
        }:
            raise PermissionError(f"a process that runs a model may not do this: {event}")

    sys.addaudithook(guard)


def interfaces() -> list[str]:
    """Return the network interfaces this process can see, beside the loopback."""
    try:
        lines = Path("/proc/self/net/dev").read_text(encoding="ascii").splitlines()[2:]
    except OSError:
        return ["unknown"]
    return sorted({line.partition(":")[0].strip() for line in lines} - {"lo"})
