"""Words and rules of preparing and training at a site.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.comparison import case_means
from racoon.science.statistics.bootstrap import bootstrap_mean


class TooFewCases(Refused):
    """The site has fewer usable cases than plan or site demand."""

    code: ClassVar[str] = "compute.too_few_cases"


@dataclass(frozen=True)
class ShelvedModel:
    """A model package that stands, or stood, on this node's shelf.

    Parameters
    ----------
    digest
        Hash of the package: its name.
    name, version, signer
        What it is, and who signed it.
    source
        ``library`` or ``file``.
    runtime
        What repeated its golden example here.
    added_at, withdrawn_at, reason
        Since when it stands here; when and why CENTRAL's library took it back.
    """

    digest: str
    name: str
    version: str
    signer: str
    source: str
    runtime: str
    added_at: datetime
    withdrawn_at: datetime | None = None
    reason: str = ""


@dataclass(frozen=True)
class Preparation:
    """Prepared cases of one dataset for one plan.

    Parameters
    ----------
    cases
        Number of cases.
    subjects
        Number of distinct subjects among them.
    skipped
        Reason → number of series that are not among them.
    resampled
        Number of cases that were interpolated, because their series is no regular volume and the plan says so.
    """

    cases: int
    subjects: int
    skipped: Mapping[str, int]
    resampled: int = 0

    def require(self, minimum: int) -> None:
        """Refuse if there are fewer subjects than the minimum.

        Raises
        ------
        TooFewCases
        """
        if self.subjects < minimum:
            raise TooFewCases(
                "This site has too few usable cases for the training.", details={"minimum": minimum}
            )


def preparation_key(plan: TrainingPlan, manifest: DatasetManifest) -> str:
    """Return what prepared cases depend on: the dataset and the plan's input, not its schedule.

    Local, pooled and federated trainings of one study share one preparation.
    """
    parts: dict[str, Any] = {
        "dataset": manifest.hash,
        "modality": plan.modality,
        "labels": [label.key for label in plan.labels],
        "size": list(plan.size),
        "window_hu": list(plan.window_hu) if plan.window_hu else None,
    }
    if plan.target:
        # Class weights change the training, not the cases.
        parts["target"] = {"task": plan.task, **replace(plan.target, weights=()).to_dict()}
    if plan.irregular != "refuse":
        parts["irregular"] = plan.irregular
    if plan.larger != "shrink":
        parts["larger"] = plan.larger
    if plan.spacing_mm:
        parts["spacing_mm"] = list(plan.spacing_mm)
    return content_hash(parts)[:24]


def label_index(labels: Sequence[Code], label: Code) -> int | None:
    """Return the position of a segment's code among the plan's labels; meanings do not count."""
    for index, wanted in enumerate(labels):
        if wanted.key == label.key:
            return index
    return None


def summarise_scores(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Turn per-case scores into the aggregate that asks ``release`` for permission.

    Parameters
    ----------
    scores
        ``scores.json`` of the training process.

    Returns
    -------
    dict
        Per model and label ``n``, ``sum`` and ``sum_of_squares`` of Dice, of cases told (1 or 0) or of absolute
        errors; per model the ``metric`` and its mean with its bootstrap ``interval``; number of cases; the best trivial
        model. No value of a single case.
    """
    everything = {**scores["models"], f"baseline:{scores['baseline']['name']}": _baseline(scores)}
    return {
        "cases": scores["cases"],
        "baseline": scores["baseline"]["name"],
        "models": {
            name: {
                ("mean_dice" if score["metric"] == "dice" else "mean"): score["mean"],
                "metric": score["metric"],
                "labels": _moments(score),
                "interval": _interval(score),
            }
            for name, score in everything.items()
        },
    }


def _baseline(scores: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, Any] = scores["baseline"]["all"][scores["baseline"]["name"]]
    return chosen


def _interval(score: Mapping[str, Any]) -> dict[str, Any]:
    if "measures" in score:
        return {name: score["measures"][score["metric"]][name] for name in ("n", "mean", "lower", "upper")}
    return bootstrap_mean(case_means(score)).to_dict()


def _moments(score: Mapping[str, Any]) -> list[dict[str, float | int]]:
    columns = zip(*score["per_case"].values(), strict=True)
    result: list[dict[str, float | int]] = []
    for column in columns:
        values = [value for value in column if value is not None]
        result.append(
            {"n": len(values), "sum": sum(values), "sum_of_squares": sum(value * value for value in values)}
        )
    return result
