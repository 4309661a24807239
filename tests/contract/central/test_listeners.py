"""The two listeners as processes meet them: mutual TLS, an action behind every route, pages for each role."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from racoon.central.administration import import_accounts
from racoon.central.app import _listeners
from racoon.domain.permission import PERMISSIONS
from racoon.platform.certificates import key_pem
from racoon.platform.http import serve_in_thread
from racoon.protocol.exchange import EnrolmentAnswer
from tests.routes import actions_of, api_routes
from tests.simulated_network import DEFINITION, PEOPLE, Network, SimulatedNode

OPEN_ROUTES = {
    "/api/session",
    "/api/enrolment",
    "/health/live",
    "/health/ready",
    "/metrics",
    "/login",
    "/logout",
    "/preferences",
    "/login/code",
    "/account",
    "/account/password",
    "/account/second-factor",
    "/account/second-factor/removal",
    "/public",
    "/api/public",
}
"""Routes that ask for no role: to sign in, to join with a code, to probe, one's own account, and what everybody may
know."""


def test_every_route_names_an_action_of_the_permission_table(network: Network) -> None:
    guarded = [route for route in api_routes(network.people) if route.path not in OPEN_ROUTES]
    assert len(guarded) > 40
    unnamed = [route.path for route in guarded if not actions_of(route) & set(PERMISSIONS["central"])]
    assert unnamed == []


@pytest.mark.parametrize("path", ["/", "/studies", "/sites", "/library", "/monitoring", "/audit"])
def test_pages_open_for_those_who_may_and_explain_to_others(network: Network, path: str) -> None:
    seen = set()
    for name in PEOPLE:
        page = network.person(name).get(path, headers={"accept": "text/html"})
        assert page.status_code in (200, 403)
        assert page.headers["content-type"].startswith("text/html")
        assert "For research use only" in page.text
        seen.add(page.status_code)
    assert 200 in seen


def test_pages_are_german_for_those_who_ask(network: Network) -> None:
    network.enrol("ALPHA")
    page = network.person("admin").get("/sites", headers={"accept-language": "de-DE"})
    assert "Neuer Beitrittscode" in page.text
    issued = network.person("admin").post("/sites/ALPHA/join-code", headers={"accept-language": "de"})
    assert "racoon-join-" in issued.text


def test_forms_do_what_the_api_does(network: Network) -> None:
    network.enrol("ALPHA")
    pi, office = network.person("pi"), network.person("office")
    wrong = pi.post("/studies", data={"definition": "{"})
    assert (wrong.status_code, "{" in wrong.text) == (422, True)
    created = pi.post("/studies", data={"definition": json.dumps(DEFINITION)}, follow_redirects=False)
    assert (created.status_code, created.headers["location"]) == (303, "/studies/RS-0001")
    refused = office.post("/studies/RS-0001/steps", data={"target": "submitted", "signature": "s"})
    assert refused.status_code == 409
    assert "belongs to" in refused.text
    pi.post("/studies/RS-0001/steps", data={"target": "submitted", "signature": "s", "version": "1"})
    office.post("/studies/RS-0001/steps", data={"target": "formal_check"})
    office.post("/studies/RS-0001/requests", data={"site": ["ALPHA"]})
    pi.post("/studies/RS-0001/start", data={"kind": "count"})
    study = network.study("RS-0001")
    assert (study["state"], [row["site"] for row in study["sites"]]) == ("formal_check", ["ALPHA"])
    assert [run["kind"] for run in network.get("pi", "/api/studies/RS-0001/runs")] == ["count"]


def test_what_a_site_says_is_shown_as_text_never_as_markup(network: Network) -> None:
    node = network.enrol("ALPHA")
    study_id = network.study_in_site_voting(["ALPHA"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "count"})["run_id"]
    (offer,) = node.offers()
    reason = {"code": "x", "public_reason": "<script>alert(1)</script> 100 %"}
    node.say("job.refused", {"job_id": offer["job_id"], "run_id": run_id, **reason})
    page = network.person("pi").get(f"/studies/{study_id}").text
    assert "<script>" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; 100 %" in page


def test_monitoring_tells_who_is_well(network: Network) -> None:
    node = network.enrol("ALPHA")
    network.enrol("BRAVO")
    node.heartbeat(quarantined=2)
    shown = network.get("office", "/api/monitoring")
    assert [(row["site"], row["condition"], row["alerts"]) for row in shown["sites"]] == [
        ("ALPHA", "attention", ["quarantine"]),
        ("BRAVO", "never_seen", []),
    ]
    assert len(network.get("office", "/api/monitoring/ALPHA/history")) == 1
    with network.central.database.begin() as connection:
        network.central.monitoring.send_anchors(connection)
    (envelope,) = [item for item in node.poll() if item.type == "audit.anchor.central"]
    with network.central.database.connect() as connection:
        verdict = network.central.audit.verify(
            connection, (envelope.payload["sequence"], envelope.payload["hash"])
        )
    assert verdict.valid


def test_anchor_that_contradicts_an_older_one_is_evidence(network: Network) -> None:
    node = network.enrol("ALPHA")
    for digest in ("a" * 64, "b" * 64):
        node.say("audit.anchor", {"sequence": 5, "hash": digest})
    with network.central.database.connect() as connection:
        entries = network.central.audit.entries(connection, action="audit.anchor")
    assert [entry.outcome for entry in entries] == ["failure"]


@pytest.mark.parametrize("network", ["sqlite"], indirect=True)
def test_nodes_listener_demands_a_certificate_of_this_network(network: Network, tmp_path: Path) -> None:
    node, code = SimulatedNode(network, "ALPHA"), network.invite("ALPHA")
    people, nodes = _listeners(network.central)
    people.port = nodes.port = 0
    with serve_in_thread([people, nodes]):
        request = node.enrolment_request(code)
        answer = httpx.post(f"http://127.0.0.1:{people.port}/api/enrolment", json=request)
        form = EnrolmentAnswer.model_validate(answer.json())
        key, certificate = tmp_path / "tls.key", tmp_path / "tls.pem"
        key.write_bytes(key_pem(node.tls_key))
        certificate.write_text(form.certificate_pem)
        url = f"https://127.0.0.1:{nodes.port}/node/v1/messages?wait_s=0"
        trusting = ssl.create_default_context(cadata=form.authority_pem)
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=trusting)
        trusting.load_cert_chain(certificate, key)
        assert httpx.get(url, verify=trusting).json() == {"envelopes": [], "cursor": 0}
        with pytest.raises(httpx.TransportError):
            httpx.get(url, verify=ssl.create_default_context())
        network.post("admin", "/api/sites/ALPHA/suspension", {"reason": "key lost"})
        assert httpx.get(url, verify=trusting).status_code == 403


def test_people_sign_in_with_accounts_the_operator_made(network: Network) -> None:
    people = [{"username": "ada", "password": "correct horse battery", "roles": ["auditor"]}]
    assert import_accounts(network.config, people) == ["ada"]
    assert import_accounts(network.config, people) == []
    client = TestClient(network.people, base_url="http://127.0.0.1:8500")
    assert client.get("/api/sites").status_code == 401
    wrong = client.post("/api/session", json={"username": "ada", "password": "wrong horse battery"})
    assert wrong.status_code == 401
    form = {"username": "ada", "password": "correct horse battery", "next": "/audit"}
    page = client.post("/login", data=form)
    assert (page.status_code, page.url.path) == (200, "/audit")
    assert "account.create" in page.text
