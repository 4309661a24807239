"""Record linkage at this site's command line: a package out, an answer in, what is linked."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from racoon.domain.identity import Pseudonym
from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.clinical.linkage.model import LinkageRefused, read_secret
from racoon.node.clinical.linkage.site import LinkageFolder, prepare_package
from racoon.node.consent.linking import linkable
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.platform.files import write_atomically
from racoon.protocol.linkage import read_answer
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import iterate_resources

NO_LINKAGE = "Nothing was linked for this project: a person known at two sites counts twice."


def encode(
    config: Path,
    patients: Path,
    out: Path,
    *,
    project: str,
    secret: Path,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Write the package of a project for the linkage unit.

    Raises
    ------
    LinkageRefused
        If the secret cannot be used, or nobody may be linked.
    """
    settings = load_node_settings(config)
    prepare(settings)
    key = read_secret(secret, project)
    database, names = Database(settings.database), open_pseudonyms(settings)

    def people() -> Iterator[Resource]:
        count = 0
        for found in iterate_resources(patients):
            if found.resource is not None and found.resource["resourceType"] == "Patient":
                count += 1
                if progress is not None:
                    progress(count)
                yield found.resource

    def allowed(subjects: Collection[Pseudonym]) -> set[Pseudonym]:
        with database.connect() as connection:
            return linkable(connection, project, subjects)

    try:
        prepared = prepare_package(
            people(),
            names,
            allowed,
            project=project,
            site=settings.site,
            key=key,
            systems=settings.fhir.patient_systems,
        )
        facts = {
            "project": project,
            "persons": len(prepared.records),
            "incomplete": prepared.incomplete,
            "not_permitted": prepared.not_permitted,
        }
        if not prepared.records:
            raise LinkageRefused(
                "Nobody here may be linked for this project: it needs the policies for merging data and identities, or"
                " a legal basis of the study."
            )
        _record(database, "linkage.encode", project, facts)
        linkage_folder(settings).keep_records(project, prepared.records)
        write_atomically(out, prepared.package.model_dump_json().encode())
    finally:
        names.close()
        database.dispose()
    return facts | {"file": str(out)}


def take(config: Path, answer: Path) -> dict[str, Any]:
    """Take the linkage unit's answer and delete its file."""
    settings = load_node_settings(config)
    prepare(settings)
    found = read_answer(answer.read_bytes())
    if found.site != settings.site:
        raise LinkageRefused("This answer is for another site.")
    database = Database(settings.database)
    try:
        linked = linkage_folder(settings).take_answer(found)
        facts = {"project": found.project, "linked": linked, "unclear": found.unclear, "sites": found.sites}
        _record(database, "linkage.take", found.project, facts)
    finally:
        database.dispose()
    answer.unlink()
    return facts


def show(config: Path, project: str) -> dict[str, Any]:
    """Say what is linked for a project; nothing is the default."""
    links = linkage_folder(load_node_settings(config)).links(project)
    if links is None:
        return {"project": project, "is_linked": False, "statement": NO_LINKAGE, "links": {}}
    statement = f"{len(links)} persons of this site are known at another site of the project too."
    return {"project": project, "is_linked": True, "statement": statement, "links": links}


def linkage_folder(settings: NodeSettings) -> LinkageFolder:
    """Return what this site keeps of its linkages."""
    return LinkageFolder(settings.data_directory / "linkage")


def _record(database: Database, action: str, project: str, details: dict[str, Any]) -> None:
    with database.begin() as connection:
        AuditLog("node").append(
            connection,
            actor=person(),
            actor_role=OPERATOR,
            action=action,
            target=f"linkage/{project}",
            purpose=project,
            details=details,
        )
