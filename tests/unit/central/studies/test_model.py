"""Which study documents are understood, what they lack, and how long sites took."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from racoon.central.studies.matrix import matrix
from racoon.central.studies.model import SiteTrack, StudyDefect, missing_fields, read_definition
from tests.simulated_network import DEFINITION

NOW = datetime(2026, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"cohort": {"version": "1", "inclusionCriteria": []}}, "study.cohort"),
        ({"title": " "}, "study.invalid"),
        ({"mode": "somehow"}, "study.invalid"),
        ({"unknown": 1}, "study.invalid"),
        ({"application": {"data_origin": "imagined"}}, "study.invalid"),
        ({"pool_site": "HOLDOUT"}, "study.invalid"),
        ({"evaluation_sites": ["not a code"]}, "study.invalid"),
        ({"measuring": {"kind": "measuring"}}, "study.invalid"),
        ({"training": {**DEFINITION["training"], "learning_rate": float("nan")}}, "study.invalid"),
    ],
)
def test_wrong_documents_are_refused(change: dict[str, object], code: str) -> None:
    with pytest.raises(StudyDefect) as refused:
        read_definition({**DEFINITION, **change})
    assert refused.value.error_code == code


def test_document_that_is_right_is_read_whole() -> None:
    definition = read_definition(DEFINITION)
    assert read_definition(definition.to_dict()) == definition
    assert missing_fields(definition) == []


def test_missing_fields_are_named() -> None:
    document = {**DEFINITION, "application": {}, "lay_summary": "", "measuring": None, "training": None}
    assert missing_fields(read_definition(document)) == [
        "lay_summary",
        "data_origin",
        "background",
        "hypothesis",
        "measuring or training or analyses",
    ]


def test_days_are_counted_per_step_and_up_to_now() -> None:
    asked = NOW - timedelta(days=4)
    events = [("ALPHA", "requested", asked), ("ALPHA", "diz_check", asked + timedelta(days=3))]
    (row,) = matrix([SiteTrack("ALPHA", "diz_check", "h", 2, asked)], events, NOW)
    assert row.days == {"requested": pytest.approx(3.0), "diz_check": pytest.approx(1.0)}
