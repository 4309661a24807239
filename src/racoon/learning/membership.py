"""Whether a model betrays who trained it: how well its own scores tell training cases from unseen ones.

The attack of the run's report knows each case's reference and guesses "trained on" where the model is better
(doi:10.1109/CSF.2018.00027).  0.5 is chance; what a stronger attacker could do is not measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

RESAMPLES = 2000

MEANING = (
    "Area under the ROC curve of guessing from a case's score whether the model was trained on it; 0.5 is chance. "
    "95 % percentile bootstrap over the cases of both groups, 2000 resamples, seed 1."
)


def membership_check(
    members: Sequence[float | None], others: Sequence[float | None]
) -> dict[str, Any] | None:
    """Compare a model's scores on cases it was trained on with those on cases it never saw.

    Parameters
    ----------
    members, others
        One score per case, higher is better; ``None`` where it is not defined.

    Returns
    -------
    dict or None
        ``auc``, ``lower``, ``upper``, ``members``, ``others``; ``None`` with fewer than two cases in a group.
    """
    inside = np.array([value for value in members if value is not None], dtype=np.float64)
    outside = np.array([value for value in others if value is not None], dtype=np.float64)
    if min(len(inside), len(outside)) < 2:
        return None
    inside, outside = np.sort(inside), np.sort(outside)
    wins = (inside[:, None] > outside) + 0.5 * (inside[:, None] == outside)
    generator = np.random.Generator(np.random.PCG64(1))
    first = generator.multinomial(len(inside), np.full(len(inside), 1 / len(inside)), RESAMPLES)
    second = generator.multinomial(len(outside), np.full(len(outside), 1 / len(outside)), RESAMPLES)
    areas = ((first @ wins) * second).sum(axis=1) / (len(inside) * len(outside))
    lower, upper = np.quantile(areas, [0.025, 0.975])
    return {
        "auc": float(wins.mean()),
        "lower": float(lower),
        "upper": float(upper),
        "members": len(inside),
        "others": len(outside),
    }
