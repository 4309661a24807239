"""Networks by name, as tables of tensors: what CENTRAL needs to know of a network without torch.

Initial weights are drawn here with numpy, so that every site and CENTRAL start from the same bits for the
same plan.  ``networks`` builds the torch module with exactly these tensors; a test compares both.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.weights import Weights


class UnknownArchitecture(Refused):
    """A plan names an architecture that is not installed here."""

    code = "learning.unknown_architecture"


class BadPlan(Refused):
    """A training plan that no site can run."""

    code = "learning.bad_plan"


INPUT_SLICES = 3
"""A network sees a slice with its neighbours as channels: depth context at the cost of a 2D network."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a network.

    Parameters
    ----------
    shape
        As in torch: convolution ``(out, in, rows, columns)``.
    fan_in
        Inputs per output for He initialisation (doi:10.1109/ICCV.2015.123); 0 fills with ``constant``.
    constant
        Initial value of biases (0) and norm scales (1).
    """

    shape: tuple[int, ...]
    fan_in: int = 0
    constant: float = 0.0


@dataclass(frozen=True)
class Architecture:
    """A network a plan can name.

    Parameters
    ----------
    name, description
        Name in plans; one sentence for people.
    stride
        Image rows and columns must be multiples of it.
    tensors
        Function of the number of output classes (background included).
    """

    name: str
    description: str
    stride: int
    tensors: Callable[[int], Mapping[str, Tensor]]


def _convolution(name: str, inputs: int, outputs: int, kernel: int, *, bias: bool) -> dict[str, Tensor]:
    tensors = {f"{name}.weight": Tensor((outputs, inputs, kernel, kernel), fan_in=inputs * kernel * kernel)}
    if bias:
        tensors[f"{name}.bias"] = Tensor((outputs,))
    return tensors


def _norm(name: str, channels: int) -> dict[str, Tensor]:
    return {f"{name}.weight": Tensor((channels,), constant=1.0), f"{name}.bias": Tensor((channels,))}


def _unet2d(channels: tuple[int, ...]) -> Callable[[int], Mapping[str, Tensor]]:
    def block(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
        return {
            **_convolution(f"{name}.conv1", inputs, outputs, 3, bias=False),
            **_norm(f"{name}.norm1", outputs),
            **_convolution(f"{name}.conv2", outputs, outputs, 3, bias=False),
            **_norm(f"{name}.norm2", outputs),
        }

    def tensors(classes: int) -> Mapping[str, Tensor]:
        table: dict[str, Tensor] = {}
        for level, outputs in enumerate(channels):
            table |= block(f"encoder.{level}", channels[level - 1] if level else INPUT_SLICES, outputs)
        for level in range(len(channels) - 1):
            table |= block(f"decoder.{level}", channels[level] + channels[level + 1], channels[level])
        return table | _convolution("head", channels[0], classes, 1, bias=True)

    return tensors


def _basic_unet2d(features: tuple[int, ...]) -> Callable[[int], Mapping[str, Tensor]]:
    def two(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
        return {
            **_convolution(f"{name}.conv_0.conv", inputs, outputs, 3, bias=True),
            **_norm(f"{name}.conv_0.adn.N", outputs),
            **_convolution(f"{name}.conv_1.conv", outputs, outputs, 3, bias=True),
            **_norm(f"{name}.conv_1.adn.N", outputs),
        }

    def tensors(classes: int) -> Mapping[str, Tensor]:
        table = two("conv_0", INPUT_SLICES, features[0])
        for level in range(1, 5):
            table |= two(f"down_{level}.convs", features[level - 1], features[level])
        outputs = (features[5], *features[1:4])
        for level in (4, 3, 2, 1):
            below = features[4] if level == 4 else outputs[level]
            halved = below // 2 if level > 1 else below
            table[f"upcat_{level}.upsample.deconv.weight"] = Tensor((below, halved, 2, 2), fan_in=below)
            table[f"upcat_{level}.upsample.deconv.bias"] = Tensor((halved,))
            table |= two(f"upcat_{level}.convs", features[level - 1] + halved, outputs[level - 1])
        return table | _convolution("final_conv", features[5], classes, 1, bias=True)

    return tensors


UNET2D_SMALL_CHANNELS = (12, 24, 48, 64)
"""Four levels: at 128 × 128 pixels the deepest sees the whole slice; 0.2 million weights (0.8 MB).

On the small real data set 8 to 64 channels scored 0.802, these 0.811, 16 to 96 0.813 at 1.5 times the cost.
"""

BASIC_UNET2D_FEATURES = (16, 16, 32, 64, 128, 16)

ARCHITECTURES: Mapping[str, Architecture] = {
    item.name: item
    for item in (
        Architecture(
            "unet2d-small",
            "U-Net on axial slices; instance normalisation has no statistics that averaging would spoil.",
            2 ** (len(UNET2D_SMALL_CHANNELS) - 1),
            _unet2d(UNET2D_SMALL_CHANNELS),
        ),
        Architecture(
            "basic-unet2d",
            "MONAI BasicUNet on axial slices with instance normalisation.",
            16,
            _basic_unet2d(BASIC_UNET2D_FEATURES),
        ),
    )
}
"""Everything a plan may name; nothing else can be instantiated at a site."""

MAXIMUM_STEPS = 100_000
"""Bound on ``rounds * local_steps``: a plan beyond it is a mistake or an attack on a site's machine."""


def get_architecture(name: str) -> Architecture:
    """Return an architecture by the name a plan gives.

    Raises
    ------
    UnknownArchitecture
        If it is not in :data:`ARCHITECTURES`.
    """
    try:
        return ARCHITECTURES[name]
    except KeyError:
        known = ", ".join(sorted(ARCHITECTURES))
        raise UnknownArchitecture(
            f"The plan's architecture is not installed; installed are {known}."
        ) from None


def check_plan(plan: TrainingPlan) -> None:
    """Refuse a plan whose numbers no site should run.

    Raises
    ------
    BadPlan, UnknownArchitecture
        With the field that is wrong.
    """
    architecture = get_architecture(plan.architecture)
    rows, columns = plan.size
    rules = {
        "labels": 1 <= len(plan.labels) <= 64,
        "rounds": plan.rounds >= 1,
        "local_steps": plan.local_steps >= 1 and plan.rounds * plan.local_steps <= MAXIMUM_STEPS,
        "batch_size": 1 <= plan.batch_size <= 256,
        "learning_rate": 0 < plan.learning_rate <= 1,
        "size": all(0 < side <= 1024 and side % architecture.stride == 0 for side in (rows, columns)),
        "window_hu": plan.window_hu is None or plan.window_hu[0] < plan.window_hu[1],
        "min_sites": plan.min_sites >= 1,
        "min_cases": plan.min_cases >= 1,
    }
    for field, holds in rules.items():
        if not holds:
            raise BadPlan(f"The training plan's {field} is out of range.", details={"field": field})


def tensor_shapes(plan: TrainingPlan) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape of a plan's network."""
    tensors = get_architecture(plan.architecture).tensors(len(plan.labels) + 1)
    return {name: tensor.shape for name, tensor in tensors.items()}


def normalisation_tensors(plan: TrainingPlan) -> frozenset[str]:
    """Return the names of the normalisation layers' scales and shifts: what FedBN keeps at each site."""
    return frozenset(name for name in tensor_shapes(plan) if ".norm" in name or ".adn.N." in name)


def initial_weights(plan: TrainingPlan) -> Weights:
    """Draw a plan's initial weights.

    Each tensor has its own stream, seeded by SHA-256 of seed, architecture and tensor name: no draw depends
    on another tensor's size, and the same plan gives the same bits at CENTRAL and at every site.
    """
    weights: Weights = {}
    for name, tensor in get_architecture(plan.architecture).tensors(len(plan.labels) + 1).items():
        if tensor.fan_in:
            digest = hashlib.sha256(f"{plan.seed}/{plan.architecture}/{name}".encode()).digest()
            generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
            drawn = generator.standard_normal(tensor.shape) * math.sqrt(2.0 / tensor.fan_in)
            weights[name] = drawn.astype(np.float32)
        else:
            weights[name] = np.full(tensor.shape, tensor.constant, dtype=np.float32)
    return weights
