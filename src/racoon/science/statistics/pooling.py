"""Pooling that uses only what the sites released.

``(n, sum, sum of squares)`` of a site is one unit: it counts completely or not at all.  A site whose unit was
suppressed stands neither in the numerator nor in the denominator, and the result names these sites.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.science.statistics.histogram import Histogram, Quantile
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
        Sum over sites of the released cells, ``None`` cells where no site released one; ``None`` without any.
    quantiles
        Enclosures by probability; wider where cells are missing.
    unplaced
        Values counted in ``moments`` that no released cell shows.
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
    histogram, unplaced, places = _pool_histograms(counted)
    return Pooled(
        moments=moments,
        histogram=histogram,
        quantiles={
            probability: histogram.quantile(probability, unplaced=unplaced, places=places)
            for probability in probabilities
        }
        if histogram is not None
        else {},
        unplaced=unplaced,
        sites=tuple(item.site for item in counted),
        suppressed_sites=tuple(sorted(item.site for item in summaries if item.moments is None)),
    )


def _pool_histograms(counted: Sequence[SiteSummary]) -> tuple[Histogram | None, int, list[int]]:
    unplaced, anywhere = 0, False
    sized: list[tuple[int, Histogram]] = []
    for item in counted:
        size = item.moments.n if item.moments is not None else 0
        if item.histogram is None:
            unplaced, anywhere = unplaced + size, anywhere or size > 0
        elif item.histogram.known > size:
            raise ValueError("a histogram holds more values than its site has")
        else:
            sized.append((size, item.histogram))
    if not sized:
        return None, unplaced, []
    parts = _same_bins([histogram for _, histogram in sized])
    unplaced += sum(size - part.known for (size, _), part in zip(sized, parts, strict=True))
    known = [
        sum(cell or 0 for cell in column) for column in zip(*(part.cells for part in parts), strict=True)
    ]
    hidden = [None in column for column in zip(*(part.cells for part in parts), strict=True)]
    # A cell nobody released stays unknown; a cell that some sites released shows their sum, a lower bound.
    cells = tuple(
        None if unknown and not count else count for count, unknown in zip(known, hidden, strict=True)
    )
    places = [index for index, unknown in enumerate(hidden) if unknown or anywhere]
    return Histogram(parts[0].bins, cells), unplaced, places


def _same_bins(parts: Sequence[Histogram]) -> list[Histogram]:
    """Bring histograms whose bins are merged from the same fine bins to the finest width all of them have."""
    finest = min(parts, key=lambda part: part.bins.width).bins
    factors = []
    for part in parts:
        factor = round(part.bins.width / finest.width)
        same_range = (part.bins.lower, part.bins.upper) == (finest.lower, finest.upper)
        if not same_range or not math.isclose(part.bins.width, finest.width * factor, rel_tol=1e-9):
            raise ValueError("sites used different bins")
        factors.append(factor)
    common = math.lcm(*factors)
    return [part.coarsened(common // factor) for part, factor in zip(parts, factors, strict=True)]
