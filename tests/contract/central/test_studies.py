"""A study's way through its states, and the sites' own decisions."""

from __future__ import annotations

from racoon.protocol.envelope import Envelope, verify
from tests.simulated_network import DEFINITION, Network


def test_study_walks_from_concept_to_active(network: Network) -> None:
    alpha = network.enrol("ALPHA")
    study_id = network.study_in_site_voting(["ALPHA"])
    alpha.decide_up_to(study_id, "opted_in")
    network.activate(study_id)
    study = network.study(study_id)
    assert (study["study_id"], study["state"], study["version"]) == ("RS-0001", "active", 8)
    assert [event["target"] for event in study["history"]] == [
        "submitted",
        "formal_check",
        "ethics",
        "site_voting",
        "contracting",
        "preparing",
        "active",
    ]
    (row,) = study["sites"]
    assert (row["site"], row["state"]) == ("ALPHA", "opted_in")
    assert list(row["days"]) == [
        "requested",
        "diz_check",
        "uac_vote",
        "local_ethics",
        "dpo_ok",
        "contract_signed",
        "opted_in",
    ]
    assert "data_hold" in study["next_states"]


def test_steps_need_the_role_the_second_person_the_artefacts_and_the_facts(network: Network) -> None:
    study = network.post("pi", "/api/studies", {"definition": {**DEFINITION, "application": {}}})
    study_id = study["study_id"]

    def refuse(name: str, target: str, **artefacts: str) -> str:
        answer = network.person(name).post(
            f"/api/studies/{study_id}/transitions", json={"target": target, "artefacts": artefacts}
        )
        assert answer.status_code == 409
        return str(answer.json()["detail"])

    assert "lacks" in refuse("pi", "submitted", signature="s")
    body = {"definition": DEFINITION, "version": 1}
    assert network.person("pi").put(f"/api/studies/{study_id}/definition", json=body).status_code == 200
    assert "needs: signature" in refuse("pi", "submitted")
    assert "belongs to" in refuse("office", "submitted", signature="s")
    assert "no step" in refuse("office", "active")
    network.step(study_id, "pi", "submitted", {"signature": "s"})
    network.step(study_id, "office", "formal_check")
    assert "second person" in refuse("office", "ethics", checklist="c")
    network.step(study_id, "office2", "ethics", {"checklist": "c"})
    assert "no site has been requested" in refuse("office", "site_voting", ethics_vote="v")
    with network.central.database.connect() as connection:
        entries = network.central.audit.entries(connection, purpose=study_id)
    assert sum(entry.outcome == "refused" for entry in entries) == 6


def test_stale_version_is_refused(network: Network) -> None:
    study = network.post("pi", "/api/studies", {"definition": DEFINITION})
    body = {"target": "submitted", "artefacts": {"signature": "s"}, "version": 7}
    answer = network.person("pi").post(f"/api/studies/{study['study_id']}/transitions", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "study.stale")


def test_wrong_definition_is_refused_with_its_reason(network: Network) -> None:
    answer = network.person("pi").post("/api/studies", json={"definition": {**DEFINITION, "title": " "}})
    assert (answer.status_code, answer.json()["code"]) == (422, "study.invalid")
    assert network.get("pi", "/api/studies") == []


def test_site_decisions_are_kept_with_the_sites_signature(network: Network) -> None:
    alpha = network.enrol("ALPHA")
    study_id = network.study_in_site_voting(["ALPHA"])
    alpha.decide_up_to(study_id, "uac_vote")
    with network.central.database.connect() as connection:
        decisions = network.central.studies.decisions(connection, study_id)
    assert [row["target"] for row in decisions] == ["requested", "diz_check", "uac_vote"]
    assert decisions[0]["envelope"] is None
    for row in decisions[1:]:
        envelope = Envelope.model_validate(row["envelope"])
        verify(
            envelope,
            alpha.signing_key.public_key(),
            sender="ALPHA",
            recipient="CENTRAL",
            now=envelope.issued_at,
        )


def test_central_takes_no_decision_that_the_table_does_not_know(network: Network) -> None:
    alpha, bravo = network.enrol("ALPHA"), network.enrol("BRAVO")
    study_id = network.study_in_site_voting(["ALPHA"])
    alpha.poll()
    bravo.studies = alpha.studies
    wrong = [
        alpha.track(study_id, "requested", "released", "diz", 2),
        alpha.track(study_id, "requested", "diz_check", "reader", 2),
        alpha.track(study_id, "not_requested", "requested", "coordinator", 2),
    ]
    for payload in wrong:
        assert len(alpha.send(alpha.seal("track.changed", payload))["rejected"]) == 1
    not_asked = bravo.track(study_id, "requested", "diz_check", "diz", 2)
    assert len(bravo.send(bravo.seal("track.changed", not_asked))["rejected"]) == 1
    assert network.study(study_id)["sites"][0]["state"] == "requested"


def test_late_decision_does_not_undo_a_newer_one(network: Network) -> None:
    alpha = network.enrol("ALPHA")
    study_id = network.study_in_site_voting(["ALPHA"])
    alpha.poll()
    alpha.say("track.changed", alpha.track(study_id, "diz_check", "stopped", "dpo", 3))
    alpha.say("track.changed", alpha.track(study_id, "requested", "diz_check", "diz", 2))
    assert network.study(study_id)["sites"][0]["state"] == "stopped"


def test_roles_decide_what_people_may_do(network: Network) -> None:
    study = network.post("pi", "/api/studies", {"definition": DEFINITION})
    forbidden = [
        ("office", "post", "/api/studies"),
        ("pi", "post", "/api/sites"),
        ("pi", "post", f"/api/studies/{study['study_id']}/sites"),
        ("scientist", "get", f"/api/studies/{study['study_id']}/results"),
        ("admin", "get", f"/api/studies/{study['study_id']}/results"),
    ]
    bodies = {
        "/api/studies": {"definition": DEFINITION},
        "/api/sites": {"code": "ALPHA"},
        f"/api/studies/{study['study_id']}/sites": {"sites": ["ALPHA"]},
    }
    for name, method, path in forbidden:
        answer = network.person(name).request(method, path, json=bodies.get(path))
        assert (answer.status_code, answer.json()["code"]) == (403, "auth.forbidden"), (name, path)
    run = network.person("scientist").post(f"/api/studies/{study['study_id']}/runs", json={"kind": "measure"})
    assert run.status_code == 403
