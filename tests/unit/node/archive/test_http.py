"""DICOMweb: searching by every matching kind, retrieving what was stored, rights and audit on every route."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pydicom
import pytest
from fastapi import FastAPI
from PIL import Image as Picture
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.standards.dicomweb import multipart
from tests.dicom_objects import ct_series, deidentified, segmentation, to_bytes, uid

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (4, 16, 12)).astype(np.int16)
PASSWORD = "a long enough password"


def make_app(database: Database, archive: Archive) -> FastAPI:
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    accounts.create(database, "officer", PASSWORD, [Role.DPO])
    app.state.archive = archive
    app.include_router(router)
    first = ct_series(VOXELS)
    second = ct_series(VOXELS[:2], study=2, subject="SUBJ-2", SeriesDescription="Abdomen 100%_a")
    for item in second:
        item.StudyDate, item.BodyPartExamined = "20240305", "ABDOMEN"
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    seg = segmentation(first, masks, [("39607008", "SCT", "Lung")])
    archive.store([deidentified(item) for item in [*first, *second, seg]])
    return app


def signed_in(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app)
    answer = client.post("/api/session", json={"username": name, "password": PASSWORD})
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One archive for all tests that only read."""
    folder = tmp_path_factory.mktemp("archive")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    app = make_app(database, Archive(database, LocalFolder(folder / "objects")))
    with signed_in(app, "reader") as client:
        yield client
    database.dispose()


@pytest.fixture
def own_app(database: Database, archive: Archive) -> FastAPI:
    """An archive of its own for a test that changes something."""
    return make_app(database, archive)


def found(client: TestClient, address: str, keyword: str) -> list[object]:
    answer = client.get(f"/dicom-web/{address}")
    assert answer.status_code in (200, 204), answer.text
    if answer.status_code == 204:
        return []
    assert answer.headers["content-type"] == "application/dicom+json"
    documents = [pydicom.Dataset.from_json(item) for item in answer.json()]
    return [document.get(keyword) for document in documents]


@pytest.mark.parametrize(
    ("query", "studies"),
    [
        ("", [1, 2]),
        ("PatientID=SUBJ-1", [1]),
        ("00100020=SUBJ-2", [2]),
        ("PatientID=subj-1", []),
        ("PatientID=SUBJ*", [1, 2]),
        ("PatientID=*-?", [1, 2]),
        ("PatientID=SUBJ-%25", []),
        ("PatientID=", [1, 2]),
        ("StudyDate=20240131", [1]),
        ("StudyDate=20240131-", [1, 2]),
        ("StudyDate=-20240131", [1]),
        ("StudyDate=20240201-20240401", [2]),
        (f"StudyInstanceUID={uid(1)},{uid(2)},{uid(3)}", [1, 2]),
        (f"StudyInstanceUID={uid(1)}%5C{uid(3)}", [1]),
        ("ModalitiesInStudy=SEG", [1]),
        ("ModalitiesInStudy=MR", []),
        ("PatientID=SUBJ*&StudyDate=20240305", [2]),
        ("limit=1", [1]),
        ("limit=1&offset=1", [2]),
        ("limit=0", []),
        ("NumberOfStudyRelatedInstances=2", [2]),
        ("NumberOfStudyRelatedInstances=two", []),
    ],
)
def test_study_search_matches_as_the_standard_says(
    client: TestClient, query: str, studies: list[int]
) -> None:
    assert found(client, f"studies?{query}", "StudyInstanceUID") == [uid(number) for number in studies]


def test_study_has_counts_modalities_and_address(client: TestClient) -> None:
    (document,) = client.get("/dicom-web/studies?PatientID=SUBJ-1").json()
    study = pydicom.Dataset.from_json(document)
    assert (study.NumberOfStudyRelatedSeries, study.NumberOfStudyRelatedInstances) == (2, 5)
    assert list(study.ModalitiesInStudy) == ["CT", "SEG"]
    assert study.RetrieveURL == f"http://testserver/dicom-web/studies/{uid(1)}"
    assert study.PatientName == "SUBJ-1^"


def test_series_and_instance_search(client: TestClient) -> None:
    assert found(client, "series?Modality=SEG", "SeriesInstanceUID") == [uid(1, 50)]
    assert found(client, f"studies/{uid(1)}/series", "SeriesInstanceUID") == [uid(1, 1), uid(1, 50)]
    assert found(client, "series?SeriesDescription=*100%25_a", "SeriesInstanceUID") == [uid(2, 1)]
    address = f"studies/{uid(1)}/series/{uid(1, 1)}/instances"
    assert found(client, address, "InstanceNumber") == [1, 2, 3, 4]
    assert found(client, f"{address}?InstanceNumber=3", "SOPInstanceUID") == [uid(1, 1, 3)]
    assert found(client, "instances?limit=5&BodyPartExamined=ABDOMEN", "InstanceNumber") == [1, 2]
    assert found(client, f"studies/{uid(2)}/instances", "InstanceNumber") == [1, 2]


def test_include_field_brings_what_is_no_column(client: TestClient) -> None:
    assert found(client, "series?Modality=CT&includefield=KVP,Manufacturer", "KVP") == [120, 120]
    assert found(client, "series?Modality=CT", "KVP") == [None, None]
    address = f"studies/{uid(1)}/series/{uid(1, 1)}/instances?includefield=all&limit=1"
    assert found(client, address, "RescaleIntercept") == [-1024]


def test_fuzzy_matching_is_declined_openly(client: TestClient) -> None:
    answer = client.get("/dicom-web/studies?PatientName=SUBJ-1*&fuzzymatching=true")
    assert answer.headers["warning"].startswith("299 ")
    assert len(answer.json()) == 1


@pytest.mark.parametrize(
    "query",
    [
        "NoSuchAttribute=1",
        "limit=-1",
        "limit=x",
        "KVP=120",
        "StudyDate=1-2-3",
        "PatientID=" + "x" * 300,
        "00000000=1",
    ],
)
def test_query_that_cannot_be_answered_is_a_problem(client: TestClient, query: str) -> None:
    answer = client.get(f"/dicom-web/studies?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")


def test_metadata_is_the_object_without_its_pixels(client: TestClient) -> None:
    answer = client.get(f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/metadata")
    documents = answer.json()
    assert len(documents) == 4
    first = documents[0]
    assert first["7FE00010"]["BulkDataURI"].startswith("http://testserver/dicom-web/studies/")
    assert "Value" not in first["7FE00010"]
    assert first["00280010"] == {"vr": "US", "Value": [16]}
    assert len(client.get(f"/dicom-web/studies/{uid(1)}/metadata").json()) == 5
    one = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 50)}/instances/{uid(1, 50, 1)}/metadata"
    assert "52009230" in client.get(one).json()[0]


def parts_of(answer: object) -> list[tuple[dict[str, str], bytes]]:
    boundary = multipart.boundary_of(answer.headers["content-type"])  # type: ignore[attr-defined]
    return list(multipart.read(answer.content, boundary))  # type: ignore[attr-defined]


def test_objects_come_back_as_they_were_stored(client: TestClient) -> None:
    slices = [to_bytes(item) for item in ct_series(VOXELS)]
    series = client.get(f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}")
    assert [content for _, content in parts_of(series)] == slices
    assert len(parts_of(client.get(f"/dicom-web/studies/{uid(1)}"))) == 5
    single = client.get(
        f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 2)}",
        headers={"Accept": "application/dicom"},
    )
    assert single.content == slices[1]
    assert single.headers["content-type"].startswith("application/dicom;")


def test_frames_come_as_stored_or_uncompressed(own_app: FastAPI, archive: Archive) -> None:
    client = signed_in(own_app, "reader")
    (item,) = ct_series(VOXELS[:1], study=7)
    stored = item.PixelData
    item.compress(RLELossless, generate_instance_uid=False)
    archive.store([deidentified(item)])
    address = f"/dicom-web/studies/{uid(7)}/series/{uid(7, 1)}/instances/{uid(7, 1, 1)}"

    wanted = 'multipart/related; type="application/octet-stream"'
    ((headers, content),) = parts_of(client.get(f"{address}/frames/1", headers={"Accept": wanted}))
    assert content == stored
    assert headers["content-type"].endswith("1.2.840.10008.1.2.1")

    ((headers, content),) = parts_of(
        client.get(f"{address}/frames/1", headers={"Accept": f"{wanted}; transfer-syntax=*"})
    )
    assert headers["content-type"] == f"image/dicom-rle; transfer-syntax={RLELossless}"
    assert encapsulate([content]) == item.PixelData

    explicit = 'application/dicom; transfer-syntax="1.2.840.10008.1.2.1"'
    rewritten = pydicom.dcmread(io.BytesIO(client.get(address, headers={"Accept": explicit}).content))
    assert rewritten.PixelData == stored
    refused = client.get(
        address, headers={"Accept": 'application/dicom; transfer-syntax="1.2.840.10008.1.2.4.90"'}
    )
    assert refused.status_code == 406
    assert client.get(f"{address}/frames/2").status_code == 404
    assert client.get(f"{address}/frames/0").status_code == 404
    assert client.get(f"{address}/frames/x").status_code == 400


def test_bulk_data_address_of_the_metadata_works(client: TestClient) -> None:
    (document,) = client.get(
        f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 1)}/metadata"
    ).json()
    answer = client.get(document["7FE00010"]["BulkDataURI"])
    ((_, content),) = parts_of(answer)
    assert content == ct_series(VOXELS)[0].PixelData


def test_rendered_picture_applies_the_window(client: TestClient) -> None:
    address = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 1)}/rendered"
    answer = client.get(f"{address}?window=0,200,linear", headers={"Accept": "image/png"})
    picture = np.asarray(Picture.open(io.BytesIO(answer.content)))
    expected = np.clip((VOXELS[0] - (-0.5)) / 199 + 0.5, 0, 1) * 255
    assert np.abs(picture.astype(float) - expected).max() <= 0.51
    assert client.get(address).headers["content-type"] == "image/jpeg"
    assert client.get(f"{address}?window=nonsense").status_code == 400
    assert client.get(address, headers={"Accept": "text/plain"}).status_code == 406
    frame = address.replace("/rendered", "/frames/1/rendered")
    small = client.get(f"{frame}?viewport=8,8", headers={"Accept": "image/png"})
    assert max(Picture.open(io.BytesIO(small.content)).size) == 8


@pytest.mark.parametrize(
    "address",
    [
        f"studies/{uid(1)}/thumbnail",
        f"studies/{uid(1)}/series/{uid(1, 1)}/thumbnail",
        f"studies/{uid(1)}/series/{uid(1, 50)}/thumbnail",
        f"studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 1)}/thumbnail",
    ],
)
def test_thumbnails_are_pictures(client: TestClient, address: str) -> None:
    answer = client.get(f"/dicom-web/{address}")
    assert answer.status_code == 200
    assert Picture.open(io.BytesIO(answer.content)).format == "JPEG"


def test_what_is_not_there_and_what_does_not_fit_together_is_not_found(client: TestClient) -> None:
    for address in (
        f"studies/{uid(9)}",
        f"studies/{uid(2)}/series/{uid(1, 1)}",
        f"studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(2, 1, 1)}",
        f"studies/{uid(1)}/series/{uid(9)}/metadata",
    ):
        assert client.get(f"/dicom-web/{address}").status_code == 404
    assert client.get("/dicom-web/studies/..%2f..%2fetc").status_code in (404, 422)


def test_every_route_asks_for_rights(client: TestClient) -> None:
    officer, nobody = signed_in(client.app, "officer"), TestClient(client.app)  # type: ignore[arg-type]
    names = {
        "study": uid(1),
        "series": uid(1, 1),
        "instance": uid(1, 1, 1),
        "frames": 1,
        "frame": 1,
        "tag": "7FE00010",
    }
    paths = [path for path in client.app.openapi()["paths"] if path.startswith("/dicom-web/")]  # type: ignore[attr-defined]
    assert len(paths) >= 19
    for path in paths:
        address = path.format(**names)
        assert nobody.get(address).status_code == 401, path
        assert officer.get(address).status_code == 403, path
        assert client.get(address).status_code == 200, path


def test_image_reads_are_audited_once_for_a_series(own_app: FastAPI, database: Database) -> None:
    client = signed_in(own_app, "reader")
    address = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}"
    client.get(f"{address}/metadata")
    for number in (1, 2, 3):
        client.get(f"{address}/instances/{uid(1, 1, number)}/rendered")
    client.get(f"/dicom-web/studies/{uid(2)}")
    with database.connect() as connection:
        entries = [
            entry for entry in AuditLog("node").entries(connection, 50, None) if entry.action == "image.read"
        ]
    assert sorted((entry.actor, entry.target) for entry in entries) == [
        ("reader", f"series/{uid(1, 1)}"),
        ("reader", f"series/{uid(2, 1)}"),
    ]


def test_blocked_subject_cannot_be_found(database: Database, objects: LocalFolder, own_app: FastAPI) -> None:
    client = signed_in(own_app, "reader")
    own_app.state.archive = Archive(database, objects, is_readable=lambda pseudonym: pseudonym != "SUBJ-1")
    assert found(client, "studies", "PatientID") == ["SUBJ-2"]
    assert client.get(f"/dicom-web/studies/{uid(1)}/metadata").status_code == 404
    assert client.get(f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/thumbnail").status_code == 404
