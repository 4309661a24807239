"""For each file a node with an invented chest: what is drawn there stays in its archive."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page

from racoon.platform.database import Database, metadata
from racoon.platform.http import Listener, serve_in_thread
from tests.browser.reading_room.room import PASSWORD, SERIES, OpenRoom
from tests.browser.reading_room.serving import app_of, fill


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Database]]:
    folder = tmp_path_factory.mktemp("room")
    fill(folder)
    app, database = app_of(folder)
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}", database
    database.dispose()


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
