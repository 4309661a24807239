"""Queries: an edit check or a monitor asks at a field, the reader answers; nothing is signed unanswered; audited."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.testclient import TestClient

from racoon.domain.identity import Pseudonym
from racoon.node.reading.queries import service
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node

__all__ = ["node"]

COVID = "urn:racoon:questionnaire:thorax-covid"
CODES = "urn:racoon:codes"
VENTILATED = {"linkId": "ventilated", "answer": [{"valueBoolean": True}]}


def way(what: str = "", *, number: int = 91, **more: Any) -> str:
    query = "&".join(f"{key}={value}" for key, value in {"template": COVID, **more}.items())
    return f"/api/reading/imaging-studies/{uid(number)}/report{what}?{query}"


def coded(link_id: str, code: str, system: str = CODES) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [{"valueCoding": {"system": system, "code": code}}]}


def examine(node: Node, number: int) -> None:
    archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    archive.store([deidentified(item) for item in ct_series(np.zeros((1, 4, 4), np.int16), study=number)])


def save(client: TestClient, *clinical: dict[str, Any], number: int = 91) -> dict[str, Any]:
    revision = client.get(way(number=number)).json()["revision"]
    body = [{"linkId": "clinical", "item": list(clinical)}] if clinical else []
    answer = client.put(way(number=number, based_on=revision), json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_a_doubt_is_asked_answered_and_taken_back_with_the_answers(node: Node) -> None:
    examine(node, 91)
    ada = node.as_("ada")
    before = [node.audited(f"query.{what}") for what in ("raise", "answer", "close")]
    saved = save(ada, coded("setting", "setting-outpatient"), VENTILATED)
    assert [doubt["path"] for doubt in saved["doubts"]] == ["clinical/ventilated"]
    (asked,) = ada.get(way("/queries"), headers={"Accept-Language": "de"}).json()["queries"]
    assert asked["text"] == "Beatmete werden selten ambulant behandelt."
    assert (asked["state"], asked["raised_by"], asked["question"]) == (
        "open",
        "edit check",
        "Invasive Beatmung",
    )
    # What is not doubted any more is not asked any more; what is doubted again is asked again.
    save(ada, coded("setting", "setting-icu"), VENTILATED)
    assert ada.get(way("/queries")).json()["queries"] == []
    saved = save(ada, coded("setting", "setting-outpatient"), VENTILATED)
    (again,) = ada.get(way("/queries")).json()["queries"]
    assert again["id"] != asked["id"]
    filled = ada.post(way("/normal", based_on=saved["revision"])).json()
    assert filled["problems"] == []
    refused = ada.post(way("/sign", based_on=filled["revision"]))
    assert (refused.status_code, refused.json()["code"]) == (422, "reading.open_queries")
    place = f"/api/reading/queries/{again['id']}/answer"
    assert ada.post(place, json={"text": " "}).json()["code"] == "reading.bad_query"
    assert node.as_("ben").post(place, json={"text": "not mine"}).status_code == 404
    ada = node.as_("ada")
    assert ada.post(place, json={"text": "Home ventilation."}).json()["state"] == "answered"
    assert ada.post(way("/sign", based_on=filled["revision"])).status_code == 200
    after = [node.audited(f"query.{what}") for what in ("raise", "answer", "close")]
    assert [new - old for new, old in zip(after, before, strict=True)] == [2, 1, 1]


def test_a_monitor_asks_at_a_signed_report_and_closes(node: Node) -> None:
    examine(node, 92)
    ada = node.as_("ada")
    save(ada, coded("setting", "setting-outpatient"), VENTILATED, number=92)
    (doubt,) = ada.get(way("/queries", number=92)).json()["queries"]
    ada.post(f"/api/reading/queries/{doubt['id']}/answer", json={"text": "Home ventilation."})
    filled = ada.post(way("/normal", number=92, based_on=ada.get(way(number=92)).json()["revision"])).json()
    assert ada.post(way("/sign", number=92, based_on=filled["revision"])).status_code == 200
    eve = node.as_("eve")
    body = {"series": [uid(92, 1)], "readers": ["ada"], "template": COVID}
    assert eve.post("/api/reading/worklists/monitored/tasks", json=body).status_code == 200
    wanted = {"study": uid(92), "reader": "ada", "path": "clinical/pcr", "text": "Was there no PCR?"}
    place = "/api/reading/worklists/monitored/queries"
    assert eve.post(place, json=wanted | {"path": "clinical/none"}).json()["code"] == "reading.bad_query"
    assert eve.post(place, json=wanted | {"reader": "ben"}).status_code == 404
    raised = eve.post(place, json=wanted).json()
    assert (raised["text"], raised["raised_by"]) == ("Was there no PCR?", "eve")
    page = eve.get("/reading/lists/monitored", headers={"Accept": "text/html", "Accept-Language": "de"}).text
    assert "Was there no PCR?" in page
    assert "Beatmete werden selten ambulant behandelt." in page
    ada = node.as_("ada")
    assert ada.post(place, json=wanted).status_code == 403
    assert raised["id"] in [item["id"] for item in ada.get(way("/queries", number=92)).json()["queries"]]
    assert ada.post(f"/api/reading/queries/{raised['id']}/answer", json={"text": "None."}).status_code == 200
    eve = node.as_("eve")
    found = {item["id"]: item for item in eve.get(place).json()["queries"]}
    assert found[raised["id"]]["answer"] == "None."
    assert eve.post(f"/api/reading/queries/{raised['id']}/close").json()["state"] == "closed"
    assert eve.post(f"/api/reading/queries/{raised['id']}/close").json()["code"] == "reading.query_closed"
    with node.database.begin() as connection:
        assert service.forget_subject(connection, Pseudonym("SUBJ-1")) >= len(found)
