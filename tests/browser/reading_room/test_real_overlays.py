"""Real images with real contours, uptake and a map made of them: shown where the objects say they are."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from highdicom.sr.coding import CodedConcept
from playwright.sync_api import Browser, Page
from pydicom import dcmread

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.model import mask_of_runs
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.web.pages import Site, install_pages
from tests.browser.reading_room.room import MARKS, PASSWORD, api, shot, wait_until
from tests.dicom_objects import deidentified, uid

# The published objects have identifiers longer than their type allows, and names of one part.
pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:The ")]

CASE = "sarcoma_multimodal/dicom/STS_025_dicom_CT_PET_MR_RTSTRUCT.zip"

PAINTED = """canvas => {
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let [count, x, y] = [0, 0, 0];
    for (let at = 0; at < width * height; at++) {
        if (pixels[4 * at + 3] < 60) continue;
        count++; x += at % width; y += Math.floor(at / width);
    }
    return [count, x / count, y / count, width, height];
}"""
"""How many pixels of a canvas are painted, their middle, and the size of the canvas."""


def map_of(images: list[Any]) -> Any:
    """A parametric map in the frame of reference of a CT: share of fat between -120 and 80 HU, in per cent."""
    images = sorted(images, key=lambda item: float(item.ImagePositionPatient[2]))
    values = np.stack(
        [item.pixel_array * float(item.RescaleSlope) + float(item.RescaleIntercept) for item in images]
    )
    share = np.where(values > -200, np.clip((80 - values) / 2, 0, 100), 0).astype(np.float32)
    return hd.pm.ParametricMap(
        source_images=images,
        pixel_array=share,
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
                lut_explanation="fat",
                unit=CodedConcept("%", "UCUM", "percent"),
                value_range=(0.0, 100.0),
                slope=1.0,
                intercept=0.0,
            )
        ],
        voi_lut_transformations=[hd.VOILUTTransformation(window_center=50.0, window_width=100.0)],
    )


@pytest.fixture(scope="module")
def sarcoma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Address of a node with a real CT, its PET, its contours and a map, and the CT's series."""
    packed = Path(__file__).resolve().parents[4] / "shared" / "data" / CASE
    if not packed.is_file():
        pytest.skip(f"REAL DATA MISSING: ../shared/data/{CASE} is not there; this test needs real images")
    folder = tmp_path_factory.mktemp("sarcoma")
    with zipfile.ZipFile(packed) as files:
        wanted = [
            name for name in files.namelist() if name.endswith(".dcm") and ("/PET/" in name or "/CT/" in name)
        ]
        objects = [dcmread(io.BytesIO(files.read(name))) for name in wanted]
    images = [item for item in objects if item.Modality == "CT"]
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    archive.store([deidentified(item) for item in [*objects, map_of(images)]])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(app, site=Site("ALPHA", "Node ALPHA"))
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}", str(images[0].SeriesInstanceUID)
    database.dispose()


@pytest.fixture
def page(sarcoma: tuple[str, str], browser: Browser) -> Iterator[Page]:
    address, series = sarcoma
    context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="de-DE")
    found = context.new_page()
    found.set_default_timeout(60_000)
    found.goto(f"{address}/reading/series/{series}")
    found.fill("[name=username]", "reader")
    found.fill("[name=password]", PASSWORD)
    found.keyboard.press("Enter")
    found.wait_for_selector("#stage[data-ready='all']")
    yield found
    context.close()


def test_contours_uptake_and_a_map_lie_on_a_real_ct(page: Page, sarcoma: tuple[str, str]) -> None:
    series = sarcoma[1]
    view = api(page, f"/api/reading/series/{series}")
    assert view["segments"], "the contours of the structure set are listed"
    shape = (view["rows"], view["columns"])
    masks = api(page, f"/reading/series/{series}/overlays")
    largest = max(masks, key=lambda index: max(sum(runs[1::2]) for runs in masks[index].values()))
    page.locator("#slice").fill(largest)
    page.locator("#slice").dispatch_event("input")
    wait_until(page, f"document.querySelector('#stage').dataset.masks === '{largest}'")
    united = np.zeros(shape, np.bool_)
    for runs in masks[largest].values():
        united |= mask_of_runs(runs, shape)
    rows, columns = np.nonzero(united)
    count, x, y, width, height = page.locator("#overlay").evaluate(PAINTED)
    shot(page, "real-contours")
    # The image is fitted to the height of the stage and centred; texts and marks are not on this canvas.
    scale = min(width / shape[1], height / shape[0])
    assert x == pytest.approx(width / 2 + (columns.mean() + 0.5 - shape[1] / 2) * scale, abs=2)
    assert y == pytest.approx(height / 2 + (rows.mean() + 0.5 - shape[0] / 2) * scale, abs=2)
    assert count == pytest.approx(united.sum() * scale**2, rel=0.05)
    # Uptake and the map in colour, each on its own.
    options = page.locator("#layer option").all_inner_texts()
    assert len(options) == 2
    assert "fat" in options
    page.keyboard.press("m")
    for at, name in enumerate(options):
        page.locator("#layer").select_option(index=at)
        if page.get_attribute("#fuse", "aria-pressed") == "false":
            page.locator("#fuse").click()
        page.wait_for_selector("#layer-scale:visible")
        wait_until(page, "document.querySelector('#layer-label').textContent.length > 0")
        page.wait_for_timeout(1500)
        shot(page, f"real-layer-{at}")
        assert ("%" if name == "fat" else "SUV") in page.inner_text("#layer-label")
        painted = page.locator("#overlay").evaluate(PAINTED)[0]
        assert painted > 500, name
    page.keyboard.press("m")
    page.locator("#stage").focus()
    page.keyboard.press("v")
    page.wait_for_selector("#planes:visible")
    page.wait_for_timeout(4000)
    shot(page, "real-planes")
