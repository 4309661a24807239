"""The gallery in a real Chromium by keyboard alone: select, tag, save a view, freeze; its pages without a barrier."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from racoon.domain.identity import Role
from racoon.platform.auth import AccountStore
from racoon.platform.http import Listener, serve_in_thread
from tests.node_rooms import PASSWORD
from tests.unit.node.curation.filled import filled_node

pytestmark = [pytest.mark.external, pytest.mark.slow, pytest.mark.timeout(300)]

AXE = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    node = filled_node(tmp_path_factory.mktemp("gallery"))
    AccountStore("node").create(node.rooms.database, "rita", PASSWORD, [Role.DATA_MANAGER])
    with serve_in_thread([Listener(node.app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}"
    node.close()


Open = Callable[[str, str], Page]


@pytest.fixture
def open_page(browser: Browser, address: str) -> Iterator[Open]:
    complaints: list[str] = []
    contexts = []

    def open_(path: str, language: str) -> Page:
        context = browser.new_context(viewport={"width": 1366, "height": 800}, locale=language)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda line: complaints.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{address}{path}")
        page.fill("[name=username]", "rita")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def test_a_dataset_is_curated_without_a_mouse(open_page: Open) -> None:
    page = open_page("/gallery", "en-GB")
    page.wait_for_selector(".tile img[src]")
    page.wait_for_selector(".facet")
    assert page.locator(".tile:visible").count() == 4
    press = page.keyboard.press
    press("ArrowRight")
    press("x")
    press("Shift+ArrowRight")
    assert page.text_content("#selected") == "2 selected"
    press("t")
    page.keyboard.type("blurred")
    press("Enter")
    page.wait_for_selector("#quick button:has-text('blurred')")
    page.wait_for_selector(".tile .tags:text('blurred')")
    # The number of a tag takes it where all that is selected has it.
    press("1")
    page.wait_for_selector("#said:text('Untagged.')")
    page.wait_for_load_state("networkidle")
    press("1")
    page.wait_for_selector("#said:text-is('Tagged.')")
    press("s")
    page.keyboard.type("everything here")
    press("Enter")
    page.wait_for_selector("#views option:nth-child(2)", state="attached")
    press("f")
    page.fill("#freeze-name", "chest")
    press("Enter")
    page.wait_for_selector("#said:has-text('The dataset is frozen. 2 series')")
    press("?")
    assert page.locator("#keys").is_visible()
    assert Axe().run(page, options=AXE).response["violations"] == []
    press("Escape")
    # A facet narrows the list, and the address keeps it.
    page.locator("[data-facet='tag=blurred']").check()
    page.wait_for_function("() => document.getElementById('count').textContent.startsWith('2 ')")
    assert page.url.endswith("/gallery?tag=blurred")


@pytest.mark.parametrize(
    "path", ["/gallery", "/gallery/compare?first=all&second=tag:blurred", "/reading/answers"]
)
def test_the_pages_have_no_barrier_in_german(open_page: Open, path: str) -> None:
    page = open_page(path, "de-DE")
    page.wait_for_selector("h1", state="attached")
    assert page.get_attribute("html", "lang") == "de"
    assert Axe().run(page, options=AXE).response["violations"] == []
