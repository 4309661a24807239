"""Radiation dose reports (PS3.16 TID 10001, 10011, 10040): the totals that the machine itself accumulated.

A report of a study is often sent again and again while the study goes on, each holding the ones before: their totals
are cumulative, and adding them counts radiation twice.  So nothing is ever added here: of reports that contain each
other the last one counts, and reports that do not are listed side by side.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.dataset import Dataset

ACCUMULATED: Mapping[str, str] = {
    "113811": "ct",
    "113702": "projection",
}
"""Containers of accumulated dose and what kind of report they make (CT: TID 10012; projection X-ray: TID 10002)."""

TOTALS: Mapping[str, tuple[str, str]] = {
    "113812": ("irradiation_events", "1"),
    "113813": ("dlp_total", "mGy.cm"),
    "113722": ("dose_area_product_total", "Gy.m2"),
    "113725": ("dose_reference_point_total", "Gy"),
    "113726": ("fluoro_dose_area_product_total", "Gy.m2"),
    "113727": ("acquisition_dose_area_product_total", "Gy.m2"),
    "113728": ("fluoro_dose_reference_point_total", "Gy"),
    "113729": ("acquisition_dose_reference_point_total", "Gy"),
    "113730": ("fluoro_time_total", "s"),
    "113855": ("acquisition_time_total", "s"),
    "111637": ("average_glandular_dose", "mGy"),
}
"""Concepts of DCM (PS3.16 annex D) inside those containers, with our name and the unit we give."""

_FACTORS: Mapping[tuple[str, str], float] = {
    ("mGycm", "mGy.cm"): 1.0,
    ("Gym2", "Gy.m2"): 1.0,
    ("dGycm2", "Gy.m2"): 1e-5,
    ("cGycm2", "Gy.m2"): 1e-6,
    ("mGycm2", "Gy.m2"): 1e-7,
    ("uGym2", "Gy.m2"): 1e-6,
    ("Gycm2", "Gy.m2"): 1e-4,
    ("Gy", "Gy"): 1.0,
    ("mGy", "Gy"): 1e-3,
    ("mGy", "mGy"): 1.0,
    ("dGy", "mGy"): 100.0,
    ("Gy", "mGy"): 1000.0,
    ("s", "s"): 1.0,
    ("ms", "s"): 1e-3,
    ("min", "s"): 60.0,
}
"""UCUM units without their dots, which some machines leave out (``mGycm``, ``Gym2``); a value in another unit is left
out rather than taken for something else."""

_EVENT_UID, _START, _END = "113769", "113809", "113810"
_PLANE, _LATERALITY = "113764", frozenset({"G-C171", "272741003"})

DEEPEST = 32
"""Levels of a report's content that are followed; real ones have six."""


@dataclass(frozen=True)
class DoseTotal:
    """One accumulated value.

    Parameters
    ----------
    name, value, unit
        Name of :data:`TOTALS`, number, UCUM unit.
    part
        Plane of a biplane machine or side of the breast, as the report names it; empty for the whole study.
    """

    name: str
    value: float
    unit: str
    part: str = ""


@dataclass(frozen=True)
class DoseReport:
    """One report.

    Parameters
    ----------
    kind
        ``ct`` or ``projection``.
    started_at, ended_at
        Begin and end of irradiation as the report says them (DICOM DT), or when it was written.
    events
        UIDs of the irradiation events it describes.
    totals
        What it accumulated.
    """

    sop_instance_uid: str
    imaging_study_uid: str
    kind: str
    started_at: str
    ended_at: str
    events: frozenset[str]
    totals: tuple[DoseTotal, ...]

    def contains(self, other: DoseReport) -> bool:
        """Tell whether this report holds everything that another one does."""
        if self.imaging_study_uid != other.imaging_study_uid or self.kind != other.kind:
            return False
        if self.events or other.events:
            return bool(other.events) and other.events <= self.events
        # Without event UIDs: the same beginning and a later end is the same account, carried on.
        return self.started_at == other.started_at and self.ended_at >= other.ended_at


def read_dose_report(dataset: Dataset) -> DoseReport | None:
    """Read the accumulated values of a dose report; None when the object holds none.

    Parameters
    ----------
    dataset
        X-Ray Radiation Dose SR, or an Enhanced or Comprehensive SR with the same templates.
    """
    if "ContentSequence" not in dataset:
        return None
    kind = ""
    totals: list[DoseTotal] = []
    events: set[str] = set()
    moments: dict[str, str] = {}
    for item in _items(dataset):
        code = _concept(item)
        if code in ACCUMULATED:
            kind = ACCUMULATED[code]
            totals += list(_totals(item))
        elif code == _EVENT_UID:
            events.add(str(item.get("UID", "")))
        elif code in (_START, _END):
            moments.setdefault(code, str(item.get("DateTime", "")))
    if not kind:
        return None
    written = f"{dataset.get('ContentDate', '') or ''}{dataset.get('ContentTime', '') or ''}"
    return DoseReport(
        sop_instance_uid=str(dataset.get("SOPInstanceUID", "")),
        imaging_study_uid=str(dataset.get("StudyInstanceUID", "")),
        kind=kind,
        started_at=moments.get(_START, written),
        ended_at=moments.get(_END, written),
        events=frozenset(events - {""}),
        totals=tuple(totals),
    )


def current_reports(reports: Iterable[DoseReport]) -> list[DoseReport]:
    """Leave out every report that a later one contains; what is left describes different radiation.

    Returns
    -------
    list
        In the order of their beginnings.  One report for a study: its totals are the study's.  Several: each has its
        own totals, and nobody may add them without knowing why there are several.
    """
    ordered = sorted(reports, key=lambda item: (item.started_at, item.ended_at, len(item.events)))
    kept: list[DoseReport] = []
    for position, report in enumerate(ordered):
        is_contained = any(other.contains(report) for other in ordered[position + 1 :]) or any(
            other.contains(report) and not report.contains(other) for other in ordered[:position]
        )
        if not is_contained:
            kept.append(report)
    return kept


def describe_doses(reports: Sequence[DoseReport]) -> list[dict[str, Any]]:
    """Say the dose of each imaging study: the last cumulative values, never a sum.

    Returns
    -------
    list of dict
        ``imaging_study_uid``, ``reports`` (read), ``superseded`` (contained in a later one), ``current`` (the rest,
        with their totals) and ``totals``: those of the study, or None where several reports stand side by side.
    """
    studies: dict[str, list[DoseReport]] = {}
    for report in reports:
        studies.setdefault(report.imaging_study_uid, []).append(report)
    described = []
    for uid, found in studies.items():
        current = current_reports(found)
        described.append(
            {
                "imaging_study_uid": uid,
                "reports": len(found),
                "superseded": len(found) - len(current),
                "totals": _describe_totals(current[0]) if len(current) == 1 else None,
                "current": [
                    {
                        "sop_instance_uid": item.sop_instance_uid,
                        "kind": item.kind,
                        "irradiation_events_described": len(item.events),
                        "totals": _describe_totals(item),
                    }
                    for item in current
                ],
            }
        )
    return described


def _describe_totals(report: DoseReport) -> list[dict[str, Any]]:
    return [
        {"name": total.name, "value": total.value, "unit": total.unit, "part": total.part}
        for total in report.totals
    ]


def _totals(container: Dataset) -> Iterator[DoseTotal]:
    children = list(container.get("ContentSequence", ()))
    part = next((_meaning(child) for child in children if _concept(child) == _PLANE), "")
    for child in children:
        known = TOTALS.get(_concept(child))
        measured = child.get("MeasuredValueSequence")
        if known is None or not measured:
            continue
        name, unit = known
        written = _unit(measured[0]).replace(".", "")
        # A count has no unit worth checking: machines write "{events}", "1" or "no units".
        factor = 1.0 if unit == "1" else _FACTORS.get((written, unit))
        value = _number(measured[0])
        if factor is None or value is None:
            continue
        side = next(
            (_meaning(inner) for inner in child.get("ContentSequence", ()) if _concept(inner) in _LATERALITY),
            "",
        )
        yield DoseTotal(name, value * factor, unit, side or part)


def _items(item: Dataset, depth: int = 0) -> Iterator[Dataset]:
    if depth > DEEPEST:
        return
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _items(child, depth + 1)


def _concept(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _meaning(item: Dataset) -> str:
    codes = item.get("ConceptCodeSequence")
    return str(codes[0].get("CodeMeaning", "")) if codes else ""


def _unit(measured: Dataset) -> str:
    codes = measured.get("MeasurementUnitsCodeSequence")
    return str(codes[0].get("CodeValue", "")) if codes else ""


def _number(measured: Dataset) -> float | None:
    try:
        value = measured.get("NumericValue")
        return None if value in (None, "") else float(value)
    except (TypeError, ValueError):
        return None
