"""An object as it should have come: what a person set right, in the parsed file, before any rule looks."""

from __future__ import annotations

from dataclasses import replace

from racoon.node.deid.model import CORRECTABLE_UIDS, Correction
from racoon.standards.dicom.elements import Dataset, Element
from racoon.standards.dicom.reading import DicomFile

_PATIENT_ID = 0x00100020


def corrected(file: DicomFile, correction: Correction) -> DicomFile:
    """Put the corrected elements into a parsed file; nothing else of it changes."""
    values = {CORRECTABLE_UIDS[keyword]: ("UI", uid) for keyword, uid in correction.uids.items()}
    if correction.patient_id:
        values[_PATIENT_ID] = ("LO", correction.patient_id)
    dataset = Dataset(file.dataset)
    for tag, (vr, text) in values.items():
        padding = b"" if len(text) % 2 == 0 else b"\0" if vr == "UI" else b" "
        dataset[tag] = Element(tag, vr, text.encode("ascii") + padding)
    note = f"set right by a person: {', '.join(correction.elements)}"
    return replace(file, dataset=Dataset(sorted(dataset.items())), tolerated=(*file.tolerated, note))
