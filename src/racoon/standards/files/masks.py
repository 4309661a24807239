"""Masks from disk, one labelled structure at a time, on the grid of their image."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.domain.coding import Code
from racoon.errors import Refused
from racoon.science.geometry import Box, bounding_box
from racoon.science.image import Image
from racoon.standards.dicom.segmentation import SourceGrid, read_masks
from racoon.standards.files.contours import read_contours
from racoon.standards.files.images import LoadedImage
from racoon.standards.files.nifti import load_nifti
from racoon.standards.files.nrrd import load_nrrd
from racoon.standards.files.opening import OtherGrid, UnreadableImage, dicom_files, kind_of, stream_of

GRID_TOLERANCE_MM = 0.05
"""NIfTI files carry their affine in single precision; over half a metre this adds up to hundredths of a mm."""


class BadLabelNames(Refused):
    """A file of label names that has another form."""

    code = "files.bad_label_names"


@dataclass(frozen=True)
class LabelName:
    """What a label number stands for."""

    name: str
    code: Code | None = None


LabelNames = Mapping[int, LabelName]
"""Label number to what it stands for."""


@dataclass(frozen=True, eq=False)
class LabelledMask:
    """One structure, cropped to its box.

    Parameters
    ----------
    number
        Label, segment or region number.
    name
        As the file or the label names say; empty when neither does.
    code
        Coded concept, if one is known.
    box, crop
        Where the structure lies, and the boolean array there; a ``None`` box is an empty structure.
    source
        Provenance: file, format, UIDs, algorithm.
    """

    number: int
    name: str
    code: Code | None
    box: Box | None
    crop: NDArray[np.bool_]
    source: Mapping[str, Any] = field(default_factory=dict)


def read_label_names(path: Path) -> LabelNames:
    """Read label names from JSON.

    Parameters
    ----------
    path
        ``{"1": "liver"}``, ``{"liver": 1}``, ``{"1": {"name": …, "value": …, "scheme": …, "meaning": …}}``, or any
        of these below the key ``labels``.

    Raises
    ------
    BadLabelNames
        If it is none of these.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(document, dict) and isinstance(document.get("labels"), dict):
            document = document["labels"]
        names = dict(_label_name(key, value) for key, value in document.items())
    except (OSError, ValueError, TypeError, AttributeError, KeyError) as error:
        raise BadLabelNames(
            f'{path.name} is no table of labels; write {{"1": "liver", "2": "spleen"}}.'
        ) from error
    return {number: name for number, name in names.items() if number != 0}


def _label_name(key: str, value: Any) -> tuple[int, LabelName]:
    if isinstance(value, int):
        return value, LabelName(str(key))
    if isinstance(value, str):
        return int(key), LabelName(value)
    code = (
        Code(str(value["value"]), str(value["scheme"]), str(value.get("meaning", "")))
        if "value" in value
        else None
    )
    return int(key), LabelName(str(value.get("name") or (code.meaning if code else "")), code)


def load_masks(path: Path, image: LoadedImage | None, names: LabelNames) -> Iterator[LabelledMask]:
    """Yield every structure of a mask file.

    Parameters
    ----------
    path
        NIfTI or NRRD label map, DICOM SEG or RTSTRUCT.
    image
        The image it was drawn on; may be None only for formats that carry their own grid.
    names
        Names of label numbers; they win over those in the file.

    Raises
    ------
    OtherGrid
        If the mask lies on another grid than the image.
    UnreadableImage
        If it is no mask.
    """
    kind = kind_of(path)
    if kind == "nifti":
        voxels, affine = load_nifti(path)
        yield from _label_map([voxels], affine, image, names, {"file": path.name, "format": "NIfTI"})
    elif kind == "nrrd":
        found = load_nrrd(path)
        own = _segment_names(found.values)
        source = {"file": path.name, "format": "NRRD"}
        yield from _label_map(found.layers, found.affine, image, {**own, **names}, source)
    else:
        yield from _dicom_masks(path, image, names)


def load_mask_grid(path: Path) -> LoadedImage:
    """Read the grid of a label map, to compare masks without an image.

    Raises
    ------
    UnreadableImage
        If the format has no grid of its own.
    """
    kind = kind_of(path)
    if kind == "nifti":
        voxels, affine = load_nifti(path)
        return LoadedImage(Image(voxels, affine))
    if kind == "nrrd":
        found = load_nrrd(path)
        return LoadedImage(Image(found.layers[0], found.affine))
    raise UnreadableImage(f"{path.name} has no grid of its own; name its image with --image.")


def _label_map(
    layers: Any,
    affine: NDArray[np.float64],
    image: LoadedImage | None,
    names: LabelNames,
    source: dict[str, Any],
) -> Iterator[LabelledMask]:
    from scipy import ndimage  # noqa: PLC0415 - only masks need it

    for layer in layers:
        labels = _integers(layer)
        if image is not None:
            labels = on_grid(labels, affine, image.image)
        for number, place in enumerate(ndimage.find_objects(labels), start=1):
            if place is None:
                continue
            known = names.get(number, LabelName(""))
            box = Box(tuple(item.start for item in place), tuple(item.stop for item in place))
            yield LabelledMask(number, known.name, known.code, box, labels[place] == number, source)


def _integers(layer: NDArray[Any]) -> NDArray[Any]:
    if layer.dtype.kind in "iub":
        return layer.astype(np.int32) if layer.dtype.kind == "b" or layer.dtype.itemsize > 4 else layer
    rounded = np.rint(layer)
    if not np.isfinite(layer).all() or np.abs(layer - rounded).max() > 1e-3:
        raise UnreadableImage("The mask holds fractions; give a label map of whole numbers.")
    labels: NDArray[Any] = rounded.astype(np.int32)
    return labels


def on_grid(voxels: NDArray[Any], affine: NDArray[np.float64], image: Image) -> NDArray[Any]:
    """Reorder and flip the axes of a mask until it lies on the grid of an image; never resample.

    Raises
    ------
    OtherGrid
        If no reordering does it.
    """
    for order in itertools.permutations(range(3)):
        if tuple(voxels.shape[axis] for axis in order) != image.shape:
            continue
        for flips in itertools.product((1, -1), repeat=3):
            moved = affine[:, [*order, 3]].copy()
            for axis, sign in enumerate(flips):
                if sign < 0:
                    moved[:3, 3] += moved[:3, axis] * (image.shape[axis] - 1)
                    moved[:3, axis] *= -1
            if _agrees(moved, image):
                return voxels.transpose(order)[tuple(slice(None, None, sign) for sign in flips)]
    raise OtherGrid(
        "The mask does not lie on the grid of the image. Resample it to the image's grid, or name the image it "
        "was drawn on.",
        details={"mask": voxels.shape, "image": image.shape},
    )


def _agrees(affine: NDArray[np.float64], image: Image) -> bool:
    far = np.array(image.shape, dtype=np.float64) - 1.0
    corners = np.array([[s, r, c, 1.0] for s in (0, far[0]) for r in (0, far[1]) for c in (0, far[2])])
    return bool(np.abs(corners @ (affine - image.affine).T).max() <= GRID_TOLERANCE_MM)


def _segment_names(values: Mapping[str, str]) -> dict[int, LabelName]:
    """Names in a 3D Slicer segmentation: ``Segment0_LabelValue``, ``Segment0_Name``."""
    names = {}
    for key, text in values.items():
        if key.startswith("Segment") and key.endswith("_LabelValue") and text.strip().isdigit():
            prefix = key.removesuffix("_LabelValue")
            names[int(text)] = LabelName(values.get(f"{prefix}_Name", ""))
    return names


def _dicom_masks(path: Path, image: LoadedImage | None, names: LabelNames) -> Iterator[LabelledMask]:
    import pydicom  # noqa: PLC0415 - a third of a second that only DICOM needs

    found = False
    for name, content in dicom_files(path):
        try:
            dataset = pydicom.dcmread(stream_of(content))
        except pydicom.errors.InvalidDicomError:
            continue
        kind = str(dataset.get("Modality") or "")
        if kind not in {"SEG", "RTSTRUCT"}:
            continue
        found = True
        if image is None:
            raise UnreadableImage(f"{path.name} needs the image it was drawn on; name it with --image.")
        uid = str(dataset.SOPInstanceUID)
        source = {"file": Path(name).name, "format": kind, "sop_instance_uid": uid}
        if kind == "RTSTRUCT":
            for number, label, mask in read_contours(dataset, image.image.affine, image.image.shape):
                known = names.get(number, LabelName(label))
                yield _cropped(number, known.name, known.code, mask, source)
            continue
        if image.volume is None:
            raise UnreadableImage("A DICOM SEG needs its DICOM series; give the folder as the image.")
        for segment, mask in read_masks(dataset, SourceGrid.of_volume(image.volume)):
            known = names.get(segment.number, LabelName(segment.name or segment.label.meaning, segment.label))
            made_by = {"algorithm_type": segment.algorithm_type, "algorithm_name": segment.algorithm_name}
            yield _cropped(segment.number, known.name, known.code, mask, {**source, **made_by})
    if not found:
        raise UnreadableImage(f"{path.name} holds no mask: NIfTI, NRRD, DICOM SEG or RTSTRUCT is needed.")


def _cropped(
    number: int, name: str, code: Code | None, mask: NDArray[np.bool_], source: dict[str, Any]
) -> LabelledMask:
    box = bounding_box(mask)
    crop = mask[box.slices].copy() if box else np.zeros((0, 0, 0), bool)
    return LabelledMask(number, name, code, box, crop, source)
