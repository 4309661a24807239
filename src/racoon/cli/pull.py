"""``racoon node pull …``: fetch examinations from the PACS by accession number or study protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, Parameter

from racoon.cli import failures
from racoon.cli.output import JsonFlag, print_facts, print_json, print_line, print_table, progress

app = App(name="pull", help="Fetch examinations from the PACS by accession number or study protocol.")
protocol = App(name="protocol", help="Say which examinations a study wants; the worker searches for them.")
app.command(protocol)

STOPPED_BY = {
    "done": "Everything on the list was tried.",
    "window": "The hours of fetching are over; the worker goes on when they begin again.",
    "daily_limit": "The daily limit is reached; the worker goes on tomorrow.",
    "unavailable": "The PACS does not answer; the worker tries again.",
    "asked": "Stopped.",
}


@app.command
def add(
    accession_numbers: Annotated[list[str] | None, Parameter(negative_iterable="")] = None,
    /,
    *,
    config: Path,
    file: Path | None = None,
    json: JsonFlag = False,
) -> None:
    """Add accession numbers to the work list; one that is there already stays as it is.

    Parameters
    ----------
    accession_numbers
        Accession numbers.
    config
        TOML file of this node.
    file
        Text file with one accession number a line; empty lines do not count.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    wanted = list(accession_numbers or [])
    if file is not None:
        wanted += [line for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    facts = pulling.add(config, wanted)
    if json:
        print_json(facts)
    else:
        print_facts("On the work list.", facts)


@app.command(name="list")
def list_items(
    *,
    config: Path,
    state: Literal["waiting", "fetched", "partial", "refused", "all"] = "all",
    json: JsonFlag = False,
) -> None:
    """Show the work list: waiting, fetched, partial or refused, with the reason.

    Parameters
    ----------
    config
        TOML file of this node.
    state
        Which items.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    items = pulling.list_items(config, state)
    if json:
        print_json(items)
    elif not items:
        print_line("The work list is empty.")
    else:
        names = ("accession_number", "protocol", "state", "received", "expected", "message")
        rows = [{name: "" if item[name] is None else item[name] for name in names} for item in items]
        print_table("Work list", rows)


@app.command
def run(*, config: Path, now: bool = False, json: JsonFlag = False) -> int:
    """Fetch what waits, in the configured hours and up to the daily limit; started again, it goes on.

    Parameters
    ----------
    config
        TOML file of this node.
    now
        Run outside the hours, too.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    with progress(quiet=json) as bar:
        task = bar.add_task("fetching", total=None)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        facts = pulling.run(config, now=now, progress=advance)
    if json:
        print_json(facts)
    else:
        print_facts(STOPPED_BY[facts["stopped_by"]], facts)
    if facts["stopped_by"] == "unavailable":
        return failures.UNAVAILABLE
    return failures.FAILED if facts["partial"] or facts["refused"] else failures.OK


@protocol.command(name="add")
def add_protocol(
    name: str,
    /,
    *,
    config: Path,
    modality: Annotated[list[str], Parameter(negative_iterable="")],
    first_day: str,
    last_day: str,
    description: str = "",
    json: JsonFlag = False,
) -> None:
    """Search the PACS for what a study wants and put it on the work list, in the hours of fetching.

    Parameters
    ----------
    name
        Name of the protocol; examinations on the work list carry it.
    config
        TOML file of this node.
    modality
        Modality such as CT; give it again for another one.
    first_day
        First day of the examinations, such as 2024-01-01.
    last_day
        Last day, included; days to come are searched when they are over.
    description
        Study description, with * for any text; every description without it.
    json
        Print one JSON document.
    """
    from datetime import date

    from racoon.node.app import pulling
    from racoon.node.intake.pull.model import BadProtocol, PullProtocol

    try:
        days = date.fromisoformat(first_day), date.fromisoformat(last_day)
    except ValueError as error:
        raise BadProtocol("A day is written as 2024-01-31.") from error
    facts = pulling.add_protocol(config, PullProtocol(name, tuple(modality), *days, description))
    if json:
        print_json(facts)
    else:
        print_facts("The worker searches for it.", facts)


@protocol.command(name="list")
def list_protocols(*, config: Path, json: JsonFlag = False) -> None:
    """Show the study protocols and how far their searches are.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    items = pulling.list_protocols(config)
    if json:
        print_json(items)
    elif not items:
        print_line("There is no study protocol.")
    else:
        rows = [item | {"modalities": ", ".join(item["modalities"])} for item in items]
        print_table("Study protocols", rows)


@protocol.command
def remove(name: str, /, *, config: Path, json: JsonFlag = False) -> None:
    """Remove a study protocol; what it found stays on the work list.

    Parameters
    ----------
    name
        Name of the protocol.
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    facts = pulling.remove_protocol(config, name)
    if json:
        print_json(facts)
    else:
        print_facts("Removed.", facts)


@app.command
def retry(*, config: Path, json: JsonFlag = False) -> None:
    """Let partial and refused items wait again.

    Parameters
    ----------
    config
        TOML file of this node.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    facts = pulling.retry(config)
    if json:
        print_json(facts)
    else:
        print_facts("They wait again.", facts)


@app.command
def clear(*, config: Path, everything: bool = False, json: JsonFlag = False) -> None:
    """Remove fetched items from the work list, so that their accession numbers are no longer kept.

    Parameters
    ----------
    config
        TOML file of this node.
    everything
        Remove all items.
    json
        Print one JSON document.
    """
    from racoon.node.app import pulling

    facts = pulling.clear(config, everything=everything)
    if json:
        print_json(facts)
    else:
        print_facts("Removed.", facts)
