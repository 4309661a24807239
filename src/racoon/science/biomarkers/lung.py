"""Densitometry of the lungs and the share of opacities."""

from __future__ import annotations

import numpy as np

from racoon.science.biomarkers.definition import (
    Context,
    Definition,
    Measured,
    Parameters,
    Quality,
    Region,
    Validity,
    whole_structure,
)
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.biomarkers.structures import LUNGS

UNENHANCED_120 = Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True)
"""The thresholds of lung densitometry were calibrated on unenhanced CT at 120 kV."""


_SHARP = (
    "B60",
    "B70",
    "B80",
    "BR59",
    "BR60",
    "BR64",
    "BL57",
    "BL60",
    "LUNG",
    "BONE",
    "EDGE",
    "FC5",
    "FC8",
    "YC",
    "YD",
    "YE",
)
"""Beginnings of the names of edge-enhancing kernels of four vendors."""


def soft_kernel(_region: Region, context: Context) -> str:
    """Warn when the kernel is sharp: noise then moves voxels across fixed thresholds."""
    return "sharp_kernel" if context.kernel.upper().startswith(_SHARP) else ""


def thin_slices(_region: Region, context: Context) -> str:
    """Warn above 3 mm: emphysema and small opacities are averaged away."""
    thickness = context.slice_thickness_mm
    return "thick_slices" if thickness is not None and thickness > 3.0 else ""


DENSITOMETRY: tuple[Quality, ...] = (whole_structure, soft_kernel, thin_slices)
"""Rules for every share below a threshold in the lungs."""


def _mean_lung_density(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(region.mean)


def _low_attenuation(region: Region, _context: Context, parameters: Parameters) -> Measured:
    below = int(np.count_nonzero(region.values < float(parameters["threshold_hu"])))
    return Measured(100.0 * below / region.voxel_count)


def _percentile(region: Region, _context: Context, parameters: Parameters) -> Measured:
    share = float(parameters["percent"]) / 100.0
    return Measured(float(np.quantile(region.values, share, method="inverted_cdf")))


def _high_attenuation(region: Region, _context: Context, parameters: Parameters) -> Measured:
    inside = region.within(float(parameters["lower_hu"]), float(parameters["upper_hu"]))
    return Measured(100.0 * inside.size / region.voxel_count)


def _mass(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    # Air weighs nothing and water 1 g/ml; what is denser than water in a lung mask is no lung.
    clipped = np.clip(region.values, -1000, 0)
    if clipped.dtype.kind in "iu":
        grams_per_voxel = (int(clipped.sum(dtype=np.int64)) + 1000 * clipped.size) / 1000.0
    else:
        grams_per_voxel = float((clipped.astype(np.float64) + 1000.0).sum()) / 1000.0
    return Measured(grams_per_voxel * region.voxel_ml)


def _involvement(region: Region, context: Context, _parameters: Parameters) -> Measured:
    # Many lung masks leave consolidations out; the union makes the share right for both habits.
    whole = region.join(context.reference) if context.reference else region.voxel_count
    return Measured(100.0 * region.voxel_count / whole)


def _reticular(region: Region, context: Context, _parameters: Parameters) -> Measured:
    return Measured(100.0 * region.voxel_count / region.join(context.structures["lung"]))


MEAN_LUNG_DENSITY = Definition(
    id="mean_lung_density",
    version="1",
    title_de="Mittlere Lungendichte",
    title_en="Mean lung density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels in the lung mask",
    source="Parr 2004, doi:10.1164/rccm.200403-326OC",
    compute_formula=_mean_lung_density,
    validity=UNENHANCED_120,
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)

LAA_950 = Definition(
    id="laa_950",
    version="1",
    title_de="Lungenanteil unter −950 HU",
    title_en="Low attenuation area below −950 HU",
    unit="%",
    formula="100 × voxels with HU < threshold_hu / voxels of the lungs (strictly below)",
    source="Gevenois 1996, doi:10.1164/ajrccm.154.1.8680679",
    compute_formula=_low_attenuation,
    validity=UNENHANCED_120,
    applies_to=LUNGS,
    quality=DENSITOMETRY,
    defaults={"threshold_hu": -950},
)

PERC_15 = Definition(
    id="perc_15",
    version="1",
    title_de="15. Perzentile der Lungendichte",
    title_en="15th percentile of lung density",
    unit=HOUNSFIELD,
    formula="smallest HU at or below which percent % of the lung voxels lie (inverted CDF)",
    source="Parr 2004, doi:10.1164/rccm.200403-326OC",
    compute_formula=_percentile,
    validity=UNENHANCED_120,
    applies_to=LUNGS,
    quality=DENSITOMETRY,
    defaults={"percent": 15},
)

HIGH_ATTENUATION_AREA = Definition(
    id="high_attenuation_area",
    version="1",
    title_de="Lungenanteil von −600 bis −250 HU",
    title_en="High attenuation area, −600 to −250 HU",
    unit="%",
    formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs",
    source="Lederer 2009, doi:10.1164/rccm.200812-1966OC",
    compute_formula=_high_attenuation,
    validity=UNENHANCED_120,
    applies_to=LUNGS,
    quality=DENSITOMETRY,
    defaults={"lower_hu": -600, "upper_hu": -250},
)

LUNG_MASS = Definition(
    id="lung_mass",
    version="1",
    title_de="Lungengewicht",
    title_en="Lung mass",
    unit="g",
    formula="Σ (HU + 1000) / 1000 × voxel volume in mL, HU clipped to −1000 … 0",
    source="no paper: the definition of the HU scale, water 0 at 1 g/mL and air −1000 at 0 g/mL",
    compute_formula=_mass,
    validity=Validity(frozenset({"CT"}), unenhanced=True),
    applies_to=LUNGS,
    quality=(whole_structure,),
)

OPACITY_INVOLVEMENT = Definition(
    id="opacity_involvement",
    version="1",
    title_de="Anteil der Verschattung an der Lunge",
    title_en="Share of the lungs taken by opacities",
    unit="%",
    formula="100 × voxels of the opacity / voxels of the opacity or the lungs",
    source="no paper: QDAR, the quotient of diseased area, is a ratio of two masks",
    compute_formula=_involvement,
    validity=Validity(frozenset({"CT"})),
    needs_reference=True,
    applies_to=("lung_opacity",),
    method="volumetric",
)

RETICULAR_PERCENT = Definition(
    id="reticular_percent",
    version="1",
    title_de="Anteil der Retikulationen an der Lunge",
    title_en="Share of the lungs taken by reticulation",
    unit="%",
    formula="100 × voxels of the reticulation / voxels of the reticulation or the lungs; from masks only",
    source="Hansell 2008 (Fleischner terms), doi:10.1148/radiol.2462070712",
    compute_formula=_reticular,
    validity=Validity(frozenset({"CT"})),
    needs=("lung",),
    applies_to=("reticulation",),
    method="volumetric",
)
