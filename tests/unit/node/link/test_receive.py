"""What arrives at a node: verified, handled exactly once, refused with audit and public reason."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.errors import Unavailable
from racoon.node.link import _store
from racoon.node.link.identity import Identity
from racoon.node.link.model import LONGEST_DELAY_S, next_delay_s
from racoon.node.link.service import STUMBLES, Line, Outbox
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.envelope import seal, to_wire
from racoon.protocol.messages import JobCancel

CENTRAL_KEY = Ed25519PrivateKey.generate()


class Node:
    """A node's line on an in-memory database; handled messages are kept in a list."""

    def __init__(self, folder: Path) -> None:
        self.database = Database("sqlite://")
        create_all(self.database, "node")
        self.audit = AuditLog("node")
        identity = Identity(
            folder,
            "ALPHA",
            "https://127.0.0.1:1",
            "test",
            Ed25519PrivateKey.generate(),
            CENTRAL_KEY.public_key(),
        )
        self.outbox = Outbox(identity, folder)
        self.handled: list[Any] = []
        self.failure: Exception | None = None
        self.line = Line(
            self.database,
            identity,
            self.outbox,
            self.audit,
            {"job.cancel": self.handle},
            folder,
            lambda: None,
        )

    def handle(self, connection: sa.Connection, message: Any) -> None:
        if self.failure is not None:
            raise self.failure
        self.handled.append(message)

    def said(self) -> list[dict[str, Any]]:
        with self.database.connect() as connection:
            return [envelope for _, envelope in _store.waiting(connection, 100)]


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.database.dispose()


def wire(**changes: Any) -> dict[str, Any]:
    envelope = seal(
        changes.pop("key", CENTRAL_KEY),
        type=changes.pop("type", "job.cancel"),
        sender="CENTRAL",
        recipient=changes.pop("recipient", "ALPHA"),
        payload=changes.pop("payload", {"job_id": "J1"}),
        issued_at=clock.now() - changes.pop("age", timedelta(0)),
    )
    return {**to_wire(envelope), **changes}


def test_a_message_is_handled_exactly_once_and_its_replay_is_refused_aloud(node: Node) -> None:
    document = wire()
    node.line.receive(document)
    node.line.receive(document)
    assert node.handled == [JobCancel(job_id="J1")]
    assert [envelope["payload"]["code"] for envelope in node.said()] == ["protocol.replayed"]


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (wire(payload={"job_id": "J1"}) | {"payload": {"job_id": "J2"}}, "protocol.tampered"),
        (wire(key=Ed25519PrivateKey.generate()), "protocol.tampered"),
        (wire(recipient="BRAVO"), "protocol.wrong_address"),
        (wire(age=timedelta(days=40)), "protocol.expired"),
        (wire() | {"protocol": "9.0"}, "protocol.newer_version"),
        (wire(payload={"job_id": "J1", "name": "x"}), "protocol.malformed"),
        (wire(type="no.such"), "protocol.unknown_type"),
        ({"id": 3}, "protocol.malformed"),
    ],
)
def test_what_is_wrong_is_refused_with_a_reason_and_an_audit_entry(
    node: Node, document: dict[str, Any], code: str
) -> None:
    node.line.receive(document)
    assert node.handled == []
    assert [envelope["payload"]["code"] for envelope in node.said()] == [code]
    with node.database.connect() as connection:
        entry = node.audit.entries(connection, 1)[0]
    assert (entry.action, entry.outcome) == ("envelope.receive", "refused")


def test_a_handler_that_is_not_ready_leaves_the_message_for_later(node: Node) -> None:
    document = wire()
    node.failure = Unavailable("later")
    with pytest.raises(Unavailable):
        node.line.receive(document)
    node.failure = None
    node.line.receive(document)
    assert len(node.handled) == 1
    assert node.said() == []


def test_a_message_our_program_cannot_handle_does_not_hold_up_the_line(node: Node) -> None:
    document = wire()
    node.failure = ZeroDivisionError()
    for _ in range(STUMBLES - 1):
        with pytest.raises(ZeroDivisionError):
            node.line.receive(document)
    node.line.receive(document)
    assert [envelope["payload"]["code"] for envelope in node.said()] == ["link.defect"]


def test_back_off_grows_and_is_capped() -> None:
    jitter = random.Random(1)
    assert next_delay_s(1, jitter) <= 0.5
    assert 30 <= next_delay_s(50, jitter) <= LONGEST_DELAY_S
