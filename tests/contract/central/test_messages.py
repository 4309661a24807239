"""Envelopes: processed once, refused when wrong, delivered in order, soon."""

from __future__ import annotations

import hashlib
import threading
import time
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.platform import clock
from tests.simulated_network import DEFINITION, Network, SimulatedNode


@pytest.fixture
def node(network: Network) -> SimulatedNode:
    return network.enrol("ALPHA")


def _anchor(node: SimulatedNode, sequence: int = 1) -> dict[str, object]:
    return {"sequence": sequence, "hash": "a" * 64}


def test_message_sent_again_is_stored_once(network: Network, node: SimulatedNode) -> None:
    envelope = node.seal("audit.anchor", _anchor(node))
    first, second = node.send(envelope), node.send(envelope, envelope)
    assert first == {"stored": [envelope["id"]], "rejected": {}}
    assert second == {"stored": [envelope["id"], envelope["id"]], "rejected": {}}
    with network.central.database.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM audit_anchor").scalar() == 1
        assert connection.exec_driver_sql("SELECT count(*) FROM inbox").scalar() == 1


def test_wrong_envelopes_are_rejected_with_a_reason_and_the_rest_goes_on(
    network: Network, node: SimulatedNode
) -> None:
    now = clock.now()
    tampered = {**node.seal("audit.anchor", _anchor(node)), "payload": _anchor(node, 2)}
    wrong = {
        "tampered": tampered,
        "foreign key": node.seal("audit.anchor", _anchor(node), key=Ed25519PrivateKey.generate()),
        "other sender": node.seal("audit.anchor", _anchor(node), sender="BRAVO"),
        "other recipient": node.seal("audit.anchor", _anchor(node), recipient="BRAVO"),
        "expired": node.seal("audit.anchor", _anchor(node), issued_at=now - timedelta(days=40)),
        "future": node.seal("audit.anchor", _anchor(node), issued_at=now + timedelta(hours=1)),
        "malformed": node.seal("audit.anchor", {"sequence": -1}),
        "unknown": node.seal("no.such.type", {}),
        "direction": node.seal("job.cancel", {"job_id": "x"}),
    }
    good = node.seal("audit.anchor", _anchor(node, 7))
    receipt = node.send(*wrong.values(), good)
    assert receipt["stored"] == [good["id"]]
    assert set(receipt["rejected"]) == {envelope["id"] for envelope in wrong.values()}
    with network.central.database.connect() as connection:
        refused = [
            entry for entry in network.central.audit.entries(connection) if entry.action == "message.receive"
        ]
    assert len(refused) == len(wrong)
    assert all(entry.outcome == "refused" for entry in refused)


def test_tampered_copy_does_not_shut_out_the_genuine_envelope(node: SimulatedNode) -> None:
    genuine = node.seal("audit.anchor", _anchor(node))
    assert node.send({**genuine, "payload": _anchor(node, 9)})["stored"] == []
    assert node.send(genuine)["stored"] == [genuine["id"]]


def test_messages_arrive_in_order_and_the_cursor_survives_a_restart(
    network: Network, node: SimulatedNode
) -> None:
    study_id = network.study_in_site_voting(["ALPHA"])
    first = node.poll()
    assert [envelope.type for envelope in first] == ["study.offer", "study.state", "study.state"]
    assert [envelope.payload["state"] for envelope in first[1:]] == ["ethics", "site_voting"]
    network.restart()
    assert node.poll() == []
    network.step(study_id, "pi", "withdrawn", {"comment": "no time"})
    assert [envelope.payload["state"] for envelope in node.poll()] == ["withdrawn"]
    node.cursor = 0
    assert len(node.poll()) == 4


def test_waiting_poll_gets_a_message_of_another_process_within_a_second(
    network: Network, node: SimulatedNode
) -> None:
    def count_later() -> None:
        study = network.post("pi", "/api/studies", {"definition": DEFINITION})
        network.post("pi", f"/api/studies/{study['study_id']}/runs", {"kind": "count"})

    network.person("pi")
    thread = threading.Timer(0.3, count_later)
    started = time.monotonic()
    thread.start()
    offers = node.offers(wait_s=20)
    waited_s = time.monotonic() - started
    thread.join()
    assert [offer["kind"] for offer in offers] == ["count"]
    # A poll that only timed out would take 20 s; on an idle machine the message is there after 0.3 s.
    assert 0.25 < waited_s < 15


def test_artifacts_are_verified_and_only_for_whom_they_are_meant(
    network: Network, node: SimulatedNode
) -> None:
    other = network.enrol("BRAVO")
    digest = node.upload(b"weights")
    assert node.upload(b"weights") == digest
    assert node.client.get(f"/node/v1/artifacts/{digest}").content == b"weights"
    assert other.client.get(f"/node/v1/artifacts/{digest}").status_code == 404
    wrong = hashlib.sha256(b"other").hexdigest()
    answer = node.client.put(f"/node/v1/artifacts/{wrong}", content=b"weights")
    assert (answer.status_code, answer.json()["code"]) == (422, "artifact.invalid")
    assert node.client.get(f"/node/v1/artifacts/{wrong}").status_code == 404
    assert node.client.get("/node/v1/artifacts/..%2F..%2Fcentral.sqlite").status_code == 404
    left_behind = [path.name for path in network.central.artifacts.path(digest).parent.iterdir()]
    assert left_behind == [digest]
