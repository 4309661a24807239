"""What people do with the work list: add, look, try again, clear; every change is audited, by number only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import sqlalchemy as sa

from racoon.node.intake.pull.model import PullItem, PullProtocol, PullState, Window
from racoon.node.intake.pull.worklist import WorkList
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


class PullOptions(Protocol):
    """The section of the settings that is shown beside the list."""

    @property
    def source(self) -> str:
        """Name or address of the PACS, empty when none is configured."""

    @property
    def window(self) -> str:
        """Hours of fetching."""

    @property
    def daily_limit(self) -> int:
        """Objects a day."""


class PullDesk:
    """The work list as people use it.

    Parameters
    ----------
    options
        Settings to show.
    folder
        Where the list lies.
    database, audit
        Where changes are recorded.
    """

    def __init__(self, options: PullOptions, folder: Path, database: Database, audit: AuditLog) -> None:
        self.options = options
        self._folder = folder
        self._database = database
        self._audit = audit

    @property
    def window(self) -> Window:
        """Hours of fetching."""
        return Window.parse(self.options.window)

    def items(self, state: PullState | None = None, limit: int = 500) -> list[PullItem]:
        """List items in the order in which they were added."""
        return self._work_list().items(*([state] if state else []), limit=limit)

    def counts(self) -> dict[PullState, int]:
        """Count items by state."""
        return self._work_list().counts()

    def objects_today(self) -> int:
        """Objects fetched since midnight (UTC)."""
        return self._work_list().objects_today()

    def protocols(self) -> list[PullProtocol]:
        """List the study protocols."""
        return self._work_list().protocols()

    def add(self, accession_numbers: Sequence[str], *, actor: str, actor_role: str) -> int:
        """Add accession numbers and return how many are new.

        Raises
        ------
        BadAccession
            If one is none; then nothing is added.
        """
        added = self._work_list().add(accession_numbers)
        self._record("pull.add", actor, actor_role, given=len(accession_numbers), added=added)
        return added

    def add_protocol(self, protocol: PullProtocol, *, actor: str, actor_role: str) -> None:
        """Keep a study protocol; the worker searches for it in the hours of fetching.

        Raises
        ------
        BadProtocol
            If there is one of this name.
        """
        self._work_list().add_protocol(protocol)
        self._record(
            "pull.protocol.add",
            actor,
            actor_role,
            name=protocol.name,
            modalities=list(protocol.modalities),
            first_day=protocol.first_day.isoformat(),
            last_day=protocol.last_day.isoformat(),
            description=protocol.description,
        )

    def remove_protocol(self, name: str, *, actor: str, actor_role: str) -> int:
        """Remove a study protocol; what it found stays on the list."""
        removed = self._work_list().remove_protocol(name)
        self._record("pull.protocol.remove", actor, actor_role, name=name, removed=removed)
        return removed

    def retry(self, *, actor: str, actor_role: str) -> int:
        """Let partial and refused items wait again, and ask again for protocols that were refused."""
        work_list = self._work_list()
        for protocol in work_list.protocols():
            if protocol.problem:
                work_list.save_protocol(replace(protocol, problem=""))
        again = work_list.retry()
        self._record("pull.retry", actor, actor_role, again=again)
        return again

    def clear(self, *, actor: str, actor_role: str, everything: bool = False) -> int:
        """Remove what is fetched, or everything, from the list."""
        removed = self._work_list().clear(everything=everything)
        self._record("pull.clear", actor, actor_role, removed=removed, everything=everything)
        return removed

    def _work_list(self) -> WorkList:
        return WorkList(self._folder)

    def _record(self, action: str, actor: str, actor_role: str, **details: object) -> None:
        with self._database.begin() as connection:
            self._append(connection, action, actor, actor_role, details)

    def _append(
        self, connection: sa.Connection, action: str, actor: str, actor_role: str, details: dict[str, object]
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action=action,
            target="pull/worklist",
            details=details,
        )


def lines_of(text: str) -> list[str]:
    """Read a list of accession numbers as people paste it: one a line, or with commas, semicolons or tabs."""
    return [part.strip() for part in _split(text) if part.strip()]


def _split(text: str) -> Iterable[str]:
    for line in text.splitlines():
        yield from line.replace(";", ",").replace("\t", ",").split(",")
