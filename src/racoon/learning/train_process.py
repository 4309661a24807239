"""The child process that holds torch: ``python -m racoon.learning.train_process COMMAND …``.

Reads and writes files, prints one JSON object per line on standard output, ends with its parent.  ``train``
resumes from its last finished round; ``rounds`` serves the federated engine, one request line per round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from racoon.domain.plan import TrainingPlan
from racoon.errors import RacoonError, Refused
from racoon.learning.cases import BadCase, Case, load_cases
from racoon.learning.extra import require_extra
from racoon.learning.lifeline import watch_parent
from racoon.learning.weights import load_weights, save_weights

if TYPE_CHECKING:
    from racoon.learning.training import Trainer

NICENESS = 5
"""Training gives way to intake, people and the heartbeat, without starving on a busy small machine."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 3 with an error line for an error of ours."""
    options = _parser().parse_args(arguments)
    watch_parent()
    os.nice(NICENESS)
    try:
        require_extra("torch", "safetensors")
        plan = TrainingPlan.from_dict(json.loads(options.plan.read_text(encoding="utf-8")))
        if options.command == "train":
            _train(plan, options)
        elif options.command == "evaluate":
            models: dict[str, list[Path]] = {}
            for name, _, path in (item.partition("=") for item in options.model):
                models.setdefault(name, []).append(Path(path))
            _evaluate(plan, options.cases, models, options.folder)
        elif options.command == "golden":
            _write_golden(plan, options.weights)
        elif options.command == "afford":
            _make_trainer(plan, options).require_affordable(plan.rounds)
            _say({"event": "done"})
        else:
            _serve_rounds(_make_trainer(plan, options))
    except RacoonError as error:
        _say({"event": "error", **describe(error)})
        return 3
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="racoon.learning.train_process", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "evaluate", "rounds", "golden", "afford"):
        command = commands.add_parser(name)
        command.add_argument("--plan", type=Path, required=True, help="JSON of the training plan")
        if name == "golden":
            command.add_argument(
                "--weights",
                type=Path,
                action="append",
                required=True,
                help="weights of a model, may be repeated",
            )
            continue
        command.add_argument("--cases", type=Path, required=True, help="folder of prepared cases")
        if name not in {"rounds", "afford"}:
            command.add_argument("--folder", type=Path, required=True, help="where results are written")
        if name == "train":
            command.add_argument("--weights", type=Path, required=True, help="weights to start from")
        if name != "evaluate":
            command.add_argument("--ledger", type=Path, help="account of private trainings")
            command.add_argument("--budget", type=float, help="largest epsilon of the whole ledger")
            command.add_argument("--run", default="local", help="name of the run in the ledger")
        if name == "evaluate":
            command.add_argument(
                "--model",
                action="append",
                required=True,
                help="NAME=WEIGHTS, may be repeated; the same name again makes an ensemble",
            )
    return parser


def describe(error: RacoonError) -> dict[str, Any]:
    """Put an error of ours into a line the parent can raise again."""
    return {"kind": error.kind, "code": error.error_code, "message": error.public_message}


def _make_trainer(plan: TrainingPlan, options: argparse.Namespace) -> Trainer:
    from racoon.learning.training import Trainer

    cases = load_cases(options.cases)
    if plan.privacy is None:
        return Trainer(plan, cases)
    from racoon.learning.private_training import PrivateTrainer
    from racoon.learning.spending import Purse

    if options.ledger is None:
        raise Refused("A private training needs the site's ledger.", code="learning.not_private")
    return PrivateTrainer(plan, cases, Purse(options.ledger, options.budget), options.run)


def _train(plan: TrainingPlan, options: argparse.Namespace) -> None:
    from racoon.learning.training import RoundFacts, train_local
    from racoon.learning.weights import Weights

    cases, weights, folder = options.cases, options.weights, options.folder
    folder.mkdir(parents=True, exist_ok=True)
    history = _read_history(folder)
    start = (
        load_weights(folder / f"round-{len(history) - 1}.safetensors") if history else load_weights(weights)
    )

    def on_round(trained: Weights, facts: RoundFacts) -> None:
        save_weights(folder / f"round-{facts.round_index}.safetensors", trained)
        with (folder / "rounds.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(facts.to_dict()) + "\n")
        (folder / f"round-{facts.round_index - 1}.safetensors").unlink(missing_ok=True)
        _say({"event": "round", "rounds": plan.rounds, **facts.to_dict()})

    trainer = _make_trainer(plan, options)
    if not history:
        trainer.require_affordable(plan.rounds)
    final = train_local(
        plan, load_cases(cases), start, first_round=len(history), on_round=on_round, trainer=trainer
    )
    save_weights(folder / "final.safetensors", final)
    _say({"event": "done", "rounds": plan.rounds})


def _read_history(folder: Path) -> list[dict[str, Any]]:
    path = folder / "rounds.jsonl"
    if not path.exists():
        return []
    history = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            history.append(json.loads(line))
        except json.JSONDecodeError:
            break
    while history and not (folder / f"round-{len(history) - 1}.safetensors").exists():
        history.pop()
    path.write_text("".join(json.dumps(entry) + "\n" for entry in history), encoding="utf-8")
    return history


def _write_golden(plan: TrainingPlan, models: list[Path]) -> None:
    from racoon.learning.inference import golden_example
    from racoon.learning.runtimes.exporting import export_graph
    from racoon.platform.files import write_atomically

    for path in models:
        weights = load_weights(path)
        images, scores = golden_example(plan, weights)
        save_weights(path.with_name(f"golden-{path.name}"), {"input": images, "scores": scores})
        graph = export_graph(plan, weights, images, scores)
        write_atomically(path.with_name(f"{path.stem}.onnx"), graph, mode=0o644)
    _say({"event": "done"})


def _evaluate(plan: TrainingPlan, cases: Path, models: dict[str, list[Path]], folder: Path) -> None:
    from racoon.learning.readings import score_constant
    from racoon.learning.scores import best_trivial, score_trivial
    from racoon.learning.training import evaluate_ensemble

    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_cases(cases)
    if not loaded:
        raise BadCase("There is no prepared case to evaluate on.")
    scores: dict[str, dict[str, Any]] = {}
    for name, paths in sorted(models.items()):
        score = evaluate_ensemble(plan, [load_weights(path) for path in paths], loaded)
        scores[name] = score.to_dict()
        _say({"event": "model", "name": name, "models": len(models), "mean": score.mean})
    if plan.target is None:
        trivial = score_trivial(loaded, len(plan.labels))
        name, mean = best_trivial(trivial)
        every = {key: value.to_dict() for key, value in trivial.items()}
    else:
        ((name, constant),) = score_constant(plan, loaded).items()
        mean, every = constant.mean, {name: constant.to_dict()}
    result = {
        "cases": len(loaded),
        "models": scores,
        "baseline": {"name": name, "mean": mean, "all": every},
    }
    result["worst"] = _draw_worst(
        plan, loaded, {name: models[name] for name in scores}, scores, folder / "worst"
    )
    temporary = folder / ".scores.part"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / "scores.json")
    _say({"event": "done", "models": len(models)})


def _draw_worst(
    plan: TrainingPlan,
    cases: Sequence[Case],
    models: dict[str, list[Path]],
    scores: dict[str, dict[str, Any]],
    folder: Path,
) -> list[str]:
    """Draw where the federated model fails most, or without one the first: for people at this site.

    Returns the names of the cases, in the order of their pictures.
    """
    from racoon.learning.gallery import draw_case, draw_reading, save_pictures, worst_cases
    from racoon.learning.readings import LOWER_IS_BETTER, METRICS
    from racoon.learning.runtimes.torch_runtime import open_torch
    from racoon.learning.windows import segment_case

    name = "federated" if "federated" in models else min(models)
    by_name = {case.name: case for case in cases}
    found = worst_cases(scores[name]["per_case"], largest_first=METRICS[plan.task] in LOWER_IS_BETTER)
    worst = [by_name[case] for case in found]
    if plan.target is not None:
        readings = scores[name]["readings"]
        save_pictures(folder, [draw_reading(plan, case, *readings[case.name]) for case in worst])
        return found
    networks = [open_torch(plan, load_weights(path)) for path in models[name]]
    save_pictures(folder, [draw_case(case, segment_case(networks, case, plan)) for case in worst])
    return found


def _serve_rounds(trainer: Trainer) -> None:
    _say({"event": "ready"})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            extra = request.get("correction")
            trained, facts = trainer.train_round(
                load_weights(Path(request["weights"])),
                int(request["round"]),
                load_weights(Path(extra)) if extra else None,
            )
            save_weights(Path(request["out"]), trained, is_durable=False)
        except RacoonError as error:
            _say({"event": "error", **describe(error)})
            continue
        _say({"event": "round", **facts.to_dict()})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
