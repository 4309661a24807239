"""Masks are drawn, corrected, stored, and outlive a lost network."""

from __future__ import annotations

import numpy as np
import pytest

from racoon.platform.database import Database
from tests.browser.reading_room.room import (
    MARKS,
    OpenRoom,
    chest,
    drag,
    drawing,
    drawn_slices,
    outline,
    screen_of,
    shot,
    wait_for_drawn,
)
from tests.dicom_objects import uid

pytestmark = MARKS


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
