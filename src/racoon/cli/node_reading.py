"""``racoon node template`` and ``racoon node query``: report templates, and queries at fields of reports."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from cyclopts import App

from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table

templates = App(name="template", help="List, check, import and export report templates.")
queries = App(name="query", help="List queries at fields of reports, and enter answers.")


@templates.command
def lint(file: Path, /, *, json: JsonFlag = False) -> int:
    """Say what would be changed or lost if a template were imported; nothing is stored.

    Exit code 1 when something would be lost.

    Parameters
    ----------
    file
        FHIR Questionnaire (JSON) or IHE MRRT (HTML).
    json
        Print one JSON document.
    """
    from racoon.node.app.forms import lint_template

    found = lint_template(file)
    if json:
        print_json(found)
    else:
        _show_notes(found, f"{found['title']}: {found['questions']} questions")
    return 1 if any(note["loss"] for note in found["notes"]) else 0


@templates.command(name="list")
def list_templates(*, config: Path, json: JsonFlag = False) -> None:
    """List the templates of a node: shipped ones, drafts and released versions, with their quality level.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app import forms

    found = forms.list_templates(config)
    if json:
        print_json(found)
    else:
        print_table("Report templates", found)


@templates.command(name="import")
def import_template(file: Path, /, *, config: Path, name: str = "", json: JsonFlag = False) -> None:
    """Read a template into a new draft, with everything that was changed or lost; experts release it on the page.

    Parameters
    ----------
    file
        FHIR Questionnaire (JSON) or IHE MRRT (HTML).
    config
        TOML file of this node.
    name
        Name of the template where the file has no address of its own; the file's name when omitted.
    json
        Print one JSON document.
    """
    from racoon.node.app import forms

    found = forms.import_template(config, file, name)
    if json:
        print_json(found)
    else:
        _show_notes(found, f"{found['url']} version {found['version']}: {found['state']}")


@templates.command(name="export")
def export_template(
    url: str, /, *, config: Path, version: str = "", out: Path | None = None, json: JsonFlag = False
) -> None:
    """Write a template as a FHIR Questionnaire, to standard output or a file.

    Parameters
    ----------
    url
        Address of the template, as `racoon node template list` shows it.
    config
        TOML file of this node.
    version
        Version; the newest when omitted.
    out
        File to write.
    json
        Print one JSON document; without a file it is the template itself either way.
    """
    import json as json_text

    from racoon.node.app import forms

    document = forms.export_template(config, url, version)
    if out is None:
        print_json(document)
        return
    out.write_text(json_text.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    facts = {"url": document["url"], "version": document["version"], "file": str(out)}
    if json:
        print_json(facts)
    else:
        print_facts("Written", facts)


@queries.command(name="list")
def list_queries(
    *, config: Path, state: Literal["", "open", "answered", "closed"] = "open", json: JsonFlag = False
) -> None:
    """List queries at fields of reports, the newest first.

    Parameters
    ----------
    config
        TOML file of this node.
    state
        Which ones: `open`, `answered` or `closed`; empty for all.
    json
        Print one JSON document.
    """
    from racoon.node.app import forms

    found = forms.list_queries(config, state=state)
    if json:
        print_json(found)
    elif not found:
        print_line("No queries.")
    else:
        names = ("id", "pseudonym", "reader", "question", "text", "state", "answer")
        print_table("Queries", [{name: item[name] for name in names} for item in found])


@queries.command(name="answer")
def answer_query(query_id: str, text: str, /, *, config: Path, reader: str, json: JsonFlag = False) -> None:
    """Enter a reader's answer to a query; the audit names who entered it.

    Parameters
    ----------
    query_id
        Id, as `racoon node query list` shows it.
    text
        The answer.
    config
        TOML file of this node.
    reader
        Whose answer it is: the reader of the report.
    json
        Print one JSON document.
    """
    from racoon.node.app import forms

    found = forms.answer_query(config, query_id, text, reader)
    if json:
        print_json(found)
    else:
        print_facts("Answered", {name: found[name] for name in ("id", "reader", "text", "answer")})


def _show_notes(found: dict[str, Any], title: str) -> None:
    notes = found["notes"]
    if not notes:
        print_line(title)
        return
    print_table(
        title, [{"place": note["place"], "what": note["words"], "lost": note["loss"]} for note in notes]
    )
