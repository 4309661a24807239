"""OHIF as a second viewer below ``/ohif``, where its data-only wheel is installed (decision 0018).

Its published build with this node's settings; ``tools/build_ohif.py`` makes the wheel.  It reads and stores by
DICOMweb with the session of who opened it, so rights, blinding, withdrawals and audit are those of the archive;
nothing is decided here.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from starlette.responses import FileResponse, Response

from racoon.errors import Refused
from racoon.platform.auth import User, require

PREFIX = "/ohif"
PACKAGE = "racoon_ohif"

router = APIRouter(prefix=PREFIX, include_in_schema=False)

Viewer = Annotated[User, Depends(require("image.read"))]

SETTINGS = {
    "routerBasename": PREFIX,
    "extensions": [],
    "modes": [],
    "customizationService": {},
    "showStudyList": True,
    "maxNumberOfWebWorkers": 2,
    "measurementTrackingMode": "simplified",
    "investigationalUseDialog": {"option": "always"},
    "defaultDataSourceName": "dicomweb",
    "dataSources": [
        {
            "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
            "sourceName": "dicomweb",
            "configuration": {
                "friendlyName": "RACOON",
                "name": "racoon",
                "wadoUriRoot": "/dicom-web",
                "qidoRoot": "/dicom-web",
                "wadoRoot": "/dicom-web",
                "qidoSupportsIncludeField": True,
                "supportsFuzzyMatching": False,
                "supportsWildcard": True,
                "imageRendering": "wadors",
                "thumbnailRendering": "wadors",
                "enableStudyLazyLoad": True,
                "staticWado": False,
                "singlepart": "",
                "bulkDataURI": {"enabled": True},
                "omitQuotationForMultipartRequest": True,
            },
        }
    ],
}
"""OHIF's ``window.config``; what it does not name stays as OHIF ships it."""

POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; connect-src 'self' blob: data:;"
    " object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""OHIF's start page holds scripts of its own; like every page it asks no other host."""

HASHED = re.compile(r"(^|\.)[0-9a-f]{16}\.(js|wasm|woff2)$")
"""Names with a hash of their content, which never changes."""


class NotInstalled(Refused):
    """The viewer's files are not on this machine."""

    code = "reading.no_second_viewer"
    status = 404


@functools.cache
def build_folder() -> Path | None:
    """Return where OHIF's build lies, ``None`` where its wheel is not installed."""
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "dist"
    return folder.resolve() if (folder / "index.html").is_file() else None


def is_installed() -> bool:
    """Tell whether this node has the second viewer."""
    return build_folder() is not None


def address_of(imaging_study_uid: str, series_uid: str = "") -> str:
    """Return the address at which OHIF opens an imaging study, at one series first where it is named."""
    series = f"&initialSeriesInstanceUID={series_uid}" if series_uid else ""
    return f"{PREFIX}/viewer?StudyInstanceUIDs={imaging_study_uid}{series}"


@router.get("")
@router.get("/{path:path}")
def show(_request: Request, _user: Viewer, path: str = "") -> Response:
    """Serve OHIF: its settings, a file of its build, or for every other address its start page.

    Raises
    ------
    NotInstalled
    """
    folder = build_folder()
    if folder is None:
        raise NotInstalled("OHIF is not installed here. Whoever runs this node adds it with `make ohif`.")
    if path == "app-config.js":
        return Response(f"window.config = {json.dumps(SETTINGS)};", media_type="text/javascript")
    file = (folder / path).resolve()
    if path and file.is_relative_to(folder) and file.is_file():
        known = HASHED.search(file.name)
        return FileResponse(
            file, headers={"Cache-Control": "private, max-age=31536000, immutable"} if known else None
        )
    return FileResponse(folder / "index.html", headers={"Content-Security-Policy": POLICY})
