"""What a site is asked in a round and what it answers: plain data, the same in one process and across hospitals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Part = Literal["sums", "meat", "second", "own"]


@dataclass(frozen=True)
class Question:
    """One step of one estimator; two equal questions have the same answer, so none is asked twice.

    Parameters
    ----------
    place
        Position of the estimator in the plan.
    subgroup
        Name of the subgroup; empty for all rows.
    part
        ``sums``: what the estimator adds; ``meat``: the squared scores of a robust variance; ``second``: what is
        computed with the coefficients of a first stage; ``own``: the estimate of the site alone.
    coefficients
        Where a model's sums are wanted; empty where nothing is fitted.
    size
        Size of the negative binomial; 1 otherwise.
    imputation
        Number of the imputed data set; 0 for the rows as they are.
    path
        Common hazards and mean covariates per interval of a published grid, which the squared scores of a Cox model
        need; empty otherwise.
    harmony
        What the site needs to harmonise its own rows, where the estimator uses harmonised values; empty otherwise.
    """

    place: int
    subgroup: str = ""
    part: Part = "sums"
    coefficients: tuple[float, ...] = ()
    size: float = 1.0
    imputation: int = 0
    path: tuple[float, ...] = ()
    harmony: tuple[float, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        document: dict[str, Any] = {
            "place": self.place,
            "subgroup": self.subgroup,
            "part": self.part,
            "coefficients": list(self.coefficients),
            "size": self.size,
        }
        if self.imputation:
            document["imputation"] = self.imputation
        later = {"path": list(self.path), "harmony": list(self.harmony)}
        return {**document, **{key: value for key, value in later.items() if value}}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Question:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            part, place = document["part"], document["place"]
            imputation = document.get("imputation", 0)
            if part not in get_args(Part) or not isinstance(place, int) or place < 0:
                raise ValueError("a question names a part and the place of an estimator")
            if not isinstance(imputation, int) or imputation < 0:
                raise ValueError("imputations are numbered from 1")
            return cls(
                place,
                str(document["subgroup"]),
                part,
                tuple(float(value) for value in document["coefficients"]),
                float(document["size"]),
                imputation,
                tuple(float(value) for value in document.get("path", ())),
                tuple(float(value) for value in document.get("harmony", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError("this is no question of an analysis") from error


@dataclass(frozen=True)
class Answer:
    """What a site's gate let through for a question.

    Parameters
    ----------
    value
        JSON form of the sums; ``None`` when nothing may leave.
    reasons
        Why something stayed, in words without a number.
    least_sites
        Fewest sites among which this site lets its sums be added; never fewer than the plan says.
    """

    value: Mapping[str, Any] | None
    reasons: tuple[str, ...] = ()
    least_sites: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"value": self.value, "reasons": list(self.reasons), "least_sites": self.least_sites}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Answer:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            value = document["value"]
            if value is not None and not isinstance(value, Mapping):
                raise ValueError("an answer's value is a mapping")
            return cls(value, tuple(map(str, document["reasons"])), int(document["least_sites"]))
        except (KeyError, TypeError) as error:
            raise ValueError("this is no answer of an analysis") from error
