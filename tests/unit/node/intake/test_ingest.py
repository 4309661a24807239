"""The spool is worked off exactly once, whatever stops it, and what cannot pass is set aside with its
reason."""

from __future__ import annotations

import json
import stat
import zipfile
from pathlib import Path

import pytest

from racoon.errors import Unavailable
from racoon.node.archive.service import Archive
from racoon.node.intake import _store
from racoon.node.intake.model import (
    AlreadyDecided,
    Decision,
    ImportRefused,
    NoSuchQuarantinedObject,
    QuarantineState,
)
from racoon.node.intake.service import IngestLoop
from racoon.platform.audit import AuditLog
from tests.planted_identifiers import make_ct, make_seg
from tests.unit.node.intake.conftest import Node

CT = [make_ct(number, planted=False).data for number in range(1, 6)]


class PowerCut(BaseException):
    """Stands for kill -9: no handler of ours may catch it."""


def counts(node: Node) -> tuple[int, int, int, int]:
    day = node.intake.status().days[0]
    return day.received, day.archived, day.duplicates, day.quarantined


def test_objects_reach_the_archive_and_leave_the_spool(node: Node) -> None:
    for data in [*CT, make_seg(planted=False).data]:
        node.spool.put([data])
    done = node.loop().run_once()
    assert (done.taken, done.archived, done.quarantined) == (6, 6, 0)
    assert counts(node) == (6, 6, 0, 0)
    assert node.archive.counts().instances == 6
    assert list(node.spool.folder.iterdir()) == []


def test_identical_duplicate_is_a_counted_no_op(node: Node) -> None:
    for data in (CT[0], CT[0], CT[1]):
        node.spool.put([data])
    node.loop().run_once()
    node.spool.put([CT[1]])
    node.loop().run_once()
    assert counts(node) == (4, 2, 2, 0)


def test_same_uid_with_other_content_is_a_conflict(node: Node) -> None:
    node.spool.put([CT[0]])
    node.loop().run_once()
    node.spool.put([CT[0][:-2] + b"\xff\x0f"])
    assert node.loop().run_once().reasons == {"conflict": 1}
    assert node.archive.counts().instances == 1


def test_other_patient_in_the_same_imaging_study_is_stopped(node: Node) -> None:
    node.spool.put([CT[0]])
    node.spool.put([CT[1].replace(b"PLANTED4711 ", b"PLANTED4712 ")])
    assert node.loop().run_once().reasons == {"inconsistent_patient": 1}
    node.spool.put([CT[2].replace(b"PLANTED4711 ", b"PLANTED4712 ")])
    assert node.loop().run_once().reasons == {"inconsistent_patient": 1}


def test_bad_object_goes_to_quarantine_and_the_batch_goes_on(node: Node) -> None:
    for data in (CT[0], b"no image at all", CT[1][:500], CT[2]):
        node.spool.put([data])
    done = node.loop().run_once()
    assert (done.archived, done.reasons) == (2, {"not_dicom": 1, "truncated": 1})
    items = node.intake.quarantined()
    assert [item.code for item in items] == ["truncated", "not_dicom"]
    folder = node.folder / "quarantine" / items[1].quarantine_id
    assert (folder / "object.bin").read_bytes() == b"no image at all"
    assert stat.S_IMODE((folder / "object.bin").stat().st_mode) == 0o600
    assert json.loads((folder / "reason.json").read_text())["reason_de"] == "Das ist keine DICOM-Datei."
    assert list(node.spool.folder.iterdir()) == []


@pytest.mark.parametrize("step", ["store", "stored", "finish", "finished", "remove"])
def test_power_cut_at_any_step_loses_and_doubles_nothing(
    node: Node, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for data in (*CT, b"rubbish"):
        node.spool.put([data])

    def cut_before(*_: object, **__: object) -> object:
        raise PowerCut

    targets = {
        "store": (Archive, "store"),
        "stored": (IngestLoop, "_finish"),
        "finish": (_store, "count"),
        "finished": (type(node.spool), "remove"),
        "remove": (_store, "forget_finished"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*targets[step], cut_before)
        # Counting is also called inside the archive's transaction, where a cut undoes the whole batch.
        with pytest.raises(PowerCut):
            node.loop().run_once()
    while node.loop().run_once().taken:
        pass
    assert counts(node) == (6, 5, 0, 1)
    assert node.archive.counts().instances == 5
    assert list(node.spool.folder.iterdir()) == []
    assert len(node.intake.quarantined()) == 1


def test_lost_database_leaves_the_originals(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    node.spool.put([CT[0]])

    def unavailable(*_: object) -> object:
        raise Unavailable("The database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(Archive, "store", unavailable)
        with pytest.raises(Unavailable):
            node.loop().run_once()
    assert len(node.spool.waiting(10)) == 1
    assert node.loop().run_once().archived == 1


@pytest.mark.slow
def test_many_waiting_objects_use_further_processes(node: Node) -> None:
    for number in range(130):
        node.spool.put([make_ct(number + 1, planted=False).data])
    loop = node.loop(processes=2)
    while loop.run_once().taken:
        pass
    loop.close()
    assert counts(node) == (130, 130, 0, 0)


def test_release_overrules_a_suspicion_and_tries_the_rest_again(node: Node) -> None:
    marked = CT[0].replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"DERIVED\\PRIMARY\\REPORT")
    assert marked != CT[0]
    for data in (marked, b"rubbish"):
        node.spool.put([data])
    node.loop().run_once()
    by_code = {item.code: item.quarantine_id for item in node.intake.quarantined()}
    for quarantine_id in by_code.values():
        item = node.intake.decide(
            quarantine_id, Decision.RELEASE, actor="anna", actor_role="data_manager", note="seen"
        )
        assert item.state is QuarantineState.RELEASED
    done = node.loop().run_once()
    assert (done.archived, done.reasons) == (1, {"not_dicom": 1})
    with pytest.raises(AlreadyDecided):
        node.intake.decide(by_code["not_dicom"], Decision.DELETE, actor="bernd", actor_role="data_manager")
    with node.database.connect() as connection:
        actions = [entry.action for entry in AuditLog("node").entries(connection, 10)]
    assert actions == ["quarantine.release", "quarantine.release"]


def test_deleted_object_is_gone_and_remembered(node: Node) -> None:
    node.spool.put([b"rubbish"])
    node.loop().run_once()
    (item,) = node.intake.quarantined()
    node.intake.decide(item.quarantine_id, Decision.DELETE, actor="anna", actor_role="data_manager")
    assert not (node.folder / "quarantine" / item.quarantine_id).exists()
    assert node.intake.quarantined() == []
    assert node.intake.quarantined(QuarantineState.DELETED)[0].decided_by == "anna"


def test_unknown_quarantine_id(node: Node) -> None:
    with pytest.raises(NoSuchQuarantinedObject):
        node.intake.decide("../../etc", Decision.DELETE, actor="anna", actor_role="data_manager")


def test_import_takes_folders_and_zips(node: Node, tmp_path: Path) -> None:
    source = tmp_path / "import"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.dcm").write_bytes(CT[0])
    with zipfile.ZipFile(source / "more.zip", "w") as archive:
        archive.writestr("x/b.dcm", CT[1])
        archive.writestr("x/readme.txt", "hello")
    seen: list[int] = []
    report = node.intake.import_path(source, tmp_path / "imports", actor="anna", progress=seen.append)
    assert (report.seen, report.taken) == (3, 3)
    assert seen == [1, 2, 3]
    done = node.loop().run_once()
    assert (done.archived, done.reasons) == (2, {"not_dicom": 1})
    with pytest.raises(ImportRefused):
        node.intake.import_path(tmp_path / "nowhere", tmp_path / "imports", actor="anna")
    with node.database.connect() as connection:
        (entry,) = AuditLog("node").entries(connection, 10)
    assert (entry.actor, entry.action, entry.details["taken"]) == ("anna", "intake.import", 3)
