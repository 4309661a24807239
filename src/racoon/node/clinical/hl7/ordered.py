"""Which imaging study an order is about: accession number and study UID, wherever a sender writes them.  Pure.

HL7 v2.5.1 has a segment for it (IPC, chapter 4.5.6).  Before, the IHE's scheduled workflow wrote the UID into a segment
of its own (ZDS, RAD TF-2 4.4) and the accession number into OBR-18.  Results name the UID in an
OBX (DCM 110180, 113014).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from racoon.node.clinical.hl7.model import HeldMessage
from racoon.node.clinical.hl7.values import taken_back
from racoon.node.clinical.passing import ACCESSION, ORDERED_STUDY
from racoon.standards.fhir.building import Resource
from racoon.standards.hl7v2.message import Segment

_UID = re.compile(r"(?=.{1,64}$)[0-2](\.(0|[1-9]\d*))+")
"""A DICOM UID (PS3.5 section 9.1)."""

_UID_CODES = frozenset({"110180", "113014"})


def ordered_study(request: Segment, behind: Sequence[Segment]) -> list[Resource]:
    """Return what an order says of its imaging study, as extensions of the ServiceRequest.

    Parameters
    ----------
    request
        OBR.
    behind
        The segments behind it; those of the next order are not looked at.

    Raises
    ------
    HeldMessage
        If a study UID is none, or one order names two studies: a UID that is guessed links the wrong images.
    """
    uids, numbers = set(), set()
    is_taken_back = False
    for segment in behind:
        if segment.name in ("ORC", "OBR"):
            break
        if segment.name == "IPC":
            uids.add(segment.value(3))
            numbers.add(segment.value(1))
            is_taken_back |= segment.is_null(3)
        elif segment.name == "ZDS":
            uids.add(segment.value(1))
            is_taken_back |= segment.is_null(1)
    uids.discard("")
    # An order of several steps names its study and its number in each of them.
    numbers.discard("")
    numbers = numbers or {number for number in (request.value(18),) if number}
    if len(uids) > 1 or len(numbers) > 1 or not all(_UID.fullmatch(uid) for uid in uids):
        raise HeldMessage("bad_study")
    made: list[Resource] = [{"url": ORDERED_STUDY, "valueId": uid} for uid in uids]
    if is_taken_back and not uids:
        made.append({"url": ORDERED_STUDY, **taken_back()})
    return made + [{"url": ACCESSION, "valueCoding": {"code": number}} for number in numbers]


def study_told(result: Segment) -> list[Resource]:
    """Return the imaging study that an OBX names as an extension of the order it answers; nothing for any other OBX.

    Raises
    ------
    HeldMessage
        If it is no UID.
    """
    if result.value(3) not in _UID_CODES:
        return []
    # Some write it as a hierarchic designator, some as a reference pointer behind other parts.
    parts = [result.value(5, component) for component in (1, 2, 3)]
    uid = next((part for part in parts if _UID.fullmatch(part)), "")
    if not uid:
        raise HeldMessage("bad_study")
    return [{"url": ORDERED_STUDY, "valueId": uid}]
