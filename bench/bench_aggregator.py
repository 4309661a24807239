"""Memory of the aggregator at CENTRAL against 3, 12 and 36 sites: the exact mean must stay flat.

    python bench/bench_aggregator.py            a model of 100 MB
    python bench/bench_aggregator.py --mb 10

Each count of sites runs in a process of its own; updates arrive one after the other, as the engine hands them over, and
are gone afterwards.  Printed are the peak of the process above what it had before the first update, in sizes of the
model, the ratio of 36 sites to 3, and the time per update.  The update at hand is one model size of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SITES = (3, 12, 36)
GOAL = 1.1
"""Largest ratio of the peak with 36 sites to that with 3."""

LARGEST = 2.0
"""Peak in model sizes: the update at hand is one; the sums, two more, lie in a file and pass through by pieces."""


def memory_mb(what: str) -> float:
    """Resident memory of this process, now (``VmRSS``) or at its highest (``VmHWM``)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what)) / 1024


def run_round(sites: int, megabytes: float, folder: Path) -> dict[str, float]:
    """Aggregate one round in this process."""
    import numpy as np

    from racoon.learning.aggregation import ExactMean

    rows = round(megabytes * 2**20 / 4 / 1024 / 16)
    shapes = {f"layer{number}": (rows, 1024) for number in range(16)}
    mean = ExactMean(shapes, folder)
    before, begun = memory_mb("VmRSS"), time.perf_counter()
    for site in range(sites):
        mean.add(f"S{site}", {name: np.full(shape, site, np.float32) for name, shape in shapes.items()}, 3)
    taken = mean.take()
    seconds = time.perf_counter() - begun
    assert float(taken["layer0"][0, 0]) == (sites - 1) / 2
    return {"models": (memory_mb("VmHWM") - before) / megabytes, "seconds": seconds / sites}


def measure_all(megabytes: float = 100.0) -> dict[int, dict[str, float]]:
    """Measure each count of sites in its own process."""
    found = {}
    for sites in SITES:
        command = [sys.executable, __file__, "--sites", str(sites), "--mb", str(megabytes)]
        found[sites] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def main() -> int:
    """Print one line per count and the ratio; 1 when memory grows with the sites."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=float, default=100.0)
    parser.add_argument("--sites", type=int, default=0, help="measure in this process and print JSON")
    options = parser.parse_args()
    if options.sites:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(run_round(options.sites, options.mb, Path(folder))))
        return 0
    found = measure_all(options.mb)
    for sites, row in found.items():
        print(
            f"{sites} sites: peak {row['models']:.2f} models of {options.mb:g} MB, {row['seconds']:.2f} s per update"
        )
    ratio = found[SITES[-1]]["models"] / found[SITES[0]]["models"]
    print(f"ratio of {SITES[-1]} sites to {SITES[0]}: {ratio:.3f}")
    return 0 if ratio <= GOAL and max(row["models"] for row in found.values()) <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
