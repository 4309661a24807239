"""Class probabilities of a whole image from a network that sees a window: overlap by half, trust the middle most.

Numpy only, for planes and volumes alike; the network is any :data:`racoon.learning.runtimes.Network`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import is_volumetric
from racoon.learning.cases import Case
from racoon.learning.runtimes.port import Network
from racoon.learning.sampling import slab
from racoon.learning.weights import BadWeights

SLICES_AT_ONCE = 8
"""Slices per forward pass; bounds memory."""

POSSIBLE = 0.05
"""Probability of a structure from which a voxel counts as a candidate."""

Array = npt.NDArray[np.float32]


def segment_case(networks: Sequence[Network], case: Case, plan: TrainingPlan) -> npt.NDArray[np.uint8]:
    """Return the class of the highest mean probability over some networks, ``(slice, row, column)``.

    Parameters
    ----------
    networks
        One, or an ensemble of equals.
    case
        Prepared for the plan.
    plan
        Says what a window is.
    """
    return np.asarray(case_shares(networks, case, plan).argmax(axis=0), dtype=np.uint8)


def uncertainty(shares: Array) -> float:
    """Return how unsure a network is of a volume: 0 sure, 1 as good as guessing.

    Parameters
    ----------
    shares
        Class probabilities ``(class, slice, row, column)``.

    Notes
    -----
    Entropy over its largest value, averaged over the voxels in which a structure has at least :data:`POSSIBLE`
    probability: the sure background around a small structure must not hide its doubtful border.  1 where there is no
    such voxel: a structure that was not found at all is what a person should look at first.
    """
    possible = 1.0 - shares[0] >= POSSIBLE
    if not possible.any():
        return 1.0
    chosen = shares[:, possible].astype(np.float64)
    entropy = -(chosen * np.log(np.maximum(chosen, 1e-12))).sum(axis=0) / math.log(len(shares))
    return float(entropy.mean())


def case_shares(networks: Sequence[Network], case: Case, plan: TrainingPlan) -> Array:
    """Return mean class probabilities of every voxel, ``(class, slice, row, column)``."""
    if is_volumetric(plan):
        image = case.image.astype(np.float32)
        slices = len(image)
        missing = max(0, plan.size[0] - slices)
        if missing:
            image = np.pad(image, [(0, missing), (0, 0), (0, 0)], constant_values=float(image.min()))
        return np.asarray(_mean_shares(networks, image[None, None], plan.size)[0, :, :slices])
    parts = []
    for start in range(0, len(case.image), SLICES_AT_ONCE):
        indices = range(start, min(start + SLICES_AT_ONCE, len(case.image)))
        images = np.stack([slab(case, index) for index in indices])
        parts.append(_mean_shares(networks, images, plan.size))
    return np.concatenate(parts).swapaxes(0, 1)


def _mean_shares(networks: Sequence[Network], images: Array, size: Sequence[int]) -> Array:
    total = class_shares(networks[0], images, size)
    for network in networks[1:]:
        total = total + class_shares(network, images, size)
    return total / np.float32(len(networks)) if len(networks) > 1 else total


def class_shares(network: Network, images: Array, size: Sequence[int]) -> Array:
    """Return class probabilities of images that may be larger than the network's input.

    Parameters
    ----------
    network
        Any runtime.
    images
        ``(sample, channel, …)``, at least as large as ``size`` along the axes of the window.
    size
        The window the network was trained on; larger images are covered by windows that overlap by half, weighted by a
        Gaussian that trusts the middle of a window most.
    """
    sides = images.shape[2:]
    if sides == tuple(size):
        return softmax(network(images))
    weight = _bell(size)
    total: Array | None = None
    weights = np.zeros(sides, np.float32)
    starts = [_window_starts(side, window) for side, window in zip(sides, size, strict=True)]
    for corner in itertools.product(*starts):
        box = tuple(slice(start, start + window) for start, window in zip(corner, size, strict=True))
        place = (slice(None), slice(None), *box)
        shares = softmax(network(np.ascontiguousarray(images[place])))
        if total is None:
            total = np.zeros((len(images), shares.shape[1], *sides), np.float32)
        total[place] += shares * weight
        weights[box] += weight
    if total is None:
        raise BadWeights("There is no image to segment.")
    return total / weights


def softmax(scores: Array) -> Array:
    """Turn class scores along the second axis into probabilities."""
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=1, keepdims=True))


def _window_starts(side: int, window: int) -> list[int]:
    count = max(1, math.ceil((side - window) / max(1, window // 2)) + 1) if side > window else 1
    return [round(index * (side - window) / max(count - 1, 1)) for index in range(count)]


def _bell(size: Sequence[int]) -> Array:
    weight = np.ones((), np.float32)
    for side in size:
        places = (np.arange(side) - (side - 1) / 2) / (side / 4)
        weight = np.multiply.outer(weight, np.exp(-0.5 * places**2).astype(np.float32))
    return np.asarray(weight, np.float32)
