"""A registry's own table comes in by its mapping: the patient's number joins the images, nothing else of him passes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.cli import main
from racoon.domain.identity import PatientId
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical import _store
from racoon.node.clinical.table_mapping import BadMapping, read_mapping
from racoon.node.settings import load_node_settings
from racoon.platform.database import Database

LOINC, ICD = "http://loinc.org", "http://fhir.de/CodeSystem/bfarm/icd-10-gm"

MAPPING = f"""
title = "Registry of heart failure"
key = "LfdNr"

[patient]
number = "PatID"
birth_date = "Geburtsdatum"
gender = "Geschlecht"
gender_values = {{ w = "female", m = "male" }}

[[items]]
kind = "observation"
column = "Troponin"
system = "{LOINC}"
code = "67151-1"
unit = "ng/L"
date = "Abnahme"

[[items]]
kind = "condition"
column = "Diagnose"
system = "{ICD}"
date = "Abnahme"

[[items]]
kind = "procedure"
column = "Bypass"
system = "http://fhir.de/CodeSystem/bfarm/ops"
code = "5-361"
present = ["ja"]

[[items]]
kind = "medication"
column = "Wirkstoff"
system = "http://fhir.de/CodeSystem/bfarm/atc"

[[items]]
kind = "observation"
column = "Raucher"
system = "{LOINC}"
code = "72166-2"
value_codes = {{ ja = ["http://snomed.info/sct", "77176002"], nein = ["http://snomed.info/sct", "8392000"] }}
"""

TABLE = """LfdNr;PatID;Name;Geburtsdatum;Geschlecht;Troponin;Abnahme;Diagnose;Bypass;Wirkstoff;Raucher
1;4711;Müller, Änne;03.04.1951;w;1.014,5;17.03.2024;I50.1;ja;C09AA05;ja
2;4711;Müller, Änne;03.04.1951;w;12,0;18.03.2024;;nein;;
3;4712;Öztürk;;x;viel;31.02.2024;I10.-;;;manchmal
4;;Niemand;;;1,0;;;;;
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'site = "ALPHA"\ndata_directory = "{tmp_path / "data"}"\n')
    return path


def run(
    capsys: pytest.CaptureFixture[str], config: Path, folder: Path, *words: str, table: str = TABLE
) -> tuple[int, Any, str]:
    (folder / "table.csv").write_text(table, encoding="utf-8")
    (folder / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    files = [str(folder / "table.csv"), "--config", str(config), "--mapping", str(folder / "mapping.toml")]
    code = main(["fhir", "table", *files, *words, "--json"])
    said = capsys.readouterr()
    return code, json.loads(said.out), said.out + said.err


def rows(config: Path, name: str) -> list[dict[str, Any]]:
    database = Database(load_node_settings(config).database)
    with database.connect() as connection:
        found = [dict(row._mapping) for row in connection.execute(sa.select(_store.FLAT[name]))]
    database.dispose()
    return found


def test_a_table_becomes_the_rows_that_a_server_would_have_sent(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts, said = run(capsys, config, tmp_path)
    assert code == 65
    # The patients, two values, two diagnoses, a procedure, a medicine and a smoker.
    assert (facts["stored"], facts["unchanged"], facts["refused"]) == (8, 0, 0)
    assert {(row["reason"], tuple(row["first_lines"])) for row in facts["refused_cells"]} == {
        ("unknown_word Geschlecht", (4,)),
        ("no_number_value Troponin", (4,)),
        ("no_date Abnahme", (4,)),
        ("unknown_word Raucher", (4,)),
        ("no_number PatID", (5,)),
    }
    assert not [word for word in ("Müller", "Öztürk", "4711", "4712", "Niemand", "viel") if word in said]
    names = open_pseudonyms(load_node_settings(config))
    subject = names.pseudonym(PatientId("4711"))
    shift = names.date_shift_days(PatientId("4711"))
    names.close()
    values = sorted(rows(config, "clinical_observation"), key=lambda row: row["value_number"] or 0)
    assert {row["pseudonym"] for row in values} == {str(subject)}
    assert [(row["value_number"], row["value_unit"]) for row in values[1:]] == [
        (12.0, "ng/L"),
        (1014.5, "ng/L"),
    ]
    assert values[0]["value_code"] == "77176002"
    assert values[2]["effective"] != "2024-03-17"
    assert shift != 0
    assert {(row["code"], row["system"]) for row in rows(config, "clinical_condition")} == {("I50.1", ICD)}
    assert [row["code"] for row in rows(config, "clinical_procedure")] == ["5-361"]
    assert [row["code"] for row in rows(config, "clinical_medication")] == ["C09AA05"]
    assert {row["birth_year"] for row in rows(config, "clinical_subject")} == {"1951", ""}
    again = run(capsys, config, tmp_path)[1]
    assert (again["stored"], again["unchanged"]) == (0, 8)
    stored = (tmp_path / "data").rglob("*.sqlite*")
    assert not [path for path in stored if "Müller".encode() in path.read_bytes()]


def test_a_corrected_row_replaces_its_values(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(capsys, config, tmp_path)
    facts = run(capsys, config, tmp_path, table=TABLE.replace("12,0", "13,5"))[1]
    assert facts["stored"] == 1
    assert sorted(row["value_number"] or 0 for row in rows(config, "clinical_observation")) == [
        0,
        13.5,
        1014.5,
    ]


def test_a_preview_takes_nothing_and_shows_no_real_pseudonym(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, facts, said = run(capsys, config, tmp_path, "--preview", "1")
    assert code == 65
    kinds = [item["resourceType"] for item in facts["preview"]]
    assert kinds == ["Observation", "Condition", "Procedure", "MedicationStatement", "Observation"]
    assert "4711" not in said
    assert len(facts["refused_cells"]) == 5
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ('unit = "ng/L"', 'unit = "Nanogramm pro Liter"', "UCUM"),
        ('code = "67151-1"', "", "fixed code"),
        (f'system = "{LOINC}"', 'system = "http://hospital.example/codes"', "no catalogue"),
        ('present = ["ja"]', "", "words that say it is so"),
        ('number = "PatID"', "", "patient.number"),
        ("[patient]", "surprise = 1\n[patient]", "surprise"),
        ("[patient]", "[patient", "no TOML"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_place(
    tmp_path: Path, before: str, after: str, words: str
) -> None:
    path = tmp_path / "mapping.toml"
    path.write_text(MAPPING.replace(before, after, 1), encoding="utf-8")
    with pytest.raises(BadMapping, match=words):
        read_mapping(path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TABLE.replace(";", ",").encode(), "no column"),
        (TABLE.encode("iso-8859-1"), "not encoded as utf-8"),
        (TABLE.encode() + b'5;"4713;', "breaks off"),
        (b"", "no column"),
    ],
)
def test_a_wrong_table_is_refused_in_words(
    tmp_path: Path, config: Path, capsys: pytest.CaptureFixture[str], content: bytes, words: str
) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING, encoding="utf-8")
    (tmp_path / "table.csv").write_bytes(content)
    files = [
        str(tmp_path / "table.csv"),
        "--config",
        str(config),
        "--mapping",
        str(tmp_path / "mapping.toml"),
    ]
    assert main(["fhir", "table", *files]) == 65
    said = capsys.readouterr().err
    assert words in said
    assert "Müller" not in said


def test_the_mapping_of_the_guide_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[4] / "docs/how-to/speak-fhir.md").read_text(encoding="utf-8")
    text = guide.split("## A registry's own table")[1].split("```toml\n")[1].split("```")[0]
    (tmp_path / "mapping.toml").write_text(text, encoding="utf-8")
    mapping = read_mapping(tmp_path / "mapping.toml")
    assert [item.kind for item in mapping.items] == ["observation", "condition"]
