"""Answers of reports, annotations, consents and the clinic's series as facts; what was there before is among them."""

from __future__ import annotations

from collections import defaultdict
from datetime import date

import sqlalchemy as sa
from alembic import op

from racoon.domain.consent import ConsentDocument, Provision, permitted_periods
from racoon.node.cohorts.facts import coded_answers, pacs_rows
from racoon.platform.database import Json, UtcDateTime

revision = "0225"
down_revision = "0221"
branch_labels = None
depends_on = None


def _text(name: str, length: int, *, nullable: bool = False) -> sa.Column[object]:
    return sa.Column(name, sa.String(length=length), nullable=nullable)


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "answer_fact",
        _text("report_id", 36),
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        _text("imaging_study_uid", 64),
        _text("pseudonym", 64),
        _text("template", 200),
        _text("question", 200),
        _text("system", 160),
        _text("code", 80),
        sa.PrimaryKeyConstraint("report_id", "number", name=op.f("pk_answer_fact")),
    )
    op.create_index("ix_answer_fact_question_code", "answer_fact", ["question", "code"])
    op.create_table(
        "annotation_fact",
        _text("key", 36),
        _text("imaging_study_uid", 64),
        _text("pseudonym", 64),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_annotation_fact")),
    )
    op.create_table(
        "consent_fact",
        _text("pseudonym", 64),
        _text("policy", 60),
        _text("first_day", 10),
        _text("last_day", 10),
        sa.Column("fresh_until", UtcDateTime()),
        sa.PrimaryKeyConstraint("pseudonym", "policy", "first_day", name=op.f("pk_consent_fact")),
    )
    op.create_index("ix_consent_fact_policy", "consent_fact", ["policy", "pseudonym"])
    op.create_table(
        "pacs_fact",
        _text("key", 80),
        _text("resource_key", 80),
        _text("series_uid", 64),
        _text("imaging_study_uid", 64),
        _text("pseudonym", 64),
        _text("modality", 16),
        sa.Column("day_number", sa.Integer()),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_pacs_fact")),
    )
    for table, columns in {
        "answer_fact": ("imaging_study_uid", "pseudonym"),
        "annotation_fact": ("imaging_study_uid", "pseudonym"),
        "pacs_fact": ("resource_key", "series_uid", "pseudonym", "modality"),
    }.items():
        for column in columns:
            op.create_index(op.f(f"ix_{table}_{column}"), table, [column])
    connection = op.get_bind()
    _fill_annotations(connection)
    _fill_answers(connection)
    _fill_consents(connection)
    _fill_series(connection)


def _fill_annotations(connection: sa.Connection) -> None:
    connection.execute(
        sa.text(
            "INSERT INTO annotation_fact (key, imaging_study_uid, pseudonym) "
            "SELECT f.finding_id, f.imaging_study_uid, f.pseudonym FROM reading_finding f "
            "WHERE NOT f.is_removed AND f.revision = "
            "(SELECT MAX(o.revision) FROM reading_finding o WHERE o.finding_id = f.finding_id)"
        )
    )
    connection.execute(
        sa.text(
            "INSERT INTO annotation_fact (key, imaging_study_uid, pseudonym) "
            "SELECT report_id, MIN(imaging_study_uid), MIN(pseudonym) FROM reading_report_version "
            "GROUP BY report_id"
        )
    )


def _fill_answers(connection: sa.Connection) -> None:
    version = sa.table(
        "reading_report_version",
        sa.column("report_id"),
        sa.column("version"),
        sa.column("kind"),
        sa.column("response", Json()),
        sa.column("pseudonym"),
        sa.column("imaging_study_uid"),
    )
    answer = _table(
        "answer_fact", "report_id number imaging_study_uid pseudonym template question system code"
    )
    query = sa.select(version).where(version.c.kind != "addendum").order_by(version.c.version)
    newest = {row.report_id: row for row in connection.execute(query)}
    for report_id, row in sorted(newest.items()):
        for values in coded_answers(row.response):
            connection.execute(
                answer.insert().values(
                    report_id=report_id,
                    imaging_study_uid=row.imaging_study_uid,
                    pseudonym=row.pseudonym,
                    **values,
                )
            )


def _fill_consents(connection: sa.Connection) -> None:
    document = sa.table(
        "consent_document",
        *(
            sa.column(name)
            for name in ("key", "pseudonym", "version", "domain", "given", "is_active", "born")
        ),
        sa.column("provisions", Json()),
        sa.column("fresh_until", UtcDateTime()),
    )
    fact = sa.table(
        "consent_fact",
        *(sa.column(name) for name in ("pseudonym", "policy", "first_day", "last_day")),
        sa.column("fresh_until", UtcDateTime()),
    )
    by_subject = defaultdict(list)
    for row in connection.execute(sa.select(document).order_by(document.c.key)):
        by_subject[row.pseudonym].append(row)
    for pseudonym, rows in sorted(by_subject.items()):
        papers = [
            ConsentDocument(
                row.key,
                row.version,
                row.domain,
                date.fromisoformat(row.given),
                bool(row.is_active),
                tuple(
                    Provision(policy, bool(permits), date.fromisoformat(start), date.fromisoformat(end))
                    for policy, permits, start, end in row.provisions
                ),
            )
            for row in rows
        ]
        born = min((date.fromisoformat(row.born) for row in rows if row.born), default=None)
        fresh_until = min((row.fresh_until for row in rows if row.fresh_until), default=None)
        for policy, first, last in permitted_periods(papers, born):
            connection.execute(
                fact.insert().values(
                    pseudonym=pseudonym,
                    policy=policy[:60],
                    first_day=first.isoformat(),
                    last_day=last.isoformat(),
                    fresh_until=fresh_until,
                )
            )


def _fill_series(connection: sa.Connection) -> None:
    study = _table("clinical_imaging_study", "resource_key status")
    series = _table(
        "clinical_imaging_series",
        "key resource_key pseudonym imaging_study_uid series_uid modality started",
    )
    rows = {
        table.name: [row._asdict() for row in connection.execute(sa.select(table))]
        for table in (study, series)
    }
    fact = _table("pacs_fact", "key resource_key series_uid imaging_study_uid pseudonym modality day_number")
    for values in pacs_rows(rows):
        connection.execute(fact.insert().values(values))


def _table(name: str, columns: str) -> sa.TableClause:
    return sa.table(name, *(sa.column(column) for column in columns.split()))


def downgrade() -> None:
    """Take back."""
    for table in ("pacs_fact", "consent_fact", "annotation_fact", "answer_fact"):
        op.drop_table(table)
