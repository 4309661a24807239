"""For each file a node with an invented chest: what is drawn there stays in its archive."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import sqlalchemy as sa
from playwright.sync_api import Browser, Page

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.reports.asking import Answers
from racoon.node.reading.work.model import Assignment
from racoon.node.reading.work.service import Work
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User, install_accounts
from racoon.platform.database import Database, create_all, metadata
from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.browser.reading_room.room import (
    OBLIQUE,
    PASSWORD,
    SERIES,
    THORAX,
    OpenRoom,
    chest,
    enhanced_mr,
    plain_film,
    uptake,
)
from tests.dicom_objects import ct_series, deidentified, segmentation, uid


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
    fused = ct_series(chest(), study=3, subject="SUBJ-3", orientation=OBLIQUE)
    others = [*fused, *uptake(), plain_film(), enhanced_mr()]
    archive.store([deidentified(item) for item in [*slices, made, *second, *earlier, *others]])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "reader", PASSWORD, [Role.READER])
    accounts.create(database, "second", PASSWORD, [Role.READER])
    accounts.create(database, "third", PASSWORD, [Role.READER])
    accounts.create(database, "informatician", PASSWORD, [Role.SITE_INFORMATICIAN])
    app.state.archive = archive
    app.state.answers = Answers(database, AuditLog("node"), lambda _column: sa.true())
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
