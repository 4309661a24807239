"""Import, quarantine and index at the console of a node, from the command to the archive."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from racoon.cli import main
from racoon.node.app.rooms import open_archive
from racoon.node.deid.service import Deidentifier
from racoon.node.intake.service import IngestLoop, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import load_node_settings
from racoon.platform.database import Database
from tests.planted_identifiers import make_ct


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n')
    return path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, Any]:
    code = main(["node", *words, "--json"])
    return code, json.loads(capsys.readouterr().out)


def work_off(config: Path) -> dict[str, int]:
    """Do what the node's worker does with a full spool."""
    settings = load_node_settings(config)
    folder = settings.data_directory
    database = Database(settings.database)
    names = Pseudonymiser(folder / "pseudonyms" / "key", f"sqlite:///{folder / 'pseudonyms' / 'p.sqlite'}")
    loop = IngestLoop(
        Spool(spool_folder(folder)),
        Deidentifier("basic", names),
        open_archive(settings, database),
        database,
        quarantine=folder / "quarantine",
    )
    done = loop.run_once()
    loop.close()
    names.close()
    database.dispose()
    return {"archived": done.archived, "quarantined": done.quarantined}


def test_from_a_folder_to_the_archive_and_the_quarantine(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for number in (1, 2, 3):
        (source / f"{number}.dcm").write_bytes(make_ct(number, planted=False).data)
    (source / "readme.txt").write_text("no image")
    code, facts = run(capsys, "import", str(source), "--config", str(config))
    assert (code, facts["files"], facts["taken"], facts["problems"]) == (0, 4, 4, [])
    assert work_off(config) == {"archived": 3, "quarantined": 1}

    _, (item,) = run(capsys, "quarantine", "list", "--config", str(config))
    assert item["code"] == "not_dicom"
    _, shown = run(capsys, "quarantine", "show", item["quarantine_id"], "--config", str(config))
    assert shown["object"]["problem"].startswith("This is not a DICOM file")
    _, (decided,) = run(
        capsys, "quarantine", "delete", item["quarantine_id"], "--config", str(config), "--note", "a text"
    )
    assert (decided["state"], decided["note"]) == ("deleted", "a text")
    assert decided["decided_by"].startswith("console")
    code, refused = run(capsys, "quarantine", "release", item["quarantine_id"], "--config", str(config))
    assert (code, refused["error"]["code"]) == (2, "intake.already_decided")
    assert run(capsys, "quarantine", "list", "--config", str(config)) == (0, [])


def test_wrong_patient_is_set_right_at_the_console(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "1.dcm").write_bytes(make_ct(1, planted=False).data)
    wrong = make_ct(2, planted=False).data.replace(b"PLANTED4711 ", b"PLANTED4712 ")
    (source / "2.dcm").write_bytes(wrong)
    run(capsys, "import", str(source), "--config", str(config))
    assert work_off(config) == {"archived": 1, "quarantined": 1}
    _, (item,) = run(capsys, "quarantine", "list", "--config", str(config))
    _, shown = run(capsys, "quarantine", "show", item["quarantine_id"], "--config", str(config))
    assert shown["correctable"] == ["patient", "StudyInstanceUID"]
    words = ("quarantine", "fix", item["quarantine_id"], "--config", str(config), "--note", "typing error")
    code, refused = run(capsys, *words, "--uid", "SeriesInstanceUID=1.2.3")
    assert (code, refused["error"]["code"]) == (2, "intake.not_correctable")
    code, sent = run(capsys, *words, "--subject", shown["evidence"]["belongs_to"])
    assert (code, sent["state"]) == (0, "correcting")
    assert work_off(config) == {"archived": 1, "quarantined": 0}
    _, (done,) = run(capsys, "quarantine", "list", "--state", "corrected", "--config", str(config))
    assert done["decided_by"].startswith("console")


def test_index_is_rebuilt_from_the_objects(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.dcm").write_bytes(make_ct(1, planted=False).data)
    assert run(capsys, "import", str(tmp_path / "a.dcm"), "--config", str(config))[0] == 0
    assert work_off(config)["archived"] == 1
    code, facts = run(capsys, "reindex", "--config", str(config))
    assert (code, facts["objects"], facts["referenced"]) == (0, 1, 1)
    (stored,) = (path for path in (tmp_path / "data" / "archive" / "instances").rglob("*") if path.is_file())
    stored.write_bytes(stored.read_bytes()[:-2] + b"\xff\xff")
    code, facts = run(capsys, "reindex", "--verify", "--config", str(config))
    assert (code, len(facts["damaged"])) == (65, 1)


def test_hostile_archive_is_told_with_its_own_exit_code(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.zip").write_bytes(b"PK\x03\x04")
    code, facts = run(capsys, "import", str(tmp_path / "in.zip"), "--config", str(config))
    assert (code, facts["problems"][0]["code"]) == (65, "bad_archive")
    assert main(["node", "import", str(tmp_path / "in.zip"), "--config", str(config)]) == 65
    assert "damaged" in capsys.readouterr().out
