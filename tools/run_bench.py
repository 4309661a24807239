"""`make bench`: every benchmark in ``bench/``, one process each, each printing a ratio to a peer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).resolve().parent.parent / "bench"


def main() -> int:
    """Run the benchmarks in the order of their names."""
    scripts = sorted(BENCH.glob("bench_*.py"))
    if not scripts:
        print("· no benchmarks yet: bench/bench_<thing>.py prints one line with a ratio")
        return 0
    # Benchmarks share their peers and objects with the tests.
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join((str(BENCH.parent), os.environ.get("PYTHONPATH", ""))),
    }
    worst = 0
    for script in scripts:
        print(f"· {script.stem}", flush=True)
        worst = max(worst, subprocess.run([sys.executable, script], check=False, env=environment).returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
