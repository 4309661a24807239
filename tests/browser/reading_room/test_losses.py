"""Network cut, tab crash and a killed server, in the middle of segmenting, measuring and reporting: nothing is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.browser.reading_room.room import (
    MARKS,
    PASSWORD,
    SERIES,
    api,
    drag,
    drawn_slices,
    findings,
    shot,
    wait_for_drawn,
    wait_for_saved,
    wait_until,
)
from tests.browser.reading_room.serving import fill
from tests.dicom_objects import uid
from tests.waiting import eventually

pytestmark = MARKS

LATE = "a wedge at the base"


class Server:
    """A node in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.browser.reading_room.serving", self.folder, str(self.port)]
        self.process = subprocess.Popen(command)
        eventually(self.listens, timeout_s=60)

    def listens(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the node did not start"
        try:
            urllib.request.urlopen(f"{self.address}/login", timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    fill(tmp_path)
    found = Server(tmp_path)
    found.start()
    yield found
    found.kill()


@pytest.fixture
def enter(server: Server, browser: Browser) -> Iterator[Callable[[], Page]]:
    """Open the room in a new tab of one browser; the first time with a login."""
    context: BrowserContext = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en-GB")

    def open_() -> Page:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.goto(f"{server.address}{SERIES}?instance={uid(1, 1, 7)}")
        if page.locator("[name=password]").count():
            page.fill("[name=username]", "reader")
            page.fill("[name=password]", PASSWORD)
            page.click("main button")
        page.wait_for_selector("#stage[data-ready='all']")
        return page

    yield open_
    context.close()


def crash(page: Page) -> None:
    """Kill the process of a tab, as a crash does: no handler of the page runs."""
    browser = page.context.browser
    assert browser is not None
    processes = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    with page.expect_event("crash"):
        for process in processes:
            if process["type"] == "renderer":
                with suppress(ProcessLookupError):
                    os.kill(process["id"], signal.SIGKILL)
    page.close()


def test_a_killed_server_a_cut_network_and_a_crash_lose_no_stroke(
    server: Server, enter: Callable[[], Page]
) -> None:
    page = enter()
    page.keyboard.press("d")
    drag(page, (0.40, 0.40), (0.45, 0.40))
    first = wait_for_drawn(page, bool)[6]
    # The server is killed between two strokes; the hand goes on, and undoes one of three.
    server.kill()
    drag(page, (0.50, 0.60), (0.60, 0.60))
    drag(page, (0.50, 0.30), (0.60, 0.30))
    drag(page, (0.30, 0.70), (0.40, 0.70))
    page.keyboard.press("Control+z")
    wait_until(page, "document.querySelector('#status').classList.contains('bad')")
    server.start()
    # Without a touch of the page everything arrives.
    both = wait_for_drawn(page, lambda found: found[6].sum() > 2 * first.sum())[6]
    assert (both & first).sum() == first.sum()
    # Now the network is cut, strokes go on in another slice, and the tab crashes before it is back.
    context = page.context
    context.set_offline(True)
    page.keyboard.press("c")
    page.wait_for_selector("#stage[data-index='7']")
    drag(page, (0.45, 0.50), (0.55, 0.50))
    page.wait_for_timeout(200)
    crash(page)
    context.set_offline(False)
    page = enter()
    found = wait_for_drawn(page, lambda found: 7 in found and found[7].sum() > both.sum())
    assert (found[6] == both).all()
    assert not (both & ~found[7]).any()
    # A stroke that the server took before it was killed, with its answer still on the way, is there once.
    page.keyboard.press("x")
    drag(page, (0.40, 0.40), (0.45, 0.40))
    server.kill()
    crash(page)
    server.start()
    page = enter()
    wait_for_drawn(page, lambda now: now[6].sum() + now[7].sum() < found[6].sum() + found[7].sum())
    page.keyboard.press("Control+s")
    page.wait_for_selector("text=Stored in the archive.")
    shot(page, "nothing-lost")


def test_the_first_stroke_of_new_segments_is_drawn_without_a_network(
    server: Server, enter: Callable[[], Page]
) -> None:
    page = enter()
    context = page.context
    context.set_offline(True)
    page.keyboard.press("d")
    drag(page, (0.40, 0.40), (0.45, 0.40))
    page.wait_for_selector("#drawn-segments li >> nth=0")
    # A second segment on top of the first one, while the first is not saved yet.
    page.locator("#add-segment").click()
    page.wait_for_selector("#drawn-segments li >> nth=1")
    drag(page, (0.42, 0.40), (0.42, 0.50))
    colours = page.locator("#drawn-segments .swatch").evaluate_all(
        "(all) => all.map((one) => one.style.background)"
    )
    page.wait_for_timeout(200)
    crash(page)
    context.set_offline(False)
    page = enter()
    first = wait_for_drawn(page, bool)[6]
    second = wait_for_drawn(page, bool, segment=2)[6]
    assert (first & second).any()
    assert first.sum() != second.sum()
    shown = page.locator("#drawn-segments .swatch").evaluate_all(
        "(all) => all.map((one) => one.style.background)"
    )
    assert len(shown) == 2
    assert shown == colours
    # The network goes while the page is open and comes back: nothing is touched.
    context.set_offline(True)
    page.keyboard.press("d")
    page.locator("#add-segment").click()
    drag(page, (0.60, 0.60), (0.65, 0.60))
    wait_until(page, "document.querySelector('#status').classList.contains('bad')")
    context.set_offline(False)
    assert wait_for_drawn(page, bool, segment=3)[6].any()
    assert (drawn_slices(page, 2)[6] == second).all()


def test_a_killed_server_a_cut_network_and_a_crash_lose_no_mark(
    server: Server, enter: Callable[[], Page]
) -> None:
    page = enter()
    page.keyboard.press("l")
    drag(page, (0.30, 0.40), (0.45, 0.60))
    wait_for_saved(page, 1)
    (kept,) = findings(page)
    server.kill()
    drag(page, (0.60, 0.30), (0.60, 0.40))
    wait_until(page, "document.querySelector('#status').classList.contains('bad')")
    server.start()
    wait_for_saved(page, 2)
    context = page.context
    context.set_offline(True)
    drag(page, (0.35, 0.70), (0.45, 0.70))
    wait_until(page, "document.querySelector('#status').classList.contains('bad')")
    crash(page)
    context.set_offline(False)
    page = enter()
    wait_until(page, "document.querySelectorAll('#findings li').length === 3")
    found = findings(page)
    assert len(found) == 3
    assert kept in found
    page.wait_for_selector("#viewport svg text >> nth=2")


def test_a_killed_server_a_cut_network_and_a_crash_lose_no_answer(
    server: Server, enter: Callable[[], Page]
) -> None:
    page = enter()
    page.click("[data-path='lungs/opacities-present'] label:has-text('yes')")
    page.wait_for_selector("[data-path='lungs/opacities']:visible")
    scores = "[data-path='lungs/opacities/score-{}'] input"
    page.locator(scores.format("ru")).first.focus()
    page.keyboard.press("4")
    wait_until(page, "document.querySelector('#status').textContent === 'Saved'")
    server.kill()
    for lobe, score in (("rm", 3), ("rl", 2)):
        page.locator(scores.format(lobe)).first.focus()
        page.keyboard.press(str(score))
        page.wait_for_timeout(500)
    wait_until(page, "document.querySelector('#status').classList.contains('bad')")
    server.start()
    total = "[data-path='lungs/opacities/score-sum'] input"
    wait_until(page, f'document.querySelector("{total}").value === "9"')
    # The network is cut, answers and words go on, and the tab crashes in the middle of them.
    context = page.context
    context.set_offline(True)
    page.locator(scores.format("lu")).first.focus()
    page.keyboard.press("5")
    words = page.locator("#report textarea").last
    words.fill(LATE)
    words.dispatch_event("change")
    page.wait_for_timeout(1000)
    crash(page)
    context.set_offline(False)
    page = enter()
    wait_until(page, f'document.querySelector("{total}").value === "14"')
    assert page.locator("#report textarea").last.input_value() == LATE
    stored = api(page, f"/api/reading/imaging-studies/{uid(1)}/report")
    assert LATE in str(stored["items"])
    # Killed in the moment of typing, and the tab with it.
    page.locator(scores.format("ll")).first.focus()
    page.keyboard.press("1")
    server.kill()
    crash(page)
    server.start()
    page = enter()
    wait_until(page, f'document.querySelector("{total}").value === "15"')
    shot(page, "no-answer-lost")
    # A draft that went on elsewhere is not overwritten by what an old tab kept.
    context = page.context
    context.set_offline(True)
    page.locator(scores.format("ll")).first.focus()
    page.keyboard.press("0")
    page.wait_for_timeout(500)
    crash(page)
    context.set_offline(False)
    elsewhere = context.request
    report = f"{server.address}/api/reading/imaging-studies/{uid(1)}/report"
    before = elsewhere.get(report).json()
    saved = elsewhere.put(
        f"{report}?based_on={before['revision']}", data=before["items"], headers={"Origin": server.address}
    )
    assert saved.ok, saved.text()
    page = enter()
    assert page.input_value(total) == "15"
