"""Multiple imputation at a site: missing values drawn from the site's own rows, and Rubin's rules.

Draws depend on seed, number of the imputation and the values of the row, never on the order of the rows.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.science.statistics.estimate import Estimate

_TURNS = 10
_DONORS = 5


@dataclass(frozen=True)
class Column:
    """One variable of the imputation model.

    Parameters
    ----------
    values
        Shape (rows,); NaN is missing.
    levels
        Number of levels of a category or truth; 0 for a number.
    """

    values: NDArray[np.float64]
    levels: int = 0


def impute(columns: Mapping[str, Column], seed: int, number: int) -> dict[str, NDArray[np.float64]]:
    """Draw one completed data set by chained equations.

    Parameters
    ----------
    columns
        All variables of the model, the outcome among them.
    seed, number
        Of the analysis and of the imputation: the same two give the same draws.

    Returns
    -------
    dict
        Values without NaN; a variable unknown in all rows, or in all but a few, stays as it is.

    Notes
    -----
    Fully conditional specification (van Buuren 2007, doi:10.1177/0962280206074463): a Bayesian linear draw with
    predictive mean matching for numbers, Bayesian regression on each level for categories.
    """
    order = sorted(columns)
    # One order for one set of rows, so that no bit of a fit depends on how the table is sorted.
    given = np.lexsort([columns[name].values for name in order])
    sorted_columns = {name: Column(columns[name].values[given], columns[name].levels) for name in order}
    filled = _impute(sorted_columns, order, seed, number)
    back = np.argsort(given)
    return {name: values[back] for name, values in filled.items()}


def _impute(
    columns: Mapping[str, Column], order: Sequence[str], seed: int, number: int
) -> dict[str, NDArray[np.float64]]:
    missing = {name: np.isnan(columns[name].values) for name in order}
    wanted = [name for name in order if missing[name].any() and (~missing[name]).sum() > len(order) + _DONORS]
    filled = {name: columns[name].values.copy() for name in order}
    if not wanted:
        return filled
    noise = _Noise(np.column_stack([columns[name].values for name in order]), seed, number)
    for name in wanted:  # start from any known value
        pool = np.sort(columns[name].values[~missing[name]])
        places = (noise.uniform(f"start {name}") * pool.size).astype(np.intp)
        filled[name][missing[name]] = pool[places[missing[name]]]
    still = [name for name in order if name in wanted or not missing[name].any()]
    for turn in range(_TURNS):
        for name in wanted:
            others = _predictors(
                [(other, filled[other], columns[other].levels) for other in still if other != name]
            )
            draw = f"{turn} {name}"
            where, known = missing[name], ~missing[name]
            if columns[name].levels:
                filled[name][where] = _draw_level(
                    others, columns[name].values, columns[name].levels, where, known, noise, draw
                )
            else:
                filled[name][where] = _draw_number(others, columns[name].values, where, known, noise, draw)
    return filled


class _Noise:
    """Random numbers that belong to a row by its values, to equal rows by their count."""

    def __init__(self, rows: NDArray[np.float64], seed: int, number: int) -> None:
        self._key = f"{seed} {number}".encode()
        seen: dict[bytes, int] = {}
        self._rows = []
        for row in rows:
            content = row.tobytes()
            seen[content] = seen.get(content, 0) + 1
            self._rows.append(hashlib.sha256(self._key + content + str(seen[content]).encode()).digest())
        self._all = hashlib.sha256(self._key + b"".join(sorted(self._rows))).digest()

    def uniform(self, draw: str) -> NDArray[np.float64]:
        """One number per row in (0, 1)."""
        return np.array([_fraction(hashlib.sha256(row + draw.encode()).digest()) for row in self._rows])

    def normal(self, draw: str, size: int) -> NDArray[np.float64]:
        """Numbers for the whole site: of the coefficients."""
        digests = [hashlib.sha256(self._all + f"{draw} {place}".encode()).digest() for place in range(size)]
        return np.asarray(special.ndtri([_fraction(digest) for digest in digests]), dtype=np.float64)


def _fraction(digest: bytes) -> float:
    return (int.from_bytes(digest[:6], "big") + 0.5) / 2**48


def _predictors(others: Sequence[tuple[str, NDArray[np.float64], int]]) -> NDArray[np.float64]:
    columns = [np.ones(others[0][1].size)] if others else []
    for _, values, levels in others:
        if levels > 2:
            columns += [(values == level).astype(np.float64) for level in range(1, levels)]
        else:
            spread = float(values.std())
            columns.append((values - values.mean()) / (spread if spread > 0 else 1.0))
    return np.column_stack(columns)


def _bayesian(
    x: NDArray[np.float64], y: NDArray[np.float64], noise: _Noise, draw: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Least squares, and a draw from their posterior; a small ridge keeps nearly empty columns harmless."""
    gram = x.T @ x
    inverse = np.linalg.inv(gram + 1e-5 * np.diag(np.diag(gram)) + 1e-9 * np.eye(x.shape[1]))
    found = inverse @ x.T @ y
    residual = y - x @ found
    freedom = max(y.size - x.shape[1], 1)
    uniform = float(special.ndtr(noise.normal(f"{draw} spread", 1)[0]))
    spread = float(residual @ residual) / float(special.chdtri(freedom, uniform))
    root = np.linalg.cholesky((inverse + inverse.T) / 2)
    return found, found + math.sqrt(max(spread, 0.0)) * root @ noise.normal(f"{draw} slopes", x.shape[1])


def _draw_number(
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    where: NDArray[np.bool_],
    known: NDArray[np.bool_],
    noise: _Noise,
    draw: str,
) -> NDArray[np.float64]:
    found, drawn = _bayesian(x[known], values[known], noise, draw)
    near, wanted = x[known] @ found, x[where] @ drawn
    order = np.lexsort((values[known], near))
    near, donors = near[order], values[known][order]
    uniform = noise.uniform(draw)[where]
    picked = np.empty(wanted.size)
    for place, (value, chance) in enumerate(zip(wanted, uniform, strict=True)):
        distance = np.abs(near - value)
        closest = np.argsort(distance, kind="stable")[:_DONORS]
        picked[place] = donors[closest[int(chance * closest.size)]]
    return picked


def _draw_level(
    x: NDArray[np.float64],
    values: NDArray[np.float64],
    levels: int,
    where: NDArray[np.bool_],
    known: NDArray[np.bool_],
    noise: _Noise,
    draw: str,
) -> NDArray[np.float64]:
    chances = np.empty((int(where.sum()), levels))
    for level in range(levels):
        chances[:, level] = _risk(
            x, (values[known] == level).astype(np.float64), where, known, noise, f"{draw} {level}"
        )
    chances = np.cumsum(chances / chances.sum(axis=1, keepdims=True), axis=1)
    found = (noise.uniform(draw)[where][:, None] > chances).sum(axis=1)
    return np.asarray(np.minimum(found, levels - 1), dtype=np.float64)


def _risk(
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    where: NDArray[np.bool_],
    known: NDArray[np.bool_],
    noise: _Noise,
    draw: str,
) -> NDArray[np.float64]:
    """Logistic regression with a weak ridge (no separation), a draw from its posterior, and the risks of the rows."""
    own, beta = x[known], np.zeros(x.shape[1])
    information = np.eye(x.shape[1])
    for _ in range(25):
        mean = special.expit(own @ beta)
        information = (own.T * (mean * (1 - mean))) @ own + 0.1 * np.eye(x.shape[1])
        change = np.linalg.solve(information, own.T @ (y - mean) - 0.1 * beta)
        beta = beta + change
        if float(np.abs(change).max()) < 1e-10:
            break
    root = np.linalg.cholesky(np.linalg.inv(information))
    drawn = beta + root @ noise.normal(draw, beta.size)
    return np.asarray(np.clip(special.expit(x[where] @ drawn), 1e-9, 1.0), dtype=np.float64)


@dataclass(frozen=True)
class Combined:
    """Estimates of imputed data sets, combined.

    Parameters
    ----------
    estimate
        Mean with its t interval.
    standard_error, freedom, p
        Of the mean.
    missing_information
        Share of the information that missing values cost.
    """

    estimate: Estimate
    standard_error: float
    freedom: float
    p: float
    missing_information: float


def combine(values: Sequence[float], errors: Sequence[float], n: int, *, level: float = 0.95) -> Combined:
    """Combine one estimate per imputation by Rubin's rules.

    Parameters
    ----------
    values, errors
        Estimates and standard errors, one per imputation.
    n
        Rows.
    level
        Confidence level.

    Notes
    -----
    Rubin 1987, doi:10.1002/9780470316696: total variance ``W + (1 + 1/m) B``; degrees of freedom
    ``(m - 1) (1 + W / ((1 + 1/m) B))²``.

    Raises
    ------
    ValueError
        With fewer than two imputations.
    """
    m = len(values)
    if m < 2 or len(errors) != m:
        raise ValueError("Rubin's rules need two or more imputations")
    centre = float(np.mean(values))
    within, between = float(np.mean(np.square(errors))), float(np.var(values, ddof=1))
    extra = (1 + 1 / m) * between
    error = math.sqrt(within + extra)
    freedom = (m - 1) * (1 + within / extra) ** 2 if extra > 1e-12 * within else math.inf
    large = math.isinf(freedom) or freedom > 1e9
    reach = (
        float(special.ndtri((1 + level) / 2) if large else special.stdtrit(freedom, (1 + level) / 2)) * error
    )
    ratio = -abs(centre / error)
    p = float(2 * (special.ndtr(ratio) if large else special.stdtr(freedom, ratio)))
    return Combined(
        Estimate(centre, centre - reach, centre + reach, n), error, freedom, p, extra / (within + extra)
    )
