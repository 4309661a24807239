"""Consents that a service keeps: what it says counts at once, and while it says nothing, nothing is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.domain.identity import PatientId
from racoon.errors import RacoonError
from racoon.node.app.trusting import ConsentPoll, check_services, open_consent_source
from racoon.node.clinical import sources
from racoon.node.settings import load_node_settings
from racoon.web.words import words_of
from tests.node_rooms import NodeInProcess
from tests.trust_services import NUMBERS, Hospital, paper, serving

ANNA, BERT = "4711", "4712"


@pytest.fixture
def hospital() -> Hospital:
    return Hospital(permits={ANNA: (6, 7, 8, 9), BERT: ()})


@pytest.fixture
def root(hospital: Hospital) -> Iterator[str]:
    with serving(hospital) as found:
        yield found


@pytest.fixture
def node(tmp_path: Path, root: str) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    with found.config.open("a", encoding="utf-8") as file:
        file.write(
            f'[trust.consent]\nkind = "gics"\nurl = "{root}/gics"\nidentifier_system = "{NUMBERS}"\n'
            f'[trust.pseudonyms]\nkind = "gpas"\nurl = "{root}/gpas"\n'
        )
    found.settings = found.rooms.settings = load_node_settings(found.config)
    found.app.state.settings = found.settings
    yield found
    found.close()


def _poll(node: NodeInProcess) -> ConsentPoll:
    database, consent = node.rooms.database, node.rooms.consent
    source = open_consent_source(node.settings, database, node.names, consent)
    return ConsentPoll(node.settings, database, node.names, consent, source)


def test_a_consent_service_is_followed_and_fails_closed(node: NodeInProcess, hospital: Hospital) -> None:
    anna, bert = node.subject(ANNA), node.subject(BERT)
    consent, poll = node.rooms.consent, _poll(node)
    assert not consent.is_readable(anna), "readable before anybody was asked"

    assert poll.run_once() == {"subjects": 2, "documents": 2, "withdrawn": 0}
    assert consent.is_readable(anna)
    assert not consent.is_readable(bert)

    hospital.status = 503
    with pytest.raises(RacoonError):
        poll.run_once()
    assert not consent.is_readable(anna), "the service is down and images are read"
    with node.rooms.database.connect() as connection:
        state = sources.load_source(connection, "consent")
    assert state is not None
    assert state.problem
    assert words_of("de")(state.problem).startswith("gICS bittet")

    hospital.status = 0
    poll.run_once()
    assert consent.is_readable(anna)

    # Permits that the service no longer tells are gone, and a withdrawal ends everything.
    hospital.permits = {ANNA: ()}
    poll.run_once()
    assert not consent.is_readable(anna)
    hospital.papers = {ANNA: [paper(ANNA, "2718", "2025-05-01")]}
    assert poll.run_once()["withdrawn"] == 1
    with node.rooms.database.connect() as connection:
        assert [item.pseudonym for item in consent.withdrawals(connection)] == [anna]


def test_study_names_come_from_the_service_and_the_page_says_how_it_is(
    node: NodeInProcess, hospital: Hospital
) -> None:
    from racoon.node.app.erasing import settlement

    subject = node.subject(ANNA)
    days = settlement(node.rooms, node.names)._days
    assert days.study_pseudonym(subject, "study-a") == hospital.name("study-a", ANNA)
    hospital.status = 503
    with pytest.raises(RacoonError):
        days.study_pseudonym(subject, "study-b")

    rows = {row["service"]: row for row in check_services(node.config)}
    assert [rows[name]["answers"] for name in ("consent", "pseudonyms", "identity")] == [False, False, True]
    with node.person("diz") as person:
        page = person.get("/intake/sources", headers={"accept-language": "de"}).text
    assert "Klinische Quellen" in page
    assert page.count("antwortet nicht") == 2
    assert "gPAS bittet, später zu kommen" in page


def test_no_number_of_a_patient_stands_in_the_nodes_database(node: NodeInProcess, tmp_path: Path) -> None:
    number = "MRN-PLANTED-99"
    node.names.remember([PatientId(number)])
    _poll(node).run_once()
    content = b"".join(path.read_bytes() for path in (tmp_path / "data").glob("node.sqlite*"))
    assert number.encode() not in content
    assert json.dumps(number).encode() not in content
