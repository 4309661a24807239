"""Agreement summed up for each reader and for each label of masks.  Pure."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence

from racoon.node.reading.adjudication.model import MaskAgreement
from racoon.node.reading.agreement.model import Interval, LabelAgreement, ReaderAgreement
from racoon.node.reading.comparing.model import ItemAgreement
from racoon.node.reading.work.model import ReadingTask

Paired = tuple[tuple[str, str], MaskAgreement]
"""Both names, and how their masks of a label agree in one case."""


def readers_of(
    readings: Sequence[ReadingTask], items: Sequence[ItemAgreement], masks: Sequence[Paired]
) -> tuple[ReaderAgreement, ...]:
    """Sum up how each reader agrees with the others."""
    from racoon.science.statistics.prediction import wilson  # noqa: PLC0415 - brings scipy

    found = []
    for reader in sorted({task.reader for task in readings}):
        own = [task for task in readings if task.reader == reader]
        answers = sum(item.cases for item in items if reader in item.readers)
        equal = sum(item.equal for item in items if reader in item.readers)
        share = wilson(equal, answers)
        dices = [mask.dice for pair, mask in masks if reader in pair]
        found.append(
            ReaderAgreement(
                reader,
                sum(task.done_at is not None for task in own),
                len(own),
                answers,
                equal,
                interval(share.value, share.low, share.high),
                mean_with_limits(dices),
                len(dices),
            )
        )
    return tuple(found)


def labels_of(masks: Sequence[Paired]) -> tuple[LabelAgreement, ...]:
    """Sum up how each pair of readers agrees on the masks of each label."""
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - brings scipy
        bland_altman,
        intraclass_correlation,
        paired,
    )

    rows: dict[tuple[tuple[str, str], str], list[MaskAgreement]] = defaultdict(list)
    for pair, mask in masks:
        rows[pair, mask.label].append(mask)
    found = []
    for (pair, label), cases in sorted(rows.items()):
        volumes = tuple(mask.volumes_ml for mask in cases)
        distances = [mask.hd95_mm for mask in cases if mask.hd95_mm is not None]
        icc: Interval = (None, None, None)
        limits = None
        if len(cases) >= 2:
            products = paired(*zip(*volumes, strict=True))
            estimate = intraclass_correlation(products).two_way
            icc = interval(estimate.value, estimate.low, estimate.high)
            if len(cases) >= 3:
                both = bland_altman(products)
                limits = (both.lower.value, both.bias.value, both.upper.value)
        found.append(
            LabelAgreement(
                pair,
                label,
                cases[0].meaning,
                len(cases),
                mean_with_limits([mask.dice for mask in cases]),
                min(mask.dice for mask in cases),
                statistics.median(distances) if distances else None,
                volumes,
                icc,
                limits,
            )
        )
    return tuple(found)


def mean_with_limits(values: Sequence[float]) -> Interval:
    """Return the mean with 95 % limits from Student's t, cut to 0 … 1; no limits from a single value."""
    from scipy import special  # noqa: PLC0415 - only this needs it

    if not values:
        return None, None, None
    mean = statistics.fmean(values)
    if len(values) < 2:
        return mean, None, None
    error = statistics.stdev(values) / math.sqrt(len(values))
    reach = float(special.stdtrit(len(values) - 1, 0.975)) * error
    return mean, max(0.0, mean - reach), min(1.0, mean + reach)


def interval(*numbers: float) -> Interval:
    """Return an estimate without what is no number."""
    value, low, high = (number if math.isfinite(number) else None for number in numbers)
    return value, low, high
