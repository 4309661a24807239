"""Small code tables between DICOM and SNOMED CT, and the terminology addresses we speak.

SNOMED CT is used by permission of SNOMED International; these few codes are the ones DICOM PS3.16 itself
publishes for its Body Part Examined values (Annex L).  What is not here is left out, never guessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from racoon.domain.coding import Code
from racoon.domain.labels import LABEL_MAPS
from racoon.standards.fhir.building import DCM, LOINC, SNOMED, UCUM, Resource, coding, concept

SYSTEM_OF_SCHEME: Mapping[str, str] = {
    "SCT": SNOMED,
    "LN": LOINC,
    "UCUM": UCUM,
    "DCM": DCM,
    "RADLEX": "http://radlex.org",
    "FMA": "http://purl.org/sig/ont/fma",
}
"""DICOM coding scheme designator (PS3.16 section 8) to FHIR code system."""

BODY_SITES: Mapping[str, tuple[str, str]] = {
    "ABDOMEN": ("818981001", "Abdomen"),
    "ABDOMENPELVIS": ("818982008", "Abdomen and Pelvis"),
    "ADRENAL": ("23451007", "Adrenal gland"),
    "ANKLE": ("70258002", "Ankle joint"),
    "AORTA": ("15825003", "Aorta"),
    "ARM": ("40983000", "Upper arm"),
    "BLADDER": ("89837001", "Bladder"),
    "BRAIN": ("12738006", "Brain"),
    "BREAST": ("76752008", "Breast"),
    "CALCANEUS": ("80144004", "Calcaneus"),
    "CHEST": ("51185008", "Chest"),
    "CHESTABDOMEN": ("416550000", "Chest and Abdomen"),
    "CHESTABDPELVIS": ("416775004", "Chest, Abdomen and Pelvis"),
    "CLAVICLE": ("51299004", "Clavicle"),
    "COCCYX": ("64688005", "Coccyx"),
    "COLON": ("71854001", "Colon"),
    "CSPINE": ("122494005", "Cervical spine"),
    "DUODENUM": ("38848004", "Duodenum"),
    "ELBOW": ("16953009", "Elbow joint"),
    "ESOPHAGUS": ("32849002", "Esophagus"),
    "EYE": ("81745001", "Eye"),
    "FEMUR": ("71341001", "Femur"),
    "FIBULA": ("87342007", "Fibula"),
    "FINGER": ("7569003", "Finger"),
    "FOOT": ("56459004", "Foot"),
    "FOREARM": ("14975008", "Forearm"),
    "GALLBLADDER": ("28231008", "Gallbladder"),
    "HAND": ("85562004", "Hand"),
    "HEAD": ("69536005", "Head"),
    "HEADNECK": ("774007", "Head and Neck"),
    "HEART": ("80891009", "Heart"),
    "HIP": ("24136001", "Hip joint"),
    "HUMERUS": ("85050009", "Humerus"),
    "KIDNEY": ("64033007", "Kidney"),
    "KNEE": ("72696002", "Knee"),
    "LARYNX": ("4596009", "Larynx"),
    "LEG": ("30021000", "Lower leg"),
    "LIVER": ("10200004", "Liver"),
    "LSPINE": ("122496007", "Lumbar spine"),
    "LUNG": ("39607008", "Lung"),
    "MEDIASTINUM": ("72410000", "Mediastinum"),
    "NECK": ("45048000", "Neck"),
    "NECKCHEST": ("417437006", "Neck and Chest"),
    "PANCREAS": ("15776009", "Pancreas"),
    "PELVIS": ("816092008", "Pelvis"),
    "PROSTATE": ("41216001", "Prostate"),
    "RECTUM": ("34402009", "Rectum"),
    "SCAPULA": ("79601000", "Scapula"),
    "SHOULDER": ("16982005", "Shoulder"),
    "SKULL": ("89546000", "Skull"),
    "SPINE": ("421060004", "Spine"),
    "SPLEEN": ("78961009", "Spleen"),
    "SSPINE": ("54735007", "Sacrum"),
    "STERNUM": ("56873002", "Sternum"),
    "STOMACH": ("69695003", "Stomach"),
    "THIGH": ("68367000", "Thigh"),
    "THYROID": ("69748006", "Thyroid"),
    "TIBIA": ("12611008", "Tibia"),
    "TSPINE": ("122495006", "Thoracic spine"),
    "UTERUS": ("35039007", "Uterus"),
    "WHOLEBODY": ("38266002", "Entire body"),
    "WRIST": ("74670003", "Wrist joint"),
}
"""Body Part Examined (0018,0015) to SNOMED CT code and DICOM's code meaning."""

PLACES: Mapping[str, Resource] = {code: coding(SNOMED, code, word) for code, word in BODY_SITES.values()}
"""The same by their SNOMED CT code."""

LATERALITIES: Mapping[str, tuple[str, str]] = {
    "R": ("24028007", "Right"),
    "L": ("7771000", "Left"),
    "B": ("51440002", "Right and left"),
    "U": ("66459002", "Unilateral"),
}
"""Laterality (0020,0060) to DICOM CID 244."""

MODALITIES: Mapping[str, str] = {
    "AR": "Autorefraction",
    "BI": "Biomagnetic imaging",
    "BMD": "Bone Mineral Densitometry",
    "CR": "Computed Radiography",
    "CT": "Computed Tomography",
    "DG": "Diaphanography",
    "DX": "Digital Radiography",
    "ECG": "Electrocardiography",
    "EPS": "Cardiac Electrophysiology",
    "ES": "Endoscopy",
    "GM": "General Microscopy",
    "HD": "Hemodynamic Waveform",
    "IO": "Intra-oral Radiography",
    "IVOCT": "Intravascular Optical Coherence Tomography",
    "IVUS": "Intravascular Ultrasound",
    "KER": "Keratometry",
    "LEN": "Lensometry",
    "LS": "Laser Scan",
    "MG": "Mammography",
    "MR": "Magnetic Resonance",
    "NM": "Nuclear Medicine",
    "OAM": "Ophthalmic Axial Measurements",
    "OCT": "Optical Coherence Tomography",
    "OP": "Ophthalmic Photography",
    "OPM": "Ophthalmic Mapping",
    "OPT": "Ophthalmic Tomography",
    "OPV": "Ophthalmic Visual Field",
    "OSS": "Optical Surface Scanner",
    "PT": "Positron emission tomography",
    "PX": "Panoramic X-Ray",
    "RF": "Radiofluoroscopy",
    "RG": "Radiographic imaging",
    "RTIMAGE": "RT Image",
    "SM": "Slide Microscopy",
    "SRF": "Subjective Refraction",
    "TG": "Thermography",
    "US": "Ultrasound",
    "VA": "Visual Acuity",
    "XA": "X-Ray Angiography",
    "XC": "External-camera Photography",
}
"""DICOM CID 33 (acquisition modality); SEG, SR and others describe no acquisition and are no member."""

PROCEDURES: Mapping[str, tuple[str, str]] = {
    "CR": ("363680008", "Radiographic imaging procedure"),
    "CT": ("77477000", "Computed tomography"),
    "DX": ("363680008", "Radiographic imaging procedure"),
    "MG": ("71651007", "Mammography"),
    "MR": ("113091000", "Magnetic resonance imaging"),
    "NM": ("373205008", "Nuclear medicine imaging procedure"),
    "PT": ("82918005", "Positron emission tomography"),
    "RF": ("44491008", "Fluoroscopy"),
    "US": ("16310003", "Ultrasonography"),
    "XA": ("77343006", "Angiography"),
}
"""Modality to the procedure that makes such images; of several modalities see :func:`procedure`."""

PET_CT = ("450436003", "Positron emission tomography with computed tomography")

_LEADING = ("PT", "NM", "MR", "CT", "MG", "XA", "RF", "US", "DX", "CR")
"""Of several modalities in one study the one that gives it its name."""

PRESENT = (SNOMED, "52101004", "Present")
ABSENT = (SNOMED, "2667000", "Absent")

_WORDS: Mapping[str, str] = {
    **dict(BODY_SITES.values()),
    **{
        label.code.value: label.code.meaning
        for entry in LABEL_MAPS
        for label in entry.labels
        if label.code.scheme == "SCT"
    },
}
"""What a SNOMED CT code of a structure is called, as far as our own lists say."""

UNIT_NAMES: Mapping[str, str] = {
    "mm": "millimeter",
    "mL": "milliliter",
    "ml": "milliliter",
    "cm2": "square centimeter",
    "cm3": "cubic centimeter",
    "%": "percent",
    "1": "1",
}
"""Words for UCUM codes in ``unit``; a code without words stands for itself."""


def body_site(body_part: str) -> Resource | None:
    """Translate a Body Part Examined; None when DICOM gives it no SNOMED code."""
    found = BODY_SITES.get(body_part.strip().upper())
    return coding(SNOMED, *found) if found else None


def laterality(text: str) -> Resource | None:
    """Translate a Laterality; None when it is none."""
    found = LATERALITIES.get(text.strip().upper())
    return coding(SNOMED, *found) if found else None


def modality(text: str) -> Resource | None:
    """Translate a Modality; None when it is no acquisition modality."""
    display = MODALITIES.get(text)
    return coding(DCM, text, display) if display else None


def procedure(modalities: Collection[str]) -> Resource | None:
    """Name the procedure that made a study; None when SNOMED's name of it is not in our table."""
    if {"PT", "CT"} <= set(modalities):
        return coding(SNOMED, *PET_CT)
    found = next((text for text in _LEADING if text in modalities), None)
    return coding(SNOMED, *PROCEDURES[found]) if found else None


def code_of(code: Code | None) -> Resource | None:
    """Translate a DICOM code; None when its scheme has no FHIR code system we know.

    Its meaning is free text of whoever wrote the image: only words that our own lists have for the code go along.
    """
    system = SYSTEM_OF_SCHEME.get(code.scheme) if code else None
    word = _WORDS.get(code.value, "") if code and system == SNOMED else ""
    return coding(system, code.value, word) if code and system else None


PUBLIC_REASONS = frozenset({SNOMED, LOINC, "http://fhir.de/CodeSystem/bfarm/icd-10-gm"})
"""Catalogues in which a reason may be written: a code of the hospital's own says nothing outside."""


def public_concepts(found: object) -> Iterator[Resource]:
    """Yield of some CodeableConcepts what public catalogues say, without words."""
    for item in found if isinstance(found, list) else ():
        parts = item.get("coding", ()) if isinstance(item, dict) else ()
        kept = [
            coding(part["system"], part["code"], version=str(part.get("version", "")))
            for part in parts
            if isinstance(part, dict) and part.get("system") in PUBLIC_REASONS and part.get("code")
        ]
        if kept:
            yield concept(*kept)
