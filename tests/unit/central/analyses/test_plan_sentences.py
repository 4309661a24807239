"""What is wrong with a plan is said in German too, names included."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.central.analysing.plan_sentences import PLAN_PATTERNS, problem_text
from racoon.domain.analysis import parse_plan
from racoon.errors import Defect
from racoon.web.translation import translations

COX = {
    "estimator": "cox",
    "title": "Death",
    "time": "age",
    "event": "dead",
    "terms": ["age"],
    "edges": [],
    "ties": "efron",
}
COMPARE = {"estimator": "comparison", "title": "Sex", "variable": "age", "by": "sex", "test": "welch"}


def problem_of(*estimators: dict[str, Any], **changed: Any) -> str:
    variables = [
        {"name": "age", "kind": "number", "unit": "a"},
        {"name": "dead", "kind": "truth"},
        {"name": "sex", "kind": "category", "levels": ["f", "m", "d"]},
    ]
    document = {
        "kind": "analysis",
        "name": "Plan",
        "variables": variables,
        "estimators": list(estimators),
        "subgroups": [],
        "minimum_sites": 3,
        **changed,
    }
    with pytest.raises(Defect) as caught:
        parse_plan(document)
    return caught.value.public_message


@pytest.mark.parametrize(
    ("estimator", "german"),
    [
        (COX | {"terms": ["height"]}, "Der Plan hat keine Variable 'height'."),
        (COX | {"event": "sex"}, "sex muss von der Art ja/nein sein."),
        (COX | {"variance": "bold"}, "Die Varianz: eines von model, robust, clustered, nicht 'bold'."),
        (
            COX | {"variance": "clustered"},
            "Eine geclusterte Varianz, und nur sie, nennt die Variable der Cluster.",
        ),
        (
            COX | {"terms": ["after(age)"], "variance": "robust"},
            "Kovariaten, die sich mit der Zeit einschalten, gehen mit der Varianz 'model'.",
        ),
        (COMPARE, "welch vergleicht genau zwei Gruppen."),
    ],
)
def test_names_stay_and_words_are_german(estimator: dict[str, Any], german: str) -> None:
    said = problem_of(estimator)
    assert problem_text(said, "en") == said
    assert problem_text(said, "de") == f"{estimator['title']}: {german}"


def test_every_sentence_is_in_the_catalogue() -> None:
    translate = translations("de").gettext
    assert [known for _, known in PLAN_PATTERNS if translate(known) == known] == []


def test_what_no_pattern_knows_is_said_as_it_is() -> None:
    assert problem_text("Something else: with a colon.", "de").startswith("Something else")
    assert problem_text("", "de") == ""
