"""The reading room in a real Chromium: first image, scrolling, masks, measurements, undo, a report signed by keys."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import APIRequestContext, Browser, Page, sync_playwright

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.measuring import _store as measured
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.http._page import is_room_built
from racoon.node.reading.keys import KEYS
from racoon.node.reading.model import mask_of_runs, runs_of
from racoon.node.reading.work.model import Assignment
from racoon.node.reading.work.service import Work
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User, install_accounts
from racoon.platform.database import Database, create_all, metadata
from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.dicom_objects import ct_series, deidentified, segmentation, uid
from tests.unit.node.reading.test_proposals import value

pytestmark = [
    pytest.mark.external,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not is_room_built(), reason="THE READING ROOM IS NOT BUILT: make viewer"),
]

PASSWORD = "a long enough password"
SERIES = f"/reading/series/{uid(1, 1)}"
THORAX = "urn:racoon:questionnaire:thorax-short"
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0)

FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
"""WebGL 2 without a GPU."""

AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


OVERLAP = """([image, masks]) => {
    const overlay = document.querySelector(masks);
    const { width, height } = overlay;
    const small = new OffscreenCanvas(width, height).getContext('2d');
    small.drawImage(document.querySelector(`${image} canvas`), 0, 0, width, height);
    const grey = small.getImageData(0, 0, width, height).data;
    const mask = overlay.getContext('2d').getImageData(0, 0, width, height).data;
    let [left, right, top, bottom] = [width, 0, height, 0];
    for (let at = 0; at < width * height; at++) {
        if (!mask[4 * at + 3]) continue;
        const [x, y] = [at % width, Math.floor(at / width)];
        [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
    }
    let [both, onlyMask, onlyBright] = [0, 0, 0];
    for (let y = top - 5; y <= bottom + 5; y++) {
        for (let x = left - 5; x <= right + 5; x++) {
            const at = 4 * (y * width + x);
            // Half way between lung and nodule: the image is smoothed between pixels, the mask is not.
            const [isMask, isBright] = [mask[at + 3] > 0, grey[at] > 165];
            both += isMask && isBright; onlyMask += isMask && !isBright; onlyBright += !isMask && isBright;
        }
    }
    return [both, onlyMask, onlyBright];
}"""
"""How many pixels of a canvas are mask and bright, only mask, only bright, around the mask."""


def chest() -> np.ndarray:  # type: ignore[type-arg]
    """Soft tissue with two dark lungs and a bright nodule that is largest in the middle."""
    row, column = np.mgrid[:128, :96]
    voxels = np.full((12, 128, 96), -1000, np.int16)
    voxels[:, ((row - 64) / 58) ** 2 + ((column - 48) / 44) ** 2 <= 1] = 40
    for middle in (28, 68):
        voxels[:, ((row - 64) / 40) ** 2 + ((column - middle) / 15) ** 2 <= 1] = -850
    for index in range(12):
        radius = 9 - abs(index - 6)
        voxels[index, (row - 60) ** 2 + (column - 28) ** 2 <= radius**2] = 100
    return voxels


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    folder = tmp_path_factory.mktemp("room")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    slices = ct_series(chest(), orientation=OBLIQUE)
    masks = np.stack([chest() == 100, chest() < -800], axis=-1)
    codes = [("52988006", "SCT", "Lesion"), ("39607008", "SCT", "Lung")]
    second = ct_series(
        chest()[:, ::-1], orientation=OBLIQUE, series=2, SeriesDescription="Thorax upside down"
    )
    # An earlier examination with thinner slices that begins 5 mm higher.
    earlier = ct_series(
        chest(),
        study=2,
        orientation=OBLIQUE,
        slice_spacing_mm=1.25,
        origin_mm=np.array([-20.0, -30.0, 100.0]) + 5 * np.cross(OBLIQUE[:3], OBLIQUE[3:]),
        StudyDate="20230131",
    )
    made = segmentation(slices, masks, codes)
    archive.store([deidentified(item) for item in [*slices, made, *second, *earlier]])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    accounts.create(database, "second", PASSWORD, [Role.READER])
    accounts.create(database, "third", PASSWORD, [Role.READER])
    accounts.create(database, "informatician", PASSWORD, [Role.SITE_INFORMATICIAN])
    app.state.archive = archive
    app.state.study_choices = lambda: [("PROJ-1", "Lungs of one person")]
    app.state.series_of_study = lambda _study: [uid(1, 1), uid(1, 2), uid(2, 1)]
    Work(database, AuditLog("node"), archive).assign(
        User("informatician", frozenset({Role.SITE_INFORMATICIAN})),
        Assignment("pilot", THORAX, (uid(1, 1),), ("reader",), is_blinded=False, priority=2),
    )
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(
        app,
        site=Site("ALPHA", "Node ALPHA"),
        navigation=[NavigationItem("/archive", "Archive", "archive.read")],
    )
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}", database
    database.dispose()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not Path("/usr/bin/chromium").exists():
        pytest.skip("chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        browser.close()


OpenRoom = Callable[..., Page]


@pytest.fixture
def open_room(node: tuple[str, Database], browser: Browser) -> Iterator[OpenRoom]:
    address, database = node
    with database.begin() as connection:
        for table in (
            "reading_finding",
            "reading_report",
            "reading_drawing",
            "reading_drawing_slice",
            "reading_report_version",
        ):
            connection.execute(sa.delete(metadata("node").tables[table]))
    complaints: list[str] = []
    contexts = []

    def open_(login: str = "reader", query: str = "", language: str = "en-GB") -> Page:
        context = browser.new_context(viewport={"width": 1366, "height": 768}, locale=language)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda sent: (
                None if sent.url.startswith((address, "blob:", "data:")) else complaints.append(sent.url)
            ),
        )
        page.goto(f"{address}{SERIES}{query}")
        page.fill("[name=username]", login)
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        page.wait_for_selector("#stage[data-ready='all']")
        return page

    yield open_
    for context in contexts:
        context.close()
    # Chromium complains about requests that the test itself cut off or got wrong.
    expected = ("net::ERR_FAILED", "status of 400")
    assert [line for line in complaints if not any(part in line for part in expected)] == []


def shot(page: Page, name: str) -> None:
    """Keep a picture for a person to look at, where a folder is named for it."""
    if folder := os.environ.get("RACOON_SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


def api(page: Page, address: str) -> Any:
    return page.evaluate("async (address) => (await fetch(address)).json()", address)


def findings(page: Page) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api(page, f"/api/reading/imaging-studies/{uid(1)}/findings")["findings"]
    return found


def grey(page: Page) -> list[int]:
    """Grey levels of the drawn image, 64 × 64."""
    script = """(canvas) => {
        const small = new OffscreenCanvas(64, 64).getContext('2d');
        small.drawImage(canvas, 0, 0, 64, 64);
        return [...small.getImageData(0, 0, 64, 64).data].filter((value, at) => at % 4 === 0);
    }"""
    found: list[int] = page.locator("#viewport canvas").first.evaluate(script)
    return found


def drag(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag on the stage, in parts of its size."""
    box = page.locator("#viewport").bounding_box()
    assert box is not None
    points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=4)
    page.mouse.up()


def on_stage(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the stage, in parts of its size, on the screen."""
    box = page.locator("#viewport").bounding_box()
    assert box is not None
    return box["x"] + x * box["width"], box["y"] + y * box["height"]


def outline(page: Page, corners: list[tuple[float, float]]) -> None:
    """Draw around corners and back to the first with the button held."""
    page.mouse.move(*on_stage(page, *corners[0]))
    page.mouse.down()
    for x, y in [*corners[1:], corners[0]]:
        page.mouse.move(*on_stage(page, x, y), steps=6)
    page.mouse.up()


def wait_until(page: Page, condition: str) -> None:
    """Wait for an expression; the page's own policy forbids what Playwright's waiting does inside it."""
    for _ in range(600):
        if page.evaluate(f"() => Boolean({condition})"):
            return
        page.wait_for_timeout(100)
    shot(page, "not-reached")
    pytest.fail(f"was never true: {condition}; status: {page.inner_text('#status')}")


def wait_for_saved(page: Page, count: int) -> None:
    wait_until(page, f"document.querySelectorAll('#findings li').length === {count}")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")


def pixel_affine() -> np.ndarray:  # type: ignore[type-arg]
    """Millimetres of (row, column, 1) by the header alone, slice 7."""
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    origin = np.array([-20.0, -30.0, 100.0]) + 6 * 2.5 * np.cross(row, column)
    return np.column_stack([column * 0.8, row * 0.7, origin])


def test_first_image_appears_with_its_marks(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    assert page.inner_text("#slice-label") == "7 / 12"
    levels = grey(page)
    assert max(levels) > 120
    assert min(levels) < 10
    assert page.inner_text("#edge-left") == "RA"
    assert page.locator("#ruler").is_visible()
    assert page.locator("#series-list a").count() == 2
    assert page.locator("#legend li").count() == 2
    page.wait_for_selector("#stage[data-masks='6']")
    covered = (
        "node => node.getContext('2d').getImageData(0, 0, node.width, node.height).data.some(v => v > 0)"
    )
    assert page.locator("#overlay").evaluate(covered)
    shot(page, "room")
    page.keyboard.press("m")
    assert not page.locator("#overlay").evaluate(covered)


def test_keys_and_wheel_scroll_and_change_the_window(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("ArrowDown")
    page.wait_for_selector("#stage[data-index='7']")
    page.keyboard.press("End")
    page.wait_for_selector("#stage[data-index='11']")
    page.keyboard.press("Home")
    page.wait_for_selector("#stage[data-index='0']")
    page.hover("#viewport")
    page.mouse.wheel(0, 120)
    page.wait_for_selector("#stage[data-index='1']")
    page.wait_for_url(f"**{SERIES}?instance={uid(1, 1, 2)}*")
    page.keyboard.press("3")
    page.wait_for_selector("#presets button:nth-child(3)[aria-pressed='true']")
    lung = grey(page)
    page.keyboard.press("4")
    page.wait_for_selector("#presets button:nth-child(4)[aria-pressed='true']")
    page.wait_for_timeout(300)
    assert grey(page) != lung
    page.keyboard.press("]")
    page.wait_for_selector(f"#series-list a[data-series='{uid(1, 2)}'][aria-current]")
    page.wait_for_url(f"**/reading/series/{uid(1, 2)}?*")


def test_masks_lie_on_their_voxels(open_room: OpenRoom) -> None:
    """The overlay is the image's own geometry: around the nodule its mask covers what is bright."""
    page = open_room(query=f"?instance={uid(1, 1, 7)}&segment={uid(1, 50, 1)}:1")
    page.wait_for_selector("#stage[data-masks='6']")
    page.keyboard.press("3")
    page.wait_for_timeout(500)
    both, only_mask, only_bright = page.evaluate(OVERLAP, ["#viewport", "#overlay"])
    assert both > 1000
    assert (2 * both) / (2 * both + only_mask + only_bright) > 0.97, (both, only_mask, only_bright)


def test_length_is_the_distance_of_the_affine(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("l")
    drag(page, (0.3, 0.4), (0.45, 0.6))
    wait_for_saved(page, 1)
    (found,) = findings(page)
    affine = pixel_affine()
    (length,) = found["numbers"]
    indices = [
        np.linalg.lstsq(affine[:, :2], np.array(p) - affine[:, 2], rcond=None)[0] for p in found["points_mm"]
    ]
    steps = (indices[1] - indices[0]) * (0.8, 0.7)
    assert length["value"] == pytest.approx(float(np.hypot(*steps)), abs=1e-6)
    assert float(page.get_attribute("#findings .numbers", "data-length") or 0) == length["value"]
    assert (found["instance"], found["frame"], found["author"]) == (uid(1, 1, 7), 1, "reader")
    shown = page.inner_text("#findings .numbers")
    assert shown == f"Length: {length['value']:.1f} mm"
    wait_until(page, f"document.querySelector('#viewport svg').textContent.includes({shown!r})")
    shot(page, "length")
    # Undo takes it away, redo brings it back with the same numbers; a click in the list leads back to its slice.
    page.keyboard.press("Control+z")
    page.wait_for_selector("#findings li", state="detached")
    assert findings(page) == []
    page.keyboard.press("Control+y")
    wait_for_saved(page, 1)
    assert findings(page)[0]["numbers"] == found["numbers"]
    page.keyboard.press("Home")
    page.wait_for_selector("#stage[data-index='0']")
    page.click("#findings button.finding")
    page.wait_for_selector("#stage[data-index='6']")
    page.goto(page.url.partition("/reading")[0] + found["link"])
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.inner_text("#slice-label") == "7 / 12"
    assert page.locator("#findings li.here").count() == 1
    page.keyboard.press("Delete")
    page.wait_for_selector("#findings li", state="detached")


def test_every_kind_is_drawn_stored_and_shown_again(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    drawn = (
        ("b", (0.40, 0.45), (0.48, 0.52)),
        ("e", (0.60, 0.55), (0.64, 0.60)),
        ("p", (0.50, 0.70), (0.50, 0.70)),
        ("u", (0.60, 0.62), (0.63, 0.66)),
        ("z", (0.61, 0.45), (0.63, 0.45)),
    )
    # Each is stored before the next one is begun: a tool that is changed meanwhile must not meet a slow machine.
    for count, (key, start, end) in enumerate(drawn, start=1):
        page.keyboard.press(key)
        drag(page, start, end)
        wait_for_saved(page, count)
    page.keyboard.press("h")
    outline(page, [(0.60, 0.30), (0.64, 0.30), (0.64, 0.36), (0.60, 0.36)])
    wait_for_saved(page, 6)
    page.keyboard.press("j")
    drag(page, (0.45, 0.20), (0.50, 0.25))
    page.mouse.click(*on_stage(page, 0.45, 0.25))
    wait_for_saved(page, 7)
    page.select_option("#punch-shape", "cube")
    page.focus("#stage")
    page.keyboard.press("z")
    drag(page, (0.61, 0.55), (0.63, 0.55))
    wait_for_saved(page, 8)
    assert "cube · Length" in page.inner_text("#findings li:last-child .numbers")
    found = {item["kind"]: item for item in findings(page)}
    kinds = {"bidirectional", "ellipse", "probe", "rectangle", "sphere", "cube", "freehand", "angle"}
    assert set(found) == kinds
    sides = np.diff(np.array(found["rectangle"]["points_mm"]), axis=0)
    area = np.linalg.norm(sides[0]) * np.linalg.norm(sides[1])
    assert found["rectangle"]["numbers"][0]["value"] == pytest.approx(float(area), abs=1e-6)
    for kind in ("rectangle", "sphere", "cube", "freehand"):
        assert {n["name"]: n["value"] for n in found[kind]["numbers"]}["mean"] == -850, kind
    assert 0 < found["angle"]["numbers"][0]["value"] < 180
    names = {number["name"]: number for number in found["ellipse"]["numbers"]}
    axes = np.array(found["ellipse"]["points_mm"])
    area = np.pi / 4 * np.linalg.norm(axes[1] - axes[0]) * np.linalg.norm(axes[3] - axes[2])
    assert names["area"]["value"] == pytest.approx(float(area), abs=1e-6)
    assert (names["mean"]["value"], names["sd"]["value"], names["mean"]["unit"]) == (-850, 0, "[hnsf'U]")
    assert found["probe"]["numbers"][0]["value"] == 40
    page.select_option("#findings li:nth-child(1) select", label="Nodule")
    wait_until(page, "document.querySelector('#findings li strong').textContent === '1 Nodule'")
    page.reload()
    page.wait_for_selector("#stage[data-ready='all']")
    page.wait_for_selector("#viewport svg text >> nth=6")
    assert findings(page)[0]["meaning"]["meaning"] == "Nodule"
    shot(page, "kinds")
    other = open_room("second", query=f"?instance={uid(1, 1, 7)}")
    assert other.locator("#findings li").count() == 8
    assert other.locator("#findings .more button").count() == 0
    for _ in range(8):
        page.keyboard.press("n")
        page.wait_for_selector("#findings li.here")
        page.keyboard.press("Delete")
        page.wait_for_selector("#findings li.here", state="detached")
    assert findings(page) == []


def test_planes_slab_cine_and_an_earlier_examination(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("y")
    # Slice 7 lies at 15 mm; the prior begins at 5 mm in steps of 1.25 mm.
    page.wait_for_selector("#stage[data-prior='8']")
    page.keyboard.press("ArrowUp")
    page.wait_for_selector("#stage[data-prior='6']")
    page.wait_for_timeout(300)
    shot(page, "prior")
    page.keyboard.press("y")
    page.wait_for_selector("#prior", state="hidden")
    page.keyboard.press("v")
    page.wait_for_selector("#stage[data-planes='open']")
    assert page.locator("#planes canvas").count() >= 3
    axial = page.locator("[data-plane='axial'] .edge").all_inner_texts()
    assert [text[:1] for text in axial] == ["R", "L", "A", "P"]
    page.wait_for_timeout(500)
    thin = plane_grey(page)
    assert max(thin) > 100
    page.keyboard.press("o")
    page.wait_for_selector("#stage[data-slab='highest']")
    page.wait_for_timeout(300)
    highest = plane_grey(page)
    assert sum(highest) > sum(thin)
    page.keyboard.press("o")
    page.keyboard.press("o")
    page.keyboard.press("o")
    page.wait_for_selector("#stage[data-slab='thin'][data-plane-masks='2']")
    page.click("#legend li:nth-child(2) input")
    page.click("#presets button:nth-child(3)")
    page.wait_for_timeout(500)
    shot(page, "planes")
    both, only_mask, only_bright = page.evaluate(OVERLAP, ["#plane-axial", "#plane-masks-axial"])
    assert (2 * both) / (2 * both + only_mask + only_bright) > 0.95, (both, only_mask, only_bright)
    # The other planes cut the lungs and the air around, which are dark and under the other mask.
    page.click("#legend li:nth-child(1) input")
    page.click("#legend li:nth-child(2) input")
    page.wait_for_timeout(300)
    shot(page, "planes-lung")
    for plane in ("coronal", "sagittal"):
        both, only_mask, only_bright = page.evaluate(OVERLAP, [f"#plane-{plane}", f"#plane-masks-{plane}"])
        assert only_mask > 5000, plane
        assert both < 0.05 * only_mask, (plane, both, only_mask)
        assert only_bright > 1000, plane
    page.keyboard.press("m")
    page.wait_for_timeout(200)
    assert page.evaluate(OVERLAP, ["#plane-coronal", "#plane-masks-coronal"])[1] == 0
    page.keyboard.press("m")
    page.keyboard.press("Escape")
    page.wait_for_selector("#planes", state="hidden")
    page.wait_for_selector("#stage[data-index='5']")
    page.keyboard.press("q")
    page.wait_for_selector("#stage[data-index='8']")
    page.keyboard.press("q")
    page.wait_for_selector("#stage[data-cine='off']")


def plane_grey(page: Page) -> list[int]:
    """Grey levels of the coronal plane, 32 × 32."""
    script = """(canvas) => {
        const small = new OffscreenCanvas(32, 32).getContext('2d');
        small.drawImage(canvas, 0, 0, 32, 32);
        return [...small.getImageData(0, 0, 32, 32).data].filter((value, at) => at % 4 === 0);
    }"""
    found: list[int] = page.locator("#plane-coronal canvas").first.evaluate(script)
    return found


def drawing(page: Page) -> dict[str, Any]:
    found: dict[str, Any] = api(page, f"/api/reading/series/{uid(1, 1)}/drawing")
    return found


def drawn_slices(page: Page, segment: int = 1) -> dict[int, Any]:
    """Masks (row, column) of a segment by slice, as the node has them."""
    return {
        item["slice"]: mask_of_runs(item["runs"], (128, 96))
        for item in drawing(page)["slices"]
        if item["segment"] == segment
    }


def wait_for_drawn(
    page: Page, is_there: Callable[[dict[int, Any]], bool], segment: int = 1
) -> dict[int, Any]:
    """Wait until the node has what was drawn; several strokes may have come in one request."""
    for _ in range(300):
        found = drawn_slices(page, segment)
        if is_there(found) and page.inner_text("#status") != "Saving …":
            return found
        page.wait_for_timeout(50)
    pytest.fail(f"the node has slices {sorted(found)}; {page.inner_text('#status')}")


def test_a_mask_is_drawn_corrected_and_stored(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("d")
    drag(page, (0.40, 0.40), (0.55, 0.40))
    (mask,) = wait_for_drawn(page, bool).values()
    # A capsule of 8 mm width: every pixel of it in millimetres, whatever the zoom of the screen.
    rows, columns = np.nonzero(mask)
    assert np.ptp(rows) * 0.8 == pytest.approx(8, abs=0.9)
    length = np.ptp(columns) * 0.7 - 8
    assert mask.sum() * 0.8 * 0.7 == pytest.approx(np.pi * 16 + 8 * length, rel=0.06)
    # Undo and redo, also of an eraser, and a fill between slices that the node does.
    page.keyboard.press("Control+z")
    wait_for_drawn(page, lambda found: not found)
    page.keyboard.press("Control+y")
    assert (wait_for_drawn(page, bool)[6] == mask).all()
    page.keyboard.press("x")
    drag(page, (0.55, 0.40), (0.58, 0.40))
    erased = wait_for_drawn(page, lambda found: 0 < found[6].sum() < mask.sum())[6]
    assert not (erased & ~mask).any()
    for index in (7, 8, 9):
        page.keyboard.press("c")
        page.wait_for_selector(f"#stage[data-index='{index}']")
    wait_for_drawn(page, lambda found: sorted(found) == [6, 7, 8, 9])
    page.keyboard.press("s")
    page.keyboard.down("Shift")
    outline(page, [(0.42, 0.30), (0.58, 0.30), (0.58, 0.55), (0.42, 0.55)])
    page.keyboard.up("Shift")
    wait_for_drawn(page, lambda found: found[9].sum() < erased.sum() / 2)
    shot(page, "drawing")
    page.keyboard.press("Control+s")
    page.wait_for_selector("#legend li:nth-child(3)")
    page.wait_for_selector("text=Stored in the archive.")
    assert drawing(page)["finished"]


def test_growing_takes_the_nodule_and_a_pre_label_is_corrected(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.click("#drawing-panel summary")
    page.fill("#lowest", "80")
    page.fill("#highest", "120")
    page.locator("#stage").focus()
    page.keyboard.press("f")
    # The nodule lies at row 60 and column 28 of 128 × 96; one millimetre is as long in both directions.
    page.mouse.click(*screen_of(page, 60, 28))
    grown = wait_for_drawn(page, bool)
    assert all((grown[index] == (chest()[index] == 100)).all() for index in grown)
    assert len(grown) == int((chest() == 100).any(axis=(1, 2)).sum())
    page.locator("#legend .correct").first.click()
    page.wait_for_selector("#drawn-segments li:nth-child(3)")
    taken = wait_for_drawn(page, lambda found: 6 in found, segment=2)
    assert (taken[6] == (chest()[6] == 100)).all()
    shot(page, "corrected")


def screen_of(page: Page, row: float, column: float) -> tuple[float, float]:
    """Where a pixel lies on the screen, by the length of the ruler alone: the image is centred."""
    box = page.locator("#viewport").bounding_box()
    ruler = page.locator("#ruler").bounding_box()
    assert box is not None
    assert ruler is not None
    label = page.inner_text("#ruler-label").split()
    per_mm = ruler["width"] / (float(label[0]) * (10 if label[1] == "cm" else 1))
    return (
        box["x"] + box["width"] / 2 + (column - 47.5) * 0.7 * per_mm,
        box["y"] + box["height"] / 2 + (row - 63.5) * 0.8 * per_mm,
    )


def test_a_lost_network_and_a_crash_lose_no_stroke(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("d")
    drag(page, (0.40, 0.40), (0.45, 0.40))
    before = wait_for_drawn(page, bool)[6].sum()
    page.route("**/drawing?based_on=*", lambda route: route.abort())
    drag(page, (0.50, 0.60), (0.60, 0.60))
    page.wait_for_timeout(300)
    assert drawn_slices(page)[6].sum() == before
    # The tab is gone before the network is back; the next one sends what was drawn.
    page.unroute("**/drawing?based_on=*")
    page.evaluate("location.reload()")
    page.wait_for_timeout(200)
    page.wait_for_selector("#stage[data-ready='all']")
    wait_for_drawn(page, lambda found: found[6].sum() > before)


def test_a_normal_report_is_signed_by_keyboard(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    page = open_room("second")
    actions = ["Alt+n", "Control+Enter", "Enter"]
    page.wait_for_selector("#report fieldset")
    page.keyboard.press(actions[0])
    wait_until(page, "document.activeElement.id === 'sign'")
    page.keyboard.press(actions[1])
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press(actions[2])
    page.wait_for_selector("#report-panel.signed")
    shot(page, "signed")
    report = api(page, f"/api/reading/imaging-studies/{uid(1)}/report/questionnaire-response")
    assert report["status"] == "completed"
    with node[1].connect() as connection:
        (entry,) = AuditLog("node").entries(connection, action="report.sign")
    shown = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    assert (entry.actor, entry.details["sha256"]) == ("second", shown["signed_hash"])
    page.reload()
    page.wait_for_selector("#report-panel.signed")
    assert page.locator("#report input:not(:disabled):not([readonly])").count() == 0
    assert len(actions) <= 25
    # Amended with a reason, signed again, read as a page.
    page.click("#amend")
    page.fill("#words-text", "Side was wrong.")
    page.click("#words-dialog button[value=send]")
    page.wait_for_selector("#report-panel:not(.signed)")
    wait_until(page, "document.querySelector('#amending').textContent.includes('Side was wrong.')")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    page.click("#read-report")
    page.wait_for_selector("text=Version")
    assert page.locator("dd:has-text('Side was wrong.')").count() == 1
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    shot(page, "report")


def test_a_reader_works_a_list_off_by_keyboard(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    page = open_room()
    page.goto(page.url.partition("/reading")[0] + "/reading/worklist")
    page.wait_for_selector("text=Next case")
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    shot(page, "worklist")
    # From the list to a signed report and back to the list, without the mouse.
    page.locator("text=Next case").focus()
    actions = ["Enter", "Alt+n", "Control+Enter", "Enter", "Alt+j"]
    page.keyboard.press(actions[0])
    page.wait_for_selector("#stage[data-ready='all']")
    page.keyboard.press(actions[1])
    wait_until(page, "document.activeElement.id === 'sign'")
    page.keyboard.press(actions[2])
    page.wait_for_selector("#sign-dialog[open]")
    page.keyboard.press(actions[3])
    page.wait_for_selector("#report-panel.signed")
    page.keyboard.press(actions[4])
    page.wait_for_selector("text=1 / 1")
    assert page.locator("text=Next case").count() == 0
    assert len(actions) <= 25


def test_form_asks_what_matters_and_takes_a_size_from_the_image(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    page.keyboard.press("l")
    drag(page, (0.3, 0.4), (0.36, 0.4))
    wait_for_saved(page, 1)
    page.click("#findings button.finding")
    yes = "[data-path='lungs/nodules-present'] label:has-text('yes')"
    assert page.locator("[data-path='lungs/nodules']").is_hidden()
    page.click(yes)
    page.click("text=+ Nodule")
    size = "[data-path='lungs/nodules[0]/nodule-size']"
    page.click(f"{size} .take")
    page.wait_for_selector(f"{size} .source:visible")
    (found,) = findings(page)
    value = found["numbers"][0]["value"]
    assert page.input_value(f"{size} input") == f"{value:.1f}"
    report = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    (lungs,) = [item for item in report["items"] if item["linkId"] == "lungs"]
    text = json.dumps(lungs)
    assert f'"valueDecimal": {value!r}' in text
    assert found["id"] in text
    # A sum that the node computes, digits as answers, and a reason at the field when something is missing.
    page.click("[data-path='lungs/opacities-present'] label:has-text('yes')")
    page.wait_for_selector("[data-path='lungs/opacities']:visible")
    for lobe, score in zip(("ru", "rm", "rl", "lu", "ll"), (1, 0, 5, 2, 3), strict=True):
        page.locator(f"[data-path='lungs/opacities/score-{lobe}'] input").first.focus()
        page.keyboard.press(str(score))
    score = "[data-path='lungs/opacities/score-sum'] input"
    wait_until(page, f'document.querySelector("{score}").value === "11"')
    page.keyboard.press("Control+Enter")
    page.wait_for_selector("text=This question needs an answer. >> visible=true")
    shot(page, "form")
    assert page.locator("#sign-dialog[open]").count() == 0
    page.reload()
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.input_value("[data-path='lungs/opacities/score-sum'] input") == "11"


@pytest.mark.parametrize("language", ["en-GB", "de-DE"])
def test_room_has_no_barrier_and_speaks_its_language(open_room: OpenRoom, language: str) -> None:
    page = open_room(language=language)
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []
    assert (
        page.locator("#normal")
        .inner_text()
        .startswith("Alles Übrige" if language == "de-DE" else "Everything else")
    )
    page.locator("#stage").focus()
    page.keyboard.press("?")
    page.wait_for_selector("#help-dialog[open]")
    assert page.locator("#help-dialog dt").count() == len(KEYS)
    shot(page, f"keys-{language}")
    found = [
        f"{item['id']}: {item['nodes'][0]['target']}"
        for item in Axe().run(page, options=AXE).response["violations"]
    ]
    assert found == []


def test_who_may_not_measure_has_no_tools_for_it(open_room: OpenRoom) -> None:
    page = open_room("informatician")
    assert page.locator("[data-tool='Length']").count() == 0
    assert page.locator("#report").count() == 0
    page.keyboard.press("l")
    assert page.inner_text("#status") == "Your roles do not allow this."


def signed_in(browser: Browser, address: str, name: str) -> APIRequestContext:
    """Somebody who asks the node without a page."""
    request = browser.new_context(extra_http_headers={"Origin": address}).request
    form = {"username": name, "password": PASSWORD}
    assert request.post(f"{address}/login", form=form, max_redirects=0).status == 303
    return request


def read_and_sign(somebody: APIRequestContext, address: str, columns: slice, score: int) -> None:
    """Draw a box around the nodule, answer all but one question as normal, and sign."""
    place = f"{address}/api/reading/series/{uid(1, 1)}/drawing"
    made = somebody.post(f"{place}/segments?based_on=0&label=SCT:27925004").json()
    mask = np.zeros((128, 96), np.bool_)
    mask[52:68, columns] = True
    stroke = [{"segment": 1, "slice": 6, "runs": runs_of(mask)}]
    saved = somebody.patch(f"{place}?based_on={made['revision']}", data=stroke).json()
    assert somebody.post(f"{place}/finish?based_on={saved['revision']}").ok
    report = f"{address}/api/reading/imaging-studies/{uid(1)}/report"
    scores = {"ru": score, "rm": 0, "rl": 0, "lu": 0, "ll": 0}
    opacities = [
        {"linkId": f"score-{lobe}", "answer": [{"valueInteger": value}]} for lobe, value in scores.items()
    ]
    lungs = [
        {"linkId": "opacities-present", "answer": [{"valueBoolean": True}]},
        {"linkId": "opacities", "item": opacities},
    ]
    kept = somebody.put(f"{report}?based_on=0", data=[{"linkId": "lungs", "item": lungs}]).json()
    filled = somebody.post(f"{report}/normal?based_on={kept['revision']}").json()
    assert filled["problems"] == []
    assert somebody.post(f"{report}/sign?based_on={filled['revision']}").ok


def test_a_third_reader_decides_with_both_readings_in_sight(
    open_room: OpenRoom, node: tuple[str, Database], browser: Browser
) -> None:
    address, _ = node
    tasks = {"series": [uid(1, 1)], "readers": ["reader", "second"], "adjudicator": "third"}
    manager = signed_in(browser, address, "informatician")
    assert manager.post(f"{address}/api/reading/worklists/decide/tasks", data=tasks).json() == {"added": 3}
    read_and_sign(signed_in(browser, address, "reader"), address, slice(20, 36), 1)
    read_and_sign(signed_in(browser, address, "second"), address, slice(24, 40), 3)
    page = open_room("third", f"?list=decide&instance={uid(1, 1, 7)}", "de-DE")
    page.wait_for_selector("#stage[data-masks='6']")
    assert "Abweichende Antworten: 2" in page.inner_text("#differing")
    # Boxes of 16 columns that share 12: Dice 0.75.
    assert "0,75" in page.inner_text("#mask-agreement")
    shown = page.locator("#legend li:has(input:checked)").all_inner_texts()
    assert [name.partition("· ")[2].split()[0] for name in shown] == ["reader", "second"]
    page.click("#decision-panel summary")
    shot(page, "decision-panel")
    assert "Kappa" in page.inner_text("#list-agreement")
    names = page.locator("#legend li").all_inner_texts()
    assert any("· reader" in name for name in names)
    assert any("· second" in name for name in names)
    page.click("#begin-ways button >> nth=0")
    wait_until(page, "document.querySelector('#status').textContent === 'Gespeichert'")
    both = page.locator("[data-path='lungs/opacities/score-ru'] .readings")
    assert both.inner_text().split("\n") == ["≠", "reader: 1", "second: 3"]
    both.scroll_into_view_if_needed()
    shot(page, "decision")
    both.locator("button >> nth=1").click()
    wait_until(page, "document.querySelector('#report-open').textContent.includes('signiert werden')")
    violations = Axe().run(page, options=AXE).response["violations"]
    assert violations == []
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    shot(page, "decision-whole")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    case = f"/api/reading/worklists/decide/cases/{uid(1)}/decision"
    assert api(page, case)["whose"]["lungs/opacities/score-ru"] == "second"


def test_a_list_is_made_of_a_dataset_and_a_protocol(open_room: OpenRoom, node: tuple[str, Database]) -> None:
    address, _ = node
    page = open_room("informatician", language="de-DE")

    def look(name: str) -> None:
        found = [
            f"{item['id']}: {item['nodes'][0]['target']}"
            for item in Axe().run(page, options=AXE).response["violations"]
        ]
        assert found == [], name
        shot(page, name)

    page.goto(f"{address}/reading/protocols/new")
    text = page.input_value("#text")
    page.fill("#text", text.replace("version: 1", "version: one").replace("hanging:", "hangings:"))
    page.click("main button.primary")
    assert page.locator("[role=alert] li").count() == 2
    look("protocol-wrong")
    page.fill("#text", text)
    page.click("main button.primary")
    page.wait_for_selector("text=lung-pilot|1")
    page.goto(f"{address}/reading/lists/new")
    page.select_option("#study", "PROJ-1")
    page.select_option("#protocol", "lung-pilot|1")
    page.fill("#name", "studie")
    page.check("input[value=reader]")
    page.check("input[value=second]")
    page.select_option("#adjudicator", "third")
    page.click("button[value=look]")
    assert "2" in page.inner_text("[role=status] strong >> nth=0")
    look("list-new")
    page.click("button[value=make]")
    page.wait_for_url("**/reading/lists/studie")
    look("list")
    page.select_option("select[name=to] >> nth=0", "third")
    page.click("form button.second >> nth=0")
    assert (
        page.locator("[role=alert]").inner_text()
        == "Diese Person befundet oder entscheidet denselben Fall schon."
    )
    page.goto(f"{address}/preferences?theme=dark&next=/reading/lists")
    look("lists")


PREFILLED = """
name: prefilled
version: 1
template: urn:racoon:questionnaire:thorax-short
series: {prefer: first series}
hanging: {window: Lung}
blinding: {readers: false}
proposals:
  - question: emphysema
    biomarker: laa_950
    answers: [{from: 0, answer: "272519000"}, {from: 5, answer: "255604002"}]
"""


def test_a_measured_value_is_proposed_and_accepted(
    open_room: OpenRoom, node: tuple[str, Database], browser: Browser
) -> None:
    address, database = node
    with database.begin() as connection:
        measured.save_series(connection, [value(1, "laa_950", 7.5)], [], ("PROJ-1", "a" * 64, uid(1, 1)))
    manager = signed_in(browser, address, "informatician")
    assert manager.post(f"{address}/api/reading/protocols", data={"document": PREFILLED}).ok
    wanted = {"protocol": "prefilled|1", "study": "PROJ-1", "readers": ["reader"]}
    assert manager.post(f"{address}/api/reading/worklists/prefilled/from-protocol", data=wanted).ok
    page = open_room(query="?list=prefilled", language="de-DE")
    # The protocol's window, not the site's.
    assert page.locator("#presets button[aria-pressed='true']").inner_text().endswith("Lunge")
    proposal = page.locator("[data-proposal='lungs/emphysema']")
    assert "laa_950 7,5 %" in proposal.inner_text()
    assert page.locator("[data-path='lungs/emphysema'] input:checked").count() == 0
    proposal.scroll_into_view_if_needed()
    shot(page, "proposal")
    found = [item["id"] for item in Axe().run(page, options=AXE).response["violations"]]
    assert found == []
    proposal.locator("button >> nth=0").click()
    page.wait_for_selector("[data-proposal='lungs/emphysema'][data-state='accepted']")
    assert page.locator("[data-path='lungs/emphysema'] input:checked").count() == 1
    page.keyboard.press("Alt+n")
    wait_until(page, "document.querySelector('#report-open').textContent.includes('signiert werden')")
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Enter")
    page.wait_for_selector("#report-panel.signed")
    response = api(page, f"/api/reading/imaging-studies/{uid(1)}/report/questionnaire-response")
    assert json.dumps(response).count('"valueCode": "automatic"') == 1
