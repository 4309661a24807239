"""A site may tighten and never loosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.node.release.policy import BadPolicy, DisclosurePolicy, is_at_least_as_strict, tighten

policies = st.builds(
    DisclosurePolicy,
    version=st.just("x"),
    minimum_cell=st.integers(2, 50),
    feasibility_minimum=st.integers(1, 50),
    count_rounding=st.integers(1, 50),
    epsilon=st.decimals("0.01", "10", places=2).map(str),
    dominance_limit=st.floats(0.01, 1),
    group_minimum=st.integers(1, 50),
    parameters_per_observation=st.floats(0.01, 1),
    training_minimum_sites=st.integers(2, 38),
    training_minimum_cases=st.integers(1, 500),
    maximum_update_norm=st.floats(0.1, 1e6),
)


@given(policies, policies)
def test_a_site_only_tightens(base, site):
    effective = tighten(base, site)
    assert is_at_least_as_strict(effective, base)
    assert is_at_least_as_strict(effective, site)


@given(policies, policies, policies)
def test_tightening_more_never_loosens(base, site, more):
    assert is_at_least_as_strict(tighten(tighten(base, site), more), tighten(base, site))
    assert tighten(base, base) == base


def test_looser_wishes_change_nothing():
    base = DisclosurePolicy()
    wish = DisclosurePolicy(version="ours", minimum_cell=2, epsilon="9.5", dominance_limit=1.0)
    effective = tighten(base, wish)
    assert (effective.minimum_cell, effective.epsilon, effective.dominance_limit) == (5, "0.28", 0.75)
    assert effective.version == "1+site.ours"


@given(policies)
def test_json_round_trip(policy):
    assert DisclosurePolicy.from_dict(policy.to_dict()) == policy
    assert len(policy.hash) == 64


@pytest.mark.parametrize(
    "document",
    [
        {"minimum_cell": 1},
        {"minimum_cell": "5"},
        {"minimum_cel": 5},
        {"epsilon": "0"},
        {"epsilon": "1e3"},
        {"dominance_limit": 0.0},
        {"dominance_limit": True},
        {"maximum_update_norm": float("inf")},
        {"count_rounding": 0},
    ],
)
def test_senseless_policies_are_refused(document):
    with pytest.raises(BadPolicy):
        DisclosurePolicy.from_dict(document)
