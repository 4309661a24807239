"""An archive with a small cohort whose every number is known, and the plan to measure it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.database import Database, create_all
from tests.unit.node.measuring.cohort import LIVER, LUNGS, OPACITY, SUBJECTS, store_subject


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Archive:
    return Archive(database, LocalFolder(tmp_path / "objects"))


@pytest.fixture
def manifest(archive: Archive) -> DatasetManifest:
    return DatasetManifest(
        "study-1", "livers", tuple(store_subject(archive, subject) for subject in range(1, SUBJECTS + 1))
    )


@pytest.fixture
def plan() -> MeasuringPlan:
    return MeasuringPlan(
        "livers and lungs",
        (
            Measurement("volume", "1", LIVER, Bins(0.0, 0.1, 0.01)),
            Measurement("mean_density", "1", LIVER, Bins(-100.0, 200.0, 20.0)),
            Measurement("laa_950", "1", LUNGS, Bins(0.0, 100.0, 10.0)),
            Measurement("opacity_involvement", "1", OPACITY, Bins(0.0, 100.0, 10.0), {"within": LUNGS.key}),
            Measurement("fat_volume", "1", None, Bins(0.0, 10.0, 1.0)),
        ),
    )
