"""Site part of a model: one question, one answer made of exact sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.statistics.exact import Dyadic
from racoon.science.statistics.regression.design import Design
from racoon.science.statistics.regression.families import Family, FamilyName
from racoon.science.statistics.sums import add_all, exact_column_sums, exact_triangle


@dataclass(frozen=True)
class ModelQuestion:
    """What CENTRAL asks in one round.

    Parameters
    ----------
    family
        Family of the outcome.
    names
        Columns of the design, in order.
    coefficients
        One per column.
    size
        Size of the negative binomial; 1 otherwise.
    """

    family: FamilyName
    names: tuple[str, ...]
    coefficients: tuple[float, ...]
    size: float = 1.0


@dataclass(frozen=True)
class ModelStep:
    """A site's answer: score, information and log-likelihood at the asked coefficients.

    Parameters
    ----------
    names
        Columns of the design.
    n
        Rows.
    positive
        Rows whose outcome is above 0: the events of a logistic model.
    left_out
        Rows left out because a value is missing.
    score
        Derivative of the log-likelihood per column.
    information
        Expected information, upper triangle row by row.
    rest
        Log-likelihood, sum of weights, and the two derivatives by the log size of the negative binomial.
    """

    names: tuple[str, ...]
    n: int
    positive: int
    left_out: int
    score: tuple[Dyadic, ...]
    information: tuple[Dyadic, ...]
    rest: tuple[Dyadic, ...]

    def __post_init__(self) -> None:
        width = len(self.names)
        if (len(self.score), len(self.information), len(self.rest)) != (width, width * (width + 1) // 2, 4):
            raise ValueError("a model step has one score per column and one information per pair")
        if not 0 <= self.positive <= self.n or self.left_out < 0:
            raise ValueError("no real rows have these counts")

    def __add__(self, other: ModelStep) -> ModelStep:
        if self.names != other.names:
            raise ValueError("steps of different models can't be added")
        return ModelStep(
            self.names,
            self.n + other.n,
            self.positive + other.positive,
            self.left_out + other.left_out,
            add_all(self.score, other.score),
            add_all(self.information, other.information),
            add_all(self.rest, other.rest),
        )

    @classmethod
    def merge(cls, parts: Iterable[ModelStep]) -> ModelStep:
        """Add answers, in any order.

        Raises
        ------
        ValueError
            Without any part, or when models differ.
        """
        merged: ModelStep | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "names": list(self.names),
            "n": self.n,
            "positive": self.positive,
            "left_out": self.left_out,
            "score": [str(value) for value in self.score],
            "information": [str(value) for value in self.information],
            "rest": [str(value) for value in self.rest],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ModelStep:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If the parts don't fit together.
        """
        return cls(
            tuple(str(name) for name in document["names"]),
            int(document["n"]),
            int(document["positive"]),
            int(document["left_out"]),
            tuple(Dyadic.from_text(text) for text in document["score"]),
            tuple(Dyadic.from_text(text) for text in document["information"]),
            tuple(Dyadic.from_text(text) for text in document["rest"]),
        )


def compute_step(design: Design, question: ModelQuestion) -> ModelStep:
    """Answer one round.

    Parameters
    ----------
    design
        Rows of this site.
    question
        From CENTRAL.

    Raises
    ------
    ValueError
        If the design has other columns, or the outcome does not fit the family.
    """
    if design.names != question.names:
        raise ValueError("the question is about other columns")
    family = Family(question.family)
    family.check(design.outcome)
    terms = family.terms(design.outcome, design.predictor(question.coefficients), question.size)
    residual, weight = design.weights * terms.residual, design.weights * terms.weight
    rest = np.column_stack(
        [
            design.weights * terms.log_likelihood,
            design.weights,
            design.weights * terms.size_score,
            design.weights * terms.size_curvature,
        ]
    )
    return ModelStep(
        design.names,
        design.n,
        int((design.outcome > 0).sum()),
        design.left_out,
        exact_column_sums((design.columns * residual).T),
        exact_triangle(design.columns * weight, design.columns),
        exact_column_sums(rest),
    )


@dataclass(frozen=True)
class Meat:
    """A site's part of a robust variance: squared scores, summed over its clusters.

    Parameters
    ----------
    n, clusters
        Rows and clusters.
    products
        Sums over clusters of products of scores, upper triangle row by row.
    """

    n: int
    clusters: int
    products: tuple[Dyadic, ...]

    def __add__(self, other: Meat) -> Meat:
        return Meat(self.n + other.n, self.clusters + other.clusters, add_all(self.products, other.products))

    @classmethod
    def merge(cls, parts: Iterable[Meat]) -> Meat:
        """Add answers, in any order; a cluster lies within one site.

        Raises
        ------
        ValueError
            Without any part.
        """
        merged: Meat | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"n": self.n, "clusters": self.clusters, "products": [str(value) for value in self.products]}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Meat:
        """Read the JSON form."""
        products = tuple(Dyadic.from_text(text) for text in document["products"])
        return cls(int(document["n"]), int(document["clusters"]), products)


def compute_meat(design: Design, question: ModelQuestion, *, by_cluster: bool) -> Meat:
    """Square the scores of each cluster at the fitted coefficients.

    Parameters
    ----------
    design
        Rows of this site.
    question
        The last one of the fit.
    by_cluster
        Add the scores of each cluster first; otherwise every row stands for itself.
    """
    family = Family(question.family)
    terms = family.terms(design.outcome, design.predictor(question.coefficients), question.size)
    scores = design.columns * (design.weights * terms.residual)
    return meat_of(scores, design.clusters if by_cluster else None)


def meat_of(scores: NDArray[np.float64], clusters: NDArray[np.intp] | None) -> Meat:
    """Square scores, or their sums per cluster.

    Parameters
    ----------
    scores
        Shape (columns, rows).
    clusters
        Number of each row's cluster, shape (rows,); ``None`` where every row stands for itself.
    """
    n = scores.shape[1]
    summed = cluster_sums(scores, clusters)
    count = int(clusters.max()) + 1 if clusters is not None and n else n
    return Meat(n, count, exact_triangle(summed, summed))


def cluster_sums(scores: NDArray[np.float64], clusters: NDArray[np.intp] | None) -> NDArray[np.float64]:
    """Add the scores of each cluster, exactly, so that the order of the rows changes no bit."""
    if clusters is None or not clusters.size or int(clusters.max()) + 1 >= clusters.size:
        return scores
    order = np.argsort(clusters, kind="stable")
    bounds = np.flatnonzero(np.diff(clusters[order], prepend=-1))
    groups = np.split(scores[:, order], bounds[1:], axis=1)
    return np.array([[float(value) for value in exact_column_sums(group.T)] for group in groups]).T
