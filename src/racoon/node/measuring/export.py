"""Stored values for people and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any

from racoon.node.measuring.model import StoredValue, title_of
from racoon.science.biomarkers.reasons import QUALITY, REASONS


def describe(value: StoredValue) -> dict[str, Any]:
    """Return what a table shows of a value; plain JSON."""
    german, english = REASONS.get(value.reason, ("", ""))
    return {
        "study_id": value.study_id,
        "dataset_hash": value.dataset_hash,
        "pseudonym": value.pseudonym,
        "series_uid": value.series_uid,
        "measurement": value.measurement,
        "biomarker": value.biomarker,
        "version": value.version,
        "title": title_of(value),
        "title_de": title_of(value, "de"),
        "label": value.label.to_dict() if value.label else None,
        "value": value.value,
        "unit": value.unit,
        "valid": value.valid,
        "reason": value.reason,
        "reason_text": english,
        "reason_text_de": german,
        "parameters": dict(value.parameters),
        "masks": [mask.to_dict() for mask in value.masks],
        "automation": value.automation,
        "key_instance_uid": value.key_instance_uid,
        "key_frame": value.key_frame,
        "key_slice": value.key_slice,
        "software": value.software,
        "computed_at": value.computed_at.isoformat(),
        "warnings": list(value.warnings),
        "warning_texts": [QUALITY[code][1] for code in value.warnings if code in QUALITY],
        "warning_texts_de": [QUALITY[code][0] for code in value.warnings if code in QUALITY],
        "link": value.link,
    }


CSV_COLUMNS = (
    "study_id",
    "dataset_hash",
    "pseudonym",
    "series_uid",
    "biomarker",
    "version",
    "label_key",
    "label",
    "value",
    "unit",
    "valid",
    "reason",
    "automation",
    "key_instance_uid",
    "key_frame",
    "software",
    "computed_at",
    "warnings",
    "measurement",
    "parameters",
    "masks",
)


def write_csv(values: Sequence[StoredValue]) -> str:
    """Write values as CSV (RFC 4180) in full precision; no cell can start a spreadsheet formula."""
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(CSV_COLUMNS)
    for value in values:
        row = {
            **describe(value),
            "label_key": value.label.key if value.label else "",
            "label": value.label.meaning if value.label else "",
            "value": "" if value.value is None else repr(value.value),
            "warnings": " ".join(value.warnings),
            "parameters": json.dumps(dict(value.parameters), sort_keys=True),
            "masks": json.dumps([mask.to_dict() for mask in value.masks], sort_keys=True),
        }
        writer.writerow([_cell(name, row[name]) for name in CSV_COLUMNS])
    return stream.getvalue()


def _cell(name: str, content: object) -> str:
    text = "" if content is None else str(content)
    # Labels are words other people wrote into a SEG; "=…" there would run in a spreadsheet.
    return f"'{text}" if name != "value" and text[:1] in {"=", "+", "-", "@", "\t", "\r"} else text
