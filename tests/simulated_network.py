"""CENTRAL as it is, over its own HTTP applications, with nodes that speak the protocol by hand.

A node here is the protocol and nothing else: keys, signed envelopes, a cursor.  That makes it easy to be
wrong on purpose: a changed byte, another site's key, an answer sent twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from racoon.central.administration import load_central_settings, open_database
from racoon.central.app import nodes_app, people_app
from racoon.central.composition import Central, build
from racoon.domain.canonical import content_hash
from racoon.platform import clock
from racoon.platform.auth import AccountStore
from racoon.platform.certificates import (
    decode_text,
    load_certificate,
    make_key,
    make_request,
    public_key_text,
)
from racoon.platform.http.peer import EXTENSION
from racoon.protocol.envelope import CENTRAL, Envelope, seal, to_wire, verify
from racoon.protocol.exchange import EnrolmentAnswer, JoinCode, is_proven, prove

PASSWORD = "correct horse battery"
PEOPLE = {
    "admin": ["admin_central"],
    "office": ["coordinator"],
    "office2": ["coordinator"],
    "pi": ["principal_investigator", "researcher"],
    "scientist": ["researcher"],
    "auditor": ["auditor"],
}

LIVER = {"value": "10200004", "scheme": "SCT", "meaning": "Liver"}
DEFINITION: dict[str, Any] = {
    "title": "Liver volume",
    "lay_summary": "How large are livers?",
    "mode": "federated",
    "cohort": {
        "version": "http://to_be_decided.com/draft-2/schema#",
        "inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]],
    },
    "application": {"background": "b", "hypothesis": "h", "data_origin": "synthetic"},
    "measuring": {
        "kind": "measuring",
        "name": "organs",
        "measurements": [
            {
                "biomarker": "volume",
                "version": "1",
                "label": LIVER,
                "bins": {"lower": 0.0, "upper": 100.0, "width": 10.0},
                "parameters": {},
            }
        ],
    },
    "training": {
        "kind": "training",
        "task": "segmentation",
        "name": "liver",
        "modality": "CT",
        "labels": [LIVER],
        "architecture": "unet2d-small",
        "rounds": 2,
        "local_steps": 1,
        "batch_size": 2,
        "learning_rate": 0.001,
        "size": [32, 32],
        "window_hu": [-100.0, 200.0],
        "seed": 1,
        "min_sites": 2,
        "min_cases": 1,
    },
    "evaluation_sites": ["HOLDOUT"],
    "pool_site": "POOL",
}

SITE_STEPS = (
    ("requested", "diz_check", "diz"),
    ("diz_check", "uac_vote", "uac_member"),
    ("uac_vote", "local_ethics", "diz"),
    ("local_ethics", "dpo_ok", "dpo"),
    ("dpo_ok", "contract_signed", "site_informatician"),
    ("contract_signed", "opted_in", "site_informatician"),
    ("opted_in", "data_ready", "site_informatician"),
    ("data_ready", "released", "diz"),
)


class _WithPeer:
    """Puts a client certificate where the TLS listener puts it."""

    def __init__(self, app: ASGIApp, certificate: bytes | None) -> None:
        self._app = app
        self._certificate = certificate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._certificate is not None and scope["type"] == "http":
            scope.setdefault("extensions", {})[EXTENSION] = self._certificate
        await self._app(scope, receive, send)


class Network:
    """One CENTRAL with its people."""

    def __init__(self, folder: Path, database_url: str = "", more: str = "") -> None:
        self.config = folder / "central.toml"
        lines = [f'data_directory = "{folder / "data"}"', "long_poll_s = 20", "heartbeat_s = 5"]
        if database_url:
            lines.append(f'database_url = "{database_url}"')
        self.config.write_text("\n".join([*lines, more]), encoding="utf-8")
        self.settings = load_central_settings(self.config)
        self._tokens: dict[str, str] = {}
        self.start()

    def restart(self) -> None:
        """Build everything anew from what lies on disk, as after a crash."""
        self.close()
        self.start()

    def start(self) -> None:
        self.central: Central = build(self.settings, open_database(self.settings))
        self.people = people_app(self.central)
        self.nodes = nodes_app(self.central)

    def close(self) -> None:
        self.central.database.dispose()

    def person(self, name: str) -> TestClient:
        """Return a browser of somebody who is signed in; passwords are slow on purpose, so each is made once."""
        if name not in self._tokens:
            accounts = AccountStore("central")
            user = accounts.create(self.central.database, name, PASSWORD, PEOPLE[name])
            self._tokens[name] = accounts.open_session(self.central.database, user).token
        client = TestClient(self.people, base_url="http://127.0.0.1:8500")
        client.headers["authorization"] = f"Bearer {self._tokens[name]}"
        return client

    def sign_in_again(self) -> None:
        """Open new sessions for everybody, for tests in which days pass."""
        accounts = AccountStore("central")
        for name in self._tokens:
            user = accounts.verify(self.central.database, name, PASSWORD)
            self._tokens[name] = accounts.open_session(self.central.database, user).token

    def get(self, name: str, path: str) -> Any:
        answer = self.person(name).get(path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, name: str, path: str, document: Any = None) -> Any:
        answer = self.person(name).post(path, json=document or {})
        assert answer.status_code < 300, answer.text
        return answer.json()

    def invite(self, code: str) -> str:
        self.post("admin", "/api/sites", {"code": code, "name": f"Hospital {code}", "city": "Testville"})
        return str(self.post("admin", f"/api/sites/{code}/join-code")["join_code"])

    def enrol(self, code: str) -> SimulatedNode:
        node = SimulatedNode(self, code)
        node.enrol(self.invite(code))
        return node

    def study_in_site_voting(self, sites: list[str], definition: Mapping[str, Any] = DEFINITION) -> str:
        study = self.post("pi", "/api/studies", {"definition": definition})
        study_id = str(study["study_id"])
        self.step(study_id, "pi", "submitted", {"signature": "PI"})
        self.step(study_id, "office", "formal_check")
        self.step(study_id, "office2", "ethics", {"checklist": "ok"})
        self.post("office", f"/api/studies/{study_id}/sites", {"sites": sites})
        self.step(study_id, "office", "site_voting", {"ethics_vote": {"number": "1"}})
        return study_id

    def activate(self, study_id: str) -> None:
        self.step(study_id, "office", "contracting", {"contract_draft": "c"})
        self.step(study_id, "office2", "preparing", {"contract": "c"})
        self.step(study_id, "office", "active", {"protocol_version": "1"})

    def step(self, study_id: str, name: str, target: str, artefacts: Mapping[str, Any] | None = None) -> Any:
        body = {"target": target, "artefacts": dict(artefacts or {})}
        return self.post(name, f"/api/studies/{study_id}/transitions", body)

    def study(self, study_id: str) -> Any:
        return self.get("pi", f"/api/studies/{study_id}")


class SimulatedNode:
    """A node that knows the protocol and nothing else."""

    def __init__(self, network: Network, code: str) -> None:
        self.network = network
        self.code = code
        self.tls_key = make_key()
        self.signing_key = Ed25519PrivateKey.generate()
        self.cursor = 0
        self.certificate: bytes | None = None
        self.central_key: Ed25519PublicKey | None = None
        self.studies: dict[str, Any] = {}

    def enrolment_request(self, join_code: str, **changed: Any) -> dict[str, Any]:
        code = JoinCode.from_text(join_code)
        fields = {
            "site": self.code,
            "request_pem": make_request(self.tls_key, self.code).decode(),
            "signing_key": public_key_text(self.signing_key),
            "version": "0.1",
            **changed,
        }
        return {**fields, "proof": prove(code.secret, "request", fields)}

    def enrol(self, join_code: str) -> None:
        client = TestClient(self.network.people)
        answer = client.post("/api/enrolment", json=self.enrolment_request(join_code))
        assert answer.status_code == 200, answer.text
        form = EnrolmentAnswer.model_validate(answer.json())
        secret = JoinCode.from_text(join_code).secret
        assert is_proven(secret, "answer", form.model_dump(mode="json", exclude={"proof"}), form.proof)
        self.certificate = load_certificate(form.certificate_pem).public_bytes(Encoding.DER)
        self.central_key = Ed25519PublicKey.from_public_bytes(decode_text(form.central_signing_key))

    @property
    def client(self) -> TestClient:
        return TestClient(_WithPeer(self.network.nodes, self.certificate))

    def seal(self, message_type: str, payload: Mapping[str, Any], **changed: Any) -> dict[str, Any]:
        fields: dict[str, Any] = {
            "type": message_type,
            "sender": self.code,
            "recipient": CENTRAL,
            "payload": dict(payload),
            "issued_at": clock.now(),
            **changed,
        }
        key = fields.pop("key", self.signing_key)
        return to_wire(seal(key, **fields))

    def send(self, *envelopes: dict[str, Any]) -> Any:
        answer = self.client.post("/node/v1/messages", json={"envelopes": list(envelopes)})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def say(self, message_type: str, payload: Mapping[str, Any]) -> None:
        receipt = self.send(self.seal(message_type, payload))
        assert receipt["rejected"] == {}
        assert len(receipt["stored"]) == 1

    def poll(self, wait_s: float = 0) -> list[Envelope]:
        answer = self.client.get("/node/v1/messages", params={"after": self.cursor, "wait_s": wait_s})
        assert answer.status_code == 200, answer.text
        delivery = answer.json()
        self.cursor = delivery["cursor"]
        assert self.central_key is not None
        envelopes = [Envelope.model_validate(document) for document in delivery["envelopes"]]
        for envelope in envelopes:
            verify(envelope, self.central_key, sender=CENTRAL, recipient=self.code, now=clock.now())
            if envelope.type == "study.offer":
                self.studies[envelope.payload["study_id"]] = envelope.payload
        return envelopes

    def offers(self, wait_s: float = 0) -> list[dict[str, Any]]:
        offers = [envelope.payload for envelope in self.poll(wait_s) if envelope.type == "job.offer"]
        for offer in offers:
            content = {"kind": offer["kind"], "parameters": offer["parameters"]}
            assert offer["content_hash"] == content_hash(content)
        return offers

    def track(self, study_id: str, source: str, target: str, role: str, version: int) -> dict[str, Any]:
        return {
            "study_id": study_id,
            "study_hash": self.studies[study_id]["study_hash"],
            "source": source,
            "target": target,
            "actor_role": role,
            "decided_at": clock.now().isoformat(),
            "version": version,
        }

    def decide_up_to(self, study_id: str, last: str) -> None:
        self.poll()
        for version, (source, target, role) in enumerate(SITE_STEPS, start=2):
            self.say("track.changed", self.track(study_id, source, target, role, version))
            if target == last:
                return

    def accept(self, offer: Mapping[str, Any]) -> None:
        self.say("job.accepted", {"job_id": offer["job_id"], "run_id": offer["run_id"]})

    def result(
        self, offer: Mapping[str, Any], payload: Mapping[str, Any], artifacts: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        return {
            "job_id": offer["job_id"],
            "run_id": offer["run_id"],
            "kind": offer["kind"],
            "release_id": "1",
            "policy_version": "1",
            "payload": dict(payload),
            "artifacts": dict(artifacts or {}),
        }

    def finish(
        self, offer: Mapping[str, Any], payload: Mapping[str, Any], artifacts: Mapping[str, str] | None = None
    ) -> None:
        self.say("job.result", self.result(offer, payload, artifacts))

    def upload(self, content: bytes) -> str:
        digest = hashlib.sha256(content).hexdigest()
        answer = self.client.put(f"/node/v1/artifacts/{digest}", content=content)
        assert answer.status_code == 204, answer.text
        return digest

    def heartbeat(self, **changed: Any) -> None:
        now = clock.now()
        numbers = {
            "version": "0.1",
            "protocol": "1.0",
            "sent_at": now.isoformat(),
            "uptime_s": 10.0,
            "disk_free_gb": 100.0,
            "memory_mb": 200.0,
            "jobs_waiting": 0,
            "jobs_running": 0,
            "intake_waiting": 0,
            "quarantined": 0,
            "certificate_expires_at": (now + timedelta(days=90)).isoformat(),
            **changed,
        }
        self.say("heartbeat", numbers)
