"""Pixel risk: which rules of the table match an image, and what is known to make it safe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydicom.datadict import tag_for_keyword

from racoon.node.deid.rules import pixel_risks
from racoon.standards.dicom.elements import Dataset
from racoon.standards.dicom.text import text_of, values_of

_IMAGE_TYPE, _MODALITY, _SOP_CLASS = 0x00080008, 0x00080060, 0x00080016
_MANUFACTURER, _MODEL, _PHOTOMETRIC, _BURNED_IN = 0x00080070, 0x00081090, 0x00280004, 0x00280301
_ROWS, _COLUMNS, _CONVERSION = 0x00280010, 0x00280011, 0x00080064

Rule = Mapping[str, Any]


@dataclass(frozen=True)
class Risk:
    """What the table says of an image.

    Parameters
    ----------
    suspicions
        Ids of the suspicions that match; none means that no text is expected in the pixels.
    remedy
        The rule that answers all of them, or None.
    """

    suspicions: tuple[str, ...]
    remedy: Rule | None = None


@dataclass(frozen=True)
class _Facts:
    modality: str
    sop_class: str
    image_type: frozenset[str]
    photometric: str
    burned_in: str
    conversion_type: str
    manufacturer: str
    model: str
    rows: int
    columns: int


def risk_of(dataset: Dataset, *, is_big_endian: bool = False) -> Risk:
    """Match an image against the table of pixel risks."""
    order = "big" if is_big_endian else "little"
    sizes = [dataset.get(tag) for tag in (_ROWS, _COLUMNS)]
    rows, columns = (0 if e is None else int.from_bytes(e.value, order) for e in sizes)  # type: ignore[arg-type]  # the order is one of the two words
    facts = _Facts(
        modality=text_of(dataset.get(_MODALITY)).upper(),
        sop_class=text_of(dataset.get(_SOP_CLASS)),
        image_type=frozenset(value.upper() for value in values_of(dataset.get(_IMAGE_TYPE))),
        photometric=text_of(dataset.get(_PHOTOMETRIC)).upper(),
        burned_in=text_of(dataset.get(_BURNED_IN)).upper(),
        conversion_type=text_of(dataset.get(_CONVERSION)).upper(),
        manufacturer=text_of(dataset.get(_MANUFACTURER)).lower(),
        model=text_of(dataset.get(_MODEL)).lower(),
        rows=rows,
        columns=columns,
    )
    table = pixel_risks()
    found = {rule["id"] for rule in table["suspicions"] if _matches(rule, facts, dataset)}
    suspicions = tuple(sorted(found))
    if not suspicions:
        return Risk(())
    for rule in table["known"]:
        if found <= set(rule["answers"]) and _matches(rule, facts, dataset):
            return Risk(suspicions, rule)
    return Risk(suspicions)


def _matches(rule: Rule, facts: _Facts, dataset: Dataset) -> bool:
    lists = {
        "modality": facts.modality,
        "sop_class": facts.sop_class,
        "burned_in_annotation": facts.burned_in,
        "photometric_interpretation": facts.photometric,
        "conversion_type": facts.conversion_type,
    }
    for key, value in lists.items():
        if key in rule and value not in rule[key]:
            return False
        if f"{key}_not" in rule and value in rule[f"{key}_not"]:
            return False
    if "image_type" in rule and not facts.image_type & set(rule["image_type"]):
        return False
    if "image_type_not" in rule and facts.image_type & set(rule["image_type_not"]):
        return False
    if "has" in rule and _tag(rule["has"]) not in dataset:
        return False
    if not facts.manufacturer.startswith(rule.get("manufacturer", "").lower()):
        return False
    if not facts.model.startswith(rule.get("model", "").lower()):
        return False
    wanted = (rule.get("rows", facts.rows), rule.get("columns", facts.columns))
    return (facts.rows, facts.columns) == wanted


@cache
def _tag(keyword: str) -> int:
    tag = tag_for_keyword(keyword)
    return -1 if tag is None else tag


_BODY_PART, _DESCRIPTIONS = 0x00180015, (0x00081030, 0x0008103E, 0x00181030)


def may_show_a_head(dataset: Dataset) -> bool:
    """Tell whether a CT or MR may show a face: its words name the head, or nothing names another part."""
    if text_of(dataset.get(_MODALITY)).upper() not in ("CT", "MR", "PT"):
        return False
    table = pixel_risks()
    texts = [text_of(dataset.get(tag)) for tag in (_BODY_PART, *_DESCRIPTIONS)]
    words = {word.upper() for text in texts for word in text.replace("_", " ").replace("-", " ").split()}
    if words & set(table["head_words"]):
        return True
    return not words & set(table["body_without_head"])
