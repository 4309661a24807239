"""The pages of values: sorted, drawn, traceable to the pixels, in both languages; and who may decide."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from PIL import Image as Picture
from starlette.testclient import TestClient

from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.approvals.service import Approvals
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import service
from racoon.node.measuring._store import add_values
from racoon.node.measuring.picture import COUNTED, RIM
from racoon.node.portal.checks import router as checks_router
from racoon.node.portal.values import router as values_router
from racoon.node.reading.http import router as reading_router
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountStore, install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.distributions import distribution_figure
from racoon.web.pages import Site, install_pages
from tests.unit.node.measuring.cohort import LIVER, LUNGS, liver_voxels, store_subject

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}
PLAN = MeasuringPlan(
    "livers",
    (
        Measurement("volume", "1", LIVER, Bins(0.0, 0.1, 0.01)),
        Measurement("laa_950", "1", LUNGS, Bins(0.0, 100.0, 10.0), {"threshold_hu": -849}),
    ),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("pages")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    entries = [
        store_subject(archive, 1),
        store_subject(archive, 2, ManufacturerModelName="Model 8"),
        store_subject(archive, 3, ContrastBolusAgent="Iomeprol"),
    ]
    manifest = DatasetManifest("study-1", "livers", tuple(entries))
    service.run_protocol(PLAN, manifest, archive, database)
    app = create_app("Test", "1", login_path="/login")
    audit = AuditLog("node")
    app.state.audit, app.state.database, app.state.archive = audit, database, archive
    app.state.approvals = Approvals(
        audit, lambda *_: None, Ed25519PrivateKey.generate(), feasibility_enabled=False
    )
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER])
    accounts.create(database, "dana", PASSWORD, [Role.DATA_MANAGER])
    install_accounts(app, "node", database)
    install_pages(app, site=Site("ALPHA", "Alpha hospital"))
    app.include_router(checks_router)
    app.include_router(values_router)
    app.include_router(reading_router)
    with TestClient(app, follow_redirects=False) as client:
        yield client
    database.dispose()


def sign_in(client, name):
    answer = client.post("/api/session", json={"username": name, "password": PASSWORD}, headers=ORIGIN)
    assert answer.status_code < 300, answer.text


def numbers(client):
    with client.app.state.database.connect() as connection:
        return {
            (value.pseudonym, value.biomarker): number for number, value in service.load_values(connection)
        }


def test_every_number_of_every_page_opens_its_slice(client):
    """A crawl: each link from the values on, and behind each number the image that it was measured in."""
    sign_in(client, "rita")
    waiting, seen, opened = ["/values?study=study-1", "/values/agreement?study=study-1"], set(), 0
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = client.get(address, headers={"accept": "text/html"})
        assert answer.status_code == 200, address
        found = [
            unescape(link) for link in re.findall(r'href="(/(?:values|reading/series)[^"]*)"', answer.text)
        ]
        if address.startswith("/reading/"):
            asked = parse_qs(urlsplit(address).query)
            (text,) = re.findall(r'id="series-data">(.*?)</script>', answer.text, re.DOTALL)
            data = json.loads(text)
            assert data["planes"][data["start"]][0] == asked["instance"][0], address
            assert data["segment"], address
            overlays = client.get(f"/reading/series/{data['series']}/overlays/{data['start']}").json()
            assert data["segment"] in overlays, address  # the mask has pixels on that slice
            opened += 1
            continue
        cells = re.findall(r'<td class="number">(.*?)</td>', answer.text, re.DOTALL)
        assert all("<a href=" in cell for cell in cells if re.search(r"\d", cell)) or "agreement" in address
        if re.fullmatch(r"/values/\d+", address):
            assert any(link.startswith("/reading/series/") for link in found), address
        waiting += [
            link
            for link in found
            if "export" not in link and "." not in link.rpartition("/")[2].partition("?")[0]
        ]
        waiting += [link for link in found if link.startswith("/reading/series/")]
    assert opened >= len(numbers(client)) / 2


def test_the_list_sorts_and_shows_distributions_by_scanner(client):
    sign_in(client, "rita")
    key = PLAN.measurements[0].key
    page = client.get(
        "/values", params={"study": "study-1", "measurement": key, "sort": "value", "down": 1}
    ).text
    assert [page.index(f"SUBJ-{subject}") for subject in (3, 2, 1)] == sorted(
        page.index(f"SUBJ-{subject}") for subject in (3, 2, 1)
    )
    assert 'aria-sort="descending"' in page
    assert "Phantom Works Model 7" in page
    assert "Phantom Works Model 8" in page
    assert page.count("<rect") == 3
    assert "checks wait for a person" in page


def test_a_value_shows_definition_parameters_and_provenance(client):
    sign_in(client, "rita")
    number = numbers(client)["SUBJ-3", "laa_950"]
    page = client.get(f"/values/{number}").text
    for expected in (
        "laa_950@1",
        "Gevenois",
        "threshold_hu",
        "-849",
        "SUBJ-3",
        "B30f",
        "not valid",
        "The value is not valid after contrast medium.",
        f"/values/{number}/picture.png",
        "segmentation=",
    ):
        assert expected in page, expected
    german = client.get(f"/values/{number}", headers={"accept-language": "de"}).text
    for expected in ("Herkunft", "Nach Kontrastmittel ist der Wert nicht gültig.", "Lungenanteil unter"):
        assert expected in german, expected
    assert client.get("/values/999").status_code == 404


def picture(client, number):
    answer = client.get(f"/values/{number}/picture.png")
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Picture.open(io.BytesIO(answer.content)).convert("RGB")).astype(int)


def near(pixels, colour, tolerance=40):
    return np.abs(pixels - np.asarray(colour)).max(axis=-1) <= tolerance


def test_the_picture_shows_the_rim_of_the_mask(client):
    sign_in(client, "rita")
    pixels = picture(client, numbers(client)["SUBJ-1", "volume"])
    liver = np.zeros((8, 8), bool)
    liver.reshape(-1)[: min(64, liver_voxels(1))] = True
    mask = np.zeros((16, 16), bool)
    mask[4:12, 4:12] = liver
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    assert np.array_equal(near(pixels, RIM), mask & ~inner)


def test_the_picture_shows_the_voxels_that_count(client):
    sign_in(client, "rita")
    pixels = picture(client, numbers(client)["SUBJ-2", "laa_950"])
    # All of the lung lies at -850 HU, below the threshold of this plan; its rim is drawn above.
    lung = np.zeros((16, 16), bool)
    lung[4:12, 4:12] = True
    red = pixels[..., 0] - pixels[..., 2] > 60
    assert np.array_equal(red, lung)
    assert COUNTED[0] > COUNTED[2]


def test_looking_at_a_picture_is_audited(client):
    sign_in(client, "rita")
    picture(client, numbers(client)["SUBJ-2", "volume"])
    with client.app.state.database.connect() as connection:
        entries = client.app.state.audit.entries(connection, 50)
    assert any(entry.action == "image.read" and entry.actor == "rita" for entry in entries)


def test_checks_are_decided_by_those_who_may(client):
    sign_in(client, "rita")
    page = client.get("/values/checks", params={"study": "study-1"}).text
    assert "lies outside 400 to 5000 mL" in page
    assert "Exclude" not in page
    with client.app.state.database.connect() as connection:
        first = service.checks(connection)[0]
    form = {"state": "kept", "study": "study-1", "note": "a phantom"}
    answer = client.post(f"/values/checks/{first.number}", data=form, headers=ORIGIN)
    assert answer.status_code == 403
    sign_in(client, "dana")
    answer = client.post(f"/values/checks/{first.number}", data=form, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/values/checks?study=study-1")
    german = client.get("/values/checks", params={"study": "study-1"}, headers={"accept-language": "de"}).text
    assert "behalten" in german
    assert "a phantom" in german
    assert "liegt außerhalb" in german
    assert client.post("/values/checks/999", data=form, headers=ORIGIN).status_code == 404


def test_without_a_frozen_dataset_nothing_is_signed_off_or_promoted(client):
    sign_in(client, "dana")
    study = {"study": "study-1", "key": "volume@1 SCT:10200004"}
    for path in ("/values/sign-off", "/values/promote"):
        assert client.post(path, data=study, headers=ORIGIN).status_code == 404
    page = client.get("/values/agreement", params={"study": "study-1"}).text
    assert "No biomarker has values from masks by hand and by a program" in page


def test_each_pair_of_manual_against_automatic_opens_its_slices(client):
    """The measured values as a study of their own, each from a mask by hand and from one by a program."""
    database = client.app.state.database
    with database.begin() as connection:
        measured = [value for _, value in service.load_values(connection) if value.biomarker == "volume"]
        add_values(
            connection,
            [
                dataclasses.replace(
                    value,
                    study_id="paired",
                    automation=level,
                    value=value.value + shift * number,
                    parameters_hash=level,
                )
                for number, value in enumerate(measured, start=1)
                for level, shift in (("manual", 0.0), ("automatic", 0.5))
            ],
        )
    sign_in(client, "rita")
    page = client.get("/values/agreement", params={"study": "paired"}).text
    cells = re.findall(r'<td class="number">(.*?)</td>', page, re.DOTALL)
    assert len(cells) == 1 + 3 * len(measured)
    assert cells[0] == f'<a href="#pairs-1">{len(measured)}</a>'
    assert 'id="pairs-1"' in page
    for cell in cells[1:]:
        (link,) = re.findall(r'href="(/reading/series/[^"]+)"', cell)
        asked = parse_qs(urlsplit(unescape(link)).query)
        room = client.get(unescape(link), headers={"accept": "text/html"}).text
        (text,) = re.findall(r'id="series-data">(.*?)</script>', room, re.DOTALL)
        data = json.loads(text)
        assert data["planes"][data["start"]][0] == asked["instance"][0]
        assert data["segment"]


def test_a_figure_has_a_row_for_each_group_on_one_axis():
    figure = distribution_figure("Volume", {"A <1>": [1.0, 2.0, 2.0], "B": [5.0], "empty": []}, "mL")
    assert figure.count("n = ") == 2
    assert "A &lt;1&gt;" in figure
    assert "empty" not in figure
    assert distribution_figure("Volume", {"A": []}, "mL") == ""
    assert "n = 3, median 4" in distribution_figure("Volume", {"A": [4.0] * 3}, "mL")
