"""Kill -9 any process, take a site off the line, send rubbish: the study ends with the same numbers."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live import LiveDemo, start_demo, stop_demo, wait_for_summary
from tests.network.chaos import Blow, Chaos, draw_blows, numbers_of

pytestmark = pytest.mark.slow

SEED = int(os.environ.get("RACOON_ACCEPTANCE_SEED", "1"))
"""Another seed strikes other processes at other moments; `make acceptance` tries many."""


def run_under(
    folder: Path, blows: list[Blow], *flags: str, limit_s: float = 400.0
) -> tuple[dict[str, object], list[str]]:
    """Run a headless demo under blows; return its summary and what hit."""
    process = start_demo(folder, "--headless", "--seed", "7", *flags)
    chaos = Chaos(folder, folder.parent / f"{folder.name}.log", blows)
    chaos.start()
    try:
        summary = wait_for_summary(folder, process, limit_s)
        process.wait(60)
    finally:
        chaos.end()
        stop_demo(process)
    return summary, chaos.delivered


@pytest.mark.timeout(600)
@pytest.mark.parametrize("round_", [0, 1])
def test_killing_processes_changes_no_number(light_demo: LiveDemo, tmp_path: Path, round_: int) -> None:
    blows = draw_blows(2 * SEED + round_, ("arriving", "measuring"))
    summary, delivered = run_under(tmp_path / "demo", blows, "--light")
    assert delivered, [str(blow) for blow in blows]
    assert numbers_of(summary) == numbers_of(light_demo.summary)


@pytest.mark.timeout(600)
def test_a_site_that_is_offline_for_a_while_joins_again(light_demo: LiveDemo, tmp_path: Path) -> None:
    blows = [Blow("deciding", "BRAVO", "worker", 0.0, frozen_s=8.0)]
    summary, delivered = run_under(tmp_path / "demo", blows, "--light")
    assert delivered
    assert numbers_of(summary) == numbers_of(light_demo.summary)


def command(*words: str) -> subprocess.CompletedProcess[str]:
    """Run ``racoon`` and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "racoon", *words], capture_output=True, text=True, check=False, timeout=60
    )


def test_an_occupied_port_is_named_and_the_node_does_not_start(light_demo: LiveDemo, tmp_path: Path) -> None:
    config = light_demo.folder / "alpha" / "node.toml"
    other = tmp_path / "node.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = config.read_text().replace(f"port = {light_demo.ports('ALPHA')[0]}", f"port = {port}")
        other.write_text(text)
        done = command("node", "serve", "--config", str(other))
    assert done.returncode == 78
    assert f"port {port}" in done.stderr
    assert "another program" in done.stderr


def test_a_wrong_key_is_named_with_the_nearest_right_one(light_demo: LiveDemo, tmp_path: Path) -> None:
    other = tmp_path / "node.toml"
    other.write_text(
        (light_demo.folder / "alpha" / "node.toml").read_text().replace("heartbeat_s", "hartbeat_s")
    )
    done = command("node", "serve", "--config", str(other))
    assert done.returncode == 78
    assert "heartbeat_s" in done.stderr
    assert "hartbeat_s" in done.stderr


def test_a_node_that_has_not_joined_says_how(tmp_path: Path) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'site = "DELTA"\ndata_directory = "{tmp_path / "data"}"\n')
    done = command("node", "serve", "--config", str(config))
    assert done.returncode == 2
    assert "racoon node enrol" in done.stderr
