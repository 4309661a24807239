"""Classical segmentations that need no model: what they find, and where they fail.

Each function states its thresholds and its known failures; a result is always marked as automatic.
Not here: networks (``learning``) and masks drawn by people (``node.archive`` keeps those).
"""

from racoon.science.segmentation.body import BODY_VERSION, segment_body
from racoon.science.segmentation.chest import (
    AIRWAYS_VERSION,
    BONE_VERSION,
    FAT_VERSION,
    LUNGS_VERSION,
    Found,
    segment_airways,
    segment_bone,
    segment_fat,
    segment_lungs,
)
from racoon.science.segmentation.editing import (
    fill_between,
    grow_region,
    smooth,
    with_margin,
    without_islands,
)
from racoon.science.segmentation.punch import Punch, punch

__all__ = [
    "AIRWAYS_VERSION",
    "BODY_VERSION",
    "BONE_VERSION",
    "FAT_VERSION",
    "LUNGS_VERSION",
    "Found",
    "Punch",
    "fill_between",
    "grow_region",
    "punch",
    "segment_airways",
    "segment_body",
    "segment_bone",
    "segment_fat",
    "segment_lungs",
    "smooth",
    "with_margin",
    "without_islands",
]
