"""The child process that runs a model package: ``python -m racoon.learning.infer_process COMMAND …``.

It has no network (``isolation``), reads images, writes masks, and prints one JSON object per line.  ``golden`` only
checks the package; ``infer`` goes through a list of series and skips those whose result is already there.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon.errors import Defect, RacoonError, Refused
from racoon.learning.extra import require_extra
from racoon.learning.isolation import interfaces, seal_process
from racoon.learning.lifeline import watch_parent
from racoon.learning.train_process import describe

if TYPE_CHECKING:
    from racoon.learning.inference import Model


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 3 with an error line for an error of ours."""
    parser = argparse.ArgumentParser(prog="racoon.learning.infer_process", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("golden", "infer"):
        command = commands.add_parser(name)
        command.add_argument("--package", type=Path, required=True, help="model package")
        command.add_argument("--runtime", default="auto", help="auto, onnx or torch")
        if name == "infer":
            command.add_argument("--work", type=Path, required=True, help="JSON list of series to segment")
    options = parser.parse_args(arguments)
    watch_parent()
    try:
        require_extra("safetensors")
        from racoon.learning.inference import Model
        from racoon.learning.packages import open_package

        seal_process()
        model = Model(open_package(options.package), options.runtime)
        _say(
            {
                "event": "ready",
                "package": model.package.hash,
                "golden_difference": model.golden_difference,
                "runtime": model.runtime,
                "interfaces": interfaces(),
            }
        )
        if options.command == "infer":
            for item in json.loads(options.work.read_text(encoding="utf-8")):
                _say({"event": "series", "name": item["name"], **_one(model, item)})
        _say({"event": "done"})
    except RacoonError as error:
        _say({"event": "error", **describe(error)})
        return 3
    return 0


def _one(model: Model, item: dict[str, Any]) -> dict[str, Any]:
    try:
        if item.get("arrays"):
            return _arrays(model, Path(item["arrays"]), Path(item["mask"]), item["modality"])
        return _file(model, Path(item["image"]), Path(item["folder"]), item["name"])
    except (Refused, Defect) as error:
        return {"state": "refused", "code": error.error_code, "reason": error.public_message}


def _arrays(model: Model, source: Path, target: Path, modality: str) -> dict[str, Any]:
    """Run a model on a volume that the node has taken out of its archive."""
    import numpy as np

    from racoon.learning.inference import mask_hash

    with np.load(source, allow_pickle=False) as content:
        voxels, affine = content["voxels"], content["affine"]
    if model.package.plan.target:
        return _reading(model, model.read(voxels, affine, modality))
    classes, doubt = model.look(voxels, affine, modality)
    temporary = target.with_suffix(".part")
    with temporary.open("wb") as file:
        np.savez_compressed(file, classes=classes)
    temporary.replace(target)
    return {
        "state": "segmented",
        "hash": mask_hash(classes, affine),
        "runtime": model.runtime,
        "uncertainty": round(doubt, 6),
        "voxels": _counts(model, classes),
    }


def _file(model: Model, path: Path, folder: Path, name: str) -> dict[str, Any]:
    """Run a model on an image file or DICOM folder; a mask is NIfTI and, for DICOM, SEG as well; a reading is SR."""
    from racoon.learning.inference import mask_hash
    from racoon.learning.outputs import write_outputs, write_reading
    from racoon.standards.files import load_image

    loaded = load_image(path)
    unchecked = [] if loaded.modality else ["modality: the file does not say it"]
    if model.package.plan.target:
        read = model.read(loaded.image.voxels, loaded.image.affine, loaded.modality)
        files = write_reading(model.package, path, loaded, read, folder, name)
        return {**_reading(model, read), "files": files, "unchecked": unchecked}
    classes, doubt = model.look(loaded.image.voxels, loaded.image.affine, loaded.modality)
    files = write_outputs(model.package, path, loaded, classes, folder, name)
    spacing = loaded.image.spacing_mm
    return {
        "state": "segmented",
        "hash": mask_hash(classes, loaded.image.affine),
        "runtime": model.runtime,
        "uncertainty": round(doubt, 6),
        "files": files,
        "voxels": _counts(model, classes),
        "spacing_mm": list(spacing),
        "unchecked": unchecked,
    }


def _reading(model: Model, read: Sequence[float]) -> dict[str, Any]:
    """Return what the row of a series says about a reading; a number without a distribution has no doubt."""
    from racoon.learning.inference import reading_hash
    from racoon.learning.readings import entropy_share

    row: dict[str, Any] = {"state": "read", "hash": reading_hash(read), "runtime": model.runtime}
    target = model.package.plan.target
    if len(model.package.plan.labels) > 1:
        best = max(range(len(read)), key=lambda index: read[index])
        row |= {
            "probabilities": [round(share, 6) for share in read],
            "class": best + 1,
            "uncertainty": round(entropy_share(read), 6),
        }
        if target and target.words:
            row["value"] = target.words[best]
        return row
    low, high = (target.limits if target and target.limits else None) or (read[0], read[0])
    return {
        **row,
        "value": round(read[0], 6),
        "unit": target.unit if target else "",
        # The network never saw such a value: an image unlike those it was trained on.
        "outside_limits": not low <= read[0] <= high,
    }


def _counts(model: Model, classes: Any) -> list[int]:
    import numpy as np

    counts: list[int] = np.bincount(classes.ravel(), minlength=len(model.package.plan.labels) + 1)[
        1:
    ].tolist()
    return counts


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
