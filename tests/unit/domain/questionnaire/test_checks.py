"""Edit checks: comparisons between answers, said at the field; what is not answered contradicts nothing."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.questionnaire import BadTemplate, Evaluation, evaluate, items_of, template_of
from racoon.domain.questionnaire.checks import rule_of
from racoon.node.reading.reports.catalogue import newest_template, templates

GECCO = "urn:racoon:questionnaire:gecco-short"
FIRST = "%resource.descendants().where(linkId='a').answer.value"
SECOND = "%resource.descendants().where(linkId='b').answer.value"


@pytest.mark.parametrize(
    ("expression", "answers", "is_broken"),
    [
        (f"{FIRST} <= {SECOND}", {"a": [2], "b": [1]}, True),
        (f"{FIRST} <= {SECOND}", {"a": [1], "b": [1]}, False),
        (f"{FIRST} <= {SECOND}", {"a": ["2026-02-01"], "b": ["2026-01-31"]}, True),
        (f"{FIRST} <= {SECOND}", {"a": [2]}, False),
        (f"{FIRST} <= {SECOND}", {"a": [2, 3], "b": [1]}, False),
        (f"{FIRST} < @2026-01-01", {"a": ["2026-01-01"]}, True),
        (f"{FIRST} >= -2.5", {"a": [-2.6]}, True),
        (f"{FIRST} = true implies {SECOND}.code != 'x'", {"a": [True], "b": ["x"]}, True),
        (f"{FIRST} = true implies {SECOND}.code != 'x'", {"a": [False], "b": ["x"]}, False),
        (f"{FIRST} = true implies {SECOND}.code != 'x'", {"b": ["x"]}, False),
    ],
)
def test_a_check_is_broken_by_answers_only(expression: str, answers: dict[str, Any], is_broken: bool) -> None:
    assert rule_of(expression).is_broken(answers) is is_broken


@pytest.mark.parametrize(
    "wrong", ["", "true", f"{FIRST} ~ 1", f"{FIRST} = 1 implies {FIRST} = 1 implies {FIRST} = 1"]
)
def test_other_expressions_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the text is the expression itself
        rule_of(wrong)
    check = [
        {"url": "key", "valueId": "k"},
        {"url": "severity", "valueCode": "error"},
        {"url": "human", "valueString": "No."},
        {"url": "expression", "valueString": wrong},
    ]
    url = "http://hl7.org/fhir/StructureDefinition/questionnaire-constraint"
    item = {"linkId": "a", "type": "integer", "text": "A", "extension": [{"url": url, "extension": check}]}
    with pytest.raises(BadTemplate, match="edit check"):
        template_of({"resourceType": "Questionnaire", "url": "urn:t", "version": "1", "item": [item]})


def course(**days: str) -> Evaluation:
    form = newest_template(GECCO)
    items = [{"linkId": name, "answer": [{"valueDate": day}]} for name, day in days.items()]
    return evaluate(form, items_of(form, [{"linkId": "course", "item": items}]))


def test_a_contradiction_stands_at_its_field_and_an_oddity_is_a_doubt() -> None:
    found = course(admission="2021-03-02", discharge="2021-03-01")
    (problem,) = [item for item in found.problems if item.code == "check"]
    assert (problem.path, problem.check) == ("course/discharge", "discharge-before-admission")
    assert problem.words is not None
    assert problem.words.in_language("de") == "Die Entlassung liegt vor der Aufnahme."
    assert not found.doubts
    found = course(onset="2021-03-03", admission="2021-03-02", discharge="2021-03-02")
    assert [item.check for item in found.doubts] == ["onset-after-admission"]
    assert "check" not in {item.code for item in found.problems}


def test_every_check_of_a_shipped_template_is_said_in_german() -> None:
    checks = [check for form in templates().values() for item in form.walk() for check in item.checks]
    assert len(checks) > 20
    for check in checks:
        assert check.words.in_language("de") != check.words.text
