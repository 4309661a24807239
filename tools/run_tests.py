"""`make test`: pure and adapter tests on two cores, then files with real processes and the browser, two at a time.

Arguments are handed to pytest and then run as one group: ``make test ARGS="tests/unit -k volume"``.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

GROUPS: dict[str, tuple[list[str], list[str]]] = {
    "pure": (["unit", "contract", "conformance", "architecture"], ["-n", "2", "--dist", "loadgroup"]),
    # Their processes wait for each other most of the time; a file's tests share what it started.  In this order the
    # long files come first; xdist would put those with the most tests first.
    "processes": (["browser", "network"], ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]),
}

NO_TESTS_COLLECTED = 5


def run_pytest(arguments: list[str]) -> int:
    """Run pytest with the interpreter of the environment."""
    return subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=ROOT, check=False).returncode


def has_tests(folder: Path) -> bool:
    """Tell whether a test folder holds at least one test file."""
    return any(folder.rglob("test_*.py"))


def main() -> int:
    """Run every group even when an earlier one failed, and say what happened in one line each."""
    if len(sys.argv) > 1:
        return run_pytest(sys.argv[1:])
    codes: dict[str, int] = {}
    for name, (folders, options) in GROUPS.items():
        present = [f"tests/{folder}" for folder in folders if has_tests(ROOT / "tests" / folder)]
        if not present:
            continue
        print(f"· {name}: {', '.join(present)}", flush=True)
        started = time.monotonic()
        codes[name] = run_pytest([*options, *present])
        print(f"· {name} took {time.monotonic() - started:.0f} s", flush=True)
    if not codes:
        print("✗ no tests found under tests/")
        return NO_TESTS_COLLECTED
    return max(codes.values())


if __name__ == "__main__":
    sys.exit(main())
