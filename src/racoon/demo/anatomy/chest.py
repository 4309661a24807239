"""Chest contents: lungs with fissures, heart, coronaries, aorta and great vessels, airways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from racoon.demo.anatomy.canvas import FAR_MM, Canvas, Point, Tissue
from racoon.demo.anatomy.grid import Bool, Float
from racoon.demo.anatomy.shapes import blend, ellipsoid, tube
from racoon.demo.anatomy.wall import WallSpace, compute_spine

HEART_CENTRE: Point = (20, -24, -24)
HEART_AXES = ((0.75, -0.46, -0.475), (0.53, 0.848, 0.015), (0.396, -0.263, 0.88))
HEART_RADII: Point = (62, 43, 47)

ASCENDING: tuple[Point, ...] = ((2, -18, 2), (-12, -30, 22), (-17, -28, 45), (-11, -16, 68), (3, 0, 80))
ARCH: tuple[Point, ...] = ((3, 0, 80), (16, 18, 80), (24, 34, 70), (26, 44, 52))
DESCENDING: tuple[Point, ...] = (
    (26, 44, 52),
    (25, 46, 20),
    (21, 44, -30),
    (13, 37, -80),
    (6, 27, -120),
    (4, 21, -180),
    (4, 18, -330),
)

CORE_X: Mapping[int, float] = {
    -330: 20,
    -120: 20,
    -60: 20,
    0: 22,
    25: 27,
    50: 25,
    80: 31,
    110: 33,
    140: 37,
    165: 44,
    190: 50,
}
"""Half width of the mediastinum between the lungs by height (mm)."""


@dataclass(frozen=True)
class Contrast:
    """Density of blood and organs in HU: what phase the scan was taken in."""

    name: str
    blood: float
    pulmonary: float
    myocardium: float
    liver: float
    spleen: float
    kidney: float
    vein: float


UNENHANCED = Contrast("none", 42, 42, 48, 58, 50, 33, 42)
VENOUS = Contrast("venous", 155, 150, 105, 108, 122, 178, 150)
ARTERIAL = Contrast("arterial", 290, 240, 110, 72, 128, 150, 110)


@dataclass(frozen=True)
class Chest:
    """The pleural cavities and landmarks that the lung's interior and the findings need."""

    lung: Float
    """Signed distance to the lung surface, mm."""
    diaphragm: Float
    """Template height above the diaphragm, mm; negative is abdomen."""
    is_left: Bool


def compute_diaphragm(canvas: Canvas, space: WallSpace) -> Float:
    """Height above the two domes in mm (template z)."""
    x, y = canvas.x, canvas.y
    rim = np.clip(1 + space.cage / 112, 0, 1)
    hollow = 1 - rim * rim * np.sqrt(rim)
    back = np.clip((y + 60) / 140, 0, 1)
    sulcus = -68 - 66 * back
    top = (
        np.float32(-46)
        - 11 * np.clip(x / 50, -1, 1)
        - 12 * np.exp(-((x / 34) ** 2))
        - 8 * np.clip(-y / 60, 0, 1)
    )
    height: Float = canvas.z - (sulcus + (top - sulcus) * np.clip(hollow * 1.18, 0, 1))
    return height


def paint_chest(canvas: Canvas, space: WallSpace, contrast: Contrast, soft: Float, lung_hu: Float) -> Chest:
    """Paint everything above the diaphragm except the lung's inner structure."""
    x, y, z = canvas.x, canvas.y, canvas.z
    diaphragm = compute_diaphragm(canvas, space)
    is_left = x > 0
    cavity = space.cage + 1.0
    neck = np.clip((z - 118) / 26, 0, 1)
    filling = np.asarray(-98 + 8 * soft + neck * (120 + 25 * soft), dtype=np.float32)
    canvas.paint(cavity, filling, Tissue.VISCERAL_FAT)
    heart = compute_heart(canvas)
    aorta = compute_aorta(canvas)
    front = np.clip((-34 - y) / 30, 0, 1)
    narrowing = 1 - 0.80 * front * np.clip((118 - z) / 20, 0, 1)
    core: Float = np.asarray(np.abs(x - 4) - canvas.along_z(CORE_X) * narrowing + 3 * soft, dtype=np.float32)
    keep_out = blend(blend(core, heart - 4, 12), blend(aorta - 3, compute_spine(canvas), 6), 5)
    box = canvas.get_box((-60, -20, -10), (60, 45, 75))
    hilum = ellipsoid(np.abs(x[box]), y[box], z[box], (30, 12, 32), (21, 17, 30)) + 3 * soft[box]
    keep_out[box] = blend(keep_out[box], hilum, 10)
    lung = np.maximum(np.maximum(cavity + 1.5, -keep_out), (3 - diaphragm) * 0.75)
    lung = np.maximum(lung, z - 158)
    _paint_diaphragm(canvas, space, diaphragm)
    _paint_great_vessels(canvas, contrast)
    _paint_heart(canvas, heart, contrast, soft)
    canvas.paint(aorta - 1.0, 48.0, Tissue.OTHER_VESSEL)
    canvas.paint(aorta, contrast.blood + 4 * soft, Tissue.AORTA)
    # The lung comes last: what it touches was made to stay out of it.
    inside = lung < 0
    canvas.paint(lung, lung_hu, None)
    canvas.tissue[inside & is_left] = Tissue.LUNG_LEFT
    canvas.tissue[inside & ~is_left] = Tissue.LUNG_RIGHT
    _paint_fissures(canvas, lung, is_left)
    return Chest(lung, diaphragm, is_left)


def _paint_diaphragm(canvas: Canvas, space: WallSpace, diaphragm: Float) -> None:
    sheet = np.maximum(np.abs(diaphragm) * 0.75 - 2.0, space.cage + 1.5)
    canvas.paint(sheet, 50.0, Tissue.SKELETAL_MUSCLE)


def compute_heart(canvas: Canvas) -> Float:
    """Distance to the heart: an oblique ellipsoid with the right atrium and the outflow on it."""
    box = canvas.get_box((-80, -110, -95), (110, 70, 60))
    distance = np.full(canvas.hu.shape, FAR_MM, dtype=np.float32)
    x, y, z = canvas.x[box], canvas.y[box], canvas.z[box]
    main = ellipsoid(x, y, z, HEART_CENTRE, HEART_RADII, HEART_AXES)
    right = ellipsoid(x, y, z, (-24, -14, -16), (29, 33, 38))
    base = ellipsoid(x, y, z, (4, 4, 2), (34, 27, 27))
    heart = blend(blend(main, right, 14), base, 10)
    # The heart lies on the central tendon.
    distance[box] = np.maximum(heart, np.float32(-72) - z)
    return distance


def _paint_heart(canvas: Canvas, heart: Float, contrast: Contrast, soft: Float) -> None:
    box = canvas.get_box((-75, -90, -90), (100, 60, 55))
    x, y, z, local = canvas.x[box], canvas.y[box], canvas.z[box], heart[box]
    canvas.paint(local, contrast.myocardium + 4 * soft[box], Tissue.HEART, box)
    blood = contrast.blood + 5 * soft[box]
    left = ellipsoid(x, y, z, (33, -20, -27), (35, 20, 22), HEART_AXES)
    canvas.paint(left, blood, Tissue.HEART, box, soft_mm=4)
    wall = ellipsoid(x, y, z, (33, -20, -27), (46, 31, 33), HEART_AXES)
    right = ellipsoid(x, y, z, (2, -44, -22), (43, 20, 30), HEART_AXES)
    right = np.maximum(np.maximum(right, -wall), local + 4)
    canvas.paint(right, contrast.pulmonary + 5 * soft[box], Tissue.HEART, box, soft_mm=4)
    for centre, radii, value in (
        ((-28.0, -14.0, -16.0), (22.0, 26.0, 31.0), contrast.pulmonary),
        ((4.0, 10.0, 2.0), (28.0, 17.0, 20.0), contrast.blood),
    ):
        atrium = np.maximum(ellipsoid(x, y, z, centre, radii), local + 3)
        canvas.paint(atrium, value + 5 * soft[box], Tissue.HEART, box, soft_mm=4)
    # Fat in the grooves between atria and ventricles, where the coronaries run.
    groove = np.abs((x - 4) * 0.75 - (y + 20) * 0.46 - (z + 10) * 0.475 + 6)
    fat = np.maximum(groove - 4.5, -local - 11)
    canvas.paint(np.maximum(fat, local), -88.0, Tissue.MEDIASTINUM, box)
    for course in coronaries():
        distance, where = tube(canvas, course, [2.1] * (len(course) - 1) + [1.2])
        canvas.paint(distance - 3, -85.0, Tissue.MEDIASTINUM, where)
        canvas.paint(distance, contrast.blood + 4, Tissue.MEDIASTINUM, where)


def coronaries() -> tuple[tuple[Point, ...], ...]:
    """Courses of the three large coronary arteries on the template's heart."""
    return (
        ((4, -24, 14), (18, -34, 16), (29, -48, 6), (40, -60, -10), (52, -66, -28), (62, -66, -46)),
        ((10, -24, 14), (30, -16, 14), (44, 0, 4), (48, 14, -12), (40, 22, -30)),
        ((-8, -34, 12), (-22, -48, 2), (-30, -46, -22), (-20, -38, -46), (4, -20, -62)),
    )


def compute_aorta(canvas: Canvas) -> Float:
    """Distance to the aorta from its root to the lower end of the grid."""
    distance = np.full(canvas.hu.shape, FAR_MM, dtype=np.float32)
    for course, radii in (
        (ASCENDING, (16.5, 16.5, 16.5, 15.5, 14.5)),
        (ARCH, (14.5, 14, 13.5, 13)),
        (DESCENDING, (13, 12.7, 12.3, 11.8, 11, 10, 9.3)),
    ):
        part, box = tube(canvas, course, radii, margin_mm=10)
        np.minimum(distance[box], part, out=distance[box])
    return distance


def _paint_great_vessels(canvas: Canvas, contrast: Contrast) -> None:
    courses: tuple[tuple[tuple[Point, ...], tuple[float, ...], float], ...] = (
        (((-28, -14, 0), (-27, -14, 40), (-26, -18, 85), (-24, -22, 105)), (12, 10.5, 9.5, 9), contrast.vein),
        (((-24, -22, 105), (8, -36, 100), (34, -30, 112), (48, -10, 140)), (9, 7.5, 7, 7), contrast.vein),
        (((-24, -22, 105), (-36, -16, 125), (-52, -4, 150)), (9, 7.5, 7), contrast.vein),
        (((12, -50, 5), (18, -40, 26), (20, -22, 44), (16, -6, 46)), (15, 14, 13.5, 12), contrast.pulmonary),
        (((16, -6, 46), (-8, -2, 36), (-34, 6, 32)), (12, 11.5, 9.5), contrast.pulmonary),
        (((16, -6, 46), (30, 8, 46), (42, 18, 38)), (12, 10.5, 8.5), contrast.pulmonary),
        (((-6, 10, 4), (-24, 10, 6), (-40, 12, 10)), (8, 7, 6), contrast.blood),
        (((16, 12, 4), (32, 14, 8), (46, 16, 12)), (8, 7, 6), contrast.blood),
        (((-8, -12, 76), (-16, -10, 105), (-26, 0, 125), (-44, 8, 150)), (7, 6.5, 5, 4.5), contrast.blood),
        (((4, -2, 82), (8, 0, 110), (14, 6, 150), (16, 8, 200)), (4.5, 4, 3.8, 3.8), contrast.blood),
        (((15, 14, 80), (24, 18, 110), (40, 14, 142)), (5.5, 5, 4.5), contrast.blood),
        (((-12, 34, 44), (-8, 46, 30), (-6, 46, -60), (-6, 40, -120)), (4, 4, 3.6, 3), contrast.vein),
    )
    for points, radii, value in courses:
        distance, box = tube(canvas, points, radii)
        canvas.paint(distance, value, Tissue.OTHER_VESSEL, box)
    oesophagus: tuple[Point, ...] = (
        (3, 34, 190),
        (5, 36, 110),
        (6, 38, 50),
        (6, 30, 10),
        (14, 20, -50),
        (24, 8, -82),
    )
    distance, box = tube(canvas, oesophagus, (7, 7, 7, 7.5, 8, 9))
    canvas.paint(distance, 40.0, Tissue.MEDIASTINUM, box)
    for centre, radius in (
        ((-14, 6, 62), 5),
        ((22, 2, 60), 4.5),
        ((-4, 22, 14), 6),
        ((-6, -38, 78), 4),
        ((10, -44, 90), 3.5),
    ):
        node_box = canvas.get_box(*((tuple(c + s * 12 for c in centre)) for s in (-1, 1)))  # type: ignore[arg-type]  # three coordinates
        node = ellipsoid(
            canvas.x[node_box],
            canvas.y[node_box],
            canvas.z[node_box],
            centre,
            (radius, radius * 0.8, radius * 1.4),
        )
        canvas.paint(node, 38.0, Tissue.MEDIASTINUM, node_box)


def _paint_fissures(canvas: Canvas, lung: Float, is_left: Bool) -> None:
    y, z = canvas.y, canvas.z
    oblique = z - (4 + 0.98 * y + 0.0022 * y * y + 8 * is_left)
    horizontal = z - 16 + 0.0012 * (canvas.x + 70) ** 2 + 50 * (is_left | (oblique < 0))
    near = np.minimum(np.abs(oblique) * 0.7, np.abs(horizontal))
    strength = np.clip(1 - near / 2.4, 0, 1) * np.clip(-lung / 3, 0, 1)
    canvas.hu += 95 * strength


AIRWAYS: tuple[tuple[tuple[Point, ...], tuple[float, ...]], ...] = (
    (((0, 14, 205), (0, 16, 150), (-2, 18, 100), (-3, 20, 58)), (9, 9, 9, 9.2)),
    (((-3, 20, 56), (-18, 19, 42), (-32, 18, 30)), (8.5, 7.2, 6.6)),
    (((-3, 20, 56), (20, 22, 38), (38, 21, 24)), (8, 6.6, 6)),
    (((-24, 18, 38), (-40, 12, 44), (-52, 8, 58)), (5.2, 4.5, 3.6)),
    (((-32, 18, 30), (-38, 20, 12), (-44, 28, -14)), (5.6, 5, 3.8)),
    (((-38, 18, 14), (-50, -2, 2), (-60, -22, -8)), (4.2, 3.6, 2.8)),
    (((34, 21, 27), (46, 10, 38), (54, 0, 52)), (5, 4.2, 3.4)),
    (((38, 21, 24), (44, 28, 4), (50, 34, -20)), (5.2, 4.6, 3.6)),
)
"""Trachea, main and lobar bronchi: courses and inner radii (mm)."""


def paint_airways(canvas: Canvas) -> None:
    """Paint trachea and bronchi with their walls, over mediastinum and lung."""
    for points, radii in AIRWAYS:
        distance, box = tube(canvas, points, radii)
        wall = distance - (1.6 if radii[0] > 6 else 1.1)
        canvas.paint(wall, 15.0, None, box)
    for points, radii in AIRWAYS:
        distance, box = tube(canvas, points, radii)
        canvas.paint(distance, -985.0, Tissue.AIRWAY, box)
