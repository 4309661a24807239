"""The folder of one federated run, and what it says when the run is finished."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon.central.learning.model import Attempt, RunState
from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import initial_weights, tensor_shapes
from racoon.learning.weights import BadWeights, check_weights, load_weights, save_weights
from racoon.platform.files import write_atomically


@dataclass(frozen=True)
class FederatedResult:
    """What a federated run gave.

    Parameters
    ----------
    weights
        Safetensors file of the last round.
    rounds
        One entry per round: who contributed (cases, loss, seconds), who was missing, how long it took.
    attempts
        Engine jobs that were needed, and why each ended.
    left_out
        Site → public reason.
    """

    weights: Path
    rounds: tuple[dict[str, Any], ...]
    attempts: tuple[Attempt, ...]
    left_out: dict[str, str]

    @property
    def had_dropout(self) -> bool:
        """Whether any round lacks a wanted site."""
        return any(entry["missing"] for entry in self.rounds)

    def to_dict(self) -> dict[str, Any]:
        """Return the account, without weights."""
        return {
            "rounds": list(self.rounds),
            "attempts": [
                {"sites": list(item.sites), "first_round": item.first_round, "ended": item.ended}
                for item in self.attempts
            ],
            "left_out": dict(self.left_out),
            "had_dropout": self.had_dropout,
        }


class RunBook:
    """What was tried and what was aggregated, on disk before anybody acts on it."""

    def __init__(self, folder: Path, plan: TrainingPlan, sites: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._plan = plan
        self._shapes = tensor_shapes(plan)
        path = folder / "state.json"
        if path.exists():
            self.state = RunState.from_dict(json.loads(path.read_bytes()))
        else:
            self.state = RunState(sites, plan.min_sites, plan.rounds)
        if not (folder / "initial.safetensors").exists():
            save_weights(folder / "initial.safetensors", initial_weights(plan))

    def save(self, state: RunState) -> None:
        """Remember durably before acting."""
        self.state = state
        write_atomically(self.folder / "state.json", json.dumps(state.to_dict(), indent=1).encode())

    @property
    def rounds_done(self) -> int:
        """Number of leading rounds that are aggregated and whose newest weights are whole."""
        done = len(self._entries())
        while done and not self._is_whole(done - 1):
            done -= 1
        return done

    def source(self, first_round: int) -> Path:
        """Return the weights a job starting at this round begins with."""
        return self.folder / (
            f"round-{first_round - 1}.safetensors" if first_round else "initial.safetensors"
        )

    def result(self) -> FederatedResult:
        """Return the finished run's result."""
        rounds = tuple(
            entry | {"missing": sorted(set(self.state.wanted) - set(entry["sites"]))}
            for entry in self._entries()
        )
        return FederatedResult(
            self.source(self._plan.rounds), rounds, self.state.attempts, dict(self.state.left_out)
        )

    def _entries(self) -> list[dict[str, Any]]:
        path = self.folder / "rounds.jsonl"
        found: dict[int, dict[str, Any]] = {}
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                except json.JSONDecodeError:
                    continue  # torn by a crash; the round is done again
                found[int(entry["round"])] = entry
        entries: list[dict[str, Any]] = []
        while len(entries) in found and len(entries) < self._plan.rounds:
            entries.append(found[len(entries)])
        return entries

    def _is_whole(self, round_index: int) -> bool:
        try:
            check_weights(load_weights(self.folder / f"round-{round_index}.safetensors"), self._shapes)
        except (FileNotFoundError, BadWeights):
            return False
        return True
