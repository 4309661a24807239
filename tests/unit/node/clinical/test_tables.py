"""The editor of mappings: wrong fields are named, rows are previewed, versions are kept, and a page names nobody."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.cli import main
from racoon.node.clinical import _mapping_store, _store, mapping_form
from racoon.node.clinical.table_mapping import TableMapping, read_mapping
from racoon.node.clinical.tables import read_sample
from tests.node_rooms import NodeInProcess
from tests.unit.node.clinical.test_outgoing import kept
from tests.unit.node.clinical.test_spreadsheet import ICD, LOINC, MAPPING, TABLE

SECRETS = ("Müller", "Öztürk", "4711", "4712", "Niemand", "03.04.1951")

FORM = {
    "title": "Registry of heart failure",
    "separator": ";",
    "encoding": "utf-8",
    "decimal": ",",
    "date_format": "%d.%m.%Y",
    "number": "PatID",
    "birth_date": "Geburtsdatum",
    "gender": "Geschlecht",
    "key": "LfdNr",
    "word_female": "w",
    "word_male": "m",
    "item-0-column": "Troponin",
    "item-0-kind": "observation",
    "item-0-system": LOINC,
    "item-0-code": "67151-1",
    "item-0-unit": "ng/L",
    "item-0-date": "Abnahme",
    "item-1-column": "Raucher",
    "item-1-kind": "observation",
    "item-1-system": LOINC,
    "item-1-code": "72166-2",
    "item-1-value_codes": "ja = http://snomed.info/sct|77176002\nnein = http://snomed.info/sct|8392000",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    yield found
    found.close()


def fields_of(page: str) -> dict[str, str]:
    """What the form of a page holds, as the browser would send it again."""
    inputs = re.findall(r'<input[^>]*? name="([^"]+)" value="([^"]*)"', page)
    found = {name: unescape(value) for name, value in inputs}
    for name, body in re.findall(r'<select[^>]* name="([^"]+)"[^>]*>(.*?)</select>', page, re.DOTALL):
        chosen = re.search(r'<option(?: value="([^"]*)")? selected>([^<]*)', body)
        found[name] = unescape(chosen[1] or chosen[2]) if chosen else ""
    for name, body in re.findall(r'<textarea[^>]* name="([^"]+)"[^>]*>(.*?)</textarea>', page, re.DOTALL):
        found[name] = unescape(body)
    return found


def test_a_mapping_is_made_previewed_and_saved_without_showing_anybody(node: NodeInProcess) -> None:
    person, reader = node.person("diz"), node.person("reader")
    assert reader.get("/intake/tables").status_code == 403
    assert reader.post("/intake/tables/edit", data={"action": "save"}).status_code == 403
    looked = person.post(
        "/intake/tables/edit", data={"action": "look"}, files={"table": ("t.csv", TABLE.encode())}
    )
    assert looked.status_code == 200
    assert "<option>Troponin</option>" in looked.text
    sample = fields_of(looked.text)["sample"]
    shown = person.post(
        "/intake/tables/edit", data=FORM | {"action": "preview", "sample": sample}, files={"x": b""}
    )
    assert shown.status_code == 200
    kept("table-preview", shown.text)
    kept(
        "table-preview-de",
        person.post(
            "/intake/tables/edit",
            data=FORM | {"action": "preview", "sample": sample},
            files={"x": b""},
            headers={"accept-language": "de"},
        ).text,
    )
    assert "1014.5 ng/L" in shown.text
    assert "77176002" in shown.text
    assert "The value is no number. In the sample: 1, lines 4." in shown.text
    assert "The mapping does not know the word. In the sample: 1, lines 4." in shown.text
    for page in (looked.text, shown.text):
        told = page.replace(sample, "")
        assert not [word for word in (*SECRETS, "manchmal") if word in told]
    again = fields_of(shown.text)
    assert {name: again[name] for name in FORM} == FORM, "the form comes back as it was sent"
    saved = person.post("/intake/tables/edit", data=FORM | {"action": "save"}, files={"x": b""})
    assert "Saved: Registry of heart failure, version 1." in saved.text
    same = person.post("/intake/tables/edit", data=FORM | {"action": "save"}, files={"x": b""})
    assert "version 1." in same.text, "what says the same is no version"
    person.post(
        "/intake/tables/edit", data=FORM | {"action": "save", "word_female": "w, f"}, files={"x": b""}
    )
    listed = person.get("/intake/tables").text
    kept("tables", listed)
    assert "Older versions" in listed
    taken = person.post("/intake/tables/2/take", files={"table": ("t.csv", TABLE.encode())})
    kept("tables-taken", taken.text)
    assert "The table is taken." in taken.text
    assert "The row has no patient" in taken.text
    assert not [word for word in SECRETS if word in taken.text + listed]
    with node.rooms.database.connect() as connection:
        assert len(connection.execute(sa.select(_store.observation)).all()) == 3
        audit = [dict(row._mapping) for row in connection.exec_driver_sql("SELECT * FROM audit ORDER BY seq")]
        assert len(connection.execute(sa.select(_mapping_store.mapping)).all()) == 2
    actions = [row["action"] for row in audit if row["action"].startswith("clinical.")]
    assert actions == ["clinical.mapping.save", "clinical.mapping.save", "clinical.import"]
    told = str(audit)  # hashes and fractions of seconds hold any four digits by chance
    assert not [word for word in SECRETS if re.search(rf"(?<![0-9a-f]){re.escape(word)}(?![0-9a-f])", told)]


def test_what_is_wrong_stands_beside_its_field_in_both_languages(node: NodeInProcess) -> None:
    person = node.person("data_manager")
    wrong = FORM | {
        "action": "save",
        "title": "",
        "number": "",
        "word_male": "w",
        "item-0-unit": "Nanogramm",
        "item-1-value_codes": "ja",
    }
    page = person.post("/intake/tables/edit", data=wrong, files={"x": b""})
    assert page.status_code == 400
    kept("table-wrong", page.text)
    told = dict(re.findall(r'id="wrong-([^"]+)">([^<]+)<', page.text))
    assert told == {
        "title": "Fill this in.",
        "number": "Fill this in.",
        "word_male": "This word already has a meaning.",
        "item-1-value_codes": mapping_form.NOT_READ,
    }
    assert page.text.count('aria-invalid="true"') == 4
    more = FORM | {"action": "save", "item-0-unit": "Nanogramm", "item-0-code": "12", "item-1-system": ICD}
    second = person.post(
        "/intake/tables/edit", data=more, files={"x": b""}, headers={"accept-language": "de"}
    )
    kept("table-wrong-de", second.text)
    found = dict(re.findall(r'id="wrong-([^"]+)">([^<]+)<', second.text))
    assert found["item-0-code"] == "Der Code sieht nicht wie einer dieses Katalogs aus."
    absent = person.post(
        "/intake/tables/edit",
        data=FORM | {"action": "save", "item-0-column": "Tropo"},
        files={"table": ("t.csv", TABLE.encode())},
    )
    assert 'id="wrong-item-0-column">The table has no such column.' in absent.text
    with node.rooms.database.connect() as connection:
        assert connection.execute(sa.select(_mapping_store.mapping)).all() == []


def test_items_are_added_and_removed_without_a_script(node: NodeInProcess) -> None:
    person = node.person("site_informatician")
    new = person.get("/intake/tables/new")
    assert new.status_code == 200
    kept("table-new", new.text)
    more = person.post("/intake/tables/edit", data=FORM | {"action": "add"}, files={"x": b""}).text
    assert more.count("<fieldset") == 3
    fewer = person.post("/intake/tables/edit", data=FORM | {"action": "remove-0"}, files={"x": b""}).text
    assert fields_of(fewer)["item-0-column"] == "Raucher"
    assert person.post("/intake/tables/edit", content=b"none").status_code == 400
    assert person.get("/intake/tables/99").status_code == 404


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (b"4711;03.04.1951;w\n4712;05.06.1960;m\n", "The first row seems to hold values"),
        (TABLE.encode("iso-8859-1"), "not encoded as utf-8"),
    ],
)
def test_a_table_that_cannot_be_mapped_is_refused_without_its_cells(
    node: NodeInProcess, table: bytes, words: str
) -> None:
    person = node.person("diz")
    page = person.post("/intake/tables/edit", data={"action": "look"}, files={"table": ("t.csv", table)}).text
    assert words in page
    sample = fields_of(page)["sample"]
    assert not [word for word in SECRETS if word in page.replace(sample, "")]


def test_the_command_line_uses_what_the_page_saved(
    node: NodeInProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(tmp_path / "node.toml")
    assert Path(config).is_file()
    person = node.person("diz")
    person.post("/intake/tables/edit", data=FORM | {"action": "save"}, files={"x": b""})
    table = tmp_path / "table.csv"
    table.write_text(TABLE, "utf-8")
    files = ["fhir", "table", str(table), "--config", config, "--mapping"]
    assert main([*files, FORM["title"], "--preview", "1"]) == 65
    assert main([*files, f"{FORM['title']}@1"]) == 65
    assert main([*files, f"{FORM['title']}@7"]) != 0
    assert "No mapping of this name" in capsys.readouterr().err
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    assert main(["fhir", "mappings", "--config", config, "--save", str(tmp_path / "mapping.toml")]) == 0
    assert main(["fhir", "mappings", "--config", config]) == 0
    assert "version" in capsys.readouterr().out
    with node.rooms.database.connect() as connection:
        assert [row["version"] for row in _mapping_store.load_all(connection)] == [2, 1]


def test_the_form_says_what_the_mapping_says(tmp_path: Path) -> None:
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    mapping = read_mapping(tmp_path / "mapping.toml")
    assert mapping_form.mapping_of(mapping_form.draft_of_mapping(mapping)) == mapping
    commas = mapping.model_dump() | {"items": [mapping.items[2].model_dump() | {"present": ("ja, sehr",)}]}
    other = TableMapping.model_validate(commas)
    assert mapping_form.mapping_of(mapping_form.draft_of_mapping(other)) != other


def test_a_word_that_stands_once_is_not_shown() -> None:
    sample = read_sample(TABLE.encode() + b"5;1;;;;;;;ja;;ja\n", ";", "utf-8")
    assert sample.words("Raucher") == ("ja",)
    kinds = {column.name: column.kind for column in sample.columns}
    assert (kinds["Troponin"], kinds["Geburtsdatum"], kinds["Bypass"]) == ("words", "days", "words")
