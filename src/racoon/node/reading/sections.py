"""Sections across a line: through a vessel's mask or places a person marked, cut at right angles to it.

Line, cut and diameters are those of ``science.geometry``, as in the vessel values; the browser only shows them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from racoon.domain.finding import Point
from racoon.errors import Defect
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.layers import Layers
from racoon.science.geometry import Centreline, Cut, Section, Tube, centreline_through, cut_across

LARGEST_REACH_MM = 100.0
SAMPLES = 240
"""Along the side of a section: finer than the voxels for every vessel, and 230 kB to send."""


class NoLine(Defect):
    """Nothing that a line goes through."""

    code = "reading.no_line"


@dataclass(frozen=True)
class SectionView:
    """One section.

    Parameters
    ----------
    cut
        Its picture.
    measured
        Diameters of a mask in it, or None.
    place
        SOP Instance UID and frame of the image nearest to its middle.
    """

    cut: Cut
    measured: Section | None
    place: tuple[str, int]


class Sections:
    """Lines and sections in one archive.

    Parameters
    ----------
    layers
        Keeps the volumes that were loaded last.
    """

    def __init__(self, archive: Archive, layers: Layers) -> None:
        self._archive = archive
        self._layers = layers

    def through(self, points_mm: Sequence[Point]) -> Centreline:
        """Lay a line through places.

        Raises
        ------
        NoLine
        """
        try:
            return centreline_through(np.asarray(points_mm, dtype=np.float64))
        except ValueError:
            raise NoLine("Mark at least two places that a line can go through.") from None

    def along(self, series_uid: str, segment_key: str) -> Centreline:
        """Find the line through the middle of a mask.

        Raises
        ------
        SeriesNotFound, NoLine
        """
        line = self._tube(series_uid, segment_key).centreline()
        if line is None:
            raise NoLine("This mask is hardly longer than wide, so no line leads through it.")
        return line

    def cut(
        self, series_uid: str, middle: Point, normal: Point, reach_mm: float, segment_key: str = ""
    ) -> SectionView:
        """Cut a volume, and measure a mask there.

        Raises
        ------
        NoLine
            If the plane has no direction, or its middle lies outside the volume.
        """
        centre, direction = np.asarray(middle, dtype=np.float64), np.asarray(normal, dtype=np.float64)
        if np.linalg.norm(direction) < 1e-6 or not 1.0 <= reach_mm <= LARGEST_REACH_MM:
            raise NoLine("A section needs a direction and a size between 1 and 100 mm.")
        image = self._layers.volume(series_uid)
        inverse = np.linalg.inv(image.affine)
        index = inverse[:3, :3] @ centre + inverse[:3, 3]
        if (index < -0.5).any() or (index > np.array(image.shape) - 0.5).any():
            raise NoLine("The middle of this section lies outside the images.")
        cut = cut_across(image, centre, direction, reach_mm, samples=SAMPLES)
        frames = self._archive.arrange(series_uid).frames
        nearest = frames[int(np.clip(np.rint(index[0]), 0, len(frames) - 1))]
        measured = None
        if segment_key:
            tube = self._tube(series_uid, segment_key)
            measured = None if tube.is_empty else tube.section(centre, direction, reach_mm)
        return SectionView(cut, measured, (nearest.sop_instance_uid, nearest.number))

    def _tube(self, series_uid: str, segment_key: str) -> Tube:
        for found in self._archive.iterate_masks(series_uid):
            if f"{found.seg_instance_uid}:{found.segment_number}" == segment_key:
                return Tube(found.mask.voxels, found.mask.affine)
        raise SeriesNotFound("There is no such segmentation of this series.")
