"""Network weights as plain arrays, and safetensors as their one exchange form: data, never code."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.errors import Defect
from racoon.learning.extra import require_extra

Weights = dict[str, npt.NDArray[np.float32]]
"""Tensor name → float32 array."""

MAXIMUM_MAGNITUDE = 1024.0
"""No weight of a normalised network comes near it; beyond lies a diverged or a malicious update."""


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
    for name, tensor in tensors.items():
        if tensor.dtype != np.float32:
            raise BadWeights("The weights hold a tensor that is not float32.", details={"tensor": name})
    return dict(tensors)


def save_weights(path: Path, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
    """Write weights durably: temporary file, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    with temporary.open("wb") as file:
        file.write(encode_weights(weights))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def load_weights(path: Path) -> Weights:
    """Read a safetensors file."""
    return decode_weights(path.read_bytes())


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
        if not np.isfinite(tensor).all() or np.abs(tensor).max(initial=0.0) > MAXIMUM_MAGNITUDE:
            raise BadWeights("A tensor holds values no network has.", details={"tensor": name})
