"""The result bundle: everything about a result in one archive, the same bytes for the same analysis.  Pure."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from typing import Any

from racoon.central.analysing.methods import methods_text
from racoon.central.analysing.report import figures

RUN_FACTS = ("run_id", "study_id", "study_hash", "sites", "held_back", "rounds", "bytes")
"""What differs from one run of the same analysis to the next; it stands apart in ``provenance.json``."""

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time a ZIP archive knows: no clock shows in the bytes."""


def bundle_files(result: Mapping[str, Any]) -> dict[str, bytes]:
    """Write the files that depend on the analysis alone.

    Parameters
    ----------
    result
        The kept document.

    Returns
    -------
    dict
        By name, sorted.
    """
    core = {key: value for key, value in result.items() if key not in RUN_FACTS}
    files = {
        "plan.json": _json(result["plan"]),
        "result.json": _json(core),
        "methods-en.md": methods_text(result, "en").encode(),
        "methods-de.md": methods_text(result, "de").encode(),
    }
    for number, table in enumerate(result["tables"], start=1):
        stem = f"{number:02d}-{_file_name(table)}"
        files[f"tables/{stem}.csv"] = _csv(table)
        title = f"{table['title']} ({table['subgroup']})" if table["subgroup"] else str(table["title"])
        for name, drawing in figures(result["plan"], table, title, "en"):
            files[f"figures/{stem}-{name}.svg"] = _standing_alone(drawing).encode()
    return dict(sorted(files.items()))


def make_bundle(result: Mapping[str, Any]) -> bytes:
    """Pack the bundle.

    Parameters
    ----------
    result
        The kept document.

    Returns
    -------
    bytes
        ZIP archive; ``manifest.json`` holds the SHA-256 of each file and of all of them together, which a second run of
        the same analysis repeats.
    """
    files = bundle_files(result)
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in files.items()}
    manifest = {"bundle_hash": bundle_hash(files), "result_hash": result["result_hash"], "files": hashes}
    packed = {
        **files,
        "manifest.json": _json(manifest),
        "provenance.json": _json({key: result[key] for key in RUN_FACTS}),
    }
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in sorted(packed.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def bundle_hash(files: Mapping[str, bytes]) -> str:
    """Compute one hash over the names and contents of all files."""
    digest = hashlib.sha256()
    for name, content in sorted(files.items()):
        digest.update(f"{hashlib.sha256(content).hexdigest()}  {name}\n".encode())
    return digest.hexdigest()


def _json(document: Any) -> bytes:
    text = json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True, allow_nan=False)
    return f"{text}\n".encode()


def _csv(table: Mapping[str, Any]) -> bytes:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(table["columns"])
    writer.writerows(["" if cell is None else _safe(cell) for cell in row] for row in table["rows"])
    writer.writerows([["note", note] for note in table["notes"]])
    writer.writerows([[f"withheld ({site})", reason] for site, reason in table["withheld"]])
    for line in table["per_site"]:
        writer.writerow(
            [f"site {line['site']}", line["name"], line["n"], line["value"], line["low"], line["high"]]
        )
    return stream.getvalue().encode()


def _safe(cell: Any) -> Any:
    # Names are other people's words; "=…" would run in a spreadsheet.
    is_formula = isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{cell}" if is_formula else cell


def _file_name(table: Mapping[str, Any]) -> str:
    words = f"{table['title']} {table['subgroup']}".lower()
    return re.sub(r"[^a-z0-9]+", "-", words).strip("-")[:60] or "result"


def _standing_alone(drawing: str) -> str:
    """Give a figure made for a page what a file needs."""
    if "xmlns=" not in drawing.partition(">")[0]:
        drawing = drawing.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return drawing + "\n"
