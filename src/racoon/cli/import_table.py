"""``racoon import-table``: numbers of FreeSurfer or FastSurfer in the form of our own, with their origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from racoon.cli.output import JsonFlag, print_json, print_table


def import_table(tables: list[Path], /, *, json: JsonFlag = False) -> None:
    """Read tables of FreeSurfer or FastSurfer in the form `racoon measure` writes; the numbers stay theirs.

    Parameters
    ----------
    tables
        Files such as `aseg.stats`, `lh.aparc.stats`, `rh.aparc.stats`; any number of them.
    json
        Print one JSON document.
    """
    import math

    from racoon import __version__
    from racoon.science.biomarkers.structures import structure_name
    from racoon.standards.files.freesurfer import read_stats

    documents: list[dict[str, Any]] = []
    for path in tables:
        found = read_stats(path)
        for item in found.values:
            is_number = math.isfinite(item.value)
            documents.append(
                {
                    "id": item.biomarker,
                    "definition": f"{item.biomarker}@freesurfer",
                    "label": item.structure,
                    "structure": structure_name(item.structure, None) or None,
                    "value": item.value if is_number else None,
                    "unit": item.unit,
                    "valid": is_number,
                    "reason": None if is_number else "not_finite",
                    "reason_text": None if is_number else "The table holds no number here.",
                    "parameters": {},
                    "provenance": {
                        "table": path.name,
                        "sha256": found.sha256,
                        "program": found.program,
                        "facts": dict(found.facts),
                        "automation": "automatic",
                        "software": found.program or "FreeSurfer or FastSurfer",
                        "imported_by": f"racoon {__version__}",
                    },
                }
            )
    if json:
        print_json(documents)
    else:
        print_table(
            f"{len(documents)} values",
            [
                {
                    "measure": item["id"],
                    "structure": item["label"],
                    "value": "–" if item["value"] is None else f"{item['value']:.5g}",
                    "unit": item["unit"],
                }
                for item in documents
            ],
        )
