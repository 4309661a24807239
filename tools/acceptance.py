"""`make acceptance ISSUE=A`: an issue's whole list, step by step, resumable, with a page of figures.

A list stands in ``acceptance/<issue>.py`` as ``STEPS``; a step is a function or a set of pytest tests.  What
passed for this state of the sources is not run again; with ``--keep`` neither what passed for an earlier one, also
where only its page is left, and the page names the commit of each step.  Results are kept in
``build/acceptance/<issue>/``; the page ``docs/measured/<issue>.md`` is written after every step, so that an
interrupted run leaves a true page.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

ROOT = Path(__file__).resolve().parent.parent

Figures = dict[str, float | int | str]


@dataclass(frozen=True)
class Step:
    """One line of an acceptance list.

    Parameters
    ----------
    name
        Short and stable; the state is kept under it.
    proves
        The sentence of the issue that this step checks.
    tests
        Arguments for pytest; empty for a step with a function.
    action
        Called with a folder of its own; returns figures for the page and raises when it fails.
    times
        How often the step is run; each time with another seed in ``RACOON_ACCEPTANCE_SEED``.
    """

    name: str
    proves: str
    tests: tuple[str, ...] = ()
    action: Callable[[Path], Figures] | None = None
    times: int = 1


@dataclass
class Result:
    """What came out of a step."""

    name: str
    state: Literal["passed", "failed"]
    runs: int
    seconds: float
    tests: int = 0
    skipped: int = 0
    figures: Figures = field(default_factory=dict)
    message: str = ""
    fingerprint: str = ""
    finished_at: str = ""
    machine: str = ""
    commit: str = ""


def sources_fingerprint(step: Step) -> str:
    """Hash over the files that a step's outcome depends on.

    The package and its pins count for every step; of the tests the folders the step runs and what all tests
    share.  Documentation and news do not count.
    """
    digest = hashlib.sha256(repr((step.name, step.tests, step.times)).encode())
    listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    folders = {str(Path(word).parent) if word.endswith(".py") else word for word in step.tests[:1]}
    command = [*listing, "src", "acceptance", "examples", ":(glob)tests/*.py", *sorted(folders)]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode().split("\0")
    for name in sorted({*names, "constraints.txt", "pyproject.toml"}):
        path = ROOT / name
        if name and path.is_file():
            digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def commit() -> str:
    """Short name of the commit, with a mark when files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    dirty = git("status", "--porcelain", "--untracked-files=no", "--", "src", "tests", "acceptance")
    return git("rev-parse", "--short=12", "HEAD") + (" with changes" if dirty else "")


def machine() -> str:
    """Size of the machine in one line."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    system = f"{platform.system()}, Python {platform.python_version()}"
    return f"{len(os.sched_getaffinity(0))} cores, {memory_gib:.0f} GiB, {system}"


def run_tests(step: Step, folder: Path, seed: int) -> tuple[int, int, str]:
    """Run a step's tests once; return how many passed, how many were skipped, and what failed."""
    report = folder / f"tests-{seed}.xml"
    environment = dict(
        os.environ,
        HYPOTHESIS_PROFILE="deep",
        RACOON_ACCEPTANCE="1",
        RACOON_ACCEPTANCE_SEED=str(seed),
        PYTHONHASHSEED="0",
    )
    arguments = ["-q", "--timeout=3600", f"--junitxml={report}", *step.tests]
    log = folder / f"log-{seed}.txt"
    with (
        log.open("w", encoding="utf-8") as stream,
        subprocess.Popen(
            [sys.executable, "-m", "pytest", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as done,
    ):
        _RUNNING.add(done.pid)
        done.wait()
        _RUNNING.discard(done.pid)
    if not report.is_file():
        return 0, 0, f"pytest ended with code {done.returncode}; see {log.relative_to(ROOT)}"
    (suite,) = ET.parse(report).getroot().iter("testsuite")
    total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
    bad = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    if done.returncode != 0 or bad:
        return total - skipped - bad, skipped, f"{bad} failed; see {log.relative_to(ROOT)}"
    if total == skipped:
        return 0, skipped, "every test was skipped"
    return total - skipped, skipped, ""


_RUNNING: set[int] = set()
"""Process groups of tests that are running."""


def stop(_number: int, _frame: object) -> None:
    """End the running tests with us: they start servers and engines of their own."""
    for group in tuple(_RUNNING):
        os.killpg(group, signal.SIGTERM)
    raise SystemExit(128 + signal.SIGTERM)


def run_once(step: Step, folder: Path, seed: int) -> tuple[Figures, int, int, str]:
    """Run a step with one seed; return its figures, tests passed and skipped, and what went wrong."""
    print(f"  {step.name}: run {seed + 1} of {step.times}", flush=True)
    figures: Figures = {}
    try:
        if step.action is not None:
            shutil.rmtree(folder / f"run-{seed}", ignore_errors=True)
            figures = step.action(folder / f"run-{seed}")
        passed, skipped, problem = run_tests(step, folder, seed) if step.tests else (0, 0, "")
    except Exception as error:  # noqa: BLE001 - any failure of a step is its result
        return figures, 0, 0, str(error) or repr(error)
    return figures, passed, skipped, problem


def run_step(step: Step, folder: Path, fingerprint: str, at_once: int = 1) -> Result:
    """Run a step as often as it asks, ``at_once`` runs side by side, and begin none after a failure."""
    folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    result = Result(step.name, "passed", 0, 0.0, fingerprint=fingerprint, machine=machine(), commit=commit())
    with ThreadPoolExecutor(at_once) as pool:
        for first in range(0, step.times, at_once):
            seeds = range(first, min(first + at_once, step.times))
            outcomes = list(pool.map(lambda seed: run_once(step, folder, seed), seeds))
            for seed, (figures, passed, skipped, problem) in zip(seeds, outcomes, strict=True):
                result.figures.update(figures)
                result.tests += passed
                result.skipped += skipped
                if problem:
                    result.state = "failed"
                    result.message = f"run {seed + 1}: {problem}"
                else:
                    result.runs += 1
            if result.state == "failed":
                break
    result.seconds = round(time.monotonic() - started, 1)
    result.finished_at = datetime.now(UTC).isoformat(timespec="seconds")
    return result


def write_page(issue: str, title: str, steps: Sequence[Step], results: dict[str, Result]) -> Path:
    """Write ``docs/measured/<issue>.md`` from the results so far."""
    done = [results[step.name] for step in steps if step.name in results]
    passed = sum(result.state == "passed" for result in done)
    lines = [
        f"# {issue}: {title}",
        "",
        f"Written by `make acceptance ISSUE={issue}`; nobody types these figures.",
        "",
        "| | |",
        "| --- | --- |",
        f"| date | {datetime.now(UTC):%Y-%m-%d %H:%M} UTC |",
        f"| commit | {', '.join(dict.fromkeys(item.commit for item in done if item.commit)) or commit()} |",
        f"| machine | {'; '.join(sorted({item.machine for item in done if item.machine}) or [machine()])} |",
        f"| steps | {passed} of {len(steps)} passed, {len(steps) - len(done)} not run yet |",
        "",
        "| step | what it proves | outcome | runs | tests | seconds | cores | commit |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for step in steps:
        result = results.get(step.name)
        if result is None:
            lines.append(f"| {step.name} | {step.proves} | not run yet | 0 of {step.times} | | | | |")
            continue
        tests = f"{result.tests}" + (f" ({result.skipped} skipped)" if result.skipped else "")
        lines.append(
            f"| {step.name} | {step.proves} | {result.state} | {result.runs} of {step.times} "
            f"| {tests if step.tests else ''} | {result.seconds:.0f} | {result.machine.split(' ')[0]} "
            f"| {result.commit} |"
        )
    for result in done:
        if result.message:
            lines += ["", f"**{result.name}** failed: {result.message}"]
    for result in done:
        if result.figures:
            lines += ["", f"## {result.name}", "", "| figure | value |", "| --- | --- |"]
            lines += [f"| {name} | {value} |" for name, value in result.figures.items()]
    page = ROOT / "docs" / "measured" / f"{issue}.md"
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def load_results(folder: Path, fingerprints: dict[str, str], *, keep: bool = False) -> dict[str, Result]:
    """Results of earlier runs that passed with the same sources, or with any if they are to be kept, by step."""
    results = {}
    for file in folder.glob("*.json"):
        result = Result(**json.loads(file.read_text(encoding="utf-8")))
        if result.name in fingerprints and result.state == "passed":
            if not keep and result.fingerprint != fingerprints[result.name]:
                continue
            results[result.name] = result
    return results


_STEP_ROW = re.compile(
    r"\| (?P<name>[\w-]+) \|.*\| passed \| (?P<runs>\d+) of \d+ "
    r"\| (?:(?P<tests>\d+)(?: \((?P<skipped>\d+) skipped\))?)? *"
    r"\| (?P<seconds>\d+) \| \d+ \| (?P<commit>[^|]+) \|"
)


def read_page(page: Path) -> dict[str, Result]:
    """Results that a page says have passed, by step: what is left of runs in another checkout."""
    if not page.is_file():
        return {}
    head, *sections = page.read_text(encoding="utf-8").split("\n## ")
    machine = re.search(r"^\| machine \| (.*) \|$", head, re.MULTILINE)
    results = {}
    for row in map(_STEP_ROW.fullmatch, head.splitlines()):
        if row:
            results[row["name"]] = Result(
                row["name"],
                "passed",
                int(row["runs"]),
                float(row["seconds"]),
                int(row["tests"] or 0),
                int(row["skipped"] or 0),
                machine=machine[1] if machine else "",
                commit=row["commit"],
            )
    for section in sections:
        name, _, text = section.partition("\n")
        if name in results:
            rows = re.findall(r"^\| (.+) \| (.+) \|$", text, re.MULTILINE)
            results[name].figures = dict(rows[2:])
    return results


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is left of an issue's list."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("issue", help="letter of the issue, for example A")
    parser.add_argument("--only", action="append", default=[], help="run only the steps with these names")
    parser.add_argument(
        "--again", action="store_true", help="run steps again that passed already: those of --only, or all"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="keep what passed at an earlier commit; the page names it per step",
    )
    parser.add_argument("--at-once", type=int, default=1, help="runs of one step side by side (many cores)")
    options = parser.parse_args(argv)
    sys.path.insert(0, str(ROOT))
    issue = options.issue.upper()
    try:
        module = importlib.import_module(f"acceptance.{issue.lower()}")
    except ModuleNotFoundError:
        print(f"✗ there is no list acceptance/{issue.lower()}.py")
        return 2
    steps: list[Step] = list(module.STEPS)
    folder = ROOT / "build" / "acceptance" / issue
    folder.mkdir(parents=True, exist_ok=True)
    fingerprints = {step.name: sources_fingerprint(step) for step in steps}
    results = load_results(folder, fingerprints, keep=options.keep)
    if options.keep:
        kept = read_page(ROOT / "docs" / "measured" / f"{issue}.md")
        results = {name: found for name, found in kept.items() if name in fingerprints} | results
    for name in (options.only or list(results)) if options.again else ():
        results.pop(name, None)
    signal.signal(signal.SIGTERM, stop)
    for step in steps:
        if options.only and step.name not in options.only:
            continue
        if step.name in results:
            print(f"· {step.name}: passed already ({results[step.name].seconds:.0f} s)")
            continue
        print(f"· {step.name}: {step.proves}", flush=True)
        result = run_step(step, folder / step.name, fingerprints[step.name], options.at_once)
        results[step.name] = result
        (folder / f"{step.name}.json").write_text(json.dumps(asdict(result), indent=2), encoding="utf-8")
        print(f"  {result.state} after {result.seconds:.0f} s {result.message}", flush=True)
        write_page(issue, module.TITLE, steps, results)
    page = write_page(issue, module.TITLE, steps, results)
    passed = {name for name, result in results.items() if result.state == "passed"}
    missing = [step.name for step in steps if step.name not in passed]
    print(f"· {page.relative_to(ROOT)}; not passed: {', '.join(missing) or 'none'}")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
