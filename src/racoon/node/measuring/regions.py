"""The structures of one series as cropped regions, built while the masks stream by."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.node.archive.service import SegmentationMask
from racoon.node.measuring.model import MaskSource
from racoon.science.biomarkers import Region
from racoon.science.image import Image
from racoon.science.segmentation import BODY_VERSION, segment_body


@dataclass(frozen=True)
class Structure:
    """A region and the segments it was made of."""

    region: Region
    sources: tuple[MaskSource, ...]


class Structures:
    """The structures a plan needs of one series.

    Parameters
    ----------
    image
        The loaded volume.
    masks
        All segments of the series, one at a time; only the wanted ones are kept, and only their crops.
    wanted
        ``scheme:value`` of the structures to keep.
    """

    def __init__(self, image: Image, masks: Iterable[SegmentationMask], wanted: Collection[str]) -> None:
        self._image = image
        self._parts: dict[str, list[Structure]] = {}
        self._joined: dict[tuple[str, ...], Structure | None] = {}
        self._body: Structure | None = None
        for item in masks:
            key = item.mask.label.key
            if key in wanted:
                source = MaskSource(
                    item.seg_instance_uid, item.segment_number, item.algorithm_type, item.algorithm_name
                )
                self._parts.setdefault(key, []).append(Structure(Region(image, item.mask.voxels), (source,)))

    def get(self, keys: tuple[str, ...]) -> Structure | None:
        """Return the union of all segments with one of these codes; ``None`` when there is none."""
        if keys not in self._joined:
            self._joined[keys] = self._join([part for key in keys for part in self._parts.get(key, [])])
        return self._joined[keys]

    def body(self) -> Structure:
        """Return the body, found by thresholds; computed once."""
        if self._body is None:
            source = MaskSource("", 0, "AUTOMATIC", BODY_VERSION)
            self._body = Structure(Region(self._image, segment_body(self._image)), (source,))
        return self._body

    def _join(self, parts: list[Structure]) -> Structure | None:
        if len(parts) < 2:
            return parts[0] if parts else None
        union: NDArray[np.bool_] = np.zeros(self._image.voxels.shape, dtype=bool)
        for part in parts:
            if part.region.box is not None:
                union[part.region.box.slices] |= part.region.mask
        sources = tuple(source for part in parts for source in part.sources)
        return Structure(Region(self._image, union), sources)
