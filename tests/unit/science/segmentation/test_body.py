"""The body without its table, on a phantom whose parts are known."""

import numpy as np

from racoon.science.image import Image
from racoon.science.segmentation import segment_body


def phantom(spacing_mm):
    """An elliptic trunk with two lungs on a thin table, air around."""
    size = round(300 / spacing_mm)
    y, x = (np.indices((size, size)) + 0.5) * spacing_mm - 150
    body = (x / 120) ** 2 + (y / 80) ** 2 <= 1
    lungs = ((np.abs(x) - 55) / 35) ** 2 + (y / 50) ** 2 <= 1
    table = (np.abs(y - 83) <= 2) & (np.abs(x) < 140)
    plane = np.full((size, size), -1000, np.int16)
    plane[table] = -200
    plane[body] = 40
    plane[lungs] = -850
    voxels = np.stack([plane] * 6)
    return (
        Image(voxels, np.diag([5.0, spacing_mm, spacing_mm, 1.0])),
        np.stack([body] * 6),
        np.stack([table] * 6),
    )


def test_body_holds_the_lungs_and_leaves_the_table():
    for spacing_mm in (0.75, 1.5, 3.0):
        image, body, table = phantom(spacing_mm)
        found = segment_body(image)
        assert found.shape == body.shape
        assert 2 * (found & body).sum() / (found.sum() + body.sum()) > 0.975
        assert (found & table & ~body).sum() < 0.35 * (table & ~body).sum()
        assert found[body].mean() > 0.98


def test_air_has_no_body():
    assert not segment_body(Image(np.full((3, 20, 20), -1000, np.int16), np.eye(4))).any()
