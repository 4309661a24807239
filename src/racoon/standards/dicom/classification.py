"""What a series is, read from its headers by tables: kind, body part, plane, contrast, kernel, slice thickness.

Each answer names the attribute it was read from; what no attribute says stays ``unknown`` and is never guessed.
Words are looked for in German and English, because protocols are written in both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from racoon.errors import Defect
from racoon.standards.dicom.dose import DoseReport, describe_doses, read_dose_report
from racoon.standards.dicom.folder import SeriesFiles, frames_of_series, read_folder
from racoon.standards.dicom.folder_volume import describe_finding
from racoon.standards.dicom.plane import Frame
from racoon.standards.dicom.quality import SeriesFacts, check_quality
from racoon.standards.dicom.stack import Finding, arrange

UNKNOWN = "unknown"

THIN_MM, THICK_MM = 1.5, 3.0
"""Up to the first a lung or bone reconstruction, above the second a reading series."""

AXIS_TOLERANCE = 0.9
"""Cosine between the slice normal and a body axis above which the plane has that axis' name: 26 degrees."""

_STORAGE = "1.2.840.10008.5.1.4.1.1."

KIND_OF_SOP_CLASS: Mapping[str, str] = {
    f"{_STORAGE}66.4": "segmentation",
    f"{_STORAGE}66.7": "segmentation",
    f"{_STORAGE}481.3": "contours",
    f"{_STORAGE}481.2": "radiation_dose_grid",
    f"{_STORAGE}30": "parametric_map",
    f"{_STORAGE}88.67": "dose_report",
    f"{_STORAGE}88.76": "dose_report",
    f"{_STORAGE}88.68": "dose_report",
    f"{_STORAGE}67": "real_world_value_map",
    f"{_STORAGE}104.1": "document",
    f"{_STORAGE}1": "projection",
    f"{_STORAGE}12.1": "fluoroscopy",
    f"{_STORAGE}12.2": "fluoroscopy",
    f"{_STORAGE}6.1": "ultrasound",
    f"{_STORAGE}3.1": "ultrasound",
}
"""Kinds that the SOP class alone decides (PS3.4 annex B.5)."""

_PREFIXES = (
    (f"{_STORAGE}1.", "projection"),
    (f"{_STORAGE}88.", "structured_report"),
    (f"{_STORAGE}7", "secondary_capture"),
    (f"{_STORAGE}11.", "presentation"),
)

_LOCALISER = re.compile(r"\b(?:topo(?:gram)?|scout|locali[sz]er|surview|scanogram|survey)", re.IGNORECASE)
_DOSE = re.compile(r"\b(?:dose|dosis|exam protocol|patient protocol|dosisbericht)", re.IGNORECASE)

BODY_PARTS: tuple[tuple[str, str], ...] = (
    (r"head.{0,3}neck|kopf.{0,3}hals", "HEADNECK"),
    (r"whole.?body|ganzk(?:ö|oe|o)rper|wholebody", "WHOLEBODY"),
    (r"chest.{0,4}abd|tho.{0,8}abd|tx.{0,4}abd|c\W?a\W?p\b", "CHESTABDPELVIS"),
    (r"abd.{0,10}(?:pelv|becken)|abdpel", "ABDPELVIS"),
    (r"hippocamp|brain|gehirn|hirn|schädel|schaedel|neuro|\bccc?t\b|\bhead|\bkopf|skull", "HEAD"),
    (r"\bhals|\bneck", "NECK"),
    (r"heart|cardiac|herz|coronar|koronar|cardio", "HEART"),
    (r"lung|thora|chest|\btx\b", "CHEST"),
    (r"liver|leber|pancrea|pankrea|kidney|niere|abdom|oberbauch|\babd\b", "ABDOMEN"),
    (r"prostat|pelvi|becken|uterus|blase|bladder", "PELVIS"),
    (r"breast|mamm", "BREAST"),
    (r"cspine|hws|cervical sp", "CSPINE"),
    (r"tspine|bws|thoracic sp", "TSPINE"),
    (r"lspine|lws|lumbar", "LSPINE"),
    (r"spine|wirbel|\bws\b", "SPINE"),
    (r"shoulder|schulter", "SHOULDER"),
    (r"elbow|ellbogen", "ELBOW"),
    (r"hand|wrist|finger", "HAND"),
    (r"hip\b|hüfte|huefte", "HIP"),
    (r"knee|knie", "KNEE"),
    (r"ankle|sprunggelenk", "ANKLE"),
    (r"foot|fuß|fuss", "FOOT"),
    (r"thigh|oberschenkel|femur", "THIGH"),
)
"""Words for body parts, the more specific ones first, and the defined terms of PS3.16 annex L."""

_BODY_PARTS = tuple((re.compile(pattern, re.IGNORECASE), name) for pattern, name in BODY_PARTS)
_BODY_PART_SOURCES = ("BodyPartExamined", "SeriesDescription", "ProtocolName", "StudyDescription")

PHASES: tuple[tuple[str, str], ...] = (
    (r"nativ|ohne km|non.?contrast|without|unenhanced|w/o|pre.?contrast|\bnc\b", "native"),
    (r"portal|pv\b|portovenös|portovenoes|venös|venoes|venous|\bven\b", "portal_venous"),
    (r"arteri|\bart\b|angio|\bcta\b", "arterial"),
    (r"delay|spät|spaet|late\b|equilib|urograph", "delayed"),
)
_PHASES = tuple((re.compile(pattern, re.IGNORECASE), name) for pattern, name in PHASES)

_GE = {"STANDARD": "soft", "SOFT": "soft", "DETAIL": "medium", "CHST": "medium", "BONE": "sharp", "BONEPLUS": "sharp",
       "LUNG": "sharp", "EDGE": "sharp", "ULTRA": "sharp"}  # fmt: skip
_PHILIPS = {"A": "soft", "B": "soft", "C": "medium", "D": "sharp", "E": "sharp", "L": "sharp", "YA": "sharp",
            "YB": "sharp", "YC": "sharp", "YD": "sharp", "YE": "sharp", "UA": "soft", "UB": "soft",
            "UC": "medium"}  # fmt: skip
_SIEMENS_KERNEL = re.compile(r"[BHIUTSDCAQ][a-z]?(\d{2})[a-z]?")
_CANON_KERNEL = re.compile(r"FC(\d{2})")


@dataclass(frozen=True)
class SeriesClass:
    """What a series is.

    Parameters
    ----------
    kind
        ``volume``, ``localiser``, ``dose_report``, ``projection``, ``segmentation`` and so on.
    body_part
        Defined term of PS3.16 annex L, or ``unknown``.
    plane
        ``axial``, ``coronal``, ``sagittal``, ``oblique``, ``mixed`` or ``unknown``.
    contrast
        ``native``, ``arterial``, ``portal_venous``, ``delayed``, ``enhanced`` (phase unknown) or ``unknown``.
    kernel
        ``soft``, ``medium``, ``sharp`` or ``unknown``.
    thickness, thickness_mm
        ``thin``, ``medium``, ``thick`` or ``unknown``, and the value.
    sources
        Which attribute said it.
    findings
        Irregularities of a volume.
    """

    modality: str
    kind: str
    body_part: str = UNKNOWN
    plane: str = UNKNOWN
    contrast: str = UNKNOWN
    kernel: str = UNKNOWN
    thickness: str = UNKNOWN
    thickness_mm: float | None = None
    frames: int = 0
    sources: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


def classify_folder(folder: Path, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Classify every series of a folder.

    Returns
    -------
    dict
        ``files``, ``unreadable``, ``series``: one entry for each, with its UID, its number of instances and the
        quality rules it breaks; ``doses``: one entry for each imaging study with dose reports.
    """
    content = read_folder(folder, progress)
    series = []
    reports: list[DoseReport] = []
    for item in content.series.values():
        found = classify(item)
        if found.kind in ("dose_report", "structured_report"):
            read = [read_dose_report(header) for header in item.headers]
            reports += [report for report in read if report is not None]
        entry = asdict(found) | {
            "quality": quality_of(found, item),
            "findings": [describe_finding(finding) for finding in found.findings],
            "sources": dict(found.sources),
        }
        series.append({"series_uid": item.series_uid, "instances": len(item.files)} | entry)
    files = sum(len(item.files) for item in content.series.values()) + content.unreadable
    return {
        "files": files,
        "unreadable": content.unreadable,
        "series": series,
        "doses": describe_doses(reports),
    }


def quality_of(found: SeriesClass, series: SeriesFiles) -> list[dict[str, Any]]:
    """Give every quality rule that a classified series breaks, the gravest first; see :func:`check_quality`."""
    return check_quality(_facts(found, series))


def _facts(found: SeriesClass, series: SeriesFiles) -> SeriesFacts:
    return SeriesFacts(
        modality=found.modality,
        kind=found.kind,
        body_part=found.body_part,
        contrast_source=found.sources.get("contrast", ""),
        thickness_mm=found.thickness_mm,
        frames=found.frames,
        findings=found.findings,
        headers=series.headers,
    )


def classify(series: SeriesFiles) -> SeriesClass:
    """Classify one series by its headers.

    Parameters
    ----------
    series
        Its files; pixel data are not needed.
    """
    header = series.headers[0]
    kind, sources = _kind(header)
    frames: list[Frame] = []
    findings: tuple[Finding, ...] = ()
    if kind == "image":
        try:
            frames = frames_of_series(series)[0]
        except Defect:
            kind = "image_without_geometry"
        else:
            findings = arrange(frames).findings
            kind = "volume" if len(frames) > 1 else "slice"
    body_part = _first_match(header, _BODY_PART_SOURCES, _BODY_PARTS, sources, "body_part")
    contrast = _contrast(header, sources)
    kernel = _kernel(header, sources)
    thickness_mm = _thickness_mm(frames, sources)
    return SeriesClass(
        modality=_text(header, "Modality"),
        kind=kind,
        body_part=body_part,
        plane=_plane(frames, header, sources),
        contrast=contrast,
        kernel=kernel,
        thickness=_thickness_class(thickness_mm),
        thickness_mm=thickness_mm,
        frames=len(frames) or sum(_frame_count(item) for item in series.headers),
        sources=sources,
        findings=findings,
    )


def _kind(header: Dataset) -> tuple[str, dict[str, str]]:
    sop_class = _text(header, "SOPClassUID")
    image_type = _text(header, "ImageType").upper()
    description = f"{_text(header, 'SeriesDescription')} {_text(header, 'ProtocolName')}"
    if "LOCALIZER" in image_type:
        return "localiser", {"kind": "ImageType"}
    known = KIND_OF_SOP_CLASS.get(sop_class)
    if known is not None:
        return known, {"kind": "SOPClassUID"}
    prefix = next((kind for start, kind in _PREFIXES if sop_class.startswith(start)), "")
    if _DOSE.search(description) and prefix in ("secondary_capture", "structured_report"):
        return "dose_report", {"kind": "SeriesDescription"}
    if prefix:
        return prefix, {"kind": "SOPClassUID"}
    if _LOCALISER.search(_text(header, "SeriesDescription")):
        return "localiser", {"kind": "SeriesDescription"}
    if "Rows" in header:
        return "image", {"kind": "SOPClassUID"}
    return "other", {"kind": "SOPClassUID"}


def _text(header: Dataset, keyword: str) -> str:
    try:
        value = header.get(keyword)
    except (ValueError, TypeError, KeyError, AttributeError, NotImplementedError):
        return ""
    if value is None:
        return ""
    return (
        "\\".join(str(item) for item in value)
        if isinstance(value, list | tuple) or hasattr(value, "append")
        else str(value)
    )


def _first_match(
    header: Dataset,
    keywords: Sequence[str],
    patterns: Sequence[tuple[re.Pattern[str], str]],
    sources: dict[str, str],
    name: str,
) -> str:
    for keyword in keywords:
        text = _text(header, keyword).replace("_", " ")
        for pattern, answer in patterns:
            if text and pattern.search(text):
                sources[name] = keyword
                return answer
    return UNKNOWN


def _contrast(header: Dataset, sources: dict[str, str]) -> str:
    phase = _first_match(header, ("SeriesDescription", "ProtocolName"), _PHASES, sources, "contrast")
    agent = _text(header, "ContrastBolusAgent").strip()
    is_enhanced = (
        bool(agent) and agent.upper() not in ("NO", "NONE", "KEIN", "OHNE")
    ) or "ContrastBolusAgentSequence" in header
    # A description that says "native" beside an agent in the header contradicts itself: no answer is the true one.
    if phase == "native" and is_enhanced:
        sources["contrast"] = "contradiction"
        return UNKNOWN
    if phase == UNKNOWN and is_enhanced:
        sources["contrast"] = "ContrastBolusAgent"
        return "enhanced"
    return phase


def _kernel(header: Dataset, sources: dict[str, str]) -> str:
    names = [part.strip() for part in _text(header, "ConvolutionKernel").split("\\") if part.strip()]
    if not names or _text(header, "Modality") != "CT":
        return UNKNOWN
    name, maker = names[0], _text(header, "Manufacturer").upper()
    answer = UNKNOWN
    if maker.startswith("GE"):
        answer = _GE.get(name.upper(), UNKNOWN)
    elif maker.startswith("PHILIPS"):
        answer = _PHILIPS.get(name.upper(), UNKNOWN)
    elif maker.startswith("SIEMENS") and (found := _SIEMENS_KERNEL.fullmatch(name)):
        # The number is the sharpness: 10 very smooth, 90 ultra sharp.
        answer = _by_limit(int(found[1]), 45, 55)
    elif maker.startswith(("TOSHIBA", "CANON")) and (found := _CANON_KERNEL.fullmatch(name.upper())):
        # 01 to 19 body, 20 to 29 head, 30 and more bone and lung.
        answer = _by_limit(int(found[1]), 29, 29)
    if answer != UNKNOWN:
        sources["kernel"] = "ConvolutionKernel"
    return answer


def _by_limit(number: int, soft: int, medium: int) -> str:
    return "soft" if number <= soft else "medium" if number <= medium else "sharp"


def _thickness_mm(frames: Sequence[Frame], sources: dict[str, str]) -> float | None:
    known = {frame.thickness_mm for frame in frames if frame.thickness_mm}
    if not known:
        return None
    sources["thickness"] = "SliceThickness"
    return float(np.median(list(known)))


def _thickness_class(thickness_mm: float | None) -> str:
    if thickness_mm is None:
        return UNKNOWN
    return "thin" if thickness_mm <= THIN_MM else "medium" if thickness_mm <= THICK_MM else "thick"


def _plane(frames: Sequence[Frame], header: Dataset, sources: dict[str, str]) -> str:
    orientations = {tuple(round(value, 2) for value in frame.orientation) for frame in frames}
    if not orientations:
        cosines = header.get("ImageOrientationPatient")
        if not cosines or len(cosines) != 6:
            return UNKNOWN
        orientations = {tuple(float(value) for value in cosines)}
    sources["plane"] = "ImageOrientationPatient"
    names = {_plane_of(cosines) for cosines in orientations}
    return names.pop() if len(names) == 1 else "mixed"


def _plane_of(cosines: tuple[float, ...]) -> str:
    normal = np.abs(np.cross(cosines[:3], cosines[3:]))
    axis = int(np.argmax(normal))
    return ("sagittal", "coronal", "axial")[axis] if normal[axis] >= AXIS_TOLERANCE else "oblique"


def _frame_count(header: Dataset) -> int:
    text = _text(header, "NumberOfFrames")
    if text.isdigit():
        return int(text)
    return 1 if "Rows" in header else 0
