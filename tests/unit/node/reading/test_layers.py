"""Uptake in SUV and images laid over images: right values at right places, whatever the grids."""

from __future__ import annotations

import io
import json
import struct
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from highdicom.sr.coding import CodedConcept
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.layers import Layers
from racoon.node.reading.service import Reading
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.science.geometry import sample_at
from racoon.science.image import Image
from racoon.standards.files.images import load_image
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, pet_series, uid

PASSWORD = "a long enough password"
ORIGIN = {"Origin": "http://testserver"}
TILTED = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)
FACTOR = 70_000.0 / (350e6 * 0.5 ** (3600.0 / 6586.2))
"""From Bq/mL to SUV by body weight, by hand: weight in g over what is left of the dose."""


def becquerel(shape: tuple[int, int, int]) -> np.ndarray:
    """Uptake that rises evenly along every axis, so that every interpolated value is known."""
    z, y, x = np.indices(shape)
    return (1000 + 400 * z + 60 * y + 20 * x).astype(np.int16)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("layers")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    found = Archive(database, LocalFolder(folder / "objects"))
    below = ct_series(np.zeros((5, 30, 24), np.int16), orientation=TILTED, origin_mm=(0.0, 0.0, 0.0))
    over = pet_series(
        becquerel((6, 12, 10)), spacing_mm=(4.0, 3.0), slice_spacing_mm=3.0, origin_mm=(-6.0, -3.0, -2.0)
    )
    elsewhere = pet_series(becquerel((3, 4, 5)), series=8, FrameOfReferenceUID=uid(1, 4711))
    unknown = pet_series(becquerel((3, 4, 5)), series=9, FrameOfReferenceUID=uid(1, 4712))
    for item in unknown:
        del item.PatientWeight
    found.store([deidentified(item) for item in [*below, *over, *elsewhere, *unknown]])
    yield found
    database.dispose()


@pytest.fixture(scope="module")
def client(archive: Archive) -> Iterator[TestClient]:
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", archive.database)
    accounts.create(archive.database, "reader", PASSWORD, [Role.READER])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(app, site=Site("ALPHA", "Node ALPHA"))
    with TestClient(app, headers={"Accept": "application/json", "Accept-Language": "en", **ORIGIN}) as found:
        found.post("/login", data={"username": "reader", "password": PASSWORD})
        yield found


def test_only_what_lies_in_the_frame_of_reference_is_laid_over(client: TestClient) -> None:
    found = client.get(f"/api/reading/series/{uid(1, 1)}/layers").json()
    assert [(layer["series"], layer["unit"], layer["highest"]) for layer in found["layers"]] == [
        (uid(1, 7), "g/mL", 10.0)
    ]
    assert client.get(f"/api/reading/series/{uid(1, 7)}/layers").json() == {
        "layers": [],
        "below": uid(1, 1),
    }
    assert client.get(f"/reading/series/{uid(1, 1)}/layers/{uid(1, 8)}/0").status_code == 404
    assert client.get(f"/reading/series/{uid(1, 1)}/layers/{uid(1, 7)}/99").status_code == 404


def test_values_on_an_oblique_slice_are_where_they_are_in_the_patient(client: TestClient) -> None:
    answer = client.get(f"/reading/series/{uid(1, 1)}/layers/{uid(1, 7)}/2")
    rows, columns = struct.unpack("<II", answer.content[:8])
    values = np.frombuffer(answer.content[8:], "<f4").reshape(rows, columns)
    assert (rows, columns) == (8, 6)  # 24 mm and 16.8 mm in cells of about 3 mm
    along, down = np.array(TILTED[:3]), np.array(TILTED[3:])
    middle = np.array([0.0, 0.0, 5.0])
    seen = 0
    for row in range(rows):
        for column in range(columns):
            place = middle + ((row + 0.5) * 30 / 8 - 0.5) * 0.8 * down
            place = place + ((column + 0.5) * 24 / 6 - 0.5) * 0.7 * along
            x, y, z = (place - (-6.0, -3.0, -2.0)) / (3.0, 4.0, 3.0)
            if not (0 <= z <= 5 and 0 <= y <= 11 and 0 <= x <= 9):
                continue
            seen += 1
            assert values[row, column] == pytest.approx((1000 + 400 * z + 60 * y + 20 * x) * FACTOR, rel=2e-3)
    assert seen > 10
    assert np.isnan(values).any()


def test_the_volume_for_planes_has_the_values_of_the_slices(client: TestClient) -> None:
    root = f"/reading/series/{uid(1, 1)}/layers/{uid(1, 7)}"
    answer = client.get(f"{root}/volume").content
    shape = struct.unpack("<III", answer[:12])
    inverse = np.frombuffer(answer[16:112], "<f8").reshape(3, 4)
    part = np.frombuffer(answer[112:], "<f4").reshape(shape)
    # Five slices from 0 to 10 mm with half a slice above and below, in layers of 3 mm that begin at -2 mm.
    assert shape[0] == 6
    whole = np.vstack([inverse, [0, 0, 0, 1]])
    for index in range(5):
        content = client.get(f"{root}/{index}").content
        rows, columns = struct.unpack("<II", content[:8])
        wanted = np.frombuffer(content[8:], "<f4").reshape(rows, columns)
        row = ((np.arange(rows) + 0.5) * 30 / rows - 0.5) * 0.8
        column = ((np.arange(columns) + 0.5) * 24 / columns - 0.5) * 0.7
        middle = np.array([0.0, 0.0, 2.5 * index])
        places = (
            middle + row[:, None, None] * np.array(TILTED[3:]) + column[None, :, None] * np.array(TILTED[:3])
        )
        found = sample_at(Image(part, np.linalg.inv(whole)), places)
        assert np.allclose(found, wanted, atol=1e-5, equal_nan=True)
    assert client.get(f"/reading/series/{uid(1, 1)}/layers/{uid(1, 8)}/volume").status_code == 404


def probe(client: TestClient, series: int) -> list[dict[str, Any]]:
    """Measure pixel (2, 3) of the second slice."""
    origin, step = (-20.0, -30.0, 100.0), (0.7, 0.8, 2.5)
    if series == 7:
        origin, step = (-6.0, -3.0, -2.0), (3.0, 4.0, 3.0)
    body = {
        "kind": "probe",
        "meaning": "SCT:52988006",
        "imaging_study": uid(1),
        "series": uid(1, series),
        "instance": uid(1, series, 2),
        "frame": 1,
        "frame_of_reference": uid(1, 9999) if series == 7 else uid(1, 4712),
        "points_mm": [[origin[0] + 3 * step[0], origin[1] + 2 * step[1], origin[2] + step[2]]],
    }
    answer = client.put(f"/api/reading/findings/{uuid.uuid4()}?based_on=0", json=body)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["numbers"]
    return found


def test_a_point_on_a_pet_is_in_suv(client: TestClient) -> None:
    (number,) = probe(client, 7)
    assert number["unit"] == "g/mL"
    assert number["value"] == pytest.approx((1000 + 400 + 120 + 60) * FACTOR, rel=1e-9)


def test_a_pet_that_does_not_say_its_dose_or_weight_stays_in_what_it_has(client: TestClient) -> None:
    (number,) = probe(client, 9)
    assert (number["unit"], number["value"]) == ("[arb'U]", 1580.0)
    view = client.get(f"/api/reading/series/{uid(1, 9)}").json()
    assert view["scale"][:2] == [1.0, ""]
    assert "body weight" in view["scale"][2]


def test_windows_of_a_pet_are_in_suv_and_dark_is_high(client: TestClient) -> None:
    view = client.get(f"/api/reading/series/{uid(1, 7)}").json()
    assert view["presets"][0] == ["SUV 0–5", 2.5, 5.0]
    assert view["scale"] == [pytest.approx(FACTOR), "SUV", ""]
    assert view["hanging"] == {
        "window": "SUV 0–5",
        "layout": "slices",
        "prior": False,
        "inverted": True,
        "fused": False,
    }


def test_a_region_grows_between_suv_values(client: TestClient) -> None:
    address = f"/api/reading/series/{uid(1, 7)}/drawing"
    made = client.post(f"{address}/segments?based_on=0&label=SCT:27925004").json()
    low, high = 2600 * FACTOR, 3700 * FACTOR
    task = {"operation": "grow", "segment": 1, "seed": [5, 5, 5], "range": [low, high], "amount": 80}
    grown = client.post(f"{address}/work?based_on={made['revision']}", json=task).json()
    values = becquerel((6, 12, 10)).astype(float)
    wanted = (values >= 2600) & (values <= 3700)
    assert sum(sum(item["runs"][1::2]) for item in grown["slices"]) == wanted.sum()


def test_suv_of_a_real_pet_equals_the_published_one(shared_data: Path, tmp_path: Path) -> None:
    files = shared_data / "sarcoma_multimodal" / "dicom" / "STS_025_dicom_CT_PET_MR_RTSTRUCT.zip"
    published = load_image(shared_data / "sarcoma_pet" / "STS_025_PET_image.nii.gz").image
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    with zipfile.ZipFile(files) as packed:
        names = [name for name in packed.namelist() if "/PET/image/" in name or "/CT/image/" in name]
        objects = [pydicom.dcmread(io.BytesIO(packed.read(name))) for name in names if name.endswith(".dcm")]
    archive.store([deidentified(item) for item in objects])
    series = {str(item.Modality): str(item.SeriesInstanceUID) for item in objects}
    layers = Layers(archive)
    (layer,) = layers.over(series["CT"])
    assert (layer.series_uid, layer.unit, layers.below(series["PT"])) == (series["PT"], "g/mL", series["CT"])
    pet = archive.load_volume(series["PT"]).image
    inverse = np.linalg.inv(published.affine) @ pet.affine
    index = np.indices(pet.shape).reshape(3, -1)
    other = np.rint(inverse[:3, :3] @ index + inverse[:3, 3:]).astype(int)
    inside = ((other >= 0) & (other < np.array(published.voxels.shape)[:, None])).all(axis=0)
    assert inside.mean() > 0.9
    ours = pet.voxels[tuple(index[:, inside])]
    assert np.abs(ours - published.voxels[tuple(other[:, inside])]).max() < 1e-3
    database.dispose()


def test_a_parametric_map_lies_over_its_image(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    slices = ct_series(np.zeros((4, 12, 10), np.int16))
    values = np.arange(4 * 12 * 10, dtype=np.float32).reshape(4, 12, 10) / 100
    made = hd.pm.ParametricMap(
        source_images=slices,
        pixel_array=values,
        series_instance_uid=uid(1, 60),
        series_number=60,
        sop_instance_uid=uid(1, 60, 1),
        instance_number=1,
        manufacturer="Elsewhere Works",
        manufacturer_model_name="Mapper",
        software_versions="1",
        device_serial_number="1",
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[
            hd.pm.RealWorldValueMapping(
                lut_label="1",
                lut_explanation="perfusion",
                unit=CodedConcept("ml/min", "UCUM", "ml/min"),
                value_range=(0.0, 5.0),
                slope=1.0,
                intercept=0.0,
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=2.5, window_width=5.0)],
    )
    archive.store([deidentified(item) for item in [*slices, made]])
    layers = Layers(archive)
    (layer,) = layers.over(uid(1, 1))
    assert (layer.series_uid, layer.name, layer.unit) == (uid(1, 60), "perfusion", "ml/min")
    assert layer.highest == pytest.approx(np.percentile(values, 99.5), abs=1e-3)
    for index in range(4):
        assert np.allclose(layers.sample(uid(1, 1), uid(1, 60), index), values[index], atol=1e-5)
    database.dispose()


def test_contours_are_shown_on_their_slices(shared_data: Path, tmp_path: Path) -> None:
    """Volumes of real structure sets, against those of another rasteriser: 1 % on CT, 2 % on PET's large voxels."""
    folder = shared_data / "sarcoma_multimodal" / "dicom"
    expected = json.loads((folder / "expected_rtstruct.json").read_text())
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    with zipfile.ZipFile(folder / "STS_025_dicom_CT_PET_MR_RTSTRUCT.zip") as packed:
        names = [name for name in packed.namelist() if "MR_T1" not in name and name.endswith(".dcm")]
        objects = [pydicom.dcmread(io.BytesIO(packed.read(name)), force=True) for name in names]
    archive.store([deidentified(item) for item in objects])
    reading = Reading(archive)
    for modality, path, tolerance in (("CT", "CT", 0.01), ("PT", "PET", 0.02)):
        series = next(str(item.SeriesInstanceUID) for item in objects if item.Modality == modality)
        view = reading.view(series)
        assert [entry.algorithm for entry in view.segments] == ["RTSTRUCT"]
        key = view.segments[0].key
        pixels = sum(sum(runs[key][1::2]) for runs in reading.overlays(series).values())
        volume = pixels * archive.load_volume(series).image.voxel_volume_ml
        assert volume == pytest.approx(expected[f"STS_025/{path}"]["nifti_mask_ml"], rel=tolerance)
        assert reading.largest_slice(series, key) is not None
    database.dispose()
