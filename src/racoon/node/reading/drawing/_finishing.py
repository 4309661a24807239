"""Writes a drawing as DICOM SEG."""

from __future__ import annotations

import io
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pydicom

from racoon import __version__
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing._work import Canvas
from racoon.node.reading.drawing.model import BadDrawing, Drawing
from racoon.standards.dicom.segmenting import DrawnSegment, build_drawn_segmentation


def write_segmentation(
    archive: Archive, canvas: Canvas, drawing: Drawing, masks: Mapping[int, npt.NDArray[np.bool_]]
) -> bytes:
    """Return the file of a drawing's state.

    Parameters
    ----------
    masks
        By segment number; segments without voxels are left out.

    Raises
    ------
    BadDrawing
        If nothing is drawn.
    """
    instances = list(dict.fromkeys(uid for uid, _ in canvas.places))
    sources = [
        pydicom.dcmread(io.BytesIO(archive.read_object(archive.instance(uid))), stop_before_pixels=True)
        for uid in instances
    ]
    order = np.arange(len(canvas.places))
    if len(instances) < len(canvas.places):
        if len(instances) > 1 or int(sources[0].get("NumberOfFrames", 1)) != len(canvas.places):
            raise BadDrawing("A series of several multi-frame objects cannot be drawn on.")
        # A multi-frame object counts its frames in its own order, not in that of space.
        order = np.argsort([frame for _, frame in canvas.places])
    segments = [
        DrawnSegment(
            segment.label.code,
            masks[segment.number][order],
            segment.algorithm,
            colour=segment.label.colour,
            also=segment.label.also,
            is_changed=segment.is_changed,
        )
        for segment in drawing.segments
        if masks[segment.number].any()
    ]
    if not segments:
        raise BadDrawing("Nothing is drawn yet.")
    dataset = build_drawn_segmentation(
        sources,
        segments,
        drawing=drawing.drawing_id,
        revision=drawing.revision,
        number=len(drawing.finished) + 1,
        software=__version__,
    )
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
