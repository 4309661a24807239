"""Label maps: what a segment may mean when a reader draws it, as SNOMED CT concepts in the order of the list.

Not here: which masks exist, and who drew them (``node.reading.drawing``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from racoon.domain.coding import Code


@dataclass(frozen=True)
class LabelMap:
    """A list of concepts for one question.

    Parameters
    ----------
    name
        Stable name, used in reading protocols.
    labels
        Concepts in the order readers meet them.
    """

    name: str
    labels: tuple[Code, ...]


def _snomed(*rows: tuple[str, str]) -> tuple[Code, ...]:
    return tuple(Code(value, "SCT", meaning) for value, meaning in rows)


_ANYTHING = _snomed(
    ("52988006", "Lesion"),
    ("27925004", "Nodule"),
    ("4147007", "Mass"),
    ("59441001", "Lymph node"),
    ("367643001", "Cyst"),
    ("128462008", "Metastasis"),
)

LABEL_MAPS: tuple[LabelMap, ...] = (
    LabelMap("anything", _ANYTHING),
    LabelMap(
        "chest",
        _ANYTHING
        + _snomed(
            ("95436008", "Lung consolidation"),
            ("60046008", "Pleural effusion"),
            ("36118008", "Pneumothorax"),
            ("373945007", "Pericardial effusion"),
            ("39607008", "Lung"),
            ("3341006", "Right lung"),
            ("44029006", "Left lung"),
            ("42400003", "Upper lobe of right lung"),
            ("72481006", "Middle lobe of right lung"),
            ("266005", "Lower lobe of right lung"),
            ("44714003", "Upper lobe of left lung"),
            ("41224006", "Lower lobe of left lung"),
            ("44567001", "Trachea"),
            ("80891009", "Heart"),
            ("15825003", "Aorta"),
        ),
    ),
)
"""The first one is for whatever has no list of its own."""


def label_map(name: str) -> LabelMap:
    """Return the label map of a name; an unknown name gets the list for anything."""
    return next((entry for entry in LABEL_MAPS if entry.name == name), LABEL_MAPS[0])


def label_map_for(body_part: str) -> LabelMap:
    """Return the label map that fits a Body Part Examined (0018,0015)."""
    return label_map("chest" if body_part.upper() in {"CHEST", "THORAX", "LUNG"} else "anything")


def label_of(key: str, maps: Sequence[LabelMap] = LABEL_MAPS) -> Code | None:
    """Return the concept of a key in any of the maps, or None."""
    return next((code for entry in maps for code in entry.labels if code.key == key), None)
