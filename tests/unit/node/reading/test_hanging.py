"""Which row of the hanging table a series gets, and which earlier series comes first."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.hanging import HANGING, hanging_for
from racoon.node.reading.model import CT_PRESETS, SUV_PRESETS
from racoon.node.reading.service import Reading
from racoon.platform.database import Database, create_all
from tests.dicom_objects import ct_series, deidentified, uid


@pytest.mark.parametrize(
    ("series", "name"),
    [
        (("CT", "CHEST", "Thorax Lunge 1.0 B70"), "CT lung kernel"),
        (("CT", "CHEST", "Thorax 2.5 mm"), "anything"),
        (("CT", "head", "native"), "CT head"),
        (("CT", "ABDOMEN", "Verlauf"), "CT follow-up"),
        (("MR", "HEAD", "lung"), "anything"),
        (("PT", "", "AC"), "PET"),
        (("CT", "", "CT Attenuation"), "CT of a PET"),
    ],
)
def test_the_first_row_that_fits_is_taken(series: tuple[str, str, str], name: str) -> None:
    assert hanging_for(*series).name == name


def test_every_window_of_the_table_exists() -> None:
    assert {row.window for row in HANGING} <= {preset.name for preset in (*CT_PRESETS, *SUV_PRESETS)} | {""}
    assert HANGING[-1].fits("", "", "")


def test_the_newest_earlier_examination_comes_first(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    voxels = np.zeros((3, 8, 8), np.int16)
    for study, date in ((1, "20240131"), (2, "20220101"), (3, "20230601"), (4, "20250101")):
        archive.store([deidentified(item) for item in ct_series(voxels, study=study, StudyDate=date)])
    other = ct_series(voxels, study=3, series=2, StudyDate="20230601", SeriesDescription="Lung")
    stranger = ct_series(voxels, study=5, subject="SUBJ-2", StudyDate="20230901")
    archive.store([deidentified(item) for item in [*other, *stranger]])
    found = [facts.series_uid for facts in Reading(archive).priors(uid(1, 1))]
    assert found == [uid(3, 1), uid(3, 2), uid(2, 1), uid(4, 1)]
    database.dispose()
