"""On the path of the benchmark's engine processes only: networks of a wanted size, and a trainer that does nothing."""

from __future__ import annotations

from functools import partial

from racoon.learning import architectures, subprocesses
from racoon.learning.tensor_tables import Tensor

TENSOR = 1 << 18
"""Weights of a tensor: 1 MiB."""

SMALL = 25_000
"""Weights of the smallest network: 0.1 MB."""


def _table(count: int, *_: object) -> dict[str, Tensor]:
    whole, rest = divmod(count, TENSOR)
    sizes = [TENSOR] * whole + ([rest] if rest else [])
    return {f"part.{number}": Tensor((size,), fan_in=1000) for number, size in enumerate(sizes)}


for megabytes, count in ((0.1, SMALL), (10, 2_500_000), (100, 25_000_000)):
    name = f"bench-{megabytes:g}"
    architectures.ARCHITECTURES[name] = architectures.Architecture(  # type: ignore[index]  # a dict behind its type
        name, "For the benchmark of rounds.", 1, partial(_table, count)
    )
subprocesses.start_training_process.__defaults__ = ("bench.round_trainer", ())
