"""Codes for words of free texts: offered, kept while their words stand, in every output, never for what is denied."""

from __future__ import annotations

from typing import Any

import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset

from racoon.domain.coding import Code
from racoon.domain.labels import Label
from racoon.domain.questionnaire import CodedWords, Coding, items_of, stands_in, still_standing
from racoon.node.reading.reports.asking import Answers
from racoon.node.reading.reports.catalogue import newest_template, shipped, templates
from racoon.node.reading.reports.coding_help import CodingHelp
from racoon.node.reading.reports.in_sr import entries_of, items_from
from racoon.node.reading.reports.published import signed_on
from racoon.node.reading.reports.table import items_of_rows, rows_of
from racoon.platform.audit import AuditLog
from racoon.standards.dicom.structured_form import form_container, read_form
from tests.dicom_objects import uid
from tests.unit.node.reading.test_findings_and_reports import REPORT, Node, node

__all__ = ["node"]

SCT = "http://snomed.info/sct"
NODULE = Coding(SCT, "27925004", "Nodule")
THORAX = newest_template("urn:racoon:questionnaire:thorax-short")

GROUP = next(item.link_id for item in THORAX.items for child in item.items if child.link_id == "remarks")
GERMAN = {"Accept-Language": "de"}


def offered(text: str, language: str = "de", labels: tuple[Label, ...] = ()) -> list[tuple[str, str, str]]:
    german = {"Nodule": "Rundherd"}
    found = CodingHelp(THORAX, labels, shipped().values(), (), german).offer(text, language)
    return [(item.coding.code, item.words, item.written) for item in found]


def test_words_before_the_hand_get_the_codes_they_mean() -> None:
    # A whole word, an inflected one and the beginning of one; the last completes it.
    assert offered("Links ein Rundherd")[0] == ("27925004", "Rundherd", "Rundherd")
    assert offered("Mehrere Rundherde")[0] == ("27925004", "Rundherde", "Rundherde")
    assert offered("Links ein Rundh")[0] == ("27925004", "Rundh", "Rundherd")
    assert offered("a small nod", "en")[0][0] == "27925004"
    assert offered("Ru") == []


def test_the_longest_words_and_the_nearest_terms_come_first() -> None:
    assert offered("in the right lung", "en")[0][:2] == ("3341006", "right lung")
    # What only DICOM's own context groups know is there too, in English.
    assert "55584005" in [row[0] for row in offered("an acute embol", "en")]
    own = Label(Code("SOLID", "99STUDY", "Solid part"), "Solider Anteil")
    assert offered("ein solider", labels=(own,))[0] == ("SOLID", "solider", "Solider Anteil")


@pytest.mark.parametrize(
    "text",
    ["Kein Rundherd", "ohne Rundherd", "no nodule", "without any nodule", "Lymphknoten und Rundherde nicht"],
)
def test_what_a_sentence_denies_gets_no_code(text: str) -> None:
    assert offered(text) == []


def test_a_code_stays_as_long_as_its_words_stand() -> None:
    code = CodedWords("Rundherd", NODULE)
    assert still_standing([code, code], "Kein Erguss. Links Rundherd.") == (code,)
    assert still_standing([code], "Rundherdig verändert.") == ()
    assert still_standing([code], "Links kein Rundherd.") == ()
    assert still_standing([code], "Ein Rundherd ist ausgeschlossen.") == ()
    assert stands_in("Rundherd", "Kein Rundherd rechts. Links ein Rundherd.")


def answers(text: str, *codes: tuple[str, str, str, str]) -> list[dict[str, Any]]:
    extension = [
        {
            "url": "urn:racoon:fhir:answer-coded-words",
            "valueCodeableConcept": {
                "coding": [{"system": system, "code": code, "display": display}],
                "text": words,
            },
        }
        for words, system, code, display in codes
    ]
    answer = {"valueString": text} | ({"extension": extension} if extension else {})
    return [{"linkId": GROUP, "item": [{"linkId": "remarks", "answer": [answer]}]}]


def test_codes_come_through_response_sr_and_rows_without_loss() -> None:
    items = items_of(
        THORAX,
        answers(
            "Rundherd links, V. a. Solider Anteil",
            ("Rundherd", SCT, "27925004", "Nodule"),
            ("Solider Anteil", "urn:racoon:scheme:99STUDY", "SOLID", "Solid part"),
        ),
    )
    (answer,) = items[0].items[0].answers
    assert [item.words for item in answer.codes] == ["Rundherd", "Solider Anteil"]
    entries = entries_of(THORAX, items)

    holder = Dataset()
    holder.ContentSequence = [form_container(entries)]
    assert items_from(THORAX, read_form(holder)) == items


def test_a_reader_takes_a_code_and_the_node_keeps_it_in_every_output(node: Node) -> None:
    client = node.as_("ada")
    client.put(f"{REPORT}?based_on=0", json=[]).raise_for_status()
    found = client.post(f"{REPORT}/codes", json={"text": "Links basal ein Rundh"}, headers=GERMAN).json()[
        "codes"
    ]
    assert found[0]["written"] == "Rundherd"
    assert found[0]["start"] == len("Links basal ein ")
    assert client.post(f"{REPORT}/codes", json={"text": "Kein Rundherd"}, headers=GERMAN).json() == {
        "codes": []
    }
    assert node.as_("eve").post(f"{REPORT}/codes", json={"text": "Rundherd"}).status_code == 403
    client = node.as_("ada")
    text = "Links basal ein Rundherd."
    unknown = answers(text, ("Rundherd", SCT, "1234", "anything"))
    refused = client.put(f"{REPORT}?based_on=1", json=unknown)
    assert (refused.status_code, refused.json()["code"]) == (422, "reading.bad_answers")
    # The words of a code are ours, whatever the browser sends; a code without its words is dropped.
    wrong = ("Rundherd", SCT, "27925004", "something else")
    gone = ("Erguss", SCT, "60046008", "Pleural effusion")
    kept = client.put(f"{REPORT}?based_on=1", json=answers(text, wrong, gone)).json()
    assert coded(kept["items"]) == [("Rundherd", SCT, "27925004", "Nodule")]
    filled = client.post(f"{REPORT}/normal?based_on={kept['revision']}").json()
    done = client.post(f"{REPORT}/sign?based_on={filled['revision']}")
    assert done.status_code == 200, done.text
    response = client.get(f"{REPORT}/questionnaire-response").json()
    assert coded(response["item"]) == [("Rundherd", SCT, "27925004", "Nodule")]
    with node.database.connect() as connection:
        (version,) = signed_on(connection, [uid(1)])
        rows = list(rows_of(version, templates(connection), list_name="", duty=""))
    assert [(row["text"], row["answer_code"]) for row in rows if row["link_id"] == "remarks"] == [
        (text, None),
        ("Rundherd", "27925004"),
    ]
    assert items_of_rows(THORAX, rows) == items_of(THORAX, response["item"])
    asked = Answers(node.database, AuditLog("node"), lambda _column: sa.true())
    (question,) = [item for item in asked.questions() if item.link_id == "remarks"]
    assert [(item.code, item.number) for item in asked.count(question.id)] == [("27925004", 1)]
    page = client.get(f"{REPORT}/document", headers=GERMAN).text
    assert "Rundherd = Nodule" in page


def coded(items: list[dict[str, Any]]) -> list[tuple[str, str, str, str]]:
    """Return the coded words of an remarks."""
    (answer,) = [
        answer
        for group in items
        for item in group.get("item", ())
        if item["linkId"] == "remarks"
        for answer in item["answer"]
    ]
    concepts = [found["valueCodeableConcept"] for found in answer["extension"]]
    return [(item["text"], *item["coding"][0].values()) for item in concepts]
