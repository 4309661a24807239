"""The listener's messages: what lies in front of a received data set, and which SOP classes are taken."""

from __future__ import annotations

import io

import pydicom
import pytest

from racoon.node.intake._messages import file_head
from racoon.node.intake.listener import is_storage
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID

CT = "1.2.840.10008.5.1.4.1.1.2"


@pytest.mark.parametrize("instance", ["1.2.3", "1.2.34"])
def test_head_of_a_file_is_read_by_pydicom(instance: str) -> None:
    data = file_head(CT, instance, "1.2.840.10008.1.2.1") + b"\x10\x00\x10\x00PN\x04\x00Doe "
    dataset = pydicom.dcmread(io.BytesIO(data))
    assert dataset.file_meta.MediaStorageSOPClassUID == CT
    assert dataset.file_meta.MediaStorageSOPInstanceUID == instance
    assert dataset.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert dataset.file_meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert dataset.file_meta.FileMetaInformationVersion == b"\x00\x01"
    assert dataset.PatientName == "Doe"
    # As pydicom writes it, byte for byte, its group length among it.
    written = io.BytesIO()
    pydicom.dcmwrite(written, dataset, enforce_file_format=True)
    assert written.getvalue() == data


@pytest.mark.parametrize(
    ("sop_class", "expected"),
    [
        (CT, True),
        ("1.2.840.10008.5.1.4.1.1.66.7", True),
        ("1.2.840.10008.5.1.4.1.1.104.1", True),
        ("1.3.12.2.1107.5.9.1", True),
        ("1.2.840.10008.5.1.4.1.1.999", True),
        ("1.2.840.10008.5.1.4.1.2.2.1", False),
        ("1.2.840.10008.5.1.4.1.2.2.2", False),
        ("1.2.840.10008.5.1.4.31", False),
        ("1.2.840.10008.5.1.1.9", False),
        ("1.2.840.10008.1.20.1", False),
    ],
)
def test_storage_is_what_the_standard_calls_so_and_what_nobody_knows(sop_class: str, expected: bool) -> None:
    assert is_storage(sop_class) is expected


def test_every_storage_class_that_pynetdicom_knows_is_taken() -> None:
    from pynetdicom import AllStoragePresentationContexts

    missing = [str(item.abstract_syntax) for item in AllStoragePresentationContexts]
    assert [uid for uid in missing if not is_storage(uid)] == []
