"""Fetching from a foreign PACS: DCMTK's dcmqrscp, and one that loses its answers."""

from __future__ import annotations

import contextlib
import io
import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from racoon.cli import main
from racoon.node.intake.pull.model import FoundStudy, PacsUnavailable
from racoon.node.intake.pull.pacs import FIND, GET, Pacs, PacsAddress
from racoon.node.intake.service import spool_folder
from racoon.node.intake.spool import Spool
from tests.network.test_dicom_intake import Options, Settings, free_port, is_listening, start
from tests.planted_identifiers import ROOT, make_ct
from tests.waiting import eventually

CONFIGURATION = """
NetworkTCPPort = {port}
MaxPDUSize = 65536
MaxAssociations = 8
HostTable BEGIN
node = (RACOON, 127.0.0.1, {node_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
PACS {folder} RW (200, 1024mb) ANY
AETable END
"""


def examination(number: int, accession: str, slices: int) -> list[bytes]:
    """One imaging study with its own accession number."""
    found = []
    for index in range(1, slices + 1):
        dataset = pydicom.dcmread(io.BytesIO(make_ct(index, planted=False).data))
        dataset.AccessionNumber = accession
        dataset.StudyInstanceUID = f"{ROOT}.7.{number}"
        dataset.SeriesInstanceUID = f"{ROOT}.7.{number}.1"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.7.{number}.1.{index}"
        stream = io.BytesIO()
        dataset.save_as(stream)
        found.append(stream.getvalue())
    return found


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def pacs(tmp_path: Path, node_port: int, needs_program: Callable[[str, str], str]) -> Iterator[int]:
    """A DCMTK archive with two examinations; gives its port."""
    program, storescu = needs_program("dcmqrscp", "dcmtk"), needs_program("storescu", "dcmtk")
    port, folder = free_port(), tmp_path / "pacs"
    folder.mkdir()
    file = tmp_path / "dcmqrscp.cfg"
    file.write_text(CONFIGURATION.format(port=port, node_port=node_port, folder=folder))
    process = subprocess.Popen(
        [program, "-c", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        eventually(lambda: is_listening(port))
        files = []
        for number, accession, slices in ((1, "ACC1", 3), (2, "ACC2", 2), (3, "ACC11", 1)):
            for index, data in enumerate(examination(number, accession, slices)):
                files.append(tmp_path / f"{number}-{index}.dcm")
                files[-1].write_bytes(data)
        sent = subprocess.run(
            [storescu, "-aec", "PACS", "127.0.0.1", str(port), *map(str, files)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert sent.returncode == 0, sent.stderr
        yield port
    finally:
        process.terminate()
        process.wait(10)


def configure(tmp_path: Path, port: int, node_port: int, method: str) -> Path:
    config = tmp_path / "node.toml"
    config.write_text(
        f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n'
        f'[dicom]\nport = {node_port}\n[[dicom.peers]]\nae_title = "PACS"\nhost = "127.0.0.1"\nport = {port}\n'
        f'[pull]\npeer = "PACS"\nmethod = "{method}"\ntimeout_s = 20\n'
    )
    return config


def pull(capsys: pytest.CaptureFixture[str], config: Path, *words: str) -> tuple[int, Any]:
    code = main(["node", "pull", *words, "--config", str(config), "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.external
@pytest.mark.parametrize("method", ["get", "move"])
def test_examinations_come_from_dcmtk(
    pacs: int, node_port: int, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path, pacs, node_port, method)
    numbers = tmp_path / "list.txt"
    numbers.write_text("ACC1\n\nACC2\nNOBODY\n")
    assert pull(capsys, config, "add", "--file", str(numbers))[1] == {"given": 3, "added": 3, "waiting": 3}
    with contextlib.ExitStack() as stack:
        if method == "move":
            listener = start(Settings(tmp_path / "data", Options(node_port)))
            stack.callback(listener.process.join, 10)
            stack.callback(listener.process.terminate)
        code, summary = pull(capsys, config, "run")
    assert (code, summary["fetched"], summary["refused"], summary["objects"]) == (1, 2, 1, 5)
    _, items = pull(capsys, config, "list")
    assert [(item["accession_number"], item["state"], item["received"]) for item in items] == [
        ("ACC1", "fetched", 3), ("ACC2", "fetched", 2), ("NOBODY", "refused", 0),
    ]  # fmt: skip
    assert items[2]["message"].startswith("The PACS knows no examination")
    received = [pydicom.dcmread(path) for path in spool_folder(tmp_path / "data").glob("*.dcm")]
    assert sorted(str(item.AccessionNumber) for item in received) == ["ACC1"] * 3 + ["ACC2"] * 2
    assert all(item.PixelData for item in received)
    assert pull(capsys, config, "clear")[1] == {"removed": 2}


@pytest.mark.external
def test_study_protocol_is_searched_at_dcmtk(
    pacs: int, node_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """DCMTK's archive says no ModalitiesInStudy: the series are asked, and only what fits is fetched."""
    config = configure(tmp_path, pacs, node_port, "get")
    day = str(pydicom.dcmread(io.BytesIO(make_ct(planted=False).data)).StudyDate)
    shown = f"{day[:4]}-{day[4:6]}-{day[6:]}"
    days = ("--first-day", shown, "--last-day", shown)
    pull(capsys, config, "protocol", "add", "lung", "--modality", "CT", *days)
    pull(capsys, config, "protocol", "add", "knee", "--modality", "MR", *days)
    code, summary = pull(capsys, config, "run")
    assert (code, summary["found"], summary["fetched"], summary["objects"]) == (0, 3, 3, 6)
    listed = {
        item["name"]: (item["found"], item["searched_until"])
        for item in pull(capsys, config, "protocol", "list")[1]
    }
    assert listed == {"knee": (0, shown), "lung": (3, shown)}


@pytest.mark.external
def test_unknown_destination_is_said(
    pacs: int, node_port: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path, pacs, node_port, "move")
    config.write_text(config.read_text().replace("[dicom]\n", '[dicom]\nae_title = "STRANGER"\n'))
    pull(capsys, config, "add", "ACC1")
    assert pull(capsys, config, "run")[1]["refused"] == 1
    (item,) = pull(capsys, config, "list")[1]
    assert (item["state"], item["reason"]) == ("refused", "destination_unknown")


# pynetdicom leaves the socket of a refused call to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pacs_that_is_away_leaves_the_list_waiting(
    tmp_path: Path, node_port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, not listening: every call is refused
        config = configure(tmp_path, closed.getsockname()[1], node_port, "get")
        pull(capsys, config, "add", "ACC1")
        code, summary = pull(capsys, config, "run")
    assert (code, summary["stopped_by"], summary["waiting"]) == (75, "unavailable", 1)


def test_no_pacs_is_said_clearly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n')
    code, answer = pull(capsys, config, "run")
    assert (code, answer["error"]["code"]) == (2, "pull.not_configured")


# A PACS of our own making that misbehaves


class Misbehaving:
    """Answers C-FIND with more than was asked for, and aborts a C-GET in its middle as often as told."""

    def __init__(self, aborts: int) -> None:
        self.aborts = aborts
        self.slices = [pydicom.dcmread(io.BytesIO(data)) for data in examination(9, "ACC9", 3)]

    def find(self, event: Any) -> Iterator[tuple[int, Dataset]]:
        for accession, uid in (("ACC9", "1.2.9"), ("ACC99", "1.2.99"), ("", "1.2.3"), ("ACC9", "not a uid")):
            answer = Dataset()
            answer.QueryRetrieveLevel = "STUDY"
            answer.AccessionNumber = accession
            answer.add_new(0x0020000D, "LO", uid)
            yield 0xFF00, answer

    def get(self, event: Any) -> Iterator[Any]:
        yield len(self.slices)
        for index, dataset in enumerate(self.slices):
            if index == 1 and self.aborts:
                self.aborts -= 1
                event.assoc.abort()
                return
            yield 0xFF00, dataset


@pytest.fixture
def misbehaving() -> Iterator[Callable[[int], tuple[Misbehaving, int]]]:
    servers = []

    def make(aborts: int) -> tuple[Misbehaving, int]:
        peer, port = Misbehaving(aborts), free_port()
        entity = AE(ae_title="PACS")
        entity.add_supported_context(FIND)
        entity.add_supported_context(GET)
        entity.add_supported_context("1.2.840.10008.5.1.4.1.1.2", scu_role=True, scp_role=True)
        handlers = [(evt.EVT_C_FIND, peer.find), (evt.EVT_C_GET, peer.get)]
        servers.append(entity.start_server(("127.0.0.1", port), block=False, evt_handlers=handlers))
        return peer, port

    yield make
    for server in servers:
        server.shutdown()


@pytest.mark.filterwarnings("ignore::UserWarning:pydicom")
def test_only_the_accession_number_that_was_asked_for_counts(
    misbehaving: Callable[[int], tuple[Misbehaving, int]], tmp_path: Path
) -> None:
    _, port = misbehaving(0)
    pacs = Pacs(PacsAddress("PACS", "127.0.0.1", port, "RACOON"), Spool(tmp_path / "spool"))
    assert pacs.find("ACC9") == [FoundStudy("1.2.9", None, "ACC9")]


def test_lost_answer_is_told_and_fetching_again_completes(
    misbehaving: Callable[[int], tuple[Misbehaving, int]], tmp_path: Path
) -> None:
    _, port = misbehaving(1)
    spool = Spool(tmp_path / "spool")
    pacs = Pacs(PacsAddress("PACS", "127.0.0.1", port, "RACOON", timeout_s=5), spool)
    study = FoundStudy(f"{ROOT}.7.9", 3)
    with pytest.raises(PacsUnavailable):
        pacs.retrieve(study)
    assert pacs.retrieve(study).completed == 3
    assert len(spool.waiting(9)) == 4, "the one that came before the abort lies there twice and will be one"
