"""Training plans: one training of a network, the same for local, pooled and federated mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.plan.measuring import IRREGULAR
from racoon.domain.plan.target import CLASSIFICATION, REGRESSION, SEGMENTATION, TASKS, Target
from racoon.domain.training import InputContract, Privacy, Strategy, triple

LOSSES = {SEGMENTATION: ("dice_ce", "ce"), CLASSIFICATION: ("ce",), REGRESSION: ("mse", "huber")}
"""Losses a training plan may name by task, the usual one first: cross entropy with soft Dice, or alone; the squared
error, or one that is linear beyond 1 (doi:10.1214/aoms/1177703732)."""

POSTPROCESSING = ("largest_component",)
"""Steps after the network a training plan may name."""


@dataclass(frozen=True)
class TrainingPlan:
    """One training of a network, the same for local, pooled and federated mode.

    Parameters
    ----------
    name
        Short name for people.
    modality
        DICOM modality of the input series (``"CT"``, ``"MR"``).
    labels
        Segmentation: codes of the structures, class index is position + 1, 0 is background.  Classification: codes of
        the classes.  Regression: the code of the quantity.
    architecture
        Name in the registry of ``racoon.learning``.
    rounds, local_steps
        Federated rounds, and optimiser steps per site and round; local and pooled training take the product.
    batch_size
        Slices per step.
    learning_rate
        Initial learning rate.
    size
        Window the network sees in voxels: (rows, columns), or (slices, rows, columns) of a volumetric network.  A
        classification or regression sees the whole image in it, shrunk where it is larger.
    window_hu
        Intensity window (lower, upper) in HU; ``None`` normalises each volume by its own percentiles (MR).
    seed
        Seed of initial weights and sampling.
    min_sites, min_cases
        Smallest number of sites in a round and of training cases at a site; a site may insist on more.
    loss
        One of :data:`LOSSES` for the task; empty takes the first.
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
    task
        One of :data:`~racoon.domain.plan.target.TASKS`.
    target
        What the network says of a whole image; ``None`` of a segmentation.
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
    loss: str = ""
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
    task: str = SEGMENTATION
    target: Target | None = None

    def __post_init__(self) -> None:
        if self.irregular not in IRREGULAR:
            raise ValueError(f"irregular is one of {', '.join(IRREGULAR)}")
        if self.task not in TASKS:
            raise ValueError(f"a task is one of {', '.join(TASKS)}")
        losses = LOSSES[self.task]
        if not self.loss:
            object.__setattr__(self, "loss", losses[0])
        if self.loss not in losses or self.larger not in ("shrink", "tile"):
            raise ValueError(
                f"a loss of a {self.task} is one of {', '.join(losses)}; larger slices are shrink or tile"
            )
        self._require_target()
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

    def _require_target(self) -> None:
        if (self.task == SEGMENTATION) != (self.target is None):
            raise ValueError("a classification or regression, and it alone, has a target")
        if self.target is None:
            return
        self.target.require_fit(self.task, len(self.labels))
        if self.larger != "shrink" or self.postprocessing:
            raise ValueError("a network that judges whole images has no tiles and no steps on masks")

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; parts that say nothing are left out, so that older plans keep their hash."""
        document: dict[str, Any] = {
            "kind": "training",
            "task": self.task,
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
        if self.loss != LOSSES[self.task][0]:
            document["loss"] = self.loss
        if self.target:
            document["target"] = self.target.to_dict()
        plain = type(self)(self.name, self.modality, self.labels)
        for name in ("larger", "holdout", "update_norm", "tolerance_mm", "irregular"):
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
        if document.get("kind", "training") != "training":
            raise ValueError("a training plan has the kind training")
        values = {name: value for name, value in document.items() if name != "kind"}
        unknown = sorted(set(values) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown words: {', '.join(unknown)}")
        values["labels"] = tuple(Code.from_dict(label) for label in document["labels"])
        if values.get("window_hu") is not None:
            first, second = values["window_hu"]
            values["window_hu"] = (first, second)
        if "size" in values:
            values["size"] = tuple(int(side) for side in values["size"])
        if values.get("spacing_mm") is not None:
            values["spacing_mm"] = triple(float, values["spacing_mm"])
        values["strides"] = tuple(triple(int, step) for step in values.get("strides", ()))
        if "contract" in values:
            values["contract"] = InputContract.from_dict(values["contract"])
        if "strategy" in values:
            values["strategy"] = Strategy.from_dict(values["strategy"])
        if values.get("privacy") is not None:
            values["privacy"] = Privacy.from_dict(values["privacy"])
        if values.get("target") is not None:
            values["target"] = Target.from_dict(values["target"])
        values["postprocessing"] = tuple(values.get("postprocessing", ()))
        return cls(**values)
