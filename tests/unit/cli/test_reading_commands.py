"""Templates and queries at the console of a node."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from racoon.cli import main
from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import template_of
from racoon.node.reading.queries import _store
from racoon.node.reading.queries.model import Query
from racoon.node.settings import load_node_settings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

THORAX = "urn:racoon:questionnaire:thorax-short"
FOREIGN = {
    "resourceType": "Questionnaire",
    "title": "Knee",
    "status": "active",
    "item": [
        {"linkId": 1, "type": "choice", "text": "Meniscus", "answerOption": [{"valueString": "torn"}]},
        {"linkId": "2", "type": "string", "text": "Remarks"},
    ],
}


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["node", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n')
    return path


def test_templates_go_in_with_a_report_and_out_as_they_are(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "knee.json"
    file.write_text(json.dumps(FOREIGN))
    code, found = run(capsys, "template", "lint", str(file))
    assert (code, found["questions"], found["title"]) == (0, 2, "Knee")
    assert all(note["words"] for note in found["notes"])
    assert found["notes"]
    where = ("--config", str(config))
    _, draft = run(capsys, "template", "import", str(file), *where)
    assert draft["state"] == "draft"
    _, listed = run(capsys, "template", "list", *where)
    assert ("Knee", "draft") in [(row["title"], row["state"]) for row in listed]
    assert THORAX in [row["url"] for row in listed]
    out = tmp_path / "out.json"
    _, facts = run(capsys, "template", "export", draft["url"], "--out", str(out), *where)
    assert facts["version"] == draft["version"]
    assert [item.words.text for item in template_of(json.loads(out.read_text())).walk()] == [
        "Meniscus",
        "Remarks",
    ]
    _, shipped = run(capsys, "template", "export", THORAX, *where)
    assert template_of(shipped).url == THORAX
    lobe = next(item for item in template_of(shipped).walk() if item.link_id == "score-ru")
    assert [code.system for code in lobe.codes] == ["http://snomed.info/sct", "http://radlex.org"]


def test_a_query_is_listed_and_answered_for_its_reader(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = ("--config", str(config))
    assert run(capsys, "query", "list", *where) == (0, [])
    database = Database(load_node_settings(config).database)
    asked = Query(
        "q1",
        "1.2.3",
        "ada",
        THORAX,
        str(Pseudonym("SUBJ-1")),
        "examination/quality",
        "",
        "Sure?",
        "eve",
        clock.now(),
    )
    with database.begin() as connection:
        _store.insert(connection, asked)
    try:
        rooms = run(capsys, "query", "list", *where)[1]
        if rooms:  # the subject may be read here only with a legal basis
            assert rooms[0]["text"] == "Sure?"
        code = main(["node", "query", "answer", "q1", "Yes.", "--reader", "ben", *where, "--json"])
        assert code != 0
        capsys.readouterr()
    finally:
        with database.connect() as connection:
            assert AuditLog("node").entries(connection, 10, action="query.answer") == []
        database.dispose()
