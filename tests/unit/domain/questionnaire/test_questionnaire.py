"""Report templates and answers: what is asked, computed and wrong; what the subset lacks is refused."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.questionnaire import (
    Answered,
    BadAnswers,
    BadTemplate,
    Template,
    evaluate,
    initial_items,
    items_of,
    items_to_fhir,
    normal_items,
    template_of,
)
from racoon.node.reading.reports.catalogue import newest_template, templates

THORAX = "urn:racoon:questionnaire:thorax-short"
ABNORMAL = {"valueCoding": {"system": "http://snomed.info/sct", "code": "263654008"}}


def template(*items: dict[str, Any]) -> Template:
    return template_of({"resourceType": "Questionnaire", "url": "urn:t", "version": "1", "item": list(items)})


def question(link_id: str, kind: str = "boolean", **more: Any) -> dict[str, Any]:
    return {"linkId": link_id, "type": kind, "text": link_id, **more}


def answered(link_id: str, **value: Any) -> dict[str, Any]:
    return {"linkId": link_id, "answer": [value]}


def when(name: str, operator: str = "=", **value: Any) -> dict[str, Any]:
    return {"enableWhen": [{"question": name, "operator": operator, **value}]}


def problems(form: Template, items: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found = evaluate(form, items_of(form, items))
    return [(problem.path, problem.code) for problem in found.problems]


@pytest.mark.parametrize(
    "item",
    [
        question("a", "quantity"),
        question("a", "choice"),
        question("a", answerValueSet="urn:x"),
        question("a/b"),
        question("a", extension=[{"url": "urn:unknown", "valueString": "x"}]),
        question("a", "string", repeats=True),
        question("a", **when("nobody", answerBoolean=True)),
        question("a", enableWhen=[{"question": "a", "operator": "~", "answerBoolean": True}]),
        question(
            "a",
            "integer",
            extension=[
                {
                    "url": "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-calculatedExpression",
                    "valueExpression": {"language": "text/fhirpath", "expression": "1 + 1"},
                }
            ],
        ),
    ],
)
def test_what_the_subset_lacks_is_refused(item: dict[str, Any]) -> None:
    with pytest.raises(BadTemplate):
        template(item)


def test_two_items_of_one_name_are_refused() -> None:
    with pytest.raises(BadTemplate):
        template(question("a"), question("a"))


def test_a_hidden_answer_counts_for_nothing() -> None:
    form = template(
        question("smokes"),
        question("packs", "integer", required=True, **when("smokes", answerBoolean=True)),
        question("many", "string", required=True, **when("packs", ">", answerInteger=20)),
    )
    everything = [
        answered("smokes", valueBoolean=False),
        answered("packs", valueInteger=40),
        answered("many", valueString="why"),
    ]
    found = evaluate(form, items_of(form, everything))
    assert found.hidden == {"packs", "many"}
    assert [item.link_id for item in found.items] == ["smokes"]
    assert found.is_complete
    assert problems(form, [answered("smokes", valueBoolean=True)]) == [("packs", "required")]
    both = [answered("smokes", valueBoolean=True), answered("packs", valueInteger=40)]
    assert problems(form, both) == [("many", "required")]


@pytest.mark.parametrize(
    ("operator", "value", "given_", "is_asked"),
    [
        ("exists", {"answerBoolean": True}, {}, False),
        ("exists", {"answerBoolean": True}, {"valueInteger": 1}, True),
        ("exists", {"answerBoolean": False}, {}, True),
        ("=", {"answerInteger": 3}, {"valueInteger": 3}, True),
        ("!=", {"answerInteger": 3}, {"valueInteger": 3}, False),
        ("!=", {"answerInteger": 3}, {}, True),
        (">", {"answerInteger": 3}, {"valueInteger": 3}, False),
        (">=", {"answerInteger": 3}, {"valueInteger": 3}, True),
        ("<", {"answerInteger": 3}, {"valueInteger": 2}, True),
        ("<=", {"answerInteger": 3}, {}, False),
    ],
)
def test_operators(operator: str, value: dict[str, Any], given_: dict[str, Any], is_asked: bool) -> None:
    form = template(question("a", "integer"), question("b", **when("a", operator, **value)))
    found = evaluate(form, items_of(form, [answered("a", **given_)] if given_ else []))
    assert ("b" not in found.hidden) == is_asked


def test_conditions_look_into_the_same_instance_first() -> None:
    form = template(
        {
            **question("lesion", "group", repeats=True),
            "item": [
                question("big"),
                question("size", "decimal", required=True, **when("big", answerBoolean=True)),
            ],
        }
    )
    instances = [
        {"linkId": "lesion", "item": [answered("big", valueBoolean=True)]},
        {"linkId": "lesion", "item": [answered("big", valueBoolean=False)]},
        {"linkId": "lesion"},
    ]
    found = evaluate(form, items_of(form, instances))
    assert found.hidden == {"lesion[1]/size", "lesion[2]/size"}
    assert [problem.path for problem in found.problems] == ["lesion[0]/size"]
    assert len(found.items) == 3


def test_limits_options_and_counts_are_said_at_their_place() -> None:
    coding = {"system": "s", "code": "1"}
    form = template(
        question(
            "n",
            "integer",
            extension=[{"url": "http://hl7.org/fhir/StructureDefinition/maxValue", "valueInteger": 5}],
        ),
        question("c", "choice", answerOption=[{"valueCoding": coding}]),
        question("t", "string", maxLength=3),
        question("b"),
    )
    items = [
        answered("n", valueInteger=6),
        answered("c", valueCoding={"system": "s", "code": "2"}),
        answered("t", valueString="long"),
        {"linkId": "b", "answer": [{"valueBoolean": True}, {"valueBoolean": False}]},
    ]
    expected = [("n", "maximum"), ("c", "not_an_option"), ("t", "too_long"), ("b", "one_answer")]
    assert problems(form, items) == expected


@pytest.mark.parametrize(
    "item",
    [
        answered("nobody", valueBoolean=True),
        answered("b", valueInteger=1),
        answered("b", valueString="true"),
        answered("n", valueInteger=True),
        answered("n", valueDecimal=1.5),
        answered("g", valueBoolean=True),
        "b",
    ],
)
def test_answers_of_another_type_are_refused(item: Any) -> None:
    form = template(question("b"), question("n", "integer"), {**question("g", "group"), "item": []})
    with pytest.raises(BadAnswers):
        items_of(form, [item])


def test_shipped_templates_are_readable_and_german() -> None:
    assert len(templates()) >= 1
    for form in templates().values():
        for item in form.walk():
            assert item.words.text
            assert item.words.in_language("de"), item.link_id
            for option in item.options:
                assert option.words.in_language("de")


def test_a_normal_thorax_is_complete_and_normal_never_overwrites() -> None:
    form = newest_template(THORAX)
    assert evaluate(form, normal_items(form, initial_items(form))).is_complete
    said = items_of(form, [{"linkId": "rest", "item": [{"linkId": "bones", "answer": [ABNORMAL]}]}])
    found = evaluate(form, normal_items(form, said))
    assert [problem.path for problem in found.problems] == ["rest/bones-text"]


@given(st.lists(st.integers(0, 5), min_size=5, max_size=5))
def test_sum_of_the_lobes(scores: list[int]) -> None:
    form = newest_template(THORAX)
    lobes = ("ru", "rm", "rl", "lu", "ll")
    children = [
        answered(f"score-{lobe}", valueInteger=score) for lobe, score in zip(lobes, scores, strict=True)
    ]
    # What a client claims to have computed does not count.
    children.append(answered("score-sum", valueInteger=99))
    items = [
        {
            "linkId": "lungs",
            "item": [
                answered("opacities-present", valueBoolean=True),
                {"linkId": "opacities", "item": children},
            ],
        }
    ]
    found = evaluate(form, items_of(form, items))
    assert value_of(found.items, "score-sum") == sum(scores)
    # Evaluating again changes nothing, and nothing is lost on the way through FHIR.
    assert evaluate(form, found.items) == found
    assert items_of(form, items_to_fhir(form, found.items)) == found.items


def value_of(items: tuple[Answered, ...], link_id: str) -> object:
    for item in items:
        if item.link_id == link_id and item.answers:
            return item.answers[0].value
        if (found := value_of(item.items, link_id)) is not None:
            return found
    return None
