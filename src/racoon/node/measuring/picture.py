"""The picture behind a value: its slice, the rim of its masks, and the voxels that count."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pydicom
from numpy.typing import NDArray

from racoon.errors import Refused
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.service import SegmentationMask
from racoon.node.measuring.checks import Check
from racoon.node.measuring.model import StoredValue
from racoon.science.biomarkers import CATALOGUE, Region
from racoon.science.biomarkers.counted import counted_region, counted_voxels, is_counted_in_space
from racoon.science.biomarkers.panel import join
from racoon.science.biomarkers.structures import structure_name
from racoon.science.segmentation import segment_body
from racoon.standards.dicom.rendering import (
    Window,
    apply_window,
    automatic_window,
    encode_picture,
    output_values,
)
from racoon.standards.dicom.uids import CT_IMAGE
from racoon.standards.dicom.volume import Arrangement, Volume

LUNG = Window(-600.0, 1500.0)
SOFT_TISSUE = Window(40.0, 400.0)

RIM = (76, 201, 240)
COUNTED = (249, 65, 68)
"""Colours of the mask's rim and of the voxels that count: told apart on grey and by most colour-blind readers."""

LINE = (255, 209, 60)
"""Colour of measured lines and circles."""

STRENGTH = 0.55

PLANE_PIXELS = 320
"""Side of the picture of a plane."""


class NoPicture(Refused):
    """A value without a slice: there was nothing to measure."""

    code = "measuring.no_picture"
    status = 404


class PictureSource(Protocol):
    """What a picture needs of an archive; ``archive.service.Archive`` is one."""

    def instance(self, sop_instance_uid: str) -> InstanceRow:
        """Facts of an instance; refused when it may not be read."""
        ...

    def read_object(self, row: InstanceRow) -> bytes:
        """Its file."""
        ...

    def arrange(self, series_uid: str) -> Arrangement:
        """Planes of the series in order."""
        ...

    def load_volume(self, series_uid: str) -> Volume:
        """Load the image."""
        ...

    def iterate_masks(
        self, series_uid: str, source: Volume | Arrangement | None = None
    ) -> Iterator[SegmentationMask]:
        """Yield its segments one at a time."""
        ...


def draw(value: StoredValue, archive: PictureSource) -> bytes:
    """Draw the slice of a value as PNG.

    Raises
    ------
    NoPicture
        If the value has no slice.
    """
    if value.key_slice is None or not value.key_instance_uid:
        raise NoPicture("This value has no picture, because there was nothing to measure.")
    row = archive.instance(value.key_instance_uid)
    dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
    plane = output_values(dataset, value.key_frame - 1)
    # A PET value is in SUV; its thresholds are too.
    plane_in_units = plane * float(value.parameters.get("suv_factor") or 1.0)
    window = _window(value, plane)
    grey = apply_window(plane, window)
    picture = np.repeat(grey[..., None], 3, axis=2)
    rim = np.zeros(plane.shape, bool)
    measured: NDArray[np.bool_] | None = None
    definition = CATALOGUE.get(f"{value.biomarker}@{value.version}")
    is_compared = definition is None or definition.needs_reference or bool(definition.further_structures())
    for mask in _masks(value, archive):
        rim |= _rim(mask)
        # The measured structure stands first; in a comparison the others are what it was compared with.
        measured = mask if measured is None else measured | (mask & (not is_compared))
    if is_counted_in_space(value.biomarker, value.parameters):
        counted_there = _counted_in_space(value, archive)
        if counted_there is not None:
            picture[counted_there] = _mix(picture[counted_there], COUNTED, STRENGTH)
    elif measured is not None:
        spacing = dataset.get("PixelSpacing") or (1.0, 1.0)
        pixel_mm2 = float(spacing[0]) * float(spacing[1])
        counted = counted_voxels(
            value.biomarker, plane_in_units[None], measured[None], pixel_mm2, value.parameters
        )
        if counted is not None:
            picture[counted[0]] = _mix(picture[counted[0]], COUNTED, STRENGTH)
    picture[rim] = _mix(picture[rim], RIM, 0.9)
    if lines := value.evidence.get("lines_mm"):
        inverse = np.linalg.inv(archive.load_volume(value.series_uid).image.affine)
        ends = np.array(lines, dtype=np.float64)
        places = ends @ inverse[:3, :3].T + inverse[:3, 3]
        # A line in space is drawn where its slice is; a longer one is what the plane's picture is for.
        flat = [pair[:, 1:] for pair in places if np.abs(pair[:, 0] - value.key_slice).max() < 0.6]
        picture = _with_lines(picture, flat)
    return encode_picture(picture, "png")


def _counted_in_space(value: StoredValue, archive: PictureSource) -> NDArray[np.bool_] | None:
    """Find again, in the whole volume, which pixels of the value's slice count: a core, or what lies around."""
    volume = archive.load_volume(value.series_uid)
    definition = CATALOGUE.get(f"{value.biomarker}@{value.version}")
    used = {(mask.seg_instance_uid, mask.segment_number) for mask in value.masks}
    further = definition.further_structures() if definition else frozenset()
    own: list[Region] = []
    others: dict[str, Region] = {}
    for item in archive.iterate_masks(value.series_uid, volume):
        if (item.seg_instance_uid, item.segment_number) not in used:
            continue
        name = structure_name(item.name or item.mask.label.meaning, item.mask.label)
        region = Region(volume.image, item.mask.voxels)
        if name in further:
            others[name] = join(volume.image, [others[name], region]) if name in others else region
        else:
            own.append(region)
    counted = counted_region(value.biomarker, join(volume.image, own), others, value.parameters)
    if counted is None or counted.box is None or value.key_slice is None:
        return None
    place = value.key_slice - counted.box.start[0]
    if not 0 <= place < counted.box.shape[0]:
        return None
    found = np.zeros(volume.image.shape[1:], bool)
    found[counted.box.slices[1:]] = counted.mask[place]
    return found


def draw_check(check: Check, archive: PictureSource) -> bytes:
    """Draw the slice a check is about, with the rim of its mask, as PNG.

    Raises
    ------
    NoPicture
        If the check is about no slice.
    """
    if not check.key_instance_uid:
        raise NoPicture("This check is about the whole series, not about a slice.")
    volume = archive.load_volume(check.series_uid)
    place = volume.instance_uids.index(check.key_instance_uid)
    plane = volume.image.voxels[place]
    is_ct = archive.instance(check.key_instance_uid).sop_class_uid == CT_IMAGE
    grey = apply_window(plane, SOFT_TISSUE if is_ct else automatic_window(plane))
    picture = np.repeat(grey[..., None], 3, axis=2)
    for item in archive.iterate_masks(check.series_uid, volume):
        mask = check.mask
        if mask and (item.seg_instance_uid, item.segment_number) == (
            mask.seg_instance_uid,
            mask.segment_number,
        ):
            rim = _rim(item.mask.voxels[place])
            picture[rim] = _mix(picture[rim], RIM, 0.9)
    return encode_picture(picture, "png")


def draw_plane(value: StoredValue, archive: PictureSource) -> bytes:
    """Draw the plane in which a value was taken, resampled from the volume, with mask, line or circle, as PNG.

    Raises
    ------
    NoPicture
        If the value was not taken in a plane of its own.
    """
    plane = value.evidence.get("plane")
    if not plane:
        raise NoPicture("This value was not taken in a plane of its own.")
    from scipy import ndimage  # noqa: PLC0415 - only this picture needs it

    volume = archive.load_volume(value.series_uid)
    inverse = np.linalg.inv(volume.image.affine)
    centre, across, up = (np.array(plane[name], dtype=np.float64) for name in ("centre_mm", "across", "up"))
    step_mm = 2.0 * float(plane["reach_mm"]) / PLANE_PIXELS
    steps = (np.arange(PLANE_PIXELS) + 0.5) * step_mm - float(plane["reach_mm"])
    # Rows run downwards on a screen.
    world = centre + steps[None, :, None] * across - steps[:, None, None] * up
    index = (world @ inverse[:3, :3].T + inverse[:3, 3]).transpose(2, 0, 1)
    voxels = volume.image.voxels
    cut = ndimage.map_coordinates(
        voxels, index, output=np.float32, order=1, mode="constant", cval=float(voxels.min())
    )
    picture = np.repeat(apply_window(cut, _window(value, cut))[..., None], 3, axis=2)
    mask = _mask_at(value, archive, volume, index)
    if mask is not None:
        picture[_rim(mask)] = _mix(picture[_rim(mask)], RIM, 0.9)
    lines = []
    for pair in value.evidence.get("lines_mm", ()):
        away = np.array(pair, dtype=np.float64) - centre
        lines.append(np.column_stack([-(away @ up), away @ across]) / step_mm + PLANE_PIXELS / 2.0 - 0.5)
    if "circle_mm" in plane:
        angle = np.linspace(0.0, 2.0 * np.pi, 65)
        ring = np.column_stack([np.sin(angle), np.cos(angle)]) * float(plane["circle_mm"]) / 2.0 / step_mm
        ring += PLANE_PIXELS / 2.0 - 0.5
        lines += [ring[place : place + 2] for place in range(64)]
    return encode_picture(_with_lines(picture, lines), "png")


def _mask_at(
    value: StoredValue, archive: PictureSource, volume: Volume, index: NDArray[np.float64]
) -> NDArray[np.bool_] | None:
    """The measured structure where a plane cuts it; all its segments together."""
    from scipy import ndimage  # noqa: PLC0415 - only this picture needs it

    definition = CATALOGUE.get(f"{value.biomarker}@{value.version}")
    is_compared = definition is None or definition.needs_reference or bool(definition.further_structures())
    wanted = {
        (mask.seg_instance_uid, mask.segment_number) for mask in value.masks[: 1 if is_compared else None]
    }
    found: NDArray[np.bool_] | None = None
    for item in archive.iterate_masks(value.series_uid, volume):
        if (item.seg_instance_uid, item.segment_number) in wanted:
            soft = ndimage.map_coordinates(
                item.mask.voxels.astype(np.uint8), index, output=np.float32, order=1, mode="constant"
            )
            found = (soft >= 0.5) if found is None else found | (soft >= 0.5)
    return found


def _with_lines(picture: NDArray[np.uint8], lines: Sequence[NDArray[np.float64]]) -> NDArray[np.uint8]:
    """Draw lines between (row, column) places."""
    from PIL import Image as Picture  # noqa: PLC0415 - only these pictures need a pen
    from PIL import ImageDraw  # noqa: PLC0415 - as above

    canvas = Picture.fromarray(picture)
    pen = ImageDraw.Draw(canvas)
    for pair in lines:
        pen.line([(float(column), float(row)) for row, column in pair], fill=LINE, width=1)
    return np.asarray(canvas)


def _masks(value: StoredValue, archive: PictureSource) -> Iterator[NDArray[np.bool_]]:
    place = value.key_slice or 0
    wanted = {
        (mask.seg_instance_uid, mask.segment_number): position
        for position, mask in enumerate(value.masks)
        if mask.seg_instance_uid
    }
    if wanted:
        arrangement = archive.arrange(value.series_uid)
        found: dict[int, NDArray[np.bool_]] = {}
        for item in archive.iterate_masks(value.series_uid, arrangement):
            position = wanted.get((item.seg_instance_uid, item.segment_number))
            if position is not None:
                found[position] = item.mask.voxels[place].copy()
        yield from (found[position] for position in sorted(found))
    elif value.masks:
        yield segment_body(archive.load_volume(value.series_uid).image)[place]


def _window(value: StoredValue, plane: NDArray[np.generic]) -> Window:
    if value.parameters.get("modality") != "CT":
        return automatic_window(plane)
    meaning = value.label.meaning.lower() if value.label else ""
    return LUNG if "lung" in meaning or "lobe" in meaning else SOFT_TISSUE


def _rim(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask with a neighbour outside."""
    padded = np.pad(mask, 1)
    inner = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    rim: NDArray[np.bool_] = mask & ~inner
    return rim


def _mix(pixels: NDArray[np.uint8], colour: Sequence[int], strength: float) -> NDArray[np.uint8]:
    mixed = pixels.astype(np.float32) * (1.0 - strength) + np.asarray(colour, np.float32) * strength
    return np.asarray(mixed + 0.5).astype(np.uint8)
