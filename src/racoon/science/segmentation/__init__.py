"""Classical segmentations that need no model: what they find, and where they fail.

Each function states its thresholds and its known failures; a result is always marked as automatic.
Not here: networks (``learning``) and masks drawn by people (``node.archive`` keeps those).
"""

from racoon.science.segmentation.body import BODY_VERSION, segment_body

__all__ = ["BODY_VERSION", "segment_body"]
