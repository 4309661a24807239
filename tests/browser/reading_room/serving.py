"""A node with an invented chest: in the tests' own process, or in one of its own that may be killed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import uvicorn
from fastapi import FastAPI

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.reports.asking import Answers
from racoon.node.reading.work.model import Assignment
from racoon.node.reading.work.service import Work
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountStore, User, install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.pages import NavigationItem, Site, install_pages
from tests.browser.reading_room.room import (
    OBLIQUE,
    PASSWORD,
    THORAX,
    chest,
    enhanced_mr,
    plain_film,
    uptake,
)
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

READERS = ("reader", "second", "third")


def fill(folder: Path) -> None:
    """Make the database and the archive of a node in an empty folder, with its people and one reading list."""
    database, archive = _open(folder)
    create_all(database, "node")
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
    accounts = AccountStore("node")
    for name in READERS:
        accounts.create(database, name, PASSWORD, [Role.READER])
    accounts.create(database, "informatician", PASSWORD, [Role.SITE_INFORMATICIAN])
    Work(database, AuditLog("node"), archive).assign(
        User("informatician", frozenset({Role.SITE_INFORMATICIAN})),
        Assignment("pilot", THORAX, (uid(1, 1),), ("reader",), is_blinded=False, priority=2),
    )
    database.dispose()


def app_of(folder: Path) -> tuple[FastAPI, Database]:
    """Return the application over what a folder holds."""
    database, archive = _open(folder)
    app = create_app("node", "0", login_path="/login")
    install_accounts(app, "node", database)
    app.state.archive = archive
    app.state.answers = Answers(database, AuditLog("node"), lambda _column: sa.true())
    app.state.study_choices = lambda: [("PROJ-1", "Lungs of one person")]
    app.state.series_of_study = lambda _study: [uid(1, 1), uid(1, 2), uid(2, 1)]
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(
        app,
        site=Site("ALPHA", "Node ALPHA"),
        navigation=[NavigationItem("/archive", "Archive", "archive.read")],
    )
    return app, database


def _open(folder: Path) -> tuple[Database, Archive]:
    database = Database(f"sqlite:///{folder}/node.sqlite")
    return database, Archive(database, LocalFolder(folder / "objects"))


if __name__ == "__main__":
    app, _ = app_of(Path(sys.argv[1]))
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
