"""Which slices a training step sees, and how they are varied: a pure function of plan, round and cases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import INPUT_SLICES
from racoon.learning.cases import BadCase, Case

FOREGROUND_SHARE = 2 / 3
"""Share of samples drawn from slices that show a wanted class, so that rare structures are learned at all."""

SHIFT_SHARE = 1 / 16
"""Largest random shift as a share of the slice's side."""

NOISE_SD = 0.03
"""Standard deviation of the added noise in normalised intensity."""

Number = TypeVar("Number", bound=np.generic)

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]
"""Images ``(sample, INPUT_SLICES, row, column)`` and classes ``(sample, row, column)``."""


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
        generator = np.random.Generator(
            np.random.PCG64(np.random.SeedSequence([self._plan.seed, round_index]))
        )
        for _ in range(self._plan.local_steps):
            samples = [self._sample(generator) for _ in range(self._plan.batch_size)]
            yield (
                np.stack([image for image, _ in samples]),
                np.stack([classes for _, classes in samples]).astype(np.int64),
            )

    def _sample(
        self, generator: np.random.Generator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
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
        image = image * generator.uniform(0.9, 1.1) + generator.uniform(-0.1, 0.1)
        image += generator.normal(0.0, NOISE_SD, image.shape)
        return image.astype(np.float32), classes

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
