"""The object store's adapter for a bucket that speaks S3: MinIO, Ceph, or what the hospital's data centre runs.

What leaves here goes to the address that the site configured, and nowhere else.  Needs the extra ``s3``.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, cast

import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from racoon.errors import Unavailable
from racoon.node.archive.objects import KEY_PATTERN, ObjectNotFound
from racoon.platform.settings import ConfigurationError

AT_ONCE = 8
"""Requests in flight: a bucket answers in milliseconds, and waiting costs no core."""

READ_AHEAD_BYTES = 1 << 20


class StoreUnavailable(Unavailable):
    """The object store does not answer, or refuses."""

    code: ClassVar[str] = "archive.store_unavailable"


@dataclass(frozen=True)
class BucketAddress:
    """Where a bucket is and how one gets in.

    Parameters
    ----------
    url
        ``s3://BUCKET`` or ``s3://BUCKET/PREFIX``.
    endpoint
        Address of the server, such as ``https://objects.example.org:9000``.
    region
        As the server names it; most servers outside the large clouds take any.
    key_file
        File with two lines, access key and secret key.
    timeout_s
        How long one request may take; three tries.
    """

    url: str
    endpoint: str
    key_file: Path
    region: str = "us-east-1"
    timeout_s: float = 30.0


class Bucket:
    """Objects in a bucket; durable when the server has said so.

    Parameters
    ----------
    address
        Which one.

    Raises
    ------
    ConfigurationError
        If the file with the keys cannot be read.
    """

    def __init__(self, address: BucketAddress) -> None:
        name, _, prefix = address.url.removeprefix("s3://").partition("/")
        access_key, secret_key = _read_keys(address.key_file)
        self._store = S3Store(
            name,
            prefix=prefix.strip("/") or None,
            endpoint=address.endpoint,
            region=address.region,
            access_key_id=access_key,
            secret_access_key=secret_key,
            # Servers of one's own rarely have a host name per bucket.
            virtual_hosted_style_request=False,
            client_options={
                "allow_http": address.endpoint.startswith("http://"),
                "timeout": timedelta(seconds=address.timeout_s),
                "connect_timeout": timedelta(seconds=min(address.timeout_s, 10.0)),
            },
            retry_config={"max_retries": 2, "retry_timeout": timedelta(seconds=2 * address.timeout_s)},
        )

    def put_many(self, items: Sequence[tuple[str, bytes]]) -> None:
        """Store all objects, several at once; returns when the server holds all of them."""
        checked = [(_checked(key), data) for key, data in items]
        with _server_errors():
            if len(checked) == 1:
                self._put(checked[0])
            elif checked:
                with ThreadPoolExecutor(AT_ONCE) as pool:
                    list(pool.map(self._put, checked))

    def _put(self, item: tuple[str, bytes]) -> None:
        obstore.put(self._store, item[0], item[1])

    def read(self, key: str) -> bytes:
        """Return the whole object."""
        with _server_errors(key):
            return bytes(obstore.get(self._store, _checked(key)).bytes())

    def open(self, key: str) -> BinaryIO:
        """Open the object for reading; pieces are fetched as they are asked for."""
        with _server_errors(key):
            reader = obstore.open_reader(self._store, _checked(key), buffer_size=READ_AHEAD_BYTES)
        return cast("BinaryIO", io.BufferedReader(_Stream(reader, key), READ_AHEAD_BYTES))

    def delete(self, key: str) -> bool:
        """Remove the object; tell whether it was there."""
        name = _checked(key)
        with _server_errors():
            try:
                obstore.head(self._store, name)
            except FileNotFoundError:
                return False
            obstore.delete(self._store, name)
        return True

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Walk all keys below a first part, a page of the server's list at a time."""
        with _server_errors():
            for page in obstore.list(self._store, prefix or None):
                yield from (entry["path"] for entry in page)


class _Stream(io.RawIOBase):
    """A seekable object of the bucket as Python's own streams are."""

    def __init__(self, reader: Any, key: str) -> None:
        self._reader = reader
        self._key = key

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        with _server_errors(self._key):
            data = bytes(self._reader.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)


@contextlib.contextmanager
def _server_errors(key: str = "") -> Iterator[None]:
    """Say a server's errors in our words; what it answered stays in the private details."""
    try:
        yield
    except FileNotFoundError as error:
        if not key:
            # Nothing else is asked for by name: the bucket itself is missing.
            raise _unavailable("There is no such bucket", error) from error
        raise ObjectNotFound(
            "An archived object is missing in the bucket. Run `racoon node reindex` and ask who runs it.",
            details={"key": key},
        ) from error
    except PermissionError as error:
        raise _unavailable("The bucket refuses the keys of this node", error) from error
    except (BaseError, OSError) as error:
        raise _unavailable("The object store does not answer", error) from error


def _unavailable(what: str, error: Exception) -> StoreUnavailable:
    return StoreUnavailable(
        f"{what}. The work waits and is tried again; check archive.url, archive.endpoint and archive.key_file.",
        details={"error": type(error).__name__},
    )


def _checked(key: str) -> str:
    if KEY_PATTERN.fullmatch(key) is None:
        raise ValueError(f"not an object key: {key[:80]!r}")
    return key


def _read_keys(file: Path) -> tuple[str, str]:
    try:
        lines = file.read_text(encoding="utf-8").split()
    except OSError as error:
        raise ConfigurationError(
            f"archive.key_file {file.name} cannot be read: it needs two lines, access key and secret key."
        ) from error
    if len(lines) != 2:
        raise ConfigurationError(
            f"archive.key_file {file.name} needs two lines, access key and secret key; it has {len(lines)}."
        )
    return lines[0], lines[1]
