"""``racoon node answers``: counts, cross tables and files of what readers signed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from racoon.cli.output import JsonFlag, print_facts, print_json, print_table

app = App(name="answers", help="Ask the answers of all signed reports: counts, cross tables, files.")

From = Annotated[float | None, Parameter(name="--from")]
To = Annotated[float | None, Parameter(name="--to")]


@app.command
def questions(*, config: Path, json: JsonFlag = False) -> None:
    """List the questions that were answered, with their numbers.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.answering import list_questions

    found = list_questions(config)
    if json:
        print_json(found)
        return
    print_table(
        "Questions", [{name: row[name] for name in ("id", "text", "code", "answers")} for row in found]
    )


@app.command
def count(
    question: int, /, *, config: Path, low: From = None, high: To = None, json: JsonFlag = False
) -> None:
    """Count the coded answers to a question, and describe its numbers.

    Parameters
    ----------
    question
        Number of the question, as `racoon node answers questions` lists it.
    config
        TOML file of this node.
    low
        Only answers with numbers from here on.
    high
        Only answers with numbers up to here.
    json
        Print one JSON document.
    """
    from racoon.node.app.answering import count_answers

    found = count_answers(config, question, low, high)
    if json:
        print_json(found)
        return
    print_table(
        "Answers", [{name: row[name] for name in ("text", "code", "number")} for row in found["answers"]]
    )
    print_facts("Numbers", found["numbers"])


@app.command
def cross(first: int, second: int, /, *, config: Path, json: JsonFlag = False) -> None:
    """Cross two questions of the same reports.

    Parameters
    ----------
    first
        Number of the question whose answers stand at the left.
    second
        Number of the question whose answers stand above.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app.answering import cross_answers

    found = cross_answers(config, first, second)
    if json:
        print_json(found)
        return
    print_table("Cross table", found)


@app.command
def export(
    file: Path,
    /,
    *,
    config: Path,
    question: list[int] | None = None,
    low: From = None,
    high: To = None,
    form: Annotated[Literal["csv", "json", "parquet"], Parameter(name="--as")] = "csv",
    json: JsonFlag = False,
) -> None:
    """Write answers to a file, one row per answer; it stays in the hospital.

    Parameters
    ----------
    file
        Where to write it.
    config
        TOML file of this node.
    question
        Number of a question; may be given several times; all without it.
    low
        Only answers with numbers from here on.
    high
        Only answers with numbers up to here.
    form
        Kind of file: `csv`, `json` (a document per line) or `parquet`.
    json
        Print one JSON document.
    """
    from racoon.node.app.answering import export_answers

    written = export_answers(config, file, form, question or [], low, high)
    if json:
        print_json({"file": str(file), "bytes": written})
        return
    print_facts("Answers", {"file": str(file), "bytes": written})
