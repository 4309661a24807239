"""Parts of a training plan: which series it takes, and how sites' updates become one model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

STRATEGIES = ("fedavg", "fedprox", "fedopt", "fedbn")
"""Names a plan may give; each is exact and tested, nothing else is accepted."""


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
        (doi:10.48550/arXiv.2102.07623).
    proximal
        Weight of the proximal term; above 0 with ``fedprox`` only.
    server
        ``momentum`` or ``adam``, with ``fedopt`` only.
    server_rate, momentum
        Learning rate and first-moment decay of the server optimiser.
    """

    name: str = "fedavg"
    proximal: float = 0.0
    server: str = ""
    server_rate: float = 1.0
    momentum: float = 0.9

    def __post_init__(self) -> None:
        if self.name not in STRATEGIES:
            raise ValueError(f"a strategy is one of {', '.join(STRATEGIES)}")
        if (self.proximal > 0) != (self.name == "fedprox") or self.proximal < 0:
            raise ValueError("fedprox, and it alone, has a proximal weight above 0")
        if (self.server in {"momentum", "adam"}) != (self.name == "fedopt"):
            raise ValueError("fedopt, and it alone, names its server optimiser: momentum or adam")
        if not 0 < self.server_rate <= 10 or not 0 <= self.momentum < 1:
            raise ValueError("the server optimiser's rate or momentum is out of range")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only what the strategy uses."""
        document: dict[str, Any] = {"name": self.name}
        if self.name == "fedprox":
            document["proximal"] = self.proximal
        if self.name == "fedopt":
            document |= {"server": self.server, "server_rate": self.server_rate, "momentum": self.momentum}
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Strategy:
        """Read the JSON form."""
        _only(document, {"name", "proximal", "server", "server_rate", "momentum"})
        return cls(**document)


def _pair(value: Any) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = value
    return float(low), float(high)


def _only(document: dict[str, Any], names: set[str]) -> None:
    unknown = sorted(set(document) - names)
    if unknown:
        raise ValueError(f"unknown words: {', '.join(unknown)}")
