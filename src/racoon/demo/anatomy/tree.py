"""Branching vessels and bronchi, grown to fill a region and splatted with exact partial volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from racoon.demo.anatomy.grid import Bool, Float, Grid

Points = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """A rooted tree: node positions (x, y, z) in the patient's frame (mm), parents, radii (mm)."""

    nodes: Points
    parents: npt.NDArray[np.intp]
    radii: Points


def grow_tree(
    root: Points, targets: Points, tip_mm: float, exponent: float = 2.7, step_mm: float = 7.0
) -> Tree:
    """Connect targets to a root, near ones first, each by a branch from the closest existing node.

    Parameters
    ----------
    root
        (n, 3) trunk nodes in order, mm.
    targets
        (m, 3) points to supply, mm.
    tip_mm
        Radius of the last branch.
    exponent
        Murray's exponent: radius of a parent from those of its children.
    step_mm
        Distance of the nodes along a new branch.
    """
    capacity = len(root) + int(len(targets) * 8)
    nodes = np.zeros((capacity, 3))
    parents = np.zeros(capacity, dtype=np.intp)
    path = np.zeros(capacity)
    count = len(root)
    nodes[:count] = root
    parents[:count] = np.maximum(np.arange(count) - 1, 0)
    for target in targets[np.argsort(np.linalg.norm(targets - root[-1], axis=1))]:
        distance = np.linalg.norm(nodes[:count] - target, axis=1)
        # A little of the way already walked counts, so that branches leave forward and not back.
        chosen = int(np.argmin(distance + 0.18 * path[:count]))
        length = float(distance[chosen])
        pieces = int(np.clip(length / step_mm, 1, 7))
        if count + pieces >= capacity:
            break
        start = nodes[chosen]
        for piece in range(1, pieces + 1):
            nodes[count] = start + (target - start) * piece / pieces
            parents[count] = chosen if piece == 1 else count - 1
            path[count] = path[parents[count]] + length / pieces
            count += 1
    load = np.zeros(count)
    is_leaf = np.ones(count, dtype=bool)
    is_leaf[parents[1:count]] = False
    load[is_leaf] = tip_mm**exponent
    for node in range(count - 1, 0, -1):
        load[parents[node]] += load[node]
    return Tree(nodes[:count], parents[:count], load ** (1 / exponent))


def splat(tree: Tree, grid: Grid, rng: np.random.Generator, largest_mm: float, density: float = 1.0) -> Float:
    """Fraction of every voxel that lies inside the tree's branches.

    Points are drawn inside the branches, each standing for a piece of volume, and are shared out trilinearly:
    a vessel thinner than a voxel gets its true partial volume, which a voxel-wise distance test cannot give.
    """
    first = tree.nodes[tree.parents[1:]]
    second = tree.nodes[1:]
    radius = np.minimum(tree.radii[1:], largest_mm)
    length = np.linalg.norm(second - first, axis=1)
    volume = np.pi * radius**2 * length
    voxel = float(np.prod(grid.spacing_mm))
    wanted = np.maximum(3, np.ceil(density * (length / 1.3 + volume / voxel * 5))).astype(int)
    index = np.repeat(np.arange(len(length)), wanted)
    along = rng.random(len(index), dtype=np.float32)
    direction = (second - first) / np.maximum(length, 1e-6)[:, None]
    helper = np.where(np.abs(direction[:, :1]) < 0.8, [[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]])
    side = np.cross(direction, helper)
    side /= np.linalg.norm(side, axis=1, keepdims=True)
    other = np.cross(direction, side)
    turn = 2 * np.pi * rng.random(len(index), dtype=np.float32)
    out = np.sqrt(rng.random(len(index), dtype=np.float32)) * radius[index]
    points = first[index] + along[:, None] * (second - first)[index]
    points += (out * np.cos(turn))[:, None] * side[index] + (out * np.sin(turn))[:, None] * other[index]
    share = (volume / wanted / voxel)[index]
    return np.minimum(_scatter(points, share, grid), 1).astype(np.float32)


def _scatter(points: Points, share: Points, grid: Grid) -> Points:
    z, y, x = grid.axes()
    dz, dy, dx = grid.spacing_mm
    position = np.stack(
        [(points[:, 2] - z[0]) / dz, (points[:, 1] - y[0]) / dy, (points[:, 0] - x[0]) / dx], axis=1
    )
    base = np.floor(position).astype(np.intp)
    rest = position - base
    slices, rows, columns = grid.shape
    inside = np.all((base >= 0) & (base < np.array(grid.shape) - 1), axis=1)
    base, rest, share = base[inside], rest[inside], share[inside]
    flat = (base[:, 0] * rows + base[:, 1]) * columns + base[:, 2]
    cells, weights = [], []
    for corner in np.ndindex(2, 2, 2):
        cells.append(flat + (corner[0] * rows + corner[1]) * columns + corner[2])
        weight = share
        for axis in range(3):
            weight = weight * (rest[:, axis] if corner[axis] else 1 - rest[:, axis])
        weights.append(weight)
    total: Points = np.bincount(
        np.concatenate(cells), np.concatenate(weights), minlength=slices * rows * columns
    ).astype(np.float64, copy=False)
    return total.reshape(grid.shape)


def sample_targets(rng: np.random.Generator, region: Bool, grid: Grid, count: int) -> Points:
    """Draw points (x, y, z) in mm spread over a region: random voxels, jittered inside the voxel."""
    voxels = np.flatnonzero(region)
    if len(voxels) == 0:
        return np.zeros((0, 3))
    chosen = rng.choice(voxels, size=count)
    at = np.stack(np.unravel_index(chosen, grid.shape), axis=1) + rng.uniform(-0.5, 0.5, (count, 3))
    z, y, x = grid.axes()
    dz, dy, dx = grid.spacing_mm
    return np.stack([x[0] + dx * at[:, 2], y[0] + dy * at[:, 1], z[0] + dz * at[:, 0]], axis=1)
