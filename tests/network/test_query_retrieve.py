"""DCMTK searches our archive and fetches from it: echoscu, findscu, getscu, movescu; rights and refusals."""

from __future__ import annotations

import multiprocessing
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
import pytest
import sqlalchemy as sa
from pydicom.dataset import Dataset
from pynetdicom import AE

from racoon.domain.identity import Role
from racoon.node.app.querying import run_query
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.dimse.provider import FIND, GET, ArchiveProvider
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.read_audit import ImageReadAudit
from racoon.node.archive.service import Archive
from racoon.node.settings import AskerSettings, NodeSettings, QuerySettings
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.auth.accounts import AccountStore
from racoon.platform.database import Database, create_all
from tests.dicom_objects import ct_series, deidentified, segmentation, uid
from tests.network.test_dicom_intake import free_port, is_listening
from tests.waiting import eventually

STUDY_ROOT = FIND[1]
VOXELS = np.random.default_rng(2).integers(-1000, 1200, (3, 16, 12)).astype(np.int16)


@dataclass
class Served:
    port: int
    move_port: int
    archive: Archive
    access: ImageAccess
    users: dict[str, User] = field(default_factory=dict)

    def audited(self) -> list[str]:
        with self.archive.database.connect() as connection:
            entries = AuditLog("node").entries(connection, 50, None)
            return [f"{entry.actor} {entry.action} {entry.target}" for entry in entries]


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    first = ct_series(VOXELS)
    masks = np.zeros((*VOXELS.shape, 1), np.bool_)
    masks[1, 3:6, 4:8, 0] = True
    archive.store(
        [deidentified(item) for item in [*first, *ct_series(VOXELS[:2], study=2, subject="SUBJ-2")]]
    )
    archive.store([deidentified(segmentation(first, masks, [("39607008", "SCT", "Lung")]))])
    audit = AuditLog("node")
    access = ImageAccess(database, audit, lambda *_: True)
    move_port = free_port()
    options = QuerySettings(
        port=free_port(),
        peers=(
            AskerSettings(ae_title="VIEWER", host="127.0.0.1", port=move_port, account="rita"),
            AskerSettings(ae_title="ELSEWHERE", host="192.0.2.7", port=104, account="rita"),
            AskerSettings(ae_title="CLERK", host="127.0.0.1", port=104, account="carl"),
        ),
    )
    users = {
        "rita": User("rita", frozenset({Role.READER})),
        "carl": User("carl", frozenset({Role.AUDITOR})),
    }
    provider = ArchiveProvider(options, archive, access, users.get, ImageReadAudit(database, audit))
    provider.start()
    access.grant("rita", "study-1", [uid(1, 1)], actor="ines", actor_role="site_informatician")
    yield Served(provider.port, move_port, archive, access, users)
    provider.stop()
    database.dispose()


def dcmtk(
    program: str, served: Served, *words: str, calling: str = "VIEWER"
) -> subprocess.CompletedProcess[str]:
    command = [
        program,
        "-v",
        "-aec",
        "RACOON_ARCHIVE",
        "-aet",
        calling,
        *words[:-1],
        "127.0.0.1",
        str(served.port),
    ]
    # findscu and its siblings take the peer before files; keys are options.
    return subprocess.run(
        [*command, *([words[-1]] if words and words[-1] else [])],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


def keys(*pairs: str) -> list[str]:
    return [word for pair in pairs for word in ("-k", pair)]


@pytest.mark.external
def test_dcmtk_searches_at_every_level(served: Served, needs_program: Callable[[str, str], str]) -> None:
    assert dcmtk(needs_program("echoscu", "dcmtk"), served, "").returncode == 0
    program = needs_program("findscu", "dcmtk")
    wanted = keys("QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID", "ModalitiesInStudy")
    found = dcmtk(program, served, "-S", *wanted, "")
    assert found.returncode == 0, found.stderr
    text = found.stdout + found.stderr
    # The reader was let into the first imaging study only.
    assert uid(1) in text
    assert uid(2) not in text
    assert r"CT\SEG" in text
    series = keys(
        "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(1)}", "SeriesInstanceUID", "Modality=CT"
    )
    text = "".join(vars(dcmtk(program, served, "-S", *series, ""))[name] for name in ("stdout", "stderr"))
    assert uid(1, 1) in text
    assert uid(1, 50) not in text
    image = keys(
        "QueryRetrieveLevel=IMAGE", f"SeriesInstanceUID={uid(1, 1)}", "SOPInstanceUID", "InstanceNumber"
    )
    text = "".join(vars(dcmtk(program, served, "-S", *image, ""))[name] for name in ("stdout", "stderr"))
    assert all(uid(1, 1, number) in text for number in (1, 2, 3))


@pytest.mark.external
def test_dcmtk_gets_a_study_and_it_is_audited_first(
    served: Served, tmp_path: Path, needs_program: Callable[[str, str], str]
) -> None:
    program = needs_program("getscu", "dcmtk")
    folder = tmp_path / "got"
    folder.mkdir()
    wanted = keys("QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(1)}", f"SeriesInstanceUID={uid(1, 1)}")
    done = dcmtk(program, served, "-S", "-od", str(folder), *wanted, "")
    assert done.returncode == 0, done.stderr
    got = {item.SOPInstanceUID: item.PixelData for item in map(pydicom.dcmread, folder.iterdir())}
    assert got == {item.SOPInstanceUID: item.PixelData for item in ct_series(VOXELS)}
    assert f"rita image.read series/{uid(1, 1)}" in served.audited()


@pytest.mark.external
def test_dcmtk_moves_a_study_to_a_listed_place(
    served: Served, tmp_path: Path, needs_program: Callable[[str, str], str]
) -> None:
    program = needs_program("movescu", "dcmtk")
    folder = tmp_path / "moved"
    folder.mkdir()
    wanted = keys("QueryRetrieveLevel=STUDY", f"StudyInstanceUID={uid(1)}")
    place = ("-aem", "VIEWER", "--port", str(served.move_port), "-od", str(folder))
    done = dcmtk(program, served, "-S", *place, *wanted, "")
    assert done.returncode == 0, done.stderr
    assert len(list(folder.iterdir())) == 4
    nowhere = dcmtk(program, served, "-S", "-aem", "NOWHERE", *wanted, "")
    assert nowhere.returncode != 0
    assert "MoveDestinationUnknown" in (nowhere.stdout + nowhere.stderr).replace(" ", "")


def find(served: Served, calling: str, **wanted: str) -> list[tuple[int, Dataset | None]]:
    return find_at(served.port, calling, **wanted)


def find_at(port: int, calling: str, **wanted: str) -> list[tuple[int, Dataset | None]]:
    identifier = Dataset()
    for keyword, value in wanted.items():
        setattr(identifier, keyword, value)
    entity = AE(ae_title=calling)
    entity.add_requested_context(STUDY_ROOT)
    association = entity.associate("127.0.0.1", port, ae_title="RACOON_ARCHIVE")
    if not association.is_established:
        return []
    found = [
        (int(status.Status), answer) for status, answer in association.send_c_find(identifier, STUDY_ROOT)
    ]
    association.release()
    return found


@pytest.mark.parametrize(("calling", "expected"), [("ELSEWHERE", 0x0124), ("CLERK", 0x0124)])
def test_another_host_and_an_account_without_the_right_are_refused(
    served: Served, calling: str, expected: int
) -> None:
    ((status, answer),) = find(served, calling, QueryRetrieveLevel="STUDY", StudyInstanceUID="")
    assert (status, answer) == (expected, None)


def test_a_stranger_gets_no_association(served: Served) -> None:
    assert find(served, "STRANGER", QueryRetrieveLevel="STUDY") == []


def test_a_disabled_account_is_out_at_once(served: Served) -> None:
    assert len(find(served, "VIEWER", QueryRetrieveLevel="STUDY", StudyInstanceUID="")) == 2
    served.users.clear()
    assert [status for status, _ in find(served, "VIEWER", QueryRetrieveLevel="STUDY")] == [0x0124]


@pytest.mark.parametrize("wanted", [{"StudyInstanceUID": ""}, {"QueryRetrieveLevel": "GALAXY"}])
def test_a_wrong_identifier_is_refused_and_the_port_lives(served: Served, wanted: dict[str, str]) -> None:
    ((status, _),) = find(served, "VIEWER", **wanted)
    assert status == 0xA900
    assert find(served, "VIEWER", QueryRetrieveLevel="STUDY", StudyInstanceUID="")[-1][0] == 0x0000


def test_keys_the_archive_does_not_have_come_back_empty(served: Served) -> None:
    wanted = {
        "QueryRetrieveLevel": "STUDY",
        "StudyInstanceUID": "",
        "ReferringPhysicianName": "",
        "PatientID": "SUBJ-*",
    }
    (status, answer), _ = find(served, "VIEWER", **wanted)
    assert status == 0xFF00
    assert answer is not None
    assert (answer.StudyInstanceUID, answer.ReferringPhysicianName, answer.RetrieveAETitle) == (
        uid(1), "", "RACOON_ARCHIVE",
    )  # fmt: skip


def test_the_process_answers_for_an_account_of_the_node_until_it_is_disabled(tmp_path: Path) -> None:
    peer = AskerSettings(ae_title="VIEWER", host="127.0.0.1", port=104, account="rita")
    settings = NodeSettings(
        site="ALPHA", data_directory=tmp_path, query=QuerySettings(port=free_port(), peers=(peer,))
    )
    database = Database(settings.database)
    create_all(database, "node")
    accounts = AccountStore("node")
    accounts.create(database, "rita", "a long enough password", [Role.READER])
    process = multiprocessing.get_context("spawn").Process(target=run_query, args=(settings,))
    process.start()
    try:
        port = settings.query.port
        eventually(lambda: is_listening(port), timeout_s=60)
        # Every reader sees every image here, and there is none yet.
        wanted = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": ""}
        assert find_at(port, "VIEWER", **wanted) == [(0x0000, None)]
        accounts.disable(database, "rita")
        assert find_at(port, "VIEWER", **wanted) == [(0x0124, None)]
    finally:
        process.terminate()
        process.join(20)
        database.dispose()
    assert process.exitcode == 0


def test_what_is_hidden_from_a_person_is_neither_found_nor_fetched(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    hidden = sa.select(sa.literal(uid(1, 50, 1)))
    archive = Archive(
        database,
        LocalFolder(tmp_path / "objects"),
        hidden_from=lambda _connection, name: hidden if name == "rita" else None,
    )
    images = ct_series(VOXELS)
    masks = np.ones((*VOXELS.shape, 1), np.bool_)
    made = segmentation(images, masks, [("39607008", "SCT", "Lung")])
    archive.store([deidentified(item) for item in [*images, made]])
    options = QuerySettings(
        port=free_port(),
        peers=tuple(
            AskerSettings(ae_title=name.upper(), host="127.0.0.1", port=104, account=name)
            for name in ("rita", "ines")
        ),
    )
    users = {name: User(name, frozenset({Role.READER})) for name in ("rita", "ines")}
    provider = ArchiveProvider(options, archive, None, users.get, ImageReadAudit(database, AuditLog("node")))
    provider.start()
    try:
        for title, series, objects in (("RITA", {uid(1, 1)}, 3), ("INES", {uid(1, 1), uid(1, 50)}, 4)):
            entity = AE(ae_title=title)
            for context in (FIND[1], GET[1]):
                entity.add_requested_context(context)
            link = entity.associate("127.0.0.1", provider.port, ae_title="RACOON_ARCHIVE")
            question = Dataset()
            question.QueryRetrieveLevel, question.StudyInstanceUID = "SERIES", uid(1)
            question.SeriesInstanceUID = ""
            found = {item.SeriesInstanceUID for _, item in link.send_c_find(question, FIND[1]) if item}
            assert found == series
            del question.SeriesInstanceUID
            question.QueryRetrieveLevel = "STUDY"
            # No storage context is offered, so every object that would be given is counted as not taken.
            *_, (status, _) = link.send_c_get(question, GET[1])
            assert status.NumberOfFailedSuboperations == objects
            link.release()
    finally:
        provider.stop()
        database.dispose()
