"""The rows of one site, ready for a model: columns, outcome, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

INTERCEPT = "(intercept)"


@dataclass(frozen=True)
class Design:
    """Complete rows of one site; they never leave it.

    Parameters
    ----------
    names
        Column names; :data:`INTERCEPT` for the constant column.
    columns
        Covariates, shape (columns, rows).
    outcome
        Shape (rows,).
    weights
        Positive weight per row, 1 by default.
    offset
        Added to the linear predictor, 0 by default.
    clusters
        Code of the cluster (subject) of each row; every row its own cluster by default.
    left_out
        Rows left out because a value is missing.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]
    outcome: NDArray[np.float64]
    weights: NDArray[np.float64]
    offset: NDArray[np.float64]
    clusters: NDArray[np.intp]
    left_out: int = 0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        covariates: ArrayLike,
        outcome: ArrayLike,
        *,
        weights: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        clusters: ArrayLike | None = None,
        has_intercept: bool = True,
    ) -> Design:
        """Keep the complete rows and put a constant in front.

        Parameters
        ----------
        names
            One per covariate.
        covariates
            Shape (rows, covariates); NaN is missing.
        outcome, weights, offset
            Shape (rows,).
        clusters
            Integer code per row.
        has_intercept
            Put the constant in front.
        """
        matrix = np.asarray(covariates, dtype=np.float64)
        y = np.asarray(outcome, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape != (y.size, len(names)):
            raise ValueError("a design needs one row per outcome and one name per covariate")
        w = np.ones(y.size) if weights is None else np.asarray(weights, dtype=np.float64)
        shift = np.zeros(y.size) if offset is None else np.asarray(offset, dtype=np.float64)
        groups = np.arange(y.size) if clusters is None else np.asarray(clusters)
        kept = np.isfinite(matrix).all(axis=1) & np.isfinite(y) & np.isfinite(w) & np.isfinite(shift)
        if (w[kept] <= 0).any():
            raise ValueError("weights must be positive")
        columns = np.ascontiguousarray(matrix[kept].T)
        if has_intercept:
            columns = np.vstack([np.ones(int(kept.sum())), columns])
        return cls(
            names=((INTERCEPT,) if has_intercept else ()) + tuple(names),
            columns=columns,
            outcome=y[kept],
            weights=w[kept],
            offset=shift[kept],
            clusters=np.unique(groups[kept], return_inverse=True)[1].astype(np.intp),
            left_out=int((~kept).sum()),
        )

    @property
    def n(self) -> int:
        """Rows."""
        return int(self.outcome.size)

    def predictor(self, coefficients: Sequence[float]) -> NDArray[np.float64]:
        """Linear predictor per row; column by column, so that a row's value depends on nothing but the row."""
        found = self.offset.copy()
        for column, coefficient in zip(self.columns, coefficients, strict=True):
            found += column * coefficient
        return found


def restricted_cubic_spline(values: ArrayLike, knots: Sequence[float]) -> NDArray[np.float64]:
    """Expand a variable into a cubic spline that is linear beyond the outer knots.

    Parameters
    ----------
    values
        Shape (rows,).
    knots
        At least three, ascending; chosen without looking at the data, the same at all sites.

    Returns
    -------
    ndarray
        Shape (rows, knots - 1): the variable itself and the non-linear terms.

    Notes
    -----
    Durrleman, Simon 1989, doi:10.1002/sim.4780080504, scaled by the squared distance of the outer knots.
    """
    x, t = np.asarray(values, dtype=np.float64), np.asarray(knots, dtype=np.float64)
    if t.size < 3 or (np.diff(t) <= 0).any():
        raise ValueError("a spline needs at least three ascending knots")
    last, before = t[-1], t[-2]
    cubes = np.maximum(x[:, None] - t, 0) ** 3
    terms = [
        (
            cubes[:, j]
            - cubes[:, -2] * (last - t[j]) / (last - before)
            + cubes[:, -1] * (before - t[j]) / (last - before)
        )
        / (last - t[0]) ** 2
        for j in range(t.size - 2)
    ]
    return np.column_stack([x, *terms])
