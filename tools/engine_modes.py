"""Every mode of a plan in the engine's real processes, beside the same rounds as a plain loop: what must be equal, is.

``python tools/engine_modes.py --folder out`` prints one JSON document; minutes, three sites on this machine.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from racoon.cli.federation import train_federated
from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.domain.training import Privacy, Strategy
from racoon.learning.aggregation import ExactMean
from racoon.learning.architectures import initial_weights
from racoon.learning.cases import Case, prepare_case, save_case
from racoon.learning.spending import load_charges
from racoon.learning.strategies import LocalTensors, ServerOptimiser, exchanged_shapes
from racoon.learning.weights import Weights, load_weights

PLAN = TrainingPlan(
    name="blocks",
    modality="CT",
    labels=(Code("1", "99T", "Block"),),
    size=(32, 32),
    rounds=2,
    local_steps=3,
    batch_size=2,
    min_sites=3,
    min_cases=2,
)
SITES = ("ALPHA", "BRAVO", "CHARLIE")
MODES: Mapping[str, TrainingPlan] = {
    "fedavg": PLAN,
    "secure sum": replace(PLAN, strategy=Strategy(secure_sum=True)),
    "scaffold": replace(PLAN, strategy=Strategy("scaffold")),
    "cyclic": replace(PLAN, strategy=Strategy("cyclic")),
    "private": replace(
        PLAN, privacy=Privacy(noise=1.0, clip=1.0, epsilon=30.0), strategy=Strategy(secure_sum=True)
    ),
}


def make_cases(seed: int, count: int) -> list[Case]:
    """Make small volumes with a bright block."""
    generator = np.random.default_rng(seed)
    cases = []
    for index in range(count):
        mask = np.zeros((6, 32, 32), bool)
        row, column = generator.integers(4, 18, 2)
        mask[1:5, row : row + 9, column : column + 9] = True
        voxels = generator.normal(-700, 60, mask.shape) + 500.0 * mask
        cases.append(prepare_case(PLAN, f"{seed}.{index}", voxels, [mask]))
    return cases


def rounds_as_a_loop(plan: TrainingPlan, cases: Mapping[str, Sequence[Case]], folder: Path) -> Weights:
    """Do a plan's rounds in this process, without any engine."""
    # This module must be listed where the extra is not installed; only running it needs torch.
    from racoon.learning.training import Trainer  # noqa: PLC0415 - see above

    trainers = {site: Trainer(plan, own) for site, own in cases.items()}
    local = {site: LocalTensors(plan, folder / site) for site in cases}
    folder.mkdir(parents=True, exist_ok=True)
    optimiser = ServerOptimiser(plan, folder)
    weights = initial_weights(plan)
    for number in range(plan.rounds):
        mean = ExactMean(exchanged_shapes(plan))
        for site, trainer in trainers.items():
            received = {**weights, **optimiser.sent_along(number)}
            trained, facts = trainer.train_round(
                local[site].begin(number, received), number, local[site].correction(number, received)
            )
            if plan.strategy.name == "cyclic":
                weights = trained
            else:
                mean.add(site, local[site].finish(number, received, trained), facts.cases)
        if plan.strategy.name != "cyclic":
            weights = optimiser.step(number, weights, mean.take())
    return weights


def run_mode(name: str, folder: Path) -> dict[str, Any]:
    """Run one mode through the engine and, where it has no secret randomness, as a loop.

    Returns
    -------
    dict
        ``equal`` (bit for bit; ``None`` of a private training), ``rounds`` with who answered, and for a private
        training ``epsilon`` per site as the rounds tell it.
    """
    plan = MODES[name]
    cases = {site: make_cases(number, 3) for number, site in enumerate(SITES, start=1)}
    folders = {site: folder / "cases" / site for site in SITES}
    for site, own in cases.items():
        folders[site].mkdir(parents=True, exist_ok=True)
        for case in own:
            save_case(folders[site], case)
    # The engine reads the cases in the order of their names.
    ordered = {site: sorted(own, key=lambda case: case.name) for site, own in cases.items()}
    models, rounds = train_federated(plan, folders, folder / "engine", lambda *_: None)
    found = load_weights(models[""])
    answer: dict[str, Any] = {
        "equal": None,
        "answered": [sorted(entry["sites"]) for entry in rounds],
        "refused": [entry["refused"] for entry in rounds],
    }
    if plan.privacy is None:
        # Masks cancel: a secure sum is compared with the plain one.
        plain = replace(plan, strategy=replace(plan.strategy, secure_sum=False))
        wanted = rounds_as_a_loop(plain, ordered, folder / "loop")
        answer["equal"] = all(found[key].tobytes() == wanted[key].tobytes() for key in wanted)
        return answer
    last = rounds[-1]["sites"]
    answer["epsilon"] = {site: facts["epsilon"] for site, facts in last.items()}
    answer["losses told"] = sum("loss" in facts for entry in rounds for facts in entry["sites"].values())
    answer["charges"] = {
        site: len(load_charges(folder / "engine" / "sites" / site / "ledger.jsonl")) for site in SITES
    }
    return answer


def main() -> int:
    """Print what each mode gave."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument(
        "--mode", action="append", choices=sorted(MODES), help="may be repeated; all if not given"
    )
    options = parser.parse_args()
    found = {
        name: run_mode(name, options.folder.resolve() / name.replace(" ", "-"))
        for name in options.mode or MODES
    }
    json.dump(found, sys.stdout, indent=1)
    return 0


if __name__ == "__main__":
    sys.exit(main())
