"""Networks by name, as tables of tensors: what CENTRAL needs to know of a network without torch.

Initial weights are drawn here with numpy, so that every site and CENTRAL start from the same bits for the
same plan.  ``networks`` builds the torch module with exactly these tensors; a test compares both.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.image_tables import densenet, resnet
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
    Builder,
    Table,
    basic_unet2d,
    dynunet3d,
    encoder,
    segresnet3d,
    unet,
)
from racoon.learning.weights import Weights


class UnknownArchitecture(Refused):
    """A plan names an architecture that is not installed here."""

    code = "learning.unknown_architecture"


class BadPlan(Refused):
    """A training plan that no site can run."""

    code = "learning.bad_plan"


@dataclass(frozen=True)
class Architecture:
    """A network a plan can name.

    Parameters
    ----------
    name, description
        Name in plans; one sentence for people.
    stride
        Each side of the window must be a multiple of it.
    tensors
        Function of the number of outputs and of the plan's strides.
    dimensions
        2 for planes with their neighbours as channels, 3 for volumes.
    takes_strides
        Whether a plan may say how often which side is halved.
    judges_images
        Whether it gives one class or number of a whole image rather than a class of each voxel.
    """

    name: str
    description: str
    stride: int
    tensors: Builder
    dimensions: int = 2
    takes_strides: bool = False
    judges_images: bool = False


ARCHITECTURES: Mapping[str, Architecture] = {
    item.name: item
    for item in (
        Architecture(
            "unet2d-small",
            "U-Net on axial slices; instance normalisation has no statistics that averaging would spoil.",
            2 ** (len(UNET2D_SMALL_CHANNELS) - 1),
            unet(UNET2D_SMALL_CHANNELS, INPUT_SLICES, 2),
        ),
        Architecture(
            "basic-unet2d",
            "MONAI BasicUNet on axial slices with instance normalisation.",
            16,
            basic_unet2d(BASIC_UNET2D_FEATURES),
        ),
        Architecture(
            "unet3d-small",
            "U-Net on volumes, instance normalisation; for structures that no single slice shows.",
            2 ** (len(UNET3D_SMALL_CHANNELS) - 1),
            unet(UNET3D_SMALL_CHANNELS, 1, 3),
            dimensions=3,
        ),
        Architecture(
            "segresnet3d",
            "MONAI SegResNet on volumes with group normalisation.",
            2 ** (len(SEGRESNET_DOWN) - 1),
            segresnet3d(SEGRESNET_FILTERS, SEGRESNET_DOWN, SEGRESNET_UP),
            dimensions=3,
        ),
        Architecture(
            "dynunet3d",
            "MONAI DynUNet on volumes; the plan says how often which side is halved, as nnU-Net plans it.",
            1,
            dynunet3d,
            dimensions=3,
            takes_strides=True,
        ),
        *(
            Architecture(
                f"encoder{dimensions}d-small",
                f"Convolutions and a mean over the {what}, instance normalisation; for whole images on small machines.",
                2 ** (len(ENCODER_CHANNELS) - 1),
                encoder(dimensions),
                dimensions,
                judges_images=True,
            )
            for dimensions, what in ((2, "plane"), (3, "volume"))
        ),
        *(
            Architecture(
                f"densenet{dimensions}d",
                f"MONAI DenseNet on {what} with group normalisation; for whole images.",
                16,
                densenet(dimensions),
                dimensions,
                judges_images=True,
            )
            for dimensions, what in ((2, "planes"), (3, "volumes"))
        ),
        *(
            Architecture(
                f"resnet{dimensions}d",
                f"MONAI ResNet on {what} with group normalisation; for whole images.",
                16,
                resnet(dimensions),
                dimensions,
                judges_images=True,
            )
            for dimensions, what in ((2, "planes"), (3, "volumes"))
        ),
    )
}
"""Everything a plan may name; nothing else can be instantiated at a site."""

_NORMALISATION = re.compile(r"\.norm\d?\.|\.adn\.N\.|^conv_final\.0\.|(^|\.)bn\d\.|\.downsample\.1\.")

MAXIMUM_STEPS = 100_000
"""Bound on ``rounds * local_steps``: a plan beyond it is a mistake or an attack on a site's machine."""


MAXIMUM_WINDOW = 2**22
"""Voxels of a window: 160 × 160 × 160, or a plane of 1024 × 1024 four times."""


DEEPEST_VOXELS = 4
"""Voxels a volume keeps at the deepest level; normalising a single one would erase it."""


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
    if architecture.judges_images != (plan.target is not None):
        raise BadPlan(
            f"The architecture {plan.architecture} is for another task than {plan.task}.",
            details={"field": "architecture"},
        )
    rules = {
        "labels": 1 <= len(plan.labels) <= 64,
        "rounds": plan.rounds >= 1,
        "local_steps": plan.local_steps >= 1 and plan.rounds * plan.local_steps <= MAXIMUM_STEPS,
        "batch_size": 1 <= plan.batch_size <= 256,
        "learning_rate": 0 < plan.learning_rate <= 1,
        "size": _fits(plan, architecture),
        "strides": _has_strides(plan, architecture),
        "spacing_mm": plan.spacing_mm is None
        or (architecture.dimensions == 3 and min(plan.spacing_mm) >= 0.1),
        "window_hu": plan.window_hu is None or plan.window_hu[0] < plan.window_hu[1],
        "min_sites": plan.min_sites >= 1,
        "min_cases": plan.min_cases >= 1,
    }
    for field, holds in rules.items():
        if not holds:
            raise BadPlan(f"The training plan's {field} is out of range.", details={"field": field})


def _fits(plan: TrainingPlan, architecture: Architecture) -> bool:
    if len(plan.size) != architecture.dimensions or math.prod(plan.size) > MAXIMUM_WINDOW:
        return False
    factors = [architecture.stride] * len(plan.size)
    if architecture.takes_strides:
        factors = [math.prod(step[axis] for step in plan.strides or DYNUNET_STRIDES) for axis in range(3)]
    left = [divmod(side, factor) for side, factor in zip(plan.size, factors, strict=True)]
    if any(rest for _, rest in left) or not all(0 < side <= 1024 for side in plan.size):
        return False
    return architecture.dimensions == 2 or math.prod(side for side, _ in left) >= DEEPEST_VOXELS


def _has_strides(plan: TrainingPlan, architecture: Architecture) -> bool:
    if not plan.strides:
        return True
    return (
        architecture.takes_strides
        and 2 <= len(plan.strides) < len(DYNUNET_FILTERS)
        and all(set(step) <= {1, 2} and max(step) == 2 for step in plan.strides)
    )


def is_volumetric(plan: TrainingPlan) -> bool:
    """Tell whether a plan's network sees volumes rather than planes."""
    return get_architecture(plan.architecture).dimensions == 3


def network_input(plan: TrainingPlan) -> tuple[int, ...]:
    """Return the shape of one sample: channels, then the window."""
    return (1 if is_volumetric(plan) or plan.target else INPUT_SLICES, *plan.size)


def network_output(plan: TrainingPlan) -> tuple[int, ...]:
    """Return the shape of one sample's scores: classes with the background, then the window; or those of an image."""
    return (output_count(plan),) if plan.target else (output_count(plan), *plan.size)


def output_count(plan: TrainingPlan) -> int:
    """Return how many scores a plan's network gives: one per class, with the background of a segmentation."""
    return len(plan.labels) + (plan.target is None)


def tensor_shapes(plan: TrainingPlan) -> dict[str, tuple[int, ...]]:
    """Return tensor name → shape of a plan's network."""
    return {name: tensor.shape for name, tensor in _table(plan).items()}


def _table(plan: TrainingPlan) -> Table:
    return get_architecture(plan.architecture).tensors(output_count(plan), plan.strides)


def normalisation_tensors(plan: TrainingPlan) -> frozenset[str]:
    """Return the names of the normalisation layers' scales and shifts: what FedBN keeps at each site."""
    return frozenset(name for name in tensor_shapes(plan) if _NORMALISATION.search(name))


def initial_weights(plan: TrainingPlan) -> Weights:
    """Draw a plan's initial weights.

    Each tensor has its own stream, seeded by SHA-256 of seed, architecture and tensor name: no draw depends
    on another tensor's size, and the same plan gives the same bits at CENTRAL and at every site.
    """
    weights: Weights = {}
    for name, tensor in _table(plan).items():
        if tensor.fan_in:
            digest = hashlib.sha256(f"{plan.seed}/{plan.architecture}/{name}".encode()).digest()
            generator = np.random.Generator(np.random.PCG64(int.from_bytes(digest[:16], "big")))
            drawn = generator.standard_normal(tensor.shape) * math.sqrt(2.0 / tensor.fan_in)
            weights[name] = drawn.astype(np.float32)
        else:
            weights[name] = np.full(tensor.shape, tensor.constant, dtype=np.float32)
    return weights
