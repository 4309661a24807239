"""Plans: what a study wants computed at each site, as data that can be hashed, shown, approved and refused.

A plan names only things that are already installed at the site (biomarkers, architectures); no code travels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code


@dataclass(frozen=True)
class Bins:
    """Fixed, data-independent histogram bins ``[lower, lower + width), …, upper``.

    Parameters
    ----------
    lower, upper
        Range in the measurement's unit.
    width
        Bin width in the same unit; ``upper - lower`` is a whole multiple of it.
    """

    lower: float
    upper: float
    width: float

    @property
    def count(self) -> int:
        """Number of bins between lower and upper."""
        return round((self.upper - self.lower) / self.width)


@dataclass(frozen=True)
class Measurement:
    """One biomarker of one labelled structure.

    Parameters
    ----------
    biomarker
        Definition id, e.g. ``"volume"``.
    version
        Version of the definition the study was approved with.
    label
        Code of the segment to measure; ``None`` for measurements of the whole image.
    bins
        Histogram bins that may leave the site.
    parameters
        Values of the definition's parameters that differ from its defaults.
    """

    biomarker: str
    version: str
    label: Code | None
    bins: Bins
    parameters: dict[str, float | int | str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Stable name of this measurement inside its plan, e.g. ``"volume@1 SCT:10200004"``."""
        place = self.label.key if self.label else "image"
        extra = f" {content_hash(self.parameters)[:8]}" if self.parameters else ""
        return f"{self.biomarker}@{self.version} {place}{extra}"


@dataclass(frozen=True)
class MeasuringPlan:
    """All measurements of a study.

    Parameters
    ----------
    irregular
        What is done with a series that is no regular volume (missing, uneven, tilted or repeated slices):
        ``refuse`` reports it as a finding, ``resample`` interpolates where that invents no image.
    """

    name: str
    measurements: tuple[Measurement, ...]
    irregular: str = "refuse"

    def __post_init__(self) -> None:
        if self.irregular not in ("refuse", "resample"):
            raise ValueError("irregular is refuse or resample")

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; the hash of a plan that says nothing of irregular series stays what it was."""
        rule = {} if self.irregular == "refuse" else {"irregular": self.irregular}
        return rule | {
            "kind": "measuring",
            "name": self.name,
            "measurements": [
                {
                    "biomarker": item.biomarker,
                    "version": item.version,
                    "label": item.label.to_dict() if item.label else None,
                    "bins": {"lower": item.bins.lower, "upper": item.bins.upper, "width": item.bins.width},
                    "parameters": dict(item.parameters),
                }
                for item in self.measurements
            ],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> MeasuringPlan:
        """Read the JSON form."""
        return cls(
            irregular=document.get("irregular", "refuse"),
            name=document["name"],
            measurements=tuple(
                Measurement(
                    biomarker=item["biomarker"],
                    version=item["version"],
                    label=Code.from_dict(item["label"]) if item["label"] else None,
                    bins=Bins(**item["bins"]),
                    parameters=dict(item.get("parameters", {})),
                )
                for item in document["measurements"]
            ),
        )


@dataclass(frozen=True)
class TrainingPlan:
    """One training of a segmentation network, the same for local, pooled and federated mode.

    Parameters
    ----------
    name
        Short name for people.
    modality
        DICOM modality of the input series (``"CT"``, ``"MR"``).
    labels
        Codes of the structures to segment; class index is position + 1, 0 is background.
    architecture
        Name in the registry of ``racoon.learning``.
    rounds, local_steps
        Federated rounds, and optimiser steps per site and round; local and pooled training take the product.
    batch_size
        Slices per step.
    learning_rate
        Initial learning rate.
    size
        In-plane input size in pixels (rows, columns).
    window_hu
        Intensity window (lower, upper) in HU; ``None`` normalises each volume by its own percentiles (MR).
    seed
        Seed of initial weights and sampling.
    min_sites, min_cases
        Smallest number of sites in a round and of training cases at a site; a site may insist on more.
    """

    name: str
    modality: str
    labels: tuple[Code, ...]
    architecture: str = "unet2d-small"
    rounds: int = 5
    local_steps: int = 24
    batch_size: int = 4
    learning_rate: float = 5e-3
    size: tuple[int, int] = (96, 96)
    window_hu: tuple[float, float] | None = (-1000.0, 200.0)
    seed: int = 1
    min_sites: int = 3
    min_cases: int = 5

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": "training",
            "task": "segmentation",
            "name": self.name,
            "modality": self.modality,
            "labels": [label.to_dict() for label in self.labels],
            "architecture": self.architecture,
            "rounds": self.rounds,
            "local_steps": self.local_steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "size": list(self.size),
            "window_hu": list(self.window_hu) if self.window_hu else None,
            "seed": self.seed,
            "min_sites": self.min_sites,
            "min_cases": self.min_cases,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainingPlan:
        """Read the JSON form."""
        rows, columns = document["size"]
        window = document["window_hu"]
        return cls(
            name=document["name"],
            modality=document["modality"],
            labels=tuple(Code.from_dict(label) for label in document["labels"]),
            architecture=document["architecture"],
            rounds=document["rounds"],
            local_steps=document["local_steps"],
            batch_size=document["batch_size"],
            learning_rate=document["learning_rate"],
            size=(rows, columns),
            window_hu=(window[0], window[1]) if window else None,
            seed=document["seed"],
            min_sites=document["min_sites"],
            min_cases=document["min_cases"],
        )
