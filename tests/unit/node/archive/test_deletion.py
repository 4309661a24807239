"""Deletion with proof: role, reason, second person; object, index, metadata and evidence are gone; audited."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.canonical import content_hash
from racoon.domain.identity import Role
from racoon.node.archive import _removal, _store
from racoon.node.archive.deletion import Deletions, DeletionState, ReasonMissing, SamePerson
from racoon.node.archive.http import router
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.cohorts._store import mask_fact, series_fact
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database
from racoon.platform.http import create_app
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (4, 16, 12)).astype(np.int16)
ASKED = {"reason": "consent withdrawn", "actor": "ana", "actor_role": "data_manager"}
CONFIRMED = {"is_confirmed": True, "actor": "dora", "actor_role": "dpo"}


@pytest.fixture
def filled(database: Database, objects: LocalFolder) -> Archive:
    archive = Archive(database, objects, on_stored=[cohorts.record])
    first = ct_series(VOXELS)
    second = ct_series(VOXELS[:2], study=2, subject="SUBJ-2")
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    seg = segmentation(first, masks, [("39607008", "SCT", "Lung")])
    archive.store([deidentified(item, {"rule_set": "1"}) for item in [*first, *second, seg]])
    return archive


@pytest.fixture
def deletions(database: Database, objects: LocalFolder) -> Deletions:
    return Deletions(database, objects, AuditLog("node"), on_removed=[cohorts.forget])


def delete(deletions: Deletions, study: str, **what: str) -> str:
    found = deletions.request(study, **what, **ASKED)
    return deletions.decide(found.deletion_id, **CONFIRMED).deletion_id


def files_below(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in folder.rglob("*") if path.is_file()]


def test_nothing_is_gone_before_a_second_person_confirms(filled: Archive, deletions: Deletions) -> None:
    asked = deletions.request(uid(1), **ASKED)
    assert (asked.state, asked.instances, asked.proof) == (DeletionState.WAITING, 5, None)
    with pytest.raises(SamePerson):
        deletions.decide(asked.deletion_id, is_confirmed=True, actor="ana", actor_role="dpo")
    assert filled.counts().instances == 7
    done = deletions.decide(asked.deletion_id, **CONFIRMED)
    assert (done.state, done.instances) == (DeletionState.DONE, 5)
    assert filled.counts().instances == 2


def test_object_index_metadata_facts_and_evidence_are_gone(
    filled: Archive, deletions: Deletions, database: Database, objects: LocalFolder, tmp_path: Path
) -> None:
    delete(deletions, uid(1))
    assert {key.split("/")[3] for key in objects.keys("instances")} == {uid(2, 1)}
    with database.connect() as connection:
        for table in (*_store.TABLES, series_fact, mask_fact):
            rows = [str(row) for row in connection.execute(sa.select(table))]
            assert not any(uid(1, 1) in row or "SUBJ-1" in row for row in rows), table.name
        assert connection.execute(sa.select(sa.func.count()).select_from(_store.blobs)).scalar_one() == 1
    assert not any(uid(1, 1).encode() in content for content in files_below(tmp_path / "objects"))
    assert filled.evidence(uid(2, 1, 1)) == {"rule_set": "1"}
    # What is gone stays gone when the index is rebuilt, and what stays keeps its evidence.
    report = filled.reindex()
    assert (report.referenced, report.missing) == (2, ())
    assert filled.evidence(uid(2, 1, 1)) == {"rule_set": "1"}


def test_a_series_goes_with_the_masks_drawn_on_it(filled: Archive, deletions: Deletions) -> None:
    asked = deletions.request(uid(1), series_uid=uid(1, 1), **ASKED)
    assert asked.instances == 5
    deletions.decide(asked.deletion_id, **CONFIRMED)
    with pytest.raises(SeriesNotFound):
        filled.series_row(uid(1, 50))


def test_one_instance_leaves_its_series_with_true_counts(filled: Archive, deletions: Deletions) -> None:
    delete(deletions, uid(1), series_uid=uid(1, 1), sop_instance_uid=uid(1, 1, 2))
    row = filled.series_row(uid(1, 1))
    assert (row.facts.instance_count, row.frame_count) == (3, 3)
    assert row.size_bytes == sum(item.size_bytes for item in filled.instances(uid(1, 1)))
    assert [found for found, _, _ in filled.metadata(uid(1, 1))] == [uid(1, 1, n) for n in (1, 3, 4)]
    (study,) = [item for item in filled.browse(_filter()) if item.imaging_study_uid == uid(1)]
    assert (study.series_count, study.instance_count, study.modalities) == (2, 4, ("CT", "SEG"))


def _filter() -> object:
    from racoon.node.archive.model import StudyFilter

    return StudyFilter()


def test_the_mask_series_keeps_labels_of_what_is_left(filled: Archive, deletions: Deletions) -> None:
    first = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[2, 3:6, 4:8, 0] = True
    other = segmentation(first, masks, [("10200004", "SCT", "Liver")])
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = uid(1, 50, 2)
    filled.store([deidentified(other)])
    assert len(filled.series_row(uid(1, 50)).facts.segment_labels) == 2
    delete(deletions, uid(1), series_uid=uid(1, 50), sop_instance_uid=uid(1, 50, 1))
    assert [label.value for label in filled.series_row(uid(1, 50)).facts.segment_labels] == ["10200004"]


def test_the_proof_names_what_went_and_its_hash_is_in_the_audit_chain(
    filled: Archive, deletions: Deletions, database: Database
) -> None:
    hashes = {row.sop_instance_uid: row.sha256 for row in filled.instances_of_study(uid(2), seen_by="")}
    found = deletions.get(delete(deletions, uid(2)))
    assert found.proof is not None
    assert found.proof_hash == content_hash(found.proof)
    assert {item["sop_instance_uid"]: item["sha256"] for item in found.proof["instances"]} == hashes
    assert (found.proof["requested"]["by"], found.proof["confirmed"]["by"]) == ("ana", "dora")
    assert (found.proof["checked"]["objects_left"], found.proof["checked"]["index_entries_left"]) == (0, 0)
    with database.connect() as connection:
        entries = list(AuditLog("node").entries(connection, 10, None))
        assert AuditLog("node").verify(connection).valid
    by_action = {entry.action: entry for entry in entries}
    assert by_action["image.delete.request"].details["reason"] == "consent withdrawn"
    assert by_action["image.delete"].details["proof_sha256"] == found.proof_hash
    assert (by_action["image.delete"].actor, by_action["image.delete"].actor_role) == ("dora", "dpo")


def test_a_crash_between_index_and_objects_is_finished_later(
    filled: Archive,
    database: Database,
    objects: LocalFolder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class PowerCut(RuntimeError):
        pass

    class Cut(LocalFolder):
        left = 2

        def delete(self, key: str) -> bool:
            Cut.left -= 1
            if Cut.left < 0:
                raise PowerCut
            return super().delete(key)

    broken = Deletions(database, Cut(objects._root), AuditLog("node"), on_removed=[cohorts.forget])
    asked = broken.request(uid(1), **ASKED)
    with pytest.raises(PowerCut):
        broken.decide(asked.deletion_id, **CONFIRMED)
    assert broken.get(asked.deletion_id).state is DeletionState.REMOVING
    after = Deletions(database, objects, AuditLog("node"))
    assert after.resume() == 1
    assert after.get(asked.deletion_id).state is DeletionState.DONE
    assert filled.sweep().objects == 2
    assert after.resume() == 0


def test_what_was_sent_again_meanwhile_is_not_taken_away(
    filled: Archive, database: Database, objects: LocalFolder
) -> None:
    class Cut(LocalFolder):
        def delete(self, key: str) -> bool:
            raise RuntimeError

    broken = Deletions(database, Cut(objects._root), AuditLog("node"))
    asked = broken.request(uid(2), **ASKED)
    with pytest.raises(RuntimeError):
        broken.decide(asked.deletion_id, **CONFIRMED)
    again = ct_series(VOXELS[:2], study=2, subject="SUBJ-2")[0]
    filled.store([deidentified(again)])
    after = Deletions(database, objects, AuditLog("node"))
    after.resume()
    proof = after.get(asked.deletion_id).proof
    assert proof is not None
    assert (proof["checked"]["objects_left"], proof["checked"]["index_entries_left"]) == (0, 1)
    assert filled.read_object(filled.instance(uid(2, 1, 1)), verify=True)


def test_reason_and_object_are_needed_and_a_refusal_keeps_everything(
    filled: Archive, deletions: Deletions
) -> None:
    with pytest.raises(ReasonMissing):
        deletions.request(uid(1), reason="  ", actor="ana", actor_role="dpo")
    with pytest.raises(SeriesNotFound):
        deletions.request(uid(9), **ASKED)
    asked = deletions.request(uid(1), **ASKED)
    refused = deletions.decide(asked.deletion_id, is_confirmed=False, actor="ana", actor_role="dpo")
    assert refused.state is DeletionState.REFUSED
    assert filled.counts().instances == 7


def test_without_the_rule_one_person_is_enough(
    filled: Archive, database: Database, objects: LocalFolder
) -> None:
    alone = Deletions(database, objects, AuditLog("node"), needs_second_person=False)
    assert alone.request(uid(2), **ASKED).state is DeletionState.DONE
    assert filled.counts().instances == 5


def test_many_instances_go_in_pieces(
    filled: Archive, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_store, "MOST_PARAMETERS", 2)
    with database.begin() as connection:
        removed = _removal.remove(connection, _removal.select_doomed(connection, uid(1), "", ""))
    assert removed.series == (uid(1, 1), uid(1, 50))
    assert filled.counts().instances == 2


@pytest.fixture
def app(filled: Archive, database: Database, deletions: Deletions) -> Iterator[FastAPI]:
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    for name, role in (("ana", Role.DATA_MANAGER), ("dora", Role.DPO), ("rita", Role.READER)):
        accounts.create(database, name, "a long enough password", [role])
    app.state.archive, app.state.deletions, app.state.audit = filled, deletions, AuditLog("node")
    app.include_router(router)
    return app


def signed_in(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app)
    answer = client.post("/api/session", json={"username": name, "password": "a long enough password"})
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


def test_routes_ask_for_roles_and_for_another_person(app: FastAPI, filled: Archive) -> None:
    ana, dora, rita = (signed_in(app, name) for name in ("ana", "dora", "rita"))
    wanted = {"imaging_study_uid": uid(1), "reason": "wrong patient"}
    assert rita.post("/api/archive/deletions", json=wanted).status_code == 403
    assert ana.post("/api/archive/deletions", json=wanted | {"reason": ""}).status_code == 422
    asked = ana.post("/api/archive/deletions", json=wanted)
    assert asked.status_code == 201
    address = f"/api/archive/deletions/{asked.json()['deletion_id']}"
    assert ana.post(f"{address}/decision", json={"confirm": True}).status_code == 403
    done = dora.post(f"{address}/decision", json={"confirm": True})
    assert (done.status_code, done.json()["state"], len(done.json()["proof"]["instances"])) == (
        200,
        "done",
        5,
    )
    assert dora.post(f"{address}/decision", json={"confirm": True}).status_code == 409
    assert ana.get(address).json()["proof_hash"] == done.json()["proof_hash"]
    assert [item["state"] for item in ana.get("/api/archive/deletions").json()] == ["done"]
    assert ana.get("/api/archive/deletions/none").status_code == 404
    assert filled.counts().instances == 2
