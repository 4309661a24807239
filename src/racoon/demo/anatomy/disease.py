"""What a site's patients have: draws findings in a site's own mixture and paints them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from racoon.demo.anatomy.body import Body
from racoon.demo.anatomy.canvas import Box, Tissue
from racoon.demo.anatomy.findings import Density, Painter, Shape, get_lungs, lump, pick_places
from racoon.demo.anatomy.grid import Float, draw_field


@dataclass(frozen=True)
class Mixture:
    """How often and how findings occur among a site's patients.

    Parameters
    ----------
    opacity
        Share of patients with lung opacities.
    ground_glass
        Share of opacities that are ground glass; the others are consolidations.
    ground_glass_hu, consolidation_hu
        Mean density of either.
    size_mm
        Typical radius of an opacity.
    is_peripheral
        Whether opacities lie under the pleura and at the back, or around the hila.
    effusion, nodules, calcification, emphysema
        Share of patients with each.
    """

    opacity: float
    ground_glass: float
    ground_glass_hu: float
    consolidation_hu: float
    size_mm: float
    is_peripheral: bool
    effusion: float
    nodules: float
    calcification: float
    emphysema: float


def paint_disease(rng: np.random.Generator, body: Body, mixture: Mixture) -> Painter:
    """Draw and paint one patient's findings."""
    painter = Painter(body)
    if rng.random() < mixture.emphysema:
        _paint_emphysema(rng, painter)
    if rng.random() < mixture.effusion:
        _paint_effusion(rng, painter)
    if rng.random() < mixture.opacity:
        _paint_opacities(rng, painter, mixture)
    if rng.random() < mixture.nodules:
        _paint_nodules(rng, painter)
    if rng.random() < mixture.calcification:
        _paint_calcifications(rng, painter)
    return painter


def _paint_opacities(rng: np.random.Generator, painter: Painter, mixture: Mixture) -> None:
    body = painter.body
    lungs = get_lungs(body)
    if "effusion" in painter.fractions:
        lungs &= painter.fractions["effusion"] < 0.02
    texture = draw_field(rng, body.grid, 7).evaluate(0, body.grid.shape[0])
    network = draw_field(rng, body.grid, 4.5).evaluate(0, body.grid.shape[0])
    z, y, _ = body.grid.axes()
    back = np.exp(np.clip(y / 55, -2, 1.4))[None, :, None] * np.exp(np.clip(-z / 90, -1, 1))[:, None, None]
    if mixture.is_peripheral:
        weight = np.exp(-(((body.lung + 11) / 9) ** 2)) * back
    else:
        weight = np.exp(-(((body.lung + 30) / 16) ** 2)) * np.sqrt(back)
    for centre in pick_places(rng, body, weight, lungs & (body.lung < -4), int(rng.integers(2, 6))):
        size = float(np.clip(rng.lognormal(np.log(mixture.size_mm), 0.32), 8, 42))
        radii = (size * rng.uniform(0.7, 1.1), size * rng.uniform(0.7, 1.1), size * rng.uniform(0.8, 1.5))
        is_glass = bool(rng.random() < mixture.ground_glass)
        shape, reach = lump(rng, centre, radii, lobes=int(rng.integers(3, 7)), roughness=0.55)
        level = (
            rng.normal(mixture.ground_glass_hu, 30) if is_glass else rng.normal(mixture.consolidation_hu, 12)
        )

        def paint(present: Float, box: Box, level: float = float(level), is_glass: bool = is_glass) -> Float:
            if is_glass:
                # Interlobular septa inside ground glass ("crazy paving").
                septa = 90 * np.clip(1 - np.abs(network[box]) / 0.22, 0, 1)
                return np.asarray(level - 40 + 70 * texture[box] + septa, dtype=np.float32)
            # Air stays in the bronchi that run through a consolidation.
            bronchi = np.clip((-930 - present) / 40, 0, 1)
            patchy = 260 * np.clip(texture[box] - 0.75, 0, 1.3)
            solid = level + 10 * texture[box] - patchy - (level + 850) * bronchi
            return np.asarray(solid, dtype=np.float32)

        pattern = "ground-glass" if is_glass else "consolidation"
        painter.add(
            "opacity", pattern, shape, centre, reach, lungs, paint, only_denser=is_glass, in_lung=True
        )


def _paint_effusion(rng: np.random.Generator, painter: Painter) -> None:
    body = painter.body
    sides = [Tissue.LUNG_RIGHT] if rng.random() < 0.6 else [Tissue.LUNG_LEFT]
    if rng.random() < 0.3:
        sides = [Tissue.LUNG_RIGHT, Tissue.LUNG_LEFT]
    for side in sides:
        lung = body.tissue == side
        at = np.nonzero(lung)
        if len(at[0]) == 0:
            continue
        z, y, x = body.grid.axes()
        bottom = float(z[at[0].min()])
        behind = float(y[at[1].max()])
        middle = float(x[at[2]].mean())
        depth = float(rng.uniform(22, 48))
        height = float(rng.uniform(90, 150))

        shape = crescent(bottom, behind, middle, depth, height)
        reach = (110.0, 2 * depth + 20, height / 2 + 4)
        centre = (middle, behind - depth / 2, bottom + height / 2)
        painter.add("effusion", "free", shape, centre, reach, lung, filled_with(8.0), in_lung=True)
        # Fluid lies in the pleural space: it is no lung any more.
        body.tissue[painter.compute_mask("effusion") & lung] = Tissue.MEDIASTINUM


def crescent(bottom: float, behind: float, middle: float, depth: float, height: float) -> Shape:
    """Fluid of somebody lying down: deep at the base, thin at the top, a meniscus at both sides (mm)."""

    def shape(x: Float, y: Float, z: Float) -> Float:
        up = np.clip((z - bottom) / height, 0, 1)
        meniscus = 9 * ((x - middle) / 50) ** 2 * (1 - up)
        level = behind - depth * (1 - up) * np.sqrt(1 - 0.85 * up) - meniscus
        distance: Float = (level - y) * np.float32(0.9) + np.float32(40) * (up >= 1)
        return distance

    return shape


def filled_with(level_hu: float) -> Density:
    """Replace what is there by one density."""
    return lambda present, _: np.full_like(present, level_hu)


def at_least(level_hu: float) -> Density:
    """Keep what is denser."""
    return lambda present, _: np.maximum(present, np.float32(level_hu))


def at_most(level_hu: float) -> Density:
    """Keep what is less dense."""
    return lambda present, _: np.minimum(present, np.float32(level_hu))


def _paint_nodules(rng: np.random.Generator, painter: Painter) -> None:
    body = painter.body
    lungs = get_lungs(body)
    region = lungs & (body.lung < -6)
    if "opacity" in painter.fractions:
        region &= painter.fractions["opacity"] == 0
    for centre in pick_places(rng, body, np.ones(1, dtype=np.float32), region, int(rng.integers(1, 4))):
        radius = float(rng.uniform(3.5, 10))
        shape, reach = lump(
            rng, centre, (radius, radius * rng.uniform(0.85, 1.15), radius), lobes=1, roughness=0.12
        )
        level = float(rng.normal(38, 12))
        painter.add(
            "nodule",
            "solid",
            shape,
            centre,
            reach,
            lungs,
            filled_with(level),
        )


def _paint_calcifications(rng: np.random.Generator, painter: Painter) -> None:
    body = painter.body
    anywhere = np.ones(body.grid.shape, dtype=bool)
    names = [
        name for name in body.landmarks if name.startswith(("coronary", "aortic", "descending", "abdominal"))
    ]
    for name in rng.permutation(names)[: int(rng.integers(3, 9))]:
        is_coronary = name.startswith("coronary")
        centre = body.landmarks[name]
        centre = (
            centre[0] + rng.normal(0, 1.5),
            centre[1] + rng.normal(0, 1.5),
            centre[2] + rng.normal(0, 2),
        )
        radius = float(rng.uniform(1.4, 2.6 if is_coronary else 4.5))
        radii = (radius, radius * rng.uniform(0.7, 1.6), radius * rng.uniform(1.2, 2.4))
        shape, reach = lump(rng, centre, radii, lobes=1, roughness=0.1)
        level = float(rng.uniform(350, 900))
        painter.add(
            "calcification",
            "coronary" if is_coronary else "aortic",
            shape,
            centre,
            reach,
            anywhere,
            at_least(level),
        )


def _paint_emphysema(rng: np.random.Generator, painter: Painter) -> None:
    """Many small holes, most of them in the upper lung."""
    body = painter.body
    lungs = get_lungs(body)
    z, _, _ = body.grid.axes()
    weight = np.exp(np.clip(z / 45, -3, 3))[:, None, None]
    coarse = body.grid.spacing_mm[2] > 3
    region = lungs & (body.lung < -4)
    count = int(rng.integers(25, 45)) if coarse else int(rng.integers(60, 130))
    for centre in pick_places(rng, body, weight, region, count):
        radius = float(rng.uniform(2.5, 6.5))
        shape, reach = lump(rng, centre, (radius, radius, radius * 1.1), lobes=1, roughness=0.1)
        painter.add(
            "emphysema",
            "centrilobular",
            shape,
            centre,
            reach,
            lungs,
            at_most(-985.0),
        )
