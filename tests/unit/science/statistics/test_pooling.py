"""The network's number equals the number over all values of the sites that released theirs."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.science.statistics import FixedBins, Histogram, Moments, SiteSummary, pool, pool_counts

BINS = FixedBins(0.0, 10.0, 1.0)
sites = st.lists(st.lists(st.floats(0, 10), min_size=1, max_size=12), min_size=1, max_size=6)


def summary(index, values, released=True):
    return SiteSummary(
        f"S{index}", Moments.of(values) if released else None, BINS.count_values(values) if released else None
    )


@given(sites, st.data())
def test_pooled_equals_all_values_of_the_sites_that_were_not_suppressed(data, draw):
    released = [draw.draw(st.booleans()) for _ in data]
    summaries = [summary(i, values, ok) for i, (values, ok) in enumerate(zip(data, released, strict=True))]
    order = draw.draw(st.permutations(summaries))
    found = pool(order)
    everything = [value for values, ok in zip(data, released, strict=True) if ok for value in values]
    assert found.moments == Moments.of(everything)
    assert found.suppressed_sites == tuple(f"S{i}" for i, ok in enumerate(released) if not ok)
    assert found == pool(summaries)
    if everything:
        assert found.histogram == BINS.count_values(everything)
        assert found.moments.mean == pytest.approx(np.mean(everything), rel=1e-12)


def test_suppressed_site_leaves_numerator_and_denominator():
    # The trap: three sites, one of four patients suppressed; its count must not stay in the denominator.
    found = pool([summary(0, [60.0] * 10), summary(1, [59.0] * 10), summary(2, [50.0] * 4, released=False)])
    assert found.moments.mean == 59.5
    assert found.moments.n == 20


@given(sites, st.data())
def test_quantiles_enclose_the_truth_when_cells_are_missing(data, draw):
    summaries = []
    for index, values in enumerate(data):
        whole = BINS.count_values(values)
        kind = draw.draw(st.sampled_from(["whole", "cells", "none"]))
        hidden = draw.draw(st.sets(st.integers(0, 11), max_size=6)) if kind == "cells" else set()
        cells = tuple(None if i in hidden and cell else cell for i, cell in enumerate(whole.cells))
        summaries.append(
            SiteSummary(f"S{index}", Moments.of(values), None if kind == "none" else Histogram(BINS, cells))
        )
    found = pool(summaries)
    everything = [value for values in data for value in values]
    for probability, quantile in found.quantiles.items():
        exact = float(np.quantile(everything, probability, method="inverted_cdf"))
        assert quantile.low is None or quantile.low <= exact
        assert quantile.high is None or exact <= quantile.high


def test_a_site_counts_once_and_bins_agree():
    with pytest.raises(ValueError, match="once"):
        pool([summary(0, [1.0]), summary(0, [2.0])])
    other = SiteSummary("S1", Moments.of([1.0]), FixedBins(0.0, 4.0, 2.0).count_values([1.0]))
    with pytest.raises(ValueError, match="bins"):
        pool([summary(0, [1.0]), other])
    with pytest.raises(ValueError, match="more values"):
        pool([SiteSummary("S0", Moments.of([1.0]), BINS.count_values([1.0, 2.0]))])


def test_small_sites_make_the_total_a_range():
    found = pool_counts([40, None, 20])
    assert (found.lower, found.upper, found.small_sites, found.shows_sites) == (60, 69, 1, True)
    assert not pool_counts([40, 20]).shows_sites


@given(sites, st.data())
def test_sites_with_coarser_bins_keep_the_quantiles_enclosed(data, draw):
    summaries = []
    for index, values in enumerate(data):
        factor = draw.draw(st.sampled_from([1, 2, 5, 10]))
        whole = BINS.count_values(values).coarsened(factor)
        hidden = draw.draw(st.sets(st.integers(0, len(whole.cells) - 1), max_size=3))
        cells = tuple(None if i in hidden else cell for i, cell in enumerate(whole.cells))
        summaries.append(SiteSummary(f"S{index}", Moments.of(values), Histogram(whole.bins, cells)))
    found = pool(summaries)
    everything = [value for values in data for value in values]
    assert found.histogram.known + found.unplaced == len(everything)
    for probability, quantile in found.quantiles.items():
        exact = float(np.quantile(everything, probability, method="inverted_cdf"))
        assert quantile.low is None or quantile.low <= exact
        assert quantile.high is None or exact <= quantile.high


def test_one_coarse_site_does_not_blur_the_others():
    fine = [SiteSummary(f"S{n}", Moments.of([4.5] * 20), BINS.count_values([4.5] * 20)) for n in range(3)]
    coarse = SiteSummary("S9", Moments.of([5.5] * 6), BINS.count_values([5.5] * 6).coarsened(10))
    found = pool([*fine, coarse])
    assert found.histogram.bins.width == 1.0
    assert found.histogram.cells[5] == 60
    assert found.unplaced == 6
    assert (found.quantiles[0.5].low, found.quantiles[0.5].high) == (4.0, 5.0)


def test_released_payloads_are_read_back():
    item = {"moments": Moments.of([1.0, 2.0]).to_dict(), "histogram": BINS.count_values([1.0, 2.0]).to_dict()}
    assert SiteSummary.from_dict("S1", item) == summary(1, [1.0, 2.0])
    assert SiteSummary.from_dict("S1", {"moments": None, "histogram": None}).moments is None
