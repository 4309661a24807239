"""Tables of the archive's index and the statements that keep them.

Counts of a series and an imaging study change in the transaction that adds the instance, so a list never
computes them.  The metadata of a series is one blob: zstd frames of JSON lines, one frame per store call,
merged now and then.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy as sa
import zstandard
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import InstanceRow, SeriesFacts, SeriesRow
from racoon.node.archive.objects import uid_of_key
from racoon.platform.clock import now
from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")

UID = sa.String(64)

imaging_studies = sa.Table(
    "imaging_study",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("imaging_study_uid", UID, nullable=False, unique=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("patient_name", sa.String(256), nullable=False),
    sa.Column("patient_birth_date", sa.String(8), nullable=False),
    sa.Column("sex", sa.String(1), nullable=False),
    sa.Column("study_date", sa.String(8), nullable=False, index=True),
    sa.Column("study_time", sa.String(16), nullable=False),
    sa.Column("accession_number", sa.String(64), nullable=False, index=True),
    sa.Column("study_identifier", sa.String(64), nullable=False),
    sa.Column("description", sa.String(256), nullable=False),
    sa.Column("modalities", sa.String(128), nullable=False),
    sa.Column("series_count", sa.Integer, nullable=False),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("stored_at", UtcDateTime, nullable=False),
)

series = sa.Table(
    "image_series",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("series_uid", UID, nullable=False, unique=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("imaging_study.id"), nullable=False, index=True),
    sa.Column("imaging_study_uid", UID, nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("modality", sa.String(16), nullable=False),
    sa.Column("series_number", sa.BigInteger),
    sa.Column("description", sa.String(256), nullable=False),
    sa.Column("body_part", sa.String(64), nullable=False),
    sa.Column("laterality", sa.String(16), nullable=False),
    sa.Column("series_date", sa.String(8), nullable=False),
    sa.Column("series_time", sa.String(16), nullable=False),
    sa.Column("protocol_name", sa.String(256), nullable=False),
    sa.Column("performed_date", sa.String(8), nullable=False, server_default=""),
    sa.Column("performed_time", sa.String(16), nullable=False, server_default=""),
    sa.Column("manufacturer", sa.String(128), nullable=False),
    sa.Column("model", sa.String(128), nullable=False),
    sa.Column("kernel", sa.String(64), nullable=False),
    sa.Column("kvp", sa.Float),
    sa.Column("slice_thickness_mm", sa.Float),
    sa.Column("rows", sa.Integer),
    sa.Column("columns", sa.Integer),
    sa.Column("sex", sa.String(1), nullable=False),
    sa.Column("age_years", sa.Float),
    sa.Column("study_date", sa.String(8), nullable=False),
    sa.Column("has_contrast", sa.Boolean),
    sa.Column("segment_labels", Json, nullable=False),
    sa.Column("referenced_series_uid", UID, nullable=False, index=True),
    sa.Column("instance_count", sa.Integer, nullable=False),
    sa.Column("frame_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("stored_at", UtcDateTime, nullable=False),
    sa.Index("ix_image_series_modality_body_part", "modality", "body_part", "id"),
    sa.Index("ix_image_series_modality_study_id", "modality", "study_id"),
)

instances = sa.Table(
    "image_instance",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("sop_instance_uid", UID, nullable=False, unique=True),
    sa.Column("series_id", sa.Integer, sa.ForeignKey("image_series.id"), nullable=False),
    sa.Column("sop_class_uid", UID, nullable=False),
    sa.Column("instance_number", sa.BigInteger),
    sa.Column("rows", sa.Integer),
    sa.Column("columns", sa.Integer),
    sa.Column("frame_count", sa.Integer, nullable=False),
    sa.Column("transfer_syntax_uid", UID, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("object_key", sa.String(256), nullable=False),
    sa.Column("referenced_series_uid", UID, nullable=False),
    sa.Column("evidence", Json, nullable=False),
    sa.Index("ix_image_instance_series_id_instance_number", "series_id", "instance_number"),
)

blobs = sa.Table(
    "image_series_metadata",
    _METADATA,
    sa.Column("series_id", sa.Integer, sa.ForeignKey("image_series.id"), primary_key=True),
    sa.Column("parts", sa.Integer, nullable=False),
    sa.Column("blob", sa.LargeBinary, nullable=False),
)

deletions = sa.Table(
    "image_deletion",
    _METADATA,
    sa.Column("deletion_id", sa.String(32), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False, index=True),
    sa.Column("imaging_study_uid", UID, nullable=False),
    sa.Column("series_uid", UID, nullable=False),
    sa.Column("sop_instance_uid", UID, nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("requested_by", sa.String(80), nullable=False),
    sa.Column("requested_role", sa.String(200), nullable=False),
    sa.Column("requested_at", UtcDateTime, nullable=False),
    sa.Column("decided_by", sa.String(80), nullable=False),
    sa.Column("decided_role", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("items", Json, nullable=False),
    sa.Column("proof", Json),
    sa.Column("proof_hash", sa.String(64), nullable=False),
)
"""Kept when the index is rebuilt: it is the proof, not a copy of what the objects say."""

grants = sa.Table(
    "image_grant",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("user_name", sa.String(80), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("imaging_study_uid", UID, nullable=False),
    sa.Column("granted_by", sa.String(80), nullable=False),
    sa.Column("granted_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("user_name", "imaging_study_uid", "study_id"),
    sa.Index("ix_image_grant_user_name_study_id", "user_name", "study_id"),
)
"""Who may see which imaging study for which research study.  It names UIDs, not rows: a rebuild of the index keeps
it."""

TABLES = (blobs, instances, series, imaging_studies)
"""In the order in which they can be emptied."""

MERGE_AFTER_PARTS = 16
"""One store call per slice is the worst case; merging every 16th keeps the blob small and the work linear."""


def insert_new(connection: sa.Connection, table: sa.Table, row: dict[str, Any]) -> int | None:
    """Insert a row unless its key exists; return its id when it is new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(row).on_conflict_do_nothing().returning(table.c.id)
    found: int | None = connection.execute(statement).scalar()
    return found


def insert_new_instances(connection: sa.Connection, rows: Sequence[dict[str, Any]]) -> set[str]:
    """Insert those instances whose SOP Instance UID is not there; return the UIDs of the new ones."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(instances).on_conflict_do_nothing().returning(instances.c.sop_instance_uid)
    return set(connection.execute(statement, rows).scalars())


def known_contents(connection: sa.Connection, uids: Sequence[str]) -> dict[str, str]:
    """SHA-256 by SOP Instance UID of those that are in the index."""
    query = sa.select(instances.c.sop_instance_uid, instances.c.sha256).where(
        instances.c.sop_instance_uid.in_(uids)
    )
    return {row.sop_instance_uid: row.sha256 for row in connection.execute(query)}


def lock_series(connection: sa.Connection, series_uid: str) -> sa.Row[Any] | None:
    """Read a series row for change; on PostgreSQL other writers of this series wait."""
    return connection.execute(
        sa.select(series).where(series.c.series_uid == series_uid).with_for_update()
    ).one_or_none()


def lock_study(connection: sa.Connection, imaging_study_uid: str) -> sa.Row[Any] | None:
    """Read an imaging study row for change."""
    query = sa.select(imaging_studies).where(imaging_studies.c.imaging_study_uid == imaging_study_uid)
    return connection.execute(query.with_for_update()).one_or_none()


def load_study(connection: sa.Connection, imaging_study_uid: str) -> sa.Row[Any] | None:
    """Read an imaging study row."""
    query = sa.select(imaging_studies).where(imaging_studies.c.imaging_study_uid == imaging_study_uid)
    return connection.execute(query).one_or_none()


MOST_PARAMETERS = 500
"""UIDs in one statement; SQLite takes 32 766 parameters, and short statements stay in its cache."""


def keys_in_use(connection: sa.Connection, keys: Sequence[str]) -> dict[str, str]:
    """SHA-256 by key of those object keys that the index names; found by UID, which has an index."""
    found: dict[str, str] = {}
    for start in range(0, len(keys), MOST_PARAMETERS):
        wanted = set(keys[start : start + MOST_PARAMETERS])
        query = sa.select(instances.c.object_key, instances.c.sha256).where(
            instances.c.sop_instance_uid.in_(sorted({uid_of_key(key) for key in wanted}))
        )
        found |= {row.object_key: row.sha256 for row in connection.execute(query) if row.object_key in wanted}
    return found


def classes_in_study(
    connection: sa.Connection, imaging_study_uid: str, uids: Sequence[str]
) -> dict[str, str]:
    """SOP class by SOP Instance UID of those instances that are in an imaging study."""
    found: dict[str, str] = {}
    for start in range(0, len(uids), MOST_PARAMETERS):
        query = (
            sa.select(instances.c.sop_instance_uid, instances.c.sop_class_uid)
            .join(series, series.c.id == instances.c.series_id)
            .where(
                instances.c.sop_instance_uid.in_(uids[start : start + MOST_PARAMETERS]),
                series.c.imaging_study_uid == imaging_study_uid,
            )
        )
        found |= {row.sop_instance_uid: row.sop_class_uid for row in connection.execute(query)}
    return found


def series_in_study(connection: sa.Connection, imaging_study_uid: str) -> dict[str, str]:
    """Modality by UID of the series of an imaging study."""
    query = sa.select(series.c.series_uid, series.c.modality).where(
        series.c.imaging_study_uid == imaging_study_uid
    )
    return {row.series_uid: row.modality for row in connection.execute(query)}


def ensure_study(
    connection: sa.Connection, uid: str, pseudonym: str, attributes: dict[str, Any]
) -> sa.Row[Any]:
    """Return the imaging study's row, made from the first instance when it is new."""
    row = lock_study(connection, uid)
    if row is None:
        fresh = attributes | {
            "imaging_study_uid": uid,
            "pseudonym": pseudonym,
            "modalities": "",
            "series_count": 0,
            "instance_count": 0,
            "stored_at": now(),
        }
        insert_new(connection, imaging_studies, fresh)
        row = _require(lock_study(connection, uid))
    return row


def ensure_series(
    connection: sa.Connection, uid: str, study: sa.Row[Any], attributes: dict[str, Any]
) -> tuple[sa.Row[Any], bool]:
    """Return the series' row and whether it is new."""
    row = lock_series(connection, uid)
    if row is not None:
        return row, False
    fresh = attributes | {
        "series_uid": uid,
        "study_id": study.id,
        "imaging_study_uid": study.imaging_study_uid,
        "pseudonym": study.pseudonym,
        "sex": study.sex,
        "study_date": study.study_date,
        "segment_labels": [],
        "referenced_series_uid": "",
        "instance_count": 0,
        "frame_count": 0,
        "size_bytes": 0,
        "stored_at": now(),
    }
    is_new = insert_new(connection, series, fresh) is not None
    return _require(lock_series(connection, uid)), is_new


def _require(row: sa.Row[Any] | None) -> sa.Row[Any]:
    if row is None:
        raise LookupError("a row that was just written is not there")
    return row


def append_metadata(connection: sa.Connection, series_id: int, lines: bytes) -> None:
    """Add JSON lines to a series' blob as one more zstd frame; merge the frames now and then."""
    fresh = zstandard.compress(lines, level=6)
    row = connection.execute(sa.select(blobs).where(blobs.c.series_id == series_id)).one_or_none()
    if row is None:
        connection.execute(sa.insert(blobs).values(series_id=series_id, parts=1, blob=fresh))
        return
    parts, blob = row.parts + 1, row.blob + fresh
    if parts >= MERGE_AFTER_PARTS:
        parts, blob = 1, zstandard.compress(decompress(blob), level=6)
    connection.execute(sa.update(blobs).where(blobs.c.series_id == series_id).values(parts=parts, blob=blob))


def decompress(blob: bytes) -> bytes:
    """Expand all zstd frames of a blob."""
    with zstandard.ZstdDecompressor().stream_reader(blob, read_across_frames=True) as reader:
        return reader.read()


def load_metadata_lines(connection: sa.Connection, series_uid: str) -> Iterator[bytes]:
    """Return the stored JSON lines of a series, one per instance, in the order they came."""
    query = (
        sa.select(blobs.c.blob)
        .join(series, series.c.id == blobs.c.series_id)
        .where(series.c.series_uid == series_uid)
    )
    blob = connection.execute(query).scalar()
    if blob is not None:
        yield from decompress(blob).splitlines()


def facts_of(row: sa.Row[Any]) -> SeriesFacts:
    """Facts of a series row."""
    return SeriesFacts(
        series_uid=row.series_uid,
        imaging_study_uid=row.imaging_study_uid,
        pseudonym=Pseudonym(row.pseudonym),
        modality=row.modality,
        body_part=row.body_part,
        sex=row.sex,
        age_years=row.age_years,
        study_date_shifted=row.study_date,
        manufacturer=row.manufacturer,
        model=row.model,
        kvp=row.kvp,
        slice_thickness_mm=row.slice_thickness_mm,
        kernel=row.kernel,
        rows=row.rows,
        columns=row.columns,
        instance_count=row.instance_count,
        has_contrast=row.has_contrast,
        segment_labels=tuple(Code(*label) for label in row.segment_labels),
        referenced_series_uid=row.referenced_series_uid,
        description=row.description,
        series_number=row.series_number,
    )


def series_row_of(row: sa.Row[Any]) -> SeriesRow:
    """Translate a series row."""
    return SeriesRow(facts_of(row), row.frame_count, row.size_bytes, row.id)


def select_instances() -> sa.Select[Any]:
    """Select instances with the UIDs of their series and imaging study."""
    return sa.select(instances, series.c.series_uid, series.c.imaging_study_uid, series.c.pseudonym).join(
        series, series.c.id == instances.c.series_id
    )


def instance_row_of(row: sa.Row[Any]) -> InstanceRow:
    """Translate an instance row made by :func:`select_instances`."""
    return InstanceRow(
        sop_instance_uid=row.sop_instance_uid,
        sop_class_uid=row.sop_class_uid,
        series_uid=row.series_uid,
        imaging_study_uid=row.imaging_study_uid,
        pseudonym=Pseudonym(row.pseudonym),
        instance_number=row.instance_number,
        rows=row.rows,
        columns=row.columns,
        frame_count=row.frame_count,
        transfer_syntax_uid=row.transfer_syntax_uid,
        size_bytes=row.size_bytes,
        sha256=row.sha256,
        object_key=row.object_key,
    )
