"""The archive, its values and the site's studies as FHIR resources, one after the other.

Every resource is written when it is asked for, from the rows of the rooms that own them, checked against its own
rule table, and forgotten: nothing is kept twice, and memory does not grow with the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.approvals.service import Approvals
from racoon.node.archive.records import (
    StudyRecord,
    StudySelection,
    devices,
    iterate_studies,
    iterate_subjects,
    series_uids_of,
    studies_of_series,
)
from racoon.node.archive.service import Archive
from racoon.node.clinical import _between, _listed, _order_store, _origins, _store, removing
from racoon.node.clinical.facts import measured_facts, references, study_facts
from racoon.node.clinical.model import INCLUDED, NoSuchResource, NotConformant, Search, parse_search
from racoon.node.clinical.research import Research
from racoon.node.clinical.surroundings import AFTER_VALUES, OF_A_STUDY, Surroundings
from racoon.node.measuring import service as measuring
from racoon.node.measuring.model import StoredValue
from racoon.node.reading.findings.service import Findings
from racoon.platform.audit import AuditLog
from racoon.standards.fhir import imaging, subjects
from racoon.standards.fhir.building import Resource, reference, resource_id
from racoon.standards.fhir.findings import MeasuredFacts, measurement, observation_id, report
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.linking import linked_study
from racoon.standards.fhir.rules.checking import check
from racoon.standards.fhir.rules.model import Issue

_log = logging.getLogger(__name__)

Positioned = tuple[int, Resource]
"""A resource and where a further page would go on after it."""

VALUES_PAGE = 200

_SEX_OF_GENDER = {"female": "F", "male": "M"}


class Facade:
    """FHIR resources of one node.

    Parameters
    ----------
    archive
        Imaging studies; also says whose data may be read now.
    approvals
        Studies this site knows.
    writing
        How this node writes FHIR.
    findings
        Marks that answers of signed reports were taken from; without them no report is given.
    audit
        The log whose entries about FHIR are given.
    """

    def __init__(
        self,
        archive: Archive,
        approvals: Approvals,
        writing: Writing,
        *,
        findings: Findings | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        self._archive = archive
        self._around = Surroundings(
            archive, writing, self._study_records, self._readable_values, findings, audit
        )
        self._writing = writing
        self._sources: Mapping[str, Callable[[Search], Iterator[Positioned]]] = {
            "Patient": self._patients,
            "ImagingStudy": self._studies,
            "Observation": self._observations,
            "DiagnosticReport": self._reports,
            "Device": self._devices,
            "Provenance": self._provenance,
            **self._around.sources,
            **Research(archive, approvals, writing).sources,
        }

    @property
    def writing(self) -> Writing:
        """How this node writes FHIR."""
        return self._writing

    # -- asking

    def iterate(self, search: Search) -> Iterator[Positioned]:
        """Yield the matches of a search in a stable order, each written as it is reached.

        A resource that breaks its own rule table is left out and logged: strict when we write.
        """
        for position, resource, issues in self.examine(search):
            errors = [item for item in issues if item.severity == "error"]
            if errors:
                _log.error(
                    "a resource breaks its profile and is not given out",
                    extra={"kind": search.kind, "code": errors[0].code, "path": errors[0].path},
                )
                continue
            yield position, resource

    def examine(self, search: Search) -> Iterator[tuple[int, Resource, list[Issue]]]:
        """Yield the matches of a search with what the rule tables say, also those that are not given out.

        For the people of the node, who see why something is refused; whoever gives resources out iterates.
        """
        for position, resource in self._sources[search.kind](search):
            yield position, resource, check(resource, self._writing.version)

    def page(self, search: Search) -> tuple[list[Positioned], bool]:
        """Return one page of matches, and whether there are more."""
        found = list(islice(self.iterate(search), search.count + 1))
        return found[: search.count], len(found) > search.count

    def read(self, kind: str, identity: str, *, seen_by: str, with_reports: bool = False) -> Resource:
        """Return one resource as a user sees it, or what is made of signed reports only ``with_reports``.

        Raises
        ------
        NoSuchResource
            If it is not there or may not be read.
        NotConformant
            If it breaks its own rule table.
        """
        search = replace(parse_search(kind, [("_id", identity)]), seen_by=seen_by, with_reports=with_reports)
        for _, resource in self._sources[kind](search):
            if resource["id"] != identity:
                continue
            if any(item.severity == "error" for item in check(resource, self._writing.version)):
                raise NotConformant(
                    "This resource breaks its profile and is not given out; a person has to look."
                )
            return resource
        raise NoSuchResource("There is no such resource here.")

    def included(
        self,
        resources: list[Resource],
        includes: tuple[str, ...],
        *,
        seen_by: str,
        with_reports: bool = False,
    ) -> Iterator[Resource]:
        """Yield the resources that some others refer to, each once; what may not be read is left out."""
        seen = {(item["resourceType"], item["id"]) for item in resources}
        for include in includes:
            for resource in resources:
                for target in references(resource, INCLUDED[include]):
                    kind, _, identity = target.partition("/")
                    if (kind, identity) in seen or kind not in self._sources:
                        continue
                    seen.add((kind, identity))
                    try:
                        yield self.read(kind, identity, seen_by=seen_by, with_reports=with_reports)
                    except NoSuchResource:
                        continue

    def devices(self, identities: Collection[str]) -> list[Resource]:
        """Return some devices by id; what is not conformant is left out."""
        if not identities:
            return []
        return [found for _, found in self.iterate(parse_search("Device", [("_id", ",".join(identities))]))]

    # -- subjects and images

    def _patients(self, search: Search) -> Iterator[Positioned]:
        wanted = search.wanted("_id", "identifier")
        genders = search.wanted("gender")
        if wanted is not None and not wanted:
            return
        for subject in iterate_subjects(
            self._archive,
            pseudonyms=sorted(wanted or ()),
            updated_from=search.updated_from,
            updated_to=search.updated_to,
            after=search.after,
        ):
            facts = subjects.SubjectFacts(subject.pseudonym, subject.sex, subject.birth_date[:4])
            resource = subjects.patient(facts, self._writing, subject.updated)
            if genders is None or resource["gender"] in genders:
                yield subject.position, resource

    def _studies(self, search: Search) -> Iterator[Positioned]:
        for record in self._study_records(search):
            yield record.position, self._study(record)

    def _study_records(self, search: Search) -> Iterator[StudyRecord]:
        uids = search.wanted("_id", "identifier")
        people = search.wanted("subject", "patient")
        modalities = search.wanted("modality")
        if any(wanted is not None and not wanted for wanted in (uids, people, modalities)):
            return
        selection = StudySelection(
            imaging_study_uids=tuple(sorted(uids or ())),
            pseudonyms=tuple(sorted(people or ())),
            modality=next(iter(modalities)) if modalities is not None and len(modalities) == 1 else "",
            day_from=search.day_from,
            day_to=search.day_to,
            updated_from=search.updated_from,
            updated_to=search.updated_to,
            after=search.after,
            seen_by=search.seen_by,
        )
        for record in iterate_studies(self._archive, selection):
            if modalities is None or any(series.modality in modalities for series in record.series):
                yield record

    def _study(self, record: StudyRecord) -> Resource:
        return linked_study(study_facts(record), self._writing, self._around.reasons(record))

    def _devices(self, search: Search) -> Iterator[Positioned]:
        wanted = search.wanted("_id")
        makers = search.wanted("manufacturer")
        for position, (manufacturer, model) in enumerate(devices(self._archive), start=1):
            resource = imaging.device(manufacturer, model, self._writing)
            is_wanted = wanted is None or resource["id"] in wanted
            is_made_by = makers is None or any(
                manufacturer.lower().startswith(maker.lower()) for maker in makers
            )
            if position > search.after and is_wanted and is_made_by:
                yield position, resource

    # -- values

    def _values(self, search: Search, numbers: frozenset[str] | None) -> Iterator[tuple[int, MeasuredFacts]]:
        """Valid values with their imaging study, oldest first."""
        people, places = search.wanted("subject", "patient"), search.wanted("derived-from")
        if numbers is not None:
            rows = [int(text) for text in numbers if text.isascii() and text.isdigit() and len(text) < 18]
            if not rows:
                return
            first, last = min(rows), max(rows)
        else:
            rows, first, last = [], search.after + 1, None
        series: list[str] = []
        if people is not None or places is not None:
            series = series_uids_of(
                self._archive, pseudonyms=sorted(people or ()), imaging_study_uids=sorted(places or ())
            )
            if not series or people == frozenset() or places == frozenset():
                return
        for row, value, place in self._stored(max(first - 1, search.after), last, series, search.seen_by):
            if not rows or row in rows:
                yield row, measured_facts(row, value, place)

    def _stored(
        self, after: int, last: int | None, series: list[str], seen_by: str
    ) -> Iterator[tuple[int, StoredValue, tuple[str, str, str]]]:
        while True:
            with self._archive.database.connect() as connection:
                hidden = self._archive.series_without_values(connection, seen_by)
                page = measuring.load_values(connection, series_uids=series, after=after, limit=VALUES_PAGE)
            places = studies_of_series(self._archive, {value.series_uid for _, value in page})
            for row, value in page:
                if last is not None and row > last:
                    return
                # A value that is none, or lies outside its definition's limits, is no finding.
                is_finding = value.valid and value.value is not None and value.series_uid in places
                is_finding = is_finding and value.series_uid not in hidden
                if is_finding and self._archive.is_readable(Pseudonym(value.pseudonym)):
                    yield row, value, places[value.series_uid]
            if len(page) < VALUES_PAGE:
                return
            after = page[-1][0]

    def _observations(self, search: Search) -> Iterator[Positioned]:
        if search.after < AFTER_VALUES:
            yield from self._measurements(search)
        yield from self._around.observations(search)

    def _measurements(self, search: Search) -> Iterator[Positioned]:
        wanted = search.wanted("_id")
        codes = search.wanted("code")
        prefix = observation_id("")
        numbers = None
        if wanted is not None:
            numbers = frozenset(text.removeprefix(prefix) for text in wanted if text.startswith(prefix))
        for row, facts in self._values(search, numbers):
            is_after = search.updated_from is None or facts.computed_at >= search.updated_from
            is_before = search.updated_to is None or facts.computed_at < search.updated_to
            if (codes is None or facts.biomarker in codes) and is_after and is_before:
                yield row, measurement(facts, self._writing)

    def _provenance(self, search: Search) -> Iterator[Positioned]:
        own = search.wanted("_id")
        targets = search.wanted("target")
        wanted = None if own is None else frozenset(text.removeprefix("provenance-") for text in own)
        if targets is not None:
            wanted = targets if wanted is None else wanted & targets
        prefix = observation_id("")
        numbers = None
        if wanted is not None:
            numbers = frozenset(text.removeprefix(prefix) for text in wanted if text.startswith(prefix))
        for row, facts in self._values(search, numbers):
            source = reference("ImagingStudy", resource_id(facts.imaging_study_uid))
            target = {"resourceType": "Observation", "id": observation_id(facts.identity)}
            yield (
                row,
                subjects.provenance(target, [source], facts.software, facts.computed_at, self._writing),
            )

    def _readable_values(self, imaging_study_uid: str, seen_by: str) -> list[MeasuredFacts]:
        derived = {"derived-from": frozenset({imaging_study_uid})}
        of_study = Search("Observation", (), derived, seen_by=seen_by)
        return [facts for _, facts in self._values(of_study, None)]

    def _reports(self, search: Search) -> Iterator[Positioned]:
        """One report per imaging study that has values, and each signed one."""
        wanted = search.wanted("_id")
        values = {name: found for name, found in search.values.items() if name != "_id"}
        if wanted is not None and not search.with_reports:
            values["_id"] = frozenset(
                text.removeprefix("report-") for text in wanted if text.startswith("report-")
            )
        inner = replace(
            search, kind="ImagingStudy", values=values, after=max(0, search.after // OF_A_STUDY - 1)
        )
        for record in self._study_records(inner):
            position = record.position * OF_A_STUDY
            found = (
                self._readable_values(record.imaging_study_uid, search.seen_by)
                if position > search.after
                else []
            )
            if found:
                results = [measurement(facts, self._writing) for facts in found]
                issued = max(facts.computed_at for facts in found)
                yield position, report(self._study(record), results, issued, self._writing)
            if search.with_reports:
                yield from self._around.signed_reports(record, search.after)


def consents(connection: sa.Connection) -> Iterator[tuple[str, Pseudonym, int | None, Resource]]:
    """Yield key, subject, the subject's year of birth and content of every imported Consent, dates not shifted."""
    yield from _store.load_consents(connection)


def birth_years(connection: sa.Connection, subjects: Collection[Pseudonym]) -> dict[Pseudonym, int]:
    """Return the year of birth of each subject of whom it is known."""
    return _store.load_birth_years(connection, sorted(subjects))


def deaths(
    connection: sa.Connection, subjects: Collection[Pseudonym]
) -> dict[Pseudonym, tuple[bool | None, str]]:
    """Return of each subject with a clinical record whether it died, and the shifted day where it is known."""
    return _store.load_deaths(connection, sorted(subjects))


def last_days(connection: sa.Connection, subjects: Collection[Pseudonym]) -> dict[Pseudonym, str]:
    """Return the last shifted day on which a subject was at the hospital, where one is known."""
    return _store.load_last_days(connection, sorted(subjects))


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove a subject's clinical course but the Consents, which say why; returns how many rows."""
    _origins.forget_subject(connection, pseudonym)
    rooms = (_between, _order_store, _store, removing, _listed)
    return sum(room.forget_subject(connection, pseudonym) for room in rooms)


def load_reports(connection: sa.Connection, limit: int = 20) -> list[dict[str, Any]]:
    """Return the reports of the last imports, newest first."""
    return _store.load_reports(connection, limit)
