"""What is sent to another server: conditional, with references that lead somewhere or are not there."""

from __future__ import annotations

import json

from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.transactions import removal, transaction, types_without_identifier
from racoon.standards.fhir.versions import VERSIONS
from tests.unit.standards.fhir.test_examinations import surroundings
from tests.unit.standards.fhir.test_writing import written

SOURCE = "urn:racoon:site:alpha"


def test_references_become_names_inside_and_conditions_outside() -> None:
    given = [item for item in written("2026") if item["resourceType"] in ("ImagingStudy", "Patient")]
    bundle = transaction(given, SOURCE)
    study, patient = bundle["entry"]
    assert study["resource"]["subject"]["reference"] == patient["fullUrl"]
    device = study["resource"]["series"][0]["performer"][0]["actor"]["reference"]
    assert device.startswith("Device?identifier=urn:racoon:site:alpha:fhir|Device/")
    assert study["request"] == {
        "method": "PUT",
        "url": "ImagingStudy?identifier=urn:racoon:site:alpha:fhir|ImagingStudy/2.25.1",
    }
    assert "id" not in study["resource"]
    assert transaction(given, SOURCE) == bundle
    assert [entry["request"]["method"] for entry in removal(["Patient/1"], SOURCE)["entry"]] == ["DELETE"]


def test_what_the_other_server_cannot_take_is_not_referred_to() -> None:
    given = [*written("2027-ballot"), *surroundings("2027-ballot")]
    given = [item for item in given if item["resourceType"] not in ("AuditEvent", "Provenance")]
    bundle = transaction(given, SOURCE, {"BodyStructure"})
    said = json.dumps(bundle)
    assert "BodyStructure" not in said
    for entry in bundle["entry"]:
        issues = check(entry["resource"], VERSIONS["2027-ballot"])
        # A conditional reference is one of transactions only; everything else keeps to its rules.
        assert {item.path.rpartition(".")[2] for item in issues if item.severity == "error"} <= {"reference"}


def test_what_a_server_can_find_by_identifier_is_read_from_its_statement() -> None:
    able = {"type": "Patient", "searchParam": [{"name": "identifier", "type": "token"}]}
    statement = {"rest": [{"resource": [able, {"type": "BodyStructure"}]}]}
    assert types_without_identifier(statement, ("Patient", "BodyStructure", "Device")) == {
        "BodyStructure",
        "Device",
    }
