"""What the command prints: tables and progress for people, one JSON document for machines.

People read stdout and see progress on stderr; with ``--json`` stdout carries exactly one JSON document.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

if TYPE_CHECKING:
    from rich.progress import Progress

    from racoon.cli.failures import Failure

JsonFlag = Annotated[bool, Parameter(name="--json", negative="")]
"""The flag every command has: print one JSON document instead of text."""


def print_json(document: object) -> None:
    """Print one JSON document on stdout."""
    json.dump(document, sys.stdout, indent=2, ensure_ascii=False, default=str)
    sys.stdout.write("\n")
    sys.stdout.flush()


def print_line(text: str) -> None:
    """Print one line for a person; rich markup is allowed."""
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(text)


def print_facts(title: str, facts: Mapping[str, object]) -> None:
    """Print name and value, one pair a line."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2))
    for name, value in facts.items():
        table.add_row(f"[dim]{escape(name)}[/]", escape(str(value)))
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(title)}[/]")
    console.print(table)


def print_table(title: str, rows: Sequence[Mapping[str, object]]) -> None:
    """Print rows that have the same names as one table; numbers are rounded for the eye."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left")
    names = list(rows[0])
    for name in names:
        is_number = isinstance(rows[0][name], int | float)
        table.add_column(escape(name), justify="right" if is_number else "left")
    for row in rows:
        values = (row.get(name) for name in names)
        table.add_row(
            *(escape(f"{value:.4g}" if isinstance(value, float) else str(value)) for value in values)
        )
    Console(highlight=False).print(table)


def print_failure(failure: Failure, *, as_json: bool) -> None:
    """Print an error: one red line, or one JSON document."""
    if as_json:
        print_json(failure.as_json())
        return
    from rich.console import Console
    from rich.markup import escape

    Console(stderr=True, highlight=False, soft_wrap=True).print(f"[red]✗ {escape(failure.message)}[/]")


@contextmanager
def progress(*, quiet: bool = False) -> Iterator[Progress]:
    """Show a progress bar on stderr for work longer than a second; nothing when it is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=quiet or not console.is_terminal) as bar:
        yield bar
