"""What ``racoon infer`` read off whole images against a table of the truth: every measure with its interval."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from racoon.domain.plan import CLASSIFICATION, BadTarget, Target
from racoon.learning.files_inference import RESULTS
from racoon.learning.folders import BadFolder, Pair
from racoon.learning.label_tables import LabelTable
from racoon.learning.readings import METRICS, measures_of
from racoon.science.statistics.readings import DEFINITIONS


def holds_readings(path: Path) -> bool:
    """Tell whether a folder is what ``racoon infer`` left of a model for whole images."""
    try:
        return "target" in json.loads((path / RESULTS).read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def evaluate_readings(predictions: Path, references: Path) -> dict[str, Any]:
    """Compare readings with the truth.

    Parameters
    ----------
    predictions
        Folder that ``racoon infer`` wrote.
    references
        Table, or the folder it lies in; the model's target names its column.

    Returns
    -------
    dict
        ``task``, ``metric``, ``labels``, ``measures``, ``baseline`` (its ``name`` and ``measures``), ``images`` (truth
        and reading of each), ``missing`` (read, without truth), ``unusable`` (image → why), ``definitions``.

    Raises
    ------
    BadFolder
        If no reading has a truth.
    """
    document = json.loads((predictions / RESULTS).read_text(encoding="utf-8"))
    target, task = Target.from_dict(document["target"]), str(document["task"])
    table = LabelTable(references, target)
    readings: dict[str, tuple[float, tuple[float, ...]]] = {}
    missing, unusable = [], {}
    for row in document["series"]:
        if row["state"] != "read":
            continue
        name = row["name"]
        try:
            truth = table.find(Pair(name, name, predictions, None))
        except BadTarget as error:
            unusable[name] = str(error)
            continue
        if truth is None:
            missing.append(name)
        elif task == CLASSIFICATION:
            readings[name] = (truth, tuple(row["probabilities"]))
        else:
            readings[name] = (target.decode(truth), (float(row["value"]),))
    if not readings:
        raise BadFolder("No image that was read has a row in the table; give both the same names.")
    truths = [truth for truth, _ in readings.values()]
    if task == CLASSIFICATION:
        counts = np.bincount([int(value) for value in truths], minlength=len(document["labels"]))
        name, constant = "majority", tuple((counts / counts.sum()).tolist())
    else:
        name, constant = "mean", (float(np.mean(truths)),)
    blind = {key: (truth, constant) for key, (truth, _) in readings.items()}
    return {
        "task": task,
        "metric": METRICS[task],
        "unit": target.unit,
        "labels": document["labels"],
        "images_compared": len(readings),
        "measures": measures_of(task, readings),
        "baseline": {"name": name, "measures": measures_of(task, blind)},
        "images": {
            key: {"truth": truth, "read": list(read)} for key, (truth, read) in sorted(readings.items())
        },
        "missing": missing,
        "unusable": unusable,
        "definitions": dict(DEFINITIONS),
    }
