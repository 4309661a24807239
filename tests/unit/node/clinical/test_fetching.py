"""The clinical course is fetched whole, once, from where it was cut off, and never more than was asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import sqlalchemy as sa
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from racoon.node.clinical import _store, fetched, removing
from racoon.node.clinical.calling import Address, Service, ServiceDown
from racoon.node.clinical.fetching import EXPORT, Fetcher, SearchNotKnown, Wish
from racoon.node.clinical.importing import Importer
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.platform.http.serving import Listener, serve_in_thread
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.versions import VERSIONS
from tests.unit.node.clinical.test_importing import condition, patient

WISH = Wish(("Patient", "Condition"), page=2)


@dataclass
class Diz:
    """A stand-in for a FHIR server: searches with pages, exports in bulk, and fails as it is told."""

    resources: list[dict[str, Any]] = field(default_factory=list)
    known: tuple[str, ...] = ("_lastUpdated", "code")
    drops: str = ""
    fails: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    polls: int = 0
    history: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)


DIZ = Diz()


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    with serve_in_thread([Listener(_build_app(DIZ), "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}/fhir"


@pytest.fixture(autouse=True)
def diz() -> Diz:
    for name, value in vars(Diz()).items():
        setattr(DIZ, name, value)
    DIZ.resources = [patient(f"p{n}", f"{4711 + n}") for n in range(5)]
    DIZ.resources += [condition(f"c{n}", f"p{n % 5}") for n in range(7)]
    return DIZ


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def importer(database: Database, tmp_path: Path) -> Iterator[Importer]:
    names = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    yield Importer(database, names)
    names.close()


WAITED: list[float] = []


def _fetcher(root: str, database: Database, importer: Importer) -> Fetcher:
    WAITED.clear()

    def wait(seconds: float) -> bool:
        WAITED.append(seconds)
        return False

    return Fetcher(
        Service(Address("The FHIR server of the DIZ", root, timeout_s=5)), database, importer, wait
    )


def _stored(database: Database) -> int:
    with database.connect() as connection:
        return int(connection.execute(sa.select(sa.func.count()).select_from(_store.resource)).scalar_one())


def test_a_search_takes_every_page_once_and_then_only_what_is_new(
    root: str, database: Database, importer: Importer
) -> None:
    facts = _fetcher(root, database, importer).run(WISH)
    assert (facts["read"], facts["stored"], facts["refused"]) == (12, 12, 0)
    assert sum(text.startswith("Condition?") for text in DIZ.asked) == 4
    DIZ.asked.clear()
    again = _fetcher(root, database, importer).run(WISH)
    assert (again["stored"], again["unchanged"]) == (0, 12)
    assert all("_lastUpdated=ge" in text for text in DIZ.asked if "_page" not in text)


def test_a_fetch_that_was_cut_off_goes_on_with_its_page(
    root: str, database: Database, importer: Importer
) -> None:
    pages = 0

    def die(_kind: str, _read: int) -> None:
        nonlocal pages
        pages += 1
        if pages == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fetcher(root, database, importer).run(WISH, progress=die)
    before = _stored(database)
    assert 0 < before < 12
    DIZ.asked.clear()
    facts = _fetcher(root, database, importer).run(WISH)
    assert _stored(database) == 12
    assert facts["stored"] == 12 - before
    assert "_page=1" in next(text for text in DIZ.asked if text.startswith("Condition?"))


def test_a_busy_server_is_asked_again_when_it_says(root: str, database: Database, importer: Importer) -> None:
    DIZ.fails = [(429, {"retry-after": "7"}), (503, {})]
    facts = _fetcher(root, database, importer).run(WISH)
    assert facts["stored"] == 12
    assert WAITED[:2] == [7.0, 2.0]


def test_a_server_that_stays_away_ends_the_fetch_and_keeps_what_came(
    root: str, database: Database, importer: Importer
) -> None:
    DIZ.fails = [(503, {})] * 50
    with pytest.raises(ServiceDown):
        _fetcher(root, database, importer).run(WISH)


def test_a_parameter_that_the_server_does_not_name_is_not_asked(
    root: str, database: Database, importer: Importer
) -> None:
    wish = Wish(("Patient", "Condition"), {"Condition": "severity=high"})
    with pytest.raises(SearchNotKnown) as caught:
        _fetcher(root, database, importer).run(wish)
    assert "severity" in caught.value.public_message


def test_a_parameter_that_the_server_drops_is_found_in_the_self_link(
    root: str, database: Database, importer: Importer
) -> None:
    DIZ.drops = "code"
    with pytest.raises(SearchNotKnown) as caught:
        _fetcher(root, database, importer).run(Wish(("Condition",), {"Condition": "code=C34.1"}))
    assert "without code" in caught.value.public_message
    assert _stored(database) == 0


def test_a_type_that_the_server_does_not_have_is_said(
    root: str, database: Database, importer: Importer
) -> None:
    facts = _fetcher(root, database, importer).run(Wish(("Patient", "CarePlan")))
    assert list(facts["skipped"]) == ["CarePlan"]


def test_a_bulk_export_is_waited_for_and_goes_on_in_the_middle_of_a_file(
    root: str, database: Database, importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.node.clinical.fetching.BATCH", 3)
    wish = Wish(("Patient", "Condition"), method="export")
    read = []

    def die(kind: str, count: int) -> None:
        read.append((kind, count))
        if read[-1] == ("Condition", 3):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fetcher(root, database, importer).run(wish, progress=die)
    assert WAITED == [2.0, 2.0]
    facts = _fetcher(root, database, importer).run(wish)
    assert facts["read"] == 4, "the lines that were taken are read again"
    assert _stored(database) == 12
    with database.connect() as connection:
        point = fetched.load(connection, EXPORT)
    assert (point.is_done, point.since) == (True, "2026-01-01T00:00:00Z")
    assert sum(text == "DELETE status" for text in DIZ.asked) == 1


def _deleted(name: str) -> dict[str, Any]:
    return {"request": {"method": "DELETE", "url": name}, "response": {"status": "204"}}


def test_what_the_clinic_deleted_is_taken_out_by_its_history(
    root: str, database: Database, importer: Importer
) -> None:
    DIZ.history = {"Condition": [_deleted("Condition/c0")]}
    first = _fetcher(root, database, importer).run(WISH)
    assert (first["stored"], first["removed"], first["deletions_untold"]) == (12, 1, [])
    # c1 is gone, c2 was deleted and came back, c3 is gone in HTTP's own words; who never came is nothing.
    DIZ.history["Condition"] = [
        _deleted("Condition/c1"),
        {"resource": condition("c2", "p2"), "request": {"method": "PUT", "url": "Condition/c2"}},
        {"resource": condition("c1", "p1"), "request": {"method": "PUT", "url": "Condition/c1"}},
        _deleted("http://elsewhere.example/fhir/Condition/c2/_history/2"),
        {"fullUrl": f"{root}/Condition/c3", "response": {"status": "410 Gone"}},
        _deleted("Condition/never"),
    ]
    gone = {"Condition/c0", "Condition/c1", "Condition/c3"}
    DIZ.resources = [item for item in DIZ.resources if f"Condition/{item['id']}" not in gone]
    DIZ.asked.clear()
    facts = _fetcher(root, database, importer).run(WISH)
    assert (facts["removed"], facts["removals"], facts["stored"]) == (2, {"deleted Condition": 2}, 0)
    assert _stored(database) == 9
    assert next(text for text in DIZ.asked if "Condition/_history" in text).count("_since=") == 1
    with database.connect() as connection:
        found = removing.load_removals(connection)
    assert [row["reason"] for row in found] == ["deleted"] * 3
    assert all(not check(removing.provenance(row), VERSIONS["2026"]) for row in found)
    assert "c1" not in json.dumps([removing.provenance(row) for row in found])
    again = _fetcher(root, database, importer).run(WISH)
    assert (again["removed"], _stored(database)) == (0, 9)


def test_a_server_without_a_history_is_said_not_to_tell(
    root: str, database: Database, importer: Importer
) -> None:
    facts = _fetcher(root, database, importer).run(WISH)
    assert facts["deletions_untold"] == ["Patient", "Condition"]
    assert not any("_history" in text for text in DIZ.asked)


def test_a_node_that_fetched_before_asks_for_everything_that_was_deleted(
    root: str, database: Database, importer: Importer
) -> None:
    _fetcher(root, database, importer).run(WISH)
    DIZ.history = {"Condition": [_deleted("Condition/c5")]}
    facts = _fetcher(root, database, importer).run(WISH)
    assert facts["removed"] == 1
    assert "_since" not in next(text for text in DIZ.asked if "Condition/_history" in text)


def test_a_bulk_export_tells_what_was_deleted(root: str, database: Database, importer: Importer) -> None:
    wish = Wish(("Patient", "Condition"), method="export")
    _fetcher(root, database, importer).run(wish)
    DIZ.polls, DIZ.deleted = 0, ["Condition/c6", "Patient/p4"]
    DIZ.resources = DIZ.resources[:3]
    facts = _fetcher(root, database, importer).run(wish)
    assert (facts["removed"], facts["refused"], _stored(database)) == (2, 0, 10)


def _build_app(diz: Diz) -> FastAPI:
    app = create_app("diz", "0")

    @app.middleware("http")
    async def fail(request: Request, call_next: Any) -> Response:
        if diz.fails:
            status, headers = diz.fails.pop(0)
            return JSONResponse({}, status_code=status, headers=headers)
        found: Response = await call_next(request)
        return found

    _tell_what_was_deleted(app, diz)

    @app.get("/fhir/metadata")
    def metadata() -> dict[str, Any]:
        parameters = [{"name": name, "type": "token"} for name in diz.known]
        told = [{"code": "history-type"}] if diz.history else []
        kinds = [
            {"type": kind, "searchParam": parameters, "interaction": told}
            for kind in ("Patient", "Condition")
        ]
        return {"resourceType": "CapabilityStatement", "rest": [{"mode": "server", "resource": kinds}]}

    @app.get("/fhir/$export")
    def kick_off(request: Request) -> Response:
        assert request.headers["prefer"] == "respond-async"
        diz.asked.append("export")
        place = f"{request.base_url}fhir/status"
        return Response(status_code=202, headers={"content-location": place})

    @app.get("/fhir/status")
    def status(request: Request) -> Response:
        diz.polls += 1
        if diz.polls < 3:
            return Response(status_code=202, headers={"retry-after": "2"})
        output = [
            {"type": kind, "url": f"{request.base_url}fhir/file/{kind}"} for kind in ("Condition", "Patient")
        ]
        gone = [{"type": "Bundle", "url": f"{request.base_url}fhir/gone"}] if diz.deleted else []
        return JSONResponse({"transactionTime": "2026-01-01T00:00:00Z", "output": output, "deleted": gone})

    @app.delete("/fhir/status")
    def forget() -> Response:
        diz.asked.append("DELETE status")
        return Response(status_code=202)

    @app.get("/fhir/file/{kind}")
    def file(kind: str) -> Response:
        lines = [json.dumps(item) for item in diz.resources if item["resourceType"] == kind]
        return PlainTextResponse("\n".join(lines) + "\n", media_type="application/fhir+ndjson")

    @app.get("/fhir/{kind}")
    def search(kind: str, request: Request) -> dict[str, Any]:
        given = [(name, value) for name, value in request.query_params.multi_items() if name != diz.drops]
        diz.asked.append(f"{kind}?{urlencode(given)}")
        found = [item for item in diz.resources if item["resourceType"] == kind]
        page = int(request.query_params.get("_page", "0"))
        size = int(request.query_params.get("_count", "100"))
        link = [{"relation": "self", "url": f"{request.base_url}fhir/{kind}?{urlencode(given)}"}]
        if (page + 1) * size < len(found):
            following = urlencode([("_page", page + 1), ("_count", size)])
            link.append({"relation": "next", "url": f"{request.base_url}fhir/{kind}?{following}"})
        entry = [{"resource": item} for item in found[page * size : (page + 1) * size]]
        return {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry}

    return app


def _tell_what_was_deleted(app: FastAPI, diz: Diz) -> None:
    @app.get("/fhir/gone")
    def gone() -> Response:
        bundles = [
            {"resourceType": "Bundle", "type": "transaction", "entry": [_deleted(name)]}
            for name in diz.deleted
        ]
        return PlainTextResponse("".join(json.dumps(item) + "\n" for item in bundles))

    @app.get("/fhir/{kind}/_history")
    def history(kind: str, request: Request) -> dict[str, Any]:
        diz.asked.append(f"{kind}/_history?{request.url.query}")
        page, size = int(request.query_params.get("_page", "0")), 1
        found = diz.history.get(kind, [])
        link = [{"relation": "self", "url": str(request.url)}]
        if (page + 1) * size < len(found):
            link.append(
                {"relation": "next", "url": f"{request.base_url}fhir/{kind}/_history?_page={page + 1}"}
            )
        entry = found[page * size : (page + 1) * size]
        return {"resourceType": "Bundle", "type": "history", "link": link, "entry": entry}
