"""Whole images at a node: labels from what it knows, cases, training, protected scores, readings in the archive."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pydicom
import pytest
import sqlalchemy as sa

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, Target, TrainingPlan
from racoon.learning.architectures import initial_weights
from racoon.learning.cases import load_cases
from racoon.learning.inference import golden_example
from racoon.learning.packages import write_package
from racoon.learning.weights import encode_weights
from racoon.node.app.truths import forget_labels, open_truths, table_of_study
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.compute.model import summarise_scores
from racoon.node.compute.segmenting import Segmenting
from racoon.node.compute.service import Compute
from racoon.node.compute.truths import NO_VALUE, SEVERAL_VALUES, UNUSABLE, NoTruths, Truth, encode_truths
from racoon.node.measuring import service as measuring
from racoon.node.release.jobs import protect_evaluation
from racoon.node.release.policy import DisclosurePolicy
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import public_key_text
from racoon.platform.database import Database, create_all
from tests.unit.learning.making import KEY, STATEMENTS
from tests.unit.node.compute.test_segmenting import door
from tests.unit.node.measuring.cohort import LIVER, SUBJECTS, store_subject

pytestmark = pytest.mark.learning

VOLUME = Measurement("volume", "1", LIVER, Bins(0.0, 0.1, 0.01))
NUMBER = TrainingPlan(
    name="liver volume",
    modality="CT",
    labels=(Code("1", "99T", "Liver volume"),),
    architecture="encoder3d-small",
    size=(8, 32, 32),
    rounds=1,
    local_steps=1,
    batch_size=2,
    min_cases=1,
    task="regression",
    target=Target("measured", VOLUME.key, "mL", (0.0, 1.0)),
)
WORDS = Target("table", "grade", words=("low", "high"))
GRADE = replace(
    NUMBER,
    name="grade",
    labels=(Code("1", "99T", "Low"), Code("2", "99T", "High")),
    task="classification",
    loss="ce",
    target=WORDS,
)


def everybody(_column: object) -> sa.ColumnElement[bool]:
    return sa.true()


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
        "study-1", "livers", tuple(store_subject(archive, number) for number in range(1, SUBJECTS + 1))
    )


def known(values: Sequence[str], manifest: DatasetManifest) -> dict[str, list[Truth]]:
    return {
        entry.series_uid: [Truth(value)]
        for entry, value in zip(sorted(manifest.series), values, strict=False)
    }


def test_values_that_were_measured_are_the_labels(
    database: Database, archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    load = open_truths(database, archive, AuditLog("node"), everybody, tmp_path / "labels")
    assert NUMBER.target is not None
    assert load("study-1", NUMBER.target, manifest) == {}
    plan = MeasuringPlan("livers", (VOLUME,))
    measuring.run_protocol(plan, manifest, archive, database, lambda *_step: None)
    truths = load("study-1", NUMBER.target, manifest)
    assert set(truths) == {entry.series_uid for entry in manifest.series}
    assert load("study-2", NUMBER.target, manifest) == {}, "another study's values are not this one's"
    folder, preparation = Compute(tmp_path / "compute", archive).prepare(NUMBER, manifest, truths=truths)
    assert (preparation.cases, preparation.skipped) == (SUBJECTS, {})
    learned = sorted(NUMBER.target.decode(case.target or 0.0) for case in load_cases(folder))
    assert learned == pytest.approx(sorted(float(rows[0].value) for rows in truths.values()))
    assert all(case.image.shape == NUMBER.size for case in load_cases(folder))


def test_a_table_of_the_site_gives_labels_by_subject_and_forgets_who_withdraws(
    database: Database, archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    folder = tmp_path / "labels"
    load = open_truths(database, archive, AuditLog("node"), everybody, folder)
    with pytest.raises(NoTruths, match="table of labels"):
        load("study-1", WORDS, manifest)
    folder.mkdir()
    first, second = sorted(manifest.series)[:2]
    rows = [f"{first.pseudonym},low", f"{second.pseudonym},high"]
    table_of_study(folder, "study-1").write_text("\n".join(["subject,grade", *rows, ""]))
    assert load("study-1", WORDS, manifest) == {
        first.series_uid: [Truth("low")],
        second.series_uid: [Truth("high")],
    }
    assert forget_labels(folder, {first.pseudonym, first.series_uid}) == 1
    assert set(load("study-1", WORDS, manifest)) == {second.series_uid}
    assert first.pseudonym not in table_of_study(folder, "study-1").read_text()


def test_readers_who_contradict_each_other_give_no_label() -> None:
    assert encode_truths(WORDS, [Truth("low"), Truth("low")]) == (0.0, "")
    assert encode_truths(WORDS, [Truth("low"), Truth("high")]) == (None, SEVERAL_VALUES)
    assert encode_truths(WORDS, [Truth("else")]) == (None, UNUSABLE)
    assert encode_truths(WORDS, []) == (None, NO_VALUE)


def test_an_amended_label_replaces_the_prepared_one(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    compute = Compute(tmp_path, archive)
    truths = known(["low"] * SUBJECTS, manifest)
    folder, _ = compute.prepare(GRADE, manifest, truths=truths)
    assert [case.target for case in load_cases(folder)] == [0.0] * SUBJECTS
    changed = dict(truths)
    changed[manifest.series[0].series_uid] = [Truth("high")]
    del changed[manifest.series[1].series_uid]
    again, preparation = compute.prepare(GRADE, manifest, truths=changed)
    assert again == folder
    assert sorted(case.target or 0.0 for case in load_cases(folder)) == [0.0] * (SUBJECTS - 2) + [1.0]
    assert preparation.skipped == {NO_VALUE: 1}


def test_training_and_scores_pass_the_same_gate_as_masks(
    archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    compute = Compute(tmp_path, archive)
    truths = known(["low", "high"] * SUBJECTS, manifest)
    folder, _ = compute.prepare(GRADE, manifest, truths=truths)
    weights, facts = compute.train_local("job", GRADE, folder)
    assert len(facts) == GRADE.rounds
    models = {"local:SITE": weights, "federated": encode_weights(initial_weights(GRADE))}
    aggregate = {
        "plan_hash": GRADE.hash,
        **summarise_scores(compute.evaluate("score", GRADE, folder, models)),
    }
    model = aggregate["models"]["federated"]
    assert model["metric"] == "balanced_accuracy"
    assert sum(label["n"] for label in model["labels"]) == SUBJECTS
    assert "readings" not in str(aggregate)
    open_gate = DisclosurePolicy(minimum_cell=2)
    free = protect_evaluation(aggregate, open_gate).payload["models"]["federated"]
    assert free["mean"] == model["mean"]
    strict = protect_evaluation(aggregate, replace(open_gate, minimum_cell=SUBJECTS)).payload["models"]
    assert strict["federated"]["mean"] is None
    assert strict["federated"]["labels"] == [None, None]


@pytest.mark.parametrize("plan", [NUMBER, GRADE], ids=["number", "class"])
def test_readings_stand_in_the_archive_as_reports_that_name_the_model(
    plan: TrainingPlan, archive: Archive, manifest: DatasetManifest, tmp_path: Path
) -> None:
    weights = initial_weights(plan)
    package = write_package(tmp_path, plan, weights, golden_example(plan, weights), STATEMENTS, KEY)
    segmenting = Segmenting(tmp_path / "work", archive, door(archive), [public_key_text(KEY)])
    result = segmenting.run(package, manifest)
    assert result["counts"] == {"stored": SUBJECTS}
    again = segmenting.run(package, manifest)
    assert again["series"] == result["series"]
    found = {
        row.facts.series_uid: archive.read_object(instance)
        for row in archive.series()
        if row.facts.modality == "SR"
        for instance in archive.instances(row.facts.series_uid)
    }
    assert len(found) == SUBJECTS
    for data in found.values():
        report = pydicom.dcmread(io.BytesIO(data))
        said = [str(item.value) for item in report.iterall() if item.keyword == "TextValue"]
        assert f"package={package.stem}" in said
        assert any("Research use only" in text for text in said)
        names = [
            element.value[0].CodeValue
            for element in report.iterall()
            if element.keyword == "ConceptNameCodeSequence"
            and element.value[0].CodingSchemeDesignator == "99T"
        ]
        assert names == [label.value for label in plan.labels]
