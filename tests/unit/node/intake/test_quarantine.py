"""What is wrong with an object can be set right: it goes through all rules again, its original stays until then."""

from __future__ import annotations

import io
import stat
import warnings

import pydicom
import pytest

from racoon.node.deid.model import BadCorrection, Correction
from racoon.node.deid.profiles import profile_named, tightened
from racoon.node.deid.service import Deidentifier
from racoon.node.intake import _store
from racoon.node.intake._corrections import Corrections
from racoon.node.intake.model import (
    AlreadyDecided,
    Decision,
    NotCorrectable,
    QuarantinedObject,
    QuarantineState,
    ReasonMissing,
)
from racoon.node.intake.quarantine import NoPicture
from racoon.platform.audit import AuditLog
from tests.planted_identifiers import make_ct
from tests.unit.node.intake.conftest import Node
from tests.unit.node.intake.test_ingest import PowerCut, counts

CT = [make_ct(number, planted=False).data for number in range(1, 6)]
OTHER = CT[1].replace(b"PLANTED4711 ", b"PLANTED4712 ")
ANNA = {"actor": "anna", "actor_role": "data_manager"}


def without(data: bytes, *keywords: str, **values: str) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(data))
    for keyword in keywords:
        delattr(dataset, keyword)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        dataset.save_as(stream, enforce_file_format=False)
    return stream.getvalue()


def quarantined(node: Node, *objects: bytes) -> QuarantinedObject:
    """Put objects through the rules and give the one that is stopped."""
    for data in objects:
        node.spool.put([data])
    node.loop().run_once()
    (item,) = node.intake.quarantined()
    return item


def state_of(node: Node, item: QuarantinedObject) -> QuarantinedObject:
    return node.intake.quarantined_object(item.quarantine_id)[0]


def test_object_of_another_patient_is_filed_under_the_examinations_subject(node: Node) -> None:
    item = quarantined(node, CT[0], OTHER)
    evidence = node.intake.evidence(item.quarantine_id)
    assert set(evidence) == {"imaging_study", "belongs_to", "carries"}
    assert evidence["belongs_to"] != evidence["carries"]
    assert node.intake.correctable(item) == ("patient", "StudyInstanceUID")
    original = node.folder / "quarantine" / item.quarantine_id / "object.bin"
    correction = Correction(subject=evidence["belongs_to"])
    node.intake.correct(item.quarantine_id, correction, note="the scanner's typing error", **ANNA)
    assert original.read_bytes() == OTHER, "the original stays until the object has passed"
    assert state_of(node, item).state is QuarantineState.CORRECTING
    assert node.loop().run_once().archived == 1
    assert state_of(node, item).state is QuarantineState.CORRECTED
    assert not original.parent.exists()
    assert list((node.folder / "corrections").iterdir()) == []
    assert (node.archive.counts().subjects, node.archive.counts().instances) == (1, 2)
    assert not any(b"PLANTED4712" in path.read_bytes() for path in node.folder.rglob("*") if path.is_file())
    with node.database.connect() as connection:
        (entry,) = AuditLog("node").entries(connection, 10)
    assert (entry.action, entry.details["elements"]) == ("quarantine.correct", ["PatientID"])


def test_patient_number_is_as_good_as_a_subject_and_stays_out_of_the_audit(node: Node) -> None:
    item = quarantined(node, CT[0], OTHER)
    number = str(pydicom.dcmread(io.BytesIO(CT[0])).PatientID)
    node.intake.correct(item.quarantine_id, Correction(patient_id=number), note="typing error", **ANNA)
    (file,) = (node.folder / "corrections").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with node.database.connect() as connection:
        assert number not in str(AuditLog("node").entries(connection, 10))
    assert node.loop().run_once().archived == 1
    assert node.archive.counts().subjects == 1


def test_wrong_correction_waits_again_with_its_new_reason(node: Node) -> None:
    item = quarantined(node, CT[0], OTHER)
    node.intake.correct(item.quarantine_id, Correction(subject="R1-NOBODY"), note="guessed", **ANNA)
    assert node.loop().run_once().reasons == {"inconsistent_patient": 1}
    (again,) = node.intake.quarantined()
    assert again.quarantine_id == item.quarantine_id
    assert "no subject" in node.intake.evidence(item.quarantine_id)["detail"]
    assert (node.folder / "quarantine" / item.quarantine_id / "object.bin").read_bytes() == OTHER
    with node.database.connect() as connection:
        (subject,) = _store.subjects_of(connection, [_study(node)]).values()
    node.intake.correct(item.quarantine_id, Correction(subject=subject), note="looked up", **ANNA)
    assert node.loop().run_once().archived == 1


def _study(node: Node) -> str:
    with node.database.connect() as connection:
        row = connection.execute(_store.imaging_study_subjects.select()).one()
    return str(row.imaging_study_uid)


@pytest.mark.parametrize(
    ("data", "correction", "make"),
    [
        pytest.param(without(CT[0], "SeriesInstanceUID"), Correction(), True, id="made"),
        pytest.param(
            without(CT[0], SeriesInstanceUID="MUELLER"),
            Correction(uids={"SeriesInstanceUID": "1.2.826.5"}),
            False,
            id="named",
        ),
    ],
)
def test_missing_uids_are_made_or_named(node: Node, data: bytes, correction: Correction, make: bool) -> None:
    item = quarantined(node, data)
    assert item.code == "missing_uids"
    node.intake.correct(item.quarantine_id, correction, note="old machine", make_uids=make, **ANNA)
    assert node.loop().run_once().archived == 1
    node.spool.put([data])
    node.loop().run_once()
    (again,) = node.intake.quarantined()
    node.intake.correct(again.quarantine_id, correction, note="again", make_uids=make, **ANNA)
    assert node.loop().run_once().duplicates == 1, "the same bytes get the same UIDs"
    assert node.archive.counts().instances == 1


def test_object_in_conflict_gets_a_uid_of_its_own(node: Node) -> None:
    changed = CT[0][:-2] + b"\xff\x0f"
    item = quarantined(node, CT[0], changed)
    assert item.code == "conflict"
    node.intake.correct(item.quarantine_id, Correction(), note="both are right", make_uids=True, **ANNA)
    assert node.loop().run_once().archived == 1
    assert node.archive.counts().instances == 2


def test_corrections_add_up_and_a_release_keeps_them(node: Node) -> None:
    marked = without(
        CT[0].replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"DERIVED\\PRIMARY\\REPORT"), "SeriesInstanceUID"
    )
    item = quarantined(node, marked)
    node.intake.correct(item.quarantine_id, Correction(), note="no series", make_uids=True, **ANNA)
    assert node.loop().run_once().reasons == {"burned_in_suspected": 1}
    (again,) = node.intake.quarantined()
    assert (again.quarantine_id, again.code) == (item.quarantine_id, "burned_in_suspected")
    node.intake.decide(item.quarantine_id, Decision.RELEASE, note="no text", **ANNA)
    assert node.loop().run_once().archived == 1
    assert state_of(node, item).state is QuarantineState.CORRECTED
    assert counts(node) == (3, 1, 0, 2)


def test_deleting_ends_a_correction(node: Node) -> None:
    item = quarantined(node, CT[0], OTHER)
    node.intake.correct(item.quarantine_id, Correction(subject="R1-NOBODY"), note="x", **ANNA)
    node.loop().run_once()
    node.intake.decide(item.quarantine_id, Decision.DELETE, note="x", **ANNA)
    assert list((node.folder / "corrections").iterdir()) == []
    assert not (node.folder / "quarantine" / item.quarantine_id).exists()


@pytest.mark.parametrize("step", ["finish", "finished", "forget"])
def test_power_cut_while_a_corrected_object_passes(
    node: Node, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    item = quarantined(node, CT[0], OTHER)
    subject = node.intake.evidence(item.quarantine_id)["belongs_to"]
    node.intake.correct(item.quarantine_id, Correction(subject=subject), note="x", **ANNA)

    def cut(*_: object, **__: object) -> object:
        raise PowerCut

    targets = {
        "finish": (_store, "settle_corrected"),
        "finished": (Corrections, "close"),
        "forget": (type(node.spool), "remove"),
    }
    with monkeypatch.context() as patch:
        patch.setattr(*targets[step], cut)
        with pytest.raises(PowerCut):
            node.loop().run_once()
    while node.loop().run_once().taken:
        pass
    assert state_of(node, item).state is QuarantineState.CORRECTED
    assert node.archive.counts().instances == 2
    assert list((node.folder / "corrections").iterdir()) == []
    assert not (node.folder / "quarantine" / item.quarantine_id).exists()
    assert list(node.spool.folder.iterdir()) == []


def test_what_words_cannot_mend_is_said(node: Node) -> None:
    item = quarantined(node, b"rubbish")
    with pytest.raises(NotCorrectable, match="sent again"):
        node.intake.correct(item.quarantine_id, Correction(patient_id="1"), note="x", **ANNA)
    node.intake.decide(item.quarantine_id, Decision.DELETE, note="x", **ANNA)
    other = quarantined(node, CT[0], OTHER)
    for correction in (Correction(), Correction(uids={"SeriesInstanceUID": "1.2"})):
        with pytest.raises(NotCorrectable, match="Say what is right"):
            node.intake.correct(other.quarantine_id, correction, note="x", **ANNA)
    with pytest.raises(ReasonMissing):
        node.intake.correct(other.quarantine_id, Correction(patient_id="1"), note=" ", **ANNA)
    node.intake.correct(other.quarantine_id, Correction(patient_id="1"), note="x", **ANNA)
    with pytest.raises(AlreadyDecided):
        node.intake.correct(other.quarantine_id, Correction(patient_id="1"), note="x", **ANNA)


@pytest.mark.parametrize(
    "wrong",
    [
        {"subject": "R1-A", "patient_id": "1"},
        {"patient_id": "x" * 65},
        {"patient_id": "A\\B"},
        {"uids": {"PatientName": "1.2.3"}},
        {"uids": {"SeriesInstanceUID": "MUELLER"}},
    ],
)
def test_correction_that_makes_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(BadCorrection):
        Correction(**wrong)


def test_batch_goes_on_past_one_that_is_decided(node: Node) -> None:
    for number in range(3):
        node.spool.put([f"rubbish {number}".encode()])
    node.loop().run_once()
    ids = [item.quarantine_id for item in node.intake.quarantined()]
    node.intake.decide(ids[0], Decision.DELETE, **ANNA)
    with pytest.raises(ReasonMissing):
        node.intake.decide_many(ids, Decision.DELETE, note="", **ANNA)
    outcomes = node.intake.decide_many([*ids, "nobody"], Decision.DELETE, note="not ours", **ANNA)
    assert [bool(outcome.item) for outcome in outcomes] == [False, True, True, False]
    assert outcomes[0].problem == "This object has been decided already."


def test_pages_of_the_quarantine_follow_each_other(node: Node) -> None:
    for number in range(5):
        node.spool.put([f"rubbish {number}".encode()])
    node.spool.put([CT[0][:500]])
    node.loop().run_once()
    seen, before = [], ""
    while True:
        page = node.intake.quarantine_page(
            state=QuarantineState.WAITING, code="not_dicom", before=before, limit=2
        )
        seen += [item.quarantine_id for item in page.items]
        before = page.next_before
        if not before:
            break
    assert seen == [item.quarantine_id for item in node.intake.quarantined() if item.code == "not_dicom"]
    assert dict(page.reasons) == {"not_dicom": 5, "truncated": 1}


def test_picture_is_shown_and_each_look_recorded(node: Node) -> None:
    marked = CT[0].replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"DERIVED\\PRIMARY\\REPORT")
    item = quarantined(node, marked)
    assert node.intake.picture(item.quarantine_id, **ANNA).startswith(b"\x89PNG")
    node.intake.decide(item.quarantine_id, Decision.DELETE, **ANNA)
    rubbish = quarantined(node, b"rubbish")
    with pytest.raises(NoPicture):
        node.intake.picture(rubbish.quarantine_id, **ANNA)
    with node.database.connect() as connection:
        actions = [entry.action for entry in AuditLog("node").entries(connection, 10)]
    assert actions.count("quarantine.look") == 2


def test_study_without_faces_refuses_a_head_with_its_reason(node: Node) -> None:
    """No kept library removes faces offline, so nothing here claims to: the image waits, and says why."""
    names = node.deidentifier._names
    node.deidentifier = Deidentifier(tightened(profile_named("basic"), {"refuse_faces": True}), names)
    head = without(
        CT[0], StudyDescription="CT Kopf nativ", BodyPartExamined="HEAD", SOPInstanceUID="1.2.826.77"
    )
    item = quarantined(node, CT[1], head)
    assert (item.code, node.archive.counts().instances) == ("face_recognisable", 1)
    assert "no tool here removes faces" in item.reason
    assert "Hier entfernt nichts Gesichter" in item.reason_de
    assert node.intake.correctable(item) == ()
