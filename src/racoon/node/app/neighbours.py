"""Cohort lists and transfers of neighbouring networks, put together from the settings: for the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from racoon.errors import Refused
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent
from racoon.node.app.pushing import connection_to_server
from racoon.node.app.rooms import fhir_writing, open_pseudonyms
from racoon.node.clinical.neighbours.lists import give_list, take_list
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
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically


class NotOurList(Refused):
    """A mapping does not fit this node."""

    code: ClassVar[str] = "clinical.not_our_list"


def take(config: Path, path: Path, mapping_file: Path) -> dict[str, Any]:
    """Take a network's cohort list in the place of the one before."""
    settings, mapping, database = _opened(config, mapping_file)
    names = open_pseudonyms(settings)
    limit = settings.deid.in_force().date_shift_limit_days
    try:
        report = take_list(path, mapping, settings.site, database, names, limit_days=limit).as_json()
        _record(database, "clinical.list.take", mapping.project, _counts(report))
    finally:
        names.close()
        database.dispose()
    return {"project": mapping.project, **report}


def give(config: Path, out: Path, mapping_file: Path) -> dict[str, Any]:
    """Write what is here of whom on the list, in the network's words."""
    settings, mapping, database = _opened(config, mapping_file)
    try:
        consent = open_consent(settings, database, AuditLog("node"))
        text, counts = give_list(mapping, settings.site, database, consent.condition, cohorts.imaging_days)
        _record(database, "clinical.list.give", mapping.project, counts)
    finally:
        database.dispose()
    write_atomically(out, text.encode())
    return {"project": mapping.project, "file": str(out), **counts}


def send(config: Path, mapping_file: Path, types: Sequence[str], out: Path | None) -> dict[str, Any]:
    """Transfer the clinical course of a list's persons, to a file or to the FHIR server of the settings."""
    settings, mapping, database = _opened(config, mapping_file)
    if out is None and not settings.fhir.push_to:
        database.dispose()
        raise NotOurList("Name a file with --out, or set push_to in [fhir] of the node's settings.")
    names = open_pseudonyms(settings)
    consent = open_consent(settings, database, AuditLog("node"))
    source = f"{fhir_writing(settings).source}:{mapping.project}"

    def run(sender: BundleSender) -> dict[str, Any]:
        return dict(
            transfer(
                ListedSubjects(database, mapping.project, consent.condition),
                StoredCourse(database, types),
                ProjectNames(
                    names, mapping.project, limit_days=settings.deid.in_force().date_shift_limit_days
                ),
                sender,
            ).as_json()
        )

    try:
        if out is not None:
            report = run(FolderSender(out, source))
        else:
            with connection_to_server(settings, types) as (post, without):
                report = run(ServerSender(post, source, without))
        _record(database, "clinical.transfer", mapping.project, report)
    finally:
        names.close()
        database.dispose()
    return {"project": mapping.project, **report}


def _opened(config: Path, mapping_file: Path) -> tuple[NodeSettings, ListMapping, Database]:
    settings, mapping = load_node_settings(config), read_list_mapping(mapping_file)
    if settings.site not in mapping.sites.values():
        raise NotOurList(
            f"The mapping names no site code of the network for {settings.site}. Add it to 'sites'."
        )
    prepare(settings)
    return settings, mapping, Database(settings.database)


def _counts(report: dict[str, Any]) -> dict[str, int]:
    return {name: report[name] for name in ("rows", "taken", "other_sites", "gone", "refused")}


def _record(database: Database, action: str, project: str, details: dict[str, Any]) -> None:
    with database.begin() as connection:
        AuditLog("node").append(
            connection,
            actor=person(),
            actor_role=OPERATOR,
            action=action,
            target=f"list/{project}",
            purpose=project,
            details=details,
        )
