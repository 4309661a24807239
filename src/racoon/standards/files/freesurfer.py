"""Tables that FreeSurfer and FastSurfer write: ``aseg.stats`` and ``?h.aparc.stats``, with where they came from."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racoon.standards.files.opening import UnreadableImage

_HEADER = re.compile(r"#\s*(\S+)\s+(.*)")

_KEPT = (
    "generating_program",
    "cvs_version",
    "subjectname",
    "hemi",
    "sysname",
    "AnnotationFile",
    "SUBJECTS_DIR",
)
"""Facts of a header that say what was run; names of users and machines are left out."""

_COLUMNS: Mapping[str, tuple[str, str, float]] = {
    "Volume_mm3": ("volume", "mL", 1e-3),
    "GrayVol": ("volume", "mL", 1e-3),
    "ThickAvg": ("cortical_thickness", "mm", 1.0),
    "ThickStd": ("cortical_thickness_sd", "mm", 1.0),
    "SurfArea": ("surface_area", "cm2", 1e-2),
}
"""Column to biomarker, UCUM unit and factor."""

_UNITS: Mapping[str, tuple[str, float]] = {"mm^3": ("mL", 1e-3), "mm^2": ("cm2", 1e-2), "mm": ("mm", 1.0)}


@dataclass(frozen=True)
class ForeignValue:
    """One number of such a table.

    Parameters
    ----------
    biomarker
        ``volume``, ``cortical_thickness``, ``cortical_thickness_sd`` or ``surface_area``.
    structure
        As the table calls it; a hemisphere's table puts ``lh-`` or ``rh-`` before it.
    value
        NaN where the table has none.
    unit
        UCUM.
    """

    biomarker: str
    structure: str
    value: float
    unit: str


@dataclass(frozen=True)
class ForeignTable:
    """A whole table.

    Parameters
    ----------
    values
        In the table's order, measures of the header first.
    program
        What wrote it, as its header says.
    facts
        Further facts of the header.
    sha256
        Of the file, so that the numbers can be traced to it.
    """

    values: tuple[ForeignValue, ...]
    program: str
    facts: Mapping[str, str] = field(default_factory=dict)
    sha256: str = ""


def read_stats(path: Path) -> ForeignTable:
    """Read ``aseg.stats``, ``lh.aparc.stats`` or ``rh.aparc.stats``.

    Raises
    ------
    UnreadableImage
        If it is no such table.
    """
    try:
        content = path.read_bytes()
        lines = content.decode("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableImage(f"{path.name} cannot be read ({type(error).__name__}).") from error
    header = [found for line in lines if line.startswith("#") and (found := _HEADER.match(line))]
    entries = [(found[1], found[2].strip()) for found in header]
    facts = {key: rest for key, rest in entries if key in _KEPT}
    columns = next((rest.split() for key, rest in entries if key == "ColHeaders"), [])
    values = [value for key, rest in entries if key == "Measure" for value in _measure(rest)]
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if not columns or "StructName" not in columns:
        raise UnreadableImage(f"{path.name} is no table of FreeSurfer or FastSurfer.")
    side = f"{facts['hemi']}-" if facts.get("hemi") in {"lh", "rh"} else ""
    for row in rows:
        if len(row) != len(columns):
            raise UnreadableImage(f"{path.name} has a row of {len(row)} cells for {len(columns)} columns.")
        cells = dict(zip(columns, row, strict=True))
        for column, (biomarker, unit, factor) in _COLUMNS.items():
            if column in cells:
                number = _number(cells[column]) * factor
                values.append(ForeignValue(biomarker, side + cells["StructName"], number, unit))
    program = " ".join(facts[name] for name in ("generating_program", "cvs_version") if name in facts)
    return ForeignTable(tuple(values), program, facts, hashlib.sha256(content).hexdigest())


def _measure(text: str) -> list[ForeignValue]:
    """``# Measure BrainSeg, BrainSegVol, Brain Segmentation Volume, 1193318.0, mm^3``."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 5 or parts[-1] not in _UNITS:
        return []
    unit, factor = _UNITS[parts[-1]]
    biomarker = {"mL": "volume", "cm2": "surface_area", "mm": "cortical_thickness"}[unit]
    return [ForeignValue(biomarker, parts[1], _number(parts[-2]) * factor, unit)]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
