"""The page of neighbouring networks: exchanges, refused rows with reasons, and the same service as the console."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.cli import main
from tests.contract.test_neighbour_lists import LIST, MAPPING
from tests.node_rooms import NodeInProcess
from tests.unit.node.clinical.test_outgoing import GERMAN, kept

PAGE = "/intake/neighbours"
SECRETS = ("4711", "4712", "9999", "01.03.2024", "mii_A1")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    found.rely_on()
    yield found
    found.close()


def test_lists_are_taken_shown_and_given_on_the_page(node: NodeInProcess) -> None:
    subject = node.store(1, "4711", day="20240301")
    person, reader = node.person("data_manager"), node.person("reader")
    assert reader.get(PAGE).status_code == 403
    assert reader.post(f"{PAGE}/give", data={"project": "napkon-suep"}).status_code == 403
    assert "No list of another network" in person.get(PAGE).text
    files = {"table": ("l.csv", LIST.encode()), "mapping": ("m.toml", MAPPING.encode())}
    taken = person.post(f"{PAGE}/take", files=files)
    assert taken.status_code == 200
    kept("neighbours", taken.text)
    assert "The list of napkon-suep is taken." in taken.text
    assert "11 rows read, 3 taken, 1 of other sites, 0 gone since, 7 refused" in taken.text
    assert "The mapping does not know the visit." in taken.text
    assert "2 people in 3 rows, 2 of them may be read" in taken.text
    assert "CH01" in taken.text
    german = person.get(PAGE, headers=GERMAN).text
    kept("neighbours-de", german)
    assert "Nachbarnetze" in german
    assert not [word for word in SECRETS if word in taken.text + german]
    given = person.post(f"{PAGE}/give", data={"project": "napkon-suep"})
    assert given.headers["content-type"].startswith("text/csv")
    assert "mii_A1;CH01;V1;" in given.text
    assert "4711" not in given.text
    node.withdraw(subject)
    assert "mii_A1" not in person.post(f"{PAGE}/give", data={"project": "napkon-suep"}).text
    after = person.get(PAGE).text
    assert "1 of them may be read" in after
    assert "1 rows given, 0 with images, 2 left out" in after
    newer = {"table": ("l.csv", b"psn;fallnummer;zentrum;visite;visitendatum\n")}
    again = person.post(f"{PAGE}/take", data={"project": "napkon-suep"}, files=newer).text
    assert "0 rows read, 0 taken, 0 of other sites, 3 gone since, 0 refused" in again


def test_wrong_lists_and_mappings_are_refused_in_words(node: NodeInProcess) -> None:
    person = node.person("diz")
    table = {"table": ("l.csv", LIST.encode())}
    for files, data, words in (
        ({"mapping": ("m.toml", MAPPING.encode())}, {}, "Choose the network"),
        (table, {}, "needs its mapping"),
        (table, {"project": "other"}, "No list of this project was exchanged here."),
        ({**table, "mapping": ("m.toml", b"[")}, {}, "The mapping is no TOML file."),
        ({**table, "mapping": ("m.toml", MAPPING.replace("ALPHA", "GAMMA").encode())}, {}, "no site code"),
        ({**table, "mapping": ("m.toml", MAPPING.replace("psn", "name").encode())}, {}, "no column name"),
    ):
        answer = person.post(f"{PAGE}/take", files=files, data=data)
        assert answer.status_code == 400, words
        assert words in answer.text
        assert not [word for word in SECRETS if word in answer.text]
    assert person.post(f"{PAGE}/give", data={"project": "other"}).status_code == 400


def test_what_the_console_exchanged_is_on_the_page(node: NodeInProcess, tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(LIST, "utf-8")
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    more = ["--config", str(node.config), "--mapping", str(tmp_path / "mapping.toml")]
    assert main(["neighbour", "take", str(tmp_path / "list.csv"), *more]) == 65
    assert main(["neighbour", "give", str(tmp_path / "given.csv"), *more]) == 0
    assert main(["neighbour", "transfer", "--out", str(tmp_path / "sent.ndjson"), *more]) == 0
    page = node.person("site_informatician").get(PAGE).text
    assert "11 rows read" in page
    assert "3 rows given" in page
    assert "2 people sent, 0 refused" in page or "0 people sent, 0 refused" in page
