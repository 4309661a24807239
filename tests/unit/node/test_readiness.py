"""The readiness test: the whole way of a study on invented images, and what CENTRAL is told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.node.app import phantoms, readiness
from racoon.node.app.readiness import examine_readiness
from racoon.node.link.service import outgoing
from racoon.node.measuring.service import load_values
from racoon.protocol.messages import SiteReadiness
from tests.node_rooms import NodeInProcess


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeInProcess]:
    node = NodeInProcess(tmp_path_factory.mktemp("readiness"))
    yield node
    node.close()


def parts_of(result: dict[str, object]) -> dict[str, dict[str, object]]:
    parts = result["parts"]
    assert isinstance(parts, list)
    return {part["code"]: part for part in parts}


def test_everything_but_the_network_works_here_and_central_hears_no_details(node: NodeInProcess) -> None:
    result = examine_readiness(node.config)
    parts = parts_of(result)
    # This node was enrolled in a network that is not there, and never got a certificate.
    assert [code for code, part in parts.items() if not part["is_ok"]] == ["connection", "certificate"], parts
    assert result["is_ready"] is False
    assert list(parts) == [
        "connection", "keys", "certificate", "intake", "refusal", "count", "measure", "gate",
    ]  # fmt: skip
    assert all(part["next_step"] for part in parts.values() if not part["is_ok"])
    with node.rooms.database.connect() as connection:
        (row,) = [row for row in outgoing(connection) if row["type"] == "site.readiness"]
        assert load_values(connection) == []
    payload = row["envelope"]["payload"]
    message = SiteReadiness.model_validate(payload)
    assert {check.code: check.is_ok for check in message.checks} == {
        code: part["is_ok"] for code, part in parts.items()
    }
    assert "127.0.0.1" not in json.dumps(payload)
    # Nothing invented came into the site's own rooms.
    assert node.rooms.archive.counts().series == 0
    with node.rooms.database.connect() as connection:
        actions = [entry.action for entry in node.rooms.audit.entries(connection, 50)]
    assert actions == ["site.readiness"]


def test_a_node_that_measures_wrongly_is_not_ready(
    node: NodeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantoms, "volume_ml", lambda number: 1.0 + number)
    parts = parts_of(examine_readiness(node.config, send=False))
    assert parts["measure"]["is_ok"] is False
    assert parts["gate"]["is_ok"] is True


def test_a_node_that_runs_what_nobody_approved_is_not_ready(
    node: NodeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.node.approvals.service.records.check_job", lambda *_args, **_more: None)
    parts = parts_of(examine_readiness(node.config, send=False))
    assert parts["refusal"]["is_ok"] is False
    assert "had not approved" in str(parts["refusal"]["detail"])


def test_a_node_that_takes_nothing_in_is_not_ready(
    node: NodeInProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(phantoms, "examination", lambda number: iter([b"no image %d" % number]))
    parts = parts_of(examine_readiness(node.config, send=False))
    assert parts["intake"]["is_ok"] is False
    assert set(parts) == {"connection", "keys", "certificate", "intake"}
    assert set(parts) < set(readiness.NEXT_STEPS)
    assert list(tmp_path.iterdir()) == []
