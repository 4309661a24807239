"""The pages of what goes out and of doubtful identities, as the people of a node see them."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.node.app.reviewing import open_review
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.reviewing import look_for_doubts
from racoon.node.pseudonyms.cards import Card
from racoon.science.linkage.filters import Person
from racoon.standards.fhir.reading import Found
from tests.dicom_objects import ct_series, deidentified
from tests.node_rooms import VOXELS, NodeInProcess

GERMAN = {"accept-language": "de"}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path_factory.mktemp("node"))
    found.rely_on()
    yield found
    found.close()


def kept(name: str, page: str) -> None:
    """Keep a page for a person to look at, where the environment names a folder."""
    folder = os.environ.get("RACOON_KEEP_PAGES")
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / f"{name}.html").write_text(page, "utf-8")


def test_resources_are_shown_as_they_would_leave_with_what_was_refused(node: NodeInProcess) -> None:
    names = [node.store(number, f"471{number}") for number in range(1, 7)]
    evidence = {
        "actions": {"table_remove": 7, "dates_shifted": 3, "unknown_to_the_page": 1},
        "note": "no number",
    }
    source = ct_series(VOXELS, study=9, subject=str(names[1]))
    node.rooms.archive.store([deidentified(item, evidence) for item in source])
    broken = {
        "resourceType": "Consent",
        "id": "c1",
        "status": "no-such-state",
        "patient": {"reference": "Patient/p1"},
    }
    person = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": [{"value": "4711"}],
        "name": [{"family": "LEAK"}],
    }
    importer = Importer(node.rooms.database, node.names)
    importer.import_resources(lambda: (Found("test", item) for item in (person, broken)))
    diz, officer, reader = node.person("diz"), node.person("dpo"), node.person("reader")
    assert reader.get("/intake/outgoing").status_code == 403
    page = diz.get("/intake/outgoing?type=ImagingStudy").text
    kept("outgoing", page)
    assert page.count("ImagingStudy/2.25.") + page.count("ImagingStudy/1.2") >= 5
    assert "rules of https://www.medizininformatik-initiative.de" in page
    assert "The rule tables of this product check." in page
    assert "The last imports of the clinical course left behind" in page
    link = html.unescape(page.partition('<a href="?')[2].partition('"')[0])
    further = diz.get(f"/intake/outgoing?{link}")
    assert further.status_code == 200
    assert "First page" in further.text
    refused = diz.get("/intake/outgoing?type=Consent").text
    kept("outgoing-refused", refused)
    assert "Refused: it breaks its profile and does not leave." in refused
    assert diz.get("/fhir/Consent").json().get("entry", []) == [], "what the page calls refused left"
    german = diz.get("/intake/outgoing?type=Patient", headers=GERMAN).text
    kept("outgoing-de", german)
    assert "Was in keiner Ressource steht" in german
    assert "LEAK" not in page + refused + german
    node.withdraw(names[0])
    assert "Of 1 nothing leaves" in diz.get("/intake/outgoing?type=Patient").text
    assert str(names[0]) not in diz.get("/intake/outgoing?type=Patient").text
    beyond = diz.get(f"/intake/outgoing?type=ImagingStudy&after={2**20}").text
    assert "There is no resource of this type." in beyond
    shown = further.text + page
    assert f"{7 * len(source)} elements that the standard" in shown.replace("&#39;", "'")
    assert f"{3 * len(source)} dates moved" in shown
    sources = diz.get("/intake/sources").text
    assert "The port for HL7 messages is closed." in sources
    assert "Nothing is sent by itself. Set fhir.push_to" in sources
    assert sources.count("not set up") == 3, "neither a server for the course, nor messages, nor a target"
    # Whoever may read no such resources still sees the rules, and nothing of anybody.
    assert "What is never in a resource" in officer.get("/intake/outgoing").text
    assert officer.get("/intake/outgoing?type=ImagingStudy").status_code == 404


def test_doubtful_pair_is_compared_decided_and_undone_on_its_pages(node: NodeInProcess) -> None:
    node.app.state.review = open_review(node.settings, node.rooms.database, node.rooms.audit)
    diz, manager = node.person("diz", "uac_member"), node.person("data_manager")
    assert "Names are not kept at this node" in diz.get("/intake/matching").text, "a site has to ask for it"
    node.app.state.review.compares_names = True
    written = Person("Änne", "Müller", born="1961-05-17", sex="female", postcode="50667")
    typed = Person("Änne", "Mülller", "Groß", born="1961-05-17", sex="female")
    node.names.introduce(Card("messages", "9001", written))
    node.names.introduce(Card("images", "9002", typed))
    assert look_for_doubts(node.rooms.database, node.names) == 1
    for person in (diz, manager):
        listed = person.get("/intake/matching").text
        assert "Two numbers of the hospital may be one person." in listed
        assert not [word for word in ("Müller", "9001", "1961") if word in listed]
    kept("matching", diz.get("/intake/matching").text)
    kept("matching-de", diz.get("/intake/matching", headers=GERMAN).text)
    address = "/intake/matching/doubts/1"
    assert manager.get(address).status_code == 403
    assert manager.post(address, data={"decision": "match_left", "reason": "system"}).status_code == 403
    pair = diz.get(address)
    kept("doubt", pair.text)
    kept("doubt-de", diz.get(address, headers=GERMAN).text)
    assert [word for word in ("Müller", "Mülller", "9001", "9002", "50667") if word not in pair.text] == []
    assert str(node.subject("9001")) not in pair.text, "a name stands beside a pseudonym"
    assert diz.post(address, data={"decision": "match", "reason": "system"}).status_code == 409
    assert diz.post(address, data={"decision": "no_match", "reason": "unclear"}).status_code == 409
    done = diz.post(address, data={"decision": "match_left", "reason": "document"})
    assert "The decision is recorded." in done.text
    assert "No identity is doubtful." in done.text
    undone = diz.post(f"{address}/undo")
    assert "Two numbers of the hospital may be one person." in undone.text
    assert diz.post(f"{address}/undo").status_code == 409
    assert diz.get("/intake/matching/doubts/99").status_code == 409
    with node.rooms.database.connect() as connection:
        query = "SELECT action FROM audit WHERE action LIKE 'clinical.%' ORDER BY seq"
        actions = [row.action for row in connection.exec_driver_sql(query)]
    assert actions.count("clinical.doubt.look") >= 2
    assert actions[-1] == "clinical.doubt.undo"
    assert {"clinical.merge", "clinical.part", "clinical.doubt.decide"} <= set(actions)
