"""Tables of the clinical course, under the archive's pseudonyms: flat rows by kind, and each resource without what
could name a person.

A row's key is the token of the resource it came from, so taking the same resource again replaces its rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")

KEY = sa.String(80)
DAY = sa.String(40)
"""A FHIR date or dateTime as text: its precision is part of what it says."""


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        name,
        _METADATA,
        sa.Column("key", KEY, primary_key=True),
        sa.Column("resource_key", KEY, nullable=False, index=True),
        sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
        *columns,
    )


def _coded() -> list[sa.Column[Any]]:
    return [
        sa.Column("system", sa.String(160), nullable=False),
        sa.Column("code", sa.String(80), nullable=False, index=True),
        sa.Column("codings", Json, nullable=False),
    ]


subject = _table(
    "clinical_subject",
    sa.Column("gender", sa.String(10), nullable=False),
    sa.Column("birth_year", sa.String(4), nullable=False),
    sa.Column("is_deceased", sa.Boolean),
    sa.Column("died", DAY, nullable=False),
)

condition = _table(
    "clinical_condition",
    *_coded(),
    sa.Column("clinical_status", sa.String(40), nullable=False),
    sa.Column("verification_status", sa.String(40), nullable=False),
    sa.Column("onset", DAY, nullable=False),
    sa.Column("recorded", DAY, nullable=False),
    sa.Column("encounter_key", KEY, nullable=False),
)

observation = _table(
    "clinical_observation",
    *_coded(),
    sa.Column("is_laboratory", sa.Boolean, nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("effective", DAY, nullable=False),
    sa.Column("value_number", sa.Float),
    sa.Column("value_unit", sa.String(40), nullable=False),
    sa.Column("value_code", sa.String(80), nullable=False),
    sa.Column("value_boolean", sa.Boolean),
    sa.Column("interpretation", sa.String(40), nullable=False),
    sa.Column("encounter_key", KEY, nullable=False),
)

medication = _table(
    "clinical_medication",
    *_coded(),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("start", DAY, nullable=False),
    sa.Column("end", DAY, nullable=False),
    sa.Column("dose_number", sa.Float),
    sa.Column("dose_unit", sa.String(40), nullable=False),
    sa.Column("encounter_key", KEY, nullable=False),
)

procedure = _table(
    "clinical_procedure",
    *_coded(),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("start", DAY, nullable=False),
    sa.Column("end", DAY, nullable=False),
    sa.Column("encounter_key", KEY, nullable=False),
)

encounter = _table(
    "clinical_encounter",
    sa.Column("class_code", sa.String(40), nullable=False),
    sa.Column("codings", Json, nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("start", DAY, nullable=False),
    sa.Column("end", DAY, nullable=False),
)

consent_period = _table(
    "clinical_consent_period",
    sa.Column("policy", sa.String(80), nullable=False, index=True),
    sa.Column("is_permit", sa.Boolean, nullable=False),
    sa.Column("start", DAY, nullable=False),
    sa.Column("end", DAY, nullable=False),
    sa.Column("document", sa.String(120), nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("given", DAY, nullable=False),
)

resource = sa.Table(
    "clinical_resource",
    _METADATA,
    sa.Column("key", KEY, primary_key=True),
    sa.Column("kind", sa.String(40), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("imported_at", UtcDateTime, nullable=False),
)

imports = sa.Table(
    "clinical_import",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("started_at", UtcDateTime, nullable=False),
    sa.Column("finished_at", UtcDateTime, nullable=False),
    sa.Column("report", Json, nullable=False),
)

FLAT: Mapping[str, sa.Table] = {
    table.name: table
    for table in (subject, condition, observation, medication, procedure, encounter, consent_period)
}


def known_hashes(connection: sa.Connection, keys: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return (hash, pseudonym) of those resources that are there."""
    query = sa.select(resource.c.key, resource.c.content_hash, resource.c.pseudonym).where(
        resource.c.key.in_(list(keys))
    )
    return {row.key: (row.content_hash, row.pseudonym) for row in connection.execute(query)}


def load_contents(connection: sa.Connection, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the content of some resources by key."""
    query = sa.select(resource.c.key, resource.c.content).where(resource.c.key.in_(list(keys)))
    return {row.key: row.content for row in connection.execute(query)}


def replace_rows(
    connection: sa.Connection,
    resources: Sequence[dict[str, Any]],
    rows: Mapping[str, Sequence[dict[str, Any]]],
) -> None:
    """Write resources and their flat rows; rows that came from an earlier version of a resource go first."""
    if not resources:
        return
    keys = [item["key"] for item in resources]
    for table in FLAT.values():
        connection.execute(sa.delete(table).where(table.c.resource_key.in_(keys)))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(resource)
    changed = {name: statement.excluded[name] for name in resources[0] if name != "key"}
    connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=changed), list(resources))
    for name, found in rows.items():
        if found:
            connection.execute(dialect.insert(FLAT[name]).on_conflict_do_nothing(), list(found))


def save_report(connection: sa.Connection, report: dict[str, Any]) -> None:
    """Keep the report of an import."""
    connection.execute(sa.insert(imports).values(report))


def load_consents(
    connection: sa.Connection,
) -> Iterator[tuple[str, Pseudonym, int | None, dict[str, Any]]]:
    """Yield key, subject, year of birth where it is known, and content of every Consent."""
    years = {
        row.pseudonym: int(row.birth_year)
        for row in connection.execute(sa.select(subject.c.pseudonym, subject.c.birth_year))
        if row.birth_year.isdigit()
    }
    query = sa.select(resource.c.key, resource.c.pseudonym, resource.c.content).where(
        resource.c.kind == "Consent"
    )
    for row in connection.execute(query.order_by(resource.c.key)):
        yield row.key, Pseudonym(row.pseudonym), years.get(row.pseudonym), row.content


def load_deaths(
    connection: sa.Connection, subjects: Sequence[Pseudonym]
) -> dict[Pseudonym, tuple[bool | None, str]]:
    """Return whether subjects died and the shifted day; who is not there has no clinical record of the person."""
    found = {}
    for start in range(0, len(subjects), 500):
        query = sa.select(subject.c.pseudonym, subject.c.is_deceased, subject.c.died).where(
            subject.c.pseudonym.in_(list(subjects[start : start + 500]))
        )
        for row in connection.execute(query.order_by(subject.c.key)):
            found[Pseudonym(row.pseudonym)] = (row.is_deceased, row.died)
    return found


def load_last_days(connection: sa.Connection, subjects: Sequence[Pseudonym]) -> dict[Pseudonym, str]:
    """Return the last shifted day of an encounter of each subject."""
    found: dict[Pseudonym, str] = {}
    for start in range(0, len(subjects), 500):
        query = sa.select(encounter.c.pseudonym, encounter.c.start, encounter.c.end).where(
            encounter.c.pseudonym.in_(list(subjects[start : start + 500]))
        )
        for row in connection.execute(query):
            name = Pseudonym(row.pseudonym)
            found[name] = max(found.get(name, ""), row.end[:10], row.start[:10])
    return found


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove everything of a subject but the Consents, which say why; returns how many rows."""
    removed = sum(
        connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym)).rowcount
        for table in FLAT.values()
        if table is not consent_period
    )
    statement = sa.delete(resource).where(resource.c.pseudonym == pseudonym, resource.c.kind != "Consent")
    return removed + connection.execute(statement).rowcount


def load_reports(connection: sa.Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Return the last reports, newest first."""
    query = sa.select(imports).order_by(imports.c.id.desc()).limit(limit)
    return [
        {
            "started_at": row.started_at.isoformat(),
            "finished_at": row.finished_at.isoformat(),
            **row.report,
        }
        for row in connection.execute(query)
    ]


def count_rows(connection: sa.Connection) -> dict[str, int]:
    """Count the rows of every table."""
    return {
        name: int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
        for name, table in (*FLAT.items(), (resource.name, resource))
    }
