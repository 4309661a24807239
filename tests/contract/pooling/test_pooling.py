"""A pooled study from the site's reviewer to the pool's proof of deletion, with a wire that is read and cut."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.node.approvals.model import NotApproved
from racoon.node.consent.looking import tombstones
from racoon.node.link.model import CentralUnreachable
from racoon.node.pooling.model import ExportRefused
from racoon.node.release.reviews import ReviewRefused
from racoon.node.release.service import ReleaseRefused
from tests.node_rooms import NodeInProcess, planted
from tests.pooled_network import PooledNetwork


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PooledNetwork]:
    """A network with one pooled study."""
    network = PooledNetwork(tmp_path_factory.mktemp("story"))
    network.introduce()
    network.released_study()
    yield network
    network.close()


@pytest.fixture
def pooled(tmp_path: Path) -> Iterator[PooledNetwork]:
    network = PooledNetwork(tmp_path)
    network.introduce()
    network.released_study()
    yield network
    network.close()


def series_in(node: NodeInProcess) -> list[str]:
    return [row.facts.series_uid for row in node.rooms.archive.series()]


def pages_of(node: NodeInProcess, *roles: str) -> str:
    """Open both pages as somebody with all the roles; what they say."""
    person = node.person(*roles)
    answers = [person.get(path) for path in ("/reviews", "/pool", "/", "/api/reviews", "/api/pool")]
    assert [answer.status_code for answer in answers] == [200] * 5
    return "".join(answer.text for answer in answers)


def who_asks_does_not_review_and_a_no_is_told_in_words(story: PooledNetwork) -> None:
    shipment_id = story.ask()
    with pytest.raises(ReviewRefused, match="another person"):
        story.review(shipment_id, actor="inga")
    assert "central evaluation" in pages_of(story.site.node, "dpo", "data_manager")
    with pytest.raises(ReviewRefused, match="reason"):
        story.review(shipment_id, reason="")
    story.review(shipment_id, is_accepted=False, reason="The contract's annex is missing.")
    story.exchange()
    assert story.incoming() == []
    refused = story.shipment(shipment_id)
    assert (refused["state"], refused["problem"]) == ("refused", "The contract's annex is missing.")
    with pytest.raises(ReviewRefused, match="decided already"):
        story.review(shipment_id)


def a_dataset_reaches_the_pool_through_cuts_and_nobody_reads_it_on_the_way(
    story: PooledNetwork,
) -> None:
    site, pool = story.site, story.pool
    before = series_in(site.node)
    shipment_id = story.ask()
    story.exchange()
    assert story.incoming() == [], "nothing leaves before a second person has looked"
    story.review(shipment_id)
    with site.cutting(1), pool.cutting(2):
        story.exchange()
    assert site.tap.cut_count + pool.tap.cut_count > 20
    sent = story.shipment(shipment_id)
    assert sent["state"] == "received"
    (came,) = story.incoming()
    assert (came["state"], came["objects"], came["subjects"], came["set_aside"]) == ("stored", 10, 2, {})
    # The pool has everything, under names of the study alone.
    after = series_in(pool.node)
    assert len(after) == len(before) == 4
    assert not set(after) & set(before)
    pseudonyms = {row.facts.pseudonym for row in pool.node.rooms.archive.series()}
    archive_names = {site.node.subject("4711"), site.node.subject("4712")}
    assert len(pseudonyms) == 2
    assert not pseudonyms & archive_names
    for row in pool.node.rooms.archive.series():
        if row.facts.modality == "CT":
            assert pool.node.rooms.archive.load_volume(row.facts.series_uid).image.voxels.shape == (4, 16, 16)
            assert pool.node.rooms.archive.load_masks(row.facts.series_uid), "masks still fit their images"
    # Neither the wire nor CENTRAL's disk holds a word of an image or a name.
    secrets = [planted(1).encode(), planted(2).encode()]
    secrets += [name.encode() for name in (*pseudonyms, *archive_names, *before, *after)]
    wire = b"\0".join([*site.tap.seen, *pool.tap.seen])
    assert len(wire) > 20_000
    assert [word for word in secrets if word in wire] == []
    for path in (story.folder / "central").rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert [word for word in secrets if word in content] == [], path
    # The same words are found where they belong: the search itself works.
    assert any(
        secrets[0] in path.read_bytes() for path in (story.folder / "POOL").rglob("*") if path.is_file()
    )
    assert not list((story.folder / "central" / "data" / "parcels").iterdir()), "CENTRAL keeps no parcel"
    # The receipt is the pool's, signed, and kept at the site.
    assert sent["receipt"]["sender"] == "POOL"
    assert sent["receipt"]["payload"]["manifest_sha256"] == sent["manifest_sha256"]
    with site.node.rooms.database.connect() as connection:
        releases = site.node.rooms.gate.releases(connection)
    assert releases[0]["kind"] == "export"
    assert releases[0]["payload"]["objects"] == 10


def the_pools_quality_rules_report_in_counts(story: PooledNetwork) -> None:
    (came,) = story.incoming()
    assert story.shipment(came["shipment_id"])["quality"] is None
    story.pool.assess()
    story.exchange()
    quality = story.shipment(came["shipment_id"])["quality"]["payload"]
    assert quality["series"] == 4
    assert sum(quality["worst"].values()) == 4
    assert story.incoming()[0]["quality"]["rules"] == quality["rules"]


def a_withdrawal_after_the_export_reaches_the_pool_and_is_answered_when_the_data_are_gone(
    story: PooledNetwork,
) -> None:
    site, pool = story.site, story.pool
    stolen = planted(1).encode()
    site.node.withdraw(site.node.subject("4711"))
    site.node.settlement.settle()
    story.exchange()
    with site.node.rooms.database.connect() as connection:
        to_pool = [item for item in tombstones(connection) if item["recipient"] == "POOL"]
    assert len(to_pool) == 1
    assert to_pool[0]["acknowledged_at"] is None, "blocked at once, but not yet erased"
    assert len({row.facts.pseudonym for row in pool.node.rooms.archive.series()}) == 1
    pool.node.settlement.settle()
    story.exchange()
    with site.node.rooms.database.connect() as connection:
        to_pool = [item for item in tombstones(connection) if item["recipient"] == "POOL"]
    assert to_pool[0]["acknowledged_at"] is not None
    for path in (story.folder / "POOL").rglob("*"):
        if path.is_file():
            assert stolen not in path.read_bytes(), path


def at_its_end_a_study_is_deleted_by_two_people_with_a_signed_proof(story: PooledNetwork) -> None:
    pool, study_id = story.pool, story.study_id
    shipment_id = story.incoming()[0]["shipment_id"]
    database, ending = pool.node.rooms.database, pool.pooling.ending
    with pytest.raises(ExportRefused, match="not ended"), database.begin() as connection:
        ending.ask(connection, study_id, reason="end", actor="dana")
    story.network.step(study_id, "office", "withdrawn", {"comment": "over"})
    story.exchange()
    with database.begin() as connection:
        ending.ask(connection, study_id, reason="end of the study", actor="dana")
    story.exchange()
    assert len(series_in(pool.node)) == 2
    with pytest.raises(ExportRefused, match="Another person"), database.begin() as connection:
        ending.confirm(connection, study_id, actor="dana", is_same=True)
    with database.begin() as connection:
        ending.confirm(connection, study_id, actor="dora", is_same=False)
    story.exchange()
    assert series_in(pool.node) == []
    assert "Deletion at the end of a study" in pages_of(pool.node, "dpo", "data_manager")
    assert "deleted at the pool" in pages_of(story.site.node, "dpo", "site_informatician")
    done = story.shipment(shipment_id)
    assert done["state"] == "deleted"
    proof = done["deletion"]
    assert (proof["sender"], proof["payload"]["objects"], proof["payload"]["left"]) == ("POOL", 5, 0)
    for path in (story.folder / "POOL").rglob("*"):
        if path.is_file():
            assert planted(2).encode() not in path.read_bytes(), path


def test_the_course_of_a_pooled_study(story: PooledNetwork) -> None:
    """One study in the order in which it happens: each part goes on where the one before ended."""
    who_asks_does_not_review_and_a_no_is_told_in_words(story)
    a_dataset_reaches_the_pool_through_cuts_and_nobody_reads_it_on_the_way(story)
    the_pools_quality_rules_report_in_counts(story)
    a_withdrawal_after_the_export_reaches_the_pool_and_is_answered_when_the_data_are_gone(story)
    at_its_end_a_study_is_deleted_by_two_people_with_a_signed_proof(story)


def test_the_gate_asks_for_version_dataset_and_purpose_at_every_step(pooled: PooledNetwork) -> None:
    site, rooms = pooled.site, pooled.site.node.rooms
    shipment_id = pooled.ask()
    with pytest.raises(ReleaseRefused), rooms.database.begin() as connection:
        rooms.gate.ship(connection, rooms.parcels, shipment_id, [], {})
    pooled.review(shipment_id)
    assert site.pooling.sender.work() == 1
    # What CENTRAL or a disk changed does not fit its name: it is asked for again, never stored.
    path = rooms.parcels.path("out", pooled.shipment(shipment_id)["parcels"][1][0])
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(CentralUnreachable, match="byte"):
        site.exchange()
    assert pooled.incoming() == []
    # A stop between the yes and the line keeps everything here.
    pooled.stop("not any more")
    pooled.exchange()
    assert (pooled.shipment(shipment_id)["state"], pooled.incoming()) == ("stopped", [])
    assert list(rooms.parcels.path("out", "x").parent.iterdir()) == []
    with pytest.raises(NotApproved, match="not any more"):
        pooled.ask()


def test_who_withdraws_while_it_is_built_stays_and_letters_of_strangers_wait(pooled: PooledNetwork) -> None:
    site, pool = pooled.site, pooled.pool
    with pool.node.rooms.database.begin() as connection:
        connection.execute(sa.text("DELETE FROM pool_peer"))
    shipment_id = pooled.ask()
    pooled.review(shipment_id)
    site.node.withdraw(site.node.subject("4711"))
    pooled.exchange()
    with pool.node.rooms.database.connect() as connection:
        assert pool.pooling.letters.strangers(connection) == ["ALPHA"]
    assert pooled.incoming() == []
    pooled.introduce()
    pooled.exchange()
    assert (pooled.incoming()[0]["state"], pooled.incoming()[0]["subjects"]) == ("stored", 1)
    assert pooled.shipment(shipment_id)["counts"]["subjects"] == 1
