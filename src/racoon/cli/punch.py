"""``racoon punch``: the virtual punch, one or many landmarks, with features and the slot of the tissue taken there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from racoon.cli._tables import BadTable, number, read_table
from racoon.cli.output import JsonFlag, print_json, print_table

if TYPE_CHECKING:
    from racoon.science.segmentation import Punch
    from racoon.standards.files import LoadedImage


def punch(
    image: Path,
    landmarks: Path,
    /,
    *,
    size: float = 10.0,
    shape: Literal["sphere", "cylinder", "cube"] = "sphere",
    length: float | None = None,
    config: Path | None = None,
    out: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Punch small pieces of given size in mm out of an image and describe them.

    Parameters
    ----------
    image
        Image: NIfTI, NRRD, or a folder, ZIP or TAR archive with one DICOM series.
    landmarks
        CSV with the columns id, x, y, z (LPS, mm) and, where tissue was taken, slot (the pathology's own number and
        place, such as S24-1234/A1), also axis_x, axis_y, axis_z for cylinders; or markups of 3D Slicer (.mrk.json).
    size
        Diameter of the sphere or cylinder, side of the cube, in mm.
    shape
        Form of the piece: `sphere`, `cylinder` or `cube`.
    length
        Length of the cylinder in mm; its diameter when omitted.
    config
        Settings of the features, as for `racoon radiomics`.
    out
        Folder for the patches, one NIfTI file of image and one of mask for each landmark.
    json
        Print one JSON document.
    """
    from racoon import __version__
    from racoon.cli.radiomics import read_settings
    from racoon.science.radiomics import Configuration
    from racoon.science.segmentation import punch as cut_out
    from racoon.standards.files import load_image

    settings = Configuration.from_dict(read_settings(config))
    loaded = load_image(image)
    points = read_landmarks(landmarks)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    documents = []
    for point in points:
        found = cut_out(
            loaded.image, point["point_mm"], size, shape=shape, length_mm=length, axis=point["axis"]
        )
        documents.append(_document(point, found, loaded, settings, out))
    result = {
        "shape": shape,
        "size_mm": size,
        "length_mm": length if shape == "cylinder" else None,
        "settings": settings.to_dict(),
        "punches": documents,
        "provenance": {
            "image": loaded.source,
            "landmarks": landmarks.name,
            "software": f"racoon {__version__}",
        },
    }
    if json:
        print_json(result)
    else:
        print_table(
            f"{image.name}: {len(documents)} punches",
            [
                {
                    "id": item["id"],
                    "slot": item["slot"] or "–",
                    "voxels": item["voxels"],
                    "mean": f"{item['mean']:.5g}" if item["mean"] is not None else f"– ({item['reason']})",
                    "cut off": "yes" if item["is_cut_off"] else "no",
                }
                for item in documents
            ],
        )


def _document(
    point: dict[str, Any], found: Punch | None, loaded: LoadedImage, settings: Any, out: Path | None
) -> dict[str, Any]:
    import math

    import numpy as np

    from racoon.science.radiomics import extract

    document: dict[str, Any] = {
        "id": point["id"],
        "slot": point["slot"] or None,
        "point_mm": list(point["point_mm"]),
        "voxels": 0,
        "volume_ml": None,
        "mean": None,
        "sd": None,
        "is_cut_off": False,
        "reason": "outside",
        "features": {},
        "files": None,
    }
    if found is None:
        return document
    values = found.patch[found.mask].astype(np.float64)
    region = np.zeros(loaded.image.shape, bool)
    region[found.box.slices] = found.mask
    features = extract(loaded.image, region, settings)
    document |= {
        "voxels": int(values.size),
        "volume_ml": values.size * loaded.image.voxel_volume_ml,
        "mean": float(values.mean()),
        "sd": float(values.std()),
        "is_cut_off": found.is_cut_off,
        "reason": None,
        "features": {tag: value if math.isfinite(value) else None for tag, value in features.items()},
    }
    if out is not None:
        document["files"] = _write(point["id"], found, loaded, out)
    return document


def _write(name: str, found: Punch, loaded: LoadedImage, out: Path) -> dict[str, str]:
    import re

    import numpy as np

    from racoon.science.geometry.box import shifted_affine
    from racoon.science.image import Image
    from racoon.standards.nifti import write_nifti

    stem = re.sub(r"[^A-Za-z0-9_.-]", "_", name) or "punch"
    affine = shifted_affine(np.asarray(loaded.image.affine, dtype=np.float64), found.box)
    files = {"patch": f"{stem}_patch.nii.gz", "mask": f"{stem}_mask.nii.gz"}
    write_nifti(Image(np.ascontiguousarray(found.patch), affine), out / files["patch"])
    write_nifti(Image(found.mask.astype(np.uint8), affine), out / files["mask"])
    return files


def read_landmarks(path: Path) -> list[dict[str, Any]]:
    """Read landmarks from a CSV file or from markups of 3D Slicer: id, point_mm (LPS), slot, axis."""
    return _slicer(path) if path.name.endswith(".json") else _table(path)


def _table(path: Path) -> list[dict[str, Any]]:
    import math

    names, rows = read_table(path)
    if missing := [name for name in ("id", "x", "y", "z") if name not in names]:
        raise BadTable(f"{path.name} lacks the column {missing[0]!r}; it needs id, x, y, z.")
    points = []
    for row in rows:
        place = tuple(number(row[name]) for name in ("x", "y", "z"))
        if not all(math.isfinite(value) for value in place):
            raise BadTable(f"{path.name}: the landmark {row['id'][:60]!r} has no numbers for its place.")
        axis = tuple(number(row.get(f"axis_{name}", "")) for name in ("x", "y", "z"))
        points.append(
            {
                "id": row["id"],
                "point_mm": place,
                "slot": row.get("slot", ""),
                "axis": axis if all(math.isfinite(value) for value in axis) else (0.0, 0.0, 1.0),
            }
        )
    if len({point["id"] for point in points}) != len(points):
        raise BadTable(f"{path.name} names a landmark twice; each id has to be its own.")
    return points


def _slicer(path: Path) -> list[dict[str, Any]]:
    import json

    try:
        points = []
        for markup in json.loads(path.read_text(encoding="utf-8"))["markups"]:
            turn = -1.0 if str(markup.get("coordinateSystem", "LPS")).upper() == "RAS" else 1.0
            for item in markup["controlPoints"]:
                x, y, z = (float(value) for value in item["position"])
                points.append(
                    {
                        "id": str(item.get("label") or item.get("id")),
                        "point_mm": (turn * x, turn * y, z),
                        "slot": str(item.get("description") or ""),
                        "axis": (0.0, 0.0, 1.0),
                    }
                )
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise BadTable(f"{path.name} holds no markups of 3D Slicer ({type(error).__name__}).") from error
    return points
