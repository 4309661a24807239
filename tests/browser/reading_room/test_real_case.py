"""A real chest CT from the worklist to a signed report, by keys alone: how many, and how long the machine takes."""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from pydicom import dcmread

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.work.model import Assignment
from racoon.node.reading.work.service import Work
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User, install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.browser.reading_room.room import MARKS, PASSWORD, THORAX, api, shot, wait_until
from tests.dicom_objects import deidentified

pytestmark = MARKS

MOST = 25
"""Actions that a normal report may take."""


@pytest.fixture(scope="module")
def lung_case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a node that has the published case with its contours on a reader's list, and its imaging study."""
    data = Path(__file__).resolve().parents[4] / "shared" / "data" / "ct_lung_rtstruct"
    if not data.is_dir():
        pytest.skip(
            "REAL DATA MISSING: ../shared/data/ct_lung_rtstruct is not there; this test needs real images"
        )
    folder = tmp_path_factory.mktemp("lung")
    with tarfile.open(data / "LUNG1-001_CT.tar.xz") as tar:
        # The filter came with Python 3.11.4; Debian 12 has 3.11.2.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder / "images")
    paths = [*sorted((folder / "images").rglob("*.dcm")), data / "LUNG1-001_RTSTRUCT.dcm"]
    cleaned = Deidentifier("basic", Pseudonymiser(None, None))
    objects = [dcmread(io.BytesIO(cleaned.apply(path.read_bytes()).dataset_bytes)) for path in paths]
    images = objects[:-1]
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    archive.store([deidentified(item) for item in objects])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    app.state.archive = archive
    Work(database, AuditLog("node"), archive).assign(
        User("informatician", frozenset({Role.SITE_INFORMATICIAN})),
        Assignment("lung", THORAX, (str(images[0].SeriesInstanceUID),), ("reader",), is_blinded=False),
    )
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(
        app,
        site=Site("ALPHA", "Node ALPHA"),
        navigation=[NavigationItem("/reading/worklist", "Worklist", "report.write")],
    )
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}", str(images[0].StudyInstanceUID)
    database.dispose()


class Hands:
    """Presses keys and counts them; the clock runs from the first key on."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.keys: list[str] = []
        self.began = 0.0

    def press(self, *keys: str) -> None:
        """Press keys, one action each."""
        self.began = self.began or time.monotonic()
        for key in keys:
            self.page.keyboard.press(key)
            self.keys.append(key)


def test_a_normal_chest_ct_is_read_by_keys_alone(lung_case: tuple[str, str], browser: Browser) -> None:
    address, study = lung_case
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="de-DE")
    page = context.new_page()
    page.set_default_timeout(60_000)
    page.goto(f"{address}/reading/worklist")
    page.fill("[name=username]", "reader")
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Nächster Fall")
    hands = Hands(page)
    # To the case: the key that leads there from the reading room does so from the list.
    hands.press("Alt+j")
    page.wait_for_selector("#stage[data-ready]")
    first_image_s = time.monotonic() - hands.began
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.locator("#segments-title").is_visible()
    last = int(page.get_attribute("#slice", "max") or 0)
    assert last == 133
    # Through the lungs, the soft tissue and the contours, from one end to the other.
    hands.press("Home", *["PageDown"] * 13, "End")
    wait_until(page, f"document.querySelector('#stage').dataset.index === '{last}'")
    hands.press("2", "m")
    shot(page, "real-case")
    hands.press("Alt+n")
    wait_until(page, "document.activeElement.id === 'sign'")
    hands.press("Control+Enter")
    page.wait_for_selector("#sign-dialog[open]")
    hands.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    machine_s = time.monotonic() - hands.began
    shot(page, "real-case-signed")
    response = api(page, f"/api/reading/imaging-studies/{study}/report/questionnaire-response")
    assert response["status"] == "completed"
    versions = api(page, f"/api/reading/imaging-studies/{study}/report/versions")["versions"]
    assert [item["kind"] for item in versions] == ["signed"]
    hands.press("Alt+j")
    page.wait_for_selector("text=1 / 1")
    context.close()
    # The way that needs no look at every slice: open, normal, sign, confirm.
    needed = [key for key in hands.keys if key not in ("Home", "PageDown", "End", "2", "m")]
    print(f"{len(hands.keys)} actions, {machine_s:.1f} s of machine time, image after {first_image_s:.1f} s")
    if figures := os.environ.get("RACOON_FIGURES"):
        found = {
            "actions of a normal report": len(hands.keys),
            "of them besides looking": len(needed),
            "machine time, s": round(machine_s, 1),
            "until the first image, s": round(first_image_s, 1),
        }
        Path(figures).write_text(json.dumps(found), encoding="utf-8")
    assert len(hands.keys) <= MOST, hands.keys
