"""A withdrawal to its end: jobs begin again without the subject, every store is empty of it, recipients confirm."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.domain.cohort import CohortDefinition, ImagingCriterion, MeasuredValue
from racoon.domain.matching import MatchingRule
from racoon.errors import Unavailable
from racoon.learning.cases import case_name
from racoon.node.app import permission
from racoon.node.archive.model import SeriesFilter
from racoon.node.cohorts import service as cohorts
from racoon.node.consent import _store, settling
from racoon.node.consent.looking import tombstones
from racoon.node.consent.model import ConsentChanged
from racoon.node.curation import service as curation
from racoon.node.jobs import _store as jobs_store
from racoon.node.jobs.model import JobState, Outcome
from racoon.node.link import _store as link_store
from racoon.platform import clock
from racoon.protocol.messages import JobOffer, WithdrawalReceipt
from tests.dicom_objects import uid
from tests.node_rooms import NodeInProcess, planted
from tests.simulated_network import Network

STUDY = "liver"
COHORT = CohortDefinition(((ImagingCriterion(modality="CT"),),))


@pytest.fixture
def filled(node: NodeInProcess) -> NodeInProcess:
    node.rely_on()
    node.rely_on(STUDY)
    node.store(1, "4711")
    node.store(2, "4712")
    with node.rooms.database.begin() as connection:
        curation.freeze(
            connection,
            node.rooms.archive,
            STUDY,
            "first",
            COHORT,
            readable=node.consent.condition,
            usable=permission.usable_series(node.consent),
        )
    return node


def count_offer() -> JobOffer:
    return JobOffer(
        job_id="j1",
        run_id="r1",
        study_id=STUDY,
        study_hash="a" * 64,
        kind="count",
        plan_hash=None,
        content_hash="b" * 64,
        parameters={},
        not_after=clock.now() + timedelta(days=1),
    )


def sent(node: NodeInProcess, kind: str) -> list[dict[str, object]]:
    with node.rooms.database.connect() as connection:
        rows = connection.execute(
            sa.select(link_store.outbox.c.envelope).where(link_store.outbox.c.type == kind)
        ).scalars()
        return [dict(row) for row in rows]


def test_readers_at_work_see_nothing_after_the_commit(filled: NodeInProcess) -> None:
    subject, archive = filled.subject("4711"), filled.rooms.archive
    committed, stop = threading.Event(), threading.Event()
    late: list[str] = []
    seen = threading.Event()

    def read() -> None:
        while not stop.is_set():
            is_after = committed.is_set()
            found = [row.facts.series_uid for row in archive.series(SeriesFilter(pseudonym=subject))]
            if found:
                seen.set()
                late.extend(found if is_after else [])

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    assert seen.wait(10)
    filled.withdraw(subject)
    committed.set()
    with filled.rooms.database.connect() as connection:
        assert filled.consent.newest(connection) == 1
    threading.Event().wait(0.2)
    stop.set()
    for reader in readers:
        reader.join()
    assert late == []


def test_an_outcome_computed_before_the_withdrawal_does_not_leave(filled: NodeInProcess) -> None:
    with filled.rooms.database.connect() as connection:
        number = filled.consent.newest(connection)
    outcome = Outcome({"cohort_hash": "c" * 64, "count": 2, "members": {"a", "b"}}, consent_number=number)
    filled.withdraw(filled.subject("4711"))
    with pytest.raises(ConsentChanged) as refused, filled.rooms.database.begin() as connection:
        filled.rooms._submit(connection, count_offer(), outcome)
    assert isinstance(refused.value, Unavailable), "the queue runs the job again"
    assert sent(filled, "job.result") == []
    with filled.rooms.database.begin() as connection:
        fresh = Outcome(outcome.aggregate, consent_number=filled.consent.newest(connection))
        filled.rooms._submit(connection, count_offer(), fresh)
    assert len(sent(filled, "job.result")) == 1


def stores(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def test_nothing_of_the_images_is_left_in_any_store(filled: NodeInProcess) -> None:
    images = filled.images(3, filled.subject("4713"))
    filled.rooms.archive.store(images)
    subject = filled.subject("4713")
    words, planted_words = [uid(3, 1, 1).encode(), uid(3, 1).encode() + b"."], planted(3).encode()
    cases = filled.settings.data_directory / "compute" / "cases" / "k"
    cases.mkdir(parents=True)
    (cases / f"{case_name(uid(3, 1))}.npz").write_bytes(b"prepared")
    before = [name for name, content in stores(filled.folder) if any(word in content for word in words)]
    assert any(name.startswith("data/archive") for name in before)
    assert any(planted_words in content for name, content in stores(filled.folder) if "sqlite" in name)
    filled.withdraw(subject)
    assert filled.settlement.settle() >= 1
    # Not one word of the images is left, not even in a free page of the database or in its log.
    assert [name for name, content in stores(filled.folder) if planted_words in content] == []
    left = {name for name, content in stores(filled.folder) if any(word in content for word in words)}
    database = filled.settings.database.rsplit("/", 1)[1]
    assert {name for name in left if not name.endswith((database, f"{database}-wal"))} == set()
    assert not list(cases.iterdir())
    # The database keeps proof: UIDs and hashes of what is gone in one row, and nothing else of the images.
    with filled.rooms.database.connect() as connection:
        tables = sa.inspect(connection).get_table_names()
        named = {
            table
            for table in tables
            for row in connection.execute(sa.text(f'SELECT * FROM "{table}"'))
            if any(word.decode() in str(row) for word in words)
        }
    assert named <= {"image_deletion"}
    with filled.rooms.database.connect() as connection:
        (found,) = filled.consent.withdrawals(connection)
    assert found.proof is not None
    assert found.proof["left"] == {"imaging_studies": 0, "quarantine": 0}
    assert len(found.proof["deletions"]) == 1
    # Sent once more, it goes once more.
    filled.rooms.archive.store(images)
    assert filled.settlement.settle() == 1
    assert filled.settlement.settle() == 0


def test_a_tombstone_names_the_subject_of_one_study_and_is_sent_until_it_is_acknowledged(
    filled: NodeInProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network(tmp_path)
    try:
        alpha = network.enrol("ALPHA")
        subject = filled.subject("4711")
        filled.withdraw(subject)
        filled.settlement.settle()
        (first,) = sent(filled, "subject.withdrawn")
        payload = first["payload"]
        assert isinstance(payload, dict)
        assert payload["subject"] != subject
        assert payload["study_id"] == STUDY
        # CENTRAL is away: nothing is acknowledged, and after a while the same tombstone is sent again.
        assert filled.settlement.settle() == 0
        monkeypatch.setattr(settling, "SEND_AGAIN", timedelta(0))
        assert filled.settlement.settle() == 1
        again = sent(filled, "subject.withdrawn")
        assert [item["payload"] for item in again] == [payload, payload]
        monkeypatch.setattr(settling, "OVERDUE", timedelta(0))
        filled.settlement.settle()
        with filled.rooms.database.connect() as connection:
            assert tombstones(connection)[0]["escalated_at"] is not None
        # CENTRAL is back: it takes both, keeps one, confirms both.
        for _ in again:
            alpha.say("subject.withdrawn", payload)
        receipts = [item for item in alpha.poll() if item.type == "subject.withdrawn.receipt"]
        assert len(receipts) == 2
        with network.central.database.connect() as connection:
            known = network.central.withdrawals.of_study(connection, STUDY)
        assert (known["withdrawals"], known["marked_runs"]) == (1, {})
        for item in receipts:
            with filled.rooms.database.begin() as connection:
                filled.settlement.receive_receipt(connection, WithdrawalReceipt(**item.payload))
        monkeypatch.setattr(settling, "SEND_AGAIN", timedelta(0))
        assert filled.settlement.settle() == 0
        with filled.rooms.database.connect() as connection:
            assert tombstones(connection)[0]["acknowledged_at"] is not None
    finally:
        network.close()


def test_trainings_with_the_subject_are_marked_and_running_ones_stop(filled: NodeInProcess) -> None:
    done = count_offer().model_copy(update={"job_id": "t1", "run_id": "run-1", "kind": "train.local"})
    running = done.model_copy(update={"job_id": "t2", "run_id": "run-2", "kind": "train.federated"})
    with filled.rooms.database.begin() as connection:
        jobs_store.insert(connection, done, JobState.SUCCEEDED, "", "")
        jobs_store.insert(connection, running, JobState.RUNNING, "", "")
    filled.withdraw(filled.subject("4711"))
    assert filled.rooms.jobs.is_ended("t2")
    with filled.rooms.database.connect() as connection:
        (row,) = connection.execute(sa.select(_store.tombstone.c.run_ids)).all()
    assert row.run_ids == ["run-1", "run-2"]
    (refused,) = sent(filled, "job.refused")
    assert refused["payload"]["code"] == "jobs.data_changed"  # type: ignore[index]  # a dict


def test_pairs_of_a_matched_dataset_stay_here_and_go_with_the_subject(node: NodeInProcess) -> None:
    node.rely_on()
    node.rely_on(STUDY)
    case, control = node.store(1, "4711"), node.store(2, "4712")
    large = ImagingCriterion(modality="CT", measured=MeasuredValue("volume", "mL", minimum=1000.0))
    cohort = CohortDefinition(((large,),), (), COHORT, MatchingRule(("gender", "modality"), {}, 2))
    with node.rooms.database.begin() as connection:
        (series,) = (
            entry.series_uid
            for entry in cohorts.select_series(connection, COHORT, node.consent.condition)
            if entry.pseudonym == case
        )
        fact = cohorts.MeasuredFact(series, case, "volume", "", "1/a", 1500.0, "mL")
        cohorts.record_measured(connection, [fact])
        manifest, matched = curation.freeze_matched(
            connection,
            node.rooms.archive,
            STUDY,
            "matched",
            cohort,
            readable=node.consent.condition,
            usable=permission.usable_series(node.consent),
        )
    assert matched is not None
    assert {entry.pseudonym for entry in manifest.series} == {case, control}
    assert matched.aggregate()["groups"]["controls"] == {control}
    with node.rooms.database.connect() as connection:
        assert curation.pairs(connection, STUDY, manifest.hash) == {case: (control,)}
    node.withdraw(control)
    with node.rooms.database.connect() as connection:
        assert curation.pairs(connection, STUDY, manifest.hash) == {}
