"""The command as a person and a script meet it."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from racoon import __version__
from racoon.cli import main
from racoon.platform.auth import AccountStore
from racoon.platform.database import Database

NODE = 'site = "ALPHA"\ndata_directory = "{folder}"\n[http]\nport = {http}\n[dicom]\nport = {dicom}\n'


@pytest.fixture
def node_config(tmp_path: Path, free_ports: list[int]) -> Path:
    config = tmp_path / "node.toml"
    config.write_text(NODE.format(folder=tmp_path / "data", http=free_ports[0], dicom=free_ports[1]))
    return config


def findings(output: str) -> dict[str, dict[str, str]]:
    return {finding["check"]: finding for finding in json.loads(output)["findings"]}


def test_version_prints_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["version", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["racoon"] == __version__


def test_unknown_flag_is_a_usage_error() -> None:
    assert main(["version", "--bogus"]) == 64


def test_wrong_key_is_named_with_the_nearest_one(
    node_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node_config.write_text('sit = "ALPHA"\n' + node_config.read_text())
    assert main(["doctor", "--config", str(node_config), "--json"]) == 1
    finding = findings(capsys.readouterr().out)["configuration"]
    assert finding["state"] == "problem"
    assert "'sit'" in finding["message"]
    assert "site" in finding["message"]


def test_doctor_is_content_with_a_fresh_node(node_config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", str(node_config), "--json"]) == 0
    found = findings(capsys.readouterr().out)
    assert found["configuration"]["message"].endswith("node")
    assert found["data folder"]["state"] == "ok"
    assert found["certificate (node)"]["state"] == "warning"
    assert "join code" in found["certificate (node)"]["next_step"]


def test_doctor_names_a_missing_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--config", str(tmp_path / "gone.toml"), "--json"]) == 1
    assert "does not exist" in findings(capsys.readouterr().out)["configuration"]["message"]


def test_doctor_prints_a_next_step_below_a_problem(
    node_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node_config.write_text("site = 3\n")
    assert main(["doctor", "--config", str(node_config)]) == 1
    lines = capsys.readouterr().out.splitlines()
    problem = next(number for number, line in enumerate(lines) if line.startswith("✗"))
    assert any(line.strip().startswith("→") for line in lines[problem:])


def test_enrolment_makes_the_accounts_before_it_uses_the_code(
    node_config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["node", "enrol", "--config", str(node_config), "--join-code", "x", "--accounts-from-stdin"]
    people = [{"username": "ada", "password": "correct horse battery", "roles": ["reader"]}]
    for _ in range(2):  # a second attempt finds them there
        monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(people)))
        assert main([*words, "--json"]) != 0
        assert json.loads(capsys.readouterr().out)["error"]["code"] == "enrolment.join_code"
    database = Database(f"sqlite:///{next((tmp_path / 'data').glob('node*.sqlite'))}")
    try:
        assert [account.user.name for account in AccountStore("node").accounts(database)] == ["ada"]
    finally:
        database.dispose()


def test_enrolment_with_unreadable_accounts_does_not_use_the_code(
    node_config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("ada"))
    words = ["node", "enrol", "--config", str(node_config), "--join-code", "x", "--accounts-from-stdin"]
    assert main(words) != 0
    assert "not JSON" in capsys.readouterr().err
