"""Preparing, training and evaluating at a site, on a real archive with a small synthetic cohort."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.domain.plan import TrainingPlan
from racoon.learning.cases import case_name, load_cases
from racoon.learning.weights import BadWeights, decode_weights
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.compute.failures import pictures_of
from racoon.node.compute.model import TooFewCases, preparation_key, summarise_scores
from racoon.node.compute.service import Compute
from racoon.platform.database import Database, create_all
from tests.unit.node.measuring.cohort import LIVER, LUNGS, SUBJECTS, store_subject

PLAN = TrainingPlan(
    name="organs",
    modality="CT",
    labels=(LIVER, LUNGS),
    size=(32, 32),
    rounds=2,
    local_steps=2,
    batch_size=2,
    min_cases=1,
)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("archive")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    yield Archive(database, LocalFolder(folder / "objects"))
    database.dispose()


@pytest.fixture(scope="module")
def manifest(archive: Archive) -> DatasetManifest:
    return DatasetManifest(
        "study-1", "organs", tuple(store_subject(archive, n) for n in range(1, SUBJECTS + 1))
    )


def test_cases_carry_image_and_classes_of_the_archive(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    folder, preparation = Compute(tmp_path, archive).prepare(PLAN, manifest)
    assert (preparation.cases, preparation.subjects, preparation.skipped) == (SUBJECTS, SUBJECTS, {})
    cases = load_cases(folder)
    masks = {
        segment.mask.label.key: segment.mask for segment in archive.load_masks(manifest.series[0].series_uid)
    }
    assert len(cases) == SUBJECTS
    assert all(case.image.shape[1:] == PLAN.size for case in cases)
    volume = archive.load_volume(manifest.series[0].series_uid).image
    if max(volume.shape[1:]) <= 32:
        counts = [int((case.classes == 1).sum()) for case in cases]
        assert int(masks[LIVER.key].voxels.sum()) in counts


def test_an_irregular_series_is_refused_or_resampled_with_its_masks_as_the_plan_says(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    # A slice of the first subject's series is missing in the archive that this test reads.
    series_uid = manifest.series[0].series_uid
    gone = archive.instances(series_uid)[len(archive.instances(series_uid)) // 2]

    class WithAGap(Archive):
        def instances(self, series_uid: str) -> list[InstanceRow]:
            return [row for row in super().instances(series_uid) if row != gone]

    broken = WithAGap(archive.database, archive.objects)
    compute = Compute(tmp_path, broken)
    folder, refused = compute.prepare(PLAN, manifest)
    assert (refused.cases, refused.skipped) == (SUBJECTS - 1, {"volume.irregular": 1})
    assert refused.resampled == 0
    plan = replace(PLAN, irregular="resample")
    assert TrainingPlan.from_dict(plan.to_dict()) == plan
    assert "irregular" not in PLAN.to_dict(), "older plans keep their hash"
    other, taken = compute.prepare(plan, manifest)
    assert other != folder
    assert (taken.cases, taken.skipped, taken.resampled) == (SUBJECTS, {}, 1)
    _, again = compute.prepare(plan, manifest)
    assert again.resampled == 1, "a case that lies there is still known to be interpolated"
    # The interpolated case has every slice of the whole series, and its masks lie where they lay.
    whole, _ = Compute(tmp_path / "whole", archive).prepare(PLAN, manifest)
    with (
        np.load(other / f"{case_name(series_uid)}.npz") as mended,
        np.load(whole / f"{case_name(series_uid)}.npz") as complete,
    ):
        assert mended["classes"].shape == complete["classes"].shape
        same = (mended["classes"] == complete["classes"]).mean()
        assert same > 0.97
        assert set(np.unique(mended["classes"])) == set(np.unique(complete["classes"]))
    with pytest.raises(ValueError, match="irregular"):
        replace(PLAN, irregular="guess")


def test_series_that_cannot_be_used_are_counted_and_withdrawn_cases_removed(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    compute = Compute(tmp_path, archive)
    folder, _ = compute.prepare(PLAN, manifest)
    ghost = DatasetSeries("1.2.3.4.5", Pseudonym("P-GHOST"), 1, "0" * 64)
    _, with_ghost = compute.prepare(PLAN, replace(manifest, series=(*manifest.series, ghost)))
    assert with_ghost.cases == SUBJECTS
    assert sum(with_ghost.skipped.values()) == 1
    hidden = manifest.series[0].pseudonym
    blocked = Archive(
        archive.database, LocalFolder(tmp_path), is_readable=lambda pseudonym: pseudonym != hidden
    )
    _, after = Compute(tmp_path, blocked).prepare(PLAN, manifest)
    assert after.subjects == SUBJECTS - 1
    assert len(load_cases(folder)) == SUBJECTS - 1
    with pytest.raises(TooFewCases):
        after.require(SUBJECTS)
    _, other = compute.prepare(replace(PLAN, modality="MR"), manifest)
    assert other.skipped == {"other modality": SUBJECTS}


def test_preparation_depends_on_input_not_on_schedule(manifest: DatasetManifest) -> None:
    key = preparation_key(PLAN, manifest)
    assert key == preparation_key(replace(PLAN, rounds=9, seed=4, name="x"), manifest)
    assert key != preparation_key(replace(PLAN, size=(64, 64)), manifest)
    assert key != preparation_key(replace(PLAN, labels=(LUNGS, LIVER)), manifest)


@pytest.mark.learning
def test_training_and_evaluation_run_in_their_own_processes(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    compute = Compute(tmp_path, archive)
    folder, _ = compute.prepare(PLAN, manifest)
    progress: list[tuple[int, int]] = []
    weights, facts = compute.train_local(
        "job-1", PLAN, folder, lambda done, total, _: progress.append((done, total))
    )
    assert progress == [(1, 2), (2, 2)]
    assert [entry["round"] for entry in facts] == [0, 1]
    again, _ = compute.train_local("job-1", PLAN, folder)
    other, _ = compute.train_local("job-2", PLAN, folder)
    assert weights == again == other
    known = [entry.series_uid for entry in manifest.series]
    scores = compute.evaluate("job-3", PLAN, folder, {"local": weights}, series_uids=known)
    failures = pictures_of(tmp_path, "job-3")
    means = {name: np.mean(case) for name, case in scores["models"]["local"]["per_case"].items()}
    assert case_name(failures[0].series_uid) == min(means, key=lambda name: means[name])
    assert {shown.series_uid for shown in failures} <= set(known)
    summary = summarise_scores(scores)
    assert summary["cases"] == SUBJECTS
    assert set(summary["models"]) == {"local", f"baseline:{summary['baseline']}"}
    moments = summary["models"]["local"]["labels"]
    values = np.array([case[0] for case in scores["models"]["local"]["per_case"].values()], dtype=float)
    assert moments[0]["n"] == len(values)
    assert moments[0]["sum"] == pytest.approx(values.sum())
    interval = summary["models"]["local"]["interval"]
    assert interval["n"] == len(values)
    over_labels = [
        np.mean([value for value in case if value is not None])
        for case in scores["models"]["local"]["per_case"].values()
    ]
    assert interval["lower"] <= interval["mean"] == pytest.approx(np.mean(over_labels))
    assert interval["mean"] <= interval["upper"]
    assert not any(case in str(summary) for case in scores["models"]["local"]["per_case"])
    truncated = dict(list(decode_weights(weights).items())[1:])
    from racoon.learning.weights import encode_weights

    with pytest.raises(BadWeights):
        compute.evaluate("job-4", PLAN, folder, {"broken": encode_weights(truncated)})
