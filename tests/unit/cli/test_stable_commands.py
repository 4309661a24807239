"""The commands by which others check us: their names and options do not change unnoticed."""

from __future__ import annotations

import inspect

import pytest

from racoon.cli import dicom, intake, main, node, node_answers, node_reading, pull

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
    "node template lint": (node_reading.lint, {"file", "json"}),
    "node template list": (node_reading.list_templates, {"config", "json"}),
    "node template import": (node_reading.import_template, {"file", "config", "name", "json"}),
    "node template export": (node_reading.export_template, {"url", "config", "version", "out", "json"}),
    "node query list": (node_reading.list_queries, {"config", "state", "json"}),
    "node query answer": (node_reading.answer_query, {"query_id", "text", "config", "reader", "json"}),
    "node answers questions": (node_answers.questions, {"config", "json"}),
    "node answers count": (node_answers.count, {"question", "config", "low", "high", "json"}),
    "node answers cross": (node_answers.cross, {"first", "second", "config", "json"}),
    "node answers export": (
        node_answers.export,
        {"file", "config", "question", "low", "high", "form", "json"},
    ),
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
