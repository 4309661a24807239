"""Issue A, the thread: one command runs a real multicentre study, from DICOM to the network's result."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tools.acceptance import ROOT, Figures, Step

TITLE = "one command runs a real multicentre study, from DICOM to the network's result"

BARE = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(Path.home()), "LANG": "C.UTF-8"}
"""Environment of a person who has just signed in: no virtual environment, no settings."""


def summary_of(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a demo and return the summary it prints; its progress goes into a log beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "progress.txt"
    with log.open("w", encoding="utf-8") as stream:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise AssertionError(f"ended with code {done.returncode}; see {log}\n{done.stdout[-500:]}")
    return dict(json.loads(done.stdout))


def figures_of(summary: dict[str, Any]) -> Figures:
    """Figures of a demo's summary that belong on the page."""
    names = ("sites", "nodes", "seconds", "peak_rss_mb", "instances_sent", "instances_archived")
    figures: Figures = {name: summary[name] for name in names if name in summary}
    for row in summary.get("measuring", []):
        value = (
            f"{row['mean']:.6g} ± {row['sd']:.4g} {row['unit']} (n = {row['n']})"
            if row["n"]
            else "suppressed"
        )
        figures[row["biomarker"]] = value
    training = summary.get("training") or {}
    for name, value in training.items():
        figures[name] = value if isinstance(value, int | float | str) else json.dumps(value)
    if training:
        local = training["local_dice"].values()
        figures["mean of local_dice"] = sum(local) / len(local)
        assert training["federated_dice"] > figures["mean of local_dice"], "local models were as good"
        assert training["federated_dice"] > training["baseline_dice"], "a trivial segmentation was as good"
    outcome = summary["instances_archived"] + summary["instances_quarantined"]
    assert summary["instances_sent"] == outcome, "an image was lost or counted twice"
    return figures


def demo(*flags: str, repetitions_folder: Path) -> Figures:
    """Run the demo of this clone."""
    command = [sys.executable, "-m", "racoon", "demo", "--headless", "--json", *flags]
    return figures_of(summary_of(command, repetitions_folder))


def full_demo(folder: Path) -> Figures:
    """Three hospitals, invented patients, training: within six minutes and six gigabytes."""
    figures = demo(repetitions_folder=folder)
    assert float(figures["seconds"]) <= 360, figures["seconds"]
    assert float(figures["peak_rss_mb"]) <= 6144, figures["peak_rss_mb"]
    return figures


def real_demo(folder: Path) -> Figures:
    """The same on real images."""
    return demo("--data", str(ROOT / "examples" / "real-data.toml"), repetitions_folder=folder)


def twelve_sites(folder: Path) -> Figures:
    """Twelve hospitals without training."""
    return demo("--sites", "12", "--light", repetitions_folder=folder)


def clean_clone(folder: Path) -> Figures:
    """A new user's first command: a clean clone, a bare environment, `make demo`."""
    clone = folder / "racoon"
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    command = ["make", "--silent", "-C", str(clone), "demo", "ARGS=--headless --json"]
    return figures_of(summary_of(command, folder, BARE))


def wheel(extra: str, flags: list[str], folder: Path) -> Figures:
    """Install the wheel into an empty environment and run its demo, away from the clone."""
    folder.mkdir(parents=True, exist_ok=True)
    build = [sys.executable, "-m", "build", "--quiet", "--wheel", "--outdir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
    (file,) = folder.glob("*.whl")
    environment = folder / "environment"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    wanted = f"{file}[{extra}]" if extra else str(file)
    install = [
        environment / "bin" / "python",
        "-m",
        "pip",
        "install",
        "-qq",
        "-c",
        ROOT / "constraints.txt",
        wanted,
    ]
    subprocess.run(install, check=True)
    command = [str(environment / "bin" / "racoon"), "demo", "--headless", "--json", *flags]
    return figures_of(summary_of(command, folder, BARE))


def base_wheel(folder: Path) -> Figures:
    """The base, without any extra, runs the light demo."""
    return wheel("", ["--light"], folder)


def learning_wheel(folder: Path) -> Figures:
    """The wheel with the extra `learning` runs the whole demo."""
    return wheel("learning", [], folder)


def is_ready(port: int) -> bool:
    """Whether a server says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def served(role: str, config: Path, port: int, seconds: list[float]) -> Iterator[psutil.Process]:
    """Start a role alone; the time until it is ready is added to ``seconds``."""
    pause = threading.Event()
    begun = time.monotonic()
    command = [sys.executable, "-m", "racoon", role, "serve", "--config", str(config)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not is_ready(port):
                assert process.poll() is None, f"{role} serve ended with {process.returncode}"
                assert time.monotonic() - begun < 60, f"{role} serve does not get ready"
                pause.wait(0.02)
            seconds.append(time.monotonic() - begun)
            yield psutil.Process(process.pid)
        finally:
            process.terminate()


def started_alone(folder: Path) -> Figures:
    """`racoon node serve` and `racoon central serve`, started alone: ready in 3 s, a node idle in 250 MB PSS."""
    network = folder / "network"
    demo("--light", "--folder", str(network), repetitions_folder=folder)
    ports = json.loads((network / "ports.json").read_text())
    (site, (node_port, _)) = next(item for item in ports.items() if item[0] != "CENTRAL")
    node, central = network / site.lower() / "node.toml", network / "central" / "central.toml"
    ready: dict[str, list[float]] = {"node": [], "central": []}
    idle_mb = []
    for _ in range(3):
        with served("node", node, node_port, ready["node"]) as process:
            threading.Event().wait(20)  # idle: nothing is received, measured or trained
            family = [process, *process.children(recursive=True)]
            idle_mb.append(sum(member.memory_full_info().pss for member in family) / 2**20)
        with served("central", central, ports["CENTRAL"][0], ready["central"]):
            pass
    figures: Figures = {
        "node ready after, s (of 3)": ", ".join(f"{value:.2f}" for value in ready["node"]),
        "CENTRAL ready after, s (of 3)": ", ".join(f"{value:.2f}" for value in ready["central"]),
        "node idle, MB PSS (of 250)": ", ".join(f"{value:.0f}" for value in idle_mb),
    }
    assert max(ready["node"] + ready["central"]) <= 3, figures
    assert max(idle_mb) <= 250, figures
    return figures


STEPS = [
    Step(
        "house",
        "all import contracts are kept, every deliberate breach is caught",
        tests=("tests/architecture",),
    ),
    Step(
        "properties",
        "pure logic, two thousand examples for each property",
        tests=("tests/unit", "--ignore=tests/unit/science"),
    ),
    Step(
        "properties-of-science",
        "images and biomarkers, two thousand examples for each property",
        tests=("tests/unit/science", "--ignore=tests/unit/science/statistics"),
    ),
    Step(
        "properties-of-statistics",
        "estimates against foreign ones, two thousand examples for each property",
        tests=("tests/unit/science/statistics",),
    ),
    Step("contracts", "one suite for each port, on SQLite and PostgreSQL", tests=("tests/contract",)),
    Step("conformance", "objects and protocols against foreign software", tests=("tests/conformance",)),
    Step("demo", "three hospitals end to end in six minutes and six gigabytes", action=full_demo),
    Step(
        "alone",
        "a role started alone is ready in three seconds, a node idles in 250 MB",
        action=started_alone,
    ),
    Step("real-data", "the same on real images", action=real_demo),
    Step("twelve-sites", "twelve hospitals on two cores", action=twelve_sites),
    Step("clean-clone", "make demo in a clean clone with a bare environment", action=clean_clone),
    Step("base-wheel", "the base wheel runs the light demo", action=base_wheel),
    Step("learning-wheel", "the wheel with training runs the whole demo", action=learning_wheel),
    Step(
        "network",
        "real processes, one after the other",
        tests=(
            "tests/network",
            "--ignore=tests/network/test_dicom_robustness.py",  # ten thousand hostile streams are on list B
            "--ignore=tests/network/test_faults.py",
            "--ignore=tests/network/test_faults_in_training.py",
        ),
    ),
    Step(
        "kills",
        "kill -9, an absent site and bad input, ten times, each time other processes at other moments",
        tests=("tests/network/test_faults.py",),
        times=10,
    ),
    Step(
        "kills-in-training",
        "kill -9 while a network is trained, three times, each time other processes at other moments",
        tests=("tests/network/test_faults_in_training.py",),
    ),
    Step("browser", "the pages with real clicks", tests=("tests/browser",)),
]
