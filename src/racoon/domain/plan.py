"""Plans: what a study wants computed at each site, as data that can be hashed, shown, approved and refused.

A plan names only things that are already installed at the site (biomarkers, architectures); no code travels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.training import InputContract, Privacy, Strategy, triple

LOSSES = ("dice_ce", "ce")
"""Losses a training plan may name: cross entropy with soft Dice, or alone."""

POSTPROCESSING = ("largest_component",)
"""Steps after the network a training plan may name."""


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
class AgreementPair:
    """Two measurements of a plan that differ only in who drew the mask.

    Parameters
    ----------
    manual, automatic
        Their keys.
    """

    manual: str
    automatic: str

    @property
    def key(self) -> str:
        """Name of the pair beside the plan's measurements."""
        return f"agreement {self.automatic}"


def agreement_pairs(measurements: Sequence[Measurement]) -> tuple[AgreementPair, ...]:
    """Find the measurements that a plan asks for twice, ``drawn`` by hand and by a program; in the plan's order."""
    found: dict[tuple[str, str, str, str], dict[str, str]] = {}
    for item in measurements:
        rest = {name: value for name, value in item.parameters.items() if name != "drawn"}
        own = (item.biomarker, item.version, item.label.key if item.label else "", content_hash(rest))
        found.setdefault(own, {})[str(item.parameters.get("drawn", ""))] = item.key
    return tuple(
        AgreementPair(keys["manual"], keys["automatic"])
        for keys in found.values()
        if {"manual", "automatic"} <= set(keys)
    )


@dataclass(frozen=True)
class SeriesRule:
    """Which series of a frozen dataset a plan measures; what a rule leaves open fits every series.

    Parameters
    ----------
    modality
        DICOM modality.
    maximum_slice_mm
        Thickest slices; a series that does not say its thickness does not fit.
    has_contrast
        With contrast medium, or without.
    kernels
        Beginnings of the reconstruction kernels, in capitals.
    """

    modality: str = ""
    maximum_slice_mm: float | None = None
    has_contrast: bool | None = None
    kernels: tuple[str, ...] = ()

    @property
    def is_open(self) -> bool:
        """True when every series fits."""
        return self == SeriesRule()

    def fits(
        self, modality: str, slice_thickness_mm: float | None, has_contrast: bool | None, kernel: str
    ) -> bool:
        """Tell whether a series fits by what its header says."""
        if self.modality and modality != self.modality:
            return False
        if self.maximum_slice_mm is not None and (
            slice_thickness_mm is None or slice_thickness_mm > self.maximum_slice_mm + 1e-6
        ):
            return False
        # The Contrast/Bolus module is required if contrast media was used (PS3.3 A.3.3): silence means none.
        if self.has_contrast is not None and bool(has_contrast) != self.has_contrast:
            return False
        return not self.kernels or kernel.upper().startswith(self.kernels)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only what the rule says."""
        stated = {
            "modality": self.modality,
            "maximum_slice_mm": self.maximum_slice_mm,
            "has_contrast": self.has_contrast,
            "kernels": list(self.kernels),
        }
        return {name: value for name, value in stated.items() if value not in ("", None, [])}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SeriesRule:
        """Read the JSON form."""
        return cls(**{**document, "kernels": tuple(word.upper() for word in document.get("kernels", ()))})


@dataclass(frozen=True)
class PromotionRule:
    """When the automatic version of a biomarker may stand in for the manual one, fixed before any value is known.

    Parameters
    ----------
    biomarker, version, label
        Which values: those of one structure drawn by hand and by a program on the same series.
    minimum_pairs
        Fewest subjects with both.
    largest_bias
        The interval of the mean difference must lie within plus and minus this, in the biomarker's unit.
    minimum_icc, minimum_ccc
        Lower limits of the intervals of ICC(2,1) and CCC must reach these.
    """

    biomarker: str
    version: str
    label: Code
    minimum_pairs: int
    largest_bias: float
    minimum_icc: float
    minimum_ccc: float

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "biomarker": self.biomarker,
            "version": self.version,
            "label": self.label.to_dict(),
            "minimum_pairs": self.minimum_pairs,
            "largest_bias": self.largest_bias,
            "minimum_icc": self.minimum_icc,
            "minimum_ccc": self.minimum_ccc,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> PromotionRule:
        """Read the JSON form."""
        return cls(**{**document, "label": Code.from_dict(document["label"])})


IRREGULAR = ("refuse", "resample")
"""What a plan may say about series that are no regular volume."""


@dataclass(frozen=True)
class MeasuringPlan:
    """All measurements of a study: the protocol of its biomarkers.

    Parameters
    ----------
    name
        Short name for people.
    measurements
        What is measured.
    series
        Which series of the dataset are measured; the others get the reason ``other_series``.
    promotions
        Limits under which automatic values may replace manual ones.
    irregular
        What is done with a series that is no regular volume (missing, uneven, tilted or repeated slices):
        ``refuse`` reports it as a finding, ``resample`` interpolates where that invents no image.
    """

    name: str
    measurements: tuple[Measurement, ...]
    series: SeriesRule = SeriesRule()
    promotions: tuple[PromotionRule, ...] = ()
    irregular: str = "refuse"

    def __post_init__(self) -> None:
        if self.irregular not in IRREGULAR:
            raise ValueError(f"irregular is one of {', '.join(IRREGULAR)}")

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; parts that say nothing are left out, so that older plans keep their hash."""
        document: dict[str, Any] = {
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
        if self.irregular != "refuse":
            document["irregular"] = self.irregular
        if not self.series.is_open:
            document["series"] = self.series.to_dict()
        if self.promotions:
            document["promotions"] = [rule.to_dict() for rule in self.promotions]
        return document

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
            series=SeriesRule.from_dict(document.get("series", {})),
            promotions=tuple(PromotionRule.from_dict(item) for item in document.get("promotions", ())),
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
        Window the network sees in voxels: (rows, columns), or (slices, rows, columns) of a volumetric network.
    window_hu
        Intensity window (lower, upper) in HU; ``None`` normalises each volume by its own percentiles (MR).
    seed
        Seed of initial weights and sampling.
    min_sites, min_cases
        Smallest number of sites in a round and of training cases at a site; a site may insist on more.
    loss
        One of :data:`LOSSES`.
    larger
        What becomes of slices larger than ``size``: ``shrink`` them, or ``tile`` them (random crops in training,
        overlapping windows in inference).
    contract
        Which series are taken.
    strategy
        How the sites' updates become one model.
    holdout
        Share of each site's subjects that no training sees, where a command splits them itself.
    update_norm
        Largest L2 norm of a site's update; the site shortens a longer one, the server refuses it. ``None`` is open.
    tolerance_mm
        Tolerance of the normalised surface Dice.
    postprocessing
        Steps from :data:`POSTPROCESSING`.
    irregular
        What is done with a series that is no regular volume, as in :class:`MeasuringPlan`: ``refuse`` leaves it out and
        counts it, ``resample`` interpolates it with its masks where that invents no image, and counts it too.
    spacing_mm
        Working spacing along (slice, row, column) that every volume is brought to; ``None`` keeps each volume's own.
    strides
        Halvings per level along (slice, row, column), for networks that let a plan choose them.
    privacy
        Noise and limits of a differentially private training; ``None`` trains without.
    """

    name: str
    modality: str
    labels: tuple[Code, ...]
    architecture: str = "unet2d-small"
    rounds: int = 5
    local_steps: int = 24
    batch_size: int = 4
    learning_rate: float = 5e-3
    size: tuple[int, ...] = (96, 96)
    window_hu: tuple[float, float] | None = (-1000.0, 200.0)
    seed: int = 1
    min_sites: int = 3
    min_cases: int = 5
    loss: str = "dice_ce"
    larger: str = "shrink"
    contract: InputContract = field(default_factory=InputContract)
    strategy: Strategy = field(default_factory=Strategy)
    holdout: float = 0.25
    update_norm: float | None = None
    tolerance_mm: float = 1.0
    postprocessing: tuple[str, ...] = ()
    irregular: str = "refuse"
    spacing_mm: tuple[float, float, float] | None = None
    strides: tuple[tuple[int, int, int], ...] = ()
    privacy: Privacy | None = None

    def __post_init__(self) -> None:
        if self.irregular not in IRREGULAR:
            raise ValueError(f"irregular is one of {', '.join(IRREGULAR)}")
        if self.loss not in LOSSES or self.larger not in ("shrink", "tile"):
            raise ValueError(f"a loss is one of {', '.join(LOSSES)}; larger slices are shrink or tile")
        if not set(self.postprocessing) <= set(POSTPROCESSING):
            raise ValueError(f"postprocessing is from {', '.join(POSTPROCESSING)}")
        if not 0 <= self.holdout < 1 or self.tolerance_mm <= 0:
            raise ValueError("holdout lies from 0 to below 1, a tolerance above 0")
        if len(self.size) not in (2, 3):
            raise ValueError("a size is rows and columns, or slices, rows and columns")
        if self.update_norm is not None and not self.update_norm > 0:
            raise ValueError("the largest norm of an update is above 0")
        if self.privacy and self.strategy.name in {"fedprox", "scaffold"}:
            raise ValueError("a private training adds nothing to single gradients: no fedprox, no scaffold")
        if self.strategy.name == "cyclic" and self.min_sites < 2:
            raise ValueError("a cyclic training has at least two sites")
        if self.strategy.secure_sum and self.min_sites < 3:
            raise ValueError("a secure sum has at least three sites: of two, each knows the other's part")

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; parts that say nothing are left out, so that older plans keep their hash."""
        document: dict[str, Any] = {
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
        plain = type(self)(self.name, self.modality, self.labels)
        for name in ("loss", "larger", "holdout", "update_norm", "tolerance_mm", "irregular"):
            if getattr(self, name) != getattr(plain, name):
                document[name] = getattr(self, name)
        if self.contract != plain.contract:
            document["contract"] = self.contract.to_dict()
        if self.strategy != plain.strategy:
            document["strategy"] = self.strategy.to_dict()
        if self.spacing_mm:
            document["spacing_mm"] = list(self.spacing_mm)
        if self.strides:
            document["strides"] = [list(step) for step in self.strides]
        if self.privacy:
            document["privacy"] = self.privacy.to_dict()
        if self.postprocessing:
            document["postprocessing"] = list(self.postprocessing)
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> TrainingPlan:
        """Read the JSON form; what a document leaves out has its default.

        Raises
        ------
        KeyError, TypeError, ValueError
            For a document of another kind, with an unknown word or a value out of range.
        """
        if (document.get("kind", "training"), document.get("task", "segmentation")) != (
            "training",
            "segmentation",
        ):
            raise ValueError("a training plan has the kind training and the task segmentation")
        fields = {name: value for name, value in document.items() if name not in {"kind", "task"}}
        unknown = sorted(set(fields) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown words: {', '.join(unknown)}")
        fields["labels"] = tuple(Code.from_dict(label) for label in document["labels"])
        if fields.get("window_hu") is not None:
            first, second = fields["window_hu"]
            fields["window_hu"] = (first, second)
        if "size" in fields:
            fields["size"] = tuple(int(side) for side in fields["size"])
        if fields.get("spacing_mm") is not None:
            fields["spacing_mm"] = triple(float, fields["spacing_mm"])
        fields["strides"] = tuple(triple(int, step) for step in fields.get("strides", ()))
        if "contract" in fields:
            fields["contract"] = InputContract.from_dict(fields["contract"])
        if "strategy" in fields:
            fields["strategy"] = Strategy.from_dict(fields["strategy"])
        if fields.get("privacy") is not None:
            fields["privacy"] = Privacy.from_dict(fields["privacy"])
        fields["postprocessing"] = tuple(fields.get("postprocessing", ()))
        return cls(**fields)
