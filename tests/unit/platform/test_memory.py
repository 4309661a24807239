"""Freed memory goes back to the machine."""

from __future__ import annotations

import sys

import psutil
import pytest

from racoon.platform.memory import give_back_freed_memory

BLOCK = 100_000
"""Below the size from which the C library maps each block on its own."""


@pytest.mark.skipif(sys.platform != "linux", reason="malloc_trim is glibc's")
def test_freed_memory_is_given_back() -> None:
    process = psutil.Process()
    blocks = [bytes(BLOCK) for _ in range(1000)]
    last = blocks[-1]
    del blocks
    before = process.memory_info().rss
    assert give_back_freed_memory()
    assert before - process.memory_info().rss > 50 * BLOCK * 10
    assert len(last) == BLOCK
