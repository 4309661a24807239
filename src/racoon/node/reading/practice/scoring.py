"""Scores of an attempt against its reference: equal answers, kappa and ICC by question, Dice by label, marks.  Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.domain.questionnaire import Answered, Item, Template, answers_by_path, same_answers
from racoon.node.reading.comparing.items import compare, first_answers, values_of
from racoon.node.reading.practice.model import ANSWERS, PassMark

Masks = Mapping[str, tuple[str, npt.NDArray[np.bool_]]]
"""English name and voxels by key of the label."""

REFERENCE = "reference"

NOT_SCORED = ("string", "text")
"""Free text is shown beside the reference and not scored."""


def is_scored(item: Item) -> bool:
    """Tell whether a question counts: no free text, and nothing that is computed from other answers."""
    return item.kind not in NOT_SCORED and not item.is_read_only


def score_answers(
    template: Template, own: Sequence[Answered], reference: Sequence[Answered]
) -> dict[str, Any]:
    """Count which answers are the reference's; a question that only one of both answered counts as different."""
    kinds = {item.link_id: item for item in template.walk()}
    given, wanted = answers_by_path(template, own), answers_by_path(template, reference)
    scored = [
        path
        for path in dict.fromkeys([*wanted, *given])
        if is_scored(kinds[path.rpartition("/")[2].partition("[")[0]])
    ]
    wrong = [path for path in scored if not same_answers(given.get(path, ()), wanted.get(path, ()))]
    return {"equal": len(scored) - len(wrong), "all": len(scored), "different": wrong}


def score_masks(own: Masks, reference: Masks, affine: npt.NDArray[np.float64]) -> list[dict[str, Any]]:
    """Compare masks label by label; Dice is 0 for a label that only one of both drew."""
    from racoon.science.geometry.distances import dice, surface_distances  # noqa: PLC0415 - brings scipy

    found = []
    for label in dict.fromkeys([*reference, *own]):
        one, other = own.get(label), reference.get(label)
        overlap, hd95 = 0.0, None
        if one is not None and other is not None:
            overlap = dice(one[1], other[1])
            distance = surface_distances(one[1], other[1], affine).hd95_mm
            hd95 = distance if math.isfinite(distance) else None
        name = next(item[0] for item in (other, one) if item is not None)
        found.append({"label": label, "meaning": name, "dice": overlap, "hd95_mm": hd95})
    return found


def score_attempt(
    template: Template,
    answered: Mapping[str, tuple[Sequence[Answered], Sequence[Answered]]],
    cases: Sequence[Mapping[str, Any]],
    marks: Sequence[PassMark],
) -> tuple[dict[str, Any], bool]:
    """Sum up an attempt and say whether it passes.

    Parameters
    ----------
    answered
        Own and reference answers by imaging study.
    cases
        Scores of the cases, as :func:`score_answers` with ``masks`` from :func:`score_masks`.
    """
    signed = {}
    for uid, (own, reference) in answered.items():
        signed["own", uid] = values_of(first_answers(own))
        signed[REFERENCE, uid] = values_of(first_answers(reference))
    items = compare(template, ("own", REFERENCE), signed, sorted(answered))
    equal, every = (sum(case[name] for case in cases) for name in ("equal", "all"))
    share = equal / every if every else None
    dices: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for case in cases:
        for mask in case["masks"]:
            dices[mask["label"]].append(mask)
    masks = [
        {
            "label": label,
            "meaning": found[0]["meaning"],
            "cases": len(found),
            "dice": statistics.fmean(mask["dice"] for mask in found),
            "hd95_mm": _median([mask["hd95_mm"] for mask in found]),
        }
        for label, found in dices.items()
    ]
    # Kappa does not exist where both used one category only; then all is equal, and that passes.
    values: dict[str, float | None] = {
        item.link_id: 1.0 if item.value is None and item.equal == item.cases else item.value for item in items
    }
    values |= {str(mask["label"]): float(str(mask["dice"])) for mask in masks} | {ANSWERS: share}
    reached = [
        {
            "what": mark.what,
            "at_least": mark.at_least,
            "value": (value := values.get(mark.what)),
            "reached": value is not None and value >= mark.at_least,
        }
        for mark in marks
    ]
    score = {
        "equal": equal,
        "all": every,
        "share": share,
        "items": [
            {
                "link_id": item.link_id,
                "measure": item.measure,
                "value": item.value,
                "low": item.low,
                "high": item.high,
                "equal": item.equal,
                "cases": item.cases,
            }
            for item in items
        ],
        "masks": masks,
        "marks": reached,
    }
    return score, all(mark["reached"] for mark in reached)


def _median(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None
