"""`racoon demo clean`: what a killed demo left is found, stopped and removed; nothing else is touched."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from racoon.demo.cleaning import clean, left_behind
from racoon.demo.refusal import DemoRefused

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a process that waits for ever, with a configuration file as its argument."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(configuration: Path, module: str = "racoon") -> subprocess.Popen[bytes]:
        waiting = "import signal; print('here', flush=True); signal.pause()"
        command = [sys.executable, "-c", waiting, "-m", module, "--config", str(configuration)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.communicate()


def test_servers_that_outlived_their_demo_are_stopped_and_the_folder_goes(
    tmp_path: Path, start: Start
) -> None:
    folder, neighbour = tmp_path / "demo", tmp_path / "demo-of-somebody"
    for made in (folder, neighbour):
        made.mkdir()
        (made / "ports.json").write_text("{}")
    (folder / "demo.pid").write_text("4194305")
    server = start(folder / "node.toml")
    other = start(neighbour / "node.toml")
    editor = start(folder / "node.toml", "editor")
    assert clean(folder) == {"folder": str(folder), "stopped": 1, "removed": True}
    assert server.poll() is not None
    assert other.poll() is None
    assert editor.poll() is None
    assert not folder.exists()
    assert neighbour.exists()


def test_a_process_number_that_was_given_to_somebody_else_is_left_alone(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    (folder / "ports.json").write_text("{}")
    stranger = start(tmp_path / "their.toml")
    (folder / "demo.pid").write_text(str(stranger.pid))
    clean(folder)
    assert stranger.poll() is None


def test_a_folder_that_the_demo_did_not_make_stays(tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    with pytest.raises(DemoRefused, match="nothing was removed"):
        clean(tmp_path / "letters")
    assert clean(tmp_path / "nowhere")["removed"] is False
    assert left_behind(tmp_path / "nowhere") == []
