"""Kill -9 while a network is trained: the study ends with the same scores.  Takes long; `make acceptance` runs it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live import start_demo, stop_demo, wait_for_summary
from tests.network.chaos import Chaos, draw_blows, numbers_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.learning,
    pytest.mark.skipif(
        "RACOON_ACCEPTANCE_SEED" not in os.environ,
        reason="four whole demos with training: run by make acceptance ISSUE=A",
    ),
]

LIMIT_S = 1800.0


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """The summary of a whole demo that nobody disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "demo"
    process = start_demo(folder, "--headless", "--seed", "11")
    yield wait_for_summary(folder, process, LIMIT_S)
    stop_demo(process)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killing_processes_while_training_changes_no_score(
    undisturbed: dict[str, Any], tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / "demo"
    blows = draw_blows(int(os.environ["RACOON_ACCEPTANCE_SEED"]) * 3 + seed, ("measuring", "training"))
    process = start_demo(folder, "--headless", "--seed", "11")
    chaos = Chaos(folder, folder.parent / f"{folder.name}.log", blows)
    chaos.start()
    try:
        summary = wait_for_summary(folder, process, LIMIT_S)
    finally:
        chaos.end()
        stop_demo(process)
    assert len(chaos.delivered) == len(blows), [str(blow) for blow in blows]
    assert numbers_of(summary) == numbers_of(undisturbed)
    assert json.dumps(summary["training"], sort_keys=True) == json.dumps(
        undisturbed["training"], sort_keys=True
    )
