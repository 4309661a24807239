"""Pooling that uses only what the sites released.

``(n, sum, sum of squares)`` of a site is one unit: it counts completely or not at all.  A site whose unit was
suppressed stands neither in the numerator nor in the denominator, and the result names these sites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.statistics.histogram import FixedBins, Histogram, Quantile, rank_of
from racoon.science.statistics.moments import Moments


@dataclass(frozen=True)
class SiteSummary:
    """What one site released for one measurement.

    Parameters
    ----------
    site
        Site code.
    moments
        ``None`` when suppressed.
    histogram
        ``None`` when suppressed as a whole; single cells may be missing too.
    """

    site: str
    moments: Moments | None
    histogram: Histogram | None = None

    @classmethod
    def from_dict(cls, site: str, item: Mapping[str, Any]) -> SiteSummary:
        """Read one measurement of a released payload.

        Raises
        ------
        ValueError
            If no real values could have these moments or cells.
        """
        return cls(
            site,
            Moments.from_dict(item["moments"]) if item.get("moments") else None,
            Histogram.from_dict(item["histogram"]) if item.get("histogram") else None,
        )


@dataclass(frozen=True)
class Pooled:
    """The network's result for one measurement.

    Parameters
    ----------
    moments
        Exact merge of the released units.
    histogram
        Sum over sites of the released cells at the finest width at which half of the values can be shown;
        ``None`` cells where no site released one; ``None`` without any.
    quantiles
        Enclosures by probability, from every site at its own width; wider where cells are missing.
    unplaced
        Values counted in ``moments`` that no cell of ``histogram`` shows.
    sites, suppressed_sites
        Codes of the sites that count, and of those whose unit was suppressed; sorted.
    """

    moments: Moments
    histogram: Histogram | None
    quantiles: Mapping[float, Quantile]
    unplaced: int
    sites: tuple[str, ...]
    suppressed_sites: tuple[str, ...]


def pool(
    summaries: Sequence[SiteSummary], *, probabilities: Sequence[float] = (0.05, 0.25, 0.5, 0.75, 0.95)
) -> Pooled:
    """Merge what sites released; independent of their order.

    Parameters
    ----------
    summaries
        One per site.
    probabilities
        Quantiles to enclose.

    Raises
    ------
    ValueError
        If a site appears twice or bins differ between sites.
    """
    if len({summary.site for summary in summaries}) != len(summaries):
        raise ValueError("a site counts once")
    counted = sorted((item for item in summaries if item.moments is not None), key=lambda item: item.site)
    moments = Moments.merge(item.moments for item in counted if item.moments is not None)
    parts = [(item.moments.n if item.moments else 0, item.histogram) for item in counted]
    common = _common_bins([histogram for _, histogram in parts if histogram is not None])
    if any(histogram is not None and histogram.known > size for size, histogram in parts):
        raise ValueError("a histogram holds more values than its site has")
    histogram = _shown(parts, common) if common else None
    return Pooled(
        moments=moments,
        histogram=histogram,
        quantiles=_quantiles(parts, common, moments.n, probabilities) if common else {},
        unplaced=moments.n - (histogram.known if histogram is not None else 0),
        sites=tuple(item.site for item in counted),
        suppressed_sites=tuple(sorted(item.site for item in summaries if item.moments is None)),
    )


_Part = tuple[int, Histogram | None]
"""Values of a site, and how they lie as far as it released that."""


def _common_bins(histograms: Sequence[Histogram]) -> FixedBins | None:
    """Find the coarsest bins from which all histograms can be merged; ``None`` without any.

    Raises
    ------
    ValueError
        If the histograms have different ranges, or no sensible common bins.
    """
    if not histograms:
        return None
    first = histograms[0].bins
    if any((item.bins.lower, item.bins.upper) != (first.lower, first.upper) for item in histograms):
        raise ValueError("sites used different bins")
    count = math.lcm(*(item.bins.count for item in histograms))
    return FixedBins(first.lower, first.upper, (first.upper - first.lower) / count)


def _shown(parts: Sequence[_Part], common: FixedBins) -> Histogram:
    """Add the histograms at the finest width at which at least half of the values can be shown.

    A site with few values releases coarse bins; its values stay unplaced rather than blur everybody else's.
    """
    released = [histogram for _, histogram in parts if histogram is not None]
    factors = [common.count // histogram.bins.count for histogram in released]
    total = sum(histogram.known for histogram in released)
    # Wider and wider: at the widest all of them take part, so the loop always ends with some.
    widths = sorted({math.lcm(*chosen) for chosen in _prefixes(sorted(set(factors)))})
    fine = released
    for width in widths:
        fine = [
            histogram.coarsened(width // factor)
            for histogram, factor in zip(released, factors, strict=True)
            if width % factor == 0
        ]
        if 2 * sum(histogram.known for histogram in fine) >= total:
            break
    columns = list(zip(*(histogram.cells for histogram in fine), strict=True))
    known = [sum(cell or 0 for cell in column) for column in columns]
    # A cell nobody released stays unknown; one that only some released shows their sum, a lower bound.
    cells = [
        None if None in column and not count else count for count, column in zip(known, columns, strict=True)
    ]
    return Histogram(fine[0].bins, tuple(cells))


def _prefixes(factors: Sequence[int]) -> list[Sequence[int]]:
    return [factors[:length] for length in range(1, len(factors) + 1)]


def _quantiles(
    parts: Sequence[_Part], common: FixedBins, total: int, probabilities: Sequence[float]
) -> dict[float, Quantile]:
    """Enclose quantiles from what each site says about how many of its values lie below each edge."""
    edges = common.edges
    fewest, most = np.zeros(len(edges), np.int64), np.zeros(len(edges), np.int64)
    for size, histogram in parts:
        surely, possibly = _below_edges(size, histogram, len(edges))
        fewest += surely
        most += possibly
    found = {}
    for probability in probabilities:
        rank = rank_of(probability, total)
        # Fewer than `rank` values below an edge: the quantile is not below it.  At least `rank`: it is.
        under, over = np.flatnonzero(most < rank), np.flatnonzero(fewest >= rank)
        low = float(edges[under[-1]]) if under.size else None
        high = float(edges[over[0]]) if over.size else None
        found[probability] = Quantile(
            (low + high) / 2 if low is not None and high is not None else None, low, high
        )
    return found


def _below_edges(
    size: int, histogram: Histogram | None, edges: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Fewest and most values of a site that can lie below each edge of the common bins."""
    surely, possibly = np.zeros(edges, np.int64), np.zeros(edges, np.int64)
    if histogram is None:
        return surely, possibly + size
    factor = (edges - 1) // histogram.bins.count
    # First edge above each cell, and last edge at or below its start, counted in edges of the common bins.
    stops = [0, *(factor * number for number in range(1, histogram.bins.count + 1)), edges]
    starts = [-1, *(factor * number for number in range(histogram.bins.count)), edges - 1]
    for cell, start, stop in zip(histogram.cells, starts, stops, strict=True):
        surely[stop:] += cell or 0
        possibly[start + 1 :] += cell or 0
    unplaced = size - histogram.known
    hidden = [index for index, cell in enumerate(histogram.cells) if cell is None] or range(
        len(histogram.cells)
    )
    if unplaced:
        surely[stops[hidden[-1]] :] += unplaced
        possibly[starts[hidden[0]] + 1 :] += unplaced
    return surely, possibly
