"""Each kind of rule notices its breach, and no issue quotes what it found."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from racoon.standards.fhir.findings import measurement, report
from racoon.standards.fhir.imaging import Writing, imaging_study
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.subjects import SubjectFacts, patient
from racoon.standards.fhir.versions import VERSIONS, extension_url
from racoon.web.words import words_of
from tests.unit.standards.fhir.test_writing import BERLIN, PSEUDONYM, STUDY, VALUE

WRITING = Writing(VERSIONS["2027-ballot"], BERLIN, "urn:x", "urn:y")
LEAK = "LEAK^Zacharias 4711"


def study() -> dict[str, Any]:
    return imaging_study(STUDY, WRITING)


def value() -> dict[str, Any]:
    return measurement(VALUE, WRITING)


def subject() -> dict[str, Any]:
    return patient(SubjectFacts(PSEUDONYM, "F", "1961"), WRITING)


def diagnostic_report() -> dict[str, Any]:
    return report(study(), [value()], datetime(2026, 1, 1, tzinfo=UTC), WRITING)


def put(path: str, content: object) -> Callable[[dict[str, Any]], None]:
    """Set an element by a path like ``series.0.modality.code``; None removes it."""

    def change(resource: dict[str, Any]) -> None:
        node: Any = resource
        *steps, last = path.split(".")
        for step in steps:
            node = node[int(step)] if isinstance(node, list) else node[step]
        key: Any = int(last) if isinstance(node, list) else last
        if content is None:
            del node[key]
        else:
            node[key] = content

    return change


def ct_part(resource: dict[str, Any], name: str) -> dict[str, Any]:
    ct = next(
        item for item in resource["series"][0]["extension"] if item["url"] == extension_url("modalitaet-ct")
    )
    return next(part for part in ct["extension"] if part["url"] == name)


BREACHES: list[tuple[Callable[[], dict[str, Any]], Callable[[dict[str, Any]], None], str]] = [
    (study, put("status", LEAK), "code-invalid"),
    (study, put("status", None), "required"),
    (study, put("subject", None), "required"),
    (study, put("subject", {"reference": "Group/1"}), "value"),
    (study, put("subject", {"reference": LEAK}), "value"),
    (study, put("started", "31.01.2024"), "value"),
    (study, put("started", "2024-01-31T10:15:00"), "value"),
    (study, put("identifier.0.value", "2.25.1"), "value"),
    (study, put("series.0.uid", None), "required"),
    (study, put("series.0.modality.code", "SEG"), "code-invalid"),
    (study, put("series.0.bodySite.system", "http://hospital.example"), "code-invalid"),
    (study, put("series.0.laterality.code", "76752008"), "code-invalid"),
    (study, put("series.0.instance.0.sopClass", None), "required"),
    (study, lambda item: ct_part(item, "KVP")["valueQuantity"].pop("system"), "required"),
    (study, lambda item: ct_part(item, "KVP")["valueQuantity"].update(code="V"), "value"),
    (study, lambda item: ct_part(item, "KVP").update(url="kvp") or item["series"][0]["extension"].append(
        copy.deepcopy(item["series"][0]["extension"][0])), "structure"),
    (study, lambda item: item["extension"].append({}) if "extension" in item else item.update(
        extension=[{"url": extension_url("modalitaet-ct"), "extension": [{"url": "x", "valueString": "y"}]}]),
        "structure"),
    (study, lambda item: item.update(extension=[{"url": extension_url("unknown"), "valueString": "y"}]), "structure"),
    (study, put("patientName", LEAK), "structure"),
    (study, put("id", LEAK), "value"),
    (study, put("series.0.extension", []), "structure"),
    (value, put("valueQuantity", None), "required"),
    (value, put("valueQuantity.system", None), "required"),
    (value, put("valueQuantity.value", "12"), "value"),
    (value, put("code.coding.0.system", None), "required"),
    (value, put("method", {"coding": []}), "required"),
    (value, put("category.0.coding.0.display", "something else"), "value"),
    (value, put("extension.0.valueId", LEAK), "value"),
    (value, put("issued", "2024-01-31"), "value"),
    (subject, put("identifier", None), "required"),
    (subject, put("gender", "other"), "invariant"),
    (subject, put("name", [{"family": LEAK}]), "invariant"),
    (subject, put("address", [{"type": "both", "country": "DE"}]), "required"),
    (subject, put("address", [{"type": "both", "postalCode": "50", "country": LEAK}]), "invariant"),
    (diagnostic_report, put("imagingStudy", None), "required"),
    (diagnostic_report, put("category.0.coding.0", None), "required"),
    (diagnostic_report, put("basedOn", [{"reference": "Patient/1"}]), "value"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(BREACHES)))
def test_breach_is_found_and_not_quoted(number: int) -> None:
    make, change, code = BREACHES[number]
    resource = make()
    assert [item for item in check(resource, WRITING.version) if item.severity == "error"] == []
    change(resource)
    issues = check(resource, WRITING.version)
    assert code in [item.code for item in issues if item.severity == "error"], issues
    assert "LEAK" not in str([item.to_dict() for item in issues])


def test_something_that_is_no_resource_is_said() -> None:
    assert [item.code for item in check({"name": "x"})] == ["structure"]


def test_nesting_without_end_is_refused() -> None:
    deep: dict[str, Any] = {"url": "x", "valueString": "y"}
    for _ in range(200):
        deep = {"url": "x", "extension": [deep]}
    issues = check({"resourceType": "Basic", "code": {"text": "x"}, "extension": [deep]})
    assert any("deep" in item.message for item in issues)


@pytest.mark.parametrize("number", range(len(BREACHES)))
def test_every_breach_is_said_in_german_too(number: int) -> None:
    make, change, _ = BREACHES[number]
    resource, say = make(), words_of("de")
    change(resource)
    for issue in check(resource, WRITING.version):
        said = say(issue.message)
        assert said != issue.message, issue.message
        assert "%(" not in said
        # What stands in the holes is the same in both languages.
        assert set(re.findall(r"\d+|[A-Z][a-z]+[A-Z]\w+", issue.message)) <= set(
            re.findall(r"\d+|[A-Z][a-z]+[A-Z]\w+", said)
        )
