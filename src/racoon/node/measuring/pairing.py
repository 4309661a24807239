"""Manual against automatic, for the release gate: the differences of two measurements of a plan, summed up.

Only where both measurements rest on the same subjects.  Otherwise the sums of a subset beside those of the whole
would give the subjects away in whom they differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from racoon.domain.identity import Pseudonym
from racoon.domain.plan import agreement_pairs
from racoon.node.measuring.model import StoredValue, Task
from racoon.node.release.model import MeasuredAggregate, largest_share
from racoon.science.statistics import FixedBins, Moments


def paired_aggregates(
    tasks: Sequence[Task], values: Mapping[tuple[str, str, str, str], Sequence[StoredValue]]
) -> Iterator[MeasuredAggregate]:
    """Sum the differences automatic minus manual up for each pair of measurements that a plan asks for.

    Parameters
    ----------
    tasks
        Of the plan.
    values
        Stored values by the task's identity, reviewed, of readable subjects.

    Yields
    ------
    MeasuredAggregate
        Under the key that ``domain.plan.agreement_pairs`` gives the pair; unprotected, only for ``release``.
    """
    by_key = {task.measurement.key: task for task in tasks}
    for pair in agreement_pairs([task.measurement for task in tasks]):
        manual, automatic = by_key[pair.manual], by_key[pair.automatic]
        first = _one_per_subject(values.get(manual.identity, ()))
        second = _one_per_subject(values.get(automatic.identity, ()))
        if first is None or second is None or set(first) != set(second) or not first:
            continue
        differences = {name: second[name] - first[name] for name in sorted(first)}
        # One bin: the sums say all that agreement needs.
        span = manual.bins.upper - manual.bins.lower
        bins = FixedBins(-span, span, 2.0 * span)
        cells: list[set[int]] = [set() for _ in range(bins.count + 2)]
        for place, cell in enumerate(bins.cells(list(differences.values()))):
            cells[cell].add(place)
        yield MeasuredAggregate(
            key=pair.key,
            description={
                "biomarker": manual.definition.id,
                "version": manual.definition.version,
                "unit": manual.definition.unit,
                "manual": pair.manual,
                "automatic": pair.automatic,
            },
            moments=Moments.of(list(differences.values())),
            subjects=len(differences),
            largest_share=largest_share({name: abs(number) for name, number in differences.items()}),
            histogram=bins.count_values(list(differences.values())),
            cell_subjects=tuple(frozenset(cell) for cell in cells),
        )


def _one_per_subject(values: Sequence[StoredValue]) -> dict[Pseudonym, float] | None:
    """Subject to value; ``None`` when a subject has two, because the measurement's sums then count both."""
    found: dict[Pseudonym, float] = {}
    for value in values:
        if value.valid and value.value is not None:
            if value.pseudonym in found:
                return None
            found[value.pseudonym] = value.value
    return found
