"""Upper abdomen: liver, gallbladder, spleen, stomach, kidneys, pancreas, bowel and their vessels."""

from __future__ import annotations

import numpy as np

from racoon.demo.anatomy.canvas import Canvas, Point, Tissue
from racoon.demo.anatomy.chest import Chest, Contrast
from racoon.demo.anatomy.grid import Float
from racoon.demo.anatomy.shapes import blend, ellipsoid, tube
from racoon.demo.anatomy.wall import WallSpace


def paint_abdomen(
    canvas: Canvas, space: WallSpace, chest: Chest, contrast: Contrast, soft: Float, rng: np.random.Generator
) -> None:
    """Paint what lies under the diaphragm."""
    box = canvas.get_box((-150, -110, -420), (150, 110, -35))
    x, y, z, noise = canvas.x[box], canvas.y[box], canvas.z[box], soft[box]
    limit = np.maximum(space.cage[box] + 4.5, (chest.diaphragm[box] + 3.0) * 0.75)
    fat = np.maximum(limit, chest.diaphragm[box] + 1)
    canvas.paint(fat, -104 + 10 * noise, Tissue.VISCERAL_FAT, box)
    _paint_bowel(canvas, limit, rng)

    stomach = np.maximum(ellipsoid(x, y, z, (58, -22, -98), (38, 42, 46)) + 3 * noise, limit + 1)
    canvas.paint(stomach, 46.0, Tissue.HOLLOW_ORGAN, box)
    level = np.float32(-40 + rng.uniform(-8, 8))
    filling = 22 + 18 * np.abs(noise)
    filling[y < level] = -960
    canvas.paint(stomach + 5, filling, Tissue.HOLLOW_ORGAN, box)

    spleen = ellipsoid(
        x, y, z, (97, 38, -100), (33, 50, 60), ((0.9, 0.42, 0.1), (-0.42, 0.9, 0.1), (-0.05, -0.13, 0.99))
    )
    spleen = np.maximum(np.maximum(spleen + 2 * noise, limit), -(stomach - 3))
    canvas.paint(spleen, contrast.spleen + 4 * noise, Tissue.SPLEEN, box)

    ceiling = chest.diaphragm[box] * 0.75 + 4
    right_kidney = np.maximum(ceiling, _kidney(x, y, z, (-60, 50, -136), -1))
    left_kidney = np.maximum(ceiling, _kidney(x, y, z, (62, 50, -126), 1))

    main = ellipsoid(x, y, z, (-66, -4, -108), (78, 84, 68))
    left = ellipsoid(x, y, z, (8, -48, -86), (66, 30, 30))
    under = z + 96 - 0.42 * (x + 40) - 0.25 * (y + 20)
    liver = blend(main, left, 24)
    liver = np.maximum(liver, -(under + 72))
    liver = np.maximum(np.maximum(liver + 1.5 * noise, limit), 5 - right_kidney)
    liver = np.maximum(liver, np.maximum(-(stomach - 3), -(spleen - 5)))
    liver = np.maximum(liver, np.minimum(x + 16, y - 4) + 2)
    canvas.paint(liver, contrast.liver + 5 * noise, Tissue.LIVER, box)
    gallbladder = ellipsoid(x, y, z, (-44, -42, -146), (15, 17, 28))
    canvas.paint(gallbladder, 11.0, Tissue.HOLLOW_ORGAN, box)

    for distance, tissue in ((right_kidney, Tissue.KIDNEY_RIGHT), (left_kidney, Tissue.KIDNEY_LEFT)):
        canvas.paint(np.maximum(distance - 6, ceiling), -106.0, Tissue.VISCERAL_FAT, box)
        canvas.paint(
            distance,
            contrast.kidney + 5 * noise + 22 * np.clip(1 + distance / 8, 0, 1) * (contrast.kidney > 60),
            tissue,
            box,
        )
    for centre in ((-44, 47, -136), (46, 47, -126)):
        sinus = ellipsoid(x, y, z, centre, (12, 8, 24)) + 3 * noise
        canvas.paint(sinus, -70.0, Tissue.VISCERAL_FAT, box)
        pelvis = ellipsoid(x, y, z, centre, (6, 4, 12))
        canvas.paint(pelvis, 8.0, None, box)
    _paint_vessels(canvas, contrast)


def _kidney(x: Float, y: Float, z: Float, centre: Point, side: int) -> Float:
    tilt = ((0.87, side * 0.42, side * 0.24), (-side * 0.42, 0.9, 0.1), (-side * 0.22, -0.12, 0.97))
    return ellipsoid(x, y, z, centre, (25, 26, 52), tilt)


def _paint_vessels(canvas: Canvas, contrast: Contrast) -> None:
    courses: tuple[tuple[tuple[Point, ...], tuple[float, ...], float, Tissue], ...] = (
        (
            ((-26, 16, -330), (-24, 18, -140), (-24, 14, -90), (-26, 2, -55), (-27, -8, -25)),
            (10, 10.5, 11, 12, 12),
            contrast.vein,
            Tissue.OTHER_VESSEL,
        ),
        (((-2, -8, -150), (-16, -6, -132), (-34, -8, -118)), (6.5, 7, 6), contrast.vein, Tissue.OTHER_VESSEL),
        (((-34, -8, -118), (-66, -2, -108), (-92, 4, -98)), (5.5, 4.5, 3), contrast.vein, Tissue.LIVER),
        (((-34, -8, -118), (-30, -34, -98), (-6, -46, -90)), (5, 4, 2.5), contrast.vein, Tissue.LIVER),
        (((-25, 8, -72), (-60, -6, -74), (-88, -12, -82)), (5.5, 4, 2.5), contrast.vein, Tissue.LIVER),
        (((-25, 8, -70), (-40, -28, -76), (-46, -48, -86)), (5, 4, 2.5), contrast.vein, Tissue.LIVER),
        (((0, -6, -146), (40, 8, -128), (78, 30, -108)), (5, 4.5, 4), contrast.vein, Tissue.OTHER_VESSEL),
        (((5, 16, -140), (30, 34, -132), (46, 46, -127)), (4, 3.5, 3), contrast.vein, Tissue.OTHER_VESSEL),
        (
            ((-20, 18, -134), (-34, 36, -136), (-46, 48, -136)),
            (4, 3.5, 3),
            contrast.vein,
            Tissue.OTHER_VESSEL,
        ),
        (((5, 12, -128), (4, -6, -138), (3, -8, -180)), (4, 3.6, 3.4), contrast.blood, Tissue.OTHER_VESSEL),
    )
    pancreas: tuple[Point, ...] = ((-28, -16, -154), (-6, -22, -142), (28, -8, -132), (66, 18, -118))
    distance, where = tube(canvas, pancreas, (13, 10, 9, 8))
    canvas.paint(distance, contrast.liver * 0.85 - 6, Tissue.HOLLOW_ORGAN, where)
    for points, radii, value, tissue in courses:
        distance, where = tube(canvas, points, radii)
        canvas.paint(distance, value, tissue, where)


def _paint_bowel(canvas: Canvas, limit: Float, rng: np.random.Generator) -> None:
    """Colon along its course and loops of small bowel, some with gas."""
    flexures: tuple[tuple[tuple[Point, ...], float], ...] = (
        (((98, -34, -118), (104, -10, -140), (104, 22, -180), (98, 26, -330)), 21),
        (((98, -34, -118), (56, -70, -152), (0, -76, -168), (-58, -66, -166), (-92, -30, -172)), 20),
        (((-92, -30, -172), (-98, 6, -200), (-92, 16, -330)), 23),
    )
    for points, radius in flexures:
        distance, where = tube(canvas, points, [radius] * len(points))
        distance = np.maximum(
            distance + 3 * np.sin(canvas.z[where] / 6 + canvas.x[where] / 7),
            space_limit(limit, canvas, where),
        )
        canvas.paint(distance, 42.0, Tissue.HOLLOW_ORGAN, where)
        gas = 5 - 935 * (canvas.y[where] < points[1][1] + rng.uniform(-8, 10)).astype(np.float32)
        canvas.paint(distance + 4, gas, Tissue.HOLLOW_ORGAN, where)
    for _ in range(26):
        centre = (rng.uniform(-70, 75), rng.uniform(-66, 10), rng.uniform(-330, -165))
        radii = rng.uniform(10, 17, 3)
        reach = 20.0
        where = canvas.get_box(
            (centre[0] - reach, centre[1] - reach, centre[2] - reach),
            (centre[0] + reach, centre[1] + reach, centre[2] + reach),
        )
        loop = ellipsoid(
            canvas.x[where], canvas.y[where], canvas.z[where], centre, (radii[0] * 1.3, radii[1], radii[2])
        )
        loop = np.maximum(loop, space_limit(limit, canvas, where))
        canvas.paint(loop, 48.0, Tissue.HOLLOW_ORGAN, where)
        canvas.paint(
            loop + 3, float(rng.choice([18.0, 25.0, 32.0, -700.0], p=[0.35, 0.3, 0.25, 0.1])), None, where
        )


def space_limit(limit: Float, canvas: Canvas, where: tuple[slice, slice, slice]) -> Float:
    """Take the cavity's limit from its own box to another box; what lies outside the first is no cavity."""
    whole = canvas.get_box((-150, -110, -420), (150, 110, -35))
    out = np.full(canvas.hu[where].shape, 50, dtype=np.float32)
    source, target = [], []
    for inner, outer in zip(where, whole, strict=True):
        start, stop = max(inner.start, outer.start), min(inner.stop, outer.stop)
        if stop <= start:
            return out
        source.append(slice(start - outer.start, stop - outer.start))
        target.append(slice(start - inner.start, stop - inner.start))
    out[tuple(target)] = limit[tuple(source)]
    return out
