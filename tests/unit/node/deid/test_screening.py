"""What must not pass goes to quarantine with the right reason, whatever the bytes."""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.deid.folder import deidentify_folder
from racoon.node.deid.model import PLAIN_WORDS, Quarantined, QuarantineReason
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.planted_identifiers import make_ct, make_seg

DEIDENTIFIER = Deidentifier("basic", Pseudonymiser(None, None))
CT = make_ct(planted=False).data


def changed(**attributes: object) -> bytes:
    dataset = pydicom.dcmread(io.BytesIO(CT))
    for keyword, value in attributes.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.save_as(stream)
    return stream.getvalue()


def reason_of(data: bytes) -> QuarantineReason:
    with pytest.raises(Quarantined) as caught:
        DEIDENTIFIER.apply(data)
    return caught.value.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", QuarantineReason.NOT_DICOM),
        (b"%PDF-1.7 not an image" * 20, QuarantineReason.NOT_DICOM),
        (CT[:600], QuarantineReason.TRUNCATED),
        (CT[:-100], QuarantineReason.TRUNCATED),
        (changed(StudyInstanceUID=""), QuarantineReason.MISSING_UIDS),
        (changed(SeriesInstanceUID=None), QuarantineReason.MISSING_UIDS),
        (changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.7"), QuarantineReason.BURNED_IN_SUSPECTED),
        (changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.104.1"), QuarantineReason.ENCAPSULATED_DOCUMENT),
        (changed(SOPClassUID="1.2.840.10008.5.1.4.1.1.77.1.4"), QuarantineReason.UNSUPPORTED_SOP_CLASS),
        (changed(SOPClassUID="1.3.12.2.1107.5.9.1"), QuarantineReason.UNSUPPORTED_SOP_CLASS),
        (changed(PixelData=None), QuarantineReason.MISSING_PIXEL_DATA),
        (changed(BurnedInAnnotation="YES"), QuarantineReason.BURNED_IN_SUSPECTED),
        (changed(ImageType=["DERIVED", "SECONDARY", "SCREEN SAVE"]), QuarantineReason.BURNED_IN_SUSPECTED),
        (changed(PhotometricInterpretation="RGB"), QuarantineReason.BURNED_IN_SUSPECTED),
        (changed(NumberOfFrames="2000000000"), QuarantineReason.SUSPICIOUS_SIZE),
        (changed(Rows=8), QuarantineReason.SUSPICIOUS_SIZE),
    ],
)
def test_reason(data: bytes, reason: QuarantineReason) -> None:
    assert reason_of(data) is reason


def test_every_reason_has_words_in_two_languages() -> None:
    assert set(PLAIN_WORDS) == set(QuarantineReason)
    assert all(english and german and english != german for english, german in PLAIN_WORDS.values())


def test_reason_travels_between_processes() -> None:
    rebuild, fields = Quarantined(QuarantineReason.TRUNCATED, {"missing": 3}).__reduce__()
    error = rebuild(*fields)
    assert isinstance(error, Quarantined)
    assert (error.reason, error.error_code) == (QuarantineReason.TRUNCATED, "deid.truncated")
    assert error.details == {"missing": 3}


def test_a_person_may_overrule_a_suspicion() -> None:
    data = changed(BurnedInAnnotation="YES")
    result = DEIDENTIFIER.apply(data, released=frozenset({QuarantineReason.BURNED_IN_SUSPECTED}))
    assert result.dataset_bytes


@given(st.data())
def test_mutated_files_end_in_one_of_two_ways(data: st.DataObject) -> None:
    """Cut, overwritten and stretched files either pass clean or are quarantined; nothing else happens."""
    planted = data.draw(st.sampled_from([CT, make_seg(planted=False).data]))
    mutated = bytearray(planted)
    for _ in range(data.draw(st.integers(1, 8))):
        position = data.draw(st.integers(0, len(mutated) - 1))
        mutated[position] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(mutated)))
    try:
        result = DEIDENTIFIER.apply(bytes(mutated[:end] if data.draw(st.booleans()) else mutated))
    except Quarantined:
        return
    assert b"Zacharias" not in result.dataset_bytes
    assert b"PLANTED4711" not in result.dataset_bytes


def test_folder_run_writes_reports_and_sets_aside(tmp_path: Path) -> None:
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    for number in (1, 2):
        (source / "deep" / f"{number}.dcm").write_bytes(make_ct(number, planted=False).data)
    (source / "again.dcm").write_bytes(make_ct(1, planted=False).data)
    (source / "seg.dcm").write_bytes(make_seg(planted=False).data)
    (source / "notes.txt").write_text("no image")
    (source / "other.dcm").write_bytes(changed(PatientID="SOMEBODY-ELSE", SOPInstanceUID="1.2.3.4.9"))
    seen: list[tuple[int, int]] = []
    summary = deidentify_folder(
        source,
        tmp_path / "out",
        report=tmp_path / "report.json",
        progress=lambda done, total: seen.append((done, total)),
    )
    assert (summary["files"], summary["written"], summary["duplicates"]) == (6, 3, 1)
    assert summary["reasons"] == {"not_dicom": 1, "inconsistent_patient": 1}
    assert seen[-1] == (6, 6)
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 3
    reasons = [json.loads(path.read_text()) for path in (tmp_path / "out.quarantine").glob("*/reason.json")]
    assert {reason["code"] for reason in reasons} == {"not_dicom", "inconsistent_patient"}
    report = json.loads((tmp_path / "report.json").read_text())
    assert len(report["objects"]) == 6
    assert "MÜLLER" not in (tmp_path / "report.json").read_text()
