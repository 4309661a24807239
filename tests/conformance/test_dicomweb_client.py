"""A foreign client (dicomweb-client) searches, reads and stores over a real connection."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.database import Database, create_all
from tests.dicom_objects import ct_series, deidentified, segmentation, to_bytes, uid
from tests.dicomweb_server import serving

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (4, 16, 12)).astype(np.int16)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    second = ct_series(VOXELS[:2], study=2, subject="SUBJ-2")
    archive.store([deidentified(item) for item in [*ct_series(VOXELS), *second]])
    yield archive
    database.dispose()


@pytest.fixture(scope="module")
def client(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DICOMwebClient]:
    with serving(archive, Path(tmp_path_factory.mktemp("keys"))) as server:
        session = create_session()
        session.headers["Authorization"] = f"Bearer {server.token}"
        session.trust_env = False
        yield DICOMwebClient(f"{server.root}/dicom-web", session=session, stow_url_prefix="derived")
        session.close()


def test_it_finds_studies_series_and_instances(client: DICOMwebClient) -> None:
    studies = client.search_for_studies(search_filters={"PatientID": "SUBJ-*"}, fields=["PatientAge"])
    found = [pydicom.Dataset.from_json(item) for item in studies]
    assert [(item.StudyInstanceUID, item.PatientAge) for item in found] == [
        (uid(1), "061Y"),
        (uid(2), "061Y"),
    ]
    series = client.search_for_series(uid(1), search_filters={"Modality": "CT"})
    assert pydicom.Dataset.from_json(series[0]).SeriesInstanceUID == uid(1, 1)
    every_page = client.search_for_instances(uid(1), limit=1, get_remaining=True)
    assert len(every_page) == 4


def test_it_reads_objects_frames_metadata_and_pictures(client: DICOMwebClient) -> None:
    sources = ct_series(VOXELS)
    objects = client.retrieve_series(uid(1), uid(1, 1))
    assert [item.PixelData for item in objects] == [item.PixelData for item in sources]
    one = client.retrieve_instance(uid(1), uid(1, 1), uid(1, 1, 2))
    assert (one.SOPInstanceUID, one.PixelData) == (uid(1, 1, 2), sources[1].PixelData)
    (frame,) = client.retrieve_instance_frames(uid(1), uid(1, 1), uid(1, 1, 2), [1])
    assert frame == sources[1].PixelData
    metadata = client.retrieve_series_metadata(uid(1), uid(1, 1))
    assert [item["00080018"]["Value"][0] for item in metadata] == [uid(1, 1, n) for n in range(1, 5)]
    (pixels,) = client.retrieve_bulkdata(metadata[0]["7FE00010"]["BulkDataURI"])
    assert pixels == sources[0].PixelData
    picture = client.retrieve_instance_rendered(uid(1), uid(1, 1), uid(1, 1, 1), media_types=("image/png",))
    assert picture.startswith(b"\x89PNG")


def test_it_stores_a_mask_and_reads_it_back(client: DICOMwebClient, archive: Archive) -> None:
    sources = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    item = segmentation(sources, masks, [("39607008", "SCT", "Lung")])
    answer = client.store_instances([pydicom.dcmread(io.BytesIO(to_bytes(item)))])
    assert len(answer.ReferencedSOPSequence) == 1
    stored = client.retrieve_instance(uid(1), uid(1, 50), uid(1, 50, 1))
    assert np.array_equal(stored.pixel_array, item.pixel_array)
    (found,) = archive.load_masks(uid(1, 1))
    assert np.array_equal(found.mask.voxels, masks[..., 0])


def test_it_is_refused_what_is_no_derived_object(client: DICOMwebClient) -> None:
    with pytest.raises(OSError, match="409"):
        client.store_instances([ct_series(VOXELS, study=3)[0]])
