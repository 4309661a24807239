"""The sender survives a node that restarts, resumes, plants faults; pynetdicom plays the node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from racoon.demo import pacs
from racoon.demo.association import VERIFICATION, Association, Context
from racoon.demo.country import CaseJob, write_case


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pacs")
    write_case(CaseJob(root, 1, "ALPHA", 0, 0, light=True))
    return root / "pacs"


Capture = pytest.CaptureFixture[str]


class Peer:
    """A storage provider that keeps what it gets and can break off."""

    def __init__(self) -> None:
        self.received: list[str] = []
        self.abort_at: set[int] = set()
        self.statuses: dict[int, int] = {}

    def store(self, event: evt.Event) -> int:
        self.received.append(str(event.request.AffectedSOPInstanceUID))
        number = len(self.received)
        if number in self.abort_at:
            event.assoc.abort()
        return self.statuses.get(number, 0)


@pytest.fixture
def peer(free_ports: list[int]) -> Iterator[tuple[Peer, int]]:
    entity = AE("ALPHA")
    for sop_class in (CTImageStorage, SegmentationStorage, Verification):
        entity.add_supported_context(sop_class, ExplicitVRLittleEndian)
    node = Peer()
    server = entity.start_server(
        ("127.0.0.1", free_ports[0]), block=False, evt_handlers=[(evt.EVT_C_STORE, node.store)]
    )
    yield node, free_ports[0]
    server.shutdown()


def send(capsys: Capture, folder: Path, port: int, *more: str) -> tuple[int, list[dict[str, object]]]:
    code = pacs.main(["--folder", str(folder), "--port", str(port), "--called", "ALPHA", "--json", *more])
    return code, list(pacs.iterate_events(iter(capsys.readouterr().out.splitlines())))


def test_everything_arrives_once(peer: tuple[Peer, int], folder: Path, capsys: Capture) -> None:
    node, port = peer
    code, events = send(capsys, folder, port)
    assert code == 0
    assert len(node.received) == len(set(node.received)) == len(list(folder.rglob("*.dcm")))
    assert events[-1]["event"] == "done"
    assert events[-1]["sent"] == events[-1]["total"] == len(node.received)


def test_broken_association_and_full_node_are_tried_again(
    peer: tuple[Peer, int], folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    node, port = peer
    node.abort_at = {3, 9}
    node.statuses = {6: 0xA700, 7: 0xB000}
    done = tmp_path / "done"
    code, events = send(capsys, folder, port, "--done-file", str(done))
    assert code == 0
    assert sum(event["event"] == "retry" for event in events) >= 2
    assert set(done.read_text().split()) == set(node.received)


def test_interrupted_sending_goes_on(
    peer: tuple[Peer, int], folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    node, port = peer
    instances, _ = pacs.find_instances(folder)
    done = tmp_path / "done"
    # The last line was cut short by a kill: its instance counts as not sent.
    done.write_text(
        "".join(f"{part.sop_instance_uid}\n" for part in instances[:4]) + instances[4].sop_instance_uid[:9]
    )
    code, _ = send(capsys, folder, port, "--done-file", str(done))
    assert code == 0
    assert len(node.received) == len(instances) - 4


def test_planted_faults_do_not_stop_the_rest(
    peer: tuple[Peer, int], folder: Path, tmp_path: Path, capsys: Capture
) -> None:
    node, port = peer
    code, events = send(capsys, folder, port, "--faults")
    assert code == 0
    assert [event["kind"] for event in events if event["event"] == "fault"] == [
        "truncated",
        "not-dicom",
        "duplicate",
    ]
    assert len(node.received) == len(set(node.received)) + 1


def test_files_that_are_no_dicom_are_named(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("no image")
    (tmp_path / "short.dcm").write_bytes(b"\0" * 128 + b"DICM")
    found, others = pacs.find_instances(tmp_path)
    assert found == []
    assert [path.name for path in others] == ["letter.txt", "short.dcm"]


def test_silent_node_ends_with_an_error(free_ports: list[int], folder: Path, capsys: Capture) -> None:
    code, events = send(capsys, folder, free_ports[0], "--give-up-after", "0.3")
    assert code == 1
    assert [event for event in events if event["event"] == "gave-up"]
    assert json.dumps(events)


def test_unknown_object_is_refused_and_named(free_ports: list[int], folder: Path, capsys: Capture) -> None:
    entity = AE("ALPHA")
    entity.add_supported_context(CTImageStorage, ExplicitVRLittleEndian)
    node = Peer()
    server = entity.start_server(
        ("127.0.0.1", free_ports[0]), block=False, evt_handlers=[(evt.EVT_C_STORE, node.store)]
    )
    try:
        code, events = send(capsys, folder, free_ports[0])
    finally:
        server.shutdown()
    assert code == 1
    assert {Path(str(e["path"])).name[:3] for e in events if e["event"] == "rejected"} == {"SEG"}


def test_echo(peer: tuple[Peer, int]) -> None:
    _, port = peer
    with Association(
        "127.0.0.1", port, "PACS", "ALPHA", [Context(VERIFICATION, ExplicitVRLittleEndian)]
    ) as association:
        assert association.echo() == 0
