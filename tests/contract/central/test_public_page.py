"""The public page: off by default, open to everybody where it is on, and nothing on it gives anybody away."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from racoon.central.portal.public import PUBLIC_STATES, safe_total
from racoon.domain.governance.study import STUDY_STATES
from tests.simulated_network import DEFINITION, Network

GERMAN = {"accept-language": "de", "accept": "text/html"}


@pytest.mark.parametrize(
    ("by_site", "said"),
    [
        ({}, None),
        ({"A": 500, "B": 700}, None),
        ({"A": 500, "B": 700, "C": None}, None),
        ({"A": 5, "B": 0, "C": 4}, None),
        ({"A": 5, "B": 5, "C": 9}, 10),
        ({"A": 40, "B": 50, "C": 39, "D": None}, 120),
    ],
)
def test_a_total_needs_three_sites_and_is_rounded_down(
    by_site: dict[str, int | None], said: int | None
) -> None:
    assert safe_total(by_site) == said


def test_nothing_before_the_activation_and_nothing_refused_is_public() -> None:
    assert set(STUDY_STATES) - PUBLIC_STATES == {
        "concept",
        "submitted",
        "formal_check",
        "rework",
        "rejected",
        "ethics",
        "site_voting",
        "contracting",
        "preparing",
        "withdrawn",
    }


def test_it_is_off_unless_the_network_turns_it_on(network: Network) -> None:
    stranger = TestClient(network.people, base_url="http://127.0.0.1:8500")
    assert stranger.get("/public").status_code == 404
    assert stranger.get("/api/public").json()["code"] == "portal.no_public_page"


def test_everybody_sees_active_studies_in_lay_words_only(tmp_path: Path) -> None:
    network = Network(tmp_path, more="[people]\npublic_page = true")
    network.enrol("ALPHA")
    network.post("pi", "/api/studies", {"definition": {**DEFINITION, "title": "Only an idea"}})
    study_id = network.study_in_site_voting(["ALPHA"], {**DEFINITION, "lay_summary": "We look at livers."})
    stranger = TestClient(network.people, base_url="http://127.0.0.1:8500")
    page = stranger.get("/public", headers=GERMAN)
    assert page.status_code == 200
    assert "Noch läuft keine Studie." in page.text
    with network.central.database.begin() as connection:
        connection.exec_driver_sql(f"UPDATE study SET state = 'active' WHERE study_id = '{study_id}'")
    # Nobody signs in here, so what was looked up is kept for a while.
    assert stranger.get("/api/public").json()["studies"] == []
    network.restart()
    stranger = TestClient(network.people, base_url="http://127.0.0.1:8500")
    (study,) = stranger.get("/api/public").json()["studies"]
    assert (study["title"], study["lay_summary"]) == (DEFINITION["title"], "We look at livers.")
    assert (study["sites"], study["at_least"]) == (0, None)
    page = stranger.get("/public", headers=GERMAN).text
    assert "We look at livers." in page
    assert "Only an idea" not in page
    assert "ALPHA" not in page
    assert "zu wenige, oder zu wenige Kliniken" in page
    network.close()
