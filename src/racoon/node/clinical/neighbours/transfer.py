"""A transfer as four named pieces: who is chosen, what of them, under which names, and who takes it.

The pieces are those of the transfer chains of data integration centres (cohort selector, data selector,
de-identification, bundle sender), so that one of them can be changed without the others.  What goes has names of its
own: pseudonyms, ids and a date shift of the project, which join nothing with the node's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.clinical import _listed, _store
from racoon.node.clinical.neighbours.lists import Readable, allowed
from racoon.node.clinical.pushing import Send
from racoon.node.clinical.rebasing import rebased
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.transactions import transaction


class CohortSelector(Protocol):
    """Says who is chosen."""

    def subjects(self) -> Sequence[Pseudonym]:
        """Return the subjects; only such as may be read."""


class DataSelector(Protocol):
    """Says what of a subject goes."""

    def resources(self, subject: Pseudonym) -> list[Resource]:
        """Return the subject's resources as the node keeps them."""


class Deidentification(Protocol):
    """Gives what goes the names under which it goes."""

    def renamed(self, subject: Pseudonym, resources: Sequence[Resource]) -> list[Resource]:
        """Return the resources under other names, without anything of the node's own."""


class BundleSender(Protocol):
    """Takes a subject's resources along."""

    def send(self, resources: Sequence[Resource]) -> bool:
        """Send them; False when they were refused."""


class ListedSubjects:
    """Cohort selector: a neighbour's list, but who may not be read now."""

    def __init__(self, database: Database, project: str, readable: Readable) -> None:
        self._database, self._project, self._readable = database, project, readable

    def subjects(self) -> Sequence[Pseudonym]:
        """Return the subjects of the list."""
        with self._database.connect() as connection:
            listed = {Pseudonym(row["pseudonym"]) for row in _listed.load(connection, self._project)}
            return sorted(allowed(connection, listed, self._readable))


class StoredCourse:
    """Data selector: resources of some types of the clinical course, the Patient always."""

    def __init__(self, database: Database, types: Collection[str]) -> None:
        self._database, self._types = database, sorted({*types, "Patient"} - {"Consent"})

    def resources(self, subject: Pseudonym) -> list[Resource]:
        """Return them by type and key."""
        table = _store.resource
        query = (
            sa.select(table.c.content)
            .where(table.c.pseudonym == subject, table.c.kind.in_(self._types))
            .order_by(table.c.kind, table.c.key)
        )
        with self._database.connect() as connection:
            return [dict(content) for content in connection.execute(query).scalars()]


class ProjectNames:
    """De-identification: pseudonyms, ids and date shift of the project, from the node's key."""

    def __init__(
        self, names: Pseudonymiser, project: str, *, limit_days: int = DEFAULT_DATE_SHIFT_DAYS
    ) -> None:
        self._names, self._project, self._limit_days = names, project, limit_days
        self._numbers: dict[Pseudonym, PatientId] | None = None

    def renamed(self, subject: Pseudonym, resources: Sequence[Resource]) -> list[Resource]:
        """Return the resources as the project knows them; DICOM UIDs become the project's too."""
        if self._numbers is None:
            self._numbers = dict(self._names.subjects())
        number = self._numbers[subject]
        project, limit = self._project, self._limit_days
        own = self._names.pseudonym(number, project)
        days = self._names.date_shift_days(number, project, limit_days=limit)
        days -= self._names.date_shift_days(number, limit_days=limit)
        return [self._with_ids(rebased(item, subject, own, days), f"Patient/{own}") for item in resources]

    def _with_ids(self, item: Resource, patient: str) -> Resource:
        made: Resource = self._walk(item, "", patient)
        if made["resourceType"] != "Patient":
            made["id"] = self._token(f"{made['resourceType']}/{item['id']}")
        return made

    def _walk(self, value: Any, element: str, patient: str) -> Any:
        if isinstance(value, dict):
            return {name: self._walk(part, name, patient) for name, part in value.items()}
        if isinstance(value, list):
            return [self._walk(part, element, patient) for part in value]
        if not isinstance(value, str):
            return value
        if element == "reference" and value != patient:
            kind, _, identity = value.rpartition("/")
            return f"{kind}/{self._token(f'{kind}/{identity}')}"
        if element in ("uid", "valueId") or value.startswith("urn:oid:2.25."):
            bare = value.removeprefix("urn:oid:")
            return value.removesuffix(bare) + self._names.uid(bare, self._project)
        return value

    def _token(self, name: str) -> str:
        return self._names.token(f"transfer/{name}", self._project)


class FolderSender:
    """Bundle sender: one transaction a line into a file of this hospital."""

    def __init__(self, file: Path, source: str) -> None:
        self._file, self._source = file, source
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file.write_bytes(b"")

    def send(self, resources: Sequence[Resource]) -> bool:
        """Write them."""
        bundle = transaction(resources, self._source)
        with self._file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(bundle, separators=(",", ":"), ensure_ascii=False) + "\n")
        return True


class ServerSender:
    """Bundle sender: one transaction to a FHIR server of this hospital."""

    def __init__(self, send: Send, source: str, without: Collection[str] = frozenset()) -> None:
        self._send, self._source, self._without = send, source, without

    def send(self, resources: Sequence[Resource]) -> bool:
        """Send them once; the caller counts what was refused and may transfer again, which doubles nothing."""
        return self._send(transaction(resources, self._source, self._without)).status == 200


@dataclass
class TransferReport:
    """What a transfer did, in counts."""

    subjects: int = 0
    refused: int = 0
    resources: Counter[str] = field(default_factory=Counter)

    def as_json(self) -> Mapping[str, Any]:
        """Return the report for people and machines."""
        kinds = dict(sorted(self.resources.items()))
        return {"subjects": self.subjects, "refused": self.refused, "resources": kinds}


def transfer(
    chosen: CohortSelector, data: DataSelector, names: Deidentification, sender: BundleSender
) -> TransferReport:
    """Send what is chosen, subject after subject; one without a Patient of the clinic is not sent."""
    report = TransferReport()
    for subject, resources in _selected(chosen, data):
        made = names.renamed(subject, resources)
        if not sender.send(made):
            report.refused += 1
            continue
        report.subjects += 1
        report.resources.update(str(item["resourceType"]) for item in made)
    return report


def _selected(chosen: CohortSelector, data: DataSelector) -> Iterator[tuple[Pseudonym, list[Resource]]]:
    for subject in chosen.subjects():
        resources = data.resources(subject)
        if any(item["resourceType"] == "Patient" for item in resources):
            yield subject, resources
