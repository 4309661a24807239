"""The commands by which others check us: their names and options do not change unnoticed."""

from __future__ import annotations

import inspect

import pytest

from racoon.cli import dicom, intake, main, node, pull

COMMANDS = {
    "dicom deidentify": (dicom.deidentify, {"source", "target", "profile", "report", "json"}),
    "dicom volume": (dicom.volume, {"folder", "out", "json"}),
    "dicom classify": (dicom.classify, {"folder", "json"}),
    "node import": (intake.import_files, {"path", "config", "json"}),
    "node reindex": (intake.reindex, {"config", "json"}),
    "node quarantine list": (intake.list_quarantine, {"config", "json"}),
    "node quarantine release": (intake.release, {"config", "json"}),
    "node quarantine delete": (intake.delete, {"config", "json"}),
    "node pull add": (pull.add, {"config", "json"}),
    "node pull run": (pull.run, {"config", "json"}),
    "node serve": (node.serve, {"config", "only", "json"}),
}


@pytest.mark.parametrize("name", list(COMMANDS))
def test_command_has_its_options(name: str) -> None:
    function, options = COMMANDS[name]
    assert options <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("name", sorted({" ".join(name.split()[:2]) for name in COMMANDS}))
def test_command_answers_to_its_name(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*name.split(), "--help"]) == 0
    assert f"racoon {name}" in capsys.readouterr().out


def test_parts_of_the_node_that_can_be_served_alone() -> None:
    only = str(inspect.signature(node.serve).parameters["only"].annotation)
    assert all(f"'{part}'" in only or f'"{part}"' in only for part in ("dicom", "http", "worker"))
