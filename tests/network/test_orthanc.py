"""Orthanc, the archive many sites have, as sender, as archive to fetch from, and as DICOMweb client of ours."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pydicom
import pytest

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.intake.pull.dicomweb import DicomwebAddress, DicomwebPacs
from racoon.node.intake.pull.model import PullProtocol, Retrieval
from racoon.node.intake.service import spool_folder
from racoon.node.intake.spool import Spool
from racoon.platform.database import Database, create_all
from tests.dicom_objects import ct_series, deidentified, segmentation, to_bytes, uid
from tests.dicomweb_server import serving
from tests.network.test_dicom_intake import Options, Settings, free_port, start
from tests.network.test_pull import configure, examination, pull
from tests.orthanc import Orthanc, running_orthanc
from tests.planted_identifiers import ROOT

pytestmark = pytest.mark.external

ACCESSIONS = ((1, "ACC1", 3), (2, "ACC2", 2), (3, "ACC11", 1))


@pytest.fixture
def program(needs_program: Callable[[str, str], str]) -> str:
    return needs_program("Orthanc", "orthanc")


@pytest.fixture
def node_port() -> int:
    return free_port()


@pytest.fixture
def pacs(program: str, tmp_path: Path, node_port: int) -> Iterator[Orthanc]:
    """An Orthanc with three examinations that knows our listener."""
    ports = free_port(), free_port()
    peers = {"racoon": ("RACOON", node_port)}
    with running_orthanc(
        program, tmp_path / "orthanc", ports, modalities=peers, servers={}, DicomAet="PACS"
    ) as found:
        for number, accession, slices in ACCESSIONS:
            for data in examination(number, accession, slices):
                found.add(data)
        yield found


def spooled(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(spool_folder(folder).glob("*.dcm"))]


def test_what_it_sends_arrives(pacs: Orthanc, tmp_path: Path, node_port: int) -> None:
    listener = start(Settings(tmp_path / "data", Options(node_port)))
    try:
        assert pacs.http.post("/modalities/racoon/echo", json={}).status_code == 200
        answer = pacs.http.post("/modalities/racoon/store", json=pacs.identifiers("studies"))
        assert (answer.status_code, answer.json()["InstancesCount"]) == (200, 6)
        assert answer.json()["FailedInstancesCount"] == 0
    finally:
        listener.process.terminate()
        listener.process.join(10)
    sent = {
        item.SOPInstanceUID: item.PixelData
        for number, accession, slices in ACCESSIONS
        for item in (pydicom.dcmread(io.BytesIO(data)) for data in examination(number, accession, slices))
    }
    assert {item.SOPInstanceUID: item.PixelData for item in spooled(tmp_path / "data")} == sent


@pytest.mark.parametrize("method", ["get", "move"])
def test_examinations_are_fetched(
    pacs: Orthanc, tmp_path: Path, node_port: int, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = configure(tmp_path, pacs.dicom_port, node_port, method)
    pull(capsys, config, "add", "ACC1", "ACC2", "NOBODY")
    if method == "move":
        listener = start(Settings(tmp_path / "data", Options(node_port)))
        try:
            code, summary = pull(capsys, config, "run")
        finally:
            listener.process.terminate()
            listener.process.join(10)
    else:
        code, summary = pull(capsys, config, "run")
    assert (code, summary["fetched"], summary["refused"], summary["objects"]) == (1, 2, 1, 5)
    received = spooled(tmp_path / "data")
    assert sorted(str(item.AccessionNumber) for item in received) == ["ACC1"] * 3 + ["ACC2"] * 2


def test_it_is_fetched_over_dicomweb(pacs: Orthanc, tmp_path: Path) -> None:
    spool = Spool(tmp_path / "spool")
    address = DicomwebAddress(f"http://127.0.0.1:{pacs.http_port}/dicom-web")
    web = DicomwebPacs(address, spool)
    (study,) = web.find("ACC1")
    assert study.imaging_study_uid == f"{ROOT}.7.1"
    assert web.retrieve(study) == Retrieval(3, 0)
    day = spool_day(spool)
    every = web.search(PullProtocol("lung", ("CT",), day, day), day, day)
    assert {item.accession_number for item in every} == {"ACC1", "ACC2", "ACC11"}


def spool_day(spool: Spool) -> date:
    first = spool.waiting(1)[0]
    text = str(pydicom.dcmread(first.path).StudyDate)
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))


def test_it_reads_our_archive_over_dicomweb_and_stores_a_mask(program: str, tmp_path: Path) -> None:
    voxels = np.random.default_rng(9).integers(-1000, 1200, (4, 16, 12)).astype(np.int16)
    sources = ct_series(voxels)
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    archive.store([deidentified(item) for item in sources])
    masks = np.zeros((*voxels.shape, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    with serving(archive, tmp_path) as server:
        login = {"HttpHeaders": {"Authorization": f"Bearer {server.token}"}}
        servers = {
            "racoon": {"Url": f"{server.root}/dicom-web/", **login},
            "derived": {"Url": f"{server.root}/dicom-web/derived/", **login},
        }
        ports = free_port(), free_port()
        with running_orthanc(program, tmp_path / "orthanc", ports, servers=servers) as orthanc:
            found = orthanc.http.post("/dicom-web/servers/racoon/qido", json={"Uri": "/studies"})
            assert found.status_code == 200, found.text
            assert [item["0020000D"]["Value"] for item in found.json()] == [uid(1)]
            wanted = {"Resources": [{"Study": uid(1)}], "Synchronous": True}
            taken = orthanc.http.post("/dicom-web/servers/racoon/retrieve", json=wanted)
            assert taken.status_code == 200, taken.text
            assert len(orthanc.identifiers("instances")) == 4
            for identifier in orthanc.identifiers("instances"):
                item = pydicom.dcmread(io.BytesIO(orthanc.http.get(f"/instances/{identifier}/file").content))
                place = int(item.InstanceNumber) - 1
                assert item.PixelData == sources[place].PixelData
            orthanc.add(to_bytes(segmentation(sources, masks, [("39607008", "SCT", "Lung")])))
            (series,) = [
                identifier
                for identifier in orthanc.identifiers("series")
                if orthanc.http.get(f"/series/{identifier}").json()["MainDicomTags"]["Modality"] == "SEG"
            ]
            stored = orthanc.http.post(
                "/dicom-web/servers/derived/stow", json={"Resources": [series], "Synchronous": True}
            )
            assert stored.status_code == 200, json.dumps(stored.json())
    (mask,) = archive.load_masks(uid(1, 1))
    assert np.array_equal(mask.mask.voxels, masks[..., 0])
    database.dispose()
