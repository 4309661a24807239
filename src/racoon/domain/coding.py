"""Coded concepts, as DICOM and FHIR know them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Code:
    """One coded concept.

    Parameters
    ----------
    value
        Code value, e.g. ``"39607008"``.
    scheme
        Coding scheme designator of DICOM PS3.16 section 8, e.g. ``"SCT"``, ``"LN"``, ``"UCUM"``, ``"RADLEX"``.
    meaning
        Human-readable meaning in English; not part of the concept's identity.
    """

    value: str
    scheme: str
    meaning: str = ""

    @property
    def key(self) -> str:
        """``scheme:value``, the form used in keys, plans and URLs."""
        return f"{self.scheme}:{self.value}"

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {"value": self.value, "scheme": self.scheme, "meaning": self.meaning}

    @classmethod
    def from_dict(cls, document: dict[str, str]) -> Code:
        """Read the JSON form."""
        return cls(document["value"], document["scheme"], document.get("meaning", ""))
