"""Masks by hand against masks by a program: figures by hand, limits that nobody can overrule."""

from __future__ import annotations

import dataclasses
import math

import pytest

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym, Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan, PromotionRule
from racoon.node.measuring import service
from racoon.node.measuring.comparing import NotPromotable
from racoon.node.measuring.model import check_plan
from racoon.node.measuring.pairing import paired_aggregates
from racoon.node.release.model import apply_rules_to_all
from racoon.node.release.policy import DisclosurePolicy
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from tests.contract.test_measurement_store import VALUE

AUDIT = AuditLog("node")
USER = User("dana", frozenset({Role.DATA_MANAGER}), "local")
LABEL = Code("10200004", "SCT", "Liver")
RULE = PromotionRule("volume", "1", LABEL, 5, 3.0, 0.9, 0.9)


def value(subject, level, number, **changes):
    fields = {
        "series_uid": f"2.25.{subject}",
        "pseudonym": Pseudonym(f"SUBJ-{subject}"),
        "automation": level,
        "value": number,
        "parameters": {"modality": "CT", "kvp": 100.0 + subject, "drawn": level},
        "label": LABEL,
    }
    return dataclasses.replace(VALUE, **{**fields, **changes})


def cohort(difference=1.0, noise=0.5, size=12):
    found = []
    for subject in range(size):
        manual = 1000.0 + 50.0 * subject
        automatic = manual + difference + (noise if subject % 2 else -noise)
        found += [value(subject, "manual", manual), value(subject, "automatic", automatic)]
    return found


def test_bias_and_limits_by_hand():
    (found,) = service.compare(cohort())
    assert len(found.pairs) == 12
    assert found.bias.value == pytest.approx(1.0)
    sd = 0.5 * math.sqrt(12 / 11)
    assert found.upper.value == pytest.approx(1.0 + 1.959964 * sd, rel=1e-6)
    assert found.lower.value == pytest.approx(1.0 - 1.959964 * sd, rel=1e-6)
    assert found.icc.value > 0.999
    assert found.ccc.value > 0.999
    assert found.bias.low > 0


def test_what_makes_no_pair():
    values = cohort(size=4)
    lonely = value(90, "manual", 5.0)
    not_valid = [value(91, "manual", 5.0), value(91, "automatic", 6.0, valid=False, reason="contrast")]
    assisted = [value(92, "manual", 5.0), value(92, "assisted", 6.0)]
    second_series = [value(0, level, 9.0, series_uid="2.25.0.9") for level in ("manual", "automatic")]
    (found,) = service.compare([*values, lonely, *not_valid, *assisted, *second_series])
    assert [pair.pseudonym for pair in found.pairs] == [f"SUBJ-{n}" for n in range(4)]
    assert service.compare(values[:4]) == ()


def test_other_settings_are_another_comparison():
    values = cohort(size=4)
    other = [
        dataclasses.replace(item, biomarker="fat_volume", parameters={**item.parameters, "lower_hu": low})
        for low in (-190, -200)
        for item in values
    ]
    assert len(service.compare([*values, *other])) == 3


@pytest.mark.parametrize(
    ("values", "rule", "failed"),
    [
        (cohort(), RULE, ()),
        (cohort(), dataclasses.replace(RULE, minimum_pairs=13), ("pairs",)),
        (cohort(difference=2.9, noise=1.0), RULE, ("bias",)),
        (cohort(difference=-2.9, noise=1.0), RULE, ("bias",)),
        (cohort(noise=400.0), RULE, ("bias", "icc", "ccc")),
        ([], RULE, ("pairs",)),
    ],
)
def test_limits_hold_for_whole_intervals(values, rule, failed):
    (verdict,) = service.judge([rule], service.compare(values))
    assert verdict.failed == failed
    assert verdict.is_passed == (not failed)


def test_a_promotion_is_kept_with_figures_and_limits(database):
    (verdict,) = service.judge([RULE], service.compare(cohort()))
    with database.begin() as connection:
        service.promote(connection, AUDIT, USER, ("study-1", "a" * 64), verdict)
    with database.connect() as connection:
        (kept,) = service.decisions(connection, "study-1")
        (entry,) = AUDIT.entries(connection, 10)
    assert (kept.kind, kept.about, kept.decided_by) == ("promotion", "volume@1 SCT:10200004", "dana")
    assert kept.document["limits"] == RULE.to_dict()
    assert kept.document["agreement"]["pairs"] == 12
    assert kept.document["agreement"]["bias"][0] == pytest.approx(1.0)
    assert (entry.action, entry.purpose) == ("measurement.promote", "study-1")


def test_nobody_can_promote_what_does_not_reach_its_limits(database):
    for values in (cohort(difference=50.0), []):
        (verdict,) = service.judge([RULE], service.compare(values))
        with database.begin() as connection, pytest.raises(NotPromotable):
            service.promote(connection, AUDIT, USER, ("study-1", "a" * 64), verdict)
    with database.connect() as connection:
        assert service.decisions(connection, "study-1") == []


def test_limits_travel_with_the_plan_and_change_its_hash():
    bare = MeasuringPlan("p", (Measurement("volume", "1", LABEL, Bins(0, 3000, 100)),))
    limited = dataclasses.replace(bare, promotions=(RULE,))
    assert MeasuringPlan.from_dict(limited.to_dict()) == limited
    assert limited.hash != bare.hash
    assert "promotions" not in bare.to_dict()


PAIRED = MeasuringPlan(
    "volumes",
    tuple(
        Measurement("volume", "1", LABEL, Bins(0.0, 2000.0, 100.0), {"drawn": level})
        for level in ("manual", "automatic")
    ),
)


def test_differences_leave_through_the_gate_only_over_the_same_subjects():
    tasks = check_plan(PAIRED)
    stored = {task.identity: [item for item in cohort() if item.automation == task.drawn] for task in tasks}
    (found,) = paired_aggregates(tasks, stored)
    assert found.key == f"agreement {PAIRED.measurements[1].key}"
    assert (found.subjects, found.moments.n, found.moments.mean) == (12, 12, 1.0)
    released = apply_rules_to_all([found], DisclosurePolicy(minimum_cell=5)).payload["measurements"][0]
    assert released["moments"] == found.moments.to_dict()
    held = apply_rules_to_all([found], DisclosurePolicy(minimum_cell=13)).payload["measurements"][0]
    assert held["moments"] is None
    # A subset's sums beside those of all would give the thirteenth subject away.
    first = tasks[0].identity
    lonely = {**stored, first: [*stored[first], value(90, "manual", 5.0)]}
    assert list(paired_aggregates(tasks, lonely)) == []
    twice = {**stored, first: [*stored[first], value(0, "manual", 5.0, series_uid="2.25.0.9")]}
    assert list(paired_aggregates(tasks, twice)) == []
