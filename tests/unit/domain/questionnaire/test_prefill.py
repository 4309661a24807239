"""First answers from what is known: the subset of ``initialExpression``, and why the rest is refused."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.questionnaire import (
    BadTemplate,
    Coding,
    Known,
    initial_items,
    normalised,
    template_of,
)

SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
GENDER = "http://hl7.org/fhir/administrative-gender"


def context(name: str, kind: str) -> dict[str, Any]:
    return {
        "url": SDC + "sdc-questionnaire-launchContext",
        "extension": [
            {"url": "name", "valueCoding": {"code": name}},
            {"url": "type", "valueCode": kind},
        ],
    }


def asked(link_id: str, kind: str, expression: str, **more: Any) -> dict[str, Any]:
    value = {"language": "text/fhirpath", "expression": expression}
    extension = {"url": SDC + "sdc-questionnaire-initialExpression", "valueExpression": value}
    return {"linkId": link_id, "type": kind, "text": link_id, "extension": [extension], **more}


CONTEXTS = [
    context("patient", "Patient"),
    context("imagingStudy", "ImagingStudy"),
    context("previous", "QuestionnaireResponse"),
]
SEX = asked(
    "sex",
    "choice",
    "%patient.gender",
    answerOption=[{"valueCoding": {"system": GENDER, "code": code}} for code in ("female", "male")],
)


def form(*items: dict[str, Any], contexts: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    return {
        "resourceType": "Questionnaire",
        "url": "urn:example:prefilled",
        "version": "1",
        "title": "Prefilled",
        "extension": CONTEXTS if contexts is None else contexts,
        "item": list(items),
    }


def test_a_report_begins_with_what_is_known() -> None:
    template = template_of(
        form(
            SEX,
            asked("day", "date", "%imagingStudy.started"),
            asked("device", "string", "%imagingStudy.modality.code"),
            asked("size", "decimal", "%previous.descendants().where(linkId='size').answer.value"),
            asked("count", "integer", "%previous.descendants().where(linkId='size').answer.value"),
        )
    )
    known = Known(
        {
            "patient.gender": ("female",),
            "imagingStudy.started": ("2023-05-01",),
            "imagingStudy.modality.code": ("CT", "PT"),
        },
        {"size": (12.5,)},
    )
    found = {
        item.link_id: [answer.value for answer in item.answers] for item in initial_items(template, known)
    }
    # Two modalities for one answer, and 12.5 for a whole number: nothing is guessed.
    assert found == {"sex": [Coding(GENDER, "female")], "day": ["2023-05-01"], "size": [12.5]}
    assert initial_items(template) == ()


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("%patient.name.given.first()", "of the person only the sex is known"),
        ("%patient.birthDate", "of the person only the sex is known"),
        ("today()", "no day of the subject's shifted calendar"),
        ("%user.name", "is not given to forms"),
        ("%resource.item.first().answer.value", "outside the subset"),
    ],
)
def test_everything_else_is_refused_with_the_reason(expression: str, reason: str) -> None:
    document = form(asked("a", "string", expression), {"linkId": "b", "type": "string", "text": "b"})
    with pytest.raises(BadTemplate, match=reason):
        template_of(document)
    found = normalised(document, "prefilled")
    ((place, code, detail, is_loss),) = [(n.place, n.code, n.detail, n.is_loss) for n in found.notes]
    assert (place, code, is_loss) == ("a", "prefill", True)
    assert reason in detail
    assert template_of(found.document).items[0].prefill is None


def test_a_context_has_to_be_named_and_known() -> None:
    with pytest.raises(BadTemplate, match="does not name as launchContext"):
        template_of(form(SEX, contexts=[]))
    with pytest.raises(BadTemplate, match="The launch context encounter is not known"):
        template_of(form(contexts=[context("encounter", "Encounter")]))
    found = normalised(form(SEX, contexts=[context("encounter", "Encounter")]), "x")
    assert sorted((note.place, note.code) for note in found.notes) == [
        ("", "launch_context"),
        ("sex", "prefill"),
    ]
    assert normalised(form(SEX), "x").notes == ()


def test_two_first_answers_or_another_language_are_refused() -> None:
    both = asked("day", "date", "%imagingStudy.started", initial=[{"valueDate": "2023-05-01"}])
    with pytest.raises(BadTemplate, match="without a first answer"):
        template_of(form(both))
    query = asked("day", "date", "Patient?_id=1")
    query["extension"][0]["valueExpression"]["language"] = "application/x-fhir-query"
    with pytest.raises(BadTemplate, match="asks no other server"):
        template_of(form(query))
