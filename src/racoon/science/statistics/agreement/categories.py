"""Agreement in categories: kappa of two readers or of many, from tables of counts or cross products of ratings."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.estimate import Estimate, z_of
from racoon.science.statistics.sums import CrossProducts

Weights = Literal["none", "linear", "quadratic"]


def rating_table(
    first: Sequence[Hashable], second: Sequence[Hashable], categories: Sequence[Hashable]
) -> NDArray[np.int64]:
    """Count pairs of ratings; tables of several sites are added.

    Parameters
    ----------
    first, second
        Ratings of the same subjects by two readers.
    categories
        All categories, in their order.

    Returns
    -------
    ndarray
        Counts, shape (categories, categories): row = first reader.

    Raises
    ------
    ValueError
        For a rating that is no category, or readers with different numbers of subjects.
    """
    if len(first) != len(second):
        raise ValueError("both readers must have rated the same subjects")
    places = {category: index for index, category in enumerate(categories)}
    table = np.zeros((len(places), len(places)), np.int64)
    for one, other in zip(first, second, strict=True):
        if one not in places or other not in places:
            raise ValueError("a rating is not among the categories")
        table[places[one], places[other]] += 1
    return table


def cohen_kappa(table: ArrayLike, *, weights: Weights = "none", level: float = 0.95) -> Estimate:
    """Compute Cohen's kappa of two readers.

    Parameters
    ----------
    table
        Counts, shape (k, k).
    weights
        ``linear`` and ``quadratic`` weigh a disagreement by its distance between ordered categories.
    level
        Confidence level; the limits use the large-sample variance.

    Notes
    -----
    Fleiss, Cohen, Everitt 1969, doi:10.1037/h0028106.
    """
    counts = np.asarray(table, dtype=np.float64)
    if counts.ndim != 2 or counts.shape[0] != counts.shape[1] or (counts < 0).any():
        raise ValueError("kappa needs a square table of counts")
    size, total = counts.shape[0], float(counts.sum())
    if total == 0 or size < 2:
        return Estimate.undefined(int(total))
    share = counts / total
    rows, columns = share.sum(axis=1), share.sum(axis=0)
    weight = agreement_weights(size, weights)
    observed, expected = float((weight * share).sum()), float(rows @ weight @ columns)
    if expected >= 1:  # both readers used one category only: agreement says nothing
        return Estimate.undefined(int(total))
    kappa = (observed - expected) / (1 - expected)
    by_row, by_column = weight @ columns, rows @ weight
    inner = weight - (by_row[:, None] + by_column[None, :]) * (1 - kappa)
    variance = float((share * inner**2).sum()) - (kappa - expected * (1 - kappa)) ** 2
    error = math.sqrt(max(variance, 0.0) / total) / (1 - expected)
    reach = z_of(level) * error
    return Estimate(kappa, max(-1.0, kappa - reach), min(1.0, kappa + reach), int(total))


def agreement_weights(size: int, weights: Weights) -> NDArray[np.float64]:
    """Build the weight of each pair of categories: 1 on the diagonal, less the further they lie apart."""
    distance = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    if weights == "none":
        return np.eye(size)
    scaled = distance / max(size - 1, 1)
    return np.asarray(1 - (scaled if weights == "linear" else scaled**2), dtype=np.float64)


def fleiss_kappa(ratings: CrossProducts, *, level: float = 0.95) -> Estimate:
    """Compute Fleiss' kappa of several readers.

    Parameters
    ----------
    ratings
        Cross products of the matrix (subjects, categories) that counts the readers per category; every subject
        was rated by the same number of readers.
    level
        Confidence level.

    Notes
    -----
    Fleiss 1971, doi:10.1037/h0031619; variance as in Fleiss, Nee, Landis 1979, doi:10.1037/0033-2909.86.5.974,
    which holds for kappa = 0, so the limits test against chance and are narrow elsewhere.
    """
    size = len(ratings.names)
    if ratings.n == 0:
        return Estimate.undefined(0)
    given = sum((ratings.sum_of(i) for i in range(size)), start=ratings.sum_of(0) * 0)
    readers = given / ratings.n
    pairs = sum((ratings.product(i, j) for i in range(size) for j in range(size)), start=given * 0)
    if readers.denominator != 1 or readers < 2 or pairs != ratings.n * readers**2:
        raise ValueError("every subject must have been rated by the same number of readers, at least two")
    squares = sum((ratings.product(i, i) for i in range(size)), start=given * 0)
    observed = (squares - given) / (ratings.n * readers * (readers - 1))
    shares = [ratings.sum_of(i) / given for i in range(size)]
    expected = sum((share**2 for share in shares), start=given * 0)
    if expected == 1:
        return Estimate.undefined(ratings.n)
    kappa = float((observed - expected) / (1 - expected))
    spread = float(sum((share * (1 - share) for share in shares), start=given * 0))
    skew = float(sum((share * (1 - share) * (1 - 2 * share) for share in shares), start=given * 0))
    variance = 2 * (spread**2 - skew) / (ratings.n * float(readers * (readers - 1)) * spread**2)
    reach = z_of(level) * math.sqrt(max(variance, 0.0))
    return Estimate(kappa, max(-1.0, kappa - reach), min(1.0, kappa + reach), ratings.n)
