"""Clinical terms that DICOM's context groups are made of (PS3.16), as pydicom ships them: offline, in English."""

from __future__ import annotations

from functools import cache

from pydicom.sr.codedict import codes

from racoon.domain.coding import Code

CLINICAL = ("SCT", "RADLEX")
"""Schemes whose concepts a radiologist writes about; the others are of acquisition, devices and units."""


@cache
def clinical_terms() -> tuple[Code, ...]:
    """Return the SNOMED CT and RadLex concepts of PS3.16, each once, with DICOM's meaning; takes a second once."""
    found: dict[str, Code] = {}
    for scheme in CLINICAL:
        group = getattr(codes, scheme)
        for name in group.dir():
            concept = getattr(group, name)
            found.setdefault(
                f"{scheme}:{concept.value}", Code(str(concept.value), scheme, str(concept.meaning))
            )
    return tuple(found.values())
