"""Tables of the tensors of each network: names, shapes and initial values, without torch.

Each function returns what the torch module of the same name in ``networks`` has; a test compares both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

INPUT_SLICES = 3
"""A planar network sees a slice with its neighbours as channels: depth context at the cost of a 2D network."""

Strides = Sequence[tuple[int, int, int]]
"""Halvings of a volume per level below the first, along (slice, row, column); 1 keeps a side."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a network.

    Parameters
    ----------
    shape
        As in torch: convolution ``(out, in, …)``, transposed convolution ``(in, out, …)``.
    fan_in
        Inputs per output for He initialisation (doi:10.1109/ICCV.2015.123); 0 fills with ``constant``.
    constant
        Initial value of biases (0) and norm scales (1).
    """

    shape: tuple[int, ...]
    fan_in: int = 0
    constant: float = 0.0


Table = Mapping[str, Tensor]
Builder = Callable[[int, Strides], Table]
"""Number of outputs, and the halvings where a plan may choose them → table."""

UNET2D_SMALL_CHANNELS = (12, 24, 48, 64)
"""Four levels: at 128 × 128 pixels the deepest sees the whole slice; 0.2 million weights (0.8 MB).

On the small real data set 8 to 64 channels scored 0.802, these 0.811, 16 to 96 0.813 at 1.5 times the cost.
"""

BASIC_UNET2D_FEATURES = (16, 16, 32, 64, 128, 16)

UNET3D_SMALL_CHANNELS = (8, 16, 32, 48)
"""0.26 million weights: what three sites on a small machine train side by side."""

SEGRESNET_FILTERS, SEGRESNET_DOWN, SEGRESNET_UP = 8, (1, 2, 2, 4), (1, 1, 1)

ENCODER_CHANNELS = (8, 16, 32, 64)
"""0.3 million weights in three dimensions."""

DYNUNET_FILTERS = (16, 32, 64, 128, 160, 160)
"""Half of nnU-Net's, whose defaults fill a large GPU; levels beyond the strides of a plan are not built."""

DYNUNET_STRIDES: Strides = ((2, 2, 2), (2, 2, 2))
"""What a plan gets that states no strides."""


def convolution(
    name: str, inputs: int, outputs: int, kernel: Sequence[int], *, bias: bool
) -> dict[str, Tensor]:
    """Convolution with or without a bias."""
    tensors = {
        f"{name}.weight": Tensor((outputs, inputs, *kernel), fan_in=inputs * math.prod(kernel)),
    }
    if bias:
        tensors[f"{name}.bias"] = Tensor((outputs,))
    return tensors


def norm(name: str, channels: int) -> dict[str, Tensor]:
    """Scale and shift of a normalisation layer."""
    return {f"{name}.weight": Tensor((channels,), constant=1.0), f"{name}.bias": Tensor((channels,))}


def unet(channels: tuple[int, ...], inputs: int, dimensions: int) -> Builder:
    """U-Net of our own, planar or volumetric."""
    kernel = (3,) * dimensions

    def block(name: str, before: int, outputs: int) -> dict[str, Tensor]:
        return {
            **convolution(f"{name}.conv1", before, outputs, kernel, bias=False),
            **norm(f"{name}.norm1", outputs),
            **convolution(f"{name}.conv2", outputs, outputs, kernel, bias=False),
            **norm(f"{name}.norm2", outputs),
        }

    def tensors(classes: int, _: Strides) -> Table:
        table: dict[str, Tensor] = {}
        for level, outputs in enumerate(channels):
            table |= block(f"encoder.{level}", channels[level - 1] if level else inputs, outputs)
        for level in range(len(channels) - 1):
            table |= block(f"decoder.{level}", channels[level] + channels[level + 1], channels[level])
        return table | convolution("head", channels[0], classes, (1,) * dimensions, bias=True)

    return tensors


def encoder(dimensions: int) -> Builder:
    """Encoder of the U-Net of our own, a mean over what it saw, and one linear layer."""
    kernel = (3,) * dimensions

    def tensors(outputs: int, _: Strides) -> Table:
        table: dict[str, Tensor] = {}
        for level, channels in enumerate(ENCODER_CHANNELS):
            before = ENCODER_CHANNELS[level - 1] if level else 1
            name = f"encoder.{level}"
            table |= convolution(f"{name}.conv1", before, channels, kernel, bias=False)
            table |= norm(f"{name}.norm1", channels)
            table |= convolution(f"{name}.conv2", channels, channels, kernel, bias=False)
            table |= norm(f"{name}.norm2", channels)
        return table | linear("head", ENCODER_CHANNELS[-1], outputs)

    return tensors


def linear(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
    """Linear layer; half of He's variance, as nothing rectifies behind it."""
    return {
        f"{name}.weight": Tensor((outputs, inputs), fan_in=2 * inputs),
        f"{name}.bias": Tensor((outputs,)),
    }


def basic_unet2d(features: tuple[int, ...]) -> Builder:
    """MONAI ``BasicUNet`` on planes."""

    def two(name: str, inputs: int, outputs: int) -> dict[str, Tensor]:
        return {
            **convolution(f"{name}.conv_0.conv", inputs, outputs, (3, 3), bias=True),
            **norm(f"{name}.conv_0.adn.N", outputs),
            **convolution(f"{name}.conv_1.conv", outputs, outputs, (3, 3), bias=True),
            **norm(f"{name}.conv_1.adn.N", outputs),
        }

    def tensors(classes: int, _: Strides) -> Table:
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
        return table | convolution("final_conv", features[5], classes, (1, 1), bias=True)

    return tensors


def segresnet3d(filters: int, down: tuple[int, ...], up: tuple[int, ...]) -> Builder:
    """MONAI ``SegResNet`` on volumes."""
    cube = (3, 3, 3)

    def block(name: str, channels: int) -> dict[str, Tensor]:
        return {
            **norm(f"{name}.norm1", channels),
            **norm(f"{name}.norm2", channels),
            **convolution(f"{name}.conv1.conv", channels, channels, cube, bias=False),
            **convolution(f"{name}.conv2.conv", channels, channels, cube, bias=False),
        }

    def tensors(classes: int, _: Strides) -> Table:
        table = convolution("convInit.conv", 1, filters, cube, bias=False)
        for level, blocks in enumerate(down):
            channels = filters * 2**level
            if level:
                table |= convolution(f"down_layers.{level}.0.conv", channels // 2, channels, cube, bias=False)
            for number in range(1, blocks + 1):
                table |= block(f"down_layers.{level}.{number}", channels)
        for index, blocks in enumerate(up):
            channels = filters * 2 ** (len(down) - 2 - index)
            for number in range(blocks):
                table |= block(f"up_layers.{index}.{number}", channels)
            table |= convolution(f"up_samples.{index}.0.conv", 2 * channels, channels, (1, 1, 1), bias=False)
        table |= norm("conv_final.0", filters)
        return table | convolution("conv_final.2.conv", filters, classes, (1, 1, 1), bias=True)

    return tensors


def dynunet_kernels(strides: Strides) -> list[tuple[int, int, int]]:
    """Return the kernel of each level: 1 along a side that has not been halved yet and is not at the next step.

    The rule of nnU-Net (doi:10.1038/s41592-020-01008-z): no convolution across slices while they are much thicker than
    the pixels of the plane.
    """
    kernels = []
    for level in range(len(strides) + 1):
        seen = strides[: level + 1]
        first, second, third = (3 if any(step[axis] > 1 for step in seen) else 1 for axis in range(3))
        kernels.append((first, second, third))
    return kernels


def dynunet3d(classes: int, strides: Strides) -> Table:
    """MONAI ``DynUNet`` on volumes, with the halvings of the plan."""
    strides = strides or DYNUNET_STRIDES
    filters, kernels = DYNUNET_FILTERS[: len(strides) + 1], dynunet_kernels(strides)

    def block(name: str, inputs: int, outputs: int, kernel: tuple[int, int, int]) -> dict[str, Tensor]:
        return {
            **convolution(f"{name}.conv1.conv", inputs, outputs, kernel, bias=False),
            **convolution(f"{name}.conv2.conv", outputs, outputs, kernel, bias=False),
            **norm(f"{name}.norm1", outputs),
            **norm(f"{name}.norm2", outputs),
        }

    table = block("input_block", 1, filters[0], kernels[0])
    for level in range(1, len(strides)):
        table |= block(f"downsamples.{level - 1}", filters[level - 1], filters[level], kernels[level])
    table |= block("bottleneck", filters[-2], filters[-1], kernels[-1])
    for index, level in enumerate(range(len(strides) - 1, -1, -1)):
        below, outputs = filters[level + 1], filters[level]
        table[f"upsamples.{index}.transp_conv.conv.weight"] = Tensor(
            (below, outputs, *strides[level]), fan_in=below
        )
        table |= block(f"upsamples.{index}.conv_block", 2 * outputs, outputs, kernels[level + 1])
    return table | convolution("output_block.conv.conv", filters[0], classes, (1, 1, 1), bias=True)
