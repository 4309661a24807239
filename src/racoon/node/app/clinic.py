"""What an operator does with FHIR at the console: write the archive as files, take the clinical course in.

Both may be done while the node runs; both are audited.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import load_usable, open_consent, take_consents
from racoon.node.app.rooms import fhir_writing, open_archive, open_pseudonyms
from racoon.node.app.trusting import open_identity_link
from racoon.node.approvals.service import Approvals
from racoon.node.archive.service import Archive
from racoon.node.clinical import removing
from racoon.node.clinical.disclosing import Disclosing
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.reviewing import ReviewedIdentities
from racoon.node.clinical.service import Facade
from racoon.node.clinical.snapshots import write_snapshot
from racoon.node.clinical.trust.model import IdentityLink
from racoon.node.clinical.validating import OfficialValidator, RuleTables
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.reading.findings.service import Findings
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import iterate_resources
from racoon.standards.fhir.versions import VERSIONS

Progress = Callable[[int], None]

LISTED = 1000


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
        search = parse_search(kind, [("_lastUpdated", f"ge{since}")] if dated else [])
        searches.append(replace(search, with_reports=True))
    settings, database = _opened(config)
    audit = AuditLog("node")
    written: dict[str, int] = {}
    try:
        facade = facade_of(open_archive(settings, database), settings, database, audit)
        _record(database, audit, "fhir.export", "fhir/export", {"types": kinds, "since": since})
        told = Disclosing(audit, person(), OPERATOR)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        done = 0
        for search in searches:
            count = 0
            with (folder / f"{search.kind}.ndjson").open("w", encoding="utf-8") as file:
                found = (resource for _, resource in facade.iterate(search))
                for resource in told.stream(database, "fhir/folder", found):
                    file.write(json.dumps(resource, separators=(",", ":"), ensure_ascii=False) + "\n")
                    count, done = count + 1, done + 1
                    if progress is not None:
                        progress(done)
            written[search.kind] = count
    finally:
        database.dispose()
    return {"folder": str(folder), "written": written}


def open_validator(settings: NodeSettings) -> RuleTables | OfficialValidator:
    """Open what checks resources: the official validator where the site has it, else the rule tables."""
    options = settings.fhir
    if options.validator_jar is None:
        return RuleTables(VERSIONS[options.profiles])
    return OfficialValidator(
        options.validator_jar, options.validator_java, options.validator_packages, options.validator_timeout_s
    )


def validate(config: Path, path: Path | None, *, count: int = 20) -> dict[str, Any]:
    """Check files, or some of what the node would give out.

    Parameters
    ----------
    config
        The node's TOML file.
    path
        File or folder; None for the node's own resources.
    count
        Resources of each type that are looked at, of the node's own.
    """
    settings = load_node_settings(config)
    if path is not None:
        resources = [found.resource for found in iterate_resources(path) if found.resource is not None]
    else:
        settings, database = _opened(config)
        try:
            audit = AuditLog("node")
            facade = facade_of(open_archive(settings, database), settings, database, audit)
            _record(database, audit, "fhir.export", "fhir/validate", {"types": list(TYPES), "count": count})
            resources = [
                resource
                for kind in TYPES
                for _, resource in islice(
                    facade.iterate(replace(parse_search(kind, []), with_reports=True)), count
                )
            ]
        finally:
            database.dispose()
    verdict = open_validator(settings).validate(resources)
    findings = [
        {"resource": f"{item['resourceType']}/{item.get('id', '')}", **issue.to_dict()}
        for item, issues in zip(resources, verdict.issues, strict=True)
        for issue in issues
    ]
    return {
        "checked_by": verdict.checked_by,
        "resources": len(resources),
        "errors": verdict.errors,
        "warnings": sum(item["severity"] == "warning" for item in findings),
        "findings": findings[:LISTED],
    }


def facade_of(archive: Archive, settings: NodeSettings, database: Database, audit: AuditLog) -> Facade:
    """Build the facade of a command; it decides nothing, it only names studies."""
    approvals = Approvals(
        audit,
        lambda _connection, _type, _message: None,
        Ed25519PrivateKey.generate(),
        feasibility_enabled=False,
    )
    findings = Findings(database, audit, archive)
    return Facade(archive, approvals, fhir_writing(settings), findings=findings, audit=audit)


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
        report = open_importer(settings, database, names).import_path(path, progress=progress)
        audit = AuditLog("node")
        _record(database, audit, "clinical.import", "clinical/import", report.counts())
        consent = open_consent(settings, database, audit, names=names)
        with database.begin() as connection:
            consents = take_consents(connection, consent, person(), OPERATOR, live_hours=live_hours)
    finally:
        names.close()
        database.dispose()
    return report.as_json() | {"consents": consents}


def write_dataset_tables(config: Path, study_id: str, dataset_hash: str, folder: Path) -> dict[str, Any]:
    """Write the clinical course of a frozen dataset's subjects as Parquet; who may not be used is left out.

    Returns
    -------
    dict
        The manifest that lies beside the files.
    """
    settings, database = _opened(config)
    audit = AuditLog("node")
    names = open_pseudonyms(settings)
    try:
        consent = open_consent(settings, database, audit, names=names)
        with database.connect() as connection:
            usable = load_usable(connection, consent, study_id, dataset_hash)
            manifest = write_snapshot(
                connection,
                sorted({entry.pseudonym for entry in usable.series}),
                folder,
                {
                    "study_id": study_id,
                    "dataset_hash": dataset_hash,
                    "written_at": clock.now().isoformat(timespec="seconds"),
                },
            )
        counts = {name: table["rows"] for name, table in manifest["tables"].items()}
        details = {"study_id": study_id, "subjects": manifest["subjects"], "rows": counts}
        _record(database, audit, "clinical.snapshot", f"dataset/{dataset_hash[:16]}", details)
    finally:
        names.close()
        database.dispose()
    return manifest | {"folder": str(folder)}


def list_removed(config: Path, limit: int) -> tuple[list[dict[str, Any]], list[Resource]]:
    """Return what was taken out because the clinic deleted it, as rows for people and as FHIR Provenance."""
    _, database = _opened(config)
    try:
        with database.connect() as connection:
            found = removing.load_removals(connection, limit)
    finally:
        database.dispose()
    rows = [
        {
            "when": row["removed_at"].isoformat(timespec="seconds"),
            "resource": f"{row['kind']}/{row['key']}",
            "subject": row["pseudonym"],
            "why": removing.REASONS[row["reason"]],
        }
        for row in found
    ]
    return rows, [removing.provenance(row) for row in found]


def open_importer(settings: NodeSettings, database: Database, names: Pseudonymiser) -> Importer:
    """Make what takes resources into this node's clinical tables."""
    return Importer(
        database,
        names,
        patient_systems=settings.fhir.patient_systems,
        shift_limit_days=settings.deid.in_force().date_shift_limit_days,
        on_stored=[cohorts.record_clinical],
        deleted_tags=settings.fhir.deleted_tags,
        tables_kept=[cohorts.clinical_fact],
        identities=_identities(settings, database, names),
    )


def _identities(settings: NodeSettings, database: Database, names: Pseudonymiser) -> IdentityLink | None:
    """Say who finds the number of a record that carries none; nobody by default."""
    options = settings.trust.identity
    inner = open_identity_link(settings) if options.kind != "embedded" or options.review_records else None
    if inner is None or not options.review_records:
        return inner
    return ReviewedIdentities(inner, database, names)


def _opened(config: Path) -> tuple[NodeSettings, Database]:
    settings = load_node_settings(config)
    prepare(settings)
    return settings, Database(settings.database)


def _record(database: Database, audit: AuditLog, action: str, target: str, details: dict[str, Any]) -> None:
    with database.begin() as connection:
        audit.append(
            connection, actor=person(), actor_role=OPERATOR, action=action, target=target, details=details
        )
