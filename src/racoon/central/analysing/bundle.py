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

import yaml

from racoon.central.analysing import crate
from racoon.central.analysing.checklists import checklist
from racoon.central.analysing.flow import flow_figure
from racoon.central.analysing.methods import methods_text
from racoon.central.analysing.report import figures
from racoon.standards.parquet import write_parquet
from racoon.web.raster import svg_to_png

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
        "plan.yaml": plan_yaml(result["plan"]).encode(),
        "study.json": _json(result.get("study", {})),
    }
    for language in ("en", "de"):
        for kind in ("STROBE", "CLAIM"):
            text = checklist(kind, result, language)
            files[f"checklists/{kind.lower()}-{language}.md"] = text.encode()
        files |= _drawn(f"figures/00-flow-{language}", flow_figure(result, language))
    for number, table in enumerate(result["tables"], start=1):
        stem = f"{number:02d}-{_file_name(table)}"
        files[f"tables/{stem}.csv"] = _csv(table)
        files[f"tables/{stem}.parquet"] = write_parquet(_columns(table))
        if table["per_site"]:
            files[f"tables/{stem}-sites.parquet"] = write_parquet(_site_columns(table))
        title = f"{table['title']} ({table['subgroup']})" if table["subgroup"] else str(table["title"])
        for name, drawing in figures(result["plan"], table, title, "en"):
            files |= _drawn(f"figures/{stem}-{name}", drawing)
    return dict(sorted(files.items()))


def plan_yaml(plan: Mapping[str, Any]) -> str:
    """Write a plan as people read it: YAML without what has its default."""
    short = {
        key: [
            {name: own for name, own in item.items() if own not in (None, "", [], (), {})} for item in value
        ]
        if key in {"variables", "estimators"}
        else value
        for key, value in plan.items()
    }
    return str(yaml.safe_dump(short, sort_keys=False, allow_unicode=True, width=110))


def _drawn(stem: str, drawing: str) -> dict[str, bytes]:
    """Give a figure as vectors and as pixels."""
    alone = _standing_alone(drawing)
    return {f"{stem}.svg": alone.encode(), f"{stem}.png": svg_to_png(alone)}


def make_bundle(result: Mapping[str, Any], published: str) -> bytes:
    """Pack the bundle.

    Parameters
    ----------
    result
        The kept document.
    published
        Day of the result, as ISO 8601.

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
    packed[crate.NAME] = _json(crate.describe_crate(result, packed, published))
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


def _columns(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Turn rows into columns."""
    return {name: [row[place] for row in table["rows"]] for place, name in enumerate(table["columns"])}


def _site_columns(table: Mapping[str, Any]) -> dict[str, list[Any]]:
    keys = ("site", "name", "n", "value", "low", "high")
    return {key: [line[key] for line in table["per_site"]] for key in keys}


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
