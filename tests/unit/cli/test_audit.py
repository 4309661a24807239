"""``racoon audit verify`` finds a single row that the database's owner changed."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from racoon.cli import main
from racoon.cli.failures import FAILED
from racoon.node.app.administration import prepare
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'somebody else' WHERE seq = 2",
        "UPDATE audit SET outcome = 'success' WHERE seq = 3",
        "DELETE FROM audit WHERE seq = 2",
    ],
)
def test_one_changed_row_is_found(change: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "node.toml"
    config.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n', "utf-8")
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    for number in range(4):
        with database.begin() as connection:
            AuditLog("node").append(
                connection,
                actor="dora",
                actor_role="dpo",
                action="image.read",
                target=f"series/{number}",
                outcome="refused",
            )
    database.dispose()

    def verify() -> tuple[int, dict[str, object]]:
        code = main(["audit", "verify", "--config", str(config), "--json"])
        return code, json.loads(capsys.readouterr().out)

    assert (verify()[0], verify()[1]["valid"]) == (0, True)
    with sqlite3.connect(tmp_path / "data" / "node.sqlite") as stolen:
        for name in ("audit_no_update", "audit_no_delete", "audit_in_order"):
            stolen.execute(f"DROP TRIGGER {name}")
        assert stolen.execute(change).rowcount == 1
    stolen.close()
    code, verdict = verify()
    assert (code, verdict["valid"]) == (FAILED, False)
    assert verdict["bad_sequence"] in (2, 3)
