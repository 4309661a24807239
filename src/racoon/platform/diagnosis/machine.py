"""The machine under the product: disk, folders, ports."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import psutil

from racoon.platform.diagnosis.finding import Finding
from racoon.platform.supervise import read_pids

LEAST_FREE_BYTES: Final = 2 * 1024**3
"""Below this the spool of one large CT study may not fit any more; the node stops taking images."""

COMFORTABLE_FREE_BYTES: Final = 20 * 1024**3
"""About a hundred CT series of 500 slices: a night's worth of images of a busy site."""


def check_folder(folder: Path) -> list[Finding]:
    """Check that the data folder can be written and that its disk has room.

    Parameters
    ----------
    folder
        The data folder; it may not exist yet.
    """
    existing = folder
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    findings = [_check_writable(folder, existing)]
    free = shutil.disk_usage(existing).free
    text = f"{free / 1024**3:.1f} GiB free at {folder}"
    mend = (
        "Free some space, or move the data to a larger disk and change `data_directory` in the configuration."
    )
    if free < LEAST_FREE_BYTES:
        findings.append(Finding("disk", "problem", text, mend))
    elif free < COMFORTABLE_FREE_BYTES:
        findings.append(Finding("disk", "warning", text, mend))
    else:
        findings.append(Finding("disk", "ok", text))
    return findings


def _check_writable(folder: Path, existing: Path) -> Finding:
    if not existing.is_dir():
        return Finding(
            "data folder", "problem", f"{existing} is a file, not a folder", "Choose another path."
        )
    try:
        with tempfile.NamedTemporaryFile(dir=existing, prefix=".racoon-doctor-"):
            pass
    except OSError as error:
        who = psutil.Process().username()
        return Finding(
            "data folder",
            "problem",
            f"{existing} cannot be written ({errno.errorcode.get(error.errno or 0, 'error')})",
            f"Give the user {who} the right to write there, for example: chown -R {who} {existing}",
        )
    state = "writable" if existing == folder else f"will be made inside {existing}"
    return Finding("data folder", "ok", f"{folder}: {state}")


def check_port(host: str, port: int, purpose: str, run_folders: Sequence[Path] = ()) -> Finding:
    """Check that a port is free, or held by this installation itself.

    Parameters
    ----------
    host, port
        Address the product will listen on.
    purpose
        What the port is for, in words of the configuration.
    run_folders
        Folders with one ``<child>.pid`` file for each process of a running installation.
    """
    name = f"port {port} ({purpose})"
    if port == 0:
        return Finding(name, "ok", "any free port will be taken")
    try:
        address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError:
        mend = "Use an address of this machine, or 0.0.0.0 for all of them."
        return Finding(name, "problem", f"{host} is no address of this machine", mend)
    with socket.socket(address[0], socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address[4])
        except OSError as error:
            return _explain_port(name, host, port, error, run_folders)
    return Finding(name, "ok", f"free on {host}")


def _explain_port(name: str, host: str, port: int, error: OSError, run_folders: Sequence[Path]) -> Finding:
    if error.errno == errno.EACCES:
        mend = (
            "Use a port above 1023, or allow it with: setcap cap_net_bind_service=+ep on the Python binary."
        )
        return Finding(name, "problem", "this user may not open a port below 1024", mend)
    if error.errno == errno.EADDRNOTAVAIL:
        mend = "Use an address of this machine, or 0.0.0.0 for all of them."
        return Finding(name, "problem", f"{host} is no address of this machine", mend)
    holder = _holder(port)
    if holder is not None and _is_ours(holder, run_folders):
        return Finding(name, "ok", f"held by this installation (process {holder.pid})")
    who = "another program" if holder is None else f"{holder.name()} (process {holder.pid})"
    mend = "Stop that program, or give this one another port in the configuration."
    return Finding(name, "problem", f"already taken by {who}", mend)


def _holder(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections(kind="tcp"):
            address = connection.laddr
            if connection.status != psutil.CONN_LISTEN or not address:
                continue
            if address.port == port and connection.pid:
                return psutil.Process(connection.pid)
    except (psutil.AccessDenied, psutil.NoSuchProcess):
        return None
    return None


def _is_ours(process: psutil.Process, run_folders: Sequence[Path]) -> bool:
    ours = {pid for folder in run_folders for pid in read_pids(folder).values()}
    try:
        return process.pid in ours or any(parent.pid in ours for parent in process.parents())
    except psutil.NoSuchProcess:
        return False
