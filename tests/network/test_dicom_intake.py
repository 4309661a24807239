"""The DICOM listener as a process, with DCMTK and pynetdicom as senders."""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import signal
import socket
import subprocess
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pydicom
import pytest
from pynetdicom import AE

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.deid.service import Deidentifier
from racoon.node.intake import spool
from racoon.node.intake.service import IngestLoop, count_stored, run_listener, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from tests.planted_identifiers import make_ct, make_seg
from tests.waiting import eventually


@dataclass(frozen=True)
class Peer:
    ae_title: str
    port: int
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Options:
    port: int
    host: str = "127.0.0.1"
    ae_title: str = "RACOON"
    calling_ae_titles: tuple[str, ...] = ()
    max_pdu_bytes: int = 262_144
    max_object_mb: int = 64
    association_timeout_s: float = 30.0
    idle_timeout_s: float = 300.0
    max_associations: int = 64
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True)
class Settings:
    data_directory: Path
    dicom: Options


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_listening(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


@dataclass
class Listener:
    settings: Settings
    process: multiprocessing.process.BaseProcess

    @property
    def port(self) -> int:
        return self.settings.dicom.port

    @property
    def spool(self) -> Path:
        return spool_folder(self.settings.data_directory)


def start(settings: Settings, method: Literal["fork", "spawn"] = "fork") -> Listener:
    process = multiprocessing.get_context(method).Process(target=run_listener, args=(settings,))
    process.start()
    eventually(lambda: is_listening(settings.dicom.port))
    return Listener(settings, process)


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    running = start(Settings(tmp_path / "data", Options(free_port())))
    yield running
    running.process.terminate()
    running.process.join(10)
    assert running.process.exitcode == 0


def storescu(
    program: str, port: int, *files: Path, calling: str = "STORESCU"
) -> subprocess.CompletedProcess[str]:
    command = [program, "-aec", "RACOON", "-aet", calling, "-xs", "127.0.0.1", str(port), *map(str, files)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=60)


def test_acknowledged_objects_lie_in_the_spool_as_sent(listener: Listener) -> None:
    entity = AE(ae_title="SCANNER")
    for sop_class in (
        "1.2.840.10008.5.1.4.1.1.2",
        "1.2.840.10008.5.1.4.1.1.66.4",
        "1.2.840.10008.5.1.4.1.1.88.22",
    ):
        entity.add_requested_context(sop_class)
    entity.add_requested_context("1.2.840.10008.1.1")
    sent = [pydicom.dcmread(io.BytesIO(planted.data)) for planted in (make_ct(1), make_ct(2), make_seg())]
    report = pydicom.dcmread(io.BytesIO(make_ct(3, planted=False).data))
    report.SOPClassUID = report.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.88.22"
    association = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
    assert association.is_established
    assert association.send_c_echo().Status == 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert [association.send_c_store(dataset).Status for dataset in [*sent, report]] == [0, 0, 0, 0]
    association.release()
    received = [pydicom.dcmread(path) for path in sorted(listener.spool.iterdir())]
    assert [item.SOPInstanceUID for item in received] == [item.SOPInstanceUID for item in [*sent, report]]
    assert received[0].PixelData == sent[0].PixelData
    assert received[0].PatientName == "MÜLLER^Zacharias Homer", "stored as received; the rules come later"


def test_wrong_titles_are_rejected(tmp_path: Path) -> None:
    running = start(Settings(tmp_path / "data", Options(free_port(), calling_ae_titles=("PACS",))))
    try:
        for calling, called, expected in (
            ("PACS", "RACOON", True),
            ("PACS", "OTHER", False),
            ("ROGUE", "RACOON", False),
        ):
            entity = AE(ae_title=calling)
            entity.add_requested_context("1.2.840.10008.1.1")
            association = entity.associate("127.0.0.1", running.port, ae_title=called)
            assert association.is_established is expected
            association.release()
    finally:
        running.process.terminate()
        running.process.join(10)


@pytest.mark.parametrize(
    "noise",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x01\x00\xff\xff\xff\xff",
        b"\x04\x00\x7f\xff\xff\xff" + b"x" * 5000,
        b"\x01",
    ],
)
def test_noise_on_the_port_ends_that_connection_only(listener: Listener, noise: bytes) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
        connection.sendall(noise)
        connection.shutdown(socket.SHUT_WR)
        connection.settimeout(10)
        with contextlib.suppress(OSError):
            while connection.recv(4096):
                pass
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
    assert association.send_c_echo().Status == 0
    association.release()


def test_full_disk_refuses_each_object_and_the_listener_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(spool, "RESERVE_BYTES", 1 << 60)  # inherited by the listener's process
        running = start(Settings(tmp_path / "data", Options(free_port())))
    try:
        dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
        entity = AE(ae_title="SCANNER")
        entity.add_requested_context(dataset.SOPClassUID)
        association = entity.associate("127.0.0.1", running.port, ae_title="RACOON")
        assert [association.send_c_store(dataset).Status for _ in range(2)] == [0xA700, 0xA700]
        association.release()
        assert list(running.spool.iterdir()) == []
    finally:
        running.process.terminate()
        running.process.join(10)


def test_object_beyond_the_limit_ends_its_association_only(tmp_path: Path) -> None:
    running = start(Settings(tmp_path / "data", Options(free_port(), max_object_mb=1)))
    try:
        dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
        small = dataset.PixelData
        entity = AE(ae_title="SCANNER")
        entity.add_requested_context(dataset.SOPClassUID)
        for pixels, status in ((small * 4000, None), (small, 0)):
            dataset.PixelData = pixels
            association = entity.associate("127.0.0.1", running.port, ae_title="RACOON")
            assert association.send_c_store(dataset).get("Status") == status
            association.release()
        assert len(list(running.spool.iterdir())) == 1
    finally:
        running.process.terminate()
        running.process.join(10)


def test_object_is_never_held_in_memory(listener: Listener) -> None:
    """It goes to the disk as it arrives, whatever its size."""

    def most_kib() -> int:
        status = Path(f"/proc/{listener.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0])

    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.PixelData = bytes(40 << 20)
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(dataset.SOPClassUID)
    association = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
    before = most_kib()
    assert association.send_c_store(dataset).Status == 0
    association.release()
    assert most_kib() - before < 8 << 10
    (path,) = listener.spool.glob("*.dcm")
    assert pydicom.dcmread(path).PixelData == dataset.PixelData


def test_searches_are_refused_at_this_door(listener: Listener) -> None:
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context("1.2.840.10008.5.1.4.1.2.2.1")
    entity.add_requested_context("1.2.840.10008.1.1")
    association = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
    assert [context.abstract_syntax for context in association.accepted_contexts] == ["1.2.840.10008.1.1"]
    association.release()


def test_occupied_port_is_said_clearly(listener: Listener) -> None:
    process = multiprocessing.get_context("fork").Process(target=run_listener, args=(listener.settings,))
    process.start()
    process.join(20)
    assert process.exitcode not in (0, None)


@pytest.mark.external
def test_kill_while_objects_arrive_loses_nothing_acknowledged(
    tmp_path: Path, needs_program: Callable[[str, str], str]
) -> None:
    program = needs_program("storescu", "dcmtk")
    settings = Settings(tmp_path / "data", Options(free_port()))
    files = []
    for number in range(1, 301):
        files.append(tmp_path / f"{number}.dcm")
        files[-1].write_bytes(make_ct(number, planted=False).data)
    running = start(settings)
    command = [program, "-v", "-aec", "RACOON", "127.0.0.1", str(running.port), *map(str, files)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as sender:
        assert sender.stdout is not None
        acknowledged = 0
        for line in sender.stdout:
            acknowledged += "Received Store Response (Success)" in line
            if acknowledged == 40 and running.process.is_alive():
                os.kill(running.process.pid or 0, signal.SIGKILL)
                running.process.join(10)
    stored = {
        pydicom.dcmread(path, stop_before_pixels=True).InstanceNumber for path in running.spool.glob("*.dcm")
    }
    assert 40 <= acknowledged < 300
    assert stored >= set(range(1, acknowledged + 1))
    again = start(settings)
    assert storescu(program, again.port, *files).returncode == 0
    again.process.terminate()
    again.process.join(10)


@pytest.mark.external
def test_real_series_sent_by_dcmtk_is_archived_without_a_trace(
    listener: Listener, shared_data: Path, tmp_path: Path, needs_program: Callable[[str, str], str]
) -> None:
    """The series appears, pseudonymised; nothing original is left anywhere in the node's data folder."""
    program = needs_program("storescu", "dcmtk")
    zipfile.ZipFile(next((shared_data / "ct_abdomen_dicom").glob("*.zip"))).extractall(tmp_path / "in")
    files = sorted(path for path in (tmp_path / "in").rglob("*") if path.is_file())
    sent = storescu(program, listener.port, *files)
    assert sent.returncode == 0, sent.stderr
    data = listener.settings.data_directory
    database = Database(f"sqlite:///{data}/node.sqlite")
    create_all(database, "node")
    names = Pseudonymiser(data / "keys" / "pseudonyms.json", f"sqlite:///{data}/mapping.sqlite")
    archive = Archive(database, LocalFolder(data / "objects"), on_stored=[count_stored])
    loop = IngestLoop(
        Spool(listener.spool), Deidentifier("basic", names), archive, database, quarantine=data / "quarantine"
    )
    while loop.run_once().taken:
        pass
    counts = archive.counts()
    assert (counts.subjects, counts.series, counts.instances) == (1, 1, len(files))
    assert list(listener.spool.iterdir()) == []
    names.close()
    database.dispose()
    originals = {value for path in files for value in originals_of(path)}
    assert len(originals) > len(files)
    leaks = [
        (file.name, value)
        for file in data.rglob("*")
        if file.is_file()
        for value in originals
        if found(value, file)
    ]
    assert leaks == []


def originals_of(path: Path) -> set[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, stop_before_pixels=True)
        keywords = (
            *("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID"),
            *("PatientName", "StudyDate", "AccessionNumber", "PatientBirthDate"),
        )
        return {
            str(dataset.get(keyword, "")) for keyword in keywords if len(str(dataset.get(keyword, ""))) >= 6
        }


def found(value: str, file: Path) -> bool:
    return value.encode() in file.read_bytes()
