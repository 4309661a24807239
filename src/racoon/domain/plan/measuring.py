"""Measuring plans: the protocol of a study's biomarkers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code

IRREGULAR = ("refuse", "resample")
"""What a plan may say about series that are no regular volume."""


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
