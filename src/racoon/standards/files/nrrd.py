"""NRRD, the format of 3D Slicer: header lines, then voxels raw, gzip- or bzip2-packed, or as text.

Volumes with three axes, and segmentations with a leading list axis (layers of ``.seg.nrrd``).
Format: teem.sourceforge.net/nrrd/format.html, versions 1 to 5.
"""

from __future__ import annotations

import bz2
import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.standards.files.opening import UnreadableImage

_TYPES = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}

_TO_LPS = {
    "left-posterior-superior": (1.0, 1.0, 1.0),
    "lps": (1.0, 1.0, 1.0),
    "right-anterior-superior": (-1.0, -1.0, 1.0),
    "ras": (-1.0, -1.0, 1.0),
    "left-anterior-superior": (1.0, -1.0, 1.0),
    "las": (1.0, -1.0, 1.0),
}


@dataclass(frozen=True, eq=False)
class Nrrd:
    """A volume, or layers of label maps.

    Parameters
    ----------
    layers
        Arrays (slice, row, column); one for a plain volume.
    affine
        4x4 to LPS in mm.
    values
        The key/value pairs of the header (``Segment0_Name``, …).
    """

    layers: tuple[NDArray[Any], ...]
    affine: NDArray[np.float64]
    values: dict[str, str]


def load_nrrd(path: Path) -> Nrrd:
    """Read a NRRD file, with its voxels inside or in a file beside it.

    Raises
    ------
    UnreadableImage
        If it is broken, or says nothing about its place in space.
    """
    try:
        return _read(path)
    except (OSError, KeyError, ValueError, IndexError, EOFError, zlib.error) as error:
        raise UnreadableImage(f"{path.name} cannot be read as NRRD ({type(error).__name__}).") from error


def _read(path: Path) -> Nrrd:
    content = path.read_bytes()
    if not content.startswith(b"NRRD000"):
        raise UnreadableImage(f"{path.name} is no NRRD file.")
    fields: dict[str, str] = {}
    values: dict[str, str] = {}
    at = content.index(b"\n") + 1
    while at < len(content):
        end = content.find(b"\n", at)
        end = len(content) if end < 0 else end
        line = content[at:end].decode("utf-8", "replace").rstrip("\r")
        at = end + 1
        if not line:
            break
        if line.startswith("#"):
            continue
        name, mark, text = line.partition(":=")
        if mark:
            values[name] = text
        else:
            name, _, text = line.partition(": ")
            fields[name.strip().lower()] = text.strip()
    body = content[at:]
    if file := fields.get("data file", fields.get("datafile")):
        # Beside the header only: a header must not point anywhere on the machine.
        body = (path.parent / Path(file).name).read_bytes()
    return _build(fields, values, body)


def _build(fields: dict[str, str], values: dict[str, str], body: bytes) -> Nrrd:
    sizes = [int(size) for size in fields["sizes"].split()]
    array = _decode(fields, body, int(np.prod(sizes))).reshape(sizes[::-1])
    directions = _vectors(fields.get("space directions", ""))
    if not directions:
        directions = [list(row) for row in np.diag([float(step) for step in fields["spacings"].split()])]
    # The file's fastest axis comes first, the array's last.
    spatial = [vector for vector in directions if vector is not None]
    if len(spatial) != 3 or len(directions) != len(sizes):
        raise UnreadableImage("The NRRD file is not one volume with three directions in space.")
    listed = next((index for index, vector in enumerate(directions) if vector is None), None)
    signs = np.array(_TO_LPS[fields.get("space", "lps").lower()])
    origin = _vectors(fields.get("space origin", ""))
    affine = np.eye(4)
    for column, vector in enumerate(spatial[::-1]):
        affine[:3, column] = np.asarray(vector) * signs
    if origin and origin[0] is not None:
        affine[:3, 3] = np.asarray(origin[0]) * signs
    if listed is None:
        return Nrrd((array,), affine, values)
    layers = np.moveaxis(array, array.ndim - 1 - listed, 0)
    return Nrrd(tuple(layers), affine, values)


def _decode(fields: dict[str, str], body: bytes, count: int) -> NDArray[Any]:
    encoding = fields["encoding"].lower()
    order = ">" if fields.get("endian", "little").lower() == "big" else "<"
    dtype = np.dtype(order + _TYPES[fields["type"].lower()])
    if encoding in {"text", "txt", "ascii"}:
        return np.array(body.split()[:count], dtype=np.float64).astype(dtype.newbyteorder("="))
    skip = int(fields.get("byte skip", "0"))
    if encoding in {"gzip", "gz"}:
        body = gzip.decompress(body)
    elif encoding in {"bzip2", "bz2"}:
        body = bz2.decompress(body)
    elif encoding != "raw":
        raise UnreadableImage(f"The NRRD encoding {encoding[:20]!r} is not supported.")
    body = body[-count * dtype.itemsize :] if skip < 0 else body[skip:]
    return np.frombuffer(body, dtype, count).astype(dtype.newbyteorder("="), copy=False)


def _vectors(text: str) -> list[list[float] | None]:
    """Read ``(1,0,0) none (0,1,0)``; ``none`` and NaN mark an axis that is not in space."""
    found: list[list[float] | None] = []
    for word in text.replace("(", " (").split():
        if word.lower() == "none":
            found.append(None)
        elif word.startswith("("):
            numbers = [float(number) for number in word.strip("()").split(",")]
            found.append(numbers if np.isfinite(numbers).all() else None)
    return found
