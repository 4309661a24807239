"""``racoon infer`` and ``racoon evaluate``: run a model package on files, and score what came out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from racoon.cli.output import JsonFlag, print_facts, print_json, print_table, progress


def infer(
    package: Path,
    source: Annotated[Path, Parameter(name="INPUT")],
    target: Annotated[Path, Parameter(name="OUTPUT")],
    /,
    *,
    key: Annotated[list[str] | None, Parameter(name="--key")] = None,
    runtime: str = "auto",
    json: JsonFlag = False,
) -> int:
    """Segment images with a model package, in a process without network.

    Each series is checked against the model's input contract and refused with the reason, never bent to fit. A NIfTI
    mask is written for each, and a DICOM SEG where the input is DICOM. Exit code 1 when a series was refused.

    Parameters
    ----------
    package
        A `.racoon-model` file.
    source
        An image (NIfTI, NRRD, DICOM series), or a folder of them.
    target
        Folder for masks and `results.json`; made if it is not there.
    key
        Public key that must have signed the package; may be given several times.
    runtime
        What runs the network: `auto` (ONNX Runtime where the package carries its graph, else torch), `onnx` or `torch`.
    json
        Print one JSON document.
    """
    from racoon.learning.files_inference import infer_files

    with progress(quiet=json) as bar:
        task = bar.add_task("segmenting", total=None)
        document = infer_files(
            package,
            source,
            target,
            keys=key or [],
            runtime=runtime,
            report=lambda done, total: bar.update(task, completed=done, total=total),
        )
    if json:
        print_json(document)
    else:
        print_table(f"{document['model']['name']}: {target}", [_line(row) for row in document["series"]])
        print_facts("", {"use": document["use"], "without network by": document["isolation"]})
    return 0 if all(row["state"] == "segmented" for row in document["series"]) else 1


def _line(row: dict[str, Any]) -> dict[str, object]:
    return {
        "series": row["name"],
        "state": row["state"],
        "result": row.get("reason") or ", ".join(row["files"]),
        "hash": row.get("hash", "–")[:16],
    }


def evaluate(
    predictions: Path, references: Path, /, *, tolerance: float = 1.0, json: JsonFlag = False
) -> None:
    """Score segmentations against references: Dice, NSD and HD95 with intervals, and what scoring blind gives.

    Parameters
    ----------
    predictions
        Label map, or a folder of label maps (NIfTI, NRRD).
    references
        Label map, or a folder of label maps with the same names.
    tolerance
        Tolerance of the normalised surface Dice in mm.
    json
        Print one JSON document.
    """
    from racoon.learning.evaluation import evaluate_folders

    document = evaluate_folders(predictions, references, tolerance_mm=tolerance)
    if json:
        print_json(document)
        return
    rows = []
    for label, metrics in document["labels"].items():
        rows.append(
            {"label": label}
            | {name: _interval(metrics[name]) for name in ("dice", "nsd", "hd95_mm")}
            | {"prior's dice": _interval(document["baseline"]["dice"][label])}
        )
    print_table(f"{document['subjects_compared']} subjects", rows)


def _interval(value: dict[str, Any]) -> str:
    if value["mean"] is None:
        return "–"
    if value["lower"] is None:
        return f"{value['mean']:.3f}"
    return f"{value['mean']:.3f} ({value['lower']:.3f} to {value['upper']:.3f})"
