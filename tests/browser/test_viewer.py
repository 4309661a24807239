"""The plain viewer in a real Chromium: first image, scrolling, windows, masks, and nothing asked from elsewhere."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture
from playwright.sync_api import Browser, Page

from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import service as measuring
from racoon.node.portal.values import router as values_router
from racoon.node.reading.http import router as reading_router
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

pytestmark = [pytest.mark.external, pytest.mark.slow]

REFERENCE = Path(__file__).parent / "reference"
"""Pictures of values that a person looked at; RACOON_WRITE_REFERENCE=1 writes them anew."""

LESION = Code("52988006", "SCT", "Lesion")
PLAN = MeasuringPlan(
    "cubes",
    tuple(
        Measurement(name, "1", LESION, Bins(0.0, 100.0, 10.0))
        for name in ("lesion_long_axis", "max_diameter", "fat_volume")
    ),
)

PASSWORD = "a long enough password"
SERIES = f"/reading/series/{uid(1, 1)}"


def cube() -> np.ndarray:  # type: ignore[type-arg]  # of voxels
    """Air with a bright block that moves by one column per slice."""
    voxels = np.full((12, 64, 48), -1000, np.int16)
    for index in range(12):
        voxels[index, 20:40, 10 + index : 20 + index] = 200
    return voxels


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("viewer")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    slices = ct_series(cube())
    masks = np.stack([cube() > 0, np.zeros((12, 64, 48), bool)], axis=-1)
    masks[3:9, 50:60, 5:40, 1] = True
    codes = [("52988006", "SCT", "Lesion"), ("55603005", "SCT", "Adipose tissue")]
    archive.store([deidentified(item) for item in [*slices, segmentation(slices, masks, codes)]])
    series, drawn = uid(1, 1), uid(1, 50)
    entry = DatasetSeries(series, Pseudonym("SUBJ-1"), 12, archive.content_hash([series, drawn]), (drawn,))
    measuring.run_protocol(PLAN, DatasetManifest("study-1", "cubes", (entry,)), archive, database)
    app = create_app("node", "0", login_path="/login")
    app.state.audit, app.state.database = AuditLog("node"), database
    install_accounts(app, "node", database).create(database, "reader", PASSWORD, [Role.READER])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    app.include_router(values_router)
    install_pages(
        app,
        site=Site("ALPHA", "Node ALPHA"),
        navigation=[NavigationItem("/archive", "Archive", "archive.read")],
    )
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}"
    database.dispose()


@pytest.fixture
def page(address: str, browser: Browser) -> Iterator[Page]:
    complaints: list[str] = []
    context = browser.new_context(viewport={"width": 1100, "height": 700}, locale="en-GB")
    page = context.new_page()
    page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "request",
        lambda sent: (
            complaints.append(sent.url) if not sent.url.startswith((address, "blob:", "data:")) else None
        ),
    )
    page.goto(f"{address}{SERIES}?plain=true&instance={uid(1, 1, 3)}")
    page.fill("[name=username]", "reader")
    page.fill("[name=password]", PASSWORD)
    page.click("main button")
    page.wait_for_selector("#stage[data-masks='2']")
    yield page
    context.close()
    assert complaints == []


def pixel(page: Page, canvas: str, row: int, column: int) -> list[int]:
    script = "(node, at) => [...node.getContext('2d').getImageData(at[1], at[0], 1, 1).data]"
    found: list[int] = page.locator(canvas).evaluate(script, [row, column])
    return found


def test_address_survives_the_login_and_shows_the_slice(page: Page) -> None:
    assert page.inner_text("#slice-label") == "3"
    assert pixel(page, "#image", 30, 12)[0] > 200
    assert pixel(page, "#image", 30, 11)[0] < 10
    assert page.inner_text(".research-mark") == "For research use only. Not for diagnosis."


def test_keys_wheel_and_slider_change_the_slice(page: Page) -> None:
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#stage[data-masks='3']")
    assert (pixel(page, "#image", 30, 12)[0], pixel(page, "#image", 30, 13)[0] > 200) == (0, True)
    page.keyboard.press("End")
    page.wait_for_selector("#stage[data-masks='11']")
    page.keyboard.press("PageUp")
    page.wait_for_selector("#stage[data-masks='1']")
    page.mouse.move(300, 300)
    page.mouse.wheel(0, 120)
    page.wait_for_selector("#stage[data-masks='2']")
    page.locator("#slice").fill("7")
    page.wait_for_selector("#stage[data-masks='7']")
    page.wait_for_url(f"**{SERIES}?plain=true&instance={uid(1, 1, 8)}*")


def test_window_keys_change_the_grey_levels(page: Page) -> None:
    page.keyboard.press("4")
    page.wait_for_selector("#presets button[data-preset='3'][aria-pressed='true']")
    page.wait_for_load_state("networkidle")
    page.wait_for_selector("#stage[data-masks='2']")
    grey = 255 * ((200 - 449.5) / 1799 + 0.5)
    for _ in range(50):
        if abs(pixel(page, "#image", 30, 12)[0] - grey) < 2:
            break
        page.wait_for_timeout(50)
    assert abs(pixel(page, "#image", 30, 12)[0] - grey) < 2


def test_masks_lie_on_their_voxels_and_can_be_hidden(page: Page) -> None:
    assert pixel(page, "#overlay", 30, 12)[3] > 0
    assert pixel(page, "#overlay", 30, 11)[3] == 0
    page.keyboard.press("m")
    assert pixel(page, "#overlay", 30, 12)[3] == 0
    page.keyboard.press("m")
    page.uncheck(f"[data-segment='{uid(1, 50, 1)}:1']")
    assert pixel(page, "#overlay", 30, 12)[3] == 0
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#stage[data-masks='3']")
    assert pixel(page, "#overlay", 55, 20)[3] > 0


def test_archive_leads_to_the_viewer(page: Page, address: str, tmp_path: Path) -> None:
    page.goto(f"{address}/archive")
    page.click(f"a[href='{SERIES}'] >> nth=0")
    page.wait_for_selector("#stage")
    page.goto(f"{page.url}?plain=true")
    page.wait_for_selector("#stage[data-masks]")
    page.screenshot(path=str(tmp_path / "viewer.png"))
    page.click("text=Deutsch")
    page.wait_for_selector("text=Schichtabstand")


def looks_like(page: Page, selector: str, name: str) -> None:
    """Compare a picture as Chromium shows it with the one kept: few pixels may differ, by scaling and decoding."""
    seen = page.locator(selector).screenshot()
    kept = REFERENCE / f"{name}.png"
    if os.environ.get("RACOON_WRITE_REFERENCE"):
        REFERENCE.mkdir(exist_ok=True)
        kept.write_bytes(seen)
    pair = [
        np.asarray(Picture.open(io.BytesIO(content)).convert("RGB").resize((192, 192))).astype(int)
        for content in (seen, kept.read_bytes())
    ]
    difference = np.abs(pair[0] - pair[1]).max(axis=-1)
    assert float((difference > 40).mean()) < 0.03, f"{name} looks different; see {kept}"
    assert float(difference.mean()) < 6.0


def test_a_value_shows_slice_overlay_definition_parameters_and_provenance(
    page: Page, address: str, tmp_path: Path
) -> None:
    page.goto(f"{address}/values/2")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    words = page.inner_text("main")
    for expected in (
        "Largest 3D diameter",
        "max_diameter@1",
        "IBSI L0JK",
        "Slice thickness, mm",
        "SUBJ-1",
        uid(1, 1),
        uid(1, 50, 1),
        "racoon ",
        "The plane in which the value was taken",
    ):
        assert expected in words, expected
    page.screenshot(path=str(tmp_path / "value.png"), full_page=True)
    looks_like(page, "img.slice >> nth=0", "value-slice")
    looks_like(page, "img.slice >> nth=1", "value-plane")
    page.goto(f"{address}/values/1")
    page.wait_for_function("[...document.images].every(image => image.complete && image.naturalWidth > 0)")
    looks_like(page, "img.slice", "value-long-axis")
    page.click("text=Open in the viewer")
    page.wait_for_selector("#stage")
