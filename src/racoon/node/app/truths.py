"""Where this node looks up what a training is to learn of whole images: values it measured, answers of signed reports,
or a table its people put beside the study.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import Target
from racoon.learning.folders import BadFolder
from racoon.learning.label_tables import load_values
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_decisions
from racoon.node.archive.service import Archive
from racoon.node.compute.truths import LoadTruths, NoTruths, Truth
from racoon.node.measuring import service as measuring
from racoon.node.reading.reports.answer_columns import Readable, coded_answers
from racoon.node.reading.reports.asking import Answers
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically

Item = TypeVar("Item")

LABELS = "labels"
"""Folder of the tables, beside the prepared cases."""

AT_ONCE = 400
"""Series or subjects of one query; SQLite takes a limited number of parameters."""


def table_of_study(folder: Path, study_id: str) -> Path:
    """Return where the table of a study's labels lies at this node."""
    return folder / f"{content_hash(study_id)[:24]}.csv"


def open_truths(
    database: Database, archive: Archive, audit: AuditLog, readable: Readable, tables: Path
) -> LoadTruths:
    """Bring the sources together.

    Parameters
    ----------
    database, archive, audit
        The node's.
    readable
        Condition of ``consent``: answers of subjects who may not be read are no labels.
    tables
        Folder of the tables of labels.
    """

    def load(study_id: str, target: Target, manifest: DatasetManifest) -> Mapping[str, Sequence[Truth]]:
        if target.source == "table":
            return _tabled(table_of_study(tables, study_id), target, manifest)
        if target.source == "measured":
            with database.connect() as connection:
                return _measured(connection, study_id, target, manifest)
        Answers(database, audit, readable).catch_up()
        with database.connect() as connection:
            return _answered(connection, readable, target, manifest, archive)

    return load


def add_table(config: Path, study_id: str, source: Path, column: str) -> dict[str, Any]:
    """Put a table of labels beside a study; it replaces the one before and stays at this node.

    Parameters
    ----------
    config
        The node's TOML file.
    study_id
        A study this site has released.
    source
        CSV or TSV with a column ``subject`` (pseudonym) or ``image`` (series UID).
    column
        A column that has to be there.

    Returns
    -------
    dict
        ``study_id``, ``column`` and the number of ``values``.

    Raises
    ------
    BadFolder
        If it is no such table.
    """
    settings = load_node_settings(config)
    prepare(settings)
    values = load_values(source, Target("table", column))
    folder = settings.data_directory / "compute" / LABELS
    folder.mkdir(parents=True, exist_ok=True)
    audit = AuditLog("node", settings.release.policy().version)
    database = Database(settings.database)
    try:
        approvals = open_decisions(settings, audit)
        with database.begin() as connection:
            approvals.current(connection, study_id)
            audit.append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action="labels.added",
                target=f"study/{study_id}",
                purpose=study_id,
                details={"column": column, "values": len(values)},
            )
        write_atomically(table_of_study(folder, study_id), source.read_bytes())
    finally:
        database.dispose()
    return {"study_id": study_id, "column": column, "values": len(values)}


def forget_labels(folder: Path, names: Collection[str]) -> int:
    """Take the rows of a subject out of every table of labels.

    Parameters
    ----------
    folder
        Of the tables.
    names
        The pseudonym and the UIDs of the subject's series.

    Returns
    -------
    int
        Rows taken out.
    """
    removed = 0
    for path in sorted(folder.glob("*.csv")):
        head, *rows = path.read_text(encoding="utf-8-sig").splitlines()
        delimiter = max((",", ";", "\t"), key=head.count)
        kept = [row for row in rows if not {cell.strip(' "') for cell in row.split(delimiter)} & set(names)]
        if len(kept) < len(rows):
            removed += len(rows) - len(kept)
            write_atomically(path, "\n".join([head, *kept, ""]).encode())
    return removed


def _measured(
    connection: sa.Connection, study_id: str, target: Target, manifest: DatasetManifest
) -> Mapping[str, Sequence[Truth]]:
    found: dict[str, list[Truth]] = {}
    for uids in _parts([entry.series_uid for entry in manifest.series]):
        rows = measuring.load_values(connection, study_id=study_id, series_uids=uids, limit=None)
        newest = {row.series_uid: row for _, row in rows if row.measurement == target.name}
        for uid, row in newest.items():
            if row.valid and row.value is not None:
                found[uid] = [Truth(row.value, row.unit)]
    return found


def _answered(
    connection: sa.Connection,
    readable: Callable[[sa.ColumnElement[str]], sa.ColumnElement[bool]],
    target: Target,
    manifest: DatasetManifest,
    archive: Archive,
) -> Mapping[str, Sequence[Truth]]:
    """Look up the answers on each series' examination; ``TEMPLATE#LINK`` takes those of one template alone."""
    template, _, link = target.name.rpartition("#")
    by_study: dict[str, list[Truth]] = {}
    for subjects in _parts(sorted({entry.pseudonym for entry in manifest.series})):
        answers = coded_answers(
            connection,
            readable,
            link_ids=[link],
            templates_named=[template] if template else (),
            subjects=subjects,
        )
        for answer in answers:
            if answer.answer_code or answer.number is not None:
                value = answer.answer_code or float(answer.number or 0.0)
                unit = "" if answer.answer_code else answer.unit
                by_study.setdefault(answer.imaging_study_uid, []).append(Truth(value, unit))
    return {
        entry.series_uid: by_study.get(archive.series_row(entry.series_uid).facts.imaging_study_uid, [])
        for entry in manifest.series
    }


def _tabled(path: Path, target: Target, manifest: DatasetManifest) -> Mapping[str, Sequence[Truth]]:
    try:
        values = load_values(path, target)
    except BadFolder as error:
        raise NoTruths(f"This site's table of labels cannot be used: {error.public_message}") from error
    found: dict[str, list[Truth]] = {}
    for entry in manifest.series:
        value, unit = values.get(entry.series_uid) or values.get(entry.pseudonym) or ("", "")
        if value:
            found[entry.series_uid] = [Truth(value, unit)]
    return found


def _parts(items: Sequence[Item]) -> Iterable[Sequence[Item]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))
