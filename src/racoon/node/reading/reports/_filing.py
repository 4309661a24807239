"""Writes a signed report as DICOM SR: places of findings in pixels, answers as codes."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import pydicom
from pydicom.dataset import Dataset

from racoon import __version__
from racoon.domain.finding import NAMES, FindingKind
from racoon.domain.questionnaire import Answered, Coding, Template, items_of
from racoon.node.archive.model import SEGMENTATION_MODALITY, SeriesFilter
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.model import StoredFinding
from racoon.node.reading.findings.service import plane_of
from racoon.node.reading.reports.in_sr import NO, YES, code_of, entries_of, question_code
from racoon.node.reading.reports.model import ReportVersion
from racoon.standards.dicom.structured_report import CodedAnswer, Line, Mark, Number, Point, build_report

REGIONS: Mapping[FindingKind, str] = {
    FindingKind.ELLIPSE: "ELLIPSE",
    FindingKind.RECTANGLE: "POLYLINE",
    FindingKind.FREEHAND: "POLYLINE",
    FindingKind.SPHERE: "CIRCLE",
    FindingKind.CYLINDER: "CIRCLE",
    FindingKind.CUBE: "CIRCLE",
}


def write_report(
    archive: Archive, version: ReportVersion, template: Template, findings: Sequence[StoredFinding]
) -> bytes:
    """Return the file of a signed version.

    Parameters
    ----------
    findings
        The author's findings of the imaging study.
    """
    # A mask that was never stored has no object to point at.
    findings = [
        found for found in findings if found.finding.kind is not FindingKind.SEGMENT or _segment(found)
    ]
    sources = {
        uid: _header(archive, uid)
        for uid in dict.fromkeys(found.finding.place.sop_instance_uid for found in findings)
    }
    if not sources:
        middle = _middle_image(archive, version.imaging_study_uid)
        sources = {middle: _header(archive, middle)}
    marks = [
        _mark(sources[found.finding.place.sop_instance_uid], found, number)
        for number, found in enumerate(findings, start=1)
    ]
    answers = list(_answers(template, items_of(template, version.response["item"])))
    dataset = build_report(
        sources,
        marks,
        answers,
        report=version.report_id,
        version=version.version,
        software=__version__,
        form=entries_of(template, items_of(template, version.response["item"])),
        masks=[
            _header(archive, uid) for uid in dict.fromkeys(mark.segment[0] for mark in marks if mark.segment)
        ],
    )
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _header(archive: Archive, uid: str) -> Dataset:
    data = archive.read_object(archive.instance(uid))
    return pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)


def _middle_image(archive: Archive, imaging_study_uid: str) -> str:
    """Name an image of the study for a report without findings: an SR refers to what was read."""
    rows = archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid))
    series = next(
        row.facts.series_uid for row in rows if row.facts.rows and row.facts.modality != SEGMENTATION_MODALITY
    )
    pictures = [row for row in archive.instances(series) if row.rows]
    return pictures[len(pictures) // 2].sop_instance_uid


def _mark(source: Dataset, stored: StoredFinding, number: int) -> Mark:
    finding = stored.finding
    if finding.kind is FindingKind.SECTION:
        return _section(stored, number)
    if finding.kind is FindingKind.SEGMENT:
        return Mark(
            finding.tracking_uid,
            f"{finding.meaning.meaning} {number}",
            finding.meaning,
            finding.place.sop_instance_uid,
            finding.place.frame,
            tuple(Number(NAMES[item.name], item.value, item.unit) for item in stored.numbers),
            segment=_segment(stored),
        )
    indices = plane_of(source, finding).pixels_of(finding.place.points_mm)
    points: list[Point] = [(float(column) + 0.5, float(row) + 0.5) for row, column, _ in indices]
    region = _region(finding.kind, finding.place.points_mm, points)
    return Mark(
        tracking_uid=finding.tracking_uid,
        name=f"{finding.meaning.meaning} {number}",
        meaning=finding.meaning,
        instance=finding.place.sop_instance_uid,
        frame=finding.place.frame,
        numbers=tuple(
            Number(
                NAMES[item.name],
                item.value,
                item.unit,
                None if region else _line(finding.kind, item.name, finding.place.points_mm, points),
            )
            for item in stored.numbers
        ),
        region=region,
    )


def _segment(stored: StoredFinding) -> tuple[str, int] | None:
    """Return the stored segmentation and the number of the segment that a mask's finding was measured in."""
    instance, _, number = str((stored.origin or {}).get("segment", "")).partition(":")
    return (instance, int(number)) if number else None


def _section(stored: StoredFinding, number: int) -> Mark:
    """A section lies on no slice: its diameters carry coordinates in space."""
    finding = stored.finding
    ends = finding.place.points_mm[2:]
    is_first_longer = _length(ends, 0) >= _length(ends, 2)
    numbers = [
        Number(
            NAMES[item.name],
            item.value,
            item.unit,
            Line(
                "POLYLINE", points_mm=ends[:2] if (item.name == "long_axis") == is_first_longer else ends[2:]
            ),
        )
        for item in stored.numbers
    ]
    name = f"{finding.meaning.meaning} {number}"
    place = finding.place
    return Mark(
        finding.tracking_uid, name, finding.meaning, place.sop_instance_uid, place.frame, tuple(numbers)
    )


def _length(points_mm: Sequence[tuple[float, float, float]], first: int) -> float:
    return sum((a - b) ** 2 for a, b in zip(points_mm[first], points_mm[first + 1], strict=True))


def _region(
    kind: FindingKind, points_mm: Sequence[tuple[float, float, float]], points: list[Point]
) -> Line | None:
    graphic = REGIONS.get(kind)
    if graphic is None:
        return None
    if graphic == "POLYLINE":
        return Line(graphic, (*points, points[0]))
    if graphic == "ELLIPSE" and _length(points_mm, 0) < _length(points_mm, 2):
        # The major axis comes first (PS3.3 C.18.6.1.2).
        points = [*points[2:], *points[:2]]
    return Line(graphic, tuple(points))


def _line(
    kind: FindingKind, name: str, points_mm: Sequence[tuple[float, float, float]], points: list[Point]
) -> Line:
    if kind is FindingKind.PROBE:
        return Line("POINT", tuple(points))
    if kind is FindingKind.BIDIRECTIONAL:
        is_first_longer = _length(points_mm, 0) >= _length(points_mm, 2)
        return Line("POLYLINE", tuple(points[:2] if (name == "long_axis") == is_first_longer else points[2:]))
    return Line("POLYLINE", tuple(points))


def _answers(template: Template, items: Sequence[Answered]) -> Iterator[CodedAnswer]:
    asked = {item.link_id: item for item in template.walk()}
    for node in items:
        item = asked[node.link_id]
        for answer in node.answers:
            value = answer.value
            if isinstance(value, bool):
                yield CodedAnswer(question_code(item), YES if value else NO)
            elif isinstance(value, Coding):
                yield CodedAnswer(question_code(item), code_of(value))
            elif isinstance(value, int | float):
                yield CodedAnswer(question_code(item), (float(value), item.unit.code if item.unit else "1"))
        yield from _answers(template, node.items)
