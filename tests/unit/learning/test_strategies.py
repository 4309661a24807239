"""FedAvg, FedProx, FedOpt and FedBN as plain loops with exact relations between them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')

from racoon.domain.plan import TrainingPlan
from racoon.domain.training import Strategy
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import initial_weights, normalisation_tensors, tensor_shapes
from racoon.learning.cases import Case
from racoon.learning.strategies import CONTROL, LocalTensors, ServerOptimiser, exchanged_shapes, rate_at
from racoon.learning.training import Trainer, evaluate, evaluate_ensemble, train_local
from racoon.learning.weights import BadWeights, Weights, check_update, limit_update, update_norm
from tests.unit.learning.making import PLAN, make_cases

pytestmark = pytest.mark.learning


def run_rounds(
    plan: TrainingPlan, sites: dict[str, list[Case]], folder: Path, order: tuple[str, ...] = ()
) -> tuple[Weights, dict[str, Weights]]:
    """The rounds of a federation in one process; also each site's own tensors at the end."""
    trainers = {site: Trainer(plan, cases) for site, cases in sites.items()}
    local = {site: LocalTensors(plan, folder / site) for site in sites}
    optimiser = ServerOptimiser(plan, folder)
    folder.mkdir(exist_ok=True)
    weights = initial_weights(plan)
    for number in range(plan.rounds):
        mean = ExactMean(exchanged_shapes(plan))
        for site in order or tuple(sites):
            received = {**weights, **optimiser.sent_along(number)}
            trained, facts = trainers[site].train_round(
                local[site].begin(number, received), number, local[site].correction(number, received)
            )
            mean.add(site, local[site].finish(number, received, trained), facts.cases)
        weights = optimiser.step(number, weights, mean.take())
    return weights, {site: kept.kept(plan.rounds) for site, kept in local.items()}


def largest_difference(first: Weights, second: Weights) -> float:
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


SITES = {"ALPHA": make_cases(1, 3), "BRAVO": make_cases(2, 2)}


def test_one_site_equals_central_training_bit_for_bit(tmp_path: Path) -> None:
    """The stated tolerance is zero: same rounds, same arithmetic, same bits."""
    weights, _ = run_rounds(PLAN, {"ALPHA": SITES["ALPHA"]}, tmp_path)
    central = train_local(PLAN, SITES["ALPHA"], initial_weights(PLAN))
    assert all(weights[name].tobytes() == central[name].tobytes() for name in weights)


def test_the_order_of_the_sites_does_not_change_a_bit(tmp_path: Path) -> None:
    first, _ = run_rounds(PLAN, SITES, tmp_path / "a")
    second, _ = run_rounds(PLAN, SITES, tmp_path / "b", order=("BRAVO", "ALPHA"))
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_fedopt_with_rate_one_and_no_momentum_is_fedavg_to_float_precision(tmp_path: Path) -> None:
    plain, _ = run_rounds(PLAN, SITES, tmp_path / "a")
    neutral = replace(PLAN, strategy=Strategy("fedopt", server="momentum", server_rate=1.0, momentum=0.0))
    weights, _ = run_rounds(neutral, SITES, tmp_path / "b")
    # before + (mean - before) rounds once more to float32 than mean; two rounds of training widen that.
    assert largest_difference(plain, weights) < 1e-4


@pytest.mark.parametrize("server", ["momentum", "adam"])
def test_a_resumed_server_optimiser_goes_on_with_the_same_bits(tmp_path: Path, server: str) -> None:
    plan = replace(PLAN, strategy=Strategy("fedopt", server=server, server_rate=0.1))
    generator = np.random.default_rng(1)
    start = {"a": generator.normal(size=(3, 4)).astype(np.float32)}
    means = [{"a": generator.normal(size=(3, 4)).astype(np.float32)} for _ in range(5)]

    def walk(folder: Path, restart: bool) -> np.ndarray:
        folder.mkdir()
        weights, optimiser = start, ServerOptimiser(plan, folder)
        for number, mean in enumerate(means):
            if restart:
                optimiser = ServerOptimiser(plan, folder)
                optimiser.step(number, weights, mean)  # a round that was killed before it counted
            weights = optimiser.step(number, weights, mean)
        return weights["a"]

    assert walk(tmp_path / "a", restart=False).tobytes() == walk(tmp_path / "b", restart=True).tobytes()
    with pytest.raises(BadWeights, match="state"):
        ServerOptimiser(plan, tmp_path).step(3, start, means[0])


def test_server_momentum_is_the_written_formula(tmp_path: Path) -> None:
    plan = replace(PLAN, strategy=Strategy("fedopt", server="momentum", server_rate=0.5, momentum=0.9))
    weights = {"a": np.zeros(1, np.float32)}
    seen = []
    for number in range(3):
        weights = ServerOptimiser(plan, tmp_path).step(number, weights, {"a": weights["a"] + np.float32(1.0)})
        seen.append(float(weights["a"][0]))
    # v = 1, 1.9, 2.71; w = Σ 0.5 v
    np.testing.assert_allclose(seen, [0.5, 1.45, 2.805], rtol=1e-6)


def test_the_proximal_term_pulls_to_the_received_weights() -> None:
    start = initial_weights(PLAN)
    free, _ = Trainer(PLAN, SITES["ALPHA"]).train_round(start, 0)
    distances = [update_norm(start, free)]
    for proximal in (1.0, 100.0):
        plan = replace(PLAN, strategy=Strategy("fedprox", proximal=proximal))
        trained, _ = Trainer(plan, SITES["ALPHA"]).train_round(start, 0)
        distances.append(update_norm(start, trained))
    assert distances[0] > distances[1] > distances[2]


def test_fedbn_sends_no_normalisation_and_keeps_each_sites_own(tmp_path: Path) -> None:
    plan = replace(PLAN, strategy=Strategy("fedbn"))
    names = normalisation_tensors(plan)
    assert names
    assert names < set(tensor_shapes(plan))
    weights, own = run_rounds(plan, SITES, tmp_path)
    start = initial_weights(plan)
    for name in tensor_shapes(plan):
        unchanged = weights[name].tobytes() == start[name].tobytes()
        assert unchanged == (name in names), name
    assert set(own["ALPHA"]) == names == set(own["BRAVO"])
    assert largest_difference(own["ALPHA"], own["BRAVO"]) > 0
    again = LocalTensors(plan, tmp_path / "ALPHA").begin(plan.rounds, weights)
    assert all(again[name].tobytes() == own["ALPHA"][name].tobytes() for name in names)


def test_scaffold_of_one_site_corrects_nothing(tmp_path: Path) -> None:
    """The server's control variate is then the site's own: the same bits as plain gradient steps without it."""
    plan = replace(PLAN, strategy=Strategy("scaffold"), learning_rate=0.05)
    weights, own = run_rounds(plan, {"ALPHA": SITES["ALPHA"]}, tmp_path)
    trainer, alone = Trainer(plan, SITES["ALPHA"]), initial_weights(plan)
    for number in range(plan.rounds):
        trained, facts = trainer.train_round(alone, number)
        mean = ExactMean(tensor_shapes(plan))
        mean.add("ALPHA", trained, facts.cases)
        alone = mean.take()
    assert largest_difference(weights, alone) < 1e-5
    server = ServerOptimiser(plan, tmp_path).sent_along(plan.rounds)
    assert largest_difference({name: server[f"{CONTROL}{name}"] for name in alone}, own["ALPHA"]) < 1e-6


def test_scaffold_reaches_the_common_minimum_where_averaging_of_drifted_sites_does_not(
    tmp_path: Path,
) -> None:
    """Two sites with f(w) = a/2 (w - b)²: the minimum of their mean is Σab/Σa; federated averaging stops elsewhere."""
    plan = replace(PLAN, rounds=400, local_steps=10, learning_rate=0.05)
    curves = {"ALPHA": (1.0, 0.0), "BRAVO": (8.0, 1.0)}
    ends = {}
    for name in ("fedavg", "scaffold"):
        words = replace(plan, strategy=Strategy(name))
        folder = tmp_path / name
        folder.mkdir()
        names = sorted(tensor_shapes(words))
        point = {key: np.zeros(shape, np.float32) for key, shape in tensor_shapes(words).items()}
        # One number is enough: all tensors but one stay at zero, and so do their control variates.
        tensor = min(names, key=lambda key: point[key].size)
        optimiser = ServerOptimiser(words, folder)
        local = {site: LocalTensors(words, folder / site) for site in curves}
        for number in range(60):
            received = {**point, **optimiser.sent_along(number)}
            sent = []
            for site, (slope, middle) in curves.items():
                correction = local[site].correction(number, received)
                extra = correction[tensor].astype(np.float64) if correction else 0.0
                moving = point[tensor].astype(np.float64)
                for step in range(words.local_steps):
                    rate = rate_at(words, number * words.local_steps + step)
                    moving = moving - rate * (slope * (moving - middle) + extra)
                trained = {**point, tensor: moving.astype(np.float32)}
                sent.append(local[site].finish(number, received, trained))
            mean = {
                key: ((sent[0][key] + sent[1][key].astype(np.float64)) / 2).astype(np.float32)
                for key in sent[0]
            }
            point = optimiser.step(number, point, mean)
        ends[name] = float(point[tensor].reshape(-1)[0])
    assert ends["scaffold"] == pytest.approx(8 / 9, abs=2e-3)
    assert abs(ends["fedavg"] - 8 / 9) > 0.05


def test_other_strategies_keep_nothing_at_a_site(tmp_path: Path) -> None:
    weights = initial_weights(PLAN)
    local = LocalTensors(PLAN, tmp_path / "never")
    assert local.finish(0, weights, weights) is weights
    assert not (tmp_path / "never").exists()


def test_an_ensemble_of_equals_is_each_of_them() -> None:
    weights = train_local(replace(PLAN, local_steps=8), SITES["ALPHA"], initial_weights(PLAN))
    unseen = make_cases(9, 2)
    assert evaluate_ensemble(PLAN, [weights, weights], unseen) == evaluate(PLAN, weights, unseen)


def test_a_long_update_is_shortened_at_the_site_and_refused_at_the_server() -> None:
    plan = replace(PLAN, update_norm=0.05)
    start = initial_weights(plan)
    free, _ = Trainer(PLAN, SITES["ALPHA"]).train_round(start, 0)
    trained, _ = Trainer(plan, SITES["ALPHA"]).train_round(start, 0)
    assert update_norm(start, free) > 0.05 >= update_norm(start, trained) > 0.04
    check_update(start, trained, plan.update_norm)
    with pytest.raises(BadWeights, match="longer"):
        check_update(start, free, plan.update_norm)
    nothing = {name: np.full_like(value, np.nan) for name, value in start.items()}
    with pytest.raises(BadWeights, match="longer"):
        check_update(start, nothing, plan.update_norm)
    assert limit_update(start, free, None).keys() == free.keys()


@pytest.mark.parametrize(
    "words",
    [
        {"name": "swarm"},
        {"name": "fedprox"},
        {"name": "fedavg", "proximal": 0.1},
        {"name": "fedopt"},
        {"name": "fedopt", "server": "sgd"},
        {"name": "fedavg", "server_rate": 0.0},
        {"name": "fedavg", "code": "x"},
    ],
)
def test_a_strategy_that_is_not_exact_here_is_refused(words: dict) -> None:
    with pytest.raises(ValueError, match=r"strategy|fedprox|fedopt|optimiser|unknown"):
        Strategy.from_dict(words)
