"""What networks read off whole images: outputs made into classes or numbers, scored beside looking at nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import CLASSIFICATION, TrainingPlan
from racoon.learning.cases import Case
from racoon.learning.runtimes.port import Network
from racoon.learning.windows import softmax
from racoon.science.statistics.readings import class_measures, number_measures

METRICS: Mapping[str, str] = {
    "segmentation": "dice",
    "classification": "balanced_accuracy",
    "regression": "mae",
}
"""By task, the one number by which models are compared."""

LOWER_IS_BETTER = frozenset({"mae"})

Readings = Mapping[str, tuple[float, tuple[float, ...]]]
"""Case name → truth (class index, or number in the target's unit) and what was read (probabilities, or the number)."""


def read_image(
    networks: Sequence[Network], image: npt.NDArray[np.generic], plan: TrainingPlan
) -> tuple[float, ...]:
    """Return the mean over some networks of class probabilities, or of the number in the target's unit.

    Parameters
    ----------
    networks
        One, or an ensemble of equals.
    image
        Of a prepared case: ``(slice, row, column)``.
    plan
        Of all of them.
    """
    sample = image_sample(image, plan)[None]
    outputs = np.stack([network(sample)[0] for network in networks])
    if plan.task == CLASSIFICATION:
        return tuple(softmax(outputs).astype(np.float64).mean(axis=0).tolist())
    decode = plan.target.decode if plan.target else float
    return (float(np.mean([decode(float(value)) for value in outputs[:, 0]])),)


def image_sample(image: npt.NDArray[np.generic], plan: TrainingPlan) -> npt.NDArray[np.float32]:
    """Return a prepared image as a network's sample: one channel, then the plan's window."""
    return np.asarray(image, np.float32).reshape(1, *plan.size)


@dataclass(frozen=True)
class ReadingScore:
    """Readings of one model beside the truth.

    Parameters
    ----------
    task
        ``classification`` or ``regression``.
    readings
        Of each case.
    labels
        Number of the plan's labels.
    """

    task: str
    readings: Readings
    labels: int

    @property
    def per_case(self) -> dict[str, tuple[float | None, ...]]:
        """Return per case and label 1 or 0 for told or not, at the case's class; or the absolute error."""
        rows: dict[str, tuple[float | None, ...]] = {}
        for name, (truth, read) in self.readings.items():
            if self.task == CLASSIFICATION:
                told = float(int(np.argmax(read)) == int(truth))
                rows[name] = tuple(told if k == int(truth) else None for k in range(self.labels))
            else:
                rows[name] = (abs(read[0] - truth),)
        return rows

    @property
    def mean(self) -> float:
        """The number of :data:`METRICS`: mean over labels of the means over their cases."""
        columns = zip(*self.per_case.values(), strict=True)
        means = [float(np.mean(known)) for c in columns if (known := [v for v in c if v is not None])]
        return float(np.mean(means)) if means else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, with every measure and its interval."""
        return {
            "metric": METRICS[self.task],
            "mean": self.mean,
            "per_case": {name: list(row) for name, row in sorted(self.per_case.items())},
            "task": self.task,
            "readings": {name: [truth, list(read)] for name, (truth, read) in sorted(self.readings.items())},
            "measures": measures_of(self.task, self.readings),
        }


def measures_of(task: str, readings: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Compute every measure of a task from readings; in the order of the cases' names."""
    rows = [readings[name] for name in sorted(readings)]
    if task == CLASSIFICATION:
        return class_measures([int(truth) for truth, _ in rows], [list(read) for _, read in rows])
    return number_measures([float(truth) for truth, _ in rows], [float(read[0]) for _, read in rows])


def score_cases(plan: TrainingPlan, networks: Sequence[Network], cases: Sequence[Case]) -> ReadingScore:
    """Score a model, or an ensemble, on prepared cases."""
    return ReadingScore(
        plan.task,
        {case.name: (truth_of(plan, case), read_image(networks, case.image, plan)) for case in cases},
        len(plan.labels),
    )


def score_constant(plan: TrainingPlan, cases: Sequence[Case]) -> dict[str, ReadingScore]:
    """Score what says the same of every image.

    Returns
    -------
    dict
        ``"majority"`` gives the shares of the classes of **these very cases**, ``"mean"`` their mean: more than a model
        may know, so on the generous side.
    """
    truths = {case.name: truth_of(plan, case) for case in cases}
    if plan.task == CLASSIFICATION:
        counts = np.bincount([int(value) for value in truths.values()], minlength=len(plan.labels))
        name, read = "majority", tuple((counts / counts.sum()).tolist())
    else:
        name, read = "mean", (float(np.mean(list(truths.values()))),)
    return {name: ReadingScore(plan.task, {k: (v, read) for k, v in truths.items()}, len(plan.labels))}


def truth_of(plan: TrainingPlan, case: Case) -> float:
    """Return a case's class index, or its number in the target's unit."""
    value = float(case.target or 0.0)
    return value if plan.task == CLASSIFICATION or plan.target is None else plan.target.decode(value)


def entropy_share(probabilities: Sequence[float]) -> float:
    """Return how unsure class probabilities are: 0 sure, 1 as good as guessing."""
    shares = np.maximum(np.asarray(probabilities, np.float64), 1e-12)
    return float(-(shares * np.log(shares)).sum() / np.log(len(shares)))
