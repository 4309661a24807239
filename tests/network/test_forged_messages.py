"""Job envelopes that were altered, replayed or never approved: none starts, both sides keep the reason."""

from __future__ import annotations

import json
import sqlite3
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from racoon.node.approvals.model import job_content_hash
from racoon.platform import clock
from racoon.platform.certificates import load_or_create_signing_key
from racoon.protocol.envelope import seal, to_wire
from tests.live import LiveDemo
from tests.waiting import eventually

pytestmark = pytest.mark.slow

SITE = "BRAVO"


class Mailbag:
    """Puts envelopes into CENTRAL's outbox behind its back, as an attacker inside CENTRAL could."""

    def __init__(self, demo: LiveDemo) -> None:
        self._path = demo.data("CENTRAL") / "central.sqlite"
        self._node = demo.data(SITE) / "node.sqlite"

    def read(self, path_of: str, query: str, *values: Any) -> list[Any]:
        path = self._path if path_of == "central" else self._node
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        rows = connection.execute(query, values).fetchall()
        connection.close()
        return rows

    def take_job(self) -> dict[str, Any]:
        """Return an envelope that BRAVO received and ran."""
        query = "SELECT envelope FROM outbox WHERE site = ? AND type = 'job.offer' ORDER BY number LIMIT 1"
        return dict(json.loads(self.read("central", query, SITE)[0][0]))

    def post(self, envelope: dict[str, Any]) -> None:
        """Append an envelope for BRAVO, removing an older copy of the same id."""
        connection = sqlite3.connect(self._path, timeout=30)
        with connection:
            connection.execute("DELETE FROM outbox WHERE envelope_id = ?", (envelope["id"],))
            connection.execute("UPDATE mailbox SET last_number = last_number + 1 WHERE site = ?", (SITE,))
            connection.execute(
                "INSERT INTO outbox SELECT site, last_number, ?, ?, ?, ? FROM mailbox WHERE site = ?",
                (envelope["id"], envelope["type"], json.dumps(envelope), "2026-01-01 00:00:00.000000", SITE),
            )
        connection.close()

    def refusals_at_site(self) -> list[tuple[str, str]]:
        return self.read(
            "node", "SELECT target, details FROM audit WHERE outcome = 'refused' AND actor = 'CENTRAL'"
        )

    def jobs_at_site(self) -> list[tuple[str, str]]:
        return self.read("node", "SELECT job_id, state FROM site_job ORDER BY job_id")

    def told_to_central(self) -> str:
        """All messages CENTRAL has from BRAVO, as text."""
        rows = self.read("central", "SELECT details FROM audit WHERE actor = ? AND outcome = 'refused'", SITE)
        return "\n".join(row[0] for row in rows)


@pytest.fixture
def bag(light_demo: LiveDemo) -> Iterator[Mailbag]:
    return Mailbag(light_demo)


def test_an_envelope_with_one_altered_byte_starts_nothing(bag: Mailbag) -> None:
    before = bag.jobs_at_site()
    envelope = {**bag.take_job(), "id": str(uuid.uuid4())}
    bag.post(envelope)
    eventually(
        lambda: any(envelope["id"] in target for target, _ in bag.refusals_at_site()),
        timeout_s=40,
        what="the site refuses the altered envelope",
    )
    eventually(
        lambda: "protocol.tampered" in bag.told_to_central(), timeout_s=20, what="CENTRAL has the reason"
    )
    assert bag.jobs_at_site() == before


def test_a_replayed_envelope_starts_nothing(bag: Mailbag) -> None:
    before = bag.jobs_at_site()
    bag.post(bag.take_job())
    eventually(
        lambda: "protocol.replayed" in bag.told_to_central(), timeout_s=40, what="CENTRAL has the reason"
    )
    assert bag.jobs_at_site() == before


def test_a_job_of_a_study_the_site_never_approved_is_refused_even_when_central_signed_it(
    light_demo: LiveDemo, bag: Mailbag
) -> None:
    key = load_or_create_signing_key(light_demo.data("CENTRAL") / "keys" / "signing.key")
    parameters: dict[str, Any] = {"plan": {"kind": "measuring", "name": "x"}, "dataset_hash": "0" * 64}
    payload = {
        "job_id": "never-approved",
        "run_id": "never-approved",
        "study_id": "RS-9999",
        "study_hash": "0" * 64,
        "kind": "measure",
        "plan_hash": "0" * 64,
        "content_hash": job_content_hash("measure", parameters),
        "parameters": parameters,
        "not_after": (clock.now() + timedelta(days=1)).isoformat(),
    }
    envelope = seal(
        key,
        type="job.offer",
        sender="CENTRAL",
        recipient=SITE,
        payload=payload,
        issued_at=clock.now(),
    )
    bag.post(to_wire(envelope))
    eventually(
        lambda: ("never-approved", "refused") in bag.jobs_at_site(),
        timeout_s=40,
        what="the site refuses the job",
    )
    reason = bag.read("node", "SELECT code, public_reason FROM site_job WHERE job_id = 'never-approved'")[0]
    assert reason[0] == "approvals.unknown_study"
    query = "SELECT count(*) FROM inbox WHERE site = ? AND type = 'job.refused'"
    eventually(lambda: bag.read("central", query, SITE)[0][0] > 0, timeout_s=20, what="CENTRAL was told")
