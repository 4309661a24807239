"""Words of the archive: what is stored, what a store call answers, and the facts others may keep."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused

UID_PATTERN = re.compile(r"[0-9]+(\.[0-9]+)*")
"""Components of digits and dots (PS3.5 section 9.1).  Leading zeros are tolerated: scanners write them."""

MAXIMUM_BATCH = 200
"""Instances in one transaction: enough to amortise the commit, few enough to hold in memory (about 100 MB
of CT)."""

SEGMENTATION_MODALITY = "SEG"

ReadableAmong = Callable[[sa.Connection, Collection[Pseudonym]], Collection[Pseudonym]]
"""Port: those of some subjects whose data may be read now; one statement for a whole page."""


class SeriesNotFound(Refused):
    """No such series, or it may not be read; both answer the same, so that nobody can probe."""

    code = "archive.not_found"
    status = 404


class BadIdentifier(Defect):
    """Text that is no DICOM UID where one is needed."""

    code = "archive.bad_uid"
    status = 400


class BatchTooLarge(Refused):
    """More instances in one call than one transaction takes."""

    code = "archive.batch_too_large"


class ObjectDamaged(Defect):
    """Bytes on disk are not the bytes that were stored."""

    code = "archive.object_damaged"
    status = 500


def check_uid(text: str) -> str:
    """Return the text when it is a UID of at most 64 characters.

    Raises
    ------
    BadIdentifier
        If it is anything else; object keys are made of UIDs, so this is also the guard against path tricks.
    """
    if len(text) > 64 or UID_PATTERN.fullmatch(text) is None:
        raise BadIdentifier("This is not a valid DICOM UID.", details={"text": text[:80]})
    return text


@dataclass(frozen=True)
class DeidentifiedInstance:
    """One object as ``deid`` hands it over: a complete DICOM file (PS3.10) without identity.

    Parameters
    ----------
    bytes
        The file, preamble and file meta included.
    sop_class_uid, sop_instance_uid, series_uid, imaging_study_uid
        UIDs after replacement, equal to those inside the file.
    pseudonym
        Subject; equal to Patient ID (0010,0020) inside the file.
    evidence
        What the de-identification did: rule set version and counts per action.  JSON, without original
        values.
    """

    bytes: bytes
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    evidence: Mapping[str, Any] = field(default_factory=dict)


class StoreResult(StrEnum):
    """What became of one instance."""

    STORED = "stored"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"


@dataclass(frozen=True)
class StoreOutcome:
    """Answer for one instance of a batch, in the order of the batch.

    Parameters
    ----------
    sop_instance_uid
        The instance.
    result
        ``stored``; ``duplicate`` (same bytes were there: nothing to do); ``conflict`` (nothing was changed).
    reason
        Plain words for a conflict, else empty.
    """

    sop_instance_uid: str
    result: StoreResult
    reason: str = ""


@dataclass(frozen=True)
class SeriesFacts:
    """What is known of one series after a store call; ``cohorts`` keeps its fact table from these.

    Parameters
    ----------
    age_years
        Age at the examination, when the object says so; never computed from a birth date here.
    study_date_shifted
        ``YYYYMMDD`` after the date shift of the subject, or empty.
    has_contrast
        True when a contrast agent is recorded, False when the attribute is there and empty, None when absent.
    segment_labels
        For DICOM SEG: property type code of each segment, in order of segment number.
    referenced_series_uid
        For DICOM SEG: the series it was drawn on.
    instance_count
        Instances of the series in the archive after this call.
    """

    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    modality: str
    body_part: str = ""
    sex: str = ""
    age_years: float | None = None
    study_date_shifted: str = ""
    manufacturer: str = ""
    model: str = ""
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    kernel: str = ""
    rows: int | None = None
    columns: int | None = None
    instance_count: int = 0
    has_contrast: bool | None = None
    segment_labels: tuple[Code, ...] = ()
    referenced_series_uid: str = ""
    description: str = ""
    series_number: int | None = None


@dataclass(frozen=True)
class SeriesAssessment:
    """What a series is and what is wrong with it, worked out from all its headers.

    Parameters
    ----------
    kind, body_part, plane, contrast, kernel, thickness
        As :class:`racoon.standards.dicom.classification.SeriesClass` says them; ``unknown`` where no attribute does.
    worst
        Gravest severity of a broken quality rule: ``error``, ``warning``, ``note`` or empty.
    rules, findings
        Codes of broken quality rules and of irregularities of its geometry.
    sources
        Which attribute said what.
    """

    kind: str
    body_part: str
    plane: str
    contrast: str
    kernel: str
    thickness: str
    worst: str
    rules: tuple[str, ...]
    findings: tuple[str, ...]
    sources: Mapping[str, str]


@dataclass(frozen=True)
class StudyDose:
    """Radiation of an imaging study as its dose reports say it: the last cumulative values, never a sum.

    Parameters
    ----------
    reports, superseded
        Reports in the archive, and those that a later one contains.
    is_single
        Whether one report is left; several stand side by side and none of their values is the study's.
    dlp_mgy_cm
        Dose length product of a CT study.
    dose_area_product_gy_m2
        Of a study with projections, where there is one value only.
    totals
        ``name``, ``value``, ``unit`` and ``part`` of every value of the reports that are left.
    """

    reports: int
    superseded: int
    is_single: bool
    dlp_mgy_cm: float | None
    dose_area_product_gy_m2: float | None
    totals: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class SeriesRow:
    """One series as a list shows it: its facts and its size."""

    facts: SeriesFacts
    frame_count: int
    size_bytes: int
    position: int
    """Where keyset paging goes on: pass it as ``SeriesFilter.after``."""
    assessment: SeriesAssessment | None = None
    """None until it is worked out, a few seconds after the last instance."""


@dataclass(frozen=True)
class InstanceRow:
    """One stored instance."""

    sop_instance_uid: str
    sop_class_uid: str
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    instance_number: int | None
    rows: int | None
    columns: int | None
    frame_count: int
    transfer_syntax_uid: str
    size_bytes: int
    sha256: str
    object_key: str


@dataclass(frozen=True)
class SeriesFilter:
    """Which series to list; empty fields match all.

    Parameters
    ----------
    after
        Keyset: list only series after this ``SeriesRow.position``.
    limit
        At most so many, 1 to 1000.
    """

    modality: str = ""
    body_part: str = ""
    pseudonym: str = ""
    imaging_study_uid: str = ""
    series_uids: tuple[str, ...] = ()
    referenced_series_uid: str = ""
    after: int = 0
    limit: int = 1000


@dataclass(frozen=True)
class ArchiveCounts:
    """How much the archive holds."""

    subjects: int
    imaging_studies: int
    series: int
    instances: int
    size_bytes: int


@dataclass(frozen=True)
class SweepReport:
    """What a check of objects against the index found and did."""

    objects: int
    referenced: int
    removed: int
    missing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyFilter:
    """Which imaging studies to list, newest first; empty fields match all.

    Parameters
    ----------
    pseudonym
        Exact, or the start of it followed by ``*``.
    before
        Keyset: list only imaging studies that came before this ``StudyRow.position``.
    kind, contrast, plane, worst
        Of one of its series, as :class:`SeriesAssessment` says them.
    dlp_from_mgy_cm, dlp_to_mgy_cm
        Dose length product of the study.
    day_from, day_to
        Shifted day of the examination, ``YYYYMMDD``.
    """

    modality: str = ""
    body_part: str = ""
    pseudonym: str = ""
    before: int | None = None
    limit: int = 25
    kind: str = ""
    contrast: str = ""
    plane: str = ""
    worst: str = ""
    dlp_from_mgy_cm: float | None = None
    dlp_to_mgy_cm: float | None = None
    day_from: str = ""
    day_to: str = ""


@dataclass(frozen=True)
class FilterChoices:
    """Values that occur in the archive, for the filters of the browser."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    kinds: tuple[str, ...]
    contrasts: tuple[str, ...]
    planes: tuple[str, ...]


@dataclass(frozen=True)
class StudyRow:
    """One imaging study with its series, as the archive browser shows it."""

    imaging_study_uid: str
    pseudonym: Pseudonym
    study_date_shifted: str
    description: str
    modalities: tuple[str, ...]
    series_count: int
    instance_count: int
    position: int
    series: tuple[SeriesRow, ...] = ()
    dose: StudyDose | None = None
