"""The dose of an imaging study, kept from the reports of its series: the last cumulative values, never a sum."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.node.archive import _assessments
from racoon.standards.dicom.dose import DoseReport, DoseTotal, current_reports

_COLUMN_OF_TOTAL = {
    "dlp_total": "dlp_mgy_cm",
    "dose_area_product_total": "dose_area_product_gy_m2",
}


def update_study_dose(connection: sa.Connection, study_id: int) -> None:
    """Work the dose of an imaging study out: the last cumulative values, never a sum."""
    reports = [_report_of(row) for row in _assessments.load_dose_reports(connection, study_id)]
    if not reports:
        _assessments.save_study_dose(connection, study_id, None)
        return
    current = current_reports(reports)
    totals = [_total_row(total) for report in current for total in report.totals]
    columns: dict[str, float | None] = dict.fromkeys(_COLUMN_OF_TOTAL.values())
    if len(current) == 1:
        for total in current[0].totals:
            column = _COLUMN_OF_TOTAL.get(total.name)
            # A biplane machine has one value per plane: neither is the study's, and nothing is added here.
            if column is not None and sum(item.name == total.name for item in current[0].totals) == 1:
                columns[column] = total.value
    row = {
        "reports": len(reports),
        "superseded": len(reports) - len(current),
        "is_single": len(current) == 1,
        "totals": totals,
        **columns,
    }
    _assessments.save_study_dose(connection, study_id, row)


def row_of(report: DoseReport) -> dict[str, Any]:
    """Write a report as a row."""
    return {
        "sop_instance_uid": report.sop_instance_uid,
        "kind": report.kind,
        "started_at": report.started_at[:64],
        "ended_at": report.ended_at[:64],
        "events": sorted(report.events),
        "totals": [_total_row(total) for total in report.totals],
    }


def _total_row(total: DoseTotal) -> dict[str, Any]:
    return {"name": total.name, "value": total.value, "unit": total.unit, "part": total.part}


def _report_of(row: sa.Row[Any]) -> DoseReport:
    return DoseReport(
        sop_instance_uid=row.sop_instance_uid,
        imaging_study_uid=str(row.study_id),
        kind=row.kind,
        started_at=row.started_at,
        ended_at=row.ended_at,
        events=frozenset(row.events),
        totals=tuple(DoseTotal(**total) for total in row.totals),
    )
