"""Label maps: what a segment may mean when a reader draws it: concepts with their codes, names and colours.

A study's reading protocol may bring a map of its own; else the body part decides.  Not here: which masks exist, and
who drew them (``node.reading.drawing``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.domain.coding import Code

PALETTE = (
    "#4cc9f0", "#f9c74f", "#f94144", "#90be6d", "#b388eb", "#f8961e", "#43aa8b", "#ff70a6",
    "#577590", "#c8e639", "#e07a5f", "#7bdff2",
)  # fmt: skip
"""Colours of segments, told apart on grey and by most colour-blind readers; they repeat after twelve."""


@dataclass(frozen=True)
class Label:
    """One concept of a label map.

    Parameters
    ----------
    code
        With its English meaning.
    german
        Its German name; empty where the pages' catalogue has one.
    colour
        ``#rrggbb``.
    also
        The same concept in other terminologies, RadLex for example.
    """

    code: Code
    german: str = ""
    colour: str = PALETTE[0]
    also: tuple[Code, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "code": self.code.to_dict(),
            "german": self.german,
            "colour": self.colour,
            "also": [code.to_dict() for code in self.also],
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Label:
        """Read the JSON form."""
        return cls(
            Code.from_dict(document["code"]),
            document["german"],
            document["colour"],
            tuple(Code.from_dict(item) for item in document["also"]),
        )


@dataclass(frozen=True)
class LabelMap:
    """A list of concepts for one question.

    Parameters
    ----------
    name
        Stable name, used in reading protocols.
    labels
        In the order readers meet them.
    """

    name: str
    labels: tuple[Label, ...]


def _snomed(*rows: tuple[str, str, str]) -> tuple[Label, ...]:
    """Build labels of SNOMED CT code, meaning and RadLex code, which may be empty; each map has colours in order."""
    return tuple(
        Label(
            Code(value, "SCT", meaning),
            colour=PALETTE[at % len(PALETTE)],
            also=(Code(radlex, "RADLEX", meaning),) if radlex else (),
        )
        for at, (value, meaning, radlex) in enumerate(rows)
    )


_ANYTHING = (
    ("52988006", "Lesion", "RID38780"),
    ("27925004", "Nodule", "RID3875"),
    ("4147007", "Mass", "RID3874"),
    ("59441001", "Lymph node", "RID13296"),
    ("367643001", "Cyst", "RID3890"),
    ("128462008", "Metastasis", ""),
)

LABEL_MAPS: tuple[LabelMap, ...] = (
    LabelMap("anything", _snomed(*_ANYTHING)),
    LabelMap(
        "chest",
        _snomed(
            *_ANYTHING,
            ("95436008", "Lung consolidation", "RID43255"),
            ("60046008", "Pleural effusion", "RID34539"),
            ("36118008", "Pneumothorax", "RID5352"),
            ("373945007", "Pericardial effusion", "RID38588"),
            ("39607008", "Lung", "RID1301"),
            ("3341006", "Right lung", "RID1302"),
            ("44029006", "Left lung", "RID1326"),
            ("42400003", "Upper lobe of right lung", "RID1303"),
            ("72481006", "Middle lobe of right lung", "RID1310"),
            ("266005", "Lower lobe of right lung", "RID1315"),
            ("44714003", "Upper lobe of left lung", "RID1327"),
            ("41224006", "Lower lobe of left lung", "RID1338"),
            ("44567001", "Trachea", "RID1247"),
            ("80891009", "Heart", "RID1385"),
            ("15825003", "Aorta", ""),
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


def label_of(key: str, labels: Sequence[Label]) -> Label | None:
    """Return the label of a key, or None."""
    return next((label for label in labels if label.code.key == key), None)
