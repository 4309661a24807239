"""Tables of the tensors of MONAI's networks for whole images, as ``tensor_tables`` has those for voxels."""

from __future__ import annotations

from racoon.learning.tensor_tables import Builder, Strides, Table, Tensor, convolution, linear, norm

DENSENET_FEATURES, DENSENET_GROWTH, DENSENET_BLOCKS, DENSENET_SIZE = 16, 8, (2, 4, 4), 2
"""A tenth of DenseNet121's layers and an eighth of its width: hundreds of images, not millions."""

RESNET_PLANES, RESNET_KERNEL = (16, 32, 64, 128), 3
"""ResNet-10 (one block a stage) at a quarter of the usual width."""

GROUPS = 8
"""Groups of the normalisation; no running statistics, which averaging over sites would spoil."""


def densenet(dimensions: int) -> Builder:
    """MONAI ``DenseNet``."""

    def tensors(outputs: int, _: Strides) -> Table:
        features = DENSENET_FEATURES
        table = convolution("features.conv0", 1, features, (7,) * dimensions, bias=False)
        table |= norm("features.norm0", features)
        inner = DENSENET_SIZE * DENSENET_GROWTH
        for number, layers in enumerate(DENSENET_BLOCKS, start=1):
            for layer in range(1, layers + 1):
                name = f"features.denseblock{number}.denselayer{layer}.layers"
                table |= norm(f"{name}.norm1", features)
                table |= convolution(f"{name}.conv1", features, inner, (1,) * dimensions, bias=False)
                table |= norm(f"{name}.norm2", inner)
                table |= convolution(f"{name}.conv2", inner, DENSENET_GROWTH, (3,) * dimensions, bias=False)
                features += DENSENET_GROWTH
            if number < len(DENSENET_BLOCKS):
                table |= norm(f"features.transition{number}.norm", features)
                table |= convolution(
                    f"features.transition{number}.conv",
                    features,
                    features // 2,
                    (1,) * dimensions,
                    bias=False,
                )
                features //= 2
        return table | norm("features.norm5", features) | linear("class_layers.out", features, outputs)

    return tensors


def resnet(dimensions: int) -> Builder:
    """MONAI ``ResNet`` with basic blocks."""
    kernel = (RESNET_KERNEL,) * dimensions

    def tensors(outputs: int, _: Strides) -> Table:
        before = RESNET_PLANES[0]
        table: dict[str, Tensor] = convolution("conv1", 1, before, kernel, bias=False) | norm("bn1", before)
        for number, planes in enumerate(RESNET_PLANES, start=1):
            name = f"layer{number}.0"
            table |= convolution(f"{name}.conv1", before, planes, kernel, bias=False)
            table |= norm(f"{name}.bn1", planes)
            table |= convolution(f"{name}.conv2", planes, planes, kernel, bias=False)
            table |= norm(f"{name}.bn2", planes)
            if planes != before:
                table |= convolution(f"{name}.downsample.0", before, planes, (1,) * dimensions, bias=False)
                table |= norm(f"{name}.downsample.1", planes)
            before = planes
        return table | linear("fc", before, outputs)

    return tensors
