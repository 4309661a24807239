"""The accumulator's memory, whatever the number of sites: twice the model, or once the mean with sums in a file."""

from __future__ import annotations

import errno
import gc
import os
import tracemalloc
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from racoon.errors import Unavailable
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


@pytest.mark.parametrize("sites", [1, 36])
def test_with_sums_in_a_file_only_the_mean_itself_is_in_memory(sites: int, tmp_path: Path) -> None:
    gc.collect()
    tracemalloc.start()
    try:
        mean = ExactMean(SHAPES, tmp_path)
        for number in range(sites):
            mean.add(f"S{number}", Arriving(float(number)), 2)
        assert tracemalloc.get_traced_memory()[1] <= WORKING_BYTES
        taken = mean.take()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= MODEL_BYTES + WORKING_BYTES, (peak / MODEL_BYTES, sites)
    expected = np.float32((sites - 1) / 2)
    assert all(value.shape == SHAPES[name] and (value == expected).all() for name, value in taken.items())
    assert not list(tmp_path.iterdir()), "the sums have no name and are gone with the round"


def test_taking_the_mean_gives_the_same_bits_and_ends_the_round(tmp_path: Path) -> None:
    generator = np.random.default_rng(3)
    shapes = {"a": (PIECE + 7,), "b": (3, 5), "c": ()}
    sites = [
        {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
        for _ in range(3)
    ]
    first, second, third = ExactMean(shapes), ExactMean(shapes), ExactMean(shapes, tmp_path)
    for number, site in enumerate(sites):
        for mean in (first, second, third):
            mean.add(f"S{number}", site, number + 1)
    kept, also_kept = first.mean(), third.mean()
    for taken in (second.take(), third.take(), also_kept):
        assert all(kept[name].tobytes() == taken[name].tobytes() for name in shapes)
        assert all(kept[name].shape == taken[name].shape == shapes[name] for name in shapes)
    for over in (second, third):
        for call in (over.take, over.mean, partial(over.add, "S9", sites[0], 1)):
            with pytest.raises(BadWeights, match="over"):
                call()


def test_a_disk_without_room_is_told_before_anything_is_added(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    mean, one = ExactMean({"a": (3,)}, tmp_path), {"a": np.ones(3, np.float32)}
    with monkeypatch.context() as disk:
        disk.setattr(os, "posix_fallocate", full)
        with pytest.raises(Unavailable, match="no room"):
            mean.add("ALPHA", one, 1)
    mean.add("ALPHA", one, 1)
    assert (mean.take()["a"] == 1).all()


def test_a_contribution_written_by_half_ends_the_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written, write = [0], os.pwrite

    def failing(descriptor: int, data: bytes, offset: int) -> int:
        written[0] += 1
        if written[0] == 4:
            raise OSError(errno.EIO, "Input/output error")
        return write(descriptor, data[: len(data) // 2 or 1], offset)  # the system may write less than asked

    monkeypatch.setattr(os, "pwrite", failing)
    mean = ExactMean({"a": (3,), "b": (PIECE + 1,)}, tmp_path)
    one = {"a": np.ones(3, np.float32), "b": np.ones(PIECE + 1, np.float32)}
    with pytest.raises(Unavailable, match="cannot be kept"):
        mean.add("ALPHA", one, 1)
    monkeypatch.undo()
    for call in (mean.take, mean.mean, partial(mean.add, "BRAVO", one, 1)):
        with pytest.raises(Unavailable, match="torn"):
            call()
