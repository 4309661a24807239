"""The port to the object store, and its adapter for a local folder.

Keys are made of pseudonymous UIDs and content hashes, so a key is written once and never changes its
content: a crash can leave an object that nobody refers to, never a wrong one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol

from racoon.errors import Defect
from racoon.platform.files import disk_errors

KEY_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)*")
"""Lower case, no empty part, no leading dot: safe on every file system and in every object store."""

FSYNC_THREADS = 4
"""fsync waits for the disk, not for a core; four in flight let the journal commit them together."""

PARTIAL_AGE_S = 3600
"""A temporary file older than this belongs to a process that died."""


class ObjectNotFound(Defect):
    """The index names an object that the store does not have."""

    code = "archive.object_missing"
    status = 500


class ObjectStore(Protocol):
    """Bytes by key; durable when :meth:`put_many` returns."""

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Store all objects durably; a key that exists is replaced in one step by the same content."""
        ...

    def read(self, key: str) -> bytes:
        """Return the whole object.

        Raises
        ------
        ObjectNotFound
            If there is none.
        """
        ...

    def open(self, key: str) -> BinaryIO:
        """Open the object for reading, seekable.

        Raises
        ------
        ObjectNotFound
            If there is none.
        """
        ...

    def delete(self, key: str) -> bool:
        """Remove an object durably; tell whether it was there."""
        ...

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Walk all keys that start with a whole first part, in any order."""
        ...


def object_key(series_uid: str, sop_instance_uid: str, sha256: str) -> str:
    """Key of an instance: a hash prefix spreads the series, the series keeps its instances together.

    Parameters
    ----------
    series_uid, sop_instance_uid
        Pseudonymous UIDs, already checked.
    sha256
        Hex digest of the content: two contents of one UID never share a key.
    """
    prefix = hashlib.sha256(series_uid.encode()).hexdigest()
    return f"instances/{prefix[:2]}/{prefix[2:4]}/{series_uid}/{sop_instance_uid}.{sha256[:16]}.dcm"


def uid_of_key(key: str) -> str:
    """SOP Instance UID in the key of an instance; for any other key a text that is no UID of an instance."""
    return key.rsplit("/", 1)[-1].rsplit(".", 2)[0]


def evidence_key(packed: bytes) -> str:
    """Key of a pack of de-identification evidence, by its content."""
    digest = hashlib.sha256(packed).hexdigest()
    return f"evidence/{digest[:2]}/{digest}.json.zst"


class LocalFolder:
    """Objects as files below one folder, mode 0600, visible only when complete and on disk.

    Parameters
    ----------
    root
        The folder; made when missing, mode 0700.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Write, fsync and rename all objects; then fsync each folder once (group commit)."""
        partials: list[tuple[Path, Path]] = []
        with disk_errors():
            try:
                for key, data in items:
                    partials.append(self._write_partial(self._path(key), data))
                if len(partials) == 1:
                    _fsync(partials[0][0])
                elif partials:
                    with ThreadPoolExecutor(FSYNC_THREADS) as pool:
                        list(pool.map(_fsync, [partial for partial, _ in partials]))
                for partial, path in partials:
                    partial.replace(path)
            except BaseException:
                for partial, _ in partials:
                    partial.unlink(missing_ok=True)
                raise
            for folder in sorted({path.parent for _, path in partials}):
                _fsync(folder)

    def read(self, key: str) -> bytes:
        """Return the whole object."""
        try:
            return self._path(key).read_bytes()
        except FileNotFoundError as error:
            raise _missing(key) from error

    def open(self, key: str) -> BinaryIO:
        """Open the file for reading."""
        try:
            return self._path(key).open("rb")
        except FileNotFoundError as error:
            raise _missing(key) from error

    def delete(self, key: str) -> bool:
        """Remove the file and the folders that became empty, durably."""
        path = self._path(key)
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        parent = path.parent
        while parent != self._root:
            try:
                parent.rmdir()
            except OSError:
                break
            parent = parent.parent
        # Another process may have removed the empty folder meanwhile; it then synced the parent.
        with contextlib.suppress(FileNotFoundError):
            _fsync(parent)
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Walk all keys below a first part; remove temporary files that a dead process left."""
        start = self._root / prefix if prefix else self._root
        oldest = time.time() - PARTIAL_AGE_S
        for folder, _, names in os.walk(start):
            for name in names:
                path = Path(folder) / name
                if not name.startswith("."):
                    yield path.relative_to(self._root).as_posix()
                elif name.endswith(".part") and path.stat().st_mtime < oldest:
                    path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if KEY_PATTERN.fullmatch(key) is None:
            raise ValueError(f"not an object key: {key[:80]!r}")
        return self._root / key

    def _write_partial(self, path: Path, data: bytes) -> tuple[Path, Path]:
        partial = path.with_name(f".{secrets.token_hex(12)}.part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(partial, flags, 0o600)
        except FileNotFoundError:
            self._make_folder(path.parent)
            descriptor = os.open(partial, flags, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        return partial, path

    def _make_folder(self, folder: Path) -> None:
        # A new folder is only durable when its parent is on disk too.
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for new in reversed(missing):
            new.mkdir(exist_ok=True, mode=0o700)
            _fsync(new.parent)


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(key: str) -> ObjectNotFound:
    return ObjectNotFound(
        "An archived object is missing on disk. Run `racoon node reindex` and check the disk.",
        details={"key": key},
    )
