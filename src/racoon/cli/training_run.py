"""One run of ``racoon train``: prepare the sites, train by mode, score on unseen subjects, write packages.

It stands here because the federated mode needs CENTRAL's and the nodes' side of the engine at once.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from racoon.domain.plan import TrainingPlan
from racoon.domain.plan.target import balanced_weights
from racoon.learning.comparison import case_means, comparison_table, verdict
from racoon.learning.extra import require_extra
from racoon.learning.fingerprint import Fingerprint, FingerprintSums
from racoon.learning.laboratory import (
    PreparedSite,
    Report,
    first_cases,
    forget_other_runs,
    package_models,
    pool_cases,
    prepare_site,
    score_models,
    train_here,
    write_plan,
)
from racoon.learning.membership import MEANING, membership_check
from racoon.learning.readings import LOWER_IS_BETTER, METRICS
from racoon.platform.certificates import load_or_create_signing_key
from racoon.platform.files import write_atomically

Result = TypeVar("Result")

COMPARED = ("local", "pooled", "federated")


class TrainingRun:
    """A training plan on some sites' folders.

    Parameters
    ----------
    plan
        What to train.
    sources
        Site to its folder of images with labels.
    folder
        For everything that is made.
    report
        Called with what is done, how far and out of how much.
    """

    def __init__(self, plan: TrainingPlan, sources: Mapping[str, Path], folder: Path, report: Report) -> None:
        require_extra()
        self._plan = plan
        self._folder = folder.resolve()
        self._report = report
        self._folder.mkdir(parents=True, exist_ok=True)
        write_plan(plan, self._folder)
        started = time.monotonic()
        self._sites = [
            prepare_site(plan, name, source, self._folder / "cases" / name, report)
            for name, source in sources.items()
        ]
        self._names = [site.name for site in self._sites]
        forget_other_runs(plan, self._sites, self._folder)
        self._models: dict[str, list[Path]] = {}
        self._only_at: dict[str, str] = {}
        self._rounds: dict[str, Any] = {}
        self._seconds = {"prepare": time.monotonic() - started}

    def run(self, mode: str, statements: Mapping[str, str], key: Path | None) -> dict[str, Any]:
        """Train, score and package.

        Parameters
        ----------
        mode
            ``local``, ``pooled``, ``federated``, or ``compare`` for all of them.
        statements
            ``intended_use`` and ``licence`` for the cards.
        key
            File of the signing key.

        Returns
        -------
        dict
            Sites, fingerprint, table, verdict, account of the rounds and packages; also in ``result.json``.
        """
        trainers = {"local": self._local, "pooled": self._pooled, "federated": self._federated}
        for kind in COMPARED if mode == "compare" else (mode,):
            started = time.monotonic()
            trainers[kind]()
            self._seconds[kind] = time.monotonic() - started
        started = time.monotonic()
        scores = self._scores()
        table = comparison_table(scores)
        membership = self._membership(scores)
        self._seconds["score"] = time.monotonic() - started
        fingerprint = FingerprintSums.merge(site.sums for site in self._sites).fingerprint()
        result: dict[str, Any] = {
            "plan_hash": self._plan.hash,
            "task": self._plan.task,
            "mode": mode,
            "strategy": self._plan.strategy.to_dict(),
            "sites": {site.name: site.to_dict() for site in self._sites},
            "fingerprint": {
                **fingerprint.to_dict(),
                "planned_size": list(fingerprint.planned_size()),
                "planned_configuration": fingerprint.planned_configuration().to_dict(),
                **self._planned_weights(),
            },
            "table": table,
            "verdict": verdict(table, self._names),
            "membership": {"meaning": MEANING, "models": membership},
            "rounds": self._rounds,
            "folder": str(self._folder),
        }
        result["models"] = self._packages(statements, key, result, fingerprint)
        result["seconds"] = {name: round(value, 1) for name, value in self._seconds.items()}
        write_atomically(self._folder / "result.json", json.dumps(result, indent=1).encode(), mode=0o644)
        return result

    def _planned_weights(self) -> dict[str, Any]:
        """Say by which weights every class would count alike, from the sums of the sites' counts."""
        counts = [sum(column) for column in zip(*(site.class_counts for site in self._sites), strict=True)]
        if not counts or min(counts) < 1:
            return {}
        return {"class_counts": counts, "planned_class_weights": list(balanced_weights(counts))}

    def _local(self) -> None:
        def train(site: PreparedSite) -> tuple[Path, list[Any]]:
            folder = self._folder / "runs" / f"local-{site.name}"
            return train_here(self._plan, site.train, folder, self._report, f"local:{site.name}")

        for site, (weights, rounds) in zip(self._sites, _side_by_side(train, self._sites), strict=True):
            self._rounds[f"local:{site.name}"] = rounds
            self._models[f"local:{site.name}"] = [weights]
        if len(self._sites) > 1:
            self._models["ensemble"] = [self._models[f"local:{name}"][0] for name in self._names]

    def _pooled(self) -> None:
        cases = pool_cases(self._sites, self._folder / "cases" / "pooled")
        folder = self._folder / "runs" / "pooled"
        weights, self._rounds["pooled"] = train_here(self._plan, cases, folder, self._report, "pooled")
        self._models["pooled"] = [weights]

    def _federated(self) -> None:
        from racoon.cli.federation import train_federated

        cases = {site.name: site.train for site in self._sites}
        folder = self._folder / "runs" / "federated"
        found, self._rounds["federated"] = train_federated(self._plan, cases, folder, self._report)
        for site, weights in found.items():
            name = f"federated:{site}" if site else "federated"
            self._models[name] = [weights]
            if site:
                self._only_at[name] = site

    def _scores(self) -> dict[str, dict[str, Any]]:
        tested = [site for site in self._sites if site.unseen_cases]

        def score(site: PreparedSite) -> dict[str, Any]:
            chosen = {
                name: paths
                for name, paths in self._models.items()
                if self._only_at.get(name, site.name) == site.name
            }
            return score_models(self._plan, site.unseen, chosen, self._folder / "scores" / site.name)

        scores: dict[str, dict[str, Any]] = {}
        for site, found in zip(tested, _side_by_side(score, tested), strict=True):
            scores[site.name] = found
            self._report("scoring", len(scores), len(tested))
        return scores

    def _membership(self, scores: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
        """Score each model on as many of its own training cases as there are unseen ones, and compare."""
        members: dict[str, list[float | None]] = {}
        others: dict[str, list[float | None]] = {}
        tested = [site for site in self._sites if site.name in scores]

        def score(site: PreparedSite) -> dict[str, Any]:
            trained = {
                name: paths
                for name, paths in self._models.items()
                if name != "ensemble" and name.partition(":")[2] in ("", site.name)
            }
            cases = first_cases(
                site.train, site.unseen_cases, self._folder / "cases" / f"{site.name}-members"
            )
            return score_models(self._plan, cases, trained, self._folder / "scores" / f"{site.name}-members")

        for site, found in zip(tested, _side_by_side(score, tested), strict=True):
            for name in found["models"]:
                members.setdefault(name, []).extend(case_means(found["models"][name]))
                others.setdefault(name, []).extend(case_means(scores[site.name]["models"][name]))
        # The attack guesses "trained on" where a model is better: an error counts the other way round.
        sign = -1.0 if METRICS[self._plan.task] in LOWER_IS_BETTER else 1.0
        return {
            name: membership_check(_signed(sign, members[name]), _signed(sign, others[name]))
            for name in sorted(members)
        }

    def _packages(
        self,
        statements: Mapping[str, str],
        key: Path | None,
        result: Mapping[str, Any],
        fingerprint: Fingerprint,
    ) -> list[dict[str, str]]:
        signing_key = load_or_create_signing_key(key or self._folder / "signing.key")
        named, described = [], []
        for name, paths in sorted(self._models.items()):
            if len(paths) != 1:
                continue
            trained_at = [name.partition(":")[2]] if name.startswith("local:") else self._names
            title = re.sub(r"[^a-z0-9._-]+", "-", f"{self._plan.name}-{name}".lower())
            card = {
                **statements,
                "name": title.strip("-._")[:64] or "model",
                "data": {site.name: site.to_dict() for site in self._sites if site.name in trained_at},
                "metrics": {row["site"]: row for row in result["table"] if row["model"] == name}
                | {"trivial": result["verdict"]["best_trivial"]},
                "training": {
                    "mode": name.partition(":")[0],
                    "strategy": self._plan.strategy.to_dict(),
                    "rounds": self._plan.rounds,
                    "seed": self._plan.seed,
                    "sites": trained_at,
                    "membership": result["membership"]["models"].get(name),
                },
            }
            named.append(name)
            described.append((paths[0], card))
        written = package_models(self._plan, described, fingerprint, self._folder / "models", signing_key)
        return [
            {"name": name, "package": str(path), "hash": path.stem}
            for name, path in zip(named, written, strict=True)
        ]


def _side_by_side(work: Callable[[PreparedSite], Result], sites: Sequence[PreparedSite]) -> Iterator[Result]:
    """Do the work of each site, as many at once as there are processors: each is a process of one thread."""
    with ThreadPoolExecutor(max(1, min(len(sites), os.cpu_count() or 1))) as pool:
        yield from pool.map(work, sites)


def _signed(sign: float, values: Sequence[float | None]) -> list[float | None]:
    return [None if value is None else sign * value for value in values]
