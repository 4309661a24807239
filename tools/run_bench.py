"""`make bench`: every benchmark in ``bench/``, one process each, each printing a ratio to a peer."""

from __future__ import annotations

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
    return max(subprocess.run([sys.executable, script], check=False).returncode for script in scripts)


if __name__ == "__main__":
    sys.exit(main())
