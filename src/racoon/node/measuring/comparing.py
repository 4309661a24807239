"""Masks drawn by hand against masks drawn by a program: how far the same biomarker agrees, and who may take over."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.domain.plan import PromotionRule
from racoon.errors import Refused
from racoon.node.measuring import _decisions
from racoon.node.measuring.model import WITHIN, Decision, StoredValue
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.science.biomarkers import CATALOGUE

if TYPE_CHECKING:
    from racoon.science.statistics.estimate import Estimate

FEWEST_PAIRS = 3
"""Limits of agreement and CCC need three subjects."""


SUBJECT_FACTS = frozenset({"height_m", "weight_kg", "age_years", "sex"})
"""Parameters that a header fills: they differ from subject to subject."""


class NotPromotable(Refused):
    """An automatic version that does not reach the limits its protocol fixed."""

    code: ClassVar[str] = "measuring.not_promotable"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Pair:
    """The same biomarker of the same series from a mask by hand and one by a program."""

    pseudonym: Pseudonym
    manual: StoredValue
    automatic: StoredValue


@dataclass(frozen=True)
class Comparison:
    """Agreement of one biomarker of one structure, automatic minus manual.

    Parameters
    ----------
    biomarker, version, label, unit
        What was compared.
    pairs
        One per subject.
    bias, lower, upper
        Mean difference and limits of agreement with their intervals (Bland, Altman).
    icc, ccc
        ICC(2,1), absolute agreement, and Lin's concordance correlation coefficient.
    """

    biomarker: str
    version: str
    label: Code | None
    unit: str
    pairs: tuple[Pair, ...]
    bias: Estimate
    lower: Estimate
    upper: Estimate
    icc: Estimate
    ccc: Estimate

    @property
    def key(self) -> str:
        """Stable name, e.g. ``"volume@1 SCT:10200004"``."""
        return _key(self.biomarker, self.version, self.label)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as JSON; what is not defined is null."""
        figures = {
            "bias": self.bias,
            "lower": self.lower,
            "upper": self.upper,
            "icc": self.icc,
            "ccc": self.ccc,
        }
        return {
            "biomarker": self.biomarker,
            "version": self.version,
            "label": self.label.to_dict() if self.label else None,
            "unit": self.unit,
            "pairs": len(self.pairs),
            **{
                name: [_finite(item.value), _finite(item.low), _finite(item.high)]
                for name, item in figures.items()
            },
        }


@dataclass(frozen=True)
class Verdict:
    """What a protocol's limits say about a comparison.

    Parameters
    ----------
    rule
        The limits.
    comparison
        ``None`` when nothing can be compared yet.
    failed
        Limits that are not reached: ``pairs``, ``bias``, ``icc``, ``ccc``.
    """

    rule: PromotionRule
    comparison: Comparison | None
    failed: tuple[str, ...]

    @property
    def key(self) -> str:
        """Stable name of what would be promoted."""
        return _key(self.rule.biomarker, self.rule.version, self.rule.label)

    @property
    def is_passed(self) -> bool:
        """True when every limit is reached."""
        return not self.failed


def compare(values: Iterable[StoredValue]) -> tuple[Comparison, ...]:
    """Pair values by hand with automatic ones of the same series, definition, structure and parameters.

    A subject with several series counts once, with the first series that has both.  Values outside their
    validity domain, or without a value, make no pair.
    """
    groups: dict[tuple[str, str, str, str], dict[str, dict[str, StoredValue]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for value in values:
        if not value.valid or value.value is None or value.automation not in ("manual", "automatic"):
            continue
        label = value.label.key if value.label else ""
        settings = json.dumps(_settings(value), sort_keys=True)
        group = groups[value.biomarker, value.version, label, settings]
        group[value.series_uid].setdefault(value.automation, value)
    found = []
    for _, series in sorted(groups.items()):
        pairs: dict[Pseudonym, Pair] = {}
        for _, levels in sorted(series.items()):
            if len(levels) == 2:
                manual, automatic = levels["manual"], levels["automatic"]
                pairs.setdefault(manual.pseudonym, Pair(manual.pseudonym, manual, automatic))
        if len(pairs) >= FEWEST_PAIRS:
            found.append(_compare([pairs[pseudonym] for pseudonym in sorted(pairs)]))
    return tuple(found)


def judge(rules: Sequence[PromotionRule], comparisons: Sequence[Comparison]) -> tuple[Verdict, ...]:
    """Hold comparisons against the limits that a protocol fixed before any value was known."""
    known: dict[str, Comparison] = {}
    for comparison in comparisons:
        known.setdefault(comparison.key, comparison)
    return tuple(_judge(rule, known.get(_key(rule.biomarker, rule.version, rule.label))) for rule in rules)


def promote(
    connection: sa.Connection,
    audit: AuditLog,
    user: User,
    place: tuple[str, str],
    verdict: Verdict,
) -> Decision:
    """Let the automatic version of a biomarker into routine; kept with its figures and limits, and audited.

    Parameters
    ----------
    connection
        Open write transaction.
    audit, user
        Where it is written and who decides.
    place
        Study and dataset hash.
    verdict
        As :func:`judge` gave it for the values of now.

    Raises
    ------
    NotPromotable
        If a limit is not reached; nobody can overrule it.
    """
    if not verdict.is_passed or verdict.comparison is None:
        raise NotPromotable(
            f"The automatic version does not reach the protocol's limits: {', '.join(verdict.failed)}."
        )
    document = {"agreement": verdict.comparison.to_dict(), "limits": verdict.rule.to_dict()}
    decision = Decision(*place, "promotion", verdict.key, document, user.name, clock.now())
    _decisions.save_decision(connection, decision)
    audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action="measurement.promote",
        target=f"biomarker/{verdict.key}",
        purpose=place[0],
        details=document,
    )
    return decision


def _compare(pairs: list[Pair]) -> Comparison:
    from racoon.science.statistics.agreement import (  # noqa: PLC0415 - scipy, which only a comparison needs
        bland_altman,
        concordance_correlation,
        intraclass_correlation,
        paired,
    )

    first = pairs[0].manual
    # Automatic first: a positive bias means that the program measures more.
    table = paired(
        [pair.automatic.value or 0.0 for pair in pairs], [pair.manual.value or 0.0 for pair in pairs]
    )
    limits = bland_altman(table)
    return Comparison(
        biomarker=first.biomarker,
        version=first.version,
        label=first.label,
        unit=first.unit,
        pairs=tuple(pairs),
        bias=limits.bias,
        lower=limits.lower,
        upper=limits.upper,
        icc=intraclass_correlation(table).two_way,
        ccc=concordance_correlation(table),
    )


def _judge(rule: PromotionRule, comparison: Comparison | None) -> Verdict:
    if comparison is None:
        return Verdict(rule, None, ("pairs",))
    checks: Mapping[str, bool] = {
        "pairs": len(comparison.pairs) >= rule.minimum_pairs,
        # The whole interval has to lie inside: few pairs can't show that a bias is small.
        "bias": -rule.largest_bias <= comparison.bias.low and comparison.bias.high <= rule.largest_bias,
        "icc": comparison.icc.low >= rule.minimum_icc,
        "ccc": comparison.ccc.low >= rule.minimum_ccc,
    }
    return Verdict(rule, comparison, tuple(name for name, is_reached in checks.items() if not is_reached))


def _settings(value: StoredValue) -> dict[str, Any]:
    """Settings of a definition that differ from its defaults; facts of a scan or a subject are none."""
    definition = CATALOGUE.get(f"{value.biomarker}@{value.version}")
    defaults = definition.defaults if definition else {}
    found = {
        name: item
        for name, item in value.parameters.items()
        if name in defaults and name not in SUBJECT_FACTS and item != defaults[name]
    }
    return {**found, **({WITHIN: value.parameters[WITHIN]} if WITHIN in value.parameters else {})}


def _key(biomarker: str, version: str, label: Code | None) -> str:
    return f"{biomarker}@{version} {label.key if label else 'image'}"


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
