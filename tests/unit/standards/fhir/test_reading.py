"""Known deviations are mended and said; broken files are findings, not the end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from racoon.standards.fhir.reading import UnreadableFhir, iterate_resources, tolerate
from racoon.standards.fhir.versions import VERSIONS, extension_url
from tests.unit.standards.fhir.test_writing import written


def test_quantity_without_code_is_mended_and_said() -> None:
    came = {
        "resourceType": "ImagingStudy",
        "series": [
            {
                "uid": "urn:oid:1.2.3",
                "extension": [
                    {
                        "url": extension_url("modalitaet-ct"),
                        "extension": [{"url": "KVP", "valueQuantity": {"value": 120, "unit": "kilovolt"}}],
                    }
                ],
            }
        ],
    }
    before = json.dumps(came)
    mended, notes = tolerate(came)
    assert json.dumps(came) == before
    assert mended["series"][0]["uid"] == "1.2.3"
    assert mended["series"][0]["extension"][0]["extension"][0]["valueQuantity"] == {
        "value": 120,
        "unit": "kilovolt",
        "system": "http://unitsofmeasure.org",
        "code": "kV",
    }
    assert [note.code for note in notes] == ["quantity-without-code", "uid-prefix"] or [
        note.code for note in notes
    ] == ["uid-prefix", "quantity-without-code"]


def test_quantity_in_another_unit_is_not_guessed() -> None:
    came = {
        "resourceType": "ImagingStudy",
        "extension": [
            {"url": extension_url("serie-schichtdicke"), "valueQuantity": {"value": 0.1, "unit": "inch"}}
        ],
    }
    assert tolerate(came) == (came, [])


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_consent_category_of_other_versions_is_read(name: str) -> None:
    version = VERSIONS[name]
    for other in VERSIONS.values():
        came = {
            "resourceType": "Consent",
            "category": [{"coding": [{"system": other.consent_category_system}]}],
        }
        mended, notes = tolerate(came, version)
        assert mended["category"][0]["coding"][0]["system"] == version.consent_category_system
        assert bool(notes) == (other.consent_category_system != version.consent_category_system)


def test_old_catalogue_names_are_read() -> None:
    came = {
        "resourceType": "Condition",
        "code": {"coding": [{"system": "http://fhir.de/CodeSystem/dimdi/icd-10-gm"}]},
    }
    mended, notes = tolerate(came)
    assert mended["code"]["coding"][0]["system"] == "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
    assert [note.path for note in notes] == ["Condition.code.coding[0].system"]


def test_files_are_read_in_order_and_broken_lines_are_found(tmp_path: Path) -> None:
    bundle = {"resourceType": "Bundle", "entry": [{"resource": {"resourceType": "Patient", "id": "1"}}, {}]}
    (tmp_path / "a.json").write_text(json.dumps(bundle))
    (tmp_path / "b.ndjson").write_text('{"resourceType": "Patient", "id": "2"}\n\n{"broken\n[1]\n')
    (tmp_path / "c.json").write_text("no json")
    (tmp_path / "ignored.txt").write_text("x")
    found = [
        (item.place, item.resource["id"] if item.resource else None) for item in iterate_resources(tmp_path)
    ]
    assert found == [
        ("a.json#0", "1"),
        ("a.json#1", None),
        ("b.ndjson:1", "2"),
        ("b.ndjson:3", None),
        ("b.ndjson:4[0]", None),
        ("c.json", None),
    ]


def test_empty_folder_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFhir, match="no file that ends in"):
        list(iterate_resources(tmp_path))


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_what_we_write_is_read_again_without_a_change(name: str, tmp_path: Path) -> None:
    resources = written(name)
    (tmp_path / "a.ndjson").write_text("".join(json.dumps(item) + "\n" for item in resources))
    read = [item.resource for item in iterate_resources(tmp_path)]
    assert read == resources
    for item in resources:
        assert tolerate(item, VERSIONS[name]) == (item, [])
