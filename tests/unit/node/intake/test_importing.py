"""Import takes what is there, goes on after an interruption, and no archive can hurt it."""

from __future__ import annotations

import io
import os
import struct
import zipfile
from pathlib import Path

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from racoon.node.intake import _sources
from racoon.node.intake.importing import take_in
from racoon.node.intake.model import ImportRefused, ImportReport
from racoon.node.intake.spool import Spool
from racoon.platform.files import StorageFull
from tests.planted_identifiers import make_ct
from tests.unit.node.intake.conftest import Node

CT = [make_ct(number, planted=False).data for number in range(1, 6)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def imported(path: Path, spool: Spool, **options: object) -> ImportReport:
    return take_in(path, spool, spool.folder.parent / "imports", **options)


def contents(spool: Spool) -> list[bytes]:
    return [file.path.read_bytes() for file in spool.waiting(1000)]


def write_zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def zipped(members: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def medium(folder: Path, files: dict[str, bytes], listed: list[list[str]]) -> Path:
    """Write a patient's CD."""
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    index = Dataset()
    index.file_meta = FileMetaDataset()
    index.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2.1")
    index.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.1.3.10")
    index.file_meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    patient = Dataset()
    patient.DirectoryRecordType = "PATIENT"
    records = [patient]
    for components in listed:
        record = Dataset()
        record.DirectoryRecordType = "IMAGE"
        record.ReferencedFileID = components
        records.append(record)
    index.DirectoryRecordSequence = records
    index.save_as(folder / "DICOMDIR", enforce_file_format=True)
    return folder


def test_folder_with_archives_in_archives(tmp_path: Path, spool: Spool) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    (source / "deep" / "a.dcm").write_bytes(CT[0])
    write_zip(source / "b.zip", {"x/b.dcm": CT[1], "inner.zip": zipped({"c.dcm": CT[2]}), "note.txt": b"hi"})
    report = imported(source, spool)
    assert contents(spool) == [CT[1], CT[2], b"hi", CT[0]]
    assert (report.seen, report.taken, report.problems) == (4, 4, ())
    assert report.taken_bytes == sum(map(len, contents(spool)))


def test_only_dicom_leaves_the_rest_out(tmp_path: Path, spool: Spool) -> None:
    source = write_zip(tmp_path / "cd.zip", {"a": CT[0], "viewer.exe": b"MZ" * 900, "autorun.inf": b"[x]"})
    report = imported(source, spool, dicom_only=True)
    assert (report.taken, report.left_out) == (1, 2)


def test_document_that_ends_like_an_archive_is_still_an_object(tmp_path: Path, spool: Spool) -> None:
    data = CT[0] + zipped({"x": b"y"})
    (tmp_path / "document.dcm").write_bytes(data)
    imported(tmp_path / "document.dcm", spool)
    assert contents(spool) == [data]


def test_import_goes_on_where_it_stopped(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number, data in enumerate(CT):
        (source / f"MUELLER^{number}.dcm").write_bytes(data)
    whole = Spool.put

    def stop_at_third(self: Spool, parts: list[bytes], **options: str) -> Path:
        if len(self.waiting(10)) == 2:
            raise StorageFull("full")
        return whole(self, parts, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Spool, "put", stop_at_third)
        with pytest.raises(StorageFull):
            imported(source, spool)
    (journal,) = (tmp_path / "imports").iterdir()
    assert "MUELLER" not in journal.name + journal.read_text(), "names of files may name patients"
    report = imported(source, spool)
    assert (report.taken, report.taken_before) == (3, 2)
    assert contents(spool) == CT
    assert list((tmp_path / "imports").iterdir()) == []


def test_changed_file_is_taken_again(tmp_path: Path, spool: Spool) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.dcm").write_bytes(CT[0])
    (source / "bad.zip").write_bytes(b"PK\x03\x04 cut off")
    assert [problem.code for problem in imported(source, spool).problems] == ["bad_archive"]
    assert imported(source, spool).taken_before == 1
    (source / "a.dcm").write_bytes(CT[1])
    assert imported(source, spool).taken == 1


def test_medium_is_followed_and_what_is_missing_is_said(tmp_path: Path, spool: Spool) -> None:
    folder = medium(
        tmp_path / "cd",
        {"dicom/im1": CT[0], "dicom/im2;1": CT[1], "viewer.exe": b"MZ"},
        [["DICOM", "IM1"], ["DICOM", "IM2"], ["DICOM", "IM9"]],
    )
    report = imported(folder / "DICOMDIR", spool)
    assert contents(spool) == CT[:2]
    assert [(problem.code, problem.name) for problem in report.problems] == [
        ("missing", "DICOMDIR:DICOM/IM9")
    ]
    whole = imported(folder, spool, dicom_only=True)
    assert (whole.taken, whole.left_out, [problem.code for problem in whole.problems]) == (2, 1, ["missing"])


def test_medium_cannot_lead_out_of_its_folder(tmp_path: Path, spool: Spool) -> None:
    (tmp_path / "SECRET").write_bytes(CT[0])
    folder = medium(tmp_path / "cd", {"A": CT[1]}, [["A"], ["AA", "SECRET"]])
    index = (folder / "DICOMDIR").read_bytes()
    (folder / "DICOMDIR").write_bytes(index.replace(b"AA\\SECRET", b"..\\SECRET"))
    report = imported(folder / "DICOMDIR", spool)
    assert ([problem.code for problem in report.problems], contents(spool)) == (["bad_dicomdir"], [])


def overlapping(copies: int) -> bytes:
    """An archive whose members all are the same bytes (Fifield's bomb)."""
    data = zipped({"a": b"\0" * 1_000_000})
    start = data.rindex(b"PK\x01\x02")
    end = data.rindex(b"PK\x05\x06")
    directory = data[start:end] * copies
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, copies, copies, len(directory), start, 0)
    return data[:start] + directory + tail


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(overlapping(2000), "archive_bomb", id="overlap"),
        pytest.param(zipped({str(n): b"\0" * 30_000_000 for n in range(3)}), "archive_bomb", id="ratio"),
        pytest.param(
            zipped({"z": zipped({"z": zipped({"z": zipped({"a": CT[0]})})})}), "archive_bomb", id="nesting"
        ),
        pytest.param(zipped({"a": CT[0]})[:-100], "bad_archive", id="cut off"),
        pytest.param(b"PK\x03\x04" + os.urandom(200), "bad_archive", id="noise"),
    ],
)
def test_hostile_archive_is_a_problem_and_the_import_goes_on(
    tmp_path: Path, spool: Spool, monkeypatch: pytest.MonkeyPatch, data: bytes, code: str
) -> None:
    monkeypatch.setattr(_sources, "ALWAYS_ALLOWED_BYTES", 1 << 20)
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.zip").write_bytes(data)
    (source / "b.dcm").write_bytes(CT[1])
    report = imported(source, spool)
    assert [problem.code for problem in report.problems] == [code]
    assert contents(spool) == [CT[1]]


def test_damaged_encrypted_and_huge_members_are_named(tmp_path: Path, spool: Spool) -> None:
    data = bytearray(zipped({"a": CT[0], "b": CT[1], "c": CT[2] * 200}))
    second = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 4)
    data[second + 8] |= 1  # the flag of encryption
    data[60] ^= 0xFF  # inside the first member's content
    (tmp_path / "in.zip").write_bytes(bytes(data))
    report = imported(tmp_path / "in.zip", spool, largest_bytes=len(CT[2]) * 100)
    assert [(problem.name, problem.code) for problem in report.problems] == [
        ("in.zip!a", "damaged"),
        ("in.zip!b", "encrypted"),
        ("in.zip!c", "too_large"),
    ]


def test_unknown_path_is_refused(tmp_path: Path, spool: Spool) -> None:
    with pytest.raises(ImportRefused):
        imported(tmp_path / "nowhere", spool)


def test_console_shows_a_header_without_identity(node: Node) -> None:
    marked = CT[0].replace(b"ORIGINAL\\PRIMARY\\AXIAL", b"DERIVED\\PRIMARY\\REPORT")
    for data in (marked, b"rubbish"):
        node.spool.put([data])
    node.loop().run_once()
    by_code = {item.code: item.quarantine_id for item in node.intake.quarantined()}
    item, summary = node.intake.quarantined_object(by_code["burned_in_suspected"])
    assert summary is not None
    assert (summary.sop_class, summary.modality, summary.image_type) == (
        "CT Image Storage",
        "CT",
        "DERIVED\\PRIMARY\\REPORT",
    )
    assert summary.rows > 0
    shown = repr(summary).replace(summary.sha256, "")
    assert not [word for word in ("LLER", "ller", "4711", "1951") if word in shown]
    assert item.size_bytes == len(marked)
    _, rubbish = node.intake.quarantined_object(by_code["not_dicom"])
    assert rubbish is not None
    assert rubbish.problem.startswith("This is not a DICOM file")
