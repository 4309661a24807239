"""How two readers agree, question by question: kappa, weighted kappa, ICC.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from racoon.domain.questionnaire import Answered, Coding, Item, Template
from racoon.node.reading.work.model import ItemAgreement

Answers = Mapping[str, object]
"""By link id: key of a coded answer, truth value or number."""


def compare(
    template: Template,
    pair: tuple[str, str],
    signed: Mapping[tuple[str, str], Answers],
    cases: Sequence[str],
) -> list[ItemAgreement]:
    """Compare two readers on every question that both answered in at least one case.

    Notes
    -----
    Coded and yes-no answers by Cohen's kappa, whole numbers by linearly weighted kappa, measured numbers by
    ICC(2,1): the same measures, with the same limits, as everywhere (``science.statistics``).
    """
    results = []
    for item in template.walk():
        if not item.is_question or item.kind in ("string", "text") or item.repeats:
            continue
        both = [
            (signed[pair[0], uid][item.link_id], signed[pair[1], uid][item.link_id])
            for uid in cases
            if item.link_id in signed.get((pair[0], uid), {})
            and item.link_id in signed.get((pair[1], uid), {})
        ]
        if both:
            results.append(replace(_compare(item, pair, both), link_id=item.link_id, words=item.words))
    return results


def _compare(item: Item, pair: tuple[str, str], both: list[tuple[object, object]]) -> ItemAgreement:
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - brings scipy, which only this needs
        cohen_kappa,
        intraclass_correlation,
        paired,
        rating_table,
    )

    first, second = [one for one, _ in both], [other for _, other in both]
    name = item.words.text
    if item.kind == "decimal":
        if len(both) < 2:
            return ItemAgreement(name, pair, "ICC(2,1)", len(both), None)
        found = intraclass_correlation(paired(first, second)).two_way  # type: ignore[arg-type] # decimals
        return ItemAgreement(
            name, pair, "ICC(2,1)", len(both), _finite(found.value), _finite(found.low), _finite(found.high)
        )
    if item.kind == "integer":
        numbers = [int(str(value)) for value in (*first, *second)]
        categories: list[object] = list(range(min(numbers), max(numbers) + 1))
    elif item.kind == "choice":
        categories = [option.coding.key for option in item.options]
        categories += [value for value in dict.fromkeys((*first, *second)) if value not in categories]
    else:
        categories = [False, True]
    table = rating_table(first, second, categories)
    weights = "linear" if item.kind == "integer" else "none"
    kappa = cohen_kappa(table, weights=weights)  # type: ignore[arg-type] # one of two literals
    return ItemAgreement(
        name,
        pair,
        "weighted kappa" if item.kind == "integer" else "kappa",
        len(both),
        _finite(kappa.value),
        _finite(kappa.low),
        _finite(kappa.high),
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def answers_of_case(items: Sequence[Answered]) -> dict[str, object]:
    """Answers by link id; of a repeated group only the first instance is compared."""
    found: dict[str, object] = {}
    for node in items:
        for answer in node.answers[:1]:
            value = answer.value
            found.setdefault(node.link_id, value.key if isinstance(value, Coding) else value)
        for key, inner in answers_of_case(node.items).items():
            found.setdefault(key, inner)
    return found
