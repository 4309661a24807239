"""Parts of a training plan: which series it takes, and how sites' updates become one model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

Number = TypeVar("Number", int, float)

STRATEGIES = ("fedavg", "fedprox", "fedopt", "fedbn", "scaffold", "cyclic")
"""Names a plan may give; each is exact and tested, nothing else is accepted."""


AGGREGATES = ("mean", "median", "trimmed")


@dataclass(frozen=True)
class InputContract:
    """What a series must be like; it is refused with the reason otherwise, never bent to fit.

    Parameters
    ----------
    slice_mm, plane_mm
        Smallest and largest distance between slices, and between pixels in the plane, in mm; ``None`` is open.
    minimum_slices
        Fewest slices.
    """

    slice_mm: tuple[float, float] | None = None
    plane_mm: tuple[float, float] | None = None
    minimum_slices: int = 1

    def __post_init__(self) -> None:
        for limits in (self.slice_mm, self.plane_mm):
            if limits is not None and not 0 < limits[0] <= limits[1]:
                raise ValueError("limits of a spacing are two positive numbers, the smaller first")
        if self.minimum_slices < 1:
            raise ValueError("a series has at least one slice")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only what is stated."""
        stated: dict[str, Any] = {}
        if self.slice_mm:
            stated["slice_mm"] = list(self.slice_mm)
        if self.plane_mm:
            stated["plane_mm"] = list(self.plane_mm)
        if self.minimum_slices != 1:
            stated["minimum_slices"] = self.minimum_slices
        return stated

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> InputContract:
        """Read the JSON form."""
        _only(document, {"slice_mm", "plane_mm", "minimum_slices"})
        return cls(
            _pair(document.get("slice_mm")),
            _pair(document.get("plane_mm")),
            int(document.get("minimum_slices", 1)),
        )


@dataclass(frozen=True)
class Strategy:
    """How sites train and how their updates become one model.

    Parameters
    ----------
    name
        ``fedavg`` (doi:10.48550/arXiv.1602.05629); ``fedprox`` adds ``proximal / 2 · |w - w_global|²`` to the loss at
        a site (doi:10.48550/arXiv.1812.06127); ``fedopt`` takes the mean update as a gradient for a server
        optimiser (doi:10.48550/arXiv.2003.00295); ``fedbn`` keeps normalisation weights at each site
        (doi:10.48550/arXiv.2102.07623); ``scaffold`` corrects each site's drift by control variates and trains with
        plain gradient steps (doi:10.48550/arXiv.1910.06378); ``cyclic`` hands the model from site to site, in a
        round to every site once.
    proximal
        Weight of the proximal term; above 0 with ``fedprox`` only.
    server
        ``momentum`` or ``adam``, with ``fedopt`` only.
    server_rate, momentum
        Learning rate and first-moment decay of the server optimiser.
    aggregate
        ``mean``, weighted by cases; ``median`` or ``trimmed`` of each weight over the sites, one vote each, which a few
        wrong sites cannot pull away (doi:10.48550/arXiv.1803.01498).
    trim
        Share of the sites left out at either end, above 0 with ``trimmed`` only.
    secure_sum
        Whether sites mask what they send, so that the server learns the sum of all and no single update
        (doi:10.1145/3133956.3133982); with the mean of at least three sites only.
    """

    name: str = "fedavg"
    proximal: float = 0.0
    server: str = ""
    server_rate: float = 1.0
    momentum: float = 0.9
    aggregate: str = "mean"
    trim: float = 0.0
    secure_sum: bool = False

    def __post_init__(self) -> None:
        if self.name not in STRATEGIES:
            raise ValueError(f"a strategy is one of {', '.join(STRATEGIES)}")
        if (self.proximal > 0) != (self.name == "fedprox") or self.proximal < 0:
            raise ValueError("fedprox, and it alone, has a proximal weight above 0")
        if (self.server in {"momentum", "adam"}) != (self.name == "fedopt"):
            raise ValueError("fedopt, and it alone, names its server optimiser: momentum or adam")
        if not 0 < self.server_rate <= 10 or not 0 <= self.momentum < 1:
            raise ValueError("the server optimiser's rate or momentum is out of range")
        if self.aggregate not in AGGREGATES:
            raise ValueError(f"an aggregate is one of {', '.join(AGGREGATES)}")
        if (self.trim > 0) != (self.aggregate == "trimmed") or not 0 <= self.trim < 0.5:
            raise ValueError("trimmed, and it alone, has a trim above 0 and below 0.5")
        if self.name == "cyclic" and self.aggregate != "mean":
            raise ValueError("a cyclic strategy aggregates nothing")
        if self.secure_sum and (self.aggregate != "mean" or self.name == "cyclic"):
            raise ValueError("a secure sum needs a mean: nobody may look at single updates to sort them")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only what the strategy uses."""
        document: dict[str, Any] = {"name": self.name}
        if self.name == "fedprox":
            document["proximal"] = self.proximal
        if self.name == "fedopt":
            document |= {"server": self.server, "server_rate": self.server_rate, "momentum": self.momentum}
        if self.aggregate != "mean":
            document["aggregate"] = self.aggregate
        if self.trim:
            document["trim"] = self.trim
        if self.secure_sum:
            document["secure_sum"] = True
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Strategy:
        """Read the JSON form."""
        _only(
            document,
            {"name", "proximal", "server", "server_rate", "momentum", "aggregate", "trim", "secure_sum"},
        )
        return cls(**document)


@dataclass(frozen=True)
class Privacy:
    """Differentially private training at a site: what one case can change about the weights that leave is bounded.

    Each optimiser step takes every case with the same chance, shortens each case's gradient, adds Gaussian noise
    (doi:10.1145/2976749.2978318).  The unit is a case; a node takes part only if no subject has two.

    Parameters
    ----------
    noise
        Standard deviation of the noise, in multiples of ``clip``.
    clip
        Largest L2 norm of one case's gradient.
    epsilon, delta
        Largest ε of this training at a site for this δ; a site may insist on less.
    """

    noise: float
    clip: float
    epsilon: float
    delta: float = 1e-5

    def __post_init__(self) -> None:
        if not (0 < self.noise <= 1000 and 0 < self.clip <= 1000):
            raise ValueError("noise and clip of a private training lie above 0, up to 1000")
        if not (0 < self.epsilon <= 1000 and 0 < self.delta < 0.1):
            raise ValueError("epsilon lies above 0, up to 1000, and delta above 0, below 0.1")

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"noise": self.noise, "clip": self.clip, "epsilon": self.epsilon, "delta": self.delta}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Privacy:
        """Read the JSON form."""
        _only(document, {"noise", "clip", "epsilon", "delta"})
        return cls(**{name: float(value) for name, value in document.items()})


def triple(kind: Callable[[Any], Number], value: Any) -> tuple[Number, Number, Number]:
    """Read three numbers along (slice, row, column)."""
    first, second, third = value
    return kind(first), kind(second), kind(third)


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = value
    return float(low), float(high)


def _only(document: dict[str, Any], names: set[str]) -> None:
    unknown = sorted(set(document) - names)
    if unknown:
        raise ValueError(f"unknown words: {', '.join(unknown)}")
