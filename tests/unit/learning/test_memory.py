"""The accumulator's memory: twice the model, whatever the number of sites; the mean is taken in place."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Iterator, Mapping

import numpy as np
import pytest

from racoon.learning.aggregation import PIECE, ExactMean
from racoon.learning.weights import BadWeights

SHAPES = {f"layer{number}": (512, 1024) for number in range(8)} | {"large": (2048, 2048)}
MODEL_BYTES = 4 * sum(rows * columns for rows, columns in SHAPES.values())
WORKING_BYTES = 6 * 8 * PIECE
"""A few pieces of 64-bit numbers; the same for a model of any size."""


class Arriving(Mapping[str, np.ndarray]):
    """A contribution that is read tensor by tensor, as from a file, into memory that is not counted here."""

    buffer = np.zeros(max(rows * columns for rows, columns in SHAPES.values()), np.float32)

    def __init__(self, value: float) -> None:
        self._value = value

    def __getitem__(self, name: str) -> np.ndarray:
        rows, columns = SHAPES[name]
        view = self.buffer[: rows * columns]
        view[:] = self._value
        return view.reshape(rows, columns)

    def __iter__(self) -> Iterator[str]:
        return iter(SHAPES)

    def __len__(self) -> int:
        return len(SHAPES)


@pytest.mark.parametrize("sites", [1, 3, 12, 36])
def test_memory_is_twice_the_model_for_any_number_of_sites(sites: int) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        mean = ExactMean(SHAPES)
        for number in range(sites):
            mean.add(f"S{number}", Arriving(float(number)), 2)
        taken = mean.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= 2 * MODEL_BYTES + WORKING_BYTES, (peak / MODEL_BYTES, sites)
    expected = np.float32((sites - 1) / 2)
    assert all(value.shape == SHAPES[name] and (value == expected).all() for name, value in taken.items())


def test_taking_the_mean_gives_the_same_bits_and_ends_the_round() -> None:
    generator = np.random.default_rng(3)
    shapes = {"a": (PIECE + 7,), "b": (3, 5), "c": ()}
    sites = [
        {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(3)
    ]
    first, second = ExactMean(shapes), ExactMean(shapes)
    for number, site in enumerate(sites):
        first.add(f"S{number}", site, number + 1)
        second.add(f"S{number}", site, number + 1)
    kept, taken = first.mean(), second.take()
    assert all(kept[name].tobytes() == taken[name].tobytes() for name in shapes)
    assert all(kept[name].shape == taken[name].shape == shapes[name] for name in shapes)
    for call in (second.take, second.mean, lambda: second.add("S9", sites[0], 1)):
        with pytest.raises(BadWeights, match="over"):
            call()
