"""Mean and spread of the values inside a labelled structure."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.definition import Context, Definition, Measured, Parameters, Region, Validity

HOUNSFIELD = "[hnsf'U]"
"""UCUM code of the Hounsfield unit."""

CT = Validity(frozenset({"CT"}))


_AT_ONCE = 1 << 20
"""Values widened at once: a copy of a whole organ in eight bytes would be larger than its image."""


def _mean(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    return Measured(region.mean)


def _sd(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    if region.values.dtype.kind in "iu":
        total, squares, count = 0, 0, region.values.size
        for start in range(0, count, _AT_ONCE):
            values = region.values[start : start + _AT_ONCE].astype(np.int64)
            total, squares = total + int(values.sum()), squares + int(np.dot(values, values))
        return Measured(math.sqrt((count * squares - total * total) / (count * count)))
    return Measured(float(region.values.std(dtype=np.float64)))


MEAN_DENSITY = Definition(
    id="mean_density",
    version="1",
    title_de="Mittlere Dichte",
    title_en="Mean density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels in the mask",
    source="IBSI Q4LE (mean), doi:10.1148/radiol.2020191145",
    compute_formula=_mean,
    validity=CT,
)

DENSITY_SD = Definition(
    id="density_sd",
    version="1",
    title_de="Standardabweichung der Dichte",
    title_en="Standard deviation of density",
    unit=HOUNSFIELD,
    formula="√(mean of squared deviations of the HU in the mask), divisor n",
    source="IBSI ECT3 (variance), doi:10.1148/radiol.2020191145",
    compute_formula=_sd,
    validity=CT,
)

MEAN_INTENSITY = Definition(
    id="mean_intensity",
    version="1",
    title_de="Mittlere Signalintensität",
    title_en="Mean signal intensity",
    unit="[arb'U]",
    formula="mean of the image values of all voxels in the mask; comparable within one series only",
    source="IBSI Q4LE (mean), doi:10.1148/radiol.2020191145",
    compute_formula=_mean,
    validity=Validity(frozenset({"MR"})),
)

EFFUSION_DENSITY = Definition(
    id="effusion_density",
    version="1",
    title_de="Ergussdichte",
    title_en="Effusion density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels of the effusion",
    source="Abramowitz 2009, doi:10.2214/AJR.08.1286",
    compute_formula=_mean,
    validity=CT,
    applies_to=("pleural_effusion", "pericardial_effusion"),
    ranges="transudates and exudates overlap below 20 HU; above 35 HU blood is likely",
)
