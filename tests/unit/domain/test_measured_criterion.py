"""A cohort condition on a measured value is read strictly: nothing is ignored, nothing guessed."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.cohort import CohortDefect, ImagingCriterion, parse_cohort

GOOD: dict[str, Any] = {"biomarker": "volume", "unit": "mL", "minimum": 1500}


def cohort(measured: Any) -> dict[str, Any]:
    return {
        "version": "http://to_be_decided.com/draft-2/schema#",
        "inclusionCriteria": [[{"x-imaging": {"modality": "CT", "measured": measured}}]],
    }


def test_a_value_with_a_limit_is_read() -> None:
    parsed = parse_cohort(cohort(GOOD | {"label": "SCT:10200004"}))
    criterion = parsed.inclusion[0][0]
    assert isinstance(criterion, ImagingCriterion)
    assert criterion.measured is not None
    assert criterion.measured.minimum == 1500.0
    assert parse_cohort(parsed.to_dict()).hash == parsed.hash
    assert parse_cohort(cohort(GOOD)).hash != parsed.hash


@pytest.mark.parametrize(
    "change",
    [
        {"biomarker": "Volume; DROP"},
        {"biomarker": None},
        {"unit": ""},
        {"minimum": "1500"},
        {"minimum": True},
        {"minimum": float("nan")},
        {"minimum": None},
        {"maximum": 1},
        {"maximum": 2000, "isStrict": True},
        {"isStrict": "yes"},
        {"label": ""},
        {"surprise": 1},
    ],
    ids=str,
)
def test_whatever_is_not_understood_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CohortDefect):
        parse_cohort(cohort(GOOD | change))
