"""CENTRAL as it is with two whole nodes, a site and a pool; the wire is recorded and can be cut anywhere."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from racoon.domain.cohort import CohortDefinition, ImagingCriterion
from racoon.domain.identity import Role
from racoon.node.app import permission
from racoon.node.app.pooling import open_pooling
from racoon.node.archive.assessing import Assessor
from racoon.node.curation import service as curation
from racoon.node.link import _store as line_store
from racoon.node.link.service import Line
from tests.governed_network import LADDER
from tests.node_rooms import NodeInProcess
from tests.simulated_network import DEFINITION, Network, SimulatedNode, _WithPeer

COHORT = CohortDefinition(((ImagingCriterion(modality="CT"),),))
POOLED = {**DEFINITION, "mode": "pooled", "pool_site": "POOL", "evaluation_sites": [], "training": None}


class Cut(Exception):
    """The line was cut."""


class Wire:
    """Records every byte that passes, and cuts requests after some bytes of their body or answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[bytes] = []
        self.cuts: Iterator[int] | None = None
        self.cut_count = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.seen.append(scope["path"].encode() + b"?" + scope["query_string"])
        is_parcel = scope["path"].startswith("/node/v1/parcels/") and scope["method"] in ("GET", "PUT")
        left = next(self.cuts) if self.cuts is not None and is_parcel else None
        was_cut = False

        async def hear() -> Message:
            nonlocal left, was_cut
            if was_cut:
                return {"type": "http.disconnect"}
            message = await receive()
            if message["type"] == "http.request" and scope["method"] == "PUT" and left is not None:
                body = message.get("body", b"")
                if len(body) > left:
                    was_cut = True
                    message = {"type": "http.request", "body": body[:left], "more_body": True}
                left -= len(body)
            self.seen.append(message.get("body", b""))
            return message

        async def say(message: Message) -> None:
            nonlocal left, was_cut
            if was_cut and scope["method"] == "PUT":
                raise Cut
            if message["type"] == "http.response.body":
                body = message.get("body", b"")
                self.seen.append(body)
                if scope["method"] == "GET" and left is not None:
                    if len(body) > left:
                        await send({**message, "body": body[:left], "more_body": True})
                        was_cut = True
                        raise Cut
                    left -= len(body)
            await send(message)

        try:
            await self._app(scope, hear, say)
        finally:
            self.cut_count += was_cut


class PooledNode:
    """One whole node with its line, pumped by hand."""

    def __init__(self, network: Network, code: str, folder: Path, *, receives: bool = False) -> None:
        self.node = NodeInProcess(
            folder / code, site=code, more="[pool]\nreceives = true" if receives else ""
        )
        self.wire = SimulatedNode(network, code)
        self.wire.signing_key = self.node.rooms.identity.signing_key
        self.wire.enrol(network.invite(code))
        assert self.wire.central_key is not None
        self.tap = Wire(_WithPeer(network.nodes, self.wire.certificate))
        self.code, rooms = code, self.node.rooms
        self.pooling = open_pooling(rooms, names=self.node.names, settlement=self.node.settlement)
        self.line = Line(
            rooms.database,
            replace(rooms.identity, central_key=self.wire.central_key),
            rooms.outbox,
            rooms.audit,
            {
                "study.offer": rooms.approvals.receive_offer,
                "study.state": rooms.approvals.receive_state,
                "study.reminder": rooms.approvals.receive_reminder,
                "subject.withdrawn.receipt": self.node.settlement.receive_receipt,
                "letter.delivered": self.pooling.receive,
                "audit.anchor.central": lambda *_: None,
            },
            folder,
            lambda: None,
        )

    def client(self) -> TestClient:
        # Whoever is cut off sees a broken answer, not the server's exception.
        return TestClient(self.tap, raise_server_exceptions=False)

    def exchange(self) -> None:
        """Tell what waits, listen, act on it, and carry parcels; until nothing moves."""
        for _ in range(20):
            moved = self.tell() + self.listen() + self.pooling.work() + self.carry()
            if not moved:
                return
        raise AssertionError("the node never comes to rest")

    def tell(self) -> int:
        with self.node.rooms.database.connect() as connection:
            waiting = line_store.waiting(connection, 100)
        if not waiting:
            return 0
        answer = self.client().post("/node/v1/messages", json={"envelopes": [item for _, item in waiting]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["rejected"] == {}
        with self.node.rooms.database.begin() as connection:
            for envelope_id in answer.json()["stored"]:
                line_store.mark_sent(connection, envelope_id, "stored")
        return len(waiting)

    def listen(self) -> int:
        answer = self.client().get("/node/v1/messages", params={"after": self.wire.cursor, "wait_s": 0})
        assert answer.status_code == 200, answer.text
        self.wire.cursor = answer.json()["cursor"]
        for document in answer.json()["envelopes"]:
            self.line.receive(document)
        return len(answer.json()["envelopes"])

    def carry(self) -> int:
        """Carry parcels until none waits; a cut is a cut, and the next step goes on."""
        moved = 0
        for _ in range(20_000):
            try:
                if not self.node.rooms.parcels.step(self.client(), ""):
                    return moved
                moved += 1
            except Exception:
                if self.tap.cuts is None:
                    raise
        raise AssertionError("the parcels never get through")

    @contextmanager
    def cutting(self, seed: int, largest: int = 900) -> Iterator[None]:
        """Cut every parcel request after a few bytes."""
        chance = random.Random(seed)
        self.tap.cuts = iter(lambda: chance.randrange(largest), -1)
        yield
        self.tap.cuts = None

    def assess(self) -> None:
        """Let the quality rules look at every series."""
        while Assessor(self.node.rooms.archive, quiet_s=-1).run_once():
            pass


class PooledNetwork:
    """CENTRAL, the site ALPHA and the pool POOL."""

    def __init__(self, folder: Path) -> None:
        (folder / "central").mkdir()
        self.network = Network(folder / "central")
        self.folder = folder
        self.site = PooledNode(self.network, "ALPHA", folder)
        self.pool = PooledNode(self.network, "POOL", folder, receives=True)
        self.pool.node.rely_on()
        self.study_id = ""

    def close(self) -> None:
        self.site.node.close()
        self.pool.node.close()
        self.network.close()

    def introduce(self) -> None:
        """People of both sides enter each other's peer code."""
        for one, other in ((self.site, self.pool), (self.pool, self.site)):
            with one.node.rooms.database.begin() as connection:
                text = other.node.rooms.peers.own.to_text()
                one.node.rooms.peers.add(connection, text, actor="inga", actor_role="site_informatician")

    def exchange(self) -> None:
        for _ in range(4):
            self.site.exchange()
            self.pool.exchange()

    def released_study(self, patients: tuple[str, ...] = ("4711", "4712")) -> str:
        """Bring a pooled study to active, released at the site with its dataset frozen."""
        node = self.site.node
        node.rely_on()
        self.study_id = study_id = self.network.study_in_site_voting(["ALPHA", "POOL"], POOLED)
        node.rely_on(study_id)
        for number, patient in enumerate(patients, start=1):
            node.store(number, patient)
        self.exchange()
        self.walk("opted_in")
        self.exchange()
        self.network.activate(study_id)
        self.exchange()
        rooms = node.rooms
        with rooms.database.begin() as connection:
            manifest = curation.freeze(
                connection,
                rooms.archive,
                study_id,
                "first",
                COHORT,
                readable=node.consent.condition,
                usable=permission.usable_series(node.consent),
            )
            study = rooms.approvals.current(connection, study_id)
            rooms.approvals.dataset_frozen(connection, study_id, study.study_hash, manifest.hash)
        self.walk("released", after="opted_in")
        self.exchange()
        return study_id

    def walk(self, last: str, after: str = "") -> None:
        approvals = self.site.node.rooms.approvals
        is_on = not after
        for target, actor, role, artefacts in LADDER:
            if is_on:
                with self.site.node.rooms.database.begin() as connection:
                    study = approvals.current(connection, self.study_id)
                    approvals.decide(
                        connection, study, target, actor=actor, roles={role}, artefacts=dict(artefacts)
                    )
            is_on = is_on or target == after
            if target == last:
                return

    def stop(self, reason: str = "no longer") -> None:
        approvals = self.site.node.rooms.approvals
        with self.site.node.rooms.database.begin() as connection:
            study = approvals.current(connection, self.study_id)
            artefacts = {"comment": reason, "public_reason": reason}
            approvals.decide(
                connection, study, "stopped", actor="dora", roles={Role.DPO}, artefacts=artefacts
            )

    def ask(self, actor: str = "inga") -> str:
        with self.site.node.rooms.database.begin() as connection:
            return self.site.pooling.sender.ask(
                connection, self.study_id, reason="central evaluation", actor=actor
            )

    def review(
        self, shipment_id: str, *, is_accepted: bool = True, actor: str = "dora", reason: str = "fits"
    ) -> Any:
        reviews = self.site.node.rooms.gate.reviews
        with self.site.node.rooms.database.begin() as connection:
            waiting = reviews.of_target(connection, f"shipment/{shipment_id}")
            assert waiting is not None
            return reviews.decide(
                connection,
                waiting.review_id,
                is_accepted=is_accepted,
                reason=reason,
                actor=actor,
                actor_role="dpo",
            )

    def shipment(self, shipment_id: str) -> dict[str, Any]:
        with self.site.node.rooms.database.connect() as connection:
            found = self.site.pooling.sender.shipments(connection)
        return next(item for item in found if item["shipment_id"] == shipment_id)

    def incoming(self) -> list[dict[str, Any]]:
        with self.pool.node.rooms.database.connect() as connection:
            return self.pool.pooling.receiver.incoming(connection)
