"""Classes and numbers of whole images: cases, networks, training, packages and what inference writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.domain.coding import Code
from racoon.domain.plan import Target, TrainingPlan
from racoon.domain.training import Privacy
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import (
    ARCHITECTURES,
    BadPlan,
    check_plan,
    initial_weights,
    normalisation_tensors,
    tensor_shapes,
)
from racoon.learning.cases import BadCase, load_case, prepare_image, save_case
from racoon.learning.comparison import comparison_table, verdict
from racoon.learning.inference import Model, SeriesRefused, golden_example, reading_hash
from racoon.learning.packages import open_package, write_package
from racoon.learning.readings import score_constant
from racoon.learning.runtimes.exporting import export_graph
from racoon.learning.sampling import make_sampler
from racoon.learning.training import Trainer, evaluate, evaluate_ensemble, train_local
from tests.unit.learning.making import (
    AREA,
    KEY,
    SIZE,
    STATEMENTS,
    make_block,
    make_whole_cases,
    truth_of_block,
)

pytestmark = pytest.mark.learning

WHOLE = sorted(name for name, item in ARCHITECTURES.items() if item.judges_images)


@pytest.mark.parametrize("name", WHOLE)
def test_each_network_has_the_registry_s_tensors_trains_and_exports(name: str) -> None:
    if not name.endswith("small"):
        pytest.importorskip("monai")
    from racoon.learning.networks import build_network

    dimensions = ARCHITECTURES[name].dimensions
    plan = replace(SIZE, architecture=name, size=(32,) * dimensions, local_steps=1, rounds=1, batch_size=2)
    check_plan(plan)
    network = build_network(plan)
    assert {k: tuple(v.shape) for k, v in network.named_parameters()} == tensor_shapes(plan)
    assert not list(network.buffers())
    assert all(len(tensor_shapes(plan)[key]) == 1 for key in normalisation_tensors(plan))
    assert len(normalisation_tensors(plan)) == sum(len(s) == 1 for s in tensor_shapes(plan).values()) - 1
    generator = np.random.default_rng(0)
    shape = (1 if dimensions == 2 else 20, 40, 30)
    cases = [prepare_image(plan, str(i), generator.normal(size=shape), float(i % 2)) for i in range(2)]
    weights = train_local(plan, cases, initial_weights(plan))
    images, scores = golden_example(plan, weights)
    assert scores.shape[1:] == (2,)
    assert export_graph(plan, weights, images, scores)


def test_a_network_for_voxels_judges_no_image_and_the_other_way_round() -> None:
    for plan in (
        replace(SIZE, architecture="unet3d-small"),
        TrainingPlan("x", "CT", SIZE.labels[:1], architecture="densenet3d", size=(32, 32, 32)),
    ):
        with pytest.raises(BadPlan, match="another task"):
            check_plan(plan)


def test_a_whole_image_fits_into_the_window_whatever_its_size(tmp_path: Path) -> None:
    small, large = np.zeros((3, 10, 12)), np.zeros((20, 100, 64))
    small[1, 5, 5] = large[10, 50:60, 30:40] = 900.0
    for volume in (small, large):
        case = prepare_image(AREA, "x", volume, 0.25)
        assert case.image.shape == AREA.size
        assert case.image.max() > case.image.min()
        save_case(tmp_path, case)
        again = load_case(tmp_path / f"{case.name}.npz")
        assert again.target == 0.25
        assert again.image.tobytes() == case.image.tobytes()
    flat = replace(SIZE, architecture="encoder2d-small", size=(32, 32))
    with pytest.raises(BadCase, match="several"):
        prepare_image(flat, "x", small, 1.0)
    assert prepare_image(flat, "x", small[:1], 1.0).image.shape == (1, 32, 32)


def test_batches_repeat_and_differ_between_rounds() -> None:
    sampler = make_sampler(SIZE, make_whole_cases(1, 4))
    first, again, other = (list(sampler.batches(number)) for number in (0, 0, 1))
    assert all(
        a.tobytes() == b.tobytes()
        for x, y in zip(first, again, strict=True)
        for a, b in zip(x, y, strict=True)
    )
    assert first[0][0].tobytes() != other[0][0].tobytes()
    assert first[0][0].shape == (6, 1, 8, 32, 32)
    assert first[0][1].dtype == np.int64
    assert next(iter(make_sampler(AREA, make_whole_cases(1, 4, AREA)).batches(0)))[1].dtype == np.float32
    with pytest.raises(BadCase, match="another task"):
        make_sampler(replace(SIZE, size=(8, 64, 64)), make_whole_cases(1, 2))


@pytest.mark.parametrize("plan", [SIZE, AREA], ids=["class", "number"])
def test_what_is_learned_beats_saying_the_same_of_every_image(plan: TrainingPlan) -> None:
    cases, unseen = make_whole_cases(1, 12, plan), make_whole_cases(2, 12, plan)
    weights = train_local(plan, cases, initial_weights(plan))
    again = train_local(plan, cases, initial_weights(plan))
    assert all(weights[name].tobytes() == again[name].tobytes() for name in weights)
    (constant,) = score_constant(plan, unseen).values()
    score = evaluate(plan, weights, unseen)
    if plan.task == "classification":
        assert score.mean > 0.9
        assert constant.mean == 0.5
    else:
        assert score.mean < 0.7 * constant.mean
    both = evaluate_ensemble(plan, [weights, initial_weights(plan)], unseen)
    assert set(both.per_case) == set(score.per_case)


def test_a_federation_of_one_gives_the_bits_of_local_training() -> None:
    cases = make_whole_cases(1, 6)
    plan = replace(SIZE, local_steps=2)
    weights, trainer = initial_weights(plan), Trainer(plan, cases)
    for number in range(plan.rounds):
        trained, facts = trainer.train_round(weights, number)
        mean = ExactMean(tensor_shapes(plan))
        mean.add("north", trained, facts.cases)
        weights = mean.mean()
    alone = train_local(plan, cases, initial_weights(plan))
    assert all(weights[name].tobytes() == alone[name].tobytes() for name in alone)


def test_class_weights_pull_towards_the_rare_class() -> None:
    plan = replace(SIZE, local_steps=1, rounds=1, learning_rate=1e-4)
    assert plan.target is not None
    cases = make_whole_cases(1, 6)
    weighed = replace(plan, target=replace(plan.target, weights=(1.0, 50.0)))
    plain, pulled = (train_local(p, cases, initial_weights(p))["head.bias"] for p in (plan, weighed))
    assert pulled[1] - pulled[0] >= plain[1] - plain[0]
    import torch

    from racoon.learning.losses import task_loss

    scores, wanted = torch.zeros((2, 2)), torch.tensor([0, 1])
    assert float(task_loss(weighed, scores, wanted)) == pytest.approx(np.log(2) * 51 / 2, rel=1e-5)


@pytest.mark.parametrize("plan", [SIZE, AREA], ids=["class", "number"])
def test_private_rounds_are_charged(plan: TrainingPlan, tmp_path: Path) -> None:
    pytest.importorskip("opacus")
    from racoon.learning.private_training import PrivateTrainer
    from racoon.learning.spending import Purse, load_charges

    private = replace(plan, privacy=Privacy(1.0, 1.0, 100.0), local_steps=2, batch_size=2)
    trainer = PrivateTrainer(private, make_whole_cases(1, 4, plan), Purse(tmp_path / "ledger", None), "run")
    trained, facts = trainer.train_round(initial_weights(private), 0)
    assert set(trained) == set(tensor_shapes(plan))
    assert facts.loss is None
    assert facts.epsilon
    assert len(load_charges(tmp_path / "ledger")) == 1


def package_of(folder: Path, plan: TrainingPlan) -> Path:
    weights = train_local(plan, make_whole_cases(1, 12, plan), initial_weights(plan))
    golden = golden_example(plan, weights)
    graph = export_graph(plan, weights, *golden)
    return write_package(folder, plan, weights, golden, STATEMENTS, KEY, graph=graph)


@pytest.mark.parametrize("plan", [SIZE, AREA], ids=["class", "number"])
def test_a_package_reads_the_same_on_every_runtime(plan: TrainingPlan, tmp_path: Path) -> None:
    package = open_package(package_of(tmp_path, plan))
    assert package.card.architecture.classes == (2 if plan.task == "classification" else 1)
    assert {
        "name": "fit-whole",
        "parameters": {"slices": 8, "rows": 32, "columns": 32},
    } in package.card.model_dump()["preprocessing"]
    voxels, area = make_block(201)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])[[2, 1, 0, 3]]
    found = {}
    for runtime in ("torch", "onnx"):
        model = Model(package, runtime)
        found[runtime] = model.read(voxels, affine, "CT")
        assert reading_hash(found[runtime]) == reading_hash(model.read(voxels, affine, "CT"))
    assert found["torch"] == pytest.approx(found["onnx"], abs=1e-3)
    if plan.task == "classification":
        assert int(np.argmax(found["torch"])) == truth_of_block(plan, area)
        assert sum(found["torch"]) == pytest.approx(1.0)
    with pytest.raises(SeriesRefused, match="modality"):
        model.read(voxels, affine, "MR")


def test_the_table_compares_models_by_the_task_s_own_measure() -> None:
    cases, unseen = make_whole_cases(1, 12, AREA), make_whole_cases(2, 8, AREA)
    weights = train_local(AREA, cases, initial_weights(AREA))
    found = {
        "models": {
            "federated": evaluate(AREA, weights, unseen).to_dict(),
            "local:N": evaluate(AREA, initial_weights(AREA), unseen).to_dict(),
        },
        "baseline": {"all": {name: score.to_dict() for name, score in score_constant(AREA, unseen).items()}},
    }
    rows = comparison_table({"N": found, "S": found})
    assert {row["metric"] for row in rows} == {"mae"}
    whole = next(row for row in rows if row["model"] == "federated" and row["site"] == "all")
    assert whole["n"] == 16
    assert whole["measures"]["rmse"]["mean"] >= whole["mean"]
    said = verdict(rows, ["N"])
    assert said["lower_is_better"]
    assert said["best_trivial"] == pytest.approx(found["baseline"]["all"]["mean"]["mean"])


def test_a_plan_for_another_quantity_has_other_cases() -> None:
    from racoon.domain.dataset import DatasetManifest
    from racoon.node.compute.model import preparation_key

    manifest = DatasetManifest("study", "frozen", ())
    assert SIZE.target is not None
    keys = {
        preparation_key(plan, manifest)
        for plan in (
            SIZE,
            AREA,
            replace(SIZE, target=Target("table", "other", words=("small", "large"))),
            replace(SIZE, task="segmentation", target=None, architecture="unet3d-small", loss="dice_ce"),
        )
    }
    assert len(keys) == 4
    weighed = replace(
        SIZE, target=replace(SIZE.target, weights=(1.0, 2.0)), labels=(Code("1", "99T"), Code("2", "99T"))
    )
    assert preparation_key(weighed, manifest) == preparation_key(SIZE, manifest)
