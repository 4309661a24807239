"""What an operator does with FHIR at the console: write the archive as files, take the clinical course in.

Both may be done while the node runs; both are audited.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent, take_consents
from racoon.node.app.rooms import fhir_writing, open_archive, open_pseudonyms
from racoon.node.approvals.service import Approvals
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.service import Facade
from racoon.node.cohorts import service as cohorts
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

Progress = Callable[[int], None]


def export(
    config: Path, folder: Path, *, types: str = "", since: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """Write resources as NDJSON, one file a type; memory does not grow with their number.

    Parameters
    ----------
    config
        The node's TOML file.
    folder
        Where the files go.
    types
        Types separated by commas; all when empty.
    since
        Only what came or was computed since this instant, where the type knows it.
    progress
        Called with the number of resources written.
    """
    kinds = [kind.strip() for kind in types.split(",") if kind.strip()] or list(TYPES)
    searches = []
    for kind in kinds:
        dated = since and "_lastUpdated" in TYPES[kind].parameters if kind in TYPES else False
        searches.append(parse_search(kind, [("_lastUpdated", f"ge{since}")] if dated else []))
    settings, database = _opened(config)
    audit = AuditLog("node")
    written: dict[str, int] = {}
    try:
        facade = Facade(
            open_archive(settings, database),
            Approvals(
                audit,
                lambda _connection, _type, _message: None,
                Ed25519PrivateKey.generate(),  # this command decides nothing, it only names studies
                feasibility_enabled=False,
            ),
            fhir_writing(settings),
        )
        _record(database, audit, "fhir.export", "fhir/export", {"types": kinds, "since": since})
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = 0
        for search in searches:
            count = 0
            with (folder / f"{search.kind}.ndjson").open("w", encoding="utf-8") as file:
                for _, resource in facade.iterate(search):
                    file.write(json.dumps(resource, separators=(",", ":"), ensure_ascii=False) + "\n")
                    count, done = count + 1, done + 1
                    if progress is not None:
                        progress(done)
            written[search.kind] = count
    finally:
        database.dispose()
    return {"folder": str(folder), "written": written}


def import_files(
    config: Path, path: Path, *, live_hours: float | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Take the resources of a file or folder into the node's clinical tables.

    Parameters
    ----------
    config
        The node's TOML file.
    path
        File or folder.
    live_hours
        Consents not confirmed again within this time are denied; None where they do not age.
    progress
        Called with the number of resources read.
    """
    settings, database = _opened(config)
    names = open_pseudonyms(settings)
    try:
        importer = Importer(
            database,
            names,
            patient_systems=settings.fhir.patient_systems,
            shift_limit_days=settings.deid.in_force().date_shift_limit_days,
            on_stored=[cohorts.record_clinical],
        )
        report = importer.import_path(path, progress=progress)
        audit = AuditLog("node")
        _record(database, audit, "clinical.import", "clinical/import", report.counts())
        consent = open_consent(settings, database, audit, names=names)
        with database.begin() as connection:
            consents = take_consents(connection, consent, person(), OPERATOR, live_hours=live_hours)
    finally:
        names.close()
        database.dispose()
    return report.as_json() | {"consents": consents}


def _opened(config: Path) -> tuple[NodeSettings, Database]:
    settings = load_node_settings(config)
    prepare(settings)
    return settings, Database(settings.database)


def _record(database: Database, audit: AuditLog, action: str, target: str, details: dict[str, Any]) -> None:
    with database.begin() as connection:
        audit.append(
            connection, actor=person(), actor_role=OPERATOR, action=action, target=target, details=details
        )
