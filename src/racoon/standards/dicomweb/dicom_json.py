"""DICOM JSON (PS3.18 Annex F) from a data set without its bulk data, and small accessors to read it."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset

JsonDataset = dict[str, Any]
"""A data set as JSON: ``{"00100020": {"vr": "LO", "Value": ["…"]}}``."""

BULK_DATA_THRESHOLD = 1024
"""Bytes of a binary value above which the metadata name a bulk data URI instead of holding the value."""

PIXEL_DATA_KEYS = frozenset({"7FE00010", "7FE00008", "7FE00009"})


@functools.cache
def tag_key(keyword: str) -> str:
    """Return the eight-digit key of an attribute, e.g. ``"00100020"`` for ``PatientID``.

    Raises
    ------
    KeyError
        If the keyword is not in the data dictionary (PS3.6).
    """
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise KeyError(keyword)
    return f"{tag:08X}"


def to_json(dataset: Dataset, *, bulk_data_uri: str = "") -> JsonDataset:
    """Encode a data set; pixel data and long binary values become a ``BulkDataURI``.

    Parameters
    ----------
    dataset
        Data set, with or without pixel data.
    bulk_data_uri
        URI prefix; the attribute's key is appended.  It may be relative to the instance (PS3.18 F.2.6).

    Returns
    -------
    dict
        Values that a broken encoder left unreadable are written without ``Value`` instead of failing.
    """
    document: JsonDataset = dataset.to_json_dict(
        bulk_data_threshold=BULK_DATA_THRESHOLD,
        bulk_data_element_handler=lambda element: f"{bulk_data_uri}{element.tag:08X}",
        suppress_invalid_tags=True,
    )
    return document


def without(document: JsonDataset, keys: Iterable[str]) -> JsonDataset:
    """Return the data set without some attributes."""
    left_out = frozenset(keys)
    return {key: value for key, value in document.items() if key not in left_out}


def values(document: Mapping[str, Any], keyword: str) -> list[Any]:
    """Return the values of an attribute; empty when it is absent or has none."""
    element = document.get(tag_key(keyword))
    return list(element.get("Value", [])) if element else []


def first(document: Mapping[str, Any], keyword: str) -> Any:
    """Return the first value of an attribute, or None."""
    found = values(document, keyword)
    return found[0] if found else None


def element(vr: str, *content: Any) -> dict[str, Any]:
    """Build one attribute; person names are wrapped as PS3.18 F.2.2 wants."""
    present = [item for item in content if item not in ("", None)]
    if not present:
        return {"vr": vr}
    if vr == "PN":
        return {"vr": vr, "Value": [{"Alphabetic": item} for item in present]}
    return {"vr": vr, "Value": present}
