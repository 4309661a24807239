"""Tables of the clinical course, under the archive's pseudonyms: flat rows by kind, and each resource without what
could name a person.

A row's key is the token of the resource it came from, so taking the same resource again replaces its rows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.clinical.flat import SEVERAL, tables_of
from racoon.platform.database import Json, UtcDateTime, metadata
from racoon.platform.rows import rewrite
from racoon.platform.texts import among

_METADATA = metadata("node")

KEY = sa.String(80)
DAY = sa.String(40)
"""A FHIR date or dateTime as text: its precision is part of what it says."""


def _table(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(
        name,
        _METADATA,
        sa.Column("key", KEY, primary_key=True),
        # Where a resource has one row, the row's key is the resource's.
        sa.Column("resource_key", KEY, nullable=False, index=name in SEVERAL),
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
    sa.Column("value_comparator", sa.String(2), nullable=False, server_default=""),
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

order = _table(
    "clinical_order",
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("accession", KEY, nullable=False, index=True),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("authored", DAY, nullable=False),
)
"""Orders that name their images: the study's UID as the archive has it, the accession number as a token."""

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

imaging_study = _table(
    "clinical_imaging_study",
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("modalities", Json, nullable=False),
    sa.Column("status", sa.String(40), nullable=False),
    sa.Column("started", DAY, nullable=False),
    sa.Column("series_count", sa.Integer, nullable=False),
    sa.Column("encounter_key", KEY, nullable=False),
)

imaging_series = _table(
    "clinical_imaging_series",
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("modality", sa.String(16), nullable=False),
    sa.Column("body_site", sa.String(40), nullable=False),
    sa.Column("laterality", sa.String(40), nullable=False),
    sa.Column("started", DAY, nullable=False),
    sa.Column("instance_count", sa.Integer),
)
"""Series as the clinic knows them; which of them the archive holds, a join by UID tells."""

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
    for table in (
        subject,
        condition,
        observation,
        medication,
        procedure,
        encounter,
        consent_period,
        imaging_study,
        imaging_series,
        order,
    )
}


def known_hashes(connection: sa.Connection, keys: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return (hash, pseudonym) of those resources that are there."""
    query = sa.select(resource.c.key, resource.c.content_hash, resource.c.pseudonym)
    found = connection.execute(query.where(among(resource.c.key, keys))) if keys else ()
    return {row.key: (row.content_hash, row.pseudonym) for row in found}


def load_contents(connection: sa.Connection, keys: Collection[str]) -> dict[str, dict[str, Any]]:
    """Return the content of some resources by key."""
    query = sa.select(resource.c.key, resource.c.content).where(among(resource.c.key, keys))
    return {row.key: row.content for row in connection.execute(query)} if keys else {}


def written(content: dict[str, Any]) -> tuple[str, str]:
    """Return a resource's content as the text that is kept, and the SHA-256 of it.

    Raises
    ------
    ValueError
        For a number that JSON has no word for.
    """
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text, hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def replace_rows(
    connection: sa.Connection,
    resources: Sequence[dict[str, Any]],
    rows: Mapping[str, Sequence[dict[str, Any]]],
    *,
    changed: Collection[str] | None = None,
) -> None:
    """Write resources and their flat rows; of one that was there before only what is different is written.

    Parameters
    ----------
    resources
        Rows of the table of resources; ``content`` as :func:`written` makes it.
    rows
        By name of the flat table.
    changed
        Keys of those that were there before, for the same subject; any may have been, for another one, when omitted.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    given: sa.ColumnElement[Any] = sa.bindparam("content", type_=sa.Text)
    if connection.dialect.name == "postgresql":
        given = sa.cast(given, postgresql.JSONB)
    same = [item for item in resources if changed is not None and item["key"] in changed]
    if same:
        # Of a subject that stays: columns with an index of their own are left alone.
        names = ("content_hash", "imported_at")
        values = {name: sa.bindparam(f"new_{name}", type_=resource.c[name].type) for name in names}
        update = sa.update(resource).where(resource.c.key == sa.bindparam("is_key"))
        connection.execute(
            update.values(content=given, **values),
            [
                {"is_key": item["key"], "content": item["content"]}
                | {f"new_{name}": item[name] for name in names}
                for item in same
            ],
        )
    if others := [item for item in resources if changed is None or item["key"] not in changed]:
        statement = dialect.insert(resource).values(content=given)
        replaced = {name: statement.excluded[name] for name in others[0] if name != "key"}
        connection.execute(statement.on_conflict_do_update(index_elements=["key"], set_=replaced), others)
    owned: dict[str, list[str]] = {}
    for item in resources if changed is None else same:
        for name in tables_of(item["kind"]):
            owned.setdefault(name, []).append(item["key"])
    for name in dict.fromkeys((*owned, *rows)):
        owner = FLAT[name].c.resource_key if name in SEVERAL else FLAT[name].c.key
        rewrite(connection, FLAT[name], owner, owned.get(name, ()), rows.get(name, ()))


def delete_rows(connection: sa.Connection, keys: Mapping[str, str]) -> None:
    """Remove the flat rows of some resources, which are named by key and kind."""
    owned: dict[str, list[str]] = {}
    for key, kind in keys.items():
        for name in tables_of(kind):
            owned.setdefault(name, []).append(key)
    for name, found in owned.items():
        owner = FLAT[name].c.resource_key if name in SEVERAL else FLAT[name].c.key
        connection.execute(sa.delete(FLAT[name]).where(among(owner, found)))


CACHE_KIB = 64 << 10
"""Pages of SQLite kept in memory while much is written: what keeps an import of any size flat."""


def prepare_for_much(connection: sa.Connection) -> None:
    """Let a connection keep more pages in memory, so that a batch does not write the same ones twice."""
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIB}")


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


def load_orders(
    connection: sa.Connection, imaging_study_uids: Sequence[str] | None = None
) -> list[sa.Row[Any]]:
    """Return the orders that name an imaging study, of some studies or all: pseudonym, study, state, day, accession."""
    query = sa.select(order).where(order.c.imaging_study_uid != "").order_by(order.c.key)
    if imaging_study_uids is None:
        return list(connection.execute(query))
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(imaging_study_uids), 500):
        chunk = list(imaging_study_uids[start : start + 500])
        rows += connection.execute(query.where(order.c.imaging_study_uid.in_(chunk)))
    return rows


def load_people(
    connection: sa.Connection, subjects: Collection[Pseudonym] | None = None
) -> dict[Pseudonym, tuple[str, str]]:
    """Return gender and year of birth of subjects with a Patient; of all when None."""
    query = sa.select(subject.c.pseudonym, subject.c.gender, subject.c.birth_year).order_by(subject.c.key)
    rows: list[Any] = []
    if subjects is None:
        rows += connection.execute(query)
    else:
        wanted = sorted(set(subjects))
        for start in range(0, len(wanted), 500):
            rows += connection.execute(query.where(subject.c.pseudonym.in_(wanted[start : start + 500])))
    return {Pseudonym(row.pseudonym): (row.gender, row.birth_year) for row in rows}


def load_birth_years(connection: sa.Connection, subjects: Sequence[Pseudonym]) -> dict[Pseudonym, int]:
    """Return years of birth of some subjects."""
    people = load_people(connection, subjects)
    return {name: int(year) for name, (_, year) in people.items() if year.isdigit()}


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
