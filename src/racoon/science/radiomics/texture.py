"""Features of texture matrices (IBSI chapter 3.6 to 3.11), for one matrix each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.radiomics.matrices import Entries, Neighbourhoods

Floats = NDArray[np.float64]

_SIZE_NAMES = {
    "rlm": "sre lre lgre hgre srlge srhge lrlge lrhge glnu glnu_norm rlnu rlnu_norm r_perc gl_var rl_var rl_entr",
    "szm": "sze lze lgze hgze szlge szhge lzlge lzhge glnu glnu_norm zsnu zsnu_norm z_perc gl_var zs_var zs_entr",
    "dzm": "sde lde lgze hgze sdlge sdhge ldlge ldhge glnu glnu_norm zdnu zdnu_norm z_perc gl_var zd_var zd_entr",
    "ngl": "lde hde lgce hgce ldlge ldhge hdlge hdhge glnu glnu_norm dcnu dcnu_norm dc_perc gl_var dc_var dc_entr",
}
"""IBSI tags of the sixteen features that runs, zones, distance zones and dependences have in common."""


def _entropy(shares: NDArray[Any]) -> float:
    present = shares[shares > 0]
    return float(-(present * np.log2(present)).sum())


def cooccurrence_features(counts: Floats) -> dict[str, float]:
    """Twenty-five features of a symmetric co-occurrence matrix (IBSI LFYI)."""
    size = counts.shape[0]
    p = counts / counts.sum()
    level = np.arange(1.0, size + 1.0)
    gap = np.abs(level[:, None] - level[None, :])
    both = level[:, None] + level[None, :]
    marginal = p.sum(axis=1)
    mean = float(marginal @ level)
    variance = float(marginal @ (level - mean) ** 2)
    by_gap = np.bincount(gap.astype(np.int64).ravel(), weights=p.ravel(), minlength=size)
    by_sum = np.bincount(both.astype(np.int64).ravel(), weights=p.ravel(), minlength=2 * size + 1)[2:]
    gaps, sums = np.arange(by_gap.size), np.arange(2, by_sum.size + 2)
    gap_mean, sum_mean = float(by_gap @ gaps), float(by_sum @ sums)
    centred = both - 2.0 * mean
    entropy, own_entropy = _entropy(p), _entropy(marginal)
    crossed = np.outer(marginal, marginal)
    seen = crossed > 0
    logs = np.log2(crossed[seen])
    first, second = float(-(p[seen] * logs).sum()), float(-(crossed[seen] * logs).sum())
    return {
        "joint_max": float(p.max()),
        "joint_avg": mean,
        "joint_var": variance,
        "joint_entr": entropy,
        "diff_avg": gap_mean,
        "diff_var": float(by_gap @ (gaps - gap_mean) ** 2),
        "diff_entr": _entropy(by_gap),
        "sum_avg": sum_mean,
        "sum_var": float(by_sum @ (sums - sum_mean) ** 2),
        "sum_entr": _entropy(by_sum),
        "energy": float((p**2).sum()),
        "contrast": float((p * gap**2).sum()),
        "dissimilarity": float((p * gap).sum()),
        "inv_diff": float((p / (1.0 + gap)).sum()),
        "inv_diff_norm": float((p / (1.0 + gap / size)).sum()),
        "inv_diff_mom": float((p / (1.0 + gap**2)).sum()),
        "inv_diff_mom_norm": float((p / (1.0 + (gap / size) ** 2)).sum()),
        "inv_var": float((by_gap[1:] / gaps[1:] ** 2).sum()),
        "corr": float(((np.outer(level - mean, level - mean)) * p).sum()) / variance if variance else 1.0,
        "auto_corr": float((p * np.outer(level, level)).sum()),
        "clust_tend": float((p * centred**2).sum()),
        "clust_shade": float((p * centred**3).sum()),
        "clust_prom": float((p * centred**4).sum()),
        "info_corr1": (entropy - first) / own_entropy if own_entropy else 0.0,
        "info_corr2": math.sqrt(max(0.0, 1.0 - math.exp(-2.0 * (second - entropy)))),
    }


def size_features(family: str, entries: Entries, voxels: int) -> dict[str, float]:
    """Sixteen features of runs, zones, distance zones or dependences (IBSI TP0I, 9SAK, VMDZ, REK0).

    Parameters
    ----------
    family
        ``rlm``, ``szm``, ``dzm`` or ``ngl``.
    entries
        Level and size of each.
    voxels
        Voxels behind them, as often as they were looked at.
    """
    table = entries.counted()
    counts = np.ones(table.levels.size) if table.counts is None else table.counts.astype(np.float64)
    total = float(counts.sum())
    i, j = table.levels.astype(np.float64), table.sizes.astype(np.float64)
    share = counts / total
    level_sums = np.bincount(table.levels, weights=counts)
    _, place = np.unique(table.sizes, return_inverse=True)
    size_sums = np.bincount(place, weights=counts)
    level_mean, size_mean = float(share @ i), float(share @ j)
    values = (
        float(share @ j**-2.0),
        float(share @ j**2),
        float(share @ i**-2.0),
        float(share @ i**2),
        float(share @ (i * j) ** -2.0),
        float(share @ (i / j) ** 2),
        float(share @ (j / i) ** 2),
        float(share @ (i * j) ** 2),
        float((level_sums**2).sum()) / total,
        float((level_sums**2).sum()) / total**2,
        float((size_sums**2).sum()) / total,
        float((size_sums**2).sum()) / total**2,
        total / voxels,
        float(share @ (i - level_mean) ** 2),
        float(share @ (j - size_mean) ** 2),
        _entropy(share),
    )
    found = dict(zip(_SIZE_NAMES[family].split(), values, strict=True))
    if family == "ngl":
        found["dc_energy"] = float((share**2).sum())
    return found


def tone_features(seen: Neighbourhoods, kept: NDArray[np.bool_]) -> dict[str, float]:
    """Five features of neighbourhood grey tone differences (IBSI IPET).

    Parameters
    ----------
    seen
        Neighbourhoods of all voxels.
    kept
        Which of them to take.
    """
    valid = kept & (seen.neighbours > 0)
    count = int(np.count_nonzero(valid))
    if count == 0:
        return {}
    levels, difference = seen.levels[valid], seen.difference[valid]
    size = int(levels.max()) + 1
    p = np.bincount(levels, minlength=size) / count
    s = np.bincount(levels, weights=difference, minlength=size)
    i = np.flatnonzero(p > 0)
    p, s = p[i], s[i]
    level = i.astype(np.float64)
    gap = np.abs(level[:, None] - level[None, :])
    together = p[:, None] + p[None, :]
    weighted = float(p @ s)
    unlike = np.abs((level * p)[:, None] - (level * p)[None, :]).sum()
    present = len(i)
    spread = float((np.outer(p, p) * gap**2).sum()) / (present * (present - 1)) if present > 1 else 0.0
    return {
        "coarseness": 1.0 / weighted if weighted else 1e6,
        "contrast": spread * float(s.sum()) / count,
        "busyness": weighted / float(unlike) if unlike else 0.0,
        "complexity": float((gap * ((p * s)[:, None] + (p * s)[None, :]) / together).sum()) / count,
        "strength": float((together * gap**2).sum()) / float(s.sum()) if s.sum() else 0.0,
    }


def average(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean of each feature over matrices."""
    kept = [row for row in rows if row]
    return {name: float(np.mean([row[name] for row in kept])) for name in kept[0]} if kept else {}
