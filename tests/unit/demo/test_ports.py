"""Two demos on one machine never choose the same port."""

from __future__ import annotations

import socket
from pathlib import Path

from racoon.demo.ports import Ports

START = 42100


def test_what_one_demo_reserved_another_passes_over(tmp_path: Path) -> None:
    with Ports(tmp_path / "locks") as first, Ports(tmp_path / "locks") as second:
        chosen = [first.reserve(START), second.reserve(START), first.reserve(START), second.reserve(START)]
        assert len(set(chosen)) == len(chosen)
        assert not second.keep(chosen[0])
    with Ports(tmp_path / "locks") as third:
        assert third.reserve(START) == chosen[0]


def test_a_port_somebody_listens_on_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as listener, Ports(tmp_path / "locks") as ports:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        assert ports.reserve(taken) > taken
