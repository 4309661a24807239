"""What is wrong with a plan is said in German too, names included."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Any

import pytest

from racoon.central.analysing.cells import CELLS, CELLS_WITH_NAMES, cell_text
from racoon.central.analysing.plan_sentences import problem_text
from racoon.central.analysing.report import sentence
from racoon.domain.analysis import parse_plan
from racoon.errors import Defect
from racoon.web.sentences import PLAN_SENTENCES, SITE_SENTENCES
from racoon.web.translation import translations
from racoon.web.words import words_of
from tests.unit.web.spoken import PACKAGE

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
        (
            COX | {"terms": ["after(age)"], "edges": [1.0, 2.0]},
            (
                "'after(age)' braucht genaue Zeiten, und über einem Raster weiß niemand, wann es innerhalb eines "
                "Intervalls umschaltet; lassen Sie die Grenzen weg, dann ist das Modell nach Standort geschichtet."
            ),
        ),
    ],
)
def test_names_stay_and_words_are_german(estimator: dict[str, Any], german: str) -> None:
    said = problem_of(estimator)
    assert problem_text(said, "en") == said
    assert problem_text(said, "de") == f"{estimator['title']}: {german}"


def test_every_sentence_is_in_the_catalogue() -> None:
    translate = translations("de").gettext
    assert [known for known in (*PLAN_SENTENCES, *SITE_SENTENCES) if translate(known) == known] == []


SPEAKING = (
    "domain/analysis/checks.py",
    "domain/analysis/expression.py",
    "domain/analysis/plan.py",
    "domain/analysis/terms.py",
    "central/analysing/writing.py",
    "node/analysing/http.py",
    "node/analysing/model.py",
    "node/analysing/service.py",
    "node/analysing/worker.py",
)


def said_by(place: str) -> Iterator[str]:
    """Yield a sentence for each error that a file makes, with words where names stand."""
    for node in ast.walk(ast.parse((PACKAGE / place).read_text(encoding="utf-8"))):
        call = (
            node.exc if isinstance(node, ast.Raise) else node.value if isinstance(node, ast.Return) else None
        )
        if not isinstance(call, ast.Call) or not call.args:
            continue
        made = ast.unparse(call.func)
        if not made.endswith(("Defect", "refuse", "NotMeasured", "BadAnalysisJob", "NoSuchPlan")):
            continue
        text = call.args[0]
        if isinstance(text, ast.Constant):
            yield str(text.value)
        elif isinstance(text, ast.JoinedStr):
            yield "".join(
                str(part.value)
                if isinstance(part, ast.Constant)
                else "ridge"
                if isinstance(part.value, ast.IfExp)
                else "'number'"
                if part.conversion == ord("r")
                else "number"
                for part in text.values
                if isinstance(part, (ast.Constant, ast.FormattedValue))
            )


@pytest.mark.parametrize("place", SPEAKING)
def test_every_error_of_a_plan_or_a_site_is_said_in_german(place: str) -> None:
    said = [text for text in said_by(place) if text not in {"number: number", "'number'"}]
    assert said
    assert [text for text in said if problem_text(text, "de") == text] == []


def test_what_a_site_lacks_is_said_in_german_wherever_it_arrives() -> None:
    missing = "This site has not measured volume@1 SCT:1 on the frozen dataset; measure first."
    german = (
        "Dieser Standort hat volume@1 SCT:1 am eingefrorenen Datensatz nicht gemessen; messen Sie zuerst."
    )
    assert words_of("de")(missing) == german
    assert words_of("en")(missing) == missing
    assert sentence(f"Left in round 1: {missing}", "de") == f"Ausgeschieden in Runde 1: {german}"
    wrong = "This round can't be computed here: the column age must hold finite numbers."
    assert words_of("de")(wrong) == (
        "Diese Runde lässt sich hier nicht rechnen: die Spalte age darf nur endliche Zahlen enthalten."
    )
    assert sentence("Not computed: these columns do not vary: age.", "de").endswith("variieren nicht: age.")


def test_what_no_pattern_knows_is_said_as_it_is() -> None:
    assert problem_text("Something else: with a colon.", "de").startswith("Something else")
    assert problem_text("", "de") == ""


def test_every_word_of_a_cell_is_german_and_names_of_the_plan_stay() -> None:
    translate = translations("de").gettext
    assert [known for known in (*CELLS.values(), *CELLS_WITH_NAMES) if translate(known) == known] == []
    assert cell_text("all", "de") == "alle"
    assert cell_text("all", "en") == "all"
    assert cell_text("effect", "de", {"effect"}) == "effect"
    assert cell_text("without ALPHA", "de") == "ohne ALPHA"
    assert cell_text("abnormal liver, abnormal fat", "de") == "auffällig liver, auffällig fat"
