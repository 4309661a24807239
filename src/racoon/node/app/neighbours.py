"""Cohort lists and transfers of neighbouring networks, put together from the settings: for the command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent
from racoon.node.app.pushing import connection_to_server
from racoon.node.app.rooms import fhir_writing, open_pseudonyms
from racoon.node.clinical.neighbours.desk import NeighbourDesk, NotOurList
from racoon.node.clinical.neighbours.model import ListMapping, read_list_mapping
from racoon.node.clinical.neighbours.transfer import (
    BundleSender,
    FolderSender,
    ListedSubjects,
    ProjectNames,
    ServerSender,
    StoredCourse,
    transfer,
)
from racoon.node.cohorts import service as cohorts
from racoon.node.consent.service import Consent
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically


def open_neighbours(
    settings: NodeSettings, database: Database, audit: AuditLog, consent: Consent
) -> NeighbourDesk:
    """Make what takes and gives lists."""
    return NeighbourDesk(
        database,
        audit,
        settings.site,
        lambda: open_pseudonyms(settings),
        consent.condition,
        cohorts.imaging_days,
        limit_days=settings.deid.in_force().date_shift_limit_days,
    )


def take(config: Path, path: Path, mapping_file: Path) -> dict[str, Any]:
    """Take a network's cohort list in the place of the one before."""
    with _opened(config, mapping_file) as (_, mapping, _database, desk):
        return desk.take(path, mapping, actor=person(), actor_role=OPERATOR)


def give(config: Path, out: Path, mapping_file: Path) -> dict[str, Any]:
    """Write what is here of whom on the list, in the network's words."""
    with _opened(config, mapping_file) as (_, mapping, _database, desk):
        text, counts = desk.give(mapping, actor=person(), actor_role=OPERATOR)
    write_atomically(out, text.encode())
    return {"project": mapping.project, "file": str(out), **counts}


def send(config: Path, mapping_file: Path, types: Sequence[str], out: Path | None) -> dict[str, Any]:
    """Transfer the clinical course of a list's persons, to a file or to the FHIR server of the settings."""
    with _opened(config, mapping_file) as (settings, mapping, database, desk):
        if out is None and not settings.fhir.push_to:
            raise NotOurList("Name a file with --out, or set push_to in [fhir] of the node's settings.")
        names = open_pseudonyms(settings)
        consent = open_consent(settings, database, AuditLog("node"))
        source = f"{fhir_writing(settings).source}:{mapping.project}"

        def run(sender: BundleSender) -> dict[str, Any]:
            limit = settings.deid.in_force().date_shift_limit_days
            return dict(
                transfer(
                    ListedSubjects(database, mapping.project, consent.condition),
                    StoredCourse(database, types),
                    ProjectNames(names, mapping.project, limit_days=limit),
                    sender,
                ).as_json()
            )

        try:
            if out is not None:
                report = run(FolderSender(out, source))
            else:
                with connection_to_server(settings, types) as (post, without):
                    report = run(ServerSender(post, source, without))
        finally:
            names.close()
        desk.record("transfer", mapping, report, person(), OPERATOR)
    return {"project": mapping.project, **report}


@contextmanager
def _opened(
    config: Path, mapping_file: Path
) -> Iterator[tuple[NodeSettings, ListMapping, Database, NeighbourDesk]]:
    settings, mapping = load_node_settings(config), read_list_mapping(mapping_file)
    prepare(settings)
    database = Database(settings.database)
    try:
        audit = AuditLog("node")
        desk = open_neighbours(settings, database, audit, open_consent(settings, database, audit))
        desk.check(mapping)
        yield settings, mapping, database, desk
    finally:
        database.dispose()
