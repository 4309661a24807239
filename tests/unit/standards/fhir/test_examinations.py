"""Orders, procedures, contrast medium, signed reports, audit: within their rules, from what is known only."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from racoon.domain.questionnaire import Answer, Answered, Coding, Template, template_of
from racoon.standards.fhir import codes, examinations, signed
from racoon.standards.fhir.audits import AuditFacts, audit_event
from racoon.standards.fhir.building import LOINC, SNOMED, coding, concept
from racoon.standards.fhir.disclosures import DISCLOSED, DISCLOSURE, disclosures
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.linking import body_measures, linked_study
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.versions import VERSIONS, extension_url
from tests.unit.standards.fhir.test_writing import BERLIN, CT, PSEUDONYM, STUDY, WHEN, dicom, errors

BOLUS = replace(
    CT, header=dicom(t00181041=80, t00181042="101000", t00181043="101100", t00101030=71.5, t00101020=1.74)
)
ENHANCED = replace(STUDY, series=(BOLUS,))


FOLLOW_UP = {"system": SNOMED, "code": "77477000", "display": "Computed tomography"}


def template() -> Template:
    """A template with a coded question of each kind, and one in free words."""
    code = [{"system": SNOMED, "code": "27925004", "display": "Nodule"}]
    unit = {
        "url": "http://hl7.org/fhir/StructureDefinition/questionnaire-unit",
        "valueCoding": {"system": "http://unitsofmeasure.org", "code": "mm", "display": "mm"},
    }
    option = {"valueCoding": {"system": SNOMED, "code": "45650007", "display": "Upper lobe"}}
    return template_of(
        {
            "resourceType": "Questionnaire",
            "url": "urn:racoon:template:test",
            "version": "1",
            "status": "active",
            "title": "Test",
            "item": [
                {"linkId": "there", "type": "boolean", "text": "Nodule?", "code": code},
                {
                    "linkId": "nodule",
                    "type": "group",
                    "text": "Nodule",
                    "repeats": True,
                    "item": [
                        {
                            "linkId": "size",
                            "type": "decimal",
                            "text": "mm",
                            "code": code,
                            "extension": [unit],
                        },
                        {
                            "linkId": "lobe",
                            "type": "choice",
                            "text": "Where",
                            "code": code,
                            "answerOption": [option],
                        },
                    ],
                },
                {"linkId": "words", "type": "text", "text": "Remark", "code": code},
                {"linkId": "uncoded", "type": "integer", "text": "Score"},
                {
                    "linkId": "next",
                    "type": "choice",
                    "text": "What next",
                    "code": [{"system": LOINC, "code": "18783-1"}],
                    "answerOption": [{"valueCoding": FOLLOW_UP}],
                },
            ],
        }
    )


SIGNED = signed.SignedFacts(
    identity="r1-1",
    pseudonym=PSEUDONYM,
    imaging_study_uid="2.25.1",
    author="Dr. LEAK",
    is_amended=False,
    signed_at=WHEN,
    template=template(),
    items=(
        Answered("there", (Answer(True),)),
        Answered(
            "nodule",
            items=(
                Answered("size", (Answer(8.5, "finding-1"),)),
                Answered("lobe", (Answer(Coding(SNOMED, "45650007", "Upper lobe")),)),
            ),
        ),
        Answered("nodule", items=(Answered("size", (Answer(3.0),)),)),
        Answered("words", (Answer("LEAK"),)),
        Answered("uncoded", (Answer(4),)),
        Answered("next", (Answer(Coding(SNOMED, "77477000", "Computed tomography")),)),
    ),
    places={"finding-1": ("2.25.1.1", "2.25.1.1.1")},
    has_order=True,
    day="20240131",
    clock="101500",
)
READ = AuditFacts(
    7,
    "0" * 64,
    WHEN,
    "fhir.read",
    "success",
    "anna",
    "reader",
    "10.0.0.1",
    "fhir/ImagingStudy/2.25.1",
    PSEUDONYM,
)
SEARCHED = replace(
    READ, action="fhir.search", target="fhir/ImagingStudy", pseudonym="", parameters=("modality", "patient")
)
GIVEN = replace(
    SEARCHED,
    number=10,
    action=DISCLOSED,
    parameters=(),
    subjects=(PSEUDONYM, "R1-OTHEROTHEROTHEROTHEROTHERA"),
)


def surroundings(version: str) -> list[dict[str, Any]]:
    """One resource of each kind that stands around a study."""
    writing = Writing(VERSIONS[version], BERLIN, "urn:racoon:site:alpha", "urn:racoon:alpha:pseudonym")
    made = [
        examinations.order(ENHANCED, writing),
        examinations.imaging_procedure(ENHANCED, writing),
        examinations.contrast(ENHANCED, BOLUS, writing),
        examinations.body_structure(PSEUDONYM, coding(SNOMED, "39607008", "Lung"), writing),
        *signed.answer_observations(SIGNED, writing),
        signed.questionnaire_response(SIGNED, writing),
        signed.signed_report(SIGNED, writing),
        signed.reading_procedure(SIGNED, writing),
        signed.composition(SIGNED, writing),
        signed.recommendation(SIGNED, writing),
        linked_study(ENHANCED, writing, [concept(coding(SNOMED, "267036007"))]),
        *body_measures(ENHANCED, writing),
        audit_event(READ, writing),
        audit_event(SEARCHED, writing),
        audit_event(replace(SEARCHED, action="fhir.export"), writing),
        audit_event(replace(READ, number=8, pseudonym="", target="fhir/Device/d1"), writing),
        audit_event(replace(SEARCHED, number=9, pseudonym=PSEUDONYM), writing),
        *disclosures(READ, writing),
        *disclosures(GIVEN, writing),
        *disclosures(replace(GIVEN, number=11, target="fhir/push/https://diz.example/fhir"), writing),
        *disclosures(replace(GIVEN, number=12, target="fhir/folder", client=""), writing),
    ]
    assert all(made)
    return [item for item in made if item]


def test_everything_around_a_study_passes_its_own_rules(writing: Writing) -> None:
    for item in surroundings(writing.version.name):
        assert errors(item, writing) == [], item["resourceType"]


def test_contrast_medium_needs_its_volume(writing: Writing) -> None:
    made = examinations.contrast(ENHANCED, BOLUS, writing)
    assert made is not None
    assert made["dosage"]["dose"]["value"] == 80
    assert made["effectivePeriod"] == {
        "start": "2024-01-31T10:10:00+01:00",
        "end": "2024-01-31T10:11:00+01:00",
    }
    assert examinations.contrast(STUDY, CT, writing) is None
    assert examinations.contrast(ENHANCED, replace(BOLUS, has_contrast=False), writing) is None
    assert examinations.contrast(ENHANCED, replace(BOLUS, header=dicom(t00181041=-1)), writing) is None


@pytest.mark.parametrize(
    ("modalities", "code"),
    [({"CT"}, "77477000"), ({"PT", "CT"}, "450436003"), ({"MR", "SR"}, "113091000"), ({"SEG"}, "")],
)
def test_study_is_named_by_its_modalities(modalities: set[str], code: str) -> None:
    assert (codes.procedure(modalities) or {}).get("code", "") == code


def test_study_of_unnamed_kind_has_no_order(writing: Writing) -> None:
    other = replace(STUDY, series=(replace(CT, modality="OPT"),))
    assert examinations.order(other, writing) is None
    assert examinations.imaging_procedure(other, writing) is None


def test_answer_with_a_code_is_an_observation_that_opens_its_pixels(writing: Writing) -> None:
    found = signed.answer_observations(SIGNED, writing)
    values = [item.get("valueQuantity", {}).get("value", item.get("valueCodeableConcept")) for item in found]
    assert values[1] == 8.5
    assert values[3] == 3
    assert values[0]["coding"][0]["code"] == codes.PRESENT[1]
    assert values[2]["coding"][0]["code"] == "45650007"
    assert {item["url"]: item["valueId"] for item in found[1]["extension"]} == {
        extension_url("series-uid"): "2.25.1.1",
        extension_url("sop-instanz-uid"): "2.25.1.1.1",
    }
    assert len({item["id"] for item in found}) == len(found) == 4


def test_words_and_the_reader_stay_inside(writing: Writing) -> None:
    said = json.dumps(surroundings(writing.version.name))
    assert "LEAK" not in said
    response = signed.questionnaire_response(SIGNED, writing)
    assert [item["linkId"] for item in response["item"]] == ["there", "nodule", "nodule", "uncoded", "next"]
    amended = signed.signed_report(replace(SIGNED, is_amended=True), writing)
    assert amended["status"] == "amended"


def test_client_and_server_change_places_when_something_is_searched(writing: Writing) -> None:
    roles = [
        [agent["type"]["coding"][0]["code"] for agent in audit_event(facts, writing)["agent"]]
        for facts in (READ, SEARCHED)
    ]
    assert roles == [["110152", "110153", "IRCP"], ["110153", "110152", "IRCP"]]


def test_study_leads_to_everything_that_is_written_of_it(writing: Writing) -> None:
    study = linked_study(ENHANCED, writing)
    around = {f"{item['resourceType']}/{item['id']}" for item in surroundings(writing.version.name)}
    named = re.findall(r'"reference": "([^"]+)"', json.dumps(study))
    assert {name.partition("/")[0] for name in named} == {
        "Patient", "ServiceRequest", "Procedure", "Observation", "MedicationAdministration", "Device",
    }  # fmt: skip
    assert {name for name in named if not name.startswith(("Patient/", "Device/"))} <= around
    weight, height = body_measures(ENHANCED, writing)
    assert (weight["valueQuantity"]["value"], weight["valueQuantity"]["code"]) == (71.5, "kg")
    assert (height["valueQuantity"]["value"], height["valueQuantity"]["code"]) == (174, "cm")


def test_links_stand_only_where_they_lead_somewhere(writing: Writing) -> None:
    unnamed = linked_study(replace(STUDY, series=(replace(CT, modality="OPT"),)), writing)
    assert not {"basedOn", "procedureReference", "extension", "reasonCode"} & set(unnamed)
    unlikely = replace(CT, header=dicom(t00101030=7150, t00101020=174))
    assert body_measures(replace(STUDY, series=(unlikely,)), writing) == []
    assert body_measures(replace(ENHANCED, day=""), writing) == []


def test_recommendation_is_a_plan_of_its_own_and_no_finding(writing: Writing) -> None:
    plan = signed.recommendation(SIGNED, writing)
    assert plan is not None
    assert plan["activity"][0]["detail"]["code"]["coding"][0]["code"] == FOLLOW_UP["code"]
    assert "18783-1" not in json.dumps(signed.answer_observations(SIGNED, writing))
    assert signed.recommendation(replace(SIGNED, items=SIGNED.items[:1]), writing) is None


def test_each_subject_of_whom_something_left_has_a_disclosure(writing: Writing) -> None:
    made = disclosures(GIVEN, writing)
    assert [item["entity"][0]["what"]["reference"] for item in made] == [
        f"Patient/{name}" for name in GIVEN.subjects
    ]
    assert {item["meta"]["profile"][0] for item in made} == {DISCLOSURE}
    assert len({item["id"] for item in made}) == 2
    assert disclosures(SEARCHED, writing) == []
    assert disclosures(replace(READ, outcome="refused"), writing) == []
    pushed = disclosures(replace(GIVEN, target="fhir/push/https://diz.example/fhir"), writing)[0]
    assert pushed["agent"][1]["network"] == {"address": "https://diz.example/fhir", "type": "5"}
    broken = made[0] | {"source": {"observer": {"display": "somebody else"}}}
    assert [item.key for item in check(broken, writing.version) if item.severity == "error"] == [
        "val-audit-source"
    ]
