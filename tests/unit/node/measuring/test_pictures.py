"""Where a value was taken, drawn: the line of a diameter in its slice, and the plane that holds it."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image as Picture

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.node.measuring import service
from racoon.node.measuring.picture import LINE, PLANE_PIXELS, NoPicture
from racoon.science.biomarkers import Context, Region, get_definition
from racoon.science.image import Image
from tests.unit.node.measuring.cohort import LIVER, store_subject

PLAN = MeasuringPlan(
    "diameters",
    tuple(
        Measurement(name, "1", LIVER, Bins(0.0, 100.0, 10.0))
        for name in ("lesion_long_axis", "lesion_short_axis", "max_diameter", "volume")
    ),
)


def pixels(content: bytes) -> np.ndarray:
    return np.asarray(Picture.open(io.BytesIO(content)).convert("RGB")).astype(int)


def is_line(picture: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.abs(picture - np.array(LINE)).max(axis=-1) <= 5
    return found


def test_lines_lie_where_the_number_was_taken(archive, database):
    manifest = DatasetManifest("study-1", "livers", (store_subject(archive, 8),))
    service.run_protocol(PLAN, manifest, archive, database)
    with database.connect() as connection:
        values = {value.biomarker: value for _, value in service.load_values(connection)}
    for name in ("lesion_long_axis", "lesion_short_axis", "max_diameter"):
        ((first, second),) = values[name].evidence["lines_mm"]
        assert math.dist(first, second) == pytest.approx(values[name].value, rel=1e-9), name
    long_axis = np.subtract(*values["lesion_long_axis"].evidence["lines_mm"][0])
    short_axis = np.subtract(*values["lesion_short_axis"].evidence["lines_mm"][0])
    assert long_axis @ short_axis == pytest.approx(0.0, abs=1e-9)
    drawn = is_line(pixels(service.draw(values["lesion_long_axis"], archive)))
    rows, columns = np.nonzero(drawn)
    # The liver fills eight columns of five and a half rows in the middle of the slice.
    assert 3 <= rows.min() <= rows.max() <= 12
    assert columns.max() - columns.min() >= 7
    assert values["volume"].evidence == {}
    with pytest.raises(NoPicture):
        service.draw_plane(values["volume"], archive)


def test_the_plane_of_a_diameter_shows_it_in_full_length(archive, database):
    manifest = DatasetManifest("study-1", "livers", (store_subject(archive, 8),))
    service.run_protocol(PLAN, manifest, archive, database)
    with database.connect() as connection:
        value = next(item for _, item in service.load_values(connection) if item.biomarker == "max_diameter")
    plane = value.evidence["plane"]
    picture = pixels(service.draw_plane(value, archive))
    assert picture.shape == (PLANE_PIXELS, PLANE_PIXELS, 3)
    _, columns = np.nonzero(is_line(picture))
    step_mm = 2 * plane["reach_mm"] / PLANE_PIXELS
    assert (np.ptp(columns) + 1) * step_mm == pytest.approx(value.value, abs=3 * step_mm)


def test_a_section_of_a_vessel_is_shown_perpendicular_to_it():
    tilt = math.radians(30)
    z, y, x = np.mgrid[-40:41, -25:26, -45:46].astype(float)
    away = np.hypot(y, x * math.cos(tilt) - z * math.sin(tilt))
    mask = away <= 10
    region = Region(Image(np.zeros(mask.shape, np.int16), np.eye(4)[:, [2, 1, 0, 3]]), mask)
    found = get_definition("aorta_max_diameter", "1").compute_region(region, Context("CT"))
    plane = found.evidence["plane"]
    normal = np.cross(plane["across"], plane["up"])
    assert (
        abs(normal @ [math.sin(tilt), 0.0, math.cos(tilt)]) > 0.93
    )  # the ends of a cut tube bend the line a little
    assert plane["circle_mm"] == pytest.approx(found.value)
    assert found.value == pytest.approx(20.0, abs=0.6)
    assert np.dot(plane["across"], plane["up"]) == pytest.approx(0.0, abs=1e-9)


def test_a_core_is_shown_and_not_the_whole_mask(archive, database):
    plan = MeasuringPlan(
        "livers",
        tuple(
            Measurement(name, "1", LIVER, Bins(-100.0, 200.0, 10.0), {"erosion_mm": 0.75})
            for name in ("liver_attenuation",)
        ),
    )
    manifest = DatasetManifest("study-1", "livers", (store_subject(archive, 8),))
    service.run_protocol(plan, manifest, archive, database)
    with database.connect() as connection:
        ((_, value),) = service.load_values(connection)
    shown = pixels(service.draw(value, archive))
    red = (shown[..., 0] - shown[..., 2]) > 60
    volume = archive.load_volume(value.series_uid)
    (liver,) = (
        item.mask.voxels
        for item in archive.iterate_masks(value.series_uid, volume)
        if item.mask.label == LIVER
    )
    assert 0 < red.sum() < liver[value.key_slice].sum()
    assert not (red & ~liver[value.key_slice]).any()
