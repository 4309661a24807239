"""A chest of simple shapes, and shapes punched at a point."""

import math

import numpy as np
import pytest

from racoon.science.image import Image
from racoon.science.segmentation import (
    punch,
    segment_airways,
    segment_body,
    segment_bone,
    segment_fat,
    segment_lungs,
)


def chest():
    """Body of 60 HU with a rim of fat, two lungs, a trachea above them and a spine; 2 mm voxels."""
    z, y, x = np.ogrid[0:100, 0:130, 0:170]
    voxels = np.full((100, 130, 170), -1000, np.int16)
    body = ((y - 65) / 55) ** 2 + ((x - 85) / 75) ** 2 <= 1
    inside = ((y - 65) / 50) ** 2 + ((x - 85) / 70) ** 2 <= 1
    voxels[:, body[0]] = -100
    voxels[:, inside[0]] = 60
    lungs = np.zeros(voxels.shape, bool)
    for centre in (50, 120):
        lungs |= ((z - 45) / 35) ** 2 + ((y - 60) / 35) ** 2 + ((x - centre) / 25) ** 2 <= 1
    voxels[lungs] = -850
    trachea = ((y - 60) ** 2 + (x - 85) ** 2 <= 5**2) & (z >= 60)
    voxels[trachea] = -1000
    spine = ((y - 100) ** 2 + (x - 85) ** 2 <= 8**2) & (z >= 0)
    voxels[spine] = 400
    return (
        Image(voxels, np.array([[0, 0, 2, 0], [0, 2, 0, 0], [2, 0, 0, 0], [0, 0, 0, 1.0]])),
        lungs,
        trachea,
        spine,
    )


def overlap(first, second):
    return 2 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))


def test_a_chest_falls_into_its_parts():
    image, lungs, trachea, spine = chest()
    body = segment_body(image)
    airways = segment_airways(image, body)
    assert overlap(airways.mask, trachea) > 0.9
    found = segment_lungs(image, body)
    assert overlap(found.mask, lungs) > 0.97
    assert not (found.mask & trachea).any()
    assert overlap(segment_bone(image, body).mask, spine) > 0.98
    fat = segment_fat(image, body)
    assert np.array_equal(fat.mask, (image.voxels == -100) & body)


def test_doubts_are_said():
    image, lungs, _, _ = chest()
    voxels = image.voxels.copy()
    voxels[lungs & (np.arange(170) > 85)] = 30
    voxels[lungs & (np.arange(100)[:, None, None] < 45)] = 30
    sick = Image(voxels, image.affine)
    assert "lungs_small" in segment_lungs(sick, segment_body(sick)).doubts
    solid = Image(np.full((20, 30, 30), 40, np.int16), np.diag([2.0, 2.0, 2.0, 1.0]))
    whole = np.ones(solid.shape, bool)
    assert segment_lungs(solid, whole).doubts == ("nothing_found",)
    assert segment_airways(solid, whole).doubts == ("no_seed",)
    assert segment_bone(solid, whole).doubts == ("nothing_found",)


OBLIQUE = np.array([[0, 0.1, 0.7, -30], [0.2, 0.8, 0, -40], [1.5, 0, 0.1, -20], [0, 0, 0, 1.0]])


@pytest.mark.parametrize(
    ("shape", "volume"), [("sphere", math.pi / 6 * 20**3), ("cube", 20**3), ("cylinder", math.pi * 100 * 30)]
)
def test_a_punch_has_the_volume_of_its_shape_on_any_grid(shape, volume):
    image = Image(np.arange(60 * 120 * 140).reshape(60, 120, 140), OBLIQUE)
    centre = OBLIQUE[:3, :3] @ np.array([30, 60, 70]) + OBLIQUE[:3, 3]
    found = punch(
        image, centre, 20, shape=shape, length_mm=30 if shape == "cylinder" else None, axis=(1, 2, 3)
    )
    assert found.mask.sum() * image.voxel_volume_ml * 1000 == pytest.approx(volume, rel=0.03)
    assert not found.is_cut_off
    assert np.array_equal(found.patch, image.voxels[found.box.slices])
    middle = np.argwhere(found.mask).mean(axis=0) + found.box.start
    assert middle == pytest.approx([30, 60, 70], abs=0.1)


def test_a_punch_at_the_border_says_so_and_outside_is_nothing():
    image = Image(np.zeros((10, 10, 10)), np.eye(4))
    assert punch(image, (0, 5, 5), 6).is_cut_off
    assert punch(image, (50, 5, 5), 6) is None
    assert punch(image, (4.5, 4.5, 4.5), 0.2) is None
    with pytest.raises(ValueError, match="positive"):
        punch(image, (5, 5, 5), 0)
