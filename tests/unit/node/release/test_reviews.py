"""The reviewer queue: who may look, how many have to, and what leaves after a yes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.node.link import _store as line
from racoon.node.link.identity import Identity
from racoon.node.link.service import Outbox
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.reviews import NoSuchReview, Review, ReviewRefused, Reviews, ReviewState
from racoon.node.release.service import ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import JobOffer

RESULT = {"dataset_hash": "d" * 64, "subjects": 30, "series": 40, "instances": 400}


@pytest.fixture
def database() -> Iterator[Database]:
    database = Database("sqlite://")
    create_all(database, "node")
    yield database
    database.dispose()


def gate(folder: Path, **rules: Any) -> ReleaseGate:
    key = Ed25519PrivateKey.generate()
    identity = Identity(folder, "ALPHA", "https://127.0.0.1:1", "test", key, key.public_key())
    audit = AuditLog("node")
    outbox = Outbox(identity, folder)
    return ReleaseGate(DisclosurePolicy(), outbox, audit, Reviews(audit, **rules), ("count",))


def offer() -> JobOffer:
    return JobOffer(
        job_id="j1",
        run_id="r1",
        study_id="S1",
        study_hash="a" * 64,
        kind="freeze",
        plan_hash=None,
        content_hash="b" * 64,
        parameters={},
        not_after=clock.now() + timedelta(days=1),
    )


def held(gate: ReleaseGate, database: Database) -> Review:
    with database.begin() as connection:
        gate.submit(connection, offer(), RESULT, {})
        (review,) = gate.reviews.newest(connection)
    return review


def decide(gate: ReleaseGate, database: Database, review: Review, actor: str, *, yes: bool = True) -> Review:
    with database.begin() as connection:
        return gate.reviews.decide(
            connection,
            review.review_id,
            is_accepted=yes,
            reason="looked at it",
            actor=actor,
            actor_role="dpo",
        )


def left(database: Database) -> list[tuple[str, dict[str, Any]]]:
    with database.connect() as connection:
        rows = connection.execute(sa.select(line.outbox.c.type, line.outbox.c.envelope)).all()
    return [(row.type, row.envelope["payload"]) for row in rows]


def released(gate: ReleaseGate, database: Database) -> list[dict[str, Any]]:
    with database.connect() as connection:
        return gate.releases(connection)


def test_what_is_not_on_the_white_list_leaves_only_after_a_yes_as_it_was_seen(
    database: Database, tmp_path: Path
) -> None:
    ours = gate(tmp_path)
    review = held(ours, database)
    assert [kind for kind, _ in left(database)] == ["job.progress"]
    assert released(ours, database) == []
    assert decide(ours, database, review, "dora").state is ReviewState.ACCEPTED
    kind, payload = left(database)[-1]
    assert (kind, payload["payload"]) == ("job.result", review.facts["payload"])
    assert released(ours, database)[0]["payload"] == review.facts["payload"]
    with pytest.raises(ReviewRefused, match="decided already"):
        decide(ours, database, review, "dia")


def test_a_no_is_told_to_the_requester_in_words(database: Database, tmp_path: Path) -> None:
    ours = gate(tmp_path)
    decide(ours, database, held(ours, database), "dora", yes=False)
    kind, payload = left(database)[-1]
    assert (kind, payload["code"]) == ("job.failed", "release.review_refused")
    assert payload["public_message"].endswith("looked at it")
    assert released(ours, database) == []


def test_two_named_people_have_to_look_where_two_are_demanded(database: Database, tmp_path: Path) -> None:
    ours = gate(tmp_path, reviewers=("dora", "dia"), two_for=("result",))
    review = held(ours, database)
    with pytest.raises(ReviewRefused, match="other people"):
        decide(ours, database, review, "uwe")
    assert decide(ours, database, review, "dora").state is ReviewState.WAITING
    with pytest.raises(ReviewRefused, match="looked already"):
        decide(ours, database, review, "dora")
    assert len(left(database)) == 1
    assert decide(ours, database, review, "dia").state is ReviewState.ACCEPTED
    assert left(database)[-1][0] == "job.result"


def test_what_no_longer_holds_when_somebody_says_yes_does_not_leave(
    database: Database, tmp_path: Path
) -> None:
    ours = gate(tmp_path)
    review = held(ours, database)

    def no_longer(*_: object) -> None:
        raise ReviewRefused("A subject withdrew.")

    ours.check_again = no_longer
    with pytest.raises(ReviewRefused, match="withdrew"):
        decide(ours, database, review, "dora")
    assert [kind for kind, _ in left(database)] == ["job.progress"]
    with database.connect() as connection:
        assert ours.reviews.get(connection, review.review_id).decisions == (), "the yes is taken back with it"
    with pytest.raises(NoSuchReview), database.connect() as connection:
        ours.reviews.get(connection, "nothing")
