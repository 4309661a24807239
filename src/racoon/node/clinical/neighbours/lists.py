"""Cohort lists of a neighbouring network: taken in whole, and given back with what is here of whom.

A list is the network's state: taking it again replaces the one before.  What goes back names persons, sites and visits
in the network's words and counts imaging studies; no number of the hospital and no day is in it.
"""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.clinical import _listed
from racoon.node.clinical.neighbours.model import DATE_FORMATS, ListMapping
from racoon.node.clinical.spreadsheet import Refusals, Source, describe, iterate_rows
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database

REASONS: Mapping[str, str] = {
    "no_person": "The row names nobody.",
    "unknown_site": "The mapping does not know the site's code.",
    "unknown_visit": "The mapping does not know the visit.",
    "no_date": "The day is none.",
    "nobody_here": "Nobody here is known under the network's name of the person, and the row has no number.",
    "other_person": "The person has another number here than in an earlier row or list.",
    "twice": "The same visit of the person stands in the list twice.",
}
"""Why a row was not taken."""

Readable = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
ImagingDays = Callable[[sa.Connection, Collection[Pseudonym]], Mapping[Pseudonym, Mapping[str, int | None]]]
"""Returns of subjects their imaging studies with shifted days, counted from 0001-01-01."""


@dataclass
class ListReport:
    """What taking a list did, in counts."""

    rows: int = 0
    taken: int = 0
    other_sites: int = 0
    gone: int = 0
    refusals: Refusals = field(default_factory=Refusals)

    def as_json(self) -> dict[str, Any]:
        """Return the report for people and machines; lines, never what stood in them."""
        counts = {"rows": self.rows, "taken": self.taken, "other_sites": self.other_sites, "gone": self.gone}
        return counts | {"refused": self.refusals.counts.total(), "refused_cells": describe(self.refusals)}


def take_list(
    source: Source,
    mapping: ListMapping,
    site: str,
    database: Database,
    names: Pseudonymiser,
    *,
    limit_days: int = DEFAULT_DATE_SHIFT_DAYS,
) -> ListReport:
    """Take a network's list in the place of the one before; rows of other sites are counted and left.

    Parameters
    ----------
    source, mapping
        CSV file, or what is in it, and how it is read.
    site
        This site's code.
    database, names
        The node's own, and the door to who is who: the network's name of a person is linked there, sealed.
    limit_days
        Of the date shift in force.
    """
    report, found = ListReport(), dict[tuple[str, str], tuple[int, int | None]]()
    numbers: dict[str, PatientId] = {}
    for line, row in iterate_rows(source, mapping):
        report.rows += 1
        person, code = row[mapping.person], row[mapping.site]
        reason, column = "", mapping.person
        if code not in mapping.sites:
            reason, column = "unknown_site", mapping.site
        elif mapping.sites[code] != site:
            report.other_sites += 1
            continue
        visit = row[mapping.visit] if mapping.visit else ""
        day = _day(row[mapping.day]) if mapping.day and row[mapping.day] else None
        if not reason and not (person and len(person) <= 80):
            reason = "no_person"
        if not reason and mapping.visit and visit not in mapping.visits:
            reason, column = "unknown_visit", mapping.visit
        if not reason and mapping.day and row[mapping.day] and day is None:
            reason, column = "no_date", mapping.day
        key = (person, mapping.visits.get(visit, ""))
        if not reason and key in found:
            reason = "twice"
        number = PatientId(row[mapping.number]) if mapping.number and row[mapping.number] else None
        if not reason and number is not None and numbers.setdefault(person, number) != number:
            reason = "other_person"
        if reason:
            report.refusals.add(reason, column, line)
            continue
        found[key] = (line, day)
    people = _people(mapping.project, {person for person, _ in found}, numbers, names)
    rows = []
    for (person, visit), (line, day) in sorted(found.items()):
        known = people.get(person)
        if known is None or (
            person in numbers and names.pseudonym(numbers[person]) != names.pseudonym(known)
        ):
            report.refusals.add("nobody_here" if known is None else "other_person", mapping.person, line)
            continue
        shift = names.date_shift_days(known, limit_days=limit_days)
        rows.append(
            {
                "project": mapping.project,
                "person": person,
                "visit": visit,
                "pseudonym": str(names.pseudonym(known)),
                "day_number": None if day is None else day + shift,
            }
        )
    with database.begin() as connection:
        report.gone = _listed.replace(connection, mapping.project, rows)
    report.taken = len(rows)
    return report


def give_list(
    mapping: ListMapping, site: str, database: Database, readable: Readable, imaging_days: ImagingDays
) -> tuple[str, dict[str, int]]:
    """Write what is here of a project's list, in the network's words; who may not be read is left out.

    Returns
    -------
    tuple
        CSV, and counts.
    """
    with database.connect() as connection:
        rows = _listed.load(connection, mapping.project)
        may = allowed(connection, {Pseudonym(row["pseudonym"]) for row in rows}, readable)
        studies = imaging_days(connection, may)
    sites = {ours: theirs for theirs, ours in mapping.sites.items()}
    visits = {ours: theirs for theirs, ours in mapping.visits.items()}
    header = [mapping.person, mapping.site, *([mapping.visit] if mapping.visit else []), "imaging_studies"]
    text, counts = io.StringIO(), Counter[str](rows=0, with_images=0, left_out=0)
    writer = csv.writer(text, delimiter=mapping.separator, lineterminator="\n")
    writer.writerow(header)
    for row in rows:
        if row["pseudonym"] not in may:
            counts["left_out"] += 1
            continue
        days = studies.get(Pseudonym(row["pseudonym"]), {}).values()
        own = row["day_number"]
        near = [
            day for day in days if own is None or (day is not None and abs(day - own) <= mapping.window_days)
        ]
        named = [visits.get(row["visit"], "")] if mapping.visit else []
        writer.writerow([row["person"], sites[site], *named, len(near)])
        counts["rows"] += 1
        counts["with_images"] += bool(near)
    return text.getvalue(), dict(counts)


def allowed(connection: sa.Connection, subjects: Collection[Pseudonym], readable: Readable) -> set[Pseudonym]:
    """Return who of some subjects may be read."""
    wanted, found = sorted(subjects), set[Pseudonym]()
    for start in range(0, len(wanted), 500):
        column = _listed.listed.c.pseudonym
        query = sa.select(column).where(column.in_(wanted[start : start + 500]), readable(column))
        found |= {Pseudonym(name) for name in connection.execute(query).scalars()}
    return found


def _people(
    project: str, wanted: Collection[str], numbers: Mapping[str, PatientId], names: Pseudonymiser
) -> dict[str, PatientId]:
    """Find whose the network's names are; one that was linked before keeps its patient."""
    sources = {f"list/{project}/{person}": person for person in wanted}
    names.link({source: numbers[person] for source, person in sources.items() if person in numbers})
    return {sources[source]: number for source, number in names.linked_many(list(sources)).items()}


def _day(text: str) -> int | None:
    for pattern in DATE_FORMATS:
        try:
            return datetime.strptime(text, pattern).toordinal()  # noqa: DTZ007 -- a day has no zone
        except ValueError:
            continue
    return None
