"""The portfolio over HTTP: time in each state, cases against targets, sites by studies, what is overdue."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from racoon.platform import clock
from tests.simulated_network import DEFINITION, Network


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    moment = [datetime.now(UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    return moment


def test_the_portfolio_shows_all_studies_and_what_is_overdue(network: Network, today: list[datetime]) -> None:
    alpha, bravo = network.enrol("ALPHA"), network.enrol("BRAVO")
    wanted = {**DEFINITION, "application": {**DEFINITION["application"], "target_cases": 40}}
    study_id = network.study_in_site_voting(["ALPHA", "BRAVO"], wanted)
    network.post("pi", "/api/studies", {"definition": {**DEFINITION, "title": "Only an idea"}})
    alpha.decide_up_to(study_id, "contract_signed")
    bravo.poll()
    today[0] += timedelta(days=29)
    network.sign_in_again()
    shown = network.get("office", "/api/portfolio")
    assert (shown["remind_after_days"], shown["remind_again_days"], shown["overdue_after_days"]) == (
        14,
        7,
        28,
    )
    assert [item["title"] for item in shown["studies"]] == ["Only an idea", "Liver volume"]
    study = shown["studies"][1]
    assert (study["cases"], study["target_cases"]) == (0, 40)
    assert study["spans"][-1]["state"] == "site_voting"
    assert study["spans"][-1]["days"] == pytest.approx(29, abs=0.1)
    assert {site["site"]: site["is_overdue"] for site in study["sites"]} == {"ALPHA": True, "BRAVO": True}
    alpha.say("track.changed", alpha.track(study_id, "contract_signed", "opted_in", "site_informatician", 7))
    (row,) = [site for site in network.study(study_id)["sites"] if site["site"] == "ALPHA"]
    assert (row["state"], row["waits_days"], row["is_overdue"]) == ("opted_in", None, False)
    assert row["days"]["contract_signed"] == pytest.approx(29, abs=0.1)

    person = network.person("office")
    person.headers["accept-language"] = "de"
    page = person.get("/portfolio").text
    assert "überfällig" in page
    assert "Hospital" not in page
    assert f'<a href="/studies/{study_id}" aria-label="Liver volume: ' in page
    assert "Überfällig sind Entscheidungen dieser Standorte:" in person.get("/").text
    assert network.person("auditor").get("/portfolio").status_code == 200


def test_a_deadline_for_votes_makes_a_vote_overdue(network: Network, today: list[datetime]) -> None:
    node = network.enrol("ALPHA")
    study = network.post("pi", "/api/studies", {"definition": DEFINITION})
    study_id = study["study_id"]
    network.step(study_id, "pi", "submitted", {"signature": "PI"})
    network.step(study_id, "office", "formal_check")
    network.step(study_id, "office2", "ethics", {"checklist": "ok"})
    network.post("office", f"/api/studies/{study_id}/sites", {"sites": ["ALPHA"]})
    last = (today[0] + timedelta(days=5)).date().isoformat()
    network.step(study_id, "office", "site_voting", {"ethics_vote": {"number": "1"}, "deadline": last})
    node.poll()
    for days, is_overdue in ((5, False), (1, True)):
        today[0] += timedelta(days=days)
        network.sign_in_again()
        (study,) = network.get("office", "/api/portfolio")["studies"]
        assert study["deadline"] == last
        assert [site["is_overdue"] for site in study["sites"]] == [is_overdue]
