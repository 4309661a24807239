"""`make check`: format, lint, types and import contracts, each with its time."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
BUDGET_S = 180.0
"""`make check` is run before every commit; past three minutes people stop running it."""

CHECKS = {
    "format": [BIN / "ruff", "format", "--check", "--quiet", "."],
    "lint": [BIN / "ruff", "check", "--quiet", "."],
    "types": [BIN / "mypy"],
    "import contracts": [BIN / "lint-imports", "--no-logo"],
}

FIX = {
    "format": "make fix",
    "lint": "make fix mends what the linter can; the rest it names by file and line",
    "types": "see the lines above; a third-party package without types goes into pyproject.toml",
    "import contracts": "see src/racoon/README.md: who may import whom",
}


def run_check(name: str) -> tuple[str, int, float, str]:
    """Run one check and return its name, exit code, seconds and output."""
    started = time.monotonic()
    done = subprocess.run(
        [str(word) for word in CHECKS[name]],
        cwd=ROOT,
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return name, done.returncode, time.monotonic() - started, done.stdout


def main() -> int:
    """Run all checks, two at a time, and say how to mend what is red."""
    started = time.monotonic()
    print(f"· checking: {', '.join(CHECKS)}", flush=True)
    failed = 0
    with ThreadPoolExecutor(max_workers=2) as pool:
        for name, code, seconds, output in pool.map(run_check, CHECKS):
            print(f"{'✓' if code == 0 else '✗'} {name} ({seconds:.1f} s)", flush=True)
            if code != 0:
                failed += 1
                print(output)
                print(f"  to mend: {FIX[name]}\n", flush=True)
    total = time.monotonic() - started
    print(
        f"· {len(CHECKS) - failed} of {len(CHECKS)} checks green in {total:.0f} s (budget {BUDGET_S:.0f} s)"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
