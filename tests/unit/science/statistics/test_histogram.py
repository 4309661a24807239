"""Fixed bins: counts, merges, and quantiles inside their stated error."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.statistics import FixedBins, Histogram

BINS = FixedBins(-1000.0, 1000.0, 50.0)
values = st.lists(st.floats(-1500, 1500), min_size=1, max_size=50)


def test_values_on_edges_belong_to_the_bin_they_open_and_the_last_bin_is_closed():
    bins = FixedBins(0.0, 3.0, 1.0)
    assert bins.count_values([-0.1, 0.0, 0.999, 1.0, 2.0, 3.0, 3.1]).cells == (1, 2, 1, 2, 1)


def test_edges_do_not_drift():
    assert FixedBins(0.0, 100.0, 0.1).edges[-1] == 100.0
    assert len(FixedBins(0.0, 100.0, 0.1).edges) == 1001


def inverted_cdf(data, probability):
    """The smallest value with at least this share of all at or below it; NumPy's product of floats rounds."""
    wanted = Fraction(str(probability)) * len(data)
    return next(value for value in sorted(data) if sum(other <= value for other in data) >= wanted)


@given(values, st.integers(0, 50))
def test_merge_equals_the_histogram_of_all(data, cut):
    parts = [BINS.count_values(data[:cut]), BINS.count_values(data[cut:])]
    assert Histogram.merge(parts) == Histogram.merge(parts[::-1]) == BINS.count_values(data)


@given(values, st.floats(0.001, 1.0))
def test_quantile_lies_within_its_stated_error(data, probability):
    exact = inverted_cdf(data, probability)
    found = BINS.count_values(data).quantile(probability)
    assert found.low is None or found.low <= exact
    assert found.high is None or exact <= found.high
    if found.value is not None:
        assert found.max_error == 25.0
        assert abs(found.value - exact) <= found.max_error


@given(values, st.floats(0.001, 1.0), st.sets(st.integers(0, 41), min_size=1, max_size=8))
def test_quantile_stays_enclosed_when_cells_are_hidden(data, probability, hidden):
    complete = BINS.count_values(data)
    partial = Histogram(BINS, tuple(None if i in hidden else cell for i, cell in enumerate(complete.cells)))
    found = partial.quantile(probability, unplaced=len(data) - partial.known)
    exact = inverted_cdf(data, probability)
    assert found.low is None or found.low <= exact
    assert found.high is None or exact <= found.high


@given(values)
def test_json_round_trip(data):
    found = BINS.count_values(data)
    assert Histogram.from_dict(json.loads(json.dumps(found.to_dict()))) == found


def test_missing_cells_stay_missing_in_a_sum():
    bins = FixedBins(0.0, 2.0, 1.0)
    total = Histogram(bins, (0, None, 5, 0)) + Histogram(bins, (0, 7, 6, 0))
    assert total.cells == (0, None, 11, 0)
    assert not total.is_complete


def test_quantile_of_nothing_is_unknown():
    assert BINS.count_values([]).quantile(0.5).value is None


@pytest.mark.parametrize("limits", [(0, 0, 1), (0, 1, 0), (0, 1, 0.3), (0, 1e9, 1), (0, float("inf"), 1)])
def test_bad_bins_are_refused(limits):
    with pytest.raises(ValueError, match=r"bins|range"):
        FixedBins(*map(float, limits))


def test_bins_of_two_sites_must_agree():
    with pytest.raises(ValueError, match="different bins"):
        Histogram.merge([BINS.count_values([1.0]), FixedBins(0.0, 2.0, 1.0).count_values([1.0])])
    with pytest.raises(ValueError, match="finite"):
        BINS.count_values([float("nan")])
