"""Takes FHIR files into the clinical tables: batch by batch, under pseudonyms, again without harm.

Two passes over the files: patients and medicines first, because others refer to them, then everything else.  Memory
holds one batch.  What is refused is counted by reason; a resource that changed its patient is never taken silently.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.identity import PatientId
from racoon.node.clinical import _store
from racoon.node.clinical.deidentify import KNOWN_TYPES, REFERENCE, Losses, deidentify
from racoon.node.clinical.flat import rows_of
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.numbers import patient_number
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS, canonical_id
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform import clock
from racoon.platform.database import Database
from racoon.standards.dicom.dates import OLDEST_AGE_YEARS
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import Found, iterate_resources, tolerate

BATCH = 500
"""Resources in one transaction: enough to amortise the commit, about 5 MB in memory."""

NOT_PATIENTS = frozenset(
    {
        "Organization",
        "Practitioner",
        "PractitionerRole",
        "Location",
        "Device",
        "DeviceMetric",
        "Endpoint",
        "Group",
    }
)
"""People, places and machines of the hospital: nothing of a patient's course stands in them."""

Taken = Literal["taken", "other_patient", "behind"]

RowsListener = Callable[[sa.Connection, Collection[str], Mapping[str, Sequence[Mapping[str, Any]]]], None]
"""Called in the storing transaction with the keys of new or changed resources, and their rows by flat table."""


@dataclass(frozen=True)
class _Person:
    """One patient as the de-identification sees him."""

    names: Pseudonymiser
    number: PatientId | None
    shift_days: int
    oldest_birth_year: int

    def subject(self) -> str:
        """Pseudonym, the same as of the images."""
        return str(self.names.pseudonym(self.number)) if self.number is not None else ""

    def token(self, text: str) -> str:
        """Stable token of an id."""
        return self.names.token(f"fhir/{text}")

    def uid(self, text: str) -> str:
        """UID as the images have it."""
        return self.names.uid(text)


class Importer:
    """Imports FHIR files into one node.

    Parameters
    ----------
    database
        The node's database.
    names
        The door to who is who.
    patient_systems
        Identifier systems that carry the number which is in the images.
    shift_limit_days
        Of the de-identification profile in force: dates move as those of the images.
    on_stored
        Listeners that keep their own tables in the storing transaction.
    """

    def __init__(
        self,
        database: Database,
        names: Pseudonymiser,
        *,
        patient_systems: Sequence[str] = (),
        shift_limit_days: int = DEFAULT_DATE_SHIFT_DAYS,
        on_stored: Sequence[RowsListener] = (),
    ) -> None:
        self._database = database
        self._names = names
        self._systems = tuple(patient_systems)
        self._shift_limit_days = shift_limit_days
        self._on_stored = tuple(on_stored)
        self._stopped: set[str] = set()
        self._person = lru_cache(maxsize=10_000)(self._find_person)

    def import_path(self, path: Path, *, progress: Callable[[int], None] | None = None) -> ImportReport:
        """Import a file or folder.

        Parameters
        ----------
        path
            As :func:`racoon.standards.fhir.reading.iterate_resources` reads it.
        progress
            Called with the number of resources read.

        Returns
        -------
        ImportReport
            Also kept in the node's database.
        """
        return self.import_resources(lambda: iterate_resources(path), progress=progress)

    def import_resources(
        self,
        read: Callable[[], Iterator[Found]],
        *,
        keep_patients: bool = True,
        progress: Callable[[int], None] | None = None,
    ) -> ImportReport:
        """Import what a source gives; it is read twice.

        Parameters
        ----------
        read
            Begins to read the source.
        keep_patients
            False where the source's Patients only say whose the rest is: they are linked and not stored.
        progress
            Called with the number of resources read.
        """
        report, started = ImportReport(), clock.now()
        self._stopped.clear()
        for first_pass in (True, False):
            batch: list[Resource] = []
            for found in read():
                resource = self._accept(found, report, first_pass=first_pass)
                if resource is not None:
                    batch.append(resource)
                if len(batch) >= BATCH:
                    self._take(batch, report, keep_patients=keep_patients)
                    batch = []
                if progress is not None and not first_pass:
                    progress(report.read.total())
            self._take(batch, report, keep_patients=keep_patients)
        with self._database.begin() as connection:
            _store.save_report(
                connection,
                {"started_at": started, "finished_at": clock.now(), "report": report.as_json()},
            )
        return report

    def _accept(self, found: Found, report: ImportReport, *, first_pass: bool) -> Resource | None:
        """Return a resource that belongs to this pass; count the others in the second one."""
        resource = found.resource
        kind = "" if resource is None else str(resource["resourceType"])
        is_first = kind in ("Patient", "Medication")
        if is_first is not first_pass:
            return None
        if resource is None:
            report.refuse("unreadable")
            return None
        if kind not in KNOWN_TYPES:
            report.refuse("unknown_type")
            return None
        report.read[kind] += 1
        if kind in NOT_PATIENTS:
            report.left_out += 1
            return None
        if not isinstance(resource.get("id"), str) or not resource["id"]:
            report.refuse("no_id", kind)
            return None
        mended, notes = tolerate(resource)
        report.tolerated.update(note.code for note in notes)
        return mended

    # -- one batch

    def _take(self, batch: list[Resource], report: ImportReport, *, keep_patients: bool) -> None:
        if not batch:
            return
        self._link_patients([item for item in batch if item["resourceType"] == "Patient"], report)
        if not keep_patients:
            batch = [item for item in batch if item["resourceType"] != "Patient"]
        prepared: dict[str, dict[str, Any]] = {}
        for item in batch:
            row = self._prepare(item, report)
            if row is not None:
                prepared[row["key"]] = row
        with self._database.begin() as connection:
            known = _store.known_hashes(connection, list(prepared))
            fresh = []
            for key, row in prepared.items():
                earlier = known.get(key)
                if earlier is not None and earlier[1] != row["pseudonym"]:
                    report.refuse("other_patient", row["kind"])
                elif earlier is not None and earlier[0] == row["content_hash"]:
                    report.unchanged += 1
                else:
                    fresh.append(row)
            self._store_rows(connection, fresh)
            report.stored += len(fresh)

    def take_groups(
        self, groups: Sequence[Sequence[Resource]], combine: Callable[[Resource, Resource], Resource]
    ) -> list[Taken]:
        """Take resources that belong together, group after group, all in one transaction.

        Parameters
        ----------
        groups
            Of each message its resources, with the Patient that they name; its number is taken as it stands there.
        combine
            Makes of a stored resource and a new one, both de-identified, what is kept.

        Returns
        -------
        list of str
            For each group: all of it was taken, or nothing, because something in it was another patient's before or
            because an earlier group of its patient was not taken.
        """
        patients = [item for group in groups for item in group if item["resourceType"] == "Patient"]
        numbers = {item["id"]: patient_number(item, self._systems)[0] for item in patients}
        self._names.remember(numbers.values())
        people = {identity: self._seen(number) for identity, number in numbers.items()}
        losses = Losses()
        prepared = [
            [_row(item, people[_owner_of(item)], losses, is_hashed=False) for item in group]
            for group in groups
        ]
        keys = sorted({row["key"] for rows in prepared for row in rows})
        taken: list[Taken] = []
        stopped: set[str] = set()
        with self._database.begin() as connection:
            known = _store.known_hashes(connection, keys)
            owners = {key: row[1] for key, row in known.items()}
            current = _store.load_contents(connection, keys)
            made: dict[str, dict[str, Any]] = {}
            for found in prepared:
                if any(owners.get(row["key"], row["pseudonym"]) != row["pseudonym"] for row in found):
                    taken.append("other_patient")
                else:
                    taken.append("behind" if any(row["pseudonym"] in stopped for row in found) else "taken")
                if taken[-1] != "taken":
                    stopped |= {row["pseudonym"] for row in found}
                    continue
                for row in found:
                    key, content = row["key"], row["content"]
                    owners[key] = row["pseudonym"]
                    current[key] = combine(current[key], content) if key in current else content
                    made[key] = row | {"content": current[key], "content_hash": content_hash(current[key])}
            changed = [row for key, row in made.items() if row["content_hash"] != known.get(key, ("",))[0]]
            self._store_rows(connection, changed)
        return taken

    def _store_rows(self, connection: sa.Connection, fresh: Sequence[dict[str, Any]]) -> None:
        """Write resources with their flat rows, and tell who keeps tables of their own."""
        medicines = _store.load_contents(
            connection, sorted({_medicine_key(row["content"]) for row in fresh} - {""})
        )
        flat: dict[str, list[dict[str, Any]]] = {}
        for row in fresh:
            medicine = medicines.get(_medicine_key(row["content"]))
            for table, line in rows_of(row["content"], row["key"], row["pseudonym"], medicine):
                flat.setdefault(table, []).append(line)
        _store.replace_rows(connection, fresh, flat)
        for listener in self._on_stored:
            listener(connection, [row["key"] for row in fresh], flat)

    def _link_patients(self, patients: list[Resource], report: ImportReport) -> None:
        links = {}
        for patient in patients:
            number, how = patient_number(patient, self._systems)
            links[_source(patient["id"])] = number
            report.subjects_by[how] += 1
        self._names.link(links)
        self._person.cache_clear()

    def _prepare(self, item: Resource, report: ImportReport) -> dict[str, Any] | None:
        kind = str(item["resourceType"])
        if kind == "Medication":
            person: _Person | None = _Person(self._names, None, 0, 0)
        else:
            source = item["id"] if kind == "Patient" else _subject_of(item)
            if source is None:
                report.refuse("no_subject", kind)
                return None
            if kind == "Patient":
                self._stop_changed(item)
            if source in self._stopped:
                report.refuse("other_patient", kind)
                return None
            person = self._person(source)
        if person is None:
            report.refuse("subject_unknown", kind)
            return None
        return _row(item, person, report.losses)

    def _stop_changed(self, patient: Resource) -> None:
        """Stop everything of a record whose number is another one than before: a wrong-patient suspicion."""
        person = self._person(patient["id"])
        if person is not None and canonical_id(patient_number(patient, self._systems)[0]) != person.number:
            self._stopped.add(patient["id"])

    def _find_person(self, source: str) -> _Person | None:
        number = self._names.linked(_source(source))
        return None if number is None else self._seen(number)

    def _seen(self, number: PatientId) -> _Person:
        shift_days = self._names.date_shift_days(number, limit_days=self._shift_limit_days)
        return _Person(self._names, number, shift_days, clock.now().year - OLDEST_AGE_YEARS + 1)


def _row(item: Resource, person: _Person, losses: Losses, *, is_hashed: bool = True) -> dict[str, Any]:
    kind = str(item["resourceType"])
    content = deidentify(item, person, losses, shift=kind != "Consent")
    return {
        "key": person.token(f"{kind}/{item['id']}"),
        "kind": kind,
        "pseudonym": person.subject(),
        "content_hash": content_hash(content) if is_hashed else "",
        "content": content,
        "imported_at": clock.now(),
    }


def _owner_of(item: Resource) -> str:
    return str(item["id"]) if item["resourceType"] == "Patient" else _subject_of(item) or ""


def preview(resources: Iterable[Resource], numbers: Mapping[str, str]) -> list[Resource]:
    """Return resources as they would be stored, but under invented pseudonyms; nothing is stored or linked.

    Parameters
    ----------
    resources
        Of patients; Patients themselves are left out.
    numbers
        Id of a Patient to the number under which the images came.
    """
    names, losses = Pseudonymiser(None, None), Losses()
    oldest = clock.now().year - OLDEST_AGE_YEARS + 1
    shown = []
    for item in resources:
        source = _subject_of(item)
        if source is None or source not in numbers:
            continue
        number = PatientId(numbers[source])
        shift_days = names.date_shift_days(number, limit_days=DEFAULT_DATE_SHIFT_DAYS)
        shown.append(deidentify(item, _Person(names, number, shift_days, oldest), losses))
    return shown


def _source(identity: str) -> str:
    return f"fhir/Patient/{identity}"


def _subject_of(item: Resource) -> str | None:
    """Return the id of the patient a resource belongs to."""
    for name in ("subject", "patient", "individual", "for"):
        text = item[name].get("reference") if isinstance(item.get(name), dict) else None
        match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is not None and match[1] == "Patient":
            return match[2]
    return None


def _medicine_key(content: Resource) -> str:
    found = content.get("medicationReference")
    text = found.get("reference", "") if isinstance(found, dict) else ""
    return str(text).rpartition("/")[2]
