"""From a cohort with controls to pairs at this site: who is compared with whom never leaves it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from racoon.domain.identity import Pseudonym
from racoon.domain.matching import MatchingRule
from racoon.node.cohorts.service import SubjectFeatures
from racoon.science.statistics.matching import Balance, Unit, balance_of, match_controls

COVARIATES = ("age_years", "gender", "modality", "body_part", "slice_thickness_mm", "scanner")
"""In what cases and controls are compared, whatever they were matched by."""


@dataclass(frozen=True)
class Matched:
    """Outcome of a matching.

    Parameters
    ----------
    controls
        Controls by case, the nearest first.
    cases, pool
        All who could have been matched.
    balance
        How alike the groups are, before and after.
    """

    controls: Mapping[Pseudonym, tuple[Pseudonym, ...]]
    cases: frozenset[Pseudonym]
    pool: frozenset[Pseudonym]
    balance: tuple[Balance, ...]

    @property
    def subjects(self) -> frozenset[Pseudonym]:
        """Cases with a control, and their controls."""
        return frozenset(self.controls) | self.chosen

    @property
    def chosen(self) -> frozenset[Pseudonym]:
        """The controls."""
        return frozenset(name for own in self.controls.values() for name in own)

    def aggregate(self) -> dict[str, Any]:
        """Return what ``release`` protects: groups, of which sizes leave, and the balance."""
        return {
            "groups": {
                "cases": self.cases,
                "pool": self.pool,
                "matched": frozenset(self.controls),
                "controls": self.chosen,
            },
            "balance": [
                {"covariate": item.covariate, "before": item.before, "after": item.after}
                for item in self.balance
            ],
        }


def match(
    rule: MatchingRule,
    features: Mapping[Pseudonym, SubjectFeatures],
    cases: Collection[Pseudonym],
    pool: Collection[Pseudonym],
) -> Matched:
    """Find controls for cases.

    Parameters
    ----------
    rule
        What has to be alike.
    features
        What is known of every subject.
    cases, pool
        Cases, and those who may be controls; who is a case is none.
    """
    free = frozenset(pool) - frozenset(cases)
    found = match_controls(
        [_unit(rule, features[name]) for name in sorted(cases)],
        [_unit(rule, features[name]) for name in sorted(free)],
        ratio=rule.ratio,
        seed=rule.seed,
    )
    controls = {Pseudonym(case): tuple(Pseudonym(name) for name in own) for case, own in found.items()}
    values = {
        str(name): {word: _word(getattr(features[name], word)) for word in COVARIATES}
        for name in (*cases, *free)
    }
    chosen = sorted({name for own in controls.values() for name in own})
    balance = balance_of(COVARIATES, values, (sorted(cases), sorted(free)), (sorted(controls), chosen))
    return Matched(controls, frozenset(cases), free, tuple(balance))


def _word(value: Any) -> Any:
    return value if value != "" else None


def _unit(rule: MatchingRule, known: SubjectFeatures) -> Unit:
    age = known.age_years
    words = {
        "gender": known.gender if known.gender != "unknown" else None,
        "modality": known.modality or None,
        "bodyPart": known.body_part or None,
        "scanner": known.scanner or None,
        "ageBand": None if age is None else math.floor(age / rule.age_band_years),
    }
    numbers = {"ageYears": age, "sliceThicknessMm": known.slice_thickness_mm}
    return Unit(
        str(known.pseudonym),
        tuple(words[name] for name in sorted(rule.exact)),
        tuple(
            math.nan if (value := numbers[name]) is None else value / rule.calipers[name]
            for name in sorted(rule.calipers)
        ),
    )
