"""What every object store promises; one adapter so far."""

from __future__ import annotations

import os
import resource
import signal
import stat
import threading
from pathlib import Path

import pytest

from racoon.node.archive.objects import LocalFolder, ObjectNotFound, ObjectStore, object_key


@pytest.fixture(params=["local"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return {"local": lambda: LocalFolder(tmp_path / "objects")}[request.param]()


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
