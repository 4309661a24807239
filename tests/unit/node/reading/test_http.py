"""The viewer page at its stable address: right slice, right segment, rights and audit."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

PASSWORD = "a long enough password"
LUNG, LIVER = ("39607008", "SCT", "Lung"), ("10200004", "SCT", "Liver")
SEGMENT = f"{uid(1, 50, 1)}:2"


def two_masks() -> np.ndarray:
    masks = np.zeros((6, 10, 8, 2), np.bool_)
    masks[1:4, 2:5, 1:4, 0] = True
    masks[4, 1:9, 1:7, 1] = True
    masks[5, 1:3, 1:3, 1] = True
    return masks


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("reading")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    slices = ct_series(np.zeros((6, 10, 8), np.int16), SeriesDescription="</script><script>alert(1)</script>")
    seg = segmentation(slices, two_masks(), [LUNG, LIVER])
    gap = ct_series(np.zeros((6, 10, 8), np.int16), study=2, subject="SUBJ-2")
    flat = ct_series(np.zeros((2, 10, 8), np.int16), study=3, subject="SUBJ-3")
    for item in flat:
        del item.ImagePositionPatient
    archive.store([deidentified(item) for item in [*slices, seg, *gap[:3], *gap[4:], *flat]])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    accounts.create(database, "officer", PASSWORD, [Role.DPO])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(
        app,
        site=Site("ALPHA", "Node ALPHA"),
        navigation=[NavigationItem("/archive", "Archive", "archive.read")],
    )
    with TestClient(app, headers={"Accept": "text/html", "Accept-Language": "en"}) as found:
        found.post(
            "/login",
            data={"username": "reader", "password": PASSWORD},
            headers={"Origin": "http://testserver"},
        )
        yield found
    database.dispose()


def page_data(client: TestClient, address: str) -> dict[str, Any]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.text
    (text,) = re.findall(
        r'<script type="application/json" id="series-data">(.*?)</script>', answer.text, re.DOTALL
    )
    found: dict[str, Any] = json.loads(text)
    return found


def test_page_lists_the_planes_in_stack_order(client: TestClient) -> None:
    data = page_data(client, f"/reading/series/{uid(1, 1)}")
    assert [plane[0] for plane in data["planes"]] == [uid(1, 1, number) for number in range(1, 7)]
    assert data["pixelSpacing"] == [0.8, 0.7]
    assert data["segments"][1][0] == SEGMENT
    assert (data["start"], data["segment"]) == (3, "")


def test_address_leads_to_the_instance_and_the_segment(client: TestClient) -> None:
    address = f"/reading/series/{uid(1, 1)}?instance={uid(1, 1, 2)}&frame=1&segment={uid(1, 50, 1)}:1"
    data = page_data(client, address)
    assert (data["start"], data["segment"]) == (1, f"{uid(1, 50, 1)}:1")


def test_segment_alone_leads_to_its_largest_slice(client: TestClient) -> None:
    assert page_data(client, f"/reading/series/{uid(1, 1)}?segment={SEGMENT}")["start"] == 4
    parts = "segmentation={}&segment={}".format(*SEGMENT.split(":"))
    assert page_data(client, f"/reading/series/{uid(1, 1)}?{parts}")["segment"] == SEGMENT


def test_unknown_instance_and_segment_are_said(client: TestClient) -> None:
    answer = client.get(f"/reading/series/{uid(1, 1)}?instance=1.2.3&segment=1.2.3:9")
    assert "is not part of this series" in answer.text
    assert "is not in this archive" in answer.text


def test_overlay_is_the_mask_as_runs(client: TestClient) -> None:
    masks = two_masks()
    for index in range(6):
        runs = client.get(f"/reading/series/{uid(1, 1)}/overlays/{index}").json()
        for number in (1, 2):
            flat = np.zeros(80, np.bool_)
            found = runs.get(f"{uid(1, 50, 1)}:{number}", [])
            for start, length in zip(found[::2], found[1::2], strict=True):
                flat[start : start + length] = True
            np.testing.assert_array_equal(flat.reshape(10, 8), masks[index, ..., number - 1])


def test_irregular_series_is_shown_with_its_finding(client: TestClient) -> None:
    answer = client.get(f"/reading/series/{uid(2, 1)}")
    assert "Missing slices" in answer.text
    assert client.get(f"/reading/series/{uid(2, 1)}/overlays/0").json() == {}


def test_series_without_geometry_is_shown_in_its_own_order(client: TestClient) -> None:
    data = page_data(client, f"/reading/series/{uid(3, 1)}")
    assert [plane[0] for plane in data["planes"]] == [uid(3, 1, 1), uid(3, 1, 2)]
    assert data["pixelSpacing"] is None


def test_description_cannot_break_out_of_the_page(client: TestClient) -> None:
    assert "<script>alert" not in client.get(f"/reading/series/{uid(1, 1)}").text
    assert "<script>alert" not in client.get("/archive").text


def test_page_carries_the_research_label_and_is_german_on_request(client: TestClient) -> None:
    address = f"/reading/series/{uid(1, 1)}"
    assert "For research use only" in client.get(address).text
    assert "Schichtabstand" in client.get(f"{address}?plain=true", headers={"Accept-Language": "de"}).text


def test_archive_page_lists_filters_and_links(client: TestClient) -> None:
    text = client.get("/archive").text
    assert [f"/reading/series/{uid(n, 1)}" in text for n in (1, 2, 3)] == [True] * 3
    only = client.get("/archive?subject=SUBJ-2").text
    assert [f"/reading/series/{uid(n, 1)}" in only for n in (1, 2, 3)] == [False, True, False]
    assert "/reading/series/" not in client.get("/archive?modality=MR").text
    assert f"/reading/series/{uid(1, 1)}" in client.get("/archive?modality=SEG&body_part=").text
    assert f"/reading/series/{uid(2, 1)}" in client.get("/archive?before=3").text


def test_rights_and_audit(client: TestClient) -> None:
    guest = TestClient(client.app, headers={"Accept": "text/html"}, follow_redirects=False)
    for address in (f"/reading/series/{uid(1, 1)}", "/archive", f"/reading/series/{uid(1, 1)}/overlays/0"):
        assert guest.get(address).headers["location"].startswith("/login?next=")
    guest.post(
        "/login", data={"username": "officer", "password": PASSWORD}, headers={"Origin": "http://testserver"}
    )
    assert guest.get(f"/reading/series/{uid(1, 1)}").status_code == 403
    assert client.get(f"/reading/series/{uid(9, 9)}").status_code == 404
    client.get(f"/reading/series/{uid(1, 1)}")
    database: Database = client.app.state.database
    with database.connect() as connection:
        entries = AuditLog("node").entries(connection, 100, None)
    reads = [entry.target for entry in entries if entry.action == "image.read" and entry.actor == "reader"]
    assert reads.count(f"series/{uid(1, 1)}") == 1
