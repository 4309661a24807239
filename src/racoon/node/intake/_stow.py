"""STOW-RS (PS3.18 section 10.5): objects over HTTP into the same spool, and the answer that the standard wants."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from racoon.node.intake.spool import Spool
from racoon.standards.dicom.elements import Dataset, MalformedDicom
from racoon.standards.dicom.reading import read_file
from racoon.standards.dicom.uids import is_uid
from racoon.standards.dicomweb.dicom_json import JsonDataset, element, tag_key

COERCED = 0xB000
"""Warning: elements will be changed before the object is archived (PS3.18 table 10.5.3-2); here, all identity."""

CANNOT_UNDERSTAND, MISMATCH, TOO_LARGE = 0xC000, 0xA900, 0xA700

_SOP_CLASS, _SOP_INSTANCE, _STUDY = 0x00080016, 0x00080018, 0x0020000D


@dataclass
class StowAnswer:
    """What became of the parts of one request.

    Parameters
    ----------
    stored
        SOP class and instance of each object that is safe in the spool.
    failed
        The same with a failure reason; empty where the object did not say.
    taken_bytes
        Size of all parts that were looked at.
    """

    stored: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str, int]] = field(default_factory=list)
    taken_bytes: int = 0

    @property
    def status(self) -> int:
        """202 because what is stored will be changed, 409 when nothing is (PS3.18 table 10.5.3-1)."""
        return 202 if self.stored else 409

    def document(self) -> JsonDataset:
        """Write the response's data set (PS3.18 section 10.5.3)."""
        answer: JsonDataset = {tag_key("RetrieveURL"): element("UR")}
        if self.failed:
            answer[tag_key("FailedSOPSequence")] = {
                "vr": "SQ",
                "Value": [
                    _reference(*item[:2]) | {tag_key("FailureReason"): element("US", item[2])}
                    for item in self.failed
                ],
            }
        if self.stored:
            answer[tag_key("ReferencedSOPSequence")] = {
                "vr": "SQ",
                "Value": [
                    _reference(*item) | {tag_key("WarningReason"): element("US", COERCED)}
                    for item in self.stored
                ],
            }
        return answer


def take(data: bytes, spool: Spool, answer: StowAnswer, *, study_uid: str = "") -> None:
    """Put one part into the spool and note what became of it.

    Parameters
    ----------
    data
        A whole DICOM file.
    spool
        Where objects wait for the worker.
    answer
        Takes the outcome.
    study_uid
        From the request's path; an object of another imaging study is not taken.

    Raises
    ------
    StorageFull
        If there is no space; the sender has to send again.
    """
    try:
        dataset = read_file(data).dataset
    except MalformedDicom:
        _set_aside(data, spool, answer, ("", ""))
        return
    reference = _uid(dataset, _SOP_CLASS), _uid(dataset, _SOP_INSTANCE)
    if not all(reference):
        _set_aside(data, spool, answer, reference)
    elif study_uid and _uid(dataset, _STUDY) != study_uid:
        answer.failed.append((*reference, MISMATCH))
    else:
        spool.put([data])
        answer.stored.append(reference)


def _set_aside(data: bytes, spool: Spool, answer: StowAnswer, reference: tuple[str, str]) -> None:
    """Refuse what cannot be named, and keep it: the rules set it aside with its reason, and a person decides."""
    spool.put([data])
    answer.failed.append((*reference, CANNOT_UNDERSTAND))


def _uid(dataset: Dataset, tag: int) -> str:
    found: Any = dataset.get(tag)
    text = "" if found is None else bytes(found.value[:65]).decode("ascii", "replace").strip(" \0")
    return text if is_uid(text) else ""


def _reference(sop_class_uid: str, sop_instance_uid: str) -> JsonDataset:
    return {
        tag_key("ReferencedSOPClassUID"): element("UI", sop_class_uid),
        tag_key("ReferencedSOPInstanceUID"): element("UI", sop_instance_uid),
    }
