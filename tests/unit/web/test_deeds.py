"""Every deed that the product audits is said in words, and every kind of thing it was done to."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from racoon.web.deeds import DEEDS, THINGS, AuditQuestion, deed_text, thing_text
from tests.node_rooms import NodeInProcess

PACKAGE = Path(__file__).resolve().parents[3] / "src" / "racoon"

WRITERS = {
    "append",
    "note",
    "record",
    "record_session",
    "_audit",
    "_note",
    "_record",
    "_write",
    "_write_audit",
}
"""Functions that write an entry, by their names in the rooms."""

DEED = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")

MADE_OF_PARTS = {
    "hl7.dismiss",
    "hl7.try_again",
    "quarantine.release",
    "subject.reidentify",
    "subject.reidentify.agree",
    "subject.reidentify.ask",
    "subject.reidentify.refuse",
    "image.delete",
    "image.delete.confirm",
    "image.delete.refuse",
    "image.delete.request",
    "job.go_on",
    "job.pause",
    "clinical.list.give",
    "clinical.list.take",
    "clinical.transfer",
}
"""Deeds whose names are put together or chosen before the call."""


def strings(node: ast.AST) -> Iterator[str]:
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def written() -> Iterator[tuple[str, str]]:
    """Yield every action that the sources write into an audit log, and every target."""
    for path in PACKAGE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "audit" not in text.lower():
            continue
        for call in ast.walk(ast.parse(text)):
            if not isinstance(call, ast.Call):
                continue
            name = getattr(call.func, "attr", getattr(call.func, "id", ""))
            named = {word.arg: word.value for word in call.keywords}
            if "actor_role" not in named and name not in WRITERS:
                continue
            for node in (*call.args, *(named[key] for key in ("action",) if key in named)):
                if isinstance(node, ast.Constant | ast.IfExp):
                    yield from (("action", said) for said in strings(node) if DEED.fullmatch(said))
            if "actor_role" in named and "target" in named:
                first = next(strings(named["target"]), "")
                yield from [("target", first)] if "/" in first else []


def test_every_deed_of_the_sources_is_said_in_words() -> None:
    found = {said for kind, said in written() if kind == "action"}
    assert len(found) > 100
    assert sorted((found | MADE_OF_PARTS) - set(DEEDS)) == []


def test_every_kind_of_thing_is_said_in_words() -> None:
    found = {said.partition("/")[0] for kind, said in written() if kind == "target"}
    assert len(found) > 20
    assert sorted(found - set(THINGS) - {""}) == []


def test_what_is_not_known_is_shown_as_it_is() -> None:
    assert deed_text("one.of.tomorrow") == "one.of.tomorrow"
    assert thing_text("study/RS-1/dataset/D1") == ("study", "RS-1/dataset/D1")
    assert thing_text("elsewhere") == ("", "elsewhere")
    assert AuditQuestion(actor="  ").wanted() == dict.fromkeys(("purpose", "actor", "action", "outcome"))


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    yield found
    found.close()


def test_the_data_protection_officer_reads_it_in_words_and_finds_refusals(node: NodeInProcess) -> None:
    reader = node.person("reader")
    assert reader.get("/audit", params={"actor": "secret"}).status_code == 403
    dpo = node.person("dpo")
    page = dpo.get("/audit", headers={"accept-language": "de"}, params={"outcome": "refused"})
    assert page.status_code == 200
    assert "nach etwas gefragt, das die Rolle nicht erlaubt" in page.text
    with node.rooms.database.connect() as connection:
        (entry,) = node.rooms.audit.entries(connection, action="access.refuse")
    assert (entry.actor, entry.target, entry.outcome) == ("reader", "page/audit", "refused")
    assert entry.details == {"action": "audit.read", "method": "GET"}
    assert "Kein Eintrag passt." in dpo.get("/audit?actor=nobody", headers={"accept-language": "de"}).text
    assert ">access.refuse<" in dpo.get("/audit?action=access.refuse&actor=reader").text


def test_strangers_leave_no_entry(node: NodeInProcess) -> None:
    assert TestClient(node.app).get("/api/consent/withdrawals").status_code == 401
    with node.rooms.database.connect() as connection:
        assert node.rooms.audit.entries(connection, action="access.refuse") == []
