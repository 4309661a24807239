"""Network weights as plain arrays, and safetensors as their one exchange form: data, never code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt

from racoon.errors import Defect
from racoon.learning.extra import require_extra

Weights = dict[str, npt.NDArray[np.float32]]
"""Tensor name → float32 array."""

MAXIMUM_MAGNITUDE = 1024.0
"""No weight of a normalised network comes near it; beyond lies a diverged or a malicious update."""

PIECE = 1 << 15
"""Elements worked on at once: half a megabyte of double precision stays in a processor's cache."""


class BadWeights(Defect):
    """Weights that do not fit the architecture or are not numbers a network can have."""

    code = "learning.bad_weights"


def encode_weights(weights: Mapping[str, npt.NDArray[np.float32]]) -> bytes:
    """Serialise weights as safetensors, tensors sorted by name so that equal weights give equal bytes."""
    require_extra("safetensors")
    from safetensors.numpy import save

    return save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)})


def decode_weights(content: bytes) -> Weights:
    """Read safetensors bytes.

    Raises
    ------
    BadWeights
        If the bytes are not safetensors or a tensor is not float32.
    """
    require_extra("safetensors")
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        tensors = load(content)
    except (SafetensorError, KeyError) as error:
        raise BadWeights("The weights are not a valid safetensors file.") from error
    return _all_float32(tensors)


def save_weights(
    path: Path, weights: Mapping[str, npt.NDArray[np.float32]], *, is_durable: bool = True
) -> None:
    """Write weights to a temporary file and rename it; the bytes are those of :func:`encode_weights`.

    Parameters
    ----------
    path
        Where they are found afterwards, whole or not at all.
    weights
        Tensors.
    is_durable
        Whether they must outlive a power cut; a file handed from one process to the next need not.
    """
    require_extra("safetensors")
    from safetensors.numpy import save_file

    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)}, temporary)
    if is_durable:
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
    temporary.replace(path)


def load_weights(path: Path) -> Weights:
    """Read a safetensors file, each tensor once and into memory of its own.

    Raises
    ------
    FileNotFoundError
        If there is none.
    BadWeights
        As :func:`decode_weights`.
    """
    require_extra("safetensors")
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, KeyError, TypeError) as error:
        raise BadWeights("The weights are not a valid safetensors file.") from error
    return _all_float32(tensors)


def _all_float32(tensors: Mapping[str, npt.NDArray[np.generic]]) -> Weights:
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise BadWeights("The weights hold a tensor that is not float32.", details={"tensor": name})
    return cast("Weights", dict(tensors))


def update_norm(
    before: Mapping[str, npt.NDArray[np.float32]], after: Mapping[str, npt.NDArray[np.float32]]
) -> float:
    """Compute the L2 norm of an update over all tensors, in double precision."""
    room = np.empty(PIECE, np.float64)
    total = 0.0
    for name in before:
        old, new = np.asarray(before[name]).reshape(-1), np.asarray(after[name]).reshape(-1)
        for start in range(0, old.size, PIECE):
            part = room[: min(PIECE, old.size - start)]
            np.subtract(new[start : start + PIECE], old[start : start + PIECE], out=part, dtype=np.float64)
            # Not np.dot: BLAS wakes all its threads for each of these small pieces, at many times the work itself.
            total += float(np.einsum("i,i->", part, part))
    return float(np.sqrt(total))


def limit_update(
    before: Mapping[str, npt.NDArray[np.float32]],
    after: Mapping[str, npt.NDArray[np.float32]],
    limit: float | None,
) -> Weights:
    """Shorten an update that is longer than a limit, keeping its direction.

    Parameters
    ----------
    before, after
        Weights before and after local training.
    limit
        Largest L2 norm; ``None`` returns ``after`` as it is.
    """
    if limit is None or (norm := update_norm(before, after)) <= limit:
        return dict(after)
    # A hair below the limit: rounding to float32 must not lift the shortened update above it again.
    share = np.float64(limit / norm * (1.0 - 1e-6))
    return {
        name: (before[name] + share * (np.asarray(after[name], np.float64) - before[name])).astype(np.float32)
        for name in before
    }


def check_update(
    before: Mapping[str, npt.NDArray[np.float32]],
    after: Mapping[str, npt.NDArray[np.float32]],
    limit: float | None,
) -> None:
    """Refuse an update that is longer than the plan allows.

    Raises
    ------
    BadWeights
        With the norm in the private details.
    """
    if limit is not None and not (norm := update_norm(before, after)) <= limit:
        raise BadWeights("The update is longer than the plan allows.", details={"norm": norm})


def check_weights(
    weights: Mapping[str, npt.NDArray[np.float32]], shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Refuse weights that are not exactly the tensors of an architecture, finite and of sane size.

    Parameters
    ----------
    weights
        What arrived from outside.
    shapes
        Tensor name → shape of the architecture.

    Raises
    ------
    BadWeights
        Naming the first tensor that is missing, superfluous, misshapen, not finite or beyond
        :data:`MAXIMUM_MAGNITUDE`.
    """
    for name in sorted(set(weights) ^ set(shapes)):
        raise BadWeights("The weights do not have the tensors of the architecture.", details={"tensor": name})
    for name, shape in shapes.items():
        tensor = np.asarray(weights[name])
        if tensor.shape != shape:
            raise BadWeights("A tensor has another shape than the architecture's.", details={"tensor": name})
        # Smallest and largest say it all, and need no second array: NaN and infinities fail the comparison too.
        low, high = tensor.min(initial=0.0), tensor.max(initial=0.0)
        if not (low >= -MAXIMUM_MAGNITUDE and high <= MAXIMUM_MAGNITUDE):
            raise BadWeights("A tensor holds values no network has.", details={"tensor": name})
