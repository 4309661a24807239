"""What stands around the archive's studies, as FHIR: orders, procedures, contrast medium, parts of the body, signed
reports, weight and height, consents, the audit of FHIR itself.

Written when it is asked for, like the facade's other resources.  Several resources of one study have positions of
their own, so that a page may end between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from racoon.domain.questionnaire import Template
from racoon.node.archive.records import StudyRecord
from racoon.node.archive.service import Archive
from racoon.node.clinical import _store
from racoon.node.clinical.facts import study_facts
from racoon.node.clinical.model import Search
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.published import answers_of, signed_on, template_of_version
from racoon.platform.audit import AuditEntry, AuditLog
from racoon.standards.fhir import codes, examinations, signed
from racoon.standards.fhir.audits import KINDS, AuditFacts, audit_event
from racoon.standards.fhir.building import SNOMED, Resource
from racoon.standards.fhir.disclosures import DISCLOSED, disclosures
from racoon.standards.fhir.findings import MeasuredFacts
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.linking import body_measures, study_of_measure

Positioned = tuple[int, Resource]

OF_A_STUDY = 10_000
"""Positions that one study has for its resources of one type."""

AFTER_VALUES = 1 << 45
"""Observations of signed reports come after all measured ones."""

AT_ONCE = 200

OF_AN_ENTRY = 1000
"""Positions that one entry of the audit has for its events: one, and one for each subject it names."""


class Surroundings:
    """Sources of the facade for what belongs to studies.

    Parameters
    ----------
    archive, writing, findings, audit
        As of the facade.
    records
        Readable studies of a search, in their order.
    values
        Readable valid values of a study, as far as a person may see them: (imaging study, name of the user).
    """

    def __init__(
        self,
        archive: Archive,
        writing: Writing,
        records: Callable[[Search], Iterator[StudyRecord]],
        values: Callable[[str, str], list[MeasuredFacts]],
        findings: Findings | None,
        audit: AuditLog | None,
    ) -> None:
        self._archive = archive
        self._writing = writing
        self._records = records
        self._values = values
        self._findings = findings
        self._audit = audit
        self.sources: Mapping[str, Callable[[Search], Iterator[Positioned]]] = {
            "ServiceRequest": lambda search: self._of_studies(search, self._orders),
            "Procedure": lambda search: self._of_studies(search, self._procedures),
            "MedicationAdministration": lambda search: self._of_studies(search, self._contrast),
            "BodyStructure": lambda search: self._of_studies(search, self._body_structures),
            "CarePlan": lambda search: self._of_studies(search, self._recommendations),
            "QuestionnaireResponse": lambda search: self._of_studies(search, self._responses),
            "Composition": lambda search: self._of_studies(search, self._compositions),
            "Consent": self._consents,
            "AuditEvent": self._events,
        }

    # -- of studies

    def _of_studies(
        self,
        search: Search,
        make: Callable[[StudyRecord, Search], Iterator[Resource]],
        studies: frozenset[str] | None = None,
    ) -> Iterator[Positioned]:
        """Yield what is made of each study, with a position of its own; ``_id`` and ``code`` are looked at here."""
        wanted, coded = search.wanted("_id"), search.wanted("code")
        values = {name: found for name, found in search.values.items() if name in ("subject", "patient")}
        if studies is not None:
            values["_id"] = studies
        first = max(0, search.after // OF_A_STUDY - 1)
        inner = replace(
            search, kind="ImagingStudy", values=values, after=first, updated_from=None, updated_to=None
        )
        seen: set[str] = set()
        for record in self._records(inner):
            for number, resource in enumerate(make(record, search)):
                position = record.position * OF_A_STUDY + number
                if position <= search.after or (wanted is not None and resource["id"] not in wanted):
                    continue
                if resource["id"] in seen or not _is_updated(resource, search):
                    continue
                if coded is not None and not coded & _codes_of(resource):
                    continue
                if resource["resourceType"] == "BodyStructure":
                    # Two studies may measure the same organ of one subject.
                    seen.add(resource["id"])
                yield position, resource

    def _orders(self, record: StudyRecord, _: Search) -> Iterator[Resource]:
        made = examinations.order(study_facts(record), self._writing)
        if made is not None:
            yield self._as_ordered(record, made)

    def _as_ordered(self, record: StudyRecord, made: Resource) -> Resource:
        """Say of an order what the hospital's own one says, where a message named these images."""
        with self._archive.database.connect() as connection:
            found = _store.load_orders(connection, [record.imaging_study_uid])
        own = [item for item in found if item.pseudonym == record.pseudonym]
        if len(own) != 1:
            return made
        dated = {"authoredOn": own[0].authored} if own[0].authored else {}
        reasons = self.reasons(record)
        return made | {"intent": "order"} | dated | ({"reasonCode": reasons} if reasons else {})

    def reasons(self, record: StudyRecord) -> list[Resource]:
        """Return why a study was ordered: codes of public catalogues, where the hospital's one order names them."""
        with self._archive.database.connect() as connection:
            found = _store.load_orders(connection, [record.imaging_study_uid])
            own = [item.key for item in found if item.pseudonym == record.pseudonym]
            if len(own) != 1:
                return []
            content = _store.load_contents(connection, own).get(own[0], {})
        return list(codes.public_concepts(content.get("reasonCode")))

    def _procedures(self, record: StudyRecord, search: Search) -> Iterator[Resource]:
        made = examinations.imaging_procedure(study_facts(record), self._writing)
        if made is not None:
            yield made
        if search.with_reports:
            for facts in self._signed(record):
                yield signed.reading_procedure(facts, self._writing)

    def _contrast(self, record: StudyRecord, _: Search) -> Iterator[Resource]:
        study = study_facts(record)
        for series in study.series:
            made = examinations.contrast(study, series, self._writing)
            if made is not None:
                yield made

    def _body_structures(self, record: StudyRecord, search: Search) -> Iterator[Resource]:
        places = {}
        for facts in self._values(record.imaging_study_uid, search.seen_by):
            place = codes.code_of(facts.label)
            if place is not None and place["system"] == SNOMED:
                places[place["code"]] = place
        for code in sorted(places):
            yield examinations.body_structure(str(record.pseudonym), places[code], self._writing)

    # -- signed reports

    def _signed(self, record: StudyRecord) -> list[signed.SignedFacts]:
        if self._findings is None:
            return []
        with self._archive.database.connect() as connection:
            versions = signed_on(connection, [record.imaging_study_uid])
            forms = [template_of_version(connection, version) for version in versions]
        if not versions:
            return []
        places = {
            found.finding.finding_id: (found.finding.place.series_uid, found.finding.place.sop_instance_uid)
            for found in self._findings.of_study(record.imaging_study_uid)
        }
        has_order = examinations.order(study_facts(record), self._writing) is not None
        return [
            _signed_facts(version, form, record, places, has_order=has_order)
            for version, form in zip(versions, forms, strict=True)
        ]

    def _responses(self, record: StudyRecord, search: Search) -> Iterator[Resource]:
        for facts in self._signed(record) if search.with_reports else ():
            yield signed.questionnaire_response(facts, self._writing)

    def _recommendations(self, record: StudyRecord, search: Search) -> Iterator[Resource]:
        for facts in self._signed(record) if search.with_reports else ():
            made = signed.recommendation(facts, self._writing)
            if made is not None:
                yield made

    def _compositions(self, record: StudyRecord, search: Search) -> Iterator[Resource]:
        for facts in self._signed(record) if search.with_reports else ():
            yield signed.composition(facts, self._writing)

    def signed_reports(self, record: StudyRecord, after: int) -> Iterator[Positioned]:
        """Yield the reports signed on a study, behind the one of its measured values."""
        for number, facts in enumerate(self._signed(record), start=1):
            position = record.position * OF_A_STUDY + number
            if position > after:
                yield position, signed.signed_report(facts, self._writing)

    def observations(self, search: Search) -> Iterator[Positioned]:
        """Yield weight and height of studies and the coded answers of signed reports, behind all measured values."""
        studies, wanted = search.wanted("derived-from"), search.wanted("_id")
        inner = replace(search, after=max(0, search.after - AFTER_VALUES))
        if wanted is not None and not any(text.startswith(("answer-", "h-")) for text in wanted):
            # The id of a weight or height names its study: no other is looked at.
            named = frozenset(filter(None, map(study_of_measure, wanted)))
            studies = named if studies is None else studies & named
        if studies is not None and not studies:
            return

        def make(record: StudyRecord, _: Search) -> Iterator[Resource]:
            yield from body_measures(study_facts(record), self._writing)
            for facts in self._signed(record) if search.with_reports else ():
                yield from signed.answer_observations(facts, self._writing)

        for position, resource in self._of_studies(inner, make, studies):
            yield AFTER_VALUES + position, resource

    # -- consent and audit

    def _consents(self, search: Search) -> Iterator[Positioned]:
        wanted, people = search.wanted("_id"), search.wanted("patient", "subject")
        with self._archive.database.connect() as connection:
            known = _store.load_consents(connection)
            for position, (_, pseudonym, _, content) in enumerate(known, start=1):
                if position <= search.after or not self._archive.is_readable(pseudonym):
                    continue
                is_wanted = wanted is None or content.get("id") in wanted
                if is_wanted and (people is None or str(pseudonym) in people):
                    yield position, content

    def _events(self, search: Search) -> Iterator[Positioned]:
        wanted, people = search.wanted("_id"), search.wanted("patient")
        after = max(0, search.after // OF_AN_ENTRY - 1)
        while self._audit is not None:
            with self._archive.database.connect() as connection:
                page = self._audit.entries_after(connection, after, sorted({*KINDS, DISCLOSED}), AT_ONCE)
            for entry in page:
                facts = _audit_facts(entry)
                is_after = search.updated_from is None or facts.when >= search.updated_from
                is_before = search.updated_to is None or facts.when < search.updated_to
                for number, resource in enumerate(_events_of(facts, self._writing)):
                    position = entry.seq * OF_AN_ENTRY + number
                    is_wanted = wanted is None or resource["id"] in wanted
                    is_theirs = people is None or bool(people & set(_people_of(resource)))
                    if position > search.after and is_after and is_before and is_wanted and is_theirs:
                        yield position, resource
            if len(page) < AT_ONCE:
                return
            after = page[-1].seq


def _is_updated(resource: Resource, search: Search) -> bool:
    """Tell whether a resource was updated in the range of a search; a report may be younger than its study."""
    if search.updated_from is None and search.updated_to is None:
        return True
    updated = datetime.fromisoformat(resource["meta"]["lastUpdated"])
    is_after = search.updated_from is None or updated >= search.updated_from
    return is_after and (search.updated_to is None or updated < search.updated_to)


def _codes_of(resource: Resource) -> set[str]:
    return {str(coding.get("code")) for coding in resource.get("code", {}).get("coding", [])}


def _events_of(facts: AuditFacts, writing: Writing) -> list[Resource]:
    access = [audit_event(facts, writing)] if facts.action in KINDS else []
    return [*access, *disclosures(facts, writing)]


def _people_of(event: Resource) -> Iterator[str]:
    for entity in event.get("entity", ()):
        target = str(entity.get("what", {}).get("reference", ""))
        if target.startswith("Patient/"):
            yield target.removeprefix("Patient/")


def _signed_facts(
    version: ReportVersion,
    form: Template,
    record: StudyRecord,
    places: Mapping[str, tuple[str, str]],
    *,
    has_order: bool,
) -> signed.SignedFacts:
    return signed.SignedFacts(
        identity=f"{version.report_id}-{version.version}",
        pseudonym=str(version.pseudonym),
        imaging_study_uid=version.imaging_study_uid,
        author=version.author,
        is_amended=version.kind == "amended",
        signed_at=version.signed_at,
        template=form,
        items=answers_of(version, {form.canonical: form}),
        places=places,
        has_order=has_order,
        day=record.day,
        clock=record.clock,
    )


def _audit_facts(entry: AuditEntry) -> AuditFacts:
    details = entry.details
    return AuditFacts(
        number=entry.seq,
        hash=entry.hash,
        when=datetime.fromisoformat(entry.time),
        action=entry.action,
        outcome=entry.outcome,
        actor=entry.actor,
        role=entry.actor_role,
        client=entry.client or "",
        target=entry.target,
        pseudonym=str(details.get("pseudonym", "")),
        parameters=tuple(str(name) for name in details.get("parameters", ())),
        subjects=tuple(str(name) for name in details.get("subjects", ())),
    )
