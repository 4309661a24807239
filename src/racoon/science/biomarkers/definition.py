"""What a biomarker is: a versioned definition, the region it looks at, the value it gives."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from racoon.science.biomarkers.acquisition import Context, Validity
from racoon.science.biomarkers.reasons import REASONS
from racoon.science.biomarkers.region import Region
from racoon.science.image import Image

__all__ = [
    "Definition",
    "Evidence",
    "Formula",
    "Measured",
    "Parameters",
    "Quality",
    "Region",
    "Value",
    "enough_voxels",
    "whole_structure",
]

Evidence = Mapping[str, Any]
"""Lines and a plane that show where a value was taken; empty where the mask and its slice say it all."""

Parameters = Mapping[str, float | int | str]


@dataclass(frozen=True)
class Value:
    """The result of a definition.

    Parameters
    ----------
    value
        NaN when there is none; ``reason`` then says why.
    unit
        UCUM code.
    valid
        False when there is no value or it lies outside the validity domain.
    reason
        Key of ``reasons.REASONS``; empty when valid.
    parameters
        Every parameter and acquisition fact the value depends on.
    key_slice
        Slice to show first: the one measured in, or the one with the largest area.
    warnings
        Keys of ``reasons.QUALITY``: what a reader should know although the value is valid.
    evidence
        Where it was taken, see :class:`Measured`.
    """

    value: float
    unit: str
    valid: bool
    reason: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    key_slice: int | None = None
    warnings: tuple[str, ...] = ()
    evidence: Evidence = field(default_factory=dict)

    @property
    def public_reason(self) -> str:
        """The reason in English; empty when valid."""
        return REASONS[self.reason][1] if self.reason else ""


@dataclass(frozen=True)
class Measured:
    """What a formula returns: a number, or NaN with the reason.

    Parameters
    ----------
    evidence
        What a picture of the value draws, plain JSON in LPS mm.  ``lines_mm``: pairs of ends of what was measured.
        ``plane``: ``centre_mm``, unit vectors ``across`` and ``up``, ``reach_mm`` to each side, and where the value is
        the diameter of a section, ``circle_mm``.
    """

    value: float
    reason: str = ""
    key_slice: int | None = None
    evidence: Evidence = field(default_factory=dict)


Formula = Callable[[Region, Context, Parameters], Measured]

Quality = Callable[[Region, Context], str]
"""Looks at a region and its context; a key of ``reasons.QUALITY``, or empty."""


def whole_structure(region: Region, _context: Context) -> str:
    """Warn when the structure is cut off by the first or last slice."""
    return "cut_off" if region.touches_end else ""


def enough_voxels(region: Region, _context: Context) -> str:
    """Warn when there are fewer than 100 voxels: single voxels then decide."""
    return "few_voxels" if region.voxel_count < 100 else ""


@dataclass(frozen=True)
class Definition:
    """One version of one biomarker.

    Parameters
    ----------
    id, version
        Stable name; any change of a number or rule makes a new version.
    title_de, title_en
        Names for people.
    unit
        UCUM code.
    formula
        The rule in one line.
    source
        DOI or standard.
    compute_formula
        The rule as a function; it may assume a non-empty region of finite values.
    validity
        Where it holds.
    defaults
        Parameters with their defaults; a plan may override these and no others.
    needs_reference
        True when a second structure is needed (parameter ``within`` of a plan).
    whole_image
        True when the region is the body if no structure is named.
    method
        ``volumetric``, ``density`` or ``length``: how to group it in a list.
    applies_to
        Names of the structures (``science.biomarkers.structures``) it is meant for; empty for any.
    needs
        Names of further structures that ``Context.structures`` must hold.
    uses
        Names of structures that change the value when they are there, and may be missing.
    required
        Parameters without a sensible default; 0 means "not given".
    quality
        Rules that warn about a valid value.
    ranges
        Reference ranges or cut-offs with their source, in one line; empty where none is established.
    """

    id: str
    version: str
    title_de: str
    title_en: str
    unit: str
    formula: str
    source: str
    compute_formula: Formula
    validity: Validity = field(default_factory=Validity)
    defaults: Parameters = field(default_factory=dict)
    needs_reference: bool = False
    whole_image: bool = False
    method: Literal["volumetric", "density", "length"] = "density"
    applies_to: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    quality: tuple[Quality, ...] = ()
    ranges: str = ""

    @property
    def key(self) -> str:
        """``id@version``."""
        return f"{self.id}@{self.version}"

    def compute(
        self, image: Image, mask: NDArray[np.bool_], context: Context, parameters: Parameters | None = None
    ) -> Value:
        """Measure one structure.

        Parameters
        ----------
        image
            HU for CT.
        mask
            Boolean array of the image's shape.
        context
            Facts about the acquisition, and the reference region where one is needed.
        parameters
            Overrides of ``defaults``.
        """
        return self.compute_region(Region(image, mask), context, parameters)

    def compute_region(self, region: Region, context: Context, parameters: Parameters | None = None) -> Value:
        """Measure a region that other definitions use too.

        Raises
        ------
        ValueError
            For a parameter the definition does not have.
        """
        used = self.merged(parameters)
        facts = {**context.acquisition(), **used}
        if not self.validity.defines(context):
            return Value(math.nan, self.unit, False, "wrong_modality", facts)
        if region.voxel_count == 0:
            return Value(math.nan, self.unit, False, "empty_mask", facts)
        if self.needs_reference and (context.reference is None or context.reference.voxel_count == 0):
            return Value(math.nan, self.unit, False, "reference_missing", facts, region.key_slice)
        if lacking := self._lacking(context, used):
            return Value(math.nan, self.unit, False, lacking, facts, region.key_slice)
        if self.method == "density" and not region.is_finite:
            return Value(math.nan, self.unit, False, "not_finite", facts, region.key_slice)
        found = self.compute_formula(region, context, used)
        reason = found.reason or self.validity.reason(context)
        key_slice = region.key_slice if found.key_slice is None else found.key_slice
        warnings = tuple(code for rule in self.quality if (code := rule(region, context)))
        return Value(found.value, self.unit, not reason, reason, facts, key_slice, warnings, found.evidence)

    def _lacking(self, context: Context, used: Parameters) -> str:
        """Name what a comparison lacks: a structure or a number from outside the image."""
        for name in self.needs:
            other = context.structures.get(name)
            if other is None or other.voxel_count == 0:
                return "structure_missing"
            if self.method == "density" and not other.is_finite:
                return "not_finite"
        return "parameter_missing" if any(not used[name] for name in self.required) else ""

    def further_structures(self, parameters: Parameters | None = None) -> frozenset[str]:
        """Names of the structures to load beside the measured one: needed ones and those it can use."""
        used = self.merged(parameters)
        level = {f"vertebra_{str(used['level']).lower()}"} if "level" in used else set()
        return frozenset({*self.needs, *self.uses, *level})

    def missing(self, reason: str, context: Context, parameters: Parameters | None = None) -> Value:
        """Return the value of a structure that was not there to measure."""
        return Value(math.nan, self.unit, False, reason, {**context.acquisition(), **self.merged(parameters)})

    def merged(self, parameters: Parameters | None) -> dict[str, float | int | str]:
        """Combine overrides with the defaults.

        Raises
        ------
        ValueError
            For a parameter the definition does not have, or text where a number belongs.
        """
        given = dict(parameters or {})
        for name, value in given.items():
            if name not in self.defaults:
                raise ValueError(f"{self.key} has no parameter {name!r}")
            if isinstance(self.defaults[name], str) != isinstance(value, str):
                raise ValueError(f"parameter {name!r} of {self.key} has the wrong type")
        return {**self.defaults, **given}
