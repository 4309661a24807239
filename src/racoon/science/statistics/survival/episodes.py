"""Covariates that switch on in time: a subject's follow-up in episodes, each with its own covariates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.exact import ZERO, Dyadic
from racoon.science.statistics.regression.steps import ModelQuestion, ModelStep
from racoon.science.statistics.survival.cox import Ties

_LARGEST_PREDICTOR = 300.0


@dataclass(frozen=True)
class Episodes:
    """Parts of follow-up ``(start, stop]`` of one site; they never leave it.

    Parameters
    ----------
    names
        Covariates.
    columns
        Shape (covariates, episodes).
    starts, stops, events
        Shape (episodes,); an event happens at the stop.
    subjects, left_out
        Subjects behind the episodes, and subjects left out because a value is missing.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]
    starts: NDArray[np.float64]
    stops: NDArray[np.float64]
    events: NDArray[np.float64]
    subjects: int
    left_out: int = 0

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        covariates: ArrayLike,
        switches: ArrayLike,
        times: ArrayLike,
        events: ArrayLike,
    ) -> Episodes:
        """Cut follow-up where a covariate switches on.

        Parameters
        ----------
        names
            Of the fixed covariates, then of the switching ones.
        covariates
            Shape (subjects, fixed covariates).
        switches
            Times at which each switching covariate becomes 1, shape (subjects, switching covariates); NaN for never.
        times, events
            Follow-up and event (0 or 1), shape (subjects,).
        """
        fixed, turns = np.asarray(covariates, dtype=np.float64), np.asarray(switches, dtype=np.float64)
        t, e = np.asarray(times, dtype=np.float64), np.asarray(events, dtype=np.float64)
        kept = np.isfinite(fixed).all(axis=1) & np.isfinite(t) & np.isfinite(e)
        if not np.isin(e[kept], (0.0, 1.0)).all() or (t[kept] < 0).any():
            raise ValueError("events are 0 or 1 and times are not negative")
        rows: list[tuple[float, float, float, NDArray[np.float64]]] = []
        for x, turn, time, event in zip(fixed[kept], turns[kept], t[kept], e[kept], strict=True):
            never = np.where(np.isnan(turn), np.inf, turn)
            cuts = [-1.0, *sorted({float(cut) for cut in never if 0 <= cut < time}), float(time)]
            for start, stop in itertools.pairwise(cuts):
                rows.append(
                    (start, stop, event if stop == time else 0.0, np.concatenate([x, never <= start]))
                )
        width = len(names)
        return cls(
            tuple(names),
            np.array([row[3] for row in rows]).reshape(-1, width).T,
            np.array([row[0] for row in rows]),
            np.array([row[1] for row in rows]),
            np.array([row[2] for row in rows]),
            int(kept.sum()),
            int((~kept).sum()),
        )

    def predictor(self, coefficients: Sequence[float]) -> NDArray[np.float64]:
        """Linear predictor per episode."""
        found = np.zeros(self.stops.size)
        for column, coefficient in zip(self.columns, coefficients, strict=True):
            found += column * coefficient
        return np.clip(found, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR)


def compute_episode_step(episodes: Episodes, question: ModelQuestion, ties: Ties) -> ModelStep:
    """Answer one round of a model stratified by site, over episodes.

    Parameters
    ----------
    episodes
        Of this site.
    question
        From CENTRAL.
    ties
        Way with equal times.

    Notes
    -----
    At an event time those are at risk whose episode holds it.  Sums run over at most one row per subject and time, so
    the counting-process form costs no independence (Therneau, Grambsch 2000, doi:10.1007/978-1-4757-3294-8).
    """
    if episodes.names != question.names:
        raise ValueError("the question is about other columns")
    width = len(episodes.names)
    order = np.lexsort((*episodes.columns, episodes.starts, episodes.events, episodes.stops))
    x, starts, stops = episodes.columns[:, order].T, episodes.starts[order], episodes.stops[order]
    failed, predictor = episodes.events[order] == 1, episodes.predictor(question.coefficients)[order]
    w = np.exp(predictor)
    score, information, likelihood = np.zeros(width), np.zeros((width, width)), 0.0
    for time in np.unique(stops[failed]):
        at_risk = (starts < time) & (stops >= time)
        here = failed & (stops == time)
        deaths = int(here.sum())
        share = (np.arange(deaths) / deaths if ties == "efron" else np.zeros(deaths))[:, None]
        s0, s1, s2 = _sums(x[at_risk], w[at_risk])
        d0, d1, d2 = _sums(x[here], w[here])
        weight = s0 - share * d0
        means = (s1 - share * d1) / weight
        second = (s2 - share[:, :, None] * d2) / weight[:, :, None]
        score += x[here].sum(axis=0) - means.sum(axis=0)
        information += (second - means[:, :, None] * means[:, None, :]).sum(axis=0)
        likelihood += float(predictor[here].sum() - np.log(weight).sum())
    return ModelStep(
        episodes.names,
        episodes.subjects,
        int(failed.sum()),
        episodes.left_out,
        tuple(Dyadic.from_float(float(value)) for value in score),
        tuple(Dyadic.from_float(float(value)) for value in information[np.triu_indices(width)]),
        (Dyadic.from_float(likelihood), Dyadic.of(int(failed.sum())), ZERO, ZERO),
    )


def _sums(
    x: NDArray[np.float64], w: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    weighted = x * w[:, None]
    return float(w.sum()), weighted.sum(axis=0), weighted.T @ x


class EpisodeSites:
    """Sites in one process, each answering over its own episodes."""

    def __init__(self, sites: Sequence[Episodes], ties: Ties = "efron") -> None:
        self._sites, self._ties = sites, ties

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask every site and add the steps."""
        return ModelStep.merge(compute_episode_step(part, question, self._ties) for part in self._sites)
