"""Coded names of everything that the demonstration's annotators outline.

SNOMED CT where it has the concept; DICOM's own code for a lung opacity (PS3.16 CID 6104).
"""

from __future__ import annotations

from dataclasses import dataclass

from racoon.domain.coding import Code

ANATOMICAL = Code("91723000", "SCT", "Anatomical Structure")
TISSUE = Code("85756007", "SCT", "Tissue")
ABNORMAL = Code("49755003", "SCT", "Morphologically Abnormal Structure")

RIGHT = Code("24028007", "SCT", "Right")
LEFT = Code("7771000", "SCT", "Left")


@dataclass(frozen=True)
class Label:
    """One kind of segment.

    Parameters
    ----------
    key
        Our short name, unique; also the segment label.
    category, code
        Segmented property category and type (DICOM PS3.3 C.8.20.4).
    laterality
        Modifier of the type, if any.
    """

    key: str
    category: Code
    code: Code
    laterality: Code | None = None

    @property
    def title(self) -> str:
        """Segment label as a reader sees it."""
        return self.key.replace("_", " ")


def _organ(key: str, value: str, meaning: str, side: Code | None = None) -> Label:
    return Label(key, ANATOMICAL, Code(value, "SCT", meaning), side)


LABELS: dict[str, Label] = {
    label.key: label
    for label in (
        _organ("right_lung", "3341006", "Right lung"),
        _organ("left_lung", "44029006", "Left lung"),
        _organ("heart", "80891009", "Heart"),
        _organ("aorta", "15825003", "Aorta"),
        _organ("liver", "10200004", "Liver"),
        _organ("spleen", "78961009", "Spleen"),
        _organ("right_kidney", "9846003", "Right kidney"),
        _organ("left_kidney", "18639004", "Left kidney"),
        _organ("vertebral_column", "421060004", "Vertebral column"),
        Label("skeletal_muscle", TISSUE, Code("127954009", "SCT", "Skeletal muscle")),
        Label("subcutaneous_fat", TISSUE, Code("67769002", "SCT", "Subcutaneous fatty tissue")),
        Label("lung_opacity", ABNORMAL, Code("112001", "DCM", "Opacity")),
        Label("lung_nodule", ABNORMAL, Code("427359005", "SCT", "Solitary nodule of lung")),
        Label("pleural_effusion", ABNORMAL, Code("60046008", "SCT", "Pleural effusion")),
        Label(
            "calcification",
            ABNORMAL,
            Code("18115005", "SCT", "Pathologic calcification, calcified structure"),
        ),
    )
}

ORGANS = (
    "right_lung",
    "left_lung",
    "heart",
    "aorta",
    "liver",
    "spleen",
    "right_kidney",
    "left_kidney",
    "vertebral_column",
    "skeletal_muscle",
    "subcutaneous_fat",
)
LIGHT_ORGANS = ("right_lung", "left_lung", "heart", "liver", "spleen")
"""What is outlined in quick runs: a segmentation costs a node more than its images do."""

SINGLE_LEVEL = ("skeletal_muscle", "subcutaneous_fat")
"""Outlined on one slab only, as body composition is read at one vertebral level."""

FINDINGS = ("lung_opacity", "lung_nodule", "pleural_effusion", "calcification")
