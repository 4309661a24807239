"""Which slices a training step sees, and how they are varied: a pure function of plan, round and cases."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import CLASSIFICATION, TrainingPlan
from racoon.learning.architectures import is_volumetric
from racoon.learning.cases import BadCase, Case
from racoon.learning.tensor_tables import INPUT_SLICES

FOREGROUND_SHARE = 2 / 3
"""Share of samples drawn from slices that show a wanted class, so that rare structures are learned at all."""

SHIFT_SHARE = 1 / 16
"""Largest random shift as a share of the slice's side."""

NOISE_SD = 0.03
"""Standard deviation of the added noise in normalised intensity."""

Number = TypeVar("Number", bound=np.generic)

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
"""Images ``(sample, channel, …)`` and what they show: classes ``(sample, …)``, one class or one number a sample."""


Sample = tuple[npt.NDArray[np.float32], npt.NDArray[Any]]
"""Image ``(channel, …)`` and what it shows: classes ``(…)``, one class or one number."""


class Sampler(Protocol):
    """Draws a site's batches."""

    def batches(self, round_index: int) -> Iterator[Batch]:
        """Yield one round's batches; the same round of the same plan on the same cases repeats exactly."""

    def sample(self, generator: np.random.Generator) -> Sample:
        """Draw one sample."""


def make_sampler(plan: TrainingPlan, cases: Sequence[Case]) -> Sampler:
    """Return the sampler of a plan's network: slices for a planar one, boxes for a volumetric one.

    Raises
    ------
    BadCase
        Without any case.
    """
    if plan.target is not None:
        return ImageSampler(plan, cases)
    return BoxSampler(plan, cases) if is_volumetric(plan) else SliceSampler(plan, cases)


def single_case_samplers(
    plan: TrainingPlan, cases: Sequence[Case]
) -> list[Callable[[np.random.Generator], Sample]]:
    """Return one sampler per case, which looks at no other: what a private training needs."""
    return [make_sampler(plan, [case]).sample for case in cases]


class SliceSampler:
    """Draws batches from the slices of a site's cases.

    Parameters
    ----------
    plan
        Says labels, batch size and seed.
    cases
        At least one case.

    Raises
    ------
    BadCase
        Without any case.
    """

    def __init__(self, plan: TrainingPlan, cases: Sequence[Case]) -> None:
        if not cases:
            raise BadCase("There is no prepared case to train on.")
        self._plan = plan
        self._cases = cases
        self._all = [(number, index) for number, case in enumerate(cases) for index in range(len(case.image))]
        self._with_class: list[list[tuple[int, int]]] = []
        for label in range(1, len(plan.labels) + 1):
            shown = [(case.classes == label).any(axis=(1, 2)) for case in cases]
            slices = [(number, index) for number, index in self._all if shown[number][index]]
            if slices:
                self._with_class.append(slices)

    def batches(self, round_index: int) -> Iterator[Batch]:
        """Yield one round's batches; the same round of the same plan on the same cases repeats exactly."""
        generator = round_generator(self._plan, round_index)
        for _ in range(self._plan.local_steps):
            samples = [self.sample(generator) for _ in range(self._plan.batch_size)]
            yield (
                np.stack([image for image, _ in samples]),
                np.stack([classes for _, classes in samples]).astype(np.int64),
            )

    def sample(self, generator: np.random.Generator) -> Sample:
        """Draw one slice with its neighbours, shifted and varied."""
        pool = self._all
        if self._with_class and generator.random() < FOREGROUND_SHARE:
            pool = self._with_class[int(generator.integers(len(self._with_class)))]
        number, index = pool[int(generator.integers(len(pool)))]
        image, classes = self._crop(
            slab(self._cases[number], index), self._cases[number].classes[index], generator
        )
        shifts = [
            int(generator.integers(-limit, limit + 1))
            for limit in (int(s * SHIFT_SHARE) for s in classes.shape)
        ]
        image, classes = _shift(image, [0, *shifts], float(image.min())), _shift(classes, shifts, 0)
        return _vary(image, generator), classes

    def _crop(
        self,
        image: npt.NDArray[np.float32],
        classes: npt.NDArray[np.uint8],
        generator: np.random.Generator,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Cut a window of the plan's size out of a larger slice; it holds a wanted voxel where there is one."""
        if classes.shape == tuple(self._plan.size):
            return image, classes
        wanted = np.argwhere(classes)
        middle = wanted[int(generator.integers(len(wanted)))] if len(wanted) else None
        cut = []
        for axis, (side, window) in enumerate(zip(classes.shape, self._plan.size, strict=True)):
            low, high = 0, side - window
            if middle is not None:
                low, high = max(low, int(middle[axis]) - window + 1), min(high, int(middle[axis]))
            start = int(generator.integers(low, high + 1))
            cut.append(slice(start, start + window))
        return image[:, cut[0], cut[1]], classes[cut[0], cut[1]]


class BoxSampler:
    """Draws boxes of the plan's size out of a site's volumes.

    Parameters
    ----------
    plan, cases
        As :class:`SliceSampler`.
    """

    def __init__(self, plan: TrainingPlan, cases: Sequence[Case]) -> None:
        if not cases:
            raise BadCase("There is no prepared case to train on.")
        self._plan = plan
        self._cases = [_at_least(case, plan.size) for case in cases]
        self._with_class = [
            found
            for label in range(1, len(plan.labels) + 1)
            if (found := [n for n, (_, classes) in enumerate(self._cases) if (classes == label).any()])
        ]
        self._wanted: dict[int, npt.NDArray[np.int64]] = {}

    def batches(self, round_index: int) -> Iterator[Batch]:
        """Yield one round's batches; the same round of the same plan on the same cases repeats exactly."""
        generator = round_generator(self._plan, round_index)
        for _ in range(self._plan.local_steps):
            samples = [self.sample(generator) for _ in range(self._plan.batch_size)]
            yield (
                np.stack([image for image, _ in samples]),
                np.stack([classes for _, classes in samples]).astype(np.int64),
            )

    def sample(self, generator: np.random.Generator) -> Sample:
        """Draw one box, varied."""
        middle = None
        number = int(generator.integers(len(self._cases)))
        if self._with_class and generator.random() < FOREGROUND_SHARE:
            pool = self._with_class[int(generator.integers(len(self._with_class)))]
            number = pool[int(generator.integers(len(pool)))]
            wanted = self._places(number)
            middle = np.unravel_index(
                int(wanted[int(generator.integers(len(wanted)))]), self._cases[number][1].shape
            )
        image, classes = self._cases[number]
        cut = []
        for axis, (side, window) in enumerate(zip(classes.shape, self._plan.size, strict=True)):
            low, high = 0, side - window
            if middle is not None:
                low, high = max(low, int(middle[axis]) - window + 1), min(high, int(middle[axis]))
            start = int(generator.integers(low, high + 1))
            cut.append(slice(start, start + window))
        box = tuple(cut)
        return _vary(image[box].astype(np.float32), generator)[None], classes[box]

    def _places(self, number: int) -> npt.NDArray[np.int64]:
        """Where any wanted structure is, as flat positions; found once per case."""
        if number not in self._wanted:
            self._wanted[number] = np.flatnonzero(self._cases[number][1])
        return self._wanted[number]


class ImageSampler:
    """Draws whole images, each with its class or number.

    Parameters
    ----------
    plan, cases
        As :class:`SliceSampler`; every case has a target.
    """

    def __init__(self, plan: TrainingPlan, cases: Sequence[Case]) -> None:
        if not cases:
            raise BadCase("There is no prepared case to train on.")
        if any(case.target is None or case.image.size != math.prod(plan.size) for case in cases):
            raise BadCase("A case was prepared for another task.")
        self._plan = plan
        self._cases = cases
        self._kind = np.int64 if plan.task == CLASSIFICATION else np.float32

    def batches(self, round_index: int) -> Iterator[Batch]:
        """Yield one round's batches; the same round of the same plan on the same cases repeats exactly."""
        generator = round_generator(self._plan, round_index)
        for _ in range(self._plan.local_steps):
            samples = [self.sample(generator) for _ in range(self._plan.batch_size)]
            yield np.stack([image for image, _ in samples]), np.stack([target for _, target in samples])

    def sample(self, generator: np.random.Generator) -> Sample:
        """Draw one image, shifted and varied; every case has the same chance."""
        case = self._cases[int(generator.integers(len(self._cases)))]
        image = case.image.astype(np.float32).reshape(self._plan.size)
        limits = [int(side * SHIFT_SHARE) for side in image.shape]
        shifts = [int(generator.integers(-limit, limit + 1)) for limit in limits]
        moved = _shift(image, shifts, float(image.min()))
        return _vary(moved, generator)[None], np.asarray(case.target, self._kind)


def round_generator(plan: TrainingPlan, round_index: int) -> np.random.Generator:
    """Return the random numbers of one round of a plan."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([plan.seed, round_index])))


def _vary(image: npt.NDArray[np.float32], generator: np.random.Generator) -> npt.NDArray[np.float32]:
    image = image * generator.uniform(0.9, 1.1) + generator.uniform(-0.1, 0.1)
    image += generator.normal(0.0, NOISE_SD, image.shape)
    return image.astype(np.float32)


def _at_least(case: Case, size: Sequence[int]) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.uint8]]:
    """Pad a volume with fewer slices than the window at its end, as inference does."""
    missing = max(0, size[0] - len(case.image))
    if not missing:
        return case.image, case.classes
    widths = [(0, missing), (0, 0), (0, 0)]
    darkest = float(case.image.min())
    return np.pad(case.image, widths, constant_values=darkest), np.pad(case.classes, widths)


def slab(case: Case, index: int) -> npt.NDArray[np.float32]:
    """Return a slice with its neighbours, ``(INPUT_SLICES, row, column)``; edge slices repeat."""
    reach = INPUT_SLICES // 2
    neighbours = np.clip(np.arange(index - reach, index + reach + 1), 0, len(case.image) - 1)
    return case.image[neighbours].astype(np.float32)


def _shift(array: npt.NDArray[Number], shifts: Sequence[int], fill: float) -> npt.NDArray[Number]:
    moved = np.full_like(array, fill)
    target, source = [], []
    for shift, side in zip(shifts, array.shape, strict=True):
        target.append(slice(max(0, shift), side + min(0, shift)))
        source.append(slice(max(0, -shift), side + min(0, -shift)))
    moved[tuple(target)] = array[tuple(source)]
    return moved
