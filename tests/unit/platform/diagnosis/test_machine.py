"""Folders, disk and ports."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from racoon.platform.diagnosis import Finding
from racoon.platform.diagnosis.machine import check_folder, check_port


def states(found: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.state for finding in found}


def test_folder_that_does_not_exist_yet_is_fine(tmp_path: Path) -> None:
    assert states(check_folder(tmp_path / "new" / "deep"))["data folder"] == "ok"
    assert not (tmp_path / "new").exists()


def test_folder_that_is_a_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert states(check_folder(tmp_path / "file"))["data folder"] == "problem"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_folder_without_permission_names_the_user(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    (finding, _) = check_folder(tmp_path)
    assert finding.state == "problem"
    assert "chown" in finding.next_step


def test_free_port_is_fine(free_ports: list[int]) -> None:
    assert check_port("127.0.0.1", free_ports[0], "http.port").state == "ok"


def test_port_of_another_program_is_named(free_ports: list[int]) -> None:
    with socket.create_server(("127.0.0.1", free_ports[0])):
        finding = check_port("127.0.0.1", free_ports[0], "http.port")
    assert finding.state == "problem"
    assert str(os.getpid()) in finding.message
    assert "another port" in finding.next_step


def test_port_held_by_ourselves_is_fine(tmp_path: Path, free_ports: list[int]) -> None:
    (tmp_path / "http.pid").write_text(str(os.getpid()))
    with socket.create_server(("127.0.0.1", free_ports[0])):
        finding = check_port("127.0.0.1", free_ports[0], "http.port", [tmp_path])
    assert finding.state == "ok"
    assert "this installation" in finding.message


def test_foreign_address_is_a_problem(free_ports: list[int]) -> None:
    finding = check_port("203.0.113.7", free_ports[0], "http.port")
    assert finding.state == "problem"
    assert "no address of this machine" in finding.message


def test_problem_without_a_next_step_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        Finding("disk", "problem", "full")
