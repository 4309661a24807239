"""What lies over an image: uptake in colour, on slices and planes; sections, and their traces."""

from __future__ import annotations

import math

import numpy as np

from tests.browser.reading_room.room import (
    MARKS,
    OBLIQUE,
    OpenRoom,
    findings,
    grey,
    laid_out,
    pixel_affine,
    screen_of,
    shot,
    wait_for_drawn,
    wait_for_saved,
    wait_until,
)
from tests.dicom_objects import uid

pytestmark = MARKS


COLOURED = """canvas => {
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let [count, x, y] = [0, 0, 0];
    for (let at = 0; at < width * height; at++) {
        const [red, green, blue, alpha] = pixels.subarray(4 * at, 4 * at + 4);
        if (alpha < 30 || red < 200 || green < 60) continue;
        count++; x += at % width; y += Math.floor(at / width);
    }
    return [count, x / count, y / count];
}"""
"""How many pixels are yellow or white, and their middle."""


HOTTEST = """canvas => {
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let found = [0, 0, 0, 0];
    for (let at = 0; at < width * height; at++) {
        const [red, green, blue, alpha] = pixels.subarray(4 * at, 4 * at + 4);
        const isHotter = red + green + blue > found[0] + found[1] + found[2];
        if (alpha > 60 && alpha < 200 && isHotter) found = [red, green, blue, alpha];
    }
    return found;
}"""
"""Colour and opacity where the layer is highest; rims of masks are opaque."""


MIDDLE = """canvas => {
    const { width, height } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, 0, width, height).data;
    let [sum, x, y] = [0, 0, 0];
    for (let at = 0; at < width * height; at++) {
        // What lies on the nodule, of the layer half and more of its highest value, of the mask everything.
        if (pixels[4 * at + 3] < 100) continue;
        sum++; x += at % width + 0.5; y += Math.floor(at / width) + 0.5;
    }
    return [x / sum / width, y / sum / height];
}"""
"""Middle of what covers a canvas, in parts of its size."""


def test_uptake_is_shown_in_suv_and_fused_over_its_ct(open_room: OpenRoom) -> None:
    page = open_room()
    address = page.url.split("/reading")[0]
    page.goto(f"{address}/reading/series/{uid(3, 7)}?instance={uid(3, 7, 7)}")
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.locator("#window-label").inner_text() == "SUV 0 – 5"
    assert page.locator("#stage").get_attribute("data-inverted") == "true"
    dark = grey(page)
    assert max(dark) > 180  # SUV 1 of 5 on white ground
    assert min(dark) < 30
    page.keyboard.press("p")
    page.mouse.click(*screen_of(page, 60, 28))
    wait_for_saved(page, 1)
    assert abs(float(page.locator("#findings .numbers").get_attribute("data-value") or 0) - 8.0) < 0.01
    assert "SUV" in page.inner_text("#findings .numbers")
    shot(page, "pet")
    page.keyboard.press("F")
    page.wait_for_selector("#stage[data-layer]")
    page.wait_for_selector(f"#series-list a[data-series='{uid(3, 1)}'][aria-current]")
    page.keyboard.press("Home")
    for _ in range(6):
        page.keyboard.press("ArrowDown")
    page.wait_for_selector("#stage[data-layer='6']")
    page.wait_for_selector("#stage[data-masks='6']")
    count, x, y = page.locator("#overlay").evaluate(COLOURED)
    box = page.locator("#viewport").bounding_box()
    assert box is not None
    # The middle of the uptake is the middle of the nodule, by the ruler alone.
    wanted = screen_of(page, 60, 28)
    assert count > 200
    assert np.hypot(box["x"] + x - wanted[0], box["y"] + y - wanted[1]) < 12
    assert page.inner_text("#layer-label") == "SUV 0 – 10"
    shot(page, "fused")
    for _ in range(5):
        page.keyboard.press("<")
    wait_until(page, "document.querySelector('#layer-opacity').value === '0'")
    page.wait_for_timeout(200)
    assert page.locator("#overlay").evaluate(COLOURED)[0] == 0
    page.keyboard.press("F")
    wait_until(page, "!document.querySelector('#stage').dataset.layer")


def test_uptake_lies_over_the_three_planes_as_over_the_slices(open_room: OpenRoom) -> None:
    page = open_room()
    address = page.url.split("/reading")[0]
    page.goto(f"{address}/reading/series/{uid(3, 1)}?instance={uid(3, 1, 7)}")
    page.wait_for_selector("#stage[data-ready='all'][data-index='6']")
    page.keyboard.press("F")
    page.wait_for_selector("#stage[data-layer='6'][data-masks='6']")
    wanted = screen_of(page, 60, 28)
    hottest = page.locator("#overlay").evaluate(HOTTEST)
    # The same colours in three planes, at the same place of the patient: the middle of the nodule is that of its mask.
    page.click("#drawing-panel summary")
    page.fill("#lowest", "80")
    page.fill("#highest", "120")
    page.locator("#stage").focus()
    page.keyboard.press("f")
    page.mouse.click(*wanted)
    page.wait_for_selector("#drawn-segments li")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")
    page.keyboard.press("w")
    page.keyboard.press("v")
    page.wait_for_selector("#stage[data-planes='open'][data-plane-layer='shown']")
    page.wait_for_timeout(800)
    shot(page, "planes-fused")
    # On the plane that was drawn on the mask is the whole nodule; a voxel of the PET is larger than one of the CT.
    box = page.locator("#plane-axial").bounding_box()
    assert box is not None
    hot, drawn = (page.locator(f"#plane-{what}-axial").evaluate(MIDDLE) for what in ("layer", "masks"))
    assert np.abs((np.array(hot) - drawn) * (box["width"], box["height"])).max() < 8
    page.mouse.click(box["x"] + hot[0] * box["width"], box["y"] + hot[1] * box["height"])
    page.wait_for_timeout(800)
    shot(page, "planes-fused")
    for plane in ("axial", "coronal", "sagittal"):
        layer = page.locator(f"#plane-layer-{plane}")
        assert layer.evaluate(COLOURED)[0] > 50, plane
        assert np.abs(np.array(layer.evaluate(HOTTEST)) - hottest).max() <= 3, plane
    page.keyboard.press("o")
    page.wait_for_selector("#stage[data-slab='highest']")
    page.wait_for_timeout(500)
    thick = page.locator("#plane-layer-coronal").evaluate(COLOURED)[0]
    page.keyboard.press("o")
    page.keyboard.press("o")
    page.wait_for_selector("#stage[data-slab='lowest']")
    page.wait_for_timeout(500)
    assert page.locator("#plane-layer-coronal").evaluate(COLOURED)[0] < thick
    page.keyboard.press("o")
    page.keyboard.press("Escape")
    page.wait_for_selector("#planes", state="hidden")


YELLOW = """(canvas, row) => {
    const { width } = canvas;
    const pixels = canvas.getContext('2d').getImageData(0, row - 2, width, 5).data;
    const columns = [];
    for (let at = 0; at < width * 5; at++) {
        const [red, green, blue, alpha] = pixels.subarray(4 * at, 4 * at + 4);
        if (alpha > 200 && red > 230 && green > 200 && blue < 160) columns.push(at % width);
    }
    return [Math.min(...columns), Math.max(...columns)];
}"""
"""First and last column of the trace of a section."""


def test_diameters_are_measured_across_a_marked_line(open_room: OpenRoom) -> None:
    page = open_room(query=f"?instance={uid(1, 1, 3)}")
    page.wait_for_selector("#stage[data-index='2']")
    before = laid_out(page)
    page.keyboard.press("L")
    page.wait_for_selector("#stage[data-marking]")
    assert page.inner_text("#status").startswith("Click at least two places")
    assert laid_out(page) == before  # the image stays where it is when a sentence comes
    shot(page, "marking")
    page.mouse.click(*screen_of(page, 60, 28))
    page.keyboard.press("PageDown")
    page.wait_for_selector("#stage[data-index='11']")
    page.mouse.click(*screen_of(page, 60, 28))
    page.keyboard.press("L")
    wait_until(page, "document.querySelector('#stage').dataset.section")
    middle_of_line = int(page.locator("#stage").get_attribute("data-section") or -1)
    assert middle_of_line in (11, 12)  # half of 22.5 mm
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f"#stage[data-section='{middle_of_line + 1}']")
    picture = page.locator("#section-picture")
    box = picture.bounding_box()
    assert box is not None
    for right, down in ((0.1, 0.0), (0.0, 0.05)):  # parts of 60 mm to both sides of the middle
        middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        page.mouse.move(middle[0] - right * box["width"], middle[1] - down * box["height"])
        page.mouse.down()
        page.mouse.move(middle[0] + right * box["width"], middle[1] + down * box["height"], steps=3)
        page.mouse.up()
    shot(page, "section")
    page.click("#section-store")
    wait_for_saved(page, 1)
    (finding,) = findings(page)
    numbers = {number["name"]: number["value"] for number in finding["numbers"]}
    assert abs(numbers["long_axis"] - 12.0) < 0.3
    assert abs(numbers["short_axis"] - 6.0) < 0.3
    # The line stands upright on the slices, so both ends lie in a plane parallel to them.
    points = np.array(finding["points_mm"])
    normal = np.cross(pixel_affine()[:, 1], pixel_affine()[:, 0])
    assert np.abs((points[2:] - points[0]) @ normal / np.linalg.norm(normal)).max() < 0.05
    page.goto(page.url.split("/reading")[0] + finding["link"])
    page.wait_for_selector("#stage[data-ready='all'][data-section]")
    assert page.inner_text("#section-sizes").endswith("mm")
    page.keyboard.press("Escape")
    assert page.locator("#section").is_hidden()
    # The section lies in the slices' direction: its diameters are shown on the nearest one alone.
    page.wait_for_selector("#stage[data-traces='1']")
    nearest = int(page.locator("#stage").get_attribute("data-index") or -1)
    page.keyboard.press("ArrowDown")
    page.wait_for_selector(f"#stage[data-index='{nearest + 1}'][data-traces='0']")


def test_a_stored_section_is_seen_on_the_slices_it_cuts(open_room: OpenRoom) -> None:
    """A section across the rows: a line on each slice within reach, the chord of a circle as wide as its diameters."""
    page = open_room(query=f"?instance={uid(1, 1, 7)}")
    affine = pixel_affine()
    row, column = np.array(OBLIQUE[:3]), np.array(OBLIQUE[3:])
    upright = np.cross(row, column)
    middle = affine @ (60, 28, 1)
    ends = [middle - 8 * upright, middle + 8 * upright, middle - 6 * row, middle + 6 * row]
    body = {
        "kind": "section",
        "meaning": "SCT:52988006",
        "note": "",
        "imaging_study": uid(1),
        "series": uid(1, 1),
        "instance": uid(1, 1, 7),
        "frame": 1,
        "frame_of_reference": uid(1, 9999),
        "points_mm": [[float(value) for value in point] for point in (middle, middle + 10 * column, *ends)],
    }
    stored = page.evaluate(
        """async (body) => (await fetch(`/api/reading/findings/${crypto.randomUUID()}?based_on=0`, { method: 'PUT',
            headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) })).json()""",
        body,
    )
    assert "id" in stored, stored
    page.reload()
    page.wait_for_selector("#stage[data-ready='all'][data-index='6'][data-traces='1']")
    page.keyboard.press("m")
    # The trace is drawn in the row of the middle, as far as the longer diameter reaches; slices are 2.5 mm apart.
    for index, half in ((6, 8.0), (8, math.sqrt(64 - 25)), (9, math.sqrt(64 - 56.25)), (10, None)):
        page.keyboard.press("Home")
        page.wait_for_selector("#stage[data-index='0'][data-traces='0']")
        for step in range(index):
            page.keyboard.press("ArrowDown")
            page.wait_for_selector(f"#stage[data-index='{step + 1}']")
        page.wait_for_selector(f"#stage[data-traces='{0 if half is None else 1}']")
        if half is None:
            continue
        place = page.locator("#viewport").bounding_box()
        assert place is not None
        row_on_screen = round(screen_of(page, 60, 28)[1] - place["y"])
        left, right = page.locator("#overlay").evaluate(YELLOW, row_on_screen)
        for found, side in ((left, -1), (right, 1)):
            x, _ = screen_of(page, 60, 28 + side * half / 0.7)
            assert abs(place["x"] + found - x) < 9, index  # a gap between two dashes is 4 pixels wide
    page.keyboard.press("Home")
    for step in range(6):
        page.keyboard.press("ArrowDown")
        page.wait_for_selector(f"#stage[data-index='{step + 1}']")
    shot(page, "trace")
    page.mouse.click(*screen_of(page, 60, 32))
    page.wait_for_selector("#stage[data-section]")
    assert page.locator("#findings li.here").count() == 1
    assert page.inner_text("#section-sizes") == "16.0 mm × 12.0 mm"
    # With a pen in the hand the same click draws.
    page.keyboard.press("Escape")
    page.wait_for_selector("#section", state="hidden")
    page.keyboard.press("d")
    page.mouse.click(*screen_of(page, 60, 32))
    wait_for_drawn(page, bool)
    assert page.locator("#section").is_hidden()
