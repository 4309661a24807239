"""Images, masks, planes and measurements on the screen."""

from __future__ import annotations

import numpy as np
import pytest

from tests.browser.reading_room.room import (
    MARKS,
    OBLIQUE,
    OVERLAP,
    SERIES,
    OpenRoom,
    api,
    drag,
    findings,
    grey,
    on_stage,
    outline,
    pixel_affine,
    plane_grey,
    shot,
    wait_for_saved,
    wait_until,
)
from tests.dicom_objects import uid

pytestmark = MARKS


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


def test_many_frames_in_one_object_and_a_plain_film(open_room: OpenRoom) -> None:
    page = open_room()
    address = page.url.split("/reading")[0]
    page.goto(f"{address}/reading/series/{uid(4, 2)}?instance={uid(4, 2, 1)}&frame=3")
    page.wait_for_selector("#stage[data-ready='all']")
    assert page.inner_text("#slice-label") == "3 / 6"
    third = max(grey(page))
    page.keyboard.press("End")
    page.wait_for_selector("#stage[data-index='5']")
    wait_until(page, "document.querySelector('#instance-label').textContent.endsWith('#6')")
    page.wait_for_timeout(500)
    assert max(grey(page)) > third + 60
    page.keyboard.press("l")
    drag(page, (0.45, 0.5), (0.55, 0.5))
    wait_for_saved(page, 1)
    found = api(page, f"/api/reading/imaging-studies/{uid(4)}/findings")["findings"][0]
    assert found["frame"] == 6
    ends = np.array(found["points_mm"])
    assert abs(found["numbers"][0]["value"] - np.linalg.norm(ends[1] - ends[0])) < 1e-6
    # The frame's own plane: ten millimetres above the first one.
    normal = np.cross(OBLIQUE[:3], OBLIQUE[3:])
    assert np.abs(ends @ normal - 10.0).max() < 1e-3
    page.keyboard.press("[")
    page.wait_for_selector(f"#series-list a[data-series='{uid(4, 1)}'][aria-current]")
    wait_until(page, "document.querySelector('#slice-label').textContent === '1 / 1'")
    page.wait_for_timeout(500)
    levels = np.array(grey(page)).reshape(64, 64)[:, 24:40]
    assert levels[8].mean() > levels[56].mean() + 60  # low values are bright
    page.keyboard.press("H")
    page.fill("#header-filter", "photometric")
    wait_until(page, "document.querySelectorAll('#header-elements tr').length === 1")
    assert "MONOCHROME1" in page.inner_text("#header-elements")
    page.keyboard.press("Escape")
    page.set_viewport_size({"width": 1200, "height": 1920})
    page.wait_for_timeout(500)
    stage, panel = (page.locator(part).bounding_box() for part in ("#stage", ".panel"))
    assert stage is not None
    assert panel is not None
    assert stage["width"] > 1000
    assert panel["y"] >= stage["y"] + stage["height"] - 1
    shot(page, "portrait")
    page.set_viewport_size({"width": 2400, "height": 1920})
    page.wait_for_timeout(500)
    panel = page.locator(".panel").bounding_box()
    assert panel is not None
    assert abs(panel["x"] - 1200) < 2
    shot(page, "two-monitors")
