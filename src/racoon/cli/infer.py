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
    """Run a model package on images, in a process without network.

    Each series is checked against the model's input contract and refused with the reason, never bent to fit. A NIfTI
    mask is written for each, and a DICOM SEG where the input is DICOM. What is read off whole images stands in
    `results.csv`, and in a DICOM SR where the input is DICOM. Exit code 1 when a series was refused.

    Parameters
    ----------
    package
        A `.racoon-model` file.
    source
        An image (NIfTI, NRRD, DICOM series), or a folder of them.
    target
        Folder for results and `results.json`; made if it is not there.
    key
        Public key that must have signed the package; may be given several times.
    runtime
        What runs the network: `auto` (ONNX Runtime where the package carries its graph, else torch), `onnx` or `torch`.
    json
        Print one JSON document.
    """
    from racoon.learning.files_inference import DONE, infer_files

    with progress(quiet=json) as bar:
        task = bar.add_task("running", total=None)
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
    return 0 if all(row["state"] in DONE for row in document["series"]) else 1


def _line(row: dict[str, Any]) -> dict[str, object]:
    return {
        "series": row["name"],
        "state": row["state"],
        "result": row.get("reason") or _said(row) or ", ".join(row["files"]),
        "hash": row.get("hash", "–")[:16],
    }


def _said(row: dict[str, Any]) -> str:
    if row["state"] != "read":
        return ""
    if "probabilities" in row:
        return f"{row.get('value', row['class'])} ({100 * max(row['probabilities']):.0f} %)"
    return f"{row['value']:.4g} {row['unit']}".strip()


def evaluate(
    predictions: Path, references: Path, /, *, tolerance: float = 1.0, json: JsonFlag = False
) -> None:
    """Score segmentations against references: Dice, NSD and HD95 with intervals, and what scoring blind gives.

    What `racoon infer` read off whole images is scored against a table: AUC, accuracy, calibration, or errors.

    Parameters
    ----------
    predictions
        Label map, a folder of label maps (NIfTI, NRRD), or the folder that `racoon infer` wrote.
    references
        Label map, a folder of label maps with the same names, or a table of labels (CSV, TSV) or its folder.
    tolerance
        Tolerance of the normalised surface Dice in mm.
    json
        Print one JSON document.
    """
    from racoon.learning.evaluation import evaluate_folders
    from racoon.learning.reading_evaluation import holds_readings

    if holds_readings(predictions):
        _evaluate_readings(predictions, references, json=json)
        return
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


def _evaluate_readings(predictions: Path, references: Path, *, json: bool) -> None:
    from racoon.learning.reading_evaluation import evaluate_readings

    document = evaluate_readings(predictions, references)
    if json:
        print_json(document)
        return
    blind = document["baseline"]
    rows = []
    for name, found in document["measures"].items():
        several = found if isinstance(found, list) else [found]
        for number, one in enumerate(several):
            of = blind["measures"][name]
            rows.append(
                {
                    "measure": f"{name} of {number + 1}" if isinstance(found, list) else name,
                    "value": _interval(one),
                    f"always the {blind['name']}": _interval(of[number] if isinstance(of, list) else of),
                }
            )
    print_table(f"{document['images_compared']} images {document['unit']}".strip(), rows)


def _interval(value: dict[str, Any]) -> str:
    if value["mean"] is None:
        return "–"
    if value["lower"] is None:
        return f"{value['mean']:.3f}"
    return f"{value['mean']:.3f} ({value['lower']:.3f} to {value['upper']:.3f})"
