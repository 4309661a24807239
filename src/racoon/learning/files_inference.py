"""Inference on files: a list of series for the process without network, and one account of what became of each."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from racoon.domain.plan import TrainingPlan
from racoon.learning.folders import Pair, find_images
from racoon.learning.packages.card import RESEARCH_USE
from racoon.learning.packages.container import open_package
from racoon.learning.packages.running import require_signer, run_package
from racoon.learning.runtimes import choose_runtime
from racoon.platform.files import write_atomically

RESULTS, TABLE = "results.json", "results.csv"

DONE = ("segmented", "read")
"""States of a series that has its result."""


def infer_files(
    package: Path,
    source: Path,
    target: Path,
    *,
    keys: Sequence[str] = (),
    runtime: str = "auto",
    report: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Run a model on a file or a folder of images; a run that was cut off goes on where it stopped.

    Parameters
    ----------
    package
        Model package.
    source, target
        Images, and the folder for results.
    keys
        Public keys of accepted signers; empty accepts any.
    runtime
        ``auto``, ``onnx`` or ``torch``; a result of another runtime is made anew.
    report
        Called with series done and in all.

    Returns
    -------
    dict
        ``model``, ``task``, ``series`` (name, state, hash, files or reason), ``isolation`` and ``use``; also written to
        ``results.json``, and of whole images to ``results.csv``.
    """
    opened = open_package(package)
    require_signer(opened, keys)
    chosen = choose_runtime(opened.graph, runtime)
    pairs = find_images(source)
    target.mkdir(parents=True, exist_ok=True)
    inputs = {pair.name: _content(pair.image) for pair in pairs}
    done = {
        row["name"]: row
        for row in _earlier(target / RESULTS, opened.hash)
        if _is_there(row, target)
        and row["input_sha256"] == inputs.get(row["name"])
        and row.get("runtime") == chosen
    }
    waiting = [pair for pair in pairs if pair.name not in done]
    document: dict[str, Any] = {
        "model": {
            "hash": opened.hash,
            "name": opened.card.name,
            "version": opened.card.version,
            "signer": opened.signer,
        },
        "labels": {str(number): label for number, label in enumerate(opened.card.labels, start=1)},
        "use": RESEARCH_USE,
        "task": opened.plan.task,
    }
    if opened.plan.target:
        document["target"] = opened.plan.target.to_dict()

    def save() -> None:
        document["series"] = [done[pair.name] for pair in pairs if pair.name in done]
        document["most_uncertain_first"] = most_uncertain_first(done)
        write_atomically(target / RESULTS, json.dumps(document, indent=1).encode(), mode=0o644)

    def on_series(row: dict[str, Any]) -> None:
        done[row["name"]] = {**row, "input_sha256": inputs[row["name"]]}
        save()
        report(len(done), len(pairs))

    report(len(done), len(pairs))
    with tempfile.TemporaryDirectory(prefix="racoon-infer-") as folder:
        work = [_work(pair, target) for pair in waiting]
        document |= run_package(package, work, Path(folder), on_series, runtime=chosen)
    save()
    if opened.plan.target:
        write_table(target / TABLE, opened.plan, document["series"])
    return document


def write_table(path: Path, plan: TrainingPlan, series: Sequence[Mapping[str, Any]]) -> None:
    """Write readings as CSV: one row per image that was read, the value under the name its target has."""
    target = plan.target
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    shares = [f"p({label.meaning or label.key})" for label in plan.labels] if len(plan.labels) > 1 else []
    writer.writerow(["image", target.name if target else "value", *shares, "unit", "use"])
    for row in series:
        if row["state"] == "read":
            value = row.get("value", row.get("class"))
            writer.writerow(
                [row["name"], value, *row.get("probabilities", ()), row.get("unit", ""), RESEARCH_USE]
            )
    write_atomically(path, stream.getvalue().encode(), mode=0o644)


def most_uncertain_first(rows: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Return the names of segmented series in the order in which a person learns most from correcting them."""
    known = {name: row["uncertainty"] for name, row in rows.items() if row.get("uncertainty") is not None}
    return sorted(known, key=lambda name: (-float(known[name]), name))


def _work(pair: Pair, target: Path) -> dict[str, Any]:
    return {"name": pair.name, "image": str(pair.image.resolve()), "folder": str(target.resolve())}


def _content(path: Path) -> str:
    """SHA-256 over the input's files: a result belongs to exactly this input."""
    digest = hashlib.sha256()
    files = [path] if path.is_file() else [item for item in sorted(path.rglob("*")) if item.is_file()]
    for item in files:
        with item.open("rb") as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _earlier(path: Path, package: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["model"]["hash"] == package:
            return [row for row in document["series"] if row["state"] in DONE]
    except (OSError, ValueError, KeyError, TypeError):
        return []
    return []


def _is_there(row: dict[str, Any], target: Path) -> bool:
    return all((target / name).exists() for name in row["files"])
