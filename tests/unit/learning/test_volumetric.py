"""Networks on volumes: boxes in training, windows in inference, a working spacing, packages, ONNX."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("onnxruntime", reason='needs the extra: pip install "racoon[learning]"')

from racoon.learning.architectures import ARCHITECTURES, check_plan, initial_weights
from racoon.learning.cases import BadCase, Case, classes_on_grid, prepare_case
from racoon.learning.inference import Model, golden_example
from racoon.learning.packages import open_package, write_package
from racoon.learning.runtimes import open_network
from racoon.learning.runtimes.exporting import TOLERANCE, export_graph
from racoon.learning.sampling import make_sampler
from racoon.learning.training import evaluate, train_local
from racoon.learning.windows import case_shares, class_shares, softmax
from tests.unit.learning.making import KEY, PLAN, STATEMENTS, make_volume
from tests.unit.learning.test_inference import AXIAL

pytestmark = pytest.mark.learning

VOLUME_PLAN = replace(
    PLAN,
    architecture="unet3d-small",
    size=(8, 16, 16),
    larger="tile",
    rounds=3,
    local_steps=12,
    learning_rate=1e-2,
    batch_size=2,
)


def _cases(count: int, plan: object = VOLUME_PLAN) -> list[Case]:
    made = []
    for seed in range(count):
        voxels, mask = make_volume(seed, (10, 32, 24))
        made.append(prepare_case(plan, str(seed), voxels, [mask]))
    return made


def test_boxes_are_full_repeat_and_mostly_show_a_structure() -> None:
    plan = replace(VOLUME_PLAN, size=(16, 16, 16), local_steps=40)
    first, again = ([*make_sampler(plan, _cases(2)).batches(1)] for _ in range(2))
    assert all(
        a.tobytes() == b.tobytes()
        for one, other in zip(first, again, strict=True)
        for a, b in zip(one, other, strict=True)
    )
    images, classes = first[0]
    assert images.shape == (2, 1, 16, 16, 16)
    assert classes.shape == (2, 16, 16, 16)
    shown = np.mean([(sample == 1).any() for _, batch in first for sample in batch])
    assert shown > 0.6


def test_a_small_volumetric_network_learns_and_its_package_runs_on_both_runtimes(tmp_path: Path) -> None:
    cases = _cases(4)
    weights = train_local(VOLUME_PLAN, cases, initial_weights(VOLUME_PLAN))
    assert evaluate(VOLUME_PLAN, weights, cases).mean > 0.6
    golden = golden_example(VOLUME_PLAN, weights)
    graph = export_graph(VOLUME_PLAN, weights, *golden)
    package = write_package(tmp_path, VOLUME_PLAN, weights, golden, STATEMENTS, KEY, graph=graph)
    voxels, mask = make_volume(9, (10, 32, 24))
    found = {
        name: Model(open_package(package), name).segment(voxels, AXIAL, "CT") for name in ("onnx", "torch")
    }
    np.testing.assert_array_equal(found["onnx"], found["torch"])
    overlap = 2.0 * ((found["onnx"] == 1) & mask).sum() / ((found["onnx"] == 1).sum() + mask.sum())
    assert overlap > 0.5


@pytest.mark.parametrize(
    "name",
    [name for name, item in ARCHITECTURES.items() if item.dimensions == 3 and not item.judges_images],
)
def test_every_volumetric_network_trains_the_same_twice_and_exports(name: str) -> None:
    plan = replace(VOLUME_PLAN, architecture=name, rounds=1, local_steps=1, batch_size=1, size=(8, 16, 16))
    check_plan(plan)
    start = initial_weights(plan)
    first, again = (train_local(plan, _cases(1), start) for _ in range(2))
    assert all(first[key].tobytes() == again[key].tobytes() for key in first)
    assert any(first[key].tobytes() != start[key].tobytes() for key in first)
    images, scores = golden_example(plan, first)
    fast = open_network(plan, first, export_graph(plan, first, images, scores), "onnx")(images)
    assert np.abs(fast - scores).max() <= TOLERANCE * max(1.0, np.abs(scores).max())


def test_windows_cover_a_volume_and_agree_where_nothing_overlaps() -> None:
    network = open_network(VOLUME_PLAN, initial_weights(VOLUME_PLAN), None, "torch")
    image = np.random.default_rng(0).normal(size=(1, 1, 8, 16, 16)).astype(np.float32)
    whole = softmax(network(image))
    np.testing.assert_array_equal(class_shares(network, image, VOLUME_PLAN.size), whole)
    large = class_shares(network, np.concatenate([image, image], axis=4), VOLUME_PLAN.size)
    assert large.shape == (1, 2, 8, 16, 32)
    np.testing.assert_allclose(large.sum(axis=1), np.ones((1, 8, 16, 32)), rtol=1e-5)
    np.testing.assert_allclose(large[..., :8], whole[..., :8], rtol=1e-4, atol=1e-6)


def test_a_volume_with_fewer_slices_than_the_window_keeps_its_slices() -> None:
    network = open_network(VOLUME_PLAN, initial_weights(VOLUME_PLAN), None, "torch")
    case = Case("x", np.zeros((3, 16, 16), np.float16), np.zeros((3, 16, 16), np.uint8))
    assert case_shares([network], case, VOLUME_PLAN).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("larger", ["shrink", "tile"])
@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (3.0, 0.7, 0.7), (0.8, 2.0, 2.0)])
def test_a_working_spacing_is_reached_and_undone(larger: str, spacing: tuple[float, float, float]) -> None:
    plan = replace(VOLUME_PLAN, spacing_mm=(1.5, 1.0, 1.0), larger=larger, size=(8, 24, 24))
    shape = (12, 40, 36)
    mask = np.zeros(shape, bool)
    mask[3:9, 8:30, 6:28] = True
    case = prepare_case(plan, "x", np.random.default_rng(0).normal(size=shape), [mask], spacing)
    assert case.image.shape[0] == round(12 * spacing[0] / 1.5)
    if larger == "tile":
        assert case.image.shape[1] == max(24, round(40 * spacing[1]))
    back = classes_on_grid(case.classes, plan, shape, spacing) == 1
    assert back.shape == shape
    # A slice of the working resolution may cover two of the volume: an end can be off by one.
    assert 2.0 * (back & mask).sum() / (back.sum() + mask.sum()) > 0.8


def test_a_plan_with_a_working_spacing_wants_to_know_the_volumes() -> None:
    plan = replace(VOLUME_PLAN, spacing_mm=(1.0, 1.0, 1.0))
    with pytest.raises(BadCase, match="working spacing"):
        prepare_case(plan, "x", np.random.default_rng(0).normal(size=(8, 16, 16)), [None])
