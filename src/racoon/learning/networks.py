"""The torch modules behind the names of ``architectures``.

``unet2d-small`` is written in plain torch: importing MONAI costs each trainer about 107 MB and 2 s more
(measured), which three sites on a small machine feel.  MONAI's own networks stay one name away.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import get_architecture, output_count
from racoon.learning.image_tables import (
    DENSENET_BLOCKS,
    DENSENET_FEATURES,
    DENSENET_GROWTH,
    DENSENET_SIZE,
    GROUPS,
    RESNET_KERNEL,
    RESNET_PLANES,
)
from racoon.learning.tensor_tables import (
    BASIC_UNET2D_FEATURES,
    DYNUNET_FILTERS,
    DYNUNET_STRIDES,
    ENCODER_CHANNELS,
    INPUT_SLICES,
    SEGRESNET_DOWN,
    SEGRESNET_FILTERS,
    SEGRESNET_UP,
    UNET2D_SMALL_CHANNELS,
    UNET3D_SMALL_CHANNELS,
    Strides,
    dynunet_kernels,
)
from racoon.learning.weights import BadWeights, Weights


class Block(nn.Module):  # type: ignore[misc]  # torch's modules have no types here
    """Two convolutions of 3 along each axis, each followed by instance normalisation and a leaky rectifier.

    One group per channel is instance normalisation, in torch's faster kernel.  It has no running statistics,
    which averaging over sites would spoil; on the small real data set it scored 0.80 where normalisation of
    four groups scored 0.74 after the same 160 steps.
    """

    def __init__(self, inputs: int, outputs: int, dimensions: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.conv1 = convolution(inputs, outputs, 3, padding=1, bias=False)
        self.norm1 = nn.GroupNorm(outputs, outputs)
        self.conv2 = convolution(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.GroupNorm(outputs, outputs)

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(batch, inputs, …)`` to ``(batch, outputs, …)``."""
        image = nn.functional.leaky_relu(self.norm1(self.conv1(image)), 0.01)
        return nn.functional.leaky_relu(self.norm2(self.conv2(image)), 0.01)


class UNet(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """U-Net (doi:10.1007/978-3-319-24574-4_28) on a slice and its neighbours, or on a volume."""

    def __init__(self, channels: tuple[int, ...], classes: int, inputs: int, dimensions: int) -> None:
        super().__init__()
        before = (inputs, *channels[:-1])
        self.encoder = nn.ModuleList(Block(a, b, dimensions) for a, b in zip(before, channels, strict=True))
        self.decoder = nn.ModuleList(
            Block(channels[level] + channels[level + 1], channels[level], dimensions)
            for level in range(len(channels) - 1)
        )
        self.head = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(channels[0], classes, 1)
        self._halve = nn.functional.max_pool2d if dimensions == 2 else nn.functional.max_pool3d

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(batch, inputs, …)`` to class scores ``(batch, class, …)``."""
        skipped: list[Tensor] = []
        for level, block in enumerate(self.encoder):
            image = block(image if level == 0 else self._halve(image, 2))
            skipped.append(image)
        for level in reversed(range(len(self.decoder))):
            larger = nn.functional.interpolate(image, scale_factor=2.0, mode="nearest")
            image = self.decoder[level](torch.cat([skipped[level], larger], dim=1))
        scores: Tensor = self.head(image)
        return scores


class Encoder(nn.Module):  # type: ignore[misc]  # torch is not typed here
    """Convolutions and halvings, a mean over what is left, and a linear layer: one answer for a whole image."""

    def __init__(self, outputs: int, dimensions: int) -> None:
        super().__init__()
        before = (1, *ENCODER_CHANNELS[:-1])
        self.encoder = nn.ModuleList(
            Block(a, b, dimensions) for a, b in zip(before, ENCODER_CHANNELS, strict=True)
        )
        self.head = nn.Linear(ENCODER_CHANNELS[-1], outputs)
        self._halve = nn.functional.max_pool2d if dimensions == 2 else nn.functional.max_pool3d

    def forward(self, image: Tensor) -> Tensor:
        """Map ``(batch, 1, …)`` to scores ``(batch, output)``."""
        for level, block in enumerate(self.encoder):
            image = block(image if level == 0 else self._halve(image, 2))
        scores: Tensor = self.head(image.flatten(2).mean(dim=2))
        return scores


def build_network(plan: TrainingPlan) -> nn.Module:
    """Build a plan's network with torch's own, arbitrary initial weights; load real ones next."""
    dimensions = get_architecture(plan.architecture).dimensions
    classes = output_count(plan)
    builders: dict[str, Callable[[], nn.Module]] = {
        "unet2d-small": lambda: UNet(UNET2D_SMALL_CHANNELS, classes, INPUT_SLICES, 2),
        "unet3d-small": lambda: UNet(UNET3D_SMALL_CHANNELS, classes, 1, 3),
        "basic-unet2d": lambda: _basic_unet2d(classes),
        "segresnet3d": lambda: _segresnet3d(classes),
        f"encoder{dimensions}d-small": lambda: Encoder(classes, dimensions),
        f"densenet{dimensions}d": lambda: _densenet(classes, dimensions),
        f"resnet{dimensions}d": lambda: _resnet(classes, dimensions),
        "dynunet3d": lambda: _dynunet3d(classes, plan.strides or DYNUNET_STRIDES),
    }
    return builders[plan.architecture]()


def _basic_unet2d(classes: int) -> nn.Module:
    from monai.networks.nets.basic_unet import BasicUNet

    network: nn.Module = BasicUNet(
        spatial_dims=2,
        in_channels=INPUT_SLICES,
        out_channels=classes,
        features=BASIC_UNET2D_FEATURES,
        norm=("instance", {"affine": True}),
    )
    return network


def _segresnet3d(classes: int) -> nn.Module:
    from monai.networks.nets.segresnet import SegResNet

    network: nn.Module = SegResNet(
        spatial_dims=3,
        init_filters=SEGRESNET_FILTERS,
        in_channels=1,
        out_channels=classes,
        blocks_down=SEGRESNET_DOWN,
        blocks_up=SEGRESNET_UP,
        upsample_mode="nontrainable",
    )
    # The gradient of trilinear interpolation is not deterministic in torch; that of nearest neighbours is, and a plan
    # gives the same bits twice.
    for part in network.up_samples.modules():
        if isinstance(part, nn.Upsample):
            part.mode, part.align_corners = "nearest", None
    return network


def _dynunet3d(classes: int, strides: Strides) -> nn.Module:
    from monai.networks.nets.dynunet import DynUNet

    network: nn.Module = DynUNet(
        spatial_dims=3,
        in_channels=1,
        out_channels=classes,
        kernel_size=dynunet_kernels(strides),
        strides=[(1, 1, 1), *strides],
        upsample_kernel_size=list(strides),
        filters=DYNUNET_FILTERS[: len(strides) + 1],
        norm_name=("INSTANCE", {"affine": True}),
    )
    return network


def _densenet(outputs: int, dimensions: int) -> nn.Module:
    from monai.networks.nets.densenet import DenseNet

    network: nn.Module = DenseNet(
        spatial_dims=dimensions,
        in_channels=1,
        out_channels=outputs,
        init_features=DENSENET_FEATURES,
        growth_rate=DENSENET_GROWTH,
        block_config=DENSENET_BLOCKS,
        bn_size=DENSENET_SIZE,
        # Gradients per case need what came in; working in place would overwrite it.
        act=("relu", {"inplace": False}),
        norm=("group", {"num_groups": GROUPS}),
    )
    return network


def _resnet(outputs: int, dimensions: int) -> nn.Module:
    from monai.networks.nets.resnet import ResNet

    network: nn.Module = ResNet(
        "basic",
        [1] * len(RESNET_PLANES),
        list(RESNET_PLANES),
        spatial_dims=dimensions,
        n_input_channels=1,
        conv1_t_size=RESNET_KERNEL,
        num_classes=outputs,
        bias_downsample=False,
        act=("relu", {"inplace": False}),
        norm=("group", {"num_groups": GROUPS}),
    )
    # MONAI hands the wanted normalisation to the first layer only.
    for part in list(network.modules()):
        for name, inner in list(part.named_children()):
            if isinstance(inner, nn.BatchNorm2d | nn.BatchNorm3d):
                setattr(part, name, nn.GroupNorm(GROUPS, inner.num_features))
    return network


def load_into(network: nn.Module, weights: Weights) -> None:
    """Put weights into a network; every tensor must be there and fit.

    A network may hold one tensor under two names (DynUNet does); the first is the one the registry knows.
    """
    state = dict(network.named_parameters())
    if set(state) != set(weights) or any(True for _ in network.buffers()):
        raise BadWeights("The weights do not have the tensors of the network.")
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(torch.from_numpy(np.array(weights[name])))


def weights_of(network: nn.Module) -> Weights:
    """Copy a network's weights out as arrays."""
    return {name: value.detach().cpu().numpy().copy() for name, value in network.named_parameters()}
