"""What an operator does with FHIR at the console: write the archive as files, take the clinical course in.

Both may be done while the node runs; both are audited.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import content_hash
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent, take_consents
from racoon.node.app.rooms import fhir_writing, open_archive, open_pseudonyms
from racoon.node.approvals.service import Approvals
from racoon.node.clinical import spreadsheet
from racoon.node.clinical.importing import Importer, preview
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.service import Facade
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import Found

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
        report = _importer(settings, database, names).import_path(path, progress=progress)
        audit = AuditLog("node")
        _record(database, audit, "clinical.import", "clinical/import", report.counts())
        consent = open_consent(settings, database, audit, names=names)
        with database.begin() as connection:
            consents = take_consents(connection, consent, person(), OPERATOR, live_hours=live_hours)
    finally:
        names.close()
        database.dispose()
    return report.as_json() | {"consents": consents}


def import_table(
    config: Path, path: Path, mapping_file: Path, *, preview_rows: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Take a spreadsheet into the node's clinical tables, or show what would be taken.

    Parameters
    ----------
    config
        The node's TOML file.
    path
        CSV file.
    mapping_file
        What stands in its columns.
    preview_rows
        Rows to show instead of taking any.
    progress
        Called with the number of resources read.
    """
    mapping = spreadsheet.read_mapping(mapping_file)
    settings = load_node_settings(config)
    system = next(iter(settings.fhir.patient_systems), "")
    refusals = spreadsheet.Refusals()
    facts = {"mapping": mapping.title, "mapping_hash": content_hash(mapping.model_dump(mode="json"))}
    if preview_rows:
        shown: list[Resource] = []
        for count, (line, row) in enumerate(spreadsheet.iterate_rows(path, mapping)):
            patient = spreadsheet.patient_of(row, line, mapping, system, refusals)
            found = list(spreadsheet.resources_of(row, line, mapping, refusals))
            if patient is not None and count < preview_rows:
                shown += preview(found, {patient["id"]: row[mapping.patient.number]})
        return facts | {"preview": shown, "refused_cells": spreadsheet.describe(refusals)}
    keeps_patients = bool(mapping.patient.birth_date or mapping.patient.gender)

    def resources() -> Iterator[Found]:
        # The source is read twice; what is wrong in it is counted once.
        refusals.clear()
        numbers: set[str] = set()
        for line, row in spreadsheet.iterate_rows(path, mapping):
            patient = spreadsheet.patient_of(row, line, mapping, system, refusals)
            if patient is not None and patient["id"] not in numbers:
                numbers.add(patient["id"])
                yield Found(f"{path.name}:{line}", patient)
            for resource in spreadsheet.resources_of(row, line, mapping, refusals):
                yield Found(f"{path.name}:{line}", resource)

    prepare(settings)
    database = Database(settings.database)
    names = open_pseudonyms(settings)
    try:
        report = _importer(settings, database, names).import_resources(
            resources, keep_patients=keeps_patients, progress=progress
        )
        details = report.counts() | facts | {"refused_cells": refusals.counts.total()}
        _record(database, AuditLog("node"), "clinical.import", "clinical/table", details)
    finally:
        names.close()
        database.dispose()
    return report.as_json() | facts | {"refused_cells": spreadsheet.describe(refusals)}


def _importer(settings: NodeSettings, database: Database, names: Pseudonymiser) -> Importer:
    return Importer(
        database,
        names,
        patient_systems=settings.fhir.patient_systems,
        shift_limit_days=settings.deid.in_force().date_shift_limit_days,
        on_stored=[cohorts.record_clinical],
    )


def _opened(config: Path) -> tuple[NodeSettings, Database]:
    settings = load_node_settings(config)
    prepare(settings)
    return settings, Database(settings.database)


def _record(database: Database, audit: AuditLog, action: str, target: str, details: dict[str, Any]) -> None:
    with database.begin() as connection:
        audit.append(
            connection, actor=person(), actor_role=OPERATOR, action=action, target=target, details=details
        )
