"""Mean and spread of the values inside a labelled structure."""

from __future__ import annotations

import math

import numpy as np

from racoon.science.biomarkers.acquisition import Context, Validity
from racoon.science.biomarkers.definition import Measured, Parameters, Region

HOUNSFIELD = "[hnsf'U]"
"""UCUM code of the Hounsfield unit."""

CT = Validity(frozenset({"CT"}))


_AT_ONCE = 1 << 20
"""Values widened at once: a copy of a whole organ in eight bytes would be larger than its image."""


def mean_value(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Mean of the image values in the mask."""
    return Measured(region.mean)


def spread(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Standard deviation of the image values in the mask, divisor n."""
    if region.values.dtype.kind in "iu":
        total, squares, count = 0, 0, region.values.size
        for start in range(0, count, _AT_ONCE):
            values = region.values[start : start + _AT_ONCE].astype(np.int64)
            total, squares = total + int(values.sum()), squares + int(np.dot(values, values))
        return Measured(math.sqrt((count * squares - total * total) / (count * count)))
    return Measured(float(region.values.std(dtype=np.float64)))
