"""Kill -9 at random moments of an intake: what was acknowledged is there once, byte for byte as it was sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.network.kill_moments import run

MOMENTS = int(os.environ.get("RACOON_KILL_MOMENTS", "50" if os.environ.get("RACOON_ACCEPTANCE") else "4"))
INSTANCES = int(
    os.environ.get("RACOON_KILL_INSTANCES", "2000" if os.environ.get("RACOON_ACCEPTANCE") else "40")
)
SEED = int(os.environ.get("RACOON_ACCEPTANCE_SEED", "0"))


# pynetdicom leaves the socket of a call that was refused to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.timeout(7200)
def test_everything_acknowledged_is_there_once_and_unchanged(tmp_path: Path) -> None:
    print(f"seed {SEED}, {MOMENTS} kills, {INSTANCES} instances")
    figures = run(tmp_path / "data", moments=MOMENTS, instances=INSTANCES, seed=SEED)
    print(
        f"acknowledged {figures.acknowledged}, sent {figures.sent}, archived {figures.archived}, "
        f"kills of the listener {figures.listener_kills}, of the worker {figures.worker_kills}"
    )
    assert figures.lost == []
    assert figures.changed == [], "every object in the queue is one that was sent, whole"
    assert (figures.acknowledged, figures.archived) == (INSTANCES, INSTANCES)
    assert figures.listener_kills + figures.worker_kills == MOMENTS
