"""Originals of a subject who withdrew: gone from quarantine and spool, also broken ones and those that come later."""

from __future__ import annotations

import pytest

from racoon.domain.identity import PatientId
from racoon.node.deid.naming import patients_named
from racoon.node.intake.model import QuarantineState
from racoon.node.intake.quarantine import NoPicture
from racoon.platform.audit import AuditLog
from tests.node_rooms import NodeInProcess
from tests.planted_identifiers import make_ct

PATIENT = b"PLANTED4711 "
OTHER = b"PLANTED4712 "
SECONDARY_CAPTURE = (b"1.2.840.10008.5.1.4.1.1.2\0", b"1.2.840.10008.5.1.4.1.1.9\0")
"""An SOP class that no rule knows: the object goes to quarantine, its header is whole."""


def stopped(number: int, patient: bytes = PATIENT) -> bytes:
    """Make an object that every node sets aside."""
    data = make_ct(number, planted=False).data.replace(*SECONDARY_CAPTURE)
    assert PATIENT in data
    return data.replace(PATIENT, patient)


def take_in(node: NodeInProcess, *objects: bytes) -> None:
    for data in objects:
        node.rooms.spool.put([data])
    loop = node.rooms.ingest_loop()
    while loop.run_once().taken:
        pass


def files_with(node: NodeInProcess, words: bytes) -> list[str]:
    return [
        path.relative_to(node.folder).as_posix()
        for path in node.folder.rglob("*")
        if path.is_file() and words in path.read_bytes()
    ]


def test_whom_a_broken_object_names_is_read_from_its_bytes() -> None:
    data = make_ct(1, planted=False).data
    named = patients_named(data)
    place = data.index(PATIENT)
    assert named == [PatientId(PATIENT.decode().strip())]
    assert patients_named(data[: place + 40]) == named, "cut off in the middle of the header"
    assert patients_named(b"\0" * 200 + data[132:]) == named, "no preamble that says DICM"
    assert patients_named(make_ct(1, syntax="1.2.840.10008.1.2", planted=False).data[: place + 40]) == named
    assert patients_named(b"no DICOM at all") == []


def test_originals_in_quarantine_and_spool_go_with_the_subject(node: NodeInProcess) -> None:
    node.rely_on()
    whole = make_ct(2, planted=False).data
    broken = whole[: whole.index(PATIENT) + 60]
    take_in(node, stopped(1), broken, stopped(3, OTHER), b"nothing at all")
    intake, subject = node.rooms.intake, node.subject(PATIENT.decode().strip())
    assert len(intake.quarantined()) == 4
    node.rooms.spool.put([stopped(4)])
    node.rooms.spool.put([stopped(5, OTHER)])
    mine = next(
        item
        for item in intake.quarantined()
        if item.code == "unsupported_sop_class"
        and PATIENT in (node.rooms.quarantine / item.quarantine_id / "object.bin").read_bytes()
    )
    assert intake.quarantined_object(mine.quarantine_id)[1] is not None
    node.withdraw(subject)
    # In force with the withdrawal itself: no page shows it, before anything is removed.
    item, shown = intake.quarantined_object(mine.quarantine_id)
    assert (item.state, shown) == (QuarantineState.DELETED, None)
    with pytest.raises(NoPicture):
        intake.picture(mine.quarantine_id, actor="ana", actor_role="data_manager")
    assert files_with(node, PATIENT)
    assert node.settlement.settle() >= 1
    assert files_with(node, PATIENT) == []
    assert len(files_with(node, OTHER)) == 2, "another patient's originals stay"
    with node.rooms.database.connect() as connection:
        (found,) = node.consent.withdrawals(connection)
        assert AuditLog("node").verify(connection).valid
    assert found.proof is not None
    assert found.proof["originals"] == {"quarantined": 2, "waiting": 1, "unnamed": 1}
    assert found.proof["left"]["quarantine"] == 0


def test_what_comes_after_the_withdrawal_goes_too(node: NodeInProcess) -> None:
    node.rely_on()
    subject = node.subject(PATIENT.decode().strip())
    node.withdraw(subject)
    node.settlement.settle()
    take_in(node, stopped(1), make_ct(2, planted=False).data)
    assert files_with(node, PATIENT)
    assert node.settlement.settle() == 1
    assert files_with(node, PATIENT) == []
    assert node.rooms.archive.counts().instances == 0
    assert node.settlement.settle() == 0
