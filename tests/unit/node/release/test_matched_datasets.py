"""What of a matched dataset leaves: sizes that hide nobody, coarse balance, and nothing of pairs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from racoon.node.release.jobs import protect_freeze
from racoon.node.release.policy import DisclosurePolicy
from racoon.platform import clock
from racoon.protocol.messages import JobOffer
from tests.count_attacks import CountingSite

POLICY = DisclosurePolicy()


def people(prefix: str, count: int) -> frozenset[str]:
    return frozenset(f"{prefix}{number}" for number in range(count))


def aggregate(cases: int, pool: int, matched: int, controls: int) -> dict[str, Any]:
    return {
        "dataset_hash": "d" * 64,
        "subjects": matched + controls,
        "series": matched + controls,
        "instances": 9 * (matched + controls),
        "matching": {
            "groups": {
                "cases": people("a", cases),
                "pool": people("b", pool),
                "matched": people("a", matched),
                "controls": people("b", controls),
            },
            "balance": [{"covariate": "age_years", "before": 0.4321, "after": None}],
        },
    }


def test_sizes_and_coarse_balance_leave() -> None:
    released = protect_freeze(aggregate(30, 90, 20, 40), POLICY)
    assert released.suppressed == ()
    assert released.payload["subjects"] == 60
    assert released.payload["matching"] == {
        "cases": 30,
        "pool": 90,
        "matched": 20,
        "controls": 40,
        "balance": [{"covariate": "age_years", "before": 0.45, "after": None}],
    }


@pytest.mark.parametrize(
    "sizes", [(30, 90, 28, 40), (30, 42, 30, 40), (30, 90, 3, 3), (4, 90, 4, 4), (30, 4, 4, 4)]
)
def test_a_small_group_or_a_small_remainder_hides_all_numbers(sizes: tuple[int, int, int, int]) -> None:
    released = protect_freeze(aggregate(*sizes), POLICY)
    hidden = {"dataset_hash": "d" * 64, **dict.fromkeys(("subjects", "series", "instances", "matching"))}
    assert released.payload == hidden
    assert [item.reason_code for item in released.suppressed] == ["release.minimum_cell"]


def test_groups_below_the_group_minimum_have_no_balance() -> None:
    released = protect_freeze(aggregate(8, 90, 8, 8), POLICY)
    assert released.payload["matching"]["matched"] == 8
    assert released.payload["matching"]["balance"] is None


@pytest.fixture
def site(tmp_path: Path) -> Iterator[CountingSite]:
    site = CountingSite(tmp_path, POLICY)
    yield site
    site.close()


def test_another_matching_that_differs_in_few_has_no_balance(site: CountingSite) -> None:
    """With another seed or caliper one subject would be the difference of two balances."""

    def freeze(number: int, found: dict[str, Any]) -> dict[str, Any]:
        offer = JobOffer(
            job_id=f"j{number}",
            run_id=f"r{number}",
            study_id="p",
            study_hash="a" * 64,
            kind="freeze",
            plan_hash=None,
            content_hash="b" * 64,
            parameters={},
            not_after=clock.now() + timedelta(hours=1),
        )
        with site.database.begin() as connection:
            return site.gate.submit(connection, offer, found, {}).payload

    first = freeze(1, aggregate(30, 90, 20, 40))
    assert first["matching"]["balance"] is not None
    assert freeze(2, aggregate(30, 90, 20, 40)) == first, "the very same may be asked again"
    near = freeze(3, aggregate(30, 90, 19, 38))
    assert near["matching"]["balance"] is None
    assert near["matching"]["matched"] == 19
    text = str(near) + str(first)
    assert not any(name in text for name in ("a1'", "b1'"))
