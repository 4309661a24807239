"""Sections across a line: an oblique tube of known size is cut, measured, stored and found again."""

from __future__ import annotations

import base64
import io
import uuid
from collections.abc import Iterator
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.model import SeriesFilter
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

PASSWORD = "a long enough password"
ORIGIN = {"Origin": "http://testserver"}
SHAPE = (40, 60, 60)
START = np.array([0.0, 0.0, 0.0])
DIRECTION = np.array([0.6, 0.0, 0.8])
THROUGH = np.array([21.0, 23.6, 40.0])
WIDE, NARROW = 10.0, 7.0
VESSEL = f"{uid(1, 50, 1)}:1"
AREA = f"/api/reading/series/{uid(1, 1)}"


def places() -> np.ndarray:
    """Millimetres of every voxel: 0.7 by 0.8 by 2 mm."""
    slices, rows, columns = np.indices(SHAPE)
    return np.stack([columns * 0.7, rows * 0.8, slices * 2.0], axis=-1)


def tube() -> np.ndarray:
    """An elliptic tube along ``DIRECTION``: half axes 10 mm across y, 7 mm in the plane of its tilt."""
    off = places() - THROUGH
    along = off @ DIRECTION
    rest = off - along[..., None] * DIRECTION
    aside = rest @ np.cross(DIRECTION, [0.0, 1.0, 0.0])
    inside: np.ndarray = (rest[..., 1] / WIDE) ** 2 + (aside / NARROW) ** 2 <= 1
    return inside


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("sections")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    found = Archive(database, LocalFolder(folder / "objects"))
    inside = tube()
    slices = ct_series(np.where(inside, 300, 0).astype(np.int16), origin_mm=START, slice_spacing_mm=2.0)
    dot = np.zeros(SHAPE, np.bool_)
    dot[20, 30, 30] = True
    masks = np.stack([inside, dot], axis=-1)
    made = segmentation(slices, masks, [("15825003", "SCT", "Aorta"), ("52988006", "SCT", "Lesion")])
    found.store([deidentified(item) for item in [*slices, made]])
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


def cut(client: TestClient, middle: Any, normal: Any, **more: Any) -> dict[str, Any]:
    parameters = {"middle": ",".join(map(str, middle)), "normal": ",".join(map(str, normal)), **more}
    answer = client.get(f"{AREA}/section", params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_the_line_through_a_mask_is_its_axis(client: TestClient) -> None:
    line = client.get(f"{AREA}/centreline", params={"segment": VESSEL}).json()
    points = np.array(line["points_mm"])
    off = points - THROUGH
    aside = np.linalg.norm(off - (off @ DIRECTION)[:, None] * DIRECTION, axis=1)
    middle = slice(len(points) // 3, -len(points) // 3)
    assert aside[middle].max() < 1.0
    assert np.abs(np.array(line["tangents"])[middle] @ DIRECTION).min() > 0.995


def test_a_dot_has_no_line(client: TestClient) -> None:
    answer = client.get(f"{AREA}/centreline", params={"segment": f"{uid(1, 50, 1)}:2"})
    assert answer.json()["code"] == "reading.no_line"


def test_a_line_meets_the_places_that_were_marked(client: TestClient) -> None:
    marked = [[10.0, 20.0, 20.0], [20.0, 24.0, 40.0], [25.0, 24.0, 60.0]]
    line = client.post(f"{AREA}/centreline", json={"points_mm": marked}).json()
    points = np.array(line["points_mm"])
    for place in marked:
        assert np.linalg.norm(points - place, axis=1).min() < 0.6
    assert points[0].tolist() == marked[0]
    straight = client.post(f"{AREA}/centreline", json={"points_mm": [[0, 0, 10], [0, 0, 30]]}).json()
    assert straight["length_mm"] == pytest.approx(20.0)
    assert np.allclose(straight["tangents"], [0, 0, 1])
    twice = client.post(f"{AREA}/centreline", json={"points_mm": [[0, 0, 10], [0, 0, 10]]})
    assert twice.json()["code"] == "reading.no_line"


def test_a_section_shows_the_tube_as_wide_as_it_is(client: TestClient) -> None:
    """An axial slice would show 2 · 7 / 0.8 = 17.5 mm; the section has the true 14 by 20 mm."""
    found = cut(client, THROUGH, DIRECTION, segment=VESSEL, reach=25)
    measured = found["measured"]
    assert measured["largest_mm"] == pytest.approx(2 * WIDE, abs=0.8)
    assert measured["smallest_mm"] == pytest.approx(2 * NARROW, abs=0.8)
    assert measured["area_mm2"] == pytest.approx(np.pi * WIDE * NARROW, rel=0.04)
    ends = np.array(measured["ends_mm"])
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(measured["largest_mm"], abs=1e-9)
    assert np.linalg.norm(ends[2] - ends[3]) == pytest.approx(measured["smallest_mm"], abs=1e-9)
    assert np.abs((ends - THROUGH) @ DIRECTION).max() < 1e-9
    values = np.frombuffer(base64.b64decode(found["values"]), "<f4").reshape(found["samples"], -1)
    bright = (values > 150).sum() * found["step_mm"] ** 2
    assert bright == pytest.approx(np.pi * WIDE * NARROW, rel=0.04)
    assert np.isnan(values).any()  # beyond the edge of the volume


@pytest.mark.parametrize(
    ("middle", "normal", "code"),
    [
        ("1,2,3", "0,0,0", "reading.no_line"),
        ("-900,0,0", "0,0,1", "reading.no_line"),
        ("1,2,.", "0,0,1", "reading.no_line"),
    ],
)
def test_a_plane_that_is_none_is_refused(client: TestClient, middle: str, normal: str, code: str) -> None:
    answer = client.get(f"{AREA}/section", params={"middle": middle, "normal": normal})
    assert answer.json()["code"] == code


def stored(client: TestClient, points: Any, instance: str) -> Any:
    body = {
        "kind": "section",
        "meaning": "SCT:52988006",
        "imaging_study": uid(1),
        "series": uid(1, 1),
        "instance": instance,
        "frame": 1,
        "frame_of_reference": uid(1, 9999),
        "points_mm": [list(point) for point in points],
    }
    return client.put(f"/api/reading/findings/{uuid.uuid4()}?based_on=0", json=body)


def test_diameters_of_a_section_are_a_finding_that_opens_and_is_filed(
    client: TestClient, archive: Archive
) -> None:
    found = cut(client, THROUGH, DIRECTION, segment=VESSEL)
    points = [THROUGH, THROUGH + 10 * DIRECTION, *found["measured"]["ends_mm"]]
    answer = stored(client, points, found["instance"])
    assert answer.status_code == 200, answer.text
    numbers = {number["name"]: number["value"] for number in answer.json()["numbers"]}
    assert numbers["long_axis"] == pytest.approx(found["measured"]["largest_mm"], abs=1e-6)
    assert numbers["short_axis"] == pytest.approx(found["measured"]["smallest_mm"], abs=1e-6)
    leads = client.get(answer.json()["link"], follow_redirects=False)
    assert leads.headers["location"].startswith(
        f"/reading/series/{uid(1, 1)}?instance={uid(1, 1, 21)}&frame=1"
    )
    # Refused: out of its plane, out of the volume, on another slice.
    lifted = [*points[:5], np.array(points[5]) + DIRECTION]
    assert stored(client, lifted, found["instance"]).json()["code"] == "reading.outside_image"
    away = [points[0], points[1], *(np.add(point, (0.0, 100.0, 0.0)) for point in points[2:])]
    assert stored(client, away, found["instance"]).json()["code"] == "reading.outside_image"
    assert stored(client, points, uid(1, 1, 3)).json()["code"] == "reading.outside_image"
    report = f"/api/reading/imaging-studies/{uid(1)}/report"
    filled = client.post(f"{report}/normal?based_on=0").json()
    assert client.post(f"{report}/sign?based_on={filled['revision']}").status_code == 200
    (row,) = archive.series(SeriesFilter(modality="SR"))
    (instance,) = archive.instances(row.facts.series_uid)
    document = hd.sr.srread(io.BytesIO(archive.read_object(instance)))
    assert document.SOPClassUID == pydicom.uid.Comprehensive3DSRStorage
    group = document.content.get_image_measurement_groups(
        tracking_uid=f"2.25.{uuid.UUID(answer.json()['id']).int}"
    )[0]
    lines = {item.name.meaning: item for item in group.get_measurements()}
    coordinates = lines["Long axis"][0].ContentSequence[0]
    assert coordinates.ValueType == "SCOORD3D"
    ends = np.array(coordinates.GraphicData).reshape(-1, 3)
    assert np.linalg.norm(ends[0] - ends[1]) == pytest.approx(numbers["long_axis"], abs=1e-4)
