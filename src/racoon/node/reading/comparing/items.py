"""How two readers agree, question by question: kappa, weighted kappa, ICC.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from racoon.domain.questionnaire import Answer, Answered, Coding, Item, Template
from racoon.node.reading.comparing.model import Difference, ItemAgreement

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
    ICC(2,1) with limits of agreement (Bland, Altman) from three cases on: the same measures, with the same limits,
    as everywhere (``science.statistics``).
    """
    results = []
    for item in template.walk():
        if not item.is_question or item.kind in ("string", "text", "date") or item.repeats:
            continue
        found = [
            (uid, signed[pair[0], uid][item.link_id], signed[pair[1], uid][item.link_id])
            for uid in cases
            if item.link_id in signed.get((pair[0], uid), {})
            and item.link_id in signed.get((pair[1], uid), {})
        ]
        if found:
            differences = _differences(found)
            results.append(
                replace(
                    _compare(item, pair, [(one, other) for _, one, other in found]),
                    link_id=item.link_id,
                    words=item.words,
                    equal=len(found) - len(differences),
                    differences=differences,
                )
            )
    return results


def _differences(found: list[tuple[str, object, object]]) -> tuple[Difference, ...]:
    differing = [
        Difference(uid, one, other, _distance(one, other)) for uid, one, other in found if one != other
    ]
    return tuple(sorted(differing, key=lambda item: (-item.distance, item.imaging_study_uid)))


def _distance(one: object, other: object) -> float:
    """Tell how far two different answers are apart; a yes and a no, or two codes, are one step."""
    if isinstance(one, bool) or not isinstance(one, int | float) or not isinstance(other, int | float):
        return 1.0
    return abs(float(one) - float(other))


def _compare(item: Item, pair: tuple[str, str], both: list[tuple[object, object]]) -> ItemAgreement:
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - brings scipy, which only this needs
        bland_altman,
        cohen_kappa,
        intraclass_correlation,
        paired,
        rating_table,
    )

    first, second = [one for one, _ in both], [other for _, other in both]
    name = item.words.text
    if item.kind == "decimal":
        pairs = tuple((float(str(one)), float(str(other))) for one, other in both)
        unit = item.unit.code if item.unit else ""
        if len(pairs) < 2:
            return ItemAgreement(name, pair, "ICC(2,1)", len(pairs), None, pairs=pairs, unit=unit)
        products = paired(*zip(*pairs, strict=True))
        found = intraclass_correlation(products).two_way
        limits = bland_altman(products) if len(pairs) >= 3 else None
        return ItemAgreement(
            name,
            pair,
            "ICC(2,1)",
            len(pairs),
            _finite(found.value),
            _finite(found.low),
            _finite(found.high),
            limits=(limits.lower.value, limits.bias.value, limits.upper.value) if limits else None,
            pairs=pairs,
            unit=unit,
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


def compare_all(
    template: Template,
    readers: Sequence[str],
    signed: Mapping[tuple[str, str], Answers],
    cases: Sequence[str],
) -> list[ItemAgreement]:
    """Compare three and more readers at once, on the cases in which all of them answered a question.

    Notes
    -----
    Fleiss' kappa for coded, yes-no and whole-number answers (unweighted), ICC(2,1) for measured numbers.
    """
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - brings scipy, which only this needs
        fleiss_kappa,
        intraclass_correlation,
    )
    from racoon.science.statistics.sums import CrossProducts  # noqa: PLC0415 - as above

    results = []
    for item in template.walk():
        if not item.is_question or item.kind in ("string", "text", "date") or item.repeats:
            continue
        rows = [
            [signed[reader, uid][item.link_id] for reader in readers]
            for uid in cases
            if all(item.link_id in signed.get((reader, uid), {}) for reader in readers)
        ]
        if len(rows) < 2:
            continue
        if item.kind == "decimal":
            table = np.array([[float(str(value)) for value in row] for row in rows])
            found = intraclass_correlation(CrossProducts.of(tuple(readers), table)).two_way
        else:
            used = sorted({value for row in rows for value in row}, key=str)
            counts = np.array([[row.count(value) for value in used] for row in rows], dtype=np.float64)
            found = fleiss_kappa(CrossProducts.of(tuple(str(value) for value in used), counts))
        results.append(
            ItemAgreement(
                item.words.text,
                tuple(readers),
                "ICC(2,1)" if item.kind == "decimal" else "Fleiss' kappa",
                len(rows),
                _finite(found.value),
                _finite(found.low),
                _finite(found.high),
                link_id=item.link_id,
                words=item.words,
                equal=sum(all(value == row[0] for value in row) for row in rows),
            )
        )
    return results


def first_answers(items: Sequence[Answered]) -> dict[str, Answer]:
    """Return the answer to each question by link id; of a repeated group only the first instance is compared."""
    found: dict[str, Answer] = {}
    for node in items:
        for answer in node.answers[:1]:
            found.setdefault(node.link_id, answer)
        for key, inner in first_answers(node.items).items():
            found.setdefault(key, inner)
    return found


def values_of(answers: Mapping[str, Answer]) -> dict[str, object]:
    """Return what is compared of answers: keys of codes, truth values, numbers."""
    return {
        key: answer.value.key if isinstance(answer.value, Coding) else answer.value
        for key, answer in answers.items()
    }
