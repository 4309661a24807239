"""Names of structures, so that a rule finds its mask whoever drew it.

A mask file says "Lung-Left", another "left_lung", a third only a SNOMED code: all mean ``lung_left`` here.
Names follow the order organ, part, side; a whole is built from its parts when only those are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from racoon.domain.coding import Code

LOBES = (
    "lung_upper_lobe_left",
    "lung_lower_lobe_left",
    "lung_upper_lobe_right",
    "lung_middle_lobe_right",
    "lung_lower_lobe_right",
)
LUNGS = ("lung", "lung_left", "lung_right", *LOBES)
CORONARIES = ("coronary_artery", "left_main", "lad", "lcx", "rca")
AORTA = ("aorta", "aorta_thoracic", "aorta_abdominal")
LESIONS = ("lesion", "tumour", "nodule", "lymph_node")
VERTEBRAE = tuple(
    f"vertebra_{level}"
    for level in (
        *(f"c{number}" for number in range(1, 8)),
        *(f"t{number}" for number in range(1, 13)),
        *(f"l{number}" for number in range(1, 6)),
    )
)

WHOLES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "lung_left": (("lung_upper_lobe_left", "lung_lower_lobe_left"),),
    "lung_right": (("lung_upper_lobe_right", "lung_middle_lobe_right", "lung_lower_lobe_right"),),
    "lung": (("lung_left", "lung_right"), LOBES),
    "kidney": (("kidney_left", "kidney_right"),),
    "coronary_artery": (("left_main", "lad", "lcx", "rca"),),
}
"""A whole and the sets of parts it may be built from; lobes may be missing at the edge of a scan."""

CODES: Mapping[str, Code] = {
    "lung": Code("39607008", "SCT", "Lung"),
    "lung_left": Code("44029006", "SCT", "Left lung"),
    "lung_right": Code("3341006", "SCT", "Right lung"),
    "lung_upper_lobe_left": Code("44714003", "SCT", "Upper lobe of left lung"),
    "lung_lower_lobe_left": Code("41224006", "SCT", "Lower lobe of left lung"),
    "lung_upper_lobe_right": Code("42400003", "SCT", "Upper lobe of right lung"),
    "lung_middle_lobe_right": Code("72481006", "SCT", "Middle lobe of right lung"),
    "lung_lower_lobe_right": Code("266005", "SCT", "Lower lobe of right lung"),
    "liver": Code("10200004", "SCT", "Liver"),
    "spleen": Code("78961009", "SCT", "Spleen"),
    "kidney": Code("64033007", "SCT", "Kidney"),
    "kidney_left": Code("18639004", "SCT", "Left kidney"),
    "kidney_right": Code("9846003", "SCT", "Right kidney"),
    "pancreas": Code("15776009", "SCT", "Pancreas"),
    "heart": Code("80891009", "SCT", "Heart"),
    "aorta": Code("15825003", "SCT", "Aorta"),
    "pulmonary_trunk": Code("45341000", "SCT", "Pulmonary trunk"),
    "pericardium": Code("76848001", "SCT", "Pericardium"),
    "coronary_artery": Code("41801008", "SCT", "Coronary artery"),
    "brain": Code("12738006", "SCT", "Brain"),
    "skeletal_muscle": Code("127954009", "SCT", "Skeletal muscle"),
    "aorta_thoracic": Code("113262008", "SCT", "Thoracic aorta"),
    "aorta_abdominal": Code("7832008", "SCT", "Abdominal aorta"),
    "aortic_valve": Code("34202007", "SCT", "Aortic valve"),
    "left_main": Code("3227004", "SCT", "Left main coronary artery"),
    "lad": Code("59438005", "SCT", "Left anterior descending coronary artery"),
    "lcx": Code("57396003", "SCT", "Circumflex coronary artery"),
    "rca": Code("13647002", "SCT", "Right coronary artery"),
    "lv_myocardium": Code("49848007", "SCT", "Left ventricle myocardium"),
    "right_ventricle": Code("53085002", "SCT", "Right ventricle"),
    "mediastinum": Code("72410000", "SCT", "Mediastinum"),
    "pleural_effusion": Code("60046008", "SCT", "Pleural effusion"),
    "pericardial_effusion": Code("373945007", "SCT", "Pericardial effusion"),
    "visceral_cavity": Code("52731004", "SCT", "Abdominal cavity"),
    "cortex": Code("40146001", "SCT", "Cerebral cortex"),
    "white_matter": Code("68523003", "SCT", "Cerebral white matter"),
    "hippocampus": Code("5366008", "SCT", "Hippocampus"),
    "intracranial_volume": Code("1101003", "SCT", "Intracranial"),
    "lymph_node": Code("59441001", "SCT", "Lymph node"),
    "vertebra": Code("51282000", "SCT", "Vertebra"),
    "vertebra_c1": Code("14806007", "SCT", "First cervical vertebra"),
    "vertebra_c2": Code("39976000", "SCT", "Second cervical vertebra"),
    "vertebra_c3": Code("113205007", "SCT", "Third cervical vertebra"),
    "vertebra_c4": Code("5329002", "SCT", "Fourth cervical vertebra"),
    "vertebra_c5": Code("36978003", "SCT", "Fifth cervical vertebra"),
    "vertebra_c6": Code("36054005", "SCT", "Sixth cervical vertebra"),
    "vertebra_c7": Code("87391001", "SCT", "Seventh cervical vertebra"),
    "vertebra_t1": Code("64864005", "SCT", "First thoracic vertebra"),
    "vertebra_t2": Code("53733008", "SCT", "Second thoracic vertebra"),
    "vertebra_t3": Code("1626008", "SCT", "Third thoracic vertebra"),
    "vertebra_t4": Code("73071006", "SCT", "Fourth thoracic vertebra"),
    "vertebra_t5": Code("56401006", "SCT", "Fifth thoracic vertebra"),
    "vertebra_t6": Code("45296009", "SCT", "Sixth thoracic vertebra"),
    "vertebra_t7": Code("62487009", "SCT", "Seventh thoracic vertebra"),
    "vertebra_t8": Code("11068009", "SCT", "Eighth thoracic vertebra"),
    "vertebra_t9": Code("82687006", "SCT", "Ninth thoracic vertebra"),
    "vertebra_t10": Code("7610001", "SCT", "Tenth thoracic vertebra"),
    "vertebra_t11": Code("12989004", "SCT", "Eleventh thoracic vertebra"),
    "vertebra_t12": Code("23215003", "SCT", "Twelfth thoracic vertebra"),
    "vertebra_l1": Code("66794005", "SCT", "First lumbar vertebra"),
    "vertebra_l2": Code("14293000", "SCT", "Second lumbar vertebra"),
    "vertebra_l3": Code("36470004", "SCT", "Third lumbar vertebra"),
    "vertebra_l4": Code("11994002", "SCT", "Fourth lumbar vertebra"),
    "vertebra_l5": Code("49668003", "SCT", "Fifth lumbar vertebra"),
    "vertebral_body": Code("3572006", "SCT", "Vertebral body"),
    "subcutaneous_fat": Code("67769002", "SCT", "Subcutaneous fatty tissue"),
    "lateral_ventricle": Code("66720007", "SCT", "Lateral ventricle"),
    "cerebellum": Code("113305005", "SCT", "Cerebellum"),
    "thalamus": Code("42695009", "SCT", "Thalamus"),
    "amygdala": Code("4958002", "SCT", "Amygdala"),
    "caudate": Code("11000004", "SCT", "Caudate nucleus"),
    "putamen": Code("89278009", "SCT", "Putamen"),
    "pallidum": Code("14738005", "SCT", "Globus pallidus"),
    "brain_stem": Code("119238007", "SCT", "Brain stem"),
    "lung_opacity": Code("112001", "DCM", "Opacity"),
    "reticulation": Code("112113", "DCM", "Reticular pattern"),
    "nodule": Code("27925004", "SCT", "Nodule"),
    "lesion": Code("52988006", "SCT", "Lesion"),
    "tumour": Code("108369006", "SCT", "Neoplasm"),
}
"""Canonical name to code, for the structures that have one in SNOMED CT or in DICOM's own scheme (CID 6102).

Where each was found, and why some structures have none, says docs/explanation/definition-sources.md.
"""

_SYNONYMS: Mapping[str, str] = {
    "lungs": "lung",
    "pulmo": "lung",
    "lunge": "lung",
    "vessel_aorta": "aorta",
    "pulmonary_artery": "pulmonary_trunk",
    "main_pulmonary_artery": "pulmonary_trunk",
    "pulmonary_artery_main": "pulmonary_trunk",
    "pericardial_sac": "pericardium",
    "coronary_arteries": "coronary_artery",
    "coronaries": "coronary_artery",
    "lm": "left_main",
    "lmca": "left_main",
    "left_main_coronary_artery": "left_main",
    "left_anterior_descending": "lad",
    "left_circumflex": "lcx",
    "circumflex": "lcx",
    "cx": "lcx",
    "right_coronary_artery": "rca",
    "muscle": "skeletal_muscle",
    "skeletal_muscles": "skeletal_muscle",
    "sat": "subcutaneous_fat",
    "subcutaneous_adipose_tissue": "subcutaneous_fat",
    "vat": "visceral_cavity",
    "visceral_fat": "visceral_cavity",
    "torso_fat": "visceral_cavity",
    "abdominal_cavity": "visceral_cavity",
    "pectoralis": "pectoralis_muscle",
    "tumor": "tumour",
    "gtv": "tumour",
    "gtv_1": "tumour",
    "gtv_mass": "tumour",
    "neoplasm": "tumour",
    "lesions": "lesion",
    "pulmonary_nodule": "nodule",
    "lung_nodule": "nodule",
    "lung_reticulation": "reticulation",
    "reticulations": "reticulation",
    "reticular": "reticulation",
    "rv": "right_ventricle",
    "right_ventricle": "right_ventricle",
    "ventricle_right": "right_ventricle",
    "heart_ventricle_right": "right_ventricle",
    "opacity": "lung_opacity",
    "lung_opacities": "lung_opacity",
    "covid_lesion": "lung_opacity",
    "infiltrate": "lung_opacity",
    "pleural_effusions": "pleural_effusion",
    "effusion": "pleural_effusion",
    "myocardium": "lv_myocardium",
    "left_ventricle_myocardium": "lv_myocardium",
    "heart_myocardium": "lv_myocardium",
    "right_ventricle_myocardium": "rv_myocardium",
    "right_ventricle_wall": "rv_myocardium",
    "rv_wall": "rv_myocardium",
    "rv_free_wall": "rv_myocardium",
    "icv": "intracranial_volume",
    "wmh": "white_matter_lesion",
    "white_matter_hyperintensity": "white_matter_lesion",
    "white_matter_lesions": "white_matter_lesion",
    "grey_matter": "cortex",
    "gray_matter": "cortex",
    "body_trunc": "body",
}

_BY_CODE: Mapping[str, str] = {code.key: name for name, code in CODES.items()}


@dataclass(frozen=True)
class _Side:
    words: tuple[str, ...]
    name: str


_SIDES = (_Side(("left", "lt", "l", "links"), "left"), _Side(("right", "rt", "r", "rechts"), "right"))


def structure_name(name: str, code: Code | None = None) -> str:
    """Find the house's name of a structure.

    Parameters
    ----------
    name
        As the mask's author wrote it.
    code
        Coded concept, if there is one; it wins.

    Returns
    -------
    str
        Canonical name; the cleaned name when it is not known; empty when there is none.
    """
    if code is not None and code.key in _BY_CODE:
        return _BY_CODE[code.key]
    words = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    if words in CORONARIES or words in CODES:
        return words
    if words in _SYNONYMS:
        return _SYNONYMS[words]
    if found := re.fullmatch(r"vertebrae?_?([ctl]\d{1,2}|th\d{1,2})", words):
        return "vertebra_" + found.group(1).replace("th", "t")
    if re.fullmatch(r"[ctl]\d{1,2}", words) and f"vertebra_{words}" in VERTEBRAE:
        return f"vertebra_{words}"
    parts = words.split("_")
    for side in _SIDES:
        marks = [part for part in parts if part in side.words]
        if len(marks) == 1 and len(parts) > 1:
            rest = "_".join(part for part in parts if part not in side.words)
            moved = f"{_SYNONYMS.get(rest, rest)}_{side.name}"
            return _SYNONYMS.get(moved, moved)
    return words


def family(name: str) -> frozenset[str]:
    """Every name a structure answers to: its own, and that of its kind."""
    found = {name}
    if name in VERTEBRAE:
        found.add("vertebra")
    for kind in LESIONS:
        if name == kind or name.startswith(f"{kind}_") or name.endswith(f"_{kind}"):
            found |= {kind, "lesion"}
    if name.startswith("gtv"):
        found |= {"tumour", "lesion"}
    return frozenset(found)
