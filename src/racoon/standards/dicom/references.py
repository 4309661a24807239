"""Which objects an object refers to: images a mask was drawn on, evidence of a report (PS3.3 section 10.8)."""

from __future__ import annotations

from dataclasses import dataclass

from racoon.standards.dicom.elements import Dataset, Element
from racoon.standards.dicom.reading import items_of
from racoon.standards.dicom.text import text_of
from racoon.standards.dicom.uids import is_standard

_CLASS, _INSTANCE, _SERIES, _STUDY = 0x00081150, 0x00081155, 0x0020000E, 0x0020000D

STUDY_MANAGEMENT = "1.2.840.10008.3.1.2.3.1"
"""Retired SOP class by which RTSTRUCT and others still name the imaging study itself (PS3.3 C.8.8.5)."""


@dataclass(frozen=True)
class References:
    """What an object refers to.

    Parameters
    ----------
    instances
        SOP class by SOP instance; the class is empty where the reference does not say.
    series, imaging_studies
        UIDs named below the top level.
    """

    instances: dict[str, str]
    series: frozenset[str]
    imaging_studies: frozenset[str]


def references_of(dataset: Dataset) -> References:
    """Collect all references of an object.

    Parameters
    ----------
    dataset
        As :func:`racoon.standards.dicom.reading.read_file` gives it; sequences are parsed on the way.
    """
    instances: dict[str, str] = {}
    series: set[str] = set()
    imaging_studies: set[str] = set()
    waiting = [element for element in dataset.values() if _is_sequence(element)]
    while waiting:
        for item in items_of(waiting.pop()):
            instance, sop_class = text_of(item.get(_INSTANCE)), text_of(item.get(_CLASS))
            if sop_class == STUDY_MANAGEMENT:
                imaging_studies.add(instance)
            elif instance and not is_standard(instance):
                instances[instance] = sop_class or instances.get(instance, "")
            for tag, found in ((_SERIES, series), (_STUDY, imaging_studies)):
                if tag in item:
                    found.add(text_of(item[tag]))
            waiting += [element for element in item.values() if _is_sequence(element)]
    return References(instances, frozenset(series - {""}), frozenset(imaging_studies - {""}))


def _is_sequence(element: Element) -> bool:
    return element.vr == "SQ" or element.items is not None
