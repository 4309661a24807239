"""What every object store promises: a folder, and a bucket that speaks S3."""

from __future__ import annotations

import logging
import os
import resource
import secrets
import signal
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto.server import ThreadedMotoServer

from racoon.node.archive.bucket import Bucket, BucketAddress, StoreUnavailable
from racoon.node.archive.objects import LocalFolder, ObjectNotFound, ObjectStore, object_key
from racoon.platform.settings import ConfigurationError

REGION = "us-east-1"
KEYS = ("node", "a secret of this test".replace(" ", "-"))


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


def address_of(endpoint: str, folder: Path, bucket: str = "images") -> BucketAddress:
    """A new, empty bucket and the file with its keys."""
    (folder / "keys").write_text("\n".join(KEYS))
    signed = {"aws_access_key_id": KEYS[0], "aws_secret_access_key": KEYS[1]}
    client = boto3.client("s3", endpoint_url=endpoint, region_name=REGION, **signed)
    name = f"{bucket}-{secrets.token_hex(6)}"
    client.create_bucket(Bucket=name)
    client.close()
    return BucketAddress(f"s3://{name}/alpha", endpoint, folder / "keys")


@pytest.fixture(params=["local", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    if request.param == "local":
        return LocalFolder(tmp_path / "objects")
    return Bucket(address_of(request.getfixturevalue("endpoint"), tmp_path))


def test_objects_come_back_and_can_be_listed(store: ObjectStore) -> None:
    items = [(f"instances/a{n}/1.2.{n}.dcm", bytes([n]) * 1000) for n in range(10)]
    store.put_many(items)
    store.put_many([("evidence/x.json", b"e")])

    assert {key: store.read(key) for key, _ in items} == dict(items)
    assert sorted(store.keys("instances")) == sorted(key for key, _ in items)
    assert sorted(store.keys()) == sorted([*(key for key, _ in items), "evidence/x.json"])
    with store.open("evidence/x.json") as stream:
        stream.seek(0)
        assert stream.read() == b"e"


def test_delete_tells_whether_it_was_there(store: ObjectStore) -> None:
    store.put_many([("a/b", b"1")])
    assert store.delete("a/b")
    assert not store.delete("a/b")
    assert list(store.keys()) == []


def test_missing_object_is_a_defect_with_a_plain_sentence(store: ObjectStore) -> None:
    for call in (store.read, store.open):
        with pytest.raises(ObjectNotFound) as error:
            call("instances/none.dcm")
        assert "instances/none" not in error.value.public_message


@pytest.mark.parametrize(
    "key", ["", "../x", "/etc/passwd", "a/../b", "a//b", "A", "a/.hidden", "a\x00b", "a b"]
)
def test_keys_that_could_leave_the_store_are_refused(store: ObjectStore, key: str) -> None:
    for call in (store.read, store.open, store.delete, lambda name: store.put_many([(name, b"")])):
        with pytest.raises(ValueError, match="not an object key"):
            call(key)


def test_writers_of_the_same_object_do_not_disturb_each_other(store: ObjectStore) -> None:
    items = [(f"instances/aa/{n}.dcm", bytes([n]) * 5000) for n in range(20)]
    threads = [threading.Thread(target=store.put_many, args=(items,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {key: store.read(key) for key in list(store.keys())} == dict(items)


def test_key_of_an_instance_spreads_series_and_tells_contents_apart() -> None:
    first = object_key("1.2", "1.2.3", "a" * 64)
    assert first.endswith("/1.2/1.2.3.aaaaaaaaaaaaaaaa.dcm")
    assert object_key("1.2", "1.2.3", "b" * 64) != first
    assert first.split("/")[1:3] != object_key("1.3", "1.2.3", "a" * 64).split("/")[1:3]


def test_local_files_are_for_the_owner_only(tmp_path: Path) -> None:
    LocalFolder(tmp_path / "objects").put_many([("a/b", b"1")])
    path = tmp_path / "objects" / "a" / "b"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """A file size limit stands for the full disk: the kernel refuses the write half way, as it does then."""
    store = LocalFolder(tmp_path / "objects")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        with pytest.raises(OSError, match="large"):
            store.put_many([("a/small", b"1"), ("a/large", b"x" * 100_000)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(store.keys()) == []
    assert list((tmp_path / "objects" / "a").iterdir()) == []


def test_leftover_of_a_dead_writer_is_removed_when_it_is_old(tmp_path: Path) -> None:
    store = LocalFolder(tmp_path / "objects")
    store.put_many([("a/b", b"1")])
    old, fresh = (tmp_path / "objects" / "a" / f".{name}.part" for name in ("old", "fresh"))
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (1, 1))
    assert list(store.keys()) == ["a/b"]
    assert (old.exists(), fresh.exists()) == (False, True)


# A bucket


def test_large_object_is_read_in_pieces_from_anywhere(store: ObjectStore) -> None:
    data = np.random.default_rng(1).bytes(3_500_000)
    store.put_many([("instances/aa/large.dcm", data)])
    with store.open("instances/aa/large.dcm") as stream:
        assert stream.read(4) == data[:4]
        stream.seek(2_000_000)
        assert stream.read(1_600_000) == data[2_000_000:]
        assert stream.read(1) == b""
        stream.seek(-3, os.SEEK_END)
        assert stream.read() == data[-3:]


def test_prefixes_of_a_bucket_are_apart(endpoint: str, tmp_path: Path) -> None:
    address = address_of(endpoint, tmp_path)
    first, second = Bucket(address), Bucket(replace(address, url=address.url.replace("/alpha", "/beta")))
    first.put_many([("a/b.dcm", b"1")])
    assert list(second.keys()) == []
    with pytest.raises(ObjectNotFound):
        second.read("a/b.dcm")


def test_server_that_is_away_is_waited_for(tmp_path: Path, endpoint: str) -> None:
    address = replace(address_of(endpoint, tmp_path), endpoint="http://127.0.0.1:9", timeout_s=1.0)
    away = Bucket(address)
    for call in (lambda: away.put_many([("a/b", b"1")]), lambda: away.read("a/b"), lambda: list(away.keys())):
        with pytest.raises(StoreUnavailable) as error:
            call()
        assert KEYS[1] not in str(error.value.public_message)
        assert "archive.endpoint" in error.value.public_message


def test_bucket_that_does_not_exist_is_said(tmp_path: Path, endpoint: str) -> None:
    address = replace(address_of(endpoint, tmp_path), url="s3://nowhere-at-all")
    with pytest.raises(StoreUnavailable, match="no such bucket"):
        Bucket(address).put_many([("a/b", b"1")])


@pytest.mark.parametrize("content", [None, "", "one", "one two three"])
def test_keys_that_cannot_be_read_are_said_and_not_shown(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "keys").write_text(content)
    with pytest.raises(ConfigurationError, match="two lines") as error:
        Bucket(BucketAddress("s3://images", "http://127.0.0.1:9", tmp_path / "keys"))
    assert "three" not in str(error.value)
