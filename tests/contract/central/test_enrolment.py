"""Joining the network, staying in it, and being shut out."""

from __future__ import annotations

from datetime import timedelta

from fastapi.testclient import TestClient

from racoon.platform import clock
from racoon.platform.certificates import common_name, make_key, make_request, not_after
from tests.simulated_network import Network, SimulatedNode


def test_site_joins_with_its_own_keys(network: Network) -> None:
    node = network.enrol("ALPHA")
    assert node.certificate is not None
    assert common_name(node.certificate) == "ALPHA"
    remaining = not_after(node.certificate) - clock.now()
    assert timedelta(days=89) < remaining < timedelta(days=91)
    assert [(s["code"], s["state"]) for s in network.get("admin", "/api/sites")] == [("ALPHA", "enrolled")]
    assert node.poll() == []


def test_join_code_is_burned_but_the_same_request_is_answered_again(network: Network) -> None:
    code = network.invite("ALPHA")
    node, thief = SimulatedNode(network, "ALPHA"), SimulatedNode(network, "ALPHA")
    people = TestClient(network.people)
    request = node.enrolment_request(code)
    assert people.post("/api/enrolment", json=request).status_code == 200
    assert people.post("/api/enrolment", json=request).status_code == 200
    refused = people.post("/api/enrolment", json=thief.enrolment_request(code))
    assert refused.status_code == 403
    assert refused.json()["code"] == "enrolment.join_code"


def test_enrolment_needs_proof_name_and_key(network: Network) -> None:
    code = network.invite("ALPHA")
    other = network.invite("BRAVO")
    node = SimulatedNode(network, "ALPHA")
    people = TestClient(network.people)
    foreign_name = make_request(make_key(), "BRAVO").decode()
    attempts = {
        "enrolment.proof": {**node.enrolment_request(code), "version": "0.2"},
        "enrolment.common_name": node.enrolment_request(code, request_pem=foreign_name),
        "enrolment.signing_key": node.enrolment_request(code, signing_key="x" * 43),
        "certificate.bad_request": None,
    }
    attempts["enrolment.proof"] = node.enrolment_request(other)
    for expected, request in attempts.items():
        if request is not None:
            answer = people.post("/api/enrolment", json=request)
            assert (answer.status_code, answer.json()["code"]) == (403, expected)
    assert people.post("/api/enrolment", json=node.enrolment_request(code)).status_code == 200


def test_join_secret_is_not_in_the_database_in_plain(network: Network) -> None:
    code = network.invite("ALPHA")
    node = SimulatedNode(network, "ALPHA")
    secret = node.enrolment_request(code)  # proves that the code works
    with network.central.database.connect() as connection:
        sealed = str(list(connection.exec_driver_sql("SELECT * FROM join_code")))
    assert code not in sealed
    assert secret["proof"] not in sealed


def test_suspended_site_is_refused_at_once_and_may_join_again(network: Network) -> None:
    node = network.enrol("ALPHA")
    network.post("admin", "/api/sites/ALPHA/suspension", {"reason": "key lost"})
    answer = node.client.get("/node/v1/messages")
    assert (answer.status_code, answer.json()["code"]) == (403, "site.refused")
    assert network.person("admin").delete("/api/sites/ALPHA/suspension").status_code == 200
    node.enrol(network.post("admin", "/api/sites/ALPHA/join-code")["join_code"])
    assert node.poll() == []


def test_listener_refuses_strangers(network: Network) -> None:
    node = network.enrol("ALPHA")
    stranger = SimulatedNode(network, "BRAVO")
    assert stranger.client.get("/node/v1/messages").status_code == 403
    assert stranger.client.post("/node/v1/messages", json={"envelopes": []}).status_code == 403
    assert stranger.client.put(f"/node/v1/artifacts/{'a' * 64}", content=b"x").status_code == 403
    assert node.client.get("/node/v1/messages", params={"wait_s": 0}).status_code == 200


def test_certificate_is_renewed_beside_the_old_one(network: Network) -> None:
    node = network.enrol("ALPHA")
    body = {"request_pem": make_request(make_key(), "ALPHA").decode()}
    answer = node.client.post("/node/v1/certificate", json=body)
    assert answer.status_code == 200
    assert node.poll() == []
    foreign = {"request_pem": make_request(make_key(), "BRAVO").decode()}
    assert node.client.post("/node/v1/certificate", json=foreign).status_code == 403


def test_every_deed_is_in_an_unbroken_audit_chain(network: Network) -> None:
    node = network.enrol("ALPHA")
    TestClient(network.people).post(
        "/api/enrolment",
        json=node.enrolment_request(
            network.post("admin", "/api/sites/ALPHA/join-code")["join_code"], signing_key="x" * 43
        ),
    )
    with network.central.database.connect() as connection:
        entries = network.central.audit.entries(connection)
        assert network.central.audit.verify(connection).valid
    actions = [(entry.action, entry.outcome) for entry in entries if entry.action.startswith("site.")]
    assert actions == [
        ("site.enrol", "refused"),
        ("site.join_code", "success"),
        ("site.enrol", "success"),
        ("site.join_code", "success"),
        ("site.add", "success"),
    ]
