"""Fetching from a PACS over HTTP: one that answers as it should, and one that breaks off, hides or is busy."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from racoon.node.intake.pull.dicomweb import DicomwebAddress, DicomwebPacs
from racoon.node.intake.pull.model import FoundStudy, PacsRefused, PacsUnavailable, PullProtocol
from racoon.node.intake.spool import Spool
from racoon.node.settings import PullSettings
from racoon.standards.dicomweb.dicom_json import element, tag_key
from tests.network.test_pull import examination
from tests.planted_identifiers import ROOT

BOUNDARY = "part-of-a-study"


@dataclass
class WebPacs:
    """Studies of a PACS and what it does wrong, in turn: ``503``, ``403``, ``cut`` or nothing."""

    studies: list[dict[str, Any]] = field(default_factory=list)
    objects: dict[str, list[bytes]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    queries: list[dict[str, list[str]]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    ignores_offset: bool = False


def row(uid: str, accession: str, *, day: str = "20260105", modality: str = "CT") -> dict[str, Any]:
    return {
        tag_key("StudyInstanceUID"): element("UI", uid),
        tag_key("AccessionNumber"): element("SH", accession),
        tag_key("StudyDate"): element("DA", day),
        tag_key("ModalitiesInStudy"): element("CS", modality, "SR"),
        tag_key("StudyDescription"): element("LO", "CT Thorax"),
        tag_key("NumberOfStudyRelatedInstances"): element("IS", 3),
    }


class Handler(BaseHTTPRequestHandler):
    pacs: WebPacs

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""

    def do_GET(self) -> None:
        pacs = self.pacs
        pacs.tokens.append(self.headers.get("authorization", ""))
        fault = pacs.faults.pop(0) if pacs.faults else ""
        if fault.isdigit():
            self.send_response(int(fault))
            self.end_headers()
            return
        address = urlsplit(self.path)
        if address.path.endswith("/studies"):
            self._search(parse_qs(address.query))
        else:
            self._send(address.path.rpartition("/")[2], is_cut=fault == "cut")

    def _search(self, query: dict[str, list[str]]) -> None:
        pacs = self.pacs
        pacs.queries.append(query)
        offset = 0 if pacs.ignores_offset else int(query["offset"][0])
        found = pacs.studies[offset : offset + int(query["limit"][0])]
        body = json.dumps(found).encode()
        self.send_response(200 if found else 204)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(body)

    def _send(self, uid: str, *, is_cut: bool) -> None:
        parts = [
            b"--" + BOUNDARY.encode() + b"\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n"
            for data in self.pacs.objects[uid]
        ]
        body = b"".join(parts) + b"--" + BOUNDARY.encode() + b"--\r\n"
        self.send_response(200)
        self.send_header("Content-Type", f'multipart/related; type="application/dicom"; boundary={BOUNDARY}')
        if not is_cut:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if is_cut else body)


@pytest.fixture
def serve() -> Iterator[Callable[[WebPacs], str]]:
    servers = []

    def start(pacs: WebPacs) -> str:
        handler = type("Bound", (Handler,), {"pacs": pacs})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/dicom-web"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join(5)


def client(url: str, tmp_path: Path, **options: Any) -> tuple[DicomwebPacs, Spool]:
    spool = Spool(tmp_path / "spool")
    return DicomwebPacs(DicomwebAddress(url, timeout_s=5, **options), spool), spool


def test_examination_comes_as_it_is_stored(serve: Callable[[WebPacs], str], tmp_path: Path) -> None:
    uid = f"{ROOT}.7.4"
    sent = examination(4, "ACC4", 3)
    pacs = WebPacs([row(uid, "ACC4"), row("1.2.3", "ACC44")], {uid: sent})
    token = tmp_path / "token"
    token.write_text("secret\n")
    web, spool = client(serve(pacs), tmp_path, token_file=token)
    (study,) = web.find("ACC4")
    assert study == FoundStudy(uid, 3, "ACC4", "20260105", "CT Thorax", ("CT", "SR"))
    result = web.retrieve(study)
    assert (result.completed, result.failed) == (3, 0)
    assert [file.path.read_bytes() for file in spool.waiting(9)] == sent
    assert set(pacs.tokens) == {"Bearer secret"}


@pytest.mark.parametrize("ignores_offset", [False, True])
def test_search_reads_every_page(
    serve: Callable[[WebPacs], str],
    tmp_path: Path,
    ignores_offset: bool,
) -> None:
    pacs = WebPacs([row(f"1.2.{n}", f"A{n}") for n in range(250)], ignores_offset=ignores_offset)
    web, _ = client(serve(pacs), tmp_path)
    protocol = PullProtocol("lung", ("CT",), date(2026, 1, 1), date(2026, 1, 7), "*thorax*")
    found = web.search(protocol, date(2026, 1, 1), date(2026, 1, 7))
    assert len(found) == (100 if ignores_offset else 250)
    assert pacs.queries[0]["StudyDate"] == ["20260101-20260107"]
    assert (pacs.queries[0]["ModalitiesInStudy"], pacs.queries[0]["StudyDescription"]) == (
        ["CT"],
        ["*thorax*"],
    )


def test_answer_that_breaks_off_is_asked_for_again(serve: Callable[[WebPacs], str], tmp_path: Path) -> None:
    uid = f"{ROOT}.7.5"
    pacs = WebPacs([], {uid: examination(5, "ACC5", 3)}, faults=["cut", "503"])
    web, spool = client(serve(pacs), tmp_path)
    study = FoundStudy(uid, 3)
    for _ in range(2):
        with pytest.raises(PacsUnavailable):
            web.retrieve(study)
    assert web.retrieve(study).completed == 3
    assert len(spool.waiting(9)) >= 3, "what came before the break lies there too and will be one"


def test_refusals_are_told_apart(serve: Callable[[WebPacs], str], tmp_path: Path) -> None:
    web, _ = client(serve(WebPacs(faults=["403", "400"])), tmp_path)
    with pytest.raises(PacsRefused) as refused:
        web.find("A1")
    assert refused.value.error_code == "pull.not_let_in"
    with pytest.raises(PacsRefused) as other:
        web.find("A1")
    assert other.value.error_code == "pull.refused"
    assert web.find("A1") == []
    away, _ = client("http://127.0.0.1:9", tmp_path)
    with pytest.raises(PacsUnavailable):
        away.find("A1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"method": "dicomweb"},
        {"url": "https://pacs.example"},
        {"method": "dicomweb", "url": "http://pacs.example"},
    ],
)
def test_settings_that_do_not_fit(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="url"):
        PullSettings(**wrong)  # type: ignore[arg-type]  # wrong on purpose
