"""The exchange with neighbouring networks, for its page and the command line: taken, given, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.node.clinical import _listed
from racoon.node.clinical.neighbours import _exchanges
from racoon.node.clinical.neighbours._exchanges import Direction
from racoon.node.clinical.neighbours.lists import ImagingDays, Readable, allowed, give_list, take_list
from racoon.node.clinical.neighbours.model import ListMapping
from racoon.node.clinical.spreadsheet import Source
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


class NotOurList(Refused):
    """A mapping does not fit this node."""

    code: ClassVar[str] = "clinical.not_our_list"


class NoSuchProject(Refused):
    """No list of the project was exchanged here."""

    code: ClassVar[str] = "clinical.no_such_project"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class Exchange:
    """The newest exchange in one direction.

    Parameters
    ----------
    done_at, done_by
        When, and who.
    counts, refused
        What it did; rows that were not taken, by reason and line.
    """

    done_at: datetime
    done_by: str
    counts: Mapping[str, Any]
    refused: list[dict[str, Any]]


@dataclass(frozen=True)
class Project:
    """One network's list at this node.

    Parameters
    ----------
    mapping
        How it was read last.
    rows, people, readable
        Rows on the list now, people on it, and how many of these may be read.
    taken, given, transferred
        The newest of each; None where there was none.
    """

    mapping: ListMapping
    rows: int
    people: int
    readable: int
    taken: Exchange | None
    given: Exchange | None
    transferred: Exchange | None


class NeighbourDesk:
    """Lists of neighbouring networks at one node.

    Parameters
    ----------
    database, audit
        The node's own.
    site
        This site's code.
    open_names
        Opens the door to who is who for as long as a list is taken.
    readable
        Who may be read now.
    imaging_days
        Imaging studies of subjects, with shifted days.
    limit_days
        Of the date shift in force.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        site: str,
        open_names: Callable[[], Pseudonymiser],
        readable: Readable,
        imaging_days: ImagingDays,
        *,
        limit_days: int = DEFAULT_DATE_SHIFT_DAYS,
    ) -> None:
        self._database, self._audit, self.site = database, audit, site
        self._open_names, self._readable, self._imaging_days = open_names, readable, imaging_days
        self._limit_days = limit_days

    def check(self, mapping: ListMapping) -> None:
        """Refuse a mapping that names no code of the network for this site.

        Raises
        ------
        NotOurList
        """
        if self.site not in mapping.sites.values():
            raise NotOurList(
                f"The mapping names no site code of the network for {self.site}. Add it to 'sites'."
            )

    def take(self, source: Source, mapping: ListMapping, *, actor: str, actor_role: str) -> dict[str, Any]:
        """Take a network's cohort list in the place of the one before; audited.

        Raises
        ------
        NotOurList, BadTable, BadMapping
        """
        self.check(mapping)
        names = self._open_names()
        try:
            report = take_list(
                source, mapping, self.site, self._database, names, limit_days=self._limit_days
            ).as_json()
        finally:
            names.close()
        counts = {name: report[name] for name in ("rows", "taken", "other_sites", "gone", "refused")}
        self.record("take", mapping, counts, actor, actor_role, report["refused_cells"])
        return {"project": mapping.project, **report}

    def give(self, mapping: ListMapping, *, actor: str, actor_role: str) -> tuple[str, dict[str, int]]:
        """Write what is here of whom on the list, in the network's words; audited.

        Raises
        ------
        NotOurList
        """
        self.check(mapping)
        text, counts = give_list(mapping, self.site, self._database, self._readable, self._imaging_days)
        self.record("give", mapping, counts, actor, actor_role)
        return text, counts

    def record(
        self,
        direction: Direction,
        mapping: ListMapping,
        counts: Mapping[str, Any],
        actor: str,
        actor_role: str,
        refused: list[dict[str, Any]] | None = None,
    ) -> None:
        """Keep what an exchange did, for the page and the audit."""
        action = {"take": "clinical.list.take", "give": "clinical.list.give", "transfer": "clinical.transfer"}
        with self._database.begin() as connection:
            content = mapping.model_dump(mode="json")
            _exchanges.record(connection, mapping.project, direction, actor, content, counts, refused or ())
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action=action[direction],
                target=f"list/{mapping.project}",
                purpose=mapping.project,
                details=dict(counts),
            )

    def mapping_of(self, project: str) -> ListMapping:
        """Return the mapping of a project's last exchange.

        Raises
        ------
        NoSuchProject
        """
        with self._database.connect() as connection:
            found = _exchanges.mapping_of(connection, project)
        if found is None:
            raise NoSuchProject(
                "No list of this project was exchanged here. Take one with its mapping first."
            )
        return ListMapping.model_validate(found)

    def projects(self) -> list[Project]:
        """List the projects, with what was exchanged last and how many of the list may be read."""
        with self._database.connect() as connection:
            found: dict[str, dict[str, dict[str, Any]]] = {}
            for row in _exchanges.newest(connection):
                found.setdefault(row["project"], {})[row["direction"]] = row
            return [self._project(connection, name, rows) for name, rows in found.items()]

    def _project(
        self, connection: sa.Connection, name: str, rows: Mapping[str, Mapping[str, Any]]
    ) -> Project:
        listed = _listed.load(connection, name)
        subjects = {row["pseudonym"] for row in listed}
        latest = max(rows.values(), key=lambda row: row["id"])
        return Project(
            ListMapping.model_validate(latest["mapping"]),
            len(listed),
            len(subjects),
            len(allowed(connection, subjects, self._readable)),
            *(_exchange(rows.get(direction)) for direction in ("take", "give", "transfer")),
        )


def _exchange(row: Mapping[str, Any] | None) -> Exchange | None:
    if row is None:
        return None
    return Exchange(row["done_at"], row["done_by"], row["counts"], list(row["refused"]))
