"""When a site needs attention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from racoon.central.monitoring.model import Condition, assess

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BEAT = {"disk_free_gb": 50.0, "quarantined": 0}


@pytest.mark.parametrize(
    ("age_s", "beat", "expires_days", "condition", "alerts"),
    [
        (119, BEAT, 60, Condition.WELL, ()),
        (121, BEAT, 60, Condition.SILENT, ("silent",)),
        (1, {**BEAT, "disk_free_gb": 9.9}, 60, Condition.ATTENTION, ("disk",)),
        (1, {**BEAT, "quarantined": 3}, 60, Condition.ATTENTION, ("quarantine",)),
        (1, BEAT, 13, Condition.ATTENTION, ("certificate",)),
    ],
)
def test_site_is_judged_by_its_numbers(
    age_s: int, beat: dict[str, Any], expires_days: int, condition: Condition, alerts: tuple[str, ...]
) -> None:
    status = assess(
        "ALPHA",
        NOW - timedelta(seconds=age_s),
        beat,
        certificate_expires_at=NOW + timedelta(days=expires_days),
        interval_s=60,
        now=NOW,
    )
    assert (status.condition, status.alerts) == (condition, alerts)


def test_site_that_never_spoke_raises_no_alert() -> None:
    status = assess("ALPHA", None, None, certificate_expires_at=None, interval_s=60, now=NOW)
    assert (status.condition, status.alerts) == (Condition.NEVER_SEEN, ())
