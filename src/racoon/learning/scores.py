"""Overlap of a segmentation with its reference, and what doing almost nothing would have scored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon.learning.cases import Case

THRESHOLDS = 32
"""Intensity levels tried by the threshold baseline in each direction."""

PRIOR_SLICES = 24
"""Relative slice positions at which the prior's mean mask is kept."""


@dataclass(frozen=True)
class Score:
    """Dice coefficients of one model on some cases.

    Parameters
    ----------
    per_case
        Case name → one Dice per label in the plan's order; ``None`` where reference and prediction are both
        empty.
    """

    per_case: dict[str, tuple[float | None, ...]]

    @property
    def per_label(self) -> tuple[float | None, ...]:
        """Mean over the cases where it is defined, per label."""
        columns = zip(*self.per_case.values(), strict=True)
        return tuple(_mean([value for value in column if value is not None]) for column in columns)

    @property
    def mean(self) -> float:
        """Mean over labels of the per-label means; 0 if nothing is defined."""
        return _mean([value for value in self.per_label if value is not None]) or 0.0

    def to_dict(self) -> dict[str, object]:
        """Return the JSON form."""
        return {
            "metric": "dice",
            "mean": self.mean,
            "per_label": list(self.per_label),
            "per_case": {name: list(values) for name, values in sorted(self.per_case.items())},
        }


def dice_per_label(
    predicted: npt.NDArray[np.uint8], reference: npt.NDArray[np.uint8], labels: int
) -> tuple[float | None, ...]:
    """Compute the Dice coefficient of each label over a whole volume.

    Parameters
    ----------
    predicted, reference
        Class indices ``(slice, row, column)``.
    labels
        Number of labels.

    Returns
    -------
    tuple
        ``2 |A ∩ B| / (|A| + |B|)`` per label; ``None`` where both are empty (doi:10.2307/1932409).
    """
    values: list[float | None] = []
    for label in range(1, labels + 1):
        a, b = predicted == label, reference == label
        total = int(a.sum()) + int(b.sum())
        values.append(2.0 * int((a & b).sum()) / total if total else None)
    return tuple(values)


def score_trivial(cases: Sequence[Case], labels: int) -> dict[str, Score]:
    """Score models that look at nothing, or only at brightness.

    Returns
    -------
    dict
        ``"empty"`` predicts no structure; ``"prior"`` the mean mask of the *other* cases at the same relative
        slice; ``"threshold"`` everything above or below the intensity that suits **these very cases** best.
        The last two see more than a model may, so they are on the generous side.
    """
    empty = {c.name: dice_per_label(np.zeros_like(c.classes), c.classes, labels) for c in cases}
    return {
        "empty": Score(empty),
        "prior": _score_prior(cases, labels),
        "threshold": _score_threshold(cases, labels),
    }


def best_trivial(scores: dict[str, Score]) -> tuple[str, float]:
    """Return name and mean Dice of the best trivial model."""
    name = max(sorted(scores), key=lambda item: scores[item].mean)
    return name, scores[name].mean


def _score_prior(cases: Sequence[Case], labels: int) -> Score:
    grids = np.stack([_to_grid(case.classes, labels) for case in cases])
    total = grids.sum(axis=0)
    per_case = {}
    for case, grid in zip(cases, grids, strict=True):
        others = (total - grid) / max(len(cases) - 1, 1)
        positions = np.linspace(0, PRIOR_SLICES - 1, len(case.classes)).round().astype(int)
        prior = others[:, positions]
        chosen = prior.argmax(axis=0).astype(np.uint8) + 1
        predicted = np.where(prior.max(axis=0) >= 0.5, chosen, 0).astype(np.uint8)
        per_case[case.name] = dice_per_label(predicted, case.classes, labels)
    return Score(per_case)


def _to_grid(classes: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.float32]:
    positions = np.linspace(0, len(classes) - 1, PRIOR_SLICES).round().astype(int)
    return np.stack([classes[positions] == label for label in range(1, labels + 1)]).astype(np.float32)


def _score_threshold(cases: Sequence[Case], labels: int) -> Score:
    levels = np.linspace(-1.0, 1.0, THRESHOLDS)
    columns: list[list[float | None]] = []
    for label in range(1, labels + 1):
        best: tuple[float, list[float | None]] = (-1.0, [None] * len(cases))
        tables = [_threshold_table(case, label, levels) for case in cases]
        for index in range(2 * THRESHOLDS):
            values = [table[index] for table in tables]
            mean = _mean([value for value in values if value is not None]) or 0.0
            if mean > best[0]:
                best = (mean, values)
        columns.append(best[1])
    return Score({case.name: tuple(column[i] for column in columns) for i, case in enumerate(cases)})


def _threshold_table(case: Case, label: int, levels: npt.NDArray[np.float64]) -> list[float | None]:
    image, wanted = case.image.astype(np.float32).ravel(), (case.classes == label).ravel()
    edges = np.concatenate([[-np.inf], levels, [np.inf]])
    all_counts = np.histogram(image, edges)[0]
    hits = np.histogram(image[wanted], edges)[0]
    total = int(wanted.sum())
    values: list[float | None] = []
    for counted, matched in ((all_counts[::-1], hits[::-1]), (all_counts, hits)):
        sizes, overlaps = counted.cumsum()[:-1], matched.cumsum()[:-1]
        for size, overlap in zip(sizes.tolist(), overlaps.tolist(), strict=True):
            values.append(2.0 * overlap / (size + total) if size + total else None)
    return values


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
