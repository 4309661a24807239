"""The child process that holds torch: ``python -m racoon.learning.train_process COMMAND …``.

Reads and writes files, prints one JSON object per line on standard output, ends with its parent.  ``train``
resumes from its last finished round; ``rounds`` serves the federated engine, one request line per round.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from racoon.domain.plan import TrainingPlan
from racoon.errors import RacoonError
from racoon.learning.cases import BadCase, load_cases
from racoon.learning.extra import require_extra
from racoon.learning.lifeline import watch_parent
from racoon.learning.weights import load_weights, save_weights

NICENESS = 5
"""Training gives way to intake, people and the heartbeat, without starving on a busy small machine."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; 0 on success, 3 with an error line for an error of ours."""
    parser = argparse.ArgumentParser(prog="racoon.learning.train_process", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("train", "evaluate", "rounds", "golden"):
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
        if name != "rounds":
            command.add_argument("--folder", type=Path, required=True, help="where results are written")
        if name == "train":
            command.add_argument("--weights", type=Path, required=True, help="weights to start from")
        if name == "evaluate":
            command.add_argument(
                "--model",
                action="append",
                required=True,
                help="NAME=WEIGHTS, may be repeated; the same name again makes an ensemble",
            )
    options = parser.parse_args(arguments)
    watch_parent()
    os.nice(NICENESS)
    try:
        require_extra("torch", "safetensors")
        plan = TrainingPlan.from_dict(json.loads(options.plan.read_text(encoding="utf-8")))
        if options.command == "train":
            _train(plan, options.cases, options.weights, options.folder)
        elif options.command == "evaluate":
            models: dict[str, list[Path]] = {}
            for name, _, path in (item.partition("=") for item in options.model):
                models.setdefault(name, []).append(Path(path))
            _evaluate(plan, options.cases, models, options.folder)
        elif options.command == "golden":
            _write_golden(plan, options.weights)
        else:
            _serve_rounds(plan, options.cases)
    except RacoonError as error:
        _say({"event": "error", **describe(error)})
        return 3
    return 0


def describe(error: RacoonError) -> dict[str, Any]:
    """Put an error of ours into a line the parent can raise again."""
    return {"kind": error.kind, "code": error.error_code, "message": error.public_message}


def _train(plan: TrainingPlan, cases: Path, weights: Path, folder: Path) -> None:
    from racoon.learning.training import RoundFacts, train_local
    from racoon.learning.weights import Weights

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

    final = train_local(plan, load_cases(cases), start, first_round=len(history), on_round=on_round)
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

    for path in models:
        images, scores = golden_example(plan, load_weights(path))
        save_weights(path.with_name(f"golden-{path.name}"), {"input": images, "scores": scores})
    _say({"event": "done"})


def _evaluate(plan: TrainingPlan, cases: Path, models: dict[str, list[Path]], folder: Path) -> None:
    from racoon.learning.scores import best_trivial, score_trivial
    from racoon.learning.training import evaluate_ensemble

    folder.mkdir(parents=True, exist_ok=True)
    loaded = load_cases(cases)
    if not loaded:
        raise BadCase("There is no prepared case to evaluate on.")
    scores = {}
    for name, paths in sorted(models.items()):
        score = evaluate_ensemble(plan, [load_weights(path) for path in paths], loaded)
        scores[name] = score.to_dict()
        _say({"event": "model", "name": name, "models": len(models), "mean_dice": score.mean})
    trivial = score_trivial(loaded, len(plan.labels))
    name, mean = best_trivial(trivial)
    result = {
        "cases": len(loaded),
        "models": scores,
        "baseline": {
            "name": name,
            "mean_dice": mean,
            "all": {key: value.to_dict() for key, value in trivial.items()},
        },
    }
    temporary = folder / ".scores.part"
    temporary.write_text(json.dumps(result), encoding="utf-8")
    temporary.replace(folder / "scores.json")
    _say({"event": "done", "models": len(models)})


def _serve_rounds(plan: TrainingPlan, cases: Path) -> None:
    from racoon.learning.training import Trainer

    trainer = Trainer(plan, load_cases(cases))
    _say({"event": "ready"})
    for line in sys.stdin:
        request = json.loads(line)
        try:
            trained, facts = trainer.train_round(
                load_weights(Path(request["weights"])), int(request["round"])
            )
            save_weights(Path(request["out"]), trained)
        except RacoonError as error:
            _say({"event": "error", **describe(error)})
            continue
        _say({"event": "round", **facts.to_dict()})


def _say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
