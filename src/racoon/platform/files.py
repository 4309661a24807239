"""Files that are either there whole or not there, and disks that are full with a clear message."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from racoon.errors import Unavailable

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class StorageFull(Unavailable):
    """No space is left where data have to be written."""

    code = "storage.full"


@contextlib.contextmanager
def disk_errors() -> Iterator[None]:
    """Turn "no space left" into :class:`StorageFull`, so that queues wait instead of giving up.

    Raises
    ------
    StorageFull
        For ``ENOSPC`` and ``EDQUOT``; every other ``OSError`` passes unchanged.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(
                "The disk is full. Free some space; the work continues by itself.",
                details={"errno": error.errno, "file": str(error.filename or "")},
            ) from error
        raise


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Write a file so that a reader, or a restart after a power cut, sees it old or new, never half.

    Parameters
    ----------
    path
        Target; its folder is made when it is missing.
    data
        Whole content.
    mode
        Permission bits, set before the first byte is written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors():
        partial = _write_partial(path, data, mode)
        try:
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


def create_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> bool:
    """Create a file whole if it does not exist yet.

    Returns
    -------
    bool
        ``False`` when somebody else was first; their file is untouched.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with disk_errors():
        partial = _write_partial(path, data, mode)
        try:
            os.link(partial, path)
        except FileExistsError:
            return False
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(path.parent)
    return True


def _write_partial(path: Path, data: bytes, mode: int) -> Path:
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    return partial


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
