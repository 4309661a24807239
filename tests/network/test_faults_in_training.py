"""Kill -9 while a network is trained: the study ends with the same scores.  Takes long; `make acceptance` runs it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Undisturbed:
    """A whole demo that nobody disturbed: its folder and its summary."""

    folder: Path
    summary: dict[str, Any]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    folder = tmp_path_factory.mktemp("whole") / "demo"
    process = start_demo(folder, "--headless", "--seed", "11")
    summary = wait_for_summary(folder, process, LIMIT_S)
    yield Undisturbed(folder, summary)
    stop_demo(process)


def copy_pseudonym_keys(source: Path, target: Path) -> None:
    """Give the sites the same keys: cases are drawn in the order of their pseudonymous UIDs."""
    for key in source.glob("*/data/pseudonyms/master.key"):
        copy = target / key.relative_to(source)
        copy.parent.mkdir(parents=True, mode=0o700)
        shutil.copy2(key, copy)


@pytest.mark.timeout(2400)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_killing_processes_while_training_changes_no_score(
    undisturbed: Undisturbed, tmp_path: Path, seed: int
) -> None:
    folder = tmp_path / "demo"
    copy_pseudonym_keys(undisturbed.folder, folder)
    blows = draw_blows(
        int(os.environ["RACOON_ACCEPTANCE_SEED"]) * 3 + seed, ("measuring", "training", "training")
    )
    process = start_demo(folder, "--headless", "--seed", "11")
    chaos = Chaos(folder, folder.parent / f"{folder.name}.log", blows)
    chaos.start()
    try:
        summary = wait_for_summary(folder, process, LIMIT_S)
    finally:
        chaos.end()
        stop_demo(process)
    assert len(chaos.delivered) == len(blows), [str(blow) for blow in blows]
    assert numbers_of(summary) == numbers_of(undisturbed.summary)
    assert json.dumps(summary["training"], sort_keys=True) == json.dumps(
        undisturbed.summary["training"], sort_keys=True
    )
