"""OHIF's build is served to whoever may look at images, from its own folder only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from racoon.domain.identity import Role
from racoon.node.reading.http import second_viewer
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from tests.unit.node.archive.test_access import signed_in


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "dist"
    folder.mkdir()
    (folder / "index.html").write_text("<title>start page</title>", "utf-8")
    (folder / "100.bundle.cb02411ce321d4e4.js").write_text("program", "utf-8")
    (tmp_path / "secret.txt").write_text("not part of it", "utf-8")
    monkeypatch.setattr(second_viewer, "build_folder", folder.resolve)
    return folder


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "rita", "a long enough password", [Role.READER])
    app.include_router(second_viewer.router)
    yield app
    database.dispose()


def test_without_the_wheel_the_page_says_what_to_do(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_viewer, "build_folder", lambda: None)
    answer = signed_in(app, "rita").get("/ohif/viewer")
    assert answer.status_code == 404
    assert "make ohif" in answer.text


@pytest.mark.usefixtures("build")
def test_files_settings_and_start_page(app: FastAPI) -> None:
    rita = signed_in(app, "rita")
    program = rita.get("/ohif/100.bundle.cb02411ce321d4e4.js")
    assert (program.text, "immutable" in program.headers["cache-control"]) == ("program", True)
    settings = rita.get("/ohif/app-config.js").text
    assert settings.startswith("window.config = {")
    assert "http" not in settings.replace("http://", "")
    for path in ("/ohif", "/ohif/viewer?StudyInstanceUIDs=1.2.3", "/ohif/not-there.js"):
        page = rita.get(path)
        assert "start page" in page.text
        assert "connect-src 'self'" in page.headers["content-security-policy"]


@pytest.mark.usefixtures("build")
@pytest.mark.parametrize(
    "path", ["../secret.txt", "%2e%2e/secret.txt", "..%2fsecret.txt", "/etc/hostname", "a/../../secret.txt"]
)
def test_no_file_outside_of_the_build_is_given(app: FastAPI, path: str) -> None:
    assert "not part of it" not in signed_in(app, "rita").get(f"/ohif/{path}").text


@pytest.mark.usefixtures("build")
def test_strangers_get_nothing(app: FastAPI) -> None:
    stranger = signed_in(app, "rita")
    stranger.headers.pop("authorization", None)
    stranger.cookies.clear()
    assert stranger.get("/ohif/app-config.js", follow_redirects=False).status_code in (401, 303)
