"""Images and masks from files on disk: DICOM series, SEG, RTSTRUCT, NIfTI and NRRD, on one grid in space.

For commands that work without a node; a node reads from its archive instead (``node.archive``).
Nothing is resampled: a mask on another grid is reordered when only its axes differ, else refused.
"""

from racoon.standards.files.images import LoadedImage, load_image
from racoon.standards.files.masks import LabelledMask, LabelNames, load_masks, read_label_names
from racoon.standards.files.opening import UnreadableImage

__all__ = [
    "LabelNames",
    "LabelledMask",
    "LoadedImage",
    "UnreadableImage",
    "load_image",
    "load_masks",
    "read_label_names",
]
