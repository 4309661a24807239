"""Makes of FHIR resources what is stored of them: mended, without identity, with their flat rows.

Needs the door to who is who and no other table of the node, so that it may run in a process beside the one that
writes.  What it holds is one batch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from racoon.domain.identity import PatientId
from racoon.learning.lifeline import watch_parent
from racoon.node.clinical import _store
from racoon.node.clinical.deidentify import KNOWN_TYPES, REFERENCE, Losses, deidentify
from racoon.node.clinical.flat import Row, rows_of
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.numbers import patient_number
from racoon.node.clinical.trust.identities import EmbeddedIdentities
from racoon.node.clinical.trust.model import IdentityLink
from racoon.node.pseudonyms.model import DEFAULT_DATE_SHIFT_DAYS, canonical_id
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform import clock
from racoon.standards.dicom.dates import OLDEST_AGE_YEARS
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.reading import Found, Unread, mend, read_line

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
        "ResearchStudy",
        "Provenance",
        "AuditEvent",
    }
)
"""People, places, machines and records of the hospital: nothing of a patient's course stands in them."""


FIRST = frozenset({"Patient", "Medication"})
"""Types that others refer to: they are taken in a pass of their own."""


WRONG = "entered-in-error"
"""Of a status or a verification status: the clinic says that it never was so."""


@dataclass(frozen=True)
class Person:
    """One patient as the de-identification sees him; the pseudonym is empty for what is nobody's."""

    names: Pseudonymiser
    number: PatientId | None
    pseudonym: str
    shift_days: int
    oldest_birth_year: int
    own_pseudonym: str = ""
    """Of the number that the source names, where that one was merged into the subject's."""

    def subject(self) -> str:
        """Pseudonym, the same as of the images."""
        return self.pseudonym

    def token(self, text: str) -> str:
        """Stable token of an id."""
        return self.names.token(f"fhir/{text}")

    def uid(self, text: str) -> str:
        """UID as the images have it."""
        return self.names.uid(text)


class Prepared(NamedTuple):
    """What is stored of one resource.

    Attributes
    ----------
    row
        Of the table of resources; ``content`` is the text that is kept.
    flat
        Rows with the names of their tables.
    content
        Only where the rows need a Medication that another resource holds: they are made again when it is known.
    own
        Pseudonym of the number that the source names, where that one was merged into the subject's; else empty.
    """

    row: dict[str, Any]
    flat: list[tuple[str, Row]]
    content: Resource | None
    own: str = ""


class Deletion(NamedTuple):
    """A resource that its source deleted or marked as wrong: what is stored of it goes.

    Attributes
    ----------
    key, kind
        Token and type of the resource.
    reason
        One of :data:`racoon.node.clinical.removing.REASONS`.
    """

    key: str
    kind: str
    reason: str


class Preparer:
    """Prepares batch after batch; remembers which records are stopped.

    Parameters
    ----------
    names
        The door to who is who.
    patient_systems
        Identifier systems that carry the number which is in the images.
    shift_limit_days
        Of the de-identification profile in force.
    identities
        Finds the number of a patient whose record does not carry it; nobody where None.
    deleted_tags
        Tags, ``system|code``, by which the clinic marks what it deleted.
    """

    def __init__(
        self,
        names: Pseudonymiser,
        patient_systems: Sequence[str],
        shift_limit_days: int,
        identities: IdentityLink | None = None,
        deleted_tags: Collection[str] = (),
    ) -> None:
        self._names = names
        self._deleted_tags = frozenset(deleted_tags)
        self._systems = tuple(patient_systems)
        self._shift_limit_days = shift_limit_days
        self._identities = identities or EmbeddedIdentities()
        self._stopped: dict[str, str] = {}

    def prepare(
        self, batch: Iterable[Unread | Found], *, first_pass: bool, keep_patients: bool
    ) -> tuple[list[Prepared | Deletion], ImportReport]:
        """Prepare what belongs to one of the two passes over a source, and count the others in the second one."""
        report = ImportReport()
        in_order: list[Resource | Deletion] = []
        for line in batch:
            for found in read_line(line):
                if found.deleted:
                    in_order += self._deletions(found.deleted, first_pass=first_pass)
                elif (resource := _accept(found, report, first_pass=first_pass)) is not None:
                    in_order.append(resource)
        accepted = [item for item in in_order if not isinstance(item, Deletion)]
        if not in_order:
            return [], report
        patients = [item for item in accepted if item["resourceType"] == "Patient"]
        people = self._people(patients, accepted, report)
        made: list[Prepared | Deletion] = []
        for item in in_order:
            if isinstance(item, Deletion):
                made.append(item)
                continue
            if item["resourceType"] == "Patient" and not keep_patients:
                continue
            reason = mark_of(item, self._deleted_tags)
            if reason:
                made.append(self._deletion(item["resourceType"], item["id"], reason))
                continue
            person = self._owner(item, people, report)
            if person is None:
                continue
            try:
                made.append(_prepared(item, person, report.losses))
            except ValueError:
                # A number beyond JSON's words.
                report.refuse("unreadable", item["resourceType"])
        return made, report

    def _deletions(self, name: str, *, first_pass: bool) -> list[Deletion]:
        kind, _, identity = name.partition("/")
        is_wanted = kind in KNOWN_TYPES and (kind in FIRST) is first_pass
        return [self._deletion(kind, identity, "deleted")] if is_wanted else []

    def _deletion(self, kind: str, identity: str, reason: str) -> Deletion:
        return Deletion(self._names.token(f"fhir/{kind}/{identity}"), kind, reason)

    def people_of(self, numbers: Mapping[str, PatientId]) -> dict[str, Person]:
        """Return the people behind some records, whose numbers are known."""
        self._names.remember(numbers.values())
        oldest = clock.now().year - OLDEST_AGE_YEARS + 1
        return {
            record: Person(
                self._names,
                number,
                str(self._names.pseudonym(number)),
                self._names.date_shift_days(number, limit_days=self._shift_limit_days),
                oldest,
                self._own(number),
            )
            for record, number in numbers.items()
        }

    def _own(self, number: PatientId) -> str:
        if self._names.survivor(number) == canonical_id(number):
            return ""
        return str(self._names.pseudonym(number, is_merged=False))

    def _people(
        self, patients: Sequence[Resource], resources: Sequence[Resource], report: ImportReport
    ) -> dict[str, Person]:
        """Link the patients of a batch, and find whose its resources are."""
        links = self._numbers(patients, report)
        if links:
            self._names.link({_source(record): number for record, number in links.items()})
        records = {record for item in resources if (record := _record_of(item)) is not None}
        prefix = len(_source(""))
        found = self._names.linked_many([_source(record) for record in records])
        people = self.people_of({source[prefix:]: number for source, number in found.items()})
        # Another number than before under the same record: a wrong-patient suspicion stops everything of it.
        self._stopped |= {
            record: "other_patient"
            for record, number in links.items()
            if record in people and canonical_id(number) != people[record].number
        }
        return people

    def _numbers(self, patients: Sequence[Resource], report: ImportReport) -> dict[str, PatientId]:
        """Find the number of every record; a record of which the identity service is not sure is stopped."""
        found = [patient_number(patient, self._systems) for patient in patients]
        asked = [index for index, (_, how) in enumerate(found) if how == "other"]
        answers = self._identities.find([patients[index] for index in asked])
        for index, answer in zip(asked, answers, strict=True):
            if answer.number is not None:
                found[index] = (answer.number, "identity_service")
            elif answer.verdict == "possible":
                self._stopped[patients[index]["id"]] = "doubtful"
        links = {}
        for patient, (number, how) in zip(patients, found, strict=True):
            if self._stopped.get(patient["id"]) != "doubtful":
                links[patient["id"]] = number
                report.subjects_by[how] += 1
        return links

    def _owner(self, item: Resource, people: Mapping[str, Person], report: ImportReport) -> Person | None:
        kind = str(item["resourceType"])
        if kind == "Medication":
            return Person(self._names, None, "", 0, 0)
        record = _record_of(item)
        if record is None:
            report.refuse("no_subject", kind)
        elif record in self._stopped:
            report.refuse(self._stopped[record], kind)
        elif record not in people:
            report.refuse("subject_unknown", kind)
        else:
            return people[record]
        return None


def may_come_first(item: Unread | Found) -> bool:
    """Tell, without parsing a line, whether anything in it can belong to the first pass."""
    if isinstance(item, Found):
        return True
    line = item.line
    # A name may be written with escapes; then only parsing tells.
    return b'"Patient"' in line or b'"Medication"' in line or b"\\u" in line or b'"Bundle"' in line


def _accept(found: Found, report: ImportReport, *, first_pass: bool) -> Resource | None:
    """Return a resource that belongs to this pass; count the others in the second one."""
    resource = found.resource
    kind = "" if resource is None else str(resource["resourceType"])
    if (kind in FIRST) is not first_pass:
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
    report.tolerated.update(note.code for note in mend(resource))
    return resource


def mark_of(item: Resource, deleted_tags: Collection[str] = ()) -> str:
    """Return why a resource says of itself that it does not count; empty where it counts.

    Consents stay: the decision about them looks at their status itself.
    """
    verification = item.get("verificationStatus")
    found = verification.get("coding") if isinstance(verification, dict) else None
    codes = [coding.get("code") for coding in found or [] if isinstance(coding, dict)]
    if item["resourceType"] != "Consent" and WRONG in (item.get("status"), *codes):
        return "entered_in_error"
    meta = item.get("meta")
    tags = meta.get("tag") if deleted_tags and isinstance(meta, dict) else None
    for tag in tags if isinstance(tags, list) else []:
        if isinstance(tag, dict) and f"{tag.get('system', '')}|{tag.get('code', '')}" in deleted_tags:
            return "tagged"
    return ""


def _prepared(item: Resource, person: Person, losses: Losses) -> Prepared:
    row = row_of(item, person, losses)
    content = row["content"]
    row["content"], row["content_hash"] = _store.written(content)
    flat = rows_of(content, row["key"], row["pseudonym"], None)
    return Prepared(row, flat, content if medicine_key(content) else None, person.own_pseudonym)


def row_of(item: Resource, person: Person, losses: Losses) -> dict[str, Any]:
    """Return the row of one resource; its content is not written as text yet, and its hash is empty."""
    kind = str(item["resourceType"])
    content = deidentify(item, person, losses, shift=kind != "Consent")
    return {
        "key": person.token(f"{kind}/{item['id']}") if kind == "Patient" else content["id"],
        "kind": kind,
        "pseudonym": person.pseudonym,
        "content_hash": "",
        "content": content,
        "imported_at": clock.now(),
    }


def preview(resources: Iterable[Resource], numbers: Mapping[str, str]) -> list[Resource]:
    """Return resources as they would be stored, but under invented pseudonyms; nothing is stored or linked.

    Parameters
    ----------
    resources
        Of patients; Patients themselves are left out.
    numbers
        Id of a Patient to the number under which the images came.
    """
    preparer, losses = Preparer(Pseudonymiser(None, None), (), DEFAULT_DATE_SHIFT_DAYS), Losses()
    people = preparer.people_of({record: PatientId(number) for record, number in numbers.items()})
    shown = []
    for item in resources:
        record = subject_of(item)
        if record is not None and record in people:
            shown.append(deidentify(item, people[record], losses))
    return shown


def _source(record: str) -> str:
    return f"fhir/Patient/{record}"


def _record_of(item: Resource) -> str | None:
    if item["resourceType"] == "Medication":
        return None
    return str(item["id"]) if item["resourceType"] == "Patient" else subject_of(item)


def subject_of(item: Resource) -> str | None:
    """Return the id of the patient a resource belongs to."""
    for name in ("subject", "patient", "individual", "for"):
        text = item[name].get("reference") if isinstance(item.get(name), dict) else None
        match = REFERENCE.fullmatch(text) if isinstance(text, str) else None
        if match is not None and match[1] == "Patient":
            return match[2]
    return None


def medicine_key(content: Resource) -> str:
    """Return the key of the Medication that a resource refers to; empty where it names none."""
    found = content.get("medicationReference")
    text = found.get("reference", "") if isinstance(found, dict) else ""
    return str(text).rpartition("/")[2]


# -- in a process beside the one that writes

_HELPER: list[Preparer] = []


def begin_helper(
    names: Pseudonymiser, patient_systems: Sequence[str], shift_limit_days: int, deleted_tags: Collection[str]
) -> None:
    """Make this process a helper with a preparer of its own, which ends when the import was killed."""
    watch_parent()
    _HELPER[:] = [Preparer(names, patient_systems, shift_limit_days, deleted_tags=deleted_tags)]


def prepare_in_helper(
    batch: Sequence[Unread | Found], first_pass: bool, keep_patients: bool
) -> tuple[list[Prepared | Deletion], ImportReport]:
    """Prepare a batch in a helper."""
    return _HELPER[0].prepare(batch, first_pass=first_pass, keep_patients=keep_patients)
