"""A report begins with what the images and the reader's earlier report say, and the signature tells so."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.domain.questionnaire.test_prefill import CONTEXTS, SEX, asked
from tests.unit.node.reading.test_findings_and_reports import Node, node

__all__ = ["node"]

URL = "urn:racoon:questionnaire:prefilled"
ROOT = "/api/reading/templates"


def release(node: Node) -> None:
    document = {
        "resourceType": "Questionnaire",
        "url": URL,
        "version": "1",
        "title": "Prefilled",
        "extension": CONTEXTS,
        "item": [
            SEX,
            asked("day", "date", "%imagingStudy.started"),
            asked("size", "decimal", "%previous.descendants().where(linkId='size').answer.value"),
            {"linkId": "words", "type": "text", "text": "Words"},
        ],
    }
    saved = node.as_("eve").put(ROOT, json={"text": json.dumps(document), "based_on": 0})
    assert saved.status_code == 200, saved.text
    body = {"url": URL, "version": "1", "sha256": saved.json()["sha256"]}
    for name in ("ada", "ben"):
        assert node.as_(name).post(f"{ROOT}/sign", json=body).status_code == 200


def answered(items: list[dict[str, Any]]) -> dict[str, tuple[Any, str]]:
    """Return value and level of automation by link id."""
    found = {}
    for item in items:
        (answer,) = item["answer"]
        extensions = answer.pop("extension", [])
        (value,) = answer.values()
        found[item["linkId"]] = (value, extensions[0]["valueCode"] if extensions else "")
    return found


def test_what_is_known_stands_in_a_new_report_and_is_marked_when_it_is_signed(node: Node) -> None:
    release(node)
    archive: Any = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    for study, day in ((71, "20230105"), (72, "20230406")):
        images = ct_series(np.zeros((1, 4, 4), np.int16), study=study, StudyDate=day, PatientSex="F")
        archive.store([deidentified(item) for item in images])
    first, second = (f"/api/reading/imaging-studies/{uid(study)}/report" for study in (71, 72))
    ada = node.as_("ada")
    begun = ada.get(f"{first}?template={URL}").json()
    assert begun["revision"] == 0
    found = answered(begun["items"])
    assert found["sex"][0]["code"] == "female"
    assert found["day"] == ("2023-01-05", "")
    assert set(found) == {"sex", "day"}
    # One answer stays, one is changed, one is the reader's alone.
    items = [
        begun["items"][0],
        {"linkId": "day", "answer": [{"valueDate": "2023-01-06"}]},
        {"linkId": "size", "answer": [{"valueDecimal": 7.25}]},
    ]
    items[0] = {"linkId": "sex", "answer": [{"valueCoding": found["sex"][0]}]}
    assert ada.put(f"{first}?template={URL}&based_on=0", json=items).status_code == 200
    assert ada.post(f"{first}/sign?template={URL}&based_on=1").status_code == 200
    signed = answered(ada.get(f"{first}/questionnaire-response?template={URL}").json()["item"])
    assert (signed["sex"][1], signed["day"], signed["size"]) == (
        "automatic",
        ("2023-01-06", "assisted"),
        (7.25, ""),
    )
    # The next examination begins with the reader's own earlier size; nobody else's report does.
    assert answered(ada.get(f"{second}?template={URL}").json()["items"])["size"][0] == 7.25
    ben = node.as_("ben")
    assert "size" not in answered(ben.get(f"{second}?template={URL}").json()["items"])
