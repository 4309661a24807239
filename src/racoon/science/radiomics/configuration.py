"""Settings of an extraction: they are part of the result, because every number depends on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from racoon.errors import Refused

Family = Literal["morph", "loc", "stat", "ih", "ivh", "cm", "rlm", "szm", "dzm", "ngt", "ngl"]
FAMILIES: tuple[Family, ...] = get_args(Family)

Aggregation = Literal["2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb", "3D_avg", "3D_comb"]
AGGREGATIONS: tuple[Aggregation, ...] = get_args(Aggregation)

Interpolation = Literal["none", "nearest", "linear", "cubic"]


class BadConfiguration(Refused):
    """Settings of radiomics that contradict themselves or that nobody knows."""

    code = "radiomics.bad_configuration"


@dataclass(frozen=True)
class Configuration:
    """How features are computed.

    Parameters
    ----------
    spacing_mm
        New distance between voxels along (x, y, z); 0 keeps an axis as it is; None: no resampling.
    by_slice
        Resample within slices only and look at texture within slices only.
    interpolation, mask_interpolation
        Of the image and of the mask; the mask is set where the interpolated one is at least 0.5.
    round_intensities
        Round to whole numbers after interpolation (CT).
    range_min, range_max
        Re-segmentation: voxels outside are left out of the intensity mask; None: no limit.
    outlier_sd
        Re-segmentation: voxels farther than this many standard deviations from the mean are left out.
    discretisation
        ``fixed_bin_size``, ``fixed_bin_number`` or ``none`` (grey levels are taken as they are).
    bin_width, bin_number
        Size or number of bins.
    bin_start
        Lower edge of the first bin of fixed size; the lower limit of re-segmentation when None.
    ivh_discretisation
        For the intensity-volume histogram: ``none``, ``fixed_bin_size`` or ``fixed_bin_number``.
    ivh_bin_width, ivh_bin_number
        Its bins.
    families
        Families of features.
    aggregation
        Ways of joining texture matrices of directions and slices.
    moran
        Compute the two spatial correlations, whose cost grows with the square of the voxels.
    """

    spacing_mm: tuple[float, ...] | None = None
    by_slice: bool = False
    interpolation: Interpolation = "linear"
    mask_interpolation: Interpolation = "linear"
    round_intensities: bool = False
    range_min: float | None = None
    range_max: float | None = None
    outlier_sd: float | None = None
    discretisation: Literal["none", "fixed_bin_size", "fixed_bin_number"] = "none"
    bin_width: float = 25.0
    bin_number: int = 32
    bin_start: float | None = None
    ivh_discretisation: Literal["none", "fixed_bin_size", "fixed_bin_number"] = "none"
    ivh_bin_width: float = 2.5
    ivh_bin_number: int = 1000
    families: tuple[Family, ...] = FAMILIES
    aggregation: tuple[Aggregation, ...] = AGGREGATIONS
    moran: bool = True

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Configuration:
        """Read settings; ``{"ibsi": "C"}`` starts from a configuration of the IBSI CT phantom.

        Raises
        ------
        BadConfiguration
            For a name or value that nobody knows.
        """
        given = dict(document)
        name = given.pop("ibsi", None)
        if name is not None and name not in IBSI:
            raise BadConfiguration(
                f"There is no IBSI configuration {str(name)[:20]!r}; take one of A, B, C, D, E."
            )
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(given) - known):
            raise BadConfiguration(
                f"The setting {unknown[0][:60]!r} is not known; the known ones are {', '.join(sorted(known))}."
            )
        settings: dict[str, Any] = {**(IBSI[name] if name else {}), **given}
        for key in ("spacing_mm", "families", "aggregation"):
            if isinstance(settings.get(key), list):
                settings[key] = tuple(settings[key])
        try:
            found = cls(**settings)
            found.check()
        except (TypeError, ValueError) as error:
            raise BadConfiguration(f"The settings cannot be used: {error}.") from error
        return found

    def check(self) -> None:
        """Raise ValueError for values outside their range."""
        choices = {
            "interpolation": get_args(Interpolation),
            "mask_interpolation": get_args(Interpolation),
            "discretisation": ("none", "fixed_bin_size", "fixed_bin_number"),
            "ivh_discretisation": ("none", "fixed_bin_size", "fixed_bin_number"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is one of {', '.join(allowed)}")
        for name, items, whole in (
            ("families", self.families, FAMILIES),
            ("aggregation", self.aggregation, AGGREGATIONS),
        ):
            if unknown := [item for item in items if item not in whole]:
                raise ValueError(f"{name} does not know {unknown[0]!r}")
        if self.spacing_mm is not None and (len(self.spacing_mm) != 3 or min(self.spacing_mm) < 0):
            raise ValueError("spacing_mm has three numbers, none below 0")
        if min(self.bin_width, self.ivh_bin_width) <= 0 or min(self.bin_number, self.ivh_bin_number) < 1:
            raise ValueError("bins need a positive width and number")

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; it is stored with every result."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


_2D: tuple[Aggregation, ...] = ("2D_avg", "2D_comb", "2_5D_avg", "2_5D_comb")
_3D: tuple[Aggregation, ...] = ("3D_avg", "3D_comb")

IBSI: Mapping[str, Mapping[str, Any]] = {
    "A": {
        "by_slice": True,
        "interpolation": "none",
        "range_min": -500.0,
        "range_max": 400.0,
        "discretisation": "fixed_bin_size",
        "bin_width": 25.0,
        "aggregation": _2D,
    },
    "B": {
        "spacing_mm": (2.0, 2.0, 0.0),
        "by_slice": True,
        "round_intensities": True,
        "range_min": -500.0,
        "range_max": 400.0,
        "discretisation": "fixed_bin_number",
        "bin_number": 32,
        "aggregation": _2D,
    },
    "C": {
        "spacing_mm": (2.0, 2.0, 2.0),
        "round_intensities": True,
        "range_min": -1000.0,
        "range_max": 400.0,
        "discretisation": "fixed_bin_size",
        "bin_width": 25.0,
        "ivh_discretisation": "fixed_bin_size",
        "ivh_bin_width": 2.5,
        "aggregation": _3D,
    },
    "D": {
        "spacing_mm": (2.0, 2.0, 2.0),
        "round_intensities": True,
        "outlier_sd": 3.0,
        "discretisation": "fixed_bin_number",
        "bin_number": 32,
        "aggregation": _3D,
    },
    "E": {
        "spacing_mm": (2.0, 2.0, 2.0),
        "interpolation": "cubic",
        "mask_interpolation": "linear",
        "round_intensities": True,
        "range_min": -1000.0,
        "range_max": 400.0,
        "outlier_sd": 3.0,
        "discretisation": "fixed_bin_number",
        "bin_number": 32,
        "ivh_discretisation": "fixed_bin_number",
        "ivh_bin_number": 1000,
        "aggregation": _3D,
    },
}
"""Configurations of the IBSI CT phantom, arXiv:1612.07003, table 5.1."""
