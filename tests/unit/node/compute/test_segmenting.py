"""A model package on a frozen dataset: pre-labels in the archive, refused signers, resume after a kill."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.cli import main
from racoon.domain.coding import Code
from racoon.domain.consent import ARCHIVE
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Role
from racoon.domain.plan import TrainingPlan
from racoon.domain.study import StudyDefinition
from racoon.learning.architectures import initial_weights
from racoon.learning.cases import prepare_case
from racoon.learning.inference import golden_example
from racoon.learning.packages import PackageRefused, write_package
from racoon.learning.training import train_local
from racoon.node.app.administration import prepare
from racoon.node.app.permission import open_consent
from racoon.node.app.rooms import open_archive, open_decisions
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.compute import segmenting as module
from racoon.node.compute.segmenting import Segmenting
from racoon.node.compute.service import Compute
from racoon.node.consent.model import basis_of
from racoon.node.curation import _store as curation_store
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import public_key_text
from racoon.platform.database import Database, create_all
from racoon.protocol.messages import StudyOffer, StudyState
from tests.simulated_network import DEFINITION
from tests.unit.learning.making import KEY, STATEMENTS
from tests.unit.node.jobs.test_jobs import RELEASE, STEPS
from tests.unit.node.measuring.cohort import LIVER, LUNGS, store_subject

pytestmark = pytest.mark.learning

PLAN = TrainingPlan(
    name="organs",
    modality="CT",
    labels=(LIVER, LUNGS),
    size=(16, 16),
    rounds=3,
    local_steps=12,
    learning_rate=1e-2,
    min_cases=1,
)
SIGNER = public_key_text(KEY)
TWO: Mapping[int, Mapping[str, str]] = {1: {}, 2: {}}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    yield Archive(database, LocalFolder(tmp_path / "objects"))
    database.dispose()


@pytest.fixture
def manifest(archive: Archive) -> DatasetManifest:
    return DatasetManifest("study-1", "organs", tuple(store_subject(archive, number) for number in (1, 2, 3)))


@pytest.fixture
def package(archive: Archive, manifest: DatasetManifest, tmp_path: Path) -> Path:
    cases = []
    for entry in manifest.series:
        image = archive.load_volume(entry.series_uid).image
        masks = {mask.mask.label.key: mask.mask.voxels for mask in archive.load_masks(entry.series_uid)}
        cases.append(
            prepare_case(
                PLAN, entry.series_uid, image.voxels, [masks.get(label.key) for label in PLAN.labels]
            )
        )
    weights = train_local(PLAN, cases, initial_weights(PLAN))
    return write_package(tmp_path, PLAN, weights, golden_example(PLAN, weights), STATEMENTS, KEY)


def door(archive: Archive) -> Callable[[bytes], str]:
    """The node's own door for what it made itself."""
    derived = DerivedObjects(archive, made_here, AuditLog("node"))

    def store(data: bytes) -> str:
        outcome = derived.store(data)
        return outcome.reason if outcome.failure else ""

    return store


def automatic(archive: Archive, manifest: DatasetManifest) -> list[tuple[str, str, str]]:
    return [
        (entry.series_uid, mask.mask.label.key, mask.algorithm_name)
        for entry in manifest.series
        for mask in archive.load_masks(entry.series_uid)
        if mask.algorithm_type == "AUTOMATIC"
    ]


def test_a_dataset_gets_pre_labels_once_and_they_are_no_references(
    archive: Archive, manifest: DatasetManifest, package: Path, tmp_path: Path
) -> None:
    segmenting = Segmenting(tmp_path / "work", archive, door(archive), [SIGNER])
    seen: list[tuple[int, int]] = []
    result = segmenting.run(package, manifest, lambda done, total: seen.append((done, total)))
    assert result["counts"] == {"stored": 3}, result["series"]
    assert seen[-1] == (3, 3)
    assert result["use"].startswith("Research use only")
    doubts = [result["series"][uid]["uncertainty"] for uid in result["most_uncertain_first"]]
    assert doubts == sorted(doubts, reverse=True)
    assert len(doubts) == 3
    assert all(0.0 <= value <= 1.0 for value in doubts)
    drawn = automatic(archive, manifest)
    assert {series for series, _, _ in drawn} == {entry.series_uid for entry in manifest.series}
    assert {name for _, _, name in drawn} == {"blocks"}
    assert {key for _, key, _ in drawn} <= {LIVER.key, LUNGS.key}
    assert not list((tmp_path / "work").rglob("*.npz"))
    again = segmenting.run(package, manifest)
    assert again == result
    assert automatic(archive, manifest) == drawn
    # Only what a person drew trains the next model.
    _, preparation = Compute(tmp_path / "compute", archive).prepare(PLAN, manifest)
    assert preparation.cases == 3
    opacity = replace(PLAN, labels=(Code("nothing", "99T"),))
    assert Compute(tmp_path / "other", archive).prepare(opacity, manifest)[1].cases == 3


def test_a_killed_run_goes_on_and_stores_nothing_twice(
    archive: Archive,
    manifest: DatasetManifest,
    package: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = door(archive)
    stored: list[bytes] = []

    class Killed(BaseException):
        pass

    def dying(data: bytes) -> str:
        if stored:
            raise Killed
        stored.append(data)
        return store(data)

    with pytest.raises(Killed):
        Segmenting(tmp_path / "work", archive, dying, [SIGNER]).run(package, manifest)
    assert len({series for series, _, _ in automatic(archive, manifest)}) == 1

    # Killed after the object was archived and before that was written down: the same bytes come again.
    (book,) = (tmp_path / "work").rglob("done.json")
    assert len(json.loads(book.read_text())) == 1
    book.unlink()
    monkeypatch.setattr(module, "BATCH", 2)

    def keeping(data: bytes) -> str:
        stored.append(data)
        return store(data)

    result = Segmenting(tmp_path / "work", archive, keeping, [SIGNER]).run(package, manifest)
    assert result["counts"] == {"stored": 3}, result["series"]
    assert len(stored) == 4
    assert stored[1] == stored[0]
    names = [(series, key) for series, key, _ in automatic(archive, manifest)]
    assert len(names) == len(set(names))


def test_a_signer_the_site_did_not_name_is_refused(
    archive: Archive, manifest: DatasetManifest, package: Path, tmp_path: Path
) -> None:
    for signers in ([], ["tHkf3mjWma1gvHS3INIC6jIAegd0Zb0MPBbrGNnAeMU"]):
        segmenting = Segmenting(tmp_path / "work", archive, lambda _: "", signers)
        with pytest.raises(PackageRefused) as caught:
            segmenting.run(package, manifest)
        assert caught.value.error_code == "package.signer"
    assert not (tmp_path / "work").exists()


def test_withdrawn_and_unfit_series_are_refused_with_the_reason(
    archive: Archive, manifest: DatasetManifest, package: Path, tmp_path: Path
) -> None:
    gone = manifest.series[0]
    blocked = Archive(
        archive.database, LocalFolder(tmp_path / "objects"), is_readable=lambda name: name != gone.pseudonym
    )
    segmenting = Segmenting(tmp_path / "work", blocked, door(blocked), [SIGNER])
    result = segmenting.run(package, manifest)
    assert result["counts"] == {"refused": 1, "stored": 2}
    assert result["series"][gone.series_uid]["reason"]


def node_with(
    folder: Path, track: str, central: str, subjects: Mapping[int, Mapping[str, str]] = TWO
) -> Path:
    """A node's configuration, with one study in these states and a dataset frozen for it.

    ``subjects``: number of each to attributes of its images.
    """
    config = folder / "node.toml"
    config.write_text(
        f'site = "ALPHA"\ndata_directory = "{folder / "node"}"\n[learning]\nmodel_signers = ["{SIGNER}"]\n'
    )
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    archive = open_archive(settings, database)
    frozen = DatasetManifest(
        "study-1",
        "organs",
        tuple(store_subject(archive, number, **facts) for number, facts in subjects.items()),
    )
    definition = StudyDefinition.from_dict(DEFINITION)
    settings.identity_folder.mkdir(parents=True, exist_ok=True)
    network = {"site": "ALPHA", "nodes_url": "", "network": "", "central_signing_key": public_key_text(KEY)}
    (settings.identity_folder / "network.json").write_text(json.dumps(network))
    approvals = open_decisions(settings, AuditLog("node"))

    def decide(steps: tuple[tuple[str, str, Role, dict[str, Any]], ...]) -> None:
        for target, actor, role, artefacts in steps:
            with database.begin() as connection:
                study = approvals.current(connection, "study-1")
                approvals.decide(connection, study, target, actor=actor, roles={role}, artefacts=artefacts)

    def central_says(state: str) -> None:
        message = StudyState(study_id="study-1", study_hash=definition.hash, state=state)
        with database.begin() as connection:
            approvals.receive_state(connection, message)

    consent = open_consent(settings, database, AuditLog("node"))
    basis = {"kind": "synthetic", "document": "invented people", "scope": "all", "approved_by": "A. Amt"}
    with database.begin() as connection:
        consent.record_basis(
            connection, basis_of({"study_id": ARCHIVE, **basis}), actor="test", actor_role="test"
        )
        curation_store.save(connection, frozen)
        offer = StudyOffer(
            study_id="study-1",
            study_hash=definition.hash,
            definition=definition.to_dict(),
            requested_by="office",
        )
        approvals.receive_offer(connection, offer)
    if track == "released":
        decide(STEPS)
        central_says("active")
        with database.begin() as connection:
            approvals.dataset_frozen(connection, "study-1", definition.hash, frozen.hash)
        decide(RELEASE)
    central_says(central)
    database.dispose()
    return config


def test_the_command_segments_a_released_study_and_writes_who_ran_what(
    package: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = node_with(tmp_path, "released", "active")
    words = ["node", "segment", str(package), "--config", str(config), "--study", "study-1", "--json"]
    assert main(words) == 0
    assert json.loads(capsys.readouterr().out)["counts"] == {"stored": 2}
    database = Database(load_node_settings(config).database)
    with database.connect() as connection:
        entries = connection.exec_driver_sql("select action, target from audit order by 1").all()
    database.dispose()
    assert ("model.run", "study/study-1") in [tuple(entry) for entry in entries]
    assert sum(entry[0] == "derived.store" for entry in entries) == 2


@pytest.mark.parametrize(
    ("track", "central", "study", "code"),
    [
        ("requested", "active", "study-1", "approvals.not_approved"),
        ("released", "data_hold", "study-1", "approvals.study_state"),
        ("released", "active", "study-2", "approvals.unknown_study"),
    ],
)
def test_the_command_refuses_a_study_the_site_did_not_release(
    track: str,
    central: str,
    study: str,
    code: str,
    package: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = node_with(tmp_path, track, central)
    assert main(["node", "segment", str(package), "--config", str(config), "--study", study, "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["error"]["code"] == code
