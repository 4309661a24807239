"""Content-addressed files that travel beside messages: weights and large results."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import ClassVar

import sqlalchemy as sa
from fastapi.concurrency import run_in_threadpool

from racoon.central.orchestration import _store
from racoon.errors import Defect, Refused
from racoon.platform import clock
from racoon.platform.files import disk_errors

SHA256 = re.compile(r"[0-9a-f]{64}")


class ArtifactDefect(Defect):
    """The file is not what its name says, or too large."""

    code: ClassVar[str] = "artifact.invalid"


class ArtifactRefused(Refused):
    """The file does not exist or is not meant for this site; both look the same."""

    code: ClassVar[str] = "artifact.not_available"
    status: ClassVar[int] = 404


class Artifacts:
    """Files below one folder, named by their SHA-256.

    Parameters
    ----------
    folder
        Where they lie.
    limit_bytes
        Largest file accepted.
    """

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self._folder = folder
        self._limit_bytes = limit_bytes
        folder.mkdir(parents=True, exist_ok=True)

    async def write(self, sha256: str, chunks: AsyncIterator[bytes]) -> int:
        """Write an uploaded file: whole and verified, or not at all.

        Parameters
        ----------
        sha256
            Hash the content must have.
        chunks
            The content.

        Returns
        -------
        int
            Size in bytes.

        Raises
        ------
        ArtifactDefect
            When hash or size do not fit.
        """
        target = self._path(sha256)
        partial = target.with_name(f".{sha256}.{secrets.token_hex(6)}.part")
        digest, size = hashlib.sha256(), 0
        try:
            with disk_errors(), partial.open("xb") as stream:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > self._limit_bytes:
                        raise ArtifactDefect("The file is larger than this network allows.")
                    digest.update(chunk)
                    await run_in_threadpool(stream.write, chunk)
                if digest.hexdigest() != sha256:
                    raise ArtifactDefect("The file's content does not fit its hash.")
                stream.flush()
                os.fsync(stream.fileno())
            partial.replace(target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                partial.unlink()
        return size

    def keep(self, connection: sa.Connection, content: bytes, readers: Iterable[str]) -> str:
        """Keep a file made at CENTRAL and let sites fetch it.

        Returns
        -------
        str
            Its SHA-256.
        """
        sha256 = hashlib.sha256(content).hexdigest()
        target = self._path(sha256)
        if not target.exists():
            partial = target.with_name(f".{sha256}.{secrets.token_hex(6)}.part")
            with disk_errors():
                partial.write_bytes(content)
                partial.replace(target)
        _store.add_artifact(connection, sha256, len(content), clock.now())
        for site in readers:
            _store.grant(connection, sha256, site)
        return sha256

    def register(self, connection: sa.Connection, sha256: str, size_bytes: int, site: str) -> None:
        """Record an uploaded file; its sender may name it in results and fetch it again."""
        _store.add_artifact(connection, sha256, size_bytes, clock.now())
        _store.grant(connection, sha256, site)

    def path(self, sha256: str) -> Path:
        """Return where a file lies.

        Raises
        ------
        ArtifactRefused
            When it is not there.
        """
        path = self._path(sha256)
        if not path.exists():
            raise ArtifactRefused("This file is not available.")
        return path

    def path_for(self, connection: sa.Connection, sha256: str, site: str) -> Path:
        """Return where a file lies, if the site may fetch it.

        Raises
        ------
        ArtifactRefused
            When it is not there or not for this site.
        """
        path = self._path(sha256)
        if not _store.is_granted(connection, sha256, site) or not path.exists():
            raise ArtifactRefused("This file is not available.")
        return path

    def _path(self, sha256: str) -> Path:
        if SHA256.fullmatch(sha256) is None:
            raise ArtifactRefused("This file is not available.")
        return self._folder / sha256
