"""Trunk wall: outline, skin, fat, muscle, ribs, sternum, shoulder blades, spine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from racoon.demo.anatomy.canvas import Canvas, Tissue
from racoon.demo.anatomy.grid import Float
from racoon.demo.anatomy.shapes import blend, ellipsoid, squircle, tube

FAT_HU = -102.0
MUSCLE_HU = 54.0
SKIN_MM = 2.0

CAGE_X: Mapping[int, float] = {
    -330: 112,
    -240: 126,
    -180: 131,
    -120: 137,
    -60: 138,
    0: 133,
    60: 120,
    100: 100,
    130: 74,
    150: 46,
    165: 30,
    180: 20,
}
CAGE_Y: Mapping[int, float] = {
    -330: 78,
    -240: 82,
    -180: 86,
    -120: 91,
    -60: 93,
    0: 91,
    60: 82,
    100: 66,
    130: 48,
    150: 34,
    165: 24,
    180: 18,
}
CAGE_CENTRE_Y: Mapping[int, float] = {
    -330: 0,
    -240: 0,
    -120: 0,
    0: 1,
    60: 6,
    100: 15,
    130: 25,
    150: 31,
    180: 33,
}
MUSCLE_X: Mapping[int, float] = {
    -330: 136,
    -240: 139,
    -180: 142,
    -120: 149,
    -60: 153,
    0: 156,
    60: 161,
    100: 170,
    130: 176,
    160: 172,
    190: 150,
}
MUSCLE_Y: Mapping[int, float] = {
    -330: 100,
    -240: 103,
    -180: 107,
    -120: 112,
    -60: 114,
    0: 115,
    60: 111,
    100: 100,
    130: 87,
    160: 76,
    190: 68,
}
MUSCLE_CENTRE_Y: Mapping[int, float] = {
    -330: 11,
    -240: 10,
    -120: 10,
    0: 10,
    60: 12,
    100: 16,
    130: 23,
    160: 28,
    190: 30,
}
"""Half axes and centre of the inner chest wall and of the muscle layer's outer face by height (mm)."""

SPINE_Y: Mapping[int, float] = {
    -330: 44,
    -240: 42,
    -180: 47,
    -120: 56,
    -60: 63,
    0: 67,
    60: 67,
    110: 60,
    150: 50,
    190: 40,
}
BODY_X: Mapping[int, float] = {-330: 26, -240: 24.5, -120: 20, 0: 16.5, 80: 15, 150: 14, 190: 13}
BODY_Y: Mapping[int, float] = {-330: 18, -240: 17, -120: 15.5, 0: 14.5, 80: 12, 150: 9, 190: 8.5}
"""Centre and half axes of the vertebral bodies by height (mm)."""

RIB_PITCH_MM = 24.0
VERTEBRA_PITCH_MM = 24.0


@dataclass(frozen=True)
class Build:
    """What makes one trunk differ from another beyond its warp.

    Parameters
    ----------
    fat_mm
        Mean thickness of the subcutaneous fat.
    is_female
        Whether to form breasts.
    muscle_hu
        Mean density of skeletal muscle (lower with fatty change).
    bone_hu
        Mean density of trabecular vertebral bone.
    """

    fat_mm: float
    is_female: bool
    muscle_hu: float
    bone_hu: float


@dataclass(frozen=True)
class WallSpace:
    """What other parts need: distances to wall and muscle, angle from the spine (0) to the front (pi)."""

    cage: Float
    angle: Float
    muscle: Float


def paint_wall(canvas: Canvas, build: Build, soft: Float, streaks: Float) -> WallSpace:
    """Paint skin, fat and muscle; return the distances that ribs and lungs are built on."""
    x, y = canvas.x, canvas.y
    cage_y = y - canvas.along_z(CAGE_CENTRE_Y)
    cage = squircle(x, cage_y, canvas.along_z(CAGE_X), canvas.along_z(CAGE_Y), 0.32)
    angle = np.arctan2(np.abs(x), cage_y)
    muscle = squircle(
        x, y - canvas.along_z(MUSCLE_CENTRE_Y), canvas.along_z(MUSCLE_X), canvas.along_z(MUSCLE_Y), 0.45
    )
    # The furrow over the spinous processes and the hollow over the breastbone.
    muscle = muscle + 7 * np.exp(-((x / 13) ** 2))
    low = np.clip((20 - canvas.z) / 150, 0, 1)
    fat = np.float32(build.fat_mm) * (
        0.62
        + 0.45 * np.exp(-(((angle - 0.9) / 0.7) ** 2))
        + low * (0.35 + 0.4 * np.exp(-((angle / 0.8) ** 2)))
    )
    skin = muscle - fat * (1 + np.float32(0.08) * soft)
    if build.is_female:
        box = canvas.get_box((-170, -190, -90), (170, -20, 90))
        breast = ellipsoid(
            np.abs(x[box]), y[box], canvas.z[box], (78, -100, 0), (60, 34 + 0.7 * build.fat_mm, 56)
        )
        skin[box] = blend(skin[box], breast, 16)
    canvas.paint(skin, 15.0, Tissue.SKIN)
    fat_hu = FAT_HU + 9 * soft + 26 * np.clip(streaks - 1.5, 0, 1)
    canvas.paint(skin + SKIN_MM, fat_hu, Tissue.SUBCUTANEOUS_FAT)
    if build.is_female:
        gland = ellipsoid(
            np.abs(x[box]), y[box], canvas.z[box], (78, -112, 2), (34, 15 + 0.4 * build.fat_mm, 34)
        )
        canvas.paint(gland + 9 * np.abs(streaks[box]), 20 + 15 * soft[box], None, box, soft_mm=9)
    planes = np.minimum(
        np.abs(cage - 12.5 - 1.5 * soft) + 1.1 * np.abs(np.cos(angle * 2.2)),
        np.minimum(
            np.abs(muscle + 11 + 5 * np.sin(3 * angle) + 2 * soft) + 0.4,
            np.abs(cage - 24 - 6 * np.cos(angle * 3.1) - 2 * soft) + 0.6,
        ),
    )
    fatty = np.clip(1.5 - planes / 1.6, 0, 1) * np.clip((muscle + 1) / -4, 0, 1)
    fatty = np.maximum(fatty, np.clip((streaks - 1.7) * 0.7, 0, 0.5))
    muscle_hu = build.muscle_hu + 7 * soft
    canvas.paint(muscle, muscle_hu + fatty * (-85 - muscle_hu), Tissue.SKELETAL_MUSCLE)
    return WallSpace(cage, angle, muscle)


def paint_ribs(canvas: Canvas, space: WallSpace, soft: Float) -> None:
    """Paint ribs with their cartilages, sternum, clavicles and shoulder blades."""
    reach = np.clip(space.angle / (0.8 * np.pi), 0, 1)
    drop = 112 * reach * reach * (3 - 2 * reach)
    height = canvas.z + drop
    along = np.mod(height + 0.5 * RIB_PITCH_MM, RIB_PITCH_MM) - 0.5 * RIB_PITCH_MM
    rib_axis = np.floor((height + 0.5 * RIB_PITCH_MM) / RIB_PITCH_MM) * RIB_PITCH_MM
    # Rounded plate: 4.2 mm half thickness across the wall, 7 mm half height.
    across = space.cage - 6.0
    rib = np.sqrt((across * 1.45) ** 2 + (along * 0.86) ** 2) - 6.0
    front = np.pi * np.clip(0.28 + (rib_axis + 150) * 0.0062, 0.0, 0.99)
    rib = np.maximum(rib, (space.angle - front) * 60)
    rib = np.maximum(rib, (0.13 - space.angle) * 60)
    rib = np.maximum(rib, np.abs(rib_axis + 6) - 152)
    bone_edge = 0.76 * np.pi
    is_bony = space.angle < bone_edge
    cortical = 150 + 470 * np.clip(1 + rib / 2.6, 0, 1) + 40 * soft
    cartilage = 88 + 40 * np.clip(soft - 0.6, 0, 1.5) + 14 * soft
    canvas.paint(rib, np.where(is_bony, cortical, cartilage), Tissue.OTHER_BONE)
    canvas.tissue[(rib < 0) & ~is_bony] = Tissue.SKELETAL_MUSCLE
    _paint_sternum(canvas, space, soft)
    _paint_shoulder(canvas, space)


def _paint_sternum(canvas: Canvas, space: WallSpace, soft: Float) -> None:
    box = canvas.get_box((-45, -150, -75), (45, -20, 135))
    x, z = canvas.x[box], canvas.z[box]
    half = 17 + 9 * np.clip((z - 70) / 10, 0, 1) - 9 * np.clip((-30 - z) / 8, 0, 1) - 3 * np.cos(z / 13)
    plate = np.maximum(np.abs(x) - half, np.abs(space.cage[box] - 8.5) - 5.5)
    plate = np.maximum(plate, np.abs(z - 22) - 84)
    plate = np.where(space.angle[box] > 2.0, plate, np.float32(50))
    value = np.asarray(130 + 260 * np.clip(1 + plate / 2.2, 0, 1) + 25 * soft[box], dtype=np.float32)
    canvas.paint(plate.astype(np.float32), value, Tissue.OTHER_BONE, box)


def _paint_shoulder(canvas: Canvas, space: WallSpace) -> None:
    box = canvas.get_box((-190, -40, -10), (190, 130, 190))
    angle, z, cage = space.angle[box], canvas.z[box], space.cage[box]
    arc = angle - (0.86 + 0.0016 * (z - 60))
    span = np.clip(0.36 - 0.0032 * np.abs(z - 110) ** 1.0 * (z < 110), 0.05, 0.36)
    sheet = np.abs(cage - 19 - 30 * arc * arc - 0.10 * np.clip(z - 60, 0, 80)) - (
        1.6 + 3.0 * np.clip(np.abs(arc) - 0.18, 0, 1) / 0.2
    )
    blade = np.maximum(sheet, (np.abs(arc) - span) * 70)
    blade = np.maximum(blade, np.abs(z - 85) - 72)
    spine = np.maximum(np.abs(cage - 30 - 20 * arc) - 9, np.abs(z - 128 + 50 * arc) - 6)
    spine = np.maximum(spine, (np.abs(arc) - 0.34) * 70)
    scapula = np.minimum(blade, spine).astype(np.float32)
    canvas.paint(scapula, 180 + 420 * np.clip(1 + scapula / 2.5, 0, 1), Tissue.OTHER_BONE, box)
    for side in (-1, 1):
        points = [
            (side * 18.0, -50.0, 128.0),
            (side * 60.0, -52.0, 140.0),
            (side * 105.0, -22.0, 152.0),
            (side * 150.0, 12.0, 160.0),
        ]
        distance, where = tube(canvas, points, [9.5, 6.5, 6.0, 8.0])
        canvas.paint(distance, 170 + 450 * np.clip(1 + distance / 2.5, 0, 1), Tissue.OTHER_BONE, where)


def compute_spine(canvas: Canvas) -> Float:
    """Distance to a column around the spine that no lung enters."""
    y = canvas.y - canvas.along_z(SPINE_Y)
    half = canvas.along_z(BODY_X) + 4
    return squircle(canvas.x, y - 8, half, half * 0 + 25, 0.4)


def paint_spine(canvas: Canvas, build: Build, soft: Float, fine: Float) -> None:
    """Paint vertebral bodies, discs, arches, processes and the canal with its cord."""
    box = canvas.get_box((-60, 10, -420), (60, 140, 260))
    x, z = canvas.x[box], canvas.z[box]
    y = canvas.y[box] - canvas.along_z(SPINE_Y, box)
    half_x, half_y = canvas.along_z(BODY_X, box), canvas.along_z(BODY_Y, box)
    phase = np.mod(z, VERTEBRA_PITCH_MM) - 0.5 * VERTEBRA_PITCH_MM
    waist = 1.6 * np.clip(1 - (phase / 9) ** 2, 0, 1)
    column = squircle(x, y, half_x, half_y, 0.25)
    canvas.paint(column + 0.5, 82 + 8 * soft[box], Tissue.VERTEBRA, box)
    body = np.maximum(column + waist, (np.abs(phase) - 9.6) * 1.0)
    trabecular = build.bone_hu + 26 * fine[box] + 18 * soft[box]
    shell = np.clip(1 + body / 2.4, 0, 1)
    canvas.paint(body, np.asarray(trabecular + 250 * shell, dtype=np.float32), Tissue.VERTEBRA, box)
    canal_y = half_y + 8.5
    arch = np.abs(np.sqrt((x / 1.2) ** 2 + (y - canal_y) ** 2) - 11.5) - 3.4
    arch = np.maximum(arch, np.abs(phase + 1) - 9.5)
    process_tilt = phase + 0.35 * (y - canal_y - 10)
    spinous = np.maximum(np.abs(x) - 3.6, np.abs(y - canal_y - 25) - 15)
    spinous = np.maximum(spinous, np.abs(process_tilt) - 8)
    transverse = np.maximum(np.abs(np.abs(x) - 23) - 15, np.abs(y - canal_y - 1 - 0.16 * np.abs(x)) - 4.6)
    transverse = np.maximum(transverse, np.abs(phase + 1) - 6.5)
    posterior = np.minimum(np.minimum(arch, spinous), transverse)
    canvas.paint(posterior, 210 + 330 * np.clip(1 + posterior / 2.4, 0, 1), Tissue.VERTEBRA, box)
    canal = np.sqrt((x / 1.15) ** 2 + (y - canal_y) ** 2) - 8.6
    canvas.paint(canal, 12.0, Tissue.MEDIASTINUM, box)
    canvas.paint(canal + 4.0, 36.0, Tissue.MEDIASTINUM, box)
