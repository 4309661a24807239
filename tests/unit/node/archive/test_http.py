"""DICOMweb: searching by every matching kind, retrieving what was stored, rights and audit on every route."""

from __future__ import annotations

import io
from collections.abc import Iterator

import imagecodecs
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
from racoon.standards.dicom.pixels import decode_frame
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
        ("PatientID=subj*", []),
        ("PatientID=SUBJ-[12]", []),
        ("StudyTime=101500", [1, 2]),
        ("StudyTime=1015", [1, 2]),
        ("StudyTime=101500.000", [1, 2]),
        ("StudyTime=101501", []),
        ("StudyTime=1000-1015", [1, 2]),
        ("StudyTime=1016-", []),
        ("ReferringPhysicianName=*", [1, 2]),
        ("ReferringPhysicianName=Someone", []),
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


def test_sequence_matching_finds_what_was_drawn_on_a_series(client: TestClient) -> None:
    by_series = f"ReferencedSeriesSequence.SeriesInstanceUID={uid(1, 1)}"
    assert found(client, f"series?{by_series}", "SeriesInstanceUID") == [uid(1, 50)]
    assert found(client, f"instances?00081115.0020000E={uid(1, 1)}", "SOPInstanceUID") == [uid(1, 50, 1)]
    code = "SegmentSequence.SegmentedPropertyTypeCodeSequence.CodeValue"
    assert found(client, f"series?{code}=39607008", "SeriesInstanceUID") == [uid(1, 50)]
    assert found(client, f"instances?{code}=3960*", "SOPInstanceUID") == [uid(1, 50, 1)]
    assert found(client, f"series?{code}=10200004", "SeriesInstanceUID") == []
    order = "RequestAttributesSequence.ScheduledProcedureStepID=1"
    assert found(client, f"series?{order}", "SeriesInstanceUID") == []


def test_study_search_includes_what_only_the_objects_say(client: TestClient) -> None:
    assert found(client, "studies?PatientID=SUBJ-1&includefield=PatientAge", "PatientAge") == ["061Y"]
    assert found(client, "studies?PatientID=SUBJ-1&includefield=00101010", "PatientAge") == ["061Y"]
    assert found(client, "studies?PatientID=SUBJ-1", "PatientAge") == [None]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("instances?limit=2", "There are 5 additional results"),
        ("instances?limit=2&offset=4", "There are 1 additional results"),
        ("instances?limit=2&offset=5", ""),
        ("instances?limit=7", ""),
        ("studies?limit=1", "There are 1 additional results"),
        ("series?limit=1&PatientID=SUBJ-1", "There are 1 additional results"),
    ],
)
def test_a_page_says_how_many_results_lie_behind_it(client: TestClient, query: str, text: str) -> None:
    warning = client.get(f"/dicom-web/{query}").headers.get("warning", "")
    assert (text in warning) if text else not warning


def test_any_text_is_written_as_json(own_app: FastAPI, archive: Archive) -> None:
    series = ct_series(VOXELS[:1], study=3, subject="SUBJ-3", SeriesDescription='Übersicht "2/3"\t[ax]')
    archive.store([deidentified(item) for item in series])
    client = signed_in(own_app, "reader")
    assert found(client, f"series?StudyInstanceUID={uid(3)}", "SeriesDescription") == [
        'Übersicht "2/3"\t[ax]'
    ]


def test_one_shape_of_question_is_answered_for_each_value(client: TestClient) -> None:
    for subject, other in (("SUBJ-1", "SUBJ-2"), ("SUBJ-2", "SUBJ-1")):
        query = f"studies?PatientID={subject}&StudyDate=20240101-&includefield=Manufacturer"
        assert found(client, query, "PatientID") == [subject]
        assert found(client, f"studies?PatientID={subject}&PatientID={other}", "PatientID") == []


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
        "StudyDate=20240101-today",
        "RequestAttributesSequence=1",
        "PatientID.StudyID=1",
        "includefield=NoSuchAttribute",
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
    boundary = multipart.boundary_of(answer.headers["content-type"])
    return list(multipart.read(answer.content, boundary))


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


HTJ2K = "1.2.840.10008.1.2.4.201"


def test_images_are_given_in_htj2k_without_loss(client: TestClient) -> None:
    address = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/instances/{uid(1, 1, 1)}"
    answer = client.get(address, headers={"Accept": f'application/dicom; transfer-syntax="{HTJ2K}"'})
    assert answer.headers["content-type"] == f"application/dicom; transfer-syntax={HTJ2K}"
    given, stored = pydicom.dcmread(io.BytesIO(answer.content)), ct_series(VOXELS)[0]
    assert given.file_meta.TransferSyntaxUID == HTJ2K
    # Encoded by OpenJPH, decoded by OpenJPEG: two programs agree about the values.
    assert np.array_equal(decode_frame(given), stored.pixel_array)
    assert (given.BitsStored, given.HighBit) == (16, 15)
    assert given.SOPInstanceUID == stored.SOPInstanceUID

    wanted = f'multipart/related; type="image/jphc"; transfer-syntax={HTJ2K}'
    ((headers, content),) = parts_of(client.get(f"{address}/frames/1", headers={"Accept": wanted}))
    assert headers["content-type"] == f"image/jphc; transfer-syntax={HTJ2K}"
    assert np.array_equal(imagecodecs.jpeg2k_decode(content), stored.pixel_array)


def test_what_cannot_be_transcoded_is_refused_in_words_or_left_out_openly(client: TestClient) -> None:
    mask = f"/dicom-web/studies/{uid(1)}/series/{uid(1, 50)}/instances/{uid(1, 50, 1)}"
    refused = client.get(mask, headers={"Accept": f'application/dicom; transfer-syntax="{HTJ2K}"'})
    assert refused.status_code == 406
    assert "HTJ2K" in refused.json()["detail"]
    wanted = f'multipart/related; type="application/dicom"; transfer-syntax={HTJ2K}'
    answer = client.get(f"/dicom-web/studies/{uid(1)}", headers={"Accept": wanted})
    assert answer.status_code == 206
    assert answer.headers["warning"] == '299 racoon: "1 objects cannot be given in this transfer syntax"'
    assert len(parts_of(answer)) == 4
    frames = client.get(
        f"{mask}/frames/1", headers={"Accept": 'multipart/related; type="image/jp2"; transfer-syntax=*'}
    )
    assert frames.status_code == 406


def test_rendered_series_has_a_picture_of_every_frame(client: TestClient) -> None:
    answer = client.get(
        f"/dicom-web/studies/{uid(1)}/series/{uid(1, 1)}/rendered",
        headers={"Accept": 'multipart/related; type="image/png"'},
    )
    parts = parts_of(answer)
    assert len(parts) == 4
    assert all(headers["content-type"] == "image/png" for headers, _ in parts)
    assert parts[2][0]["content-location"].endswith(f"/instances/{uid(1, 1, 3)}/frames/1/rendered")
    assert Picture.open(io.BytesIO(parts[0][1])).size == (12, 16)


def test_long_values_inside_sequences_have_an_address_that_works(own_app: FastAPI, archive: Archive) -> None:
    client = signed_in(own_app, "reader")
    (item,) = ct_series(VOXELS[:1], study=8)
    table = pydicom.Dataset()
    table.LUTDescriptor, table.ModalityLUTType = [2048, 0, 16], "US"
    table.add_new("LUTData", "OW", np.arange(2048, dtype="<u2").tobytes())
    item.ModalityLUTSequence = [table]
    archive.store([deidentified(item)])
    address = f"/dicom-web/studies/{uid(8)}/series/{uid(8, 1)}/instances/{uid(8, 1, 1)}"
    (document,) = client.get(f"{address}/metadata").json()
    inner = document["00283000"]["Value"][0]["00283006"]["BulkDataURI"]
    assert inner.endswith("/bulkdata/00283000/1/00283006")
    octets = client.get(inner, headers={"Accept": "application/octet-stream", "Range": "bytes=2-3"})
    assert (octets.status_code, octets.content) == (206, b"\x01\x00")
    assert client.get(inner.replace("/1/", "/2/")).status_code == 404
    assert client.get(inner.replace("/1/", "/0/")).status_code == 422


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
    officer, nobody = signed_in(client.app, "officer"), TestClient(client.app)
    names = {
        "study": uid(1),
        "series": uid(1, 1),
        "instance": uid(1, 1, 1),
        "frames": 1,
        "frame": 1,
        "tag": "7FE00010",
    }
    paths = client.app.openapi()["paths"]
    found = [path for path, methods in paths.items() if path.startswith("/dicom-web/") and "get" in methods]
    assert len(found) >= 21
    for path in found:
        address = path.format(**names)
        assert nobody.get(address).status_code == 401, path
        assert officer.get(address).status_code == 403, path
        assert client.get(address).status_code == 200, path
    stored = [path for path, methods in paths.items() if path.startswith("/dicom-web/") and "post" in methods]
    assert len(stored) == 2
    for path in stored:
        assert nobody.post(path.format(**names)).status_code == 401
        assert officer.post(path.format(**names)).status_code == 403


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
