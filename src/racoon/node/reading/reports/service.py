"""What one may ask of reports: read, save as a draft, fill with normal findings, sign."""

from __future__ import annotations

import functools
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import (
    Answer,
    Answered,
    Evaluation,
    Item,
    Template,
    evaluate,
    initial_items,
    items_of,
    normal_items,
    template_of,
)
from racoon.errors import Defect
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.model import SeriesFilter, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.model import FindingNotFound
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports import _store, _versions
from racoon.node.reading.reports._filing import write_report
from racoon.node.reading.reports.model import (
    BadReason,
    NoSuchSource,
    NotSigned,
    ReportChanged,
    ReportNotFound,
    ReportSigned,
    ReportState,
    ReportVersion,
    StoredReport,
)
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database


class IncompleteReport(Defect):
    """A report that cannot be signed; the form shows the reason at each question."""

    code = "reading.incomplete_report"


class NotFiled(Defect):
    """A signed report that the archive did not take as DICOM SR."""

    code = "reading.not_filed"


LONGEST_REASON = 500
LONGEST_ADDENDUM = 4000


@functools.cache
def templates() -> dict[str, Template]:
    """Load every version of every template by its canonical name."""
    folder = files("racoon.node.reading.reports").joinpath("templates")
    found = {}
    for entry in sorted(folder.iterdir(), key=lambda item: item.name):
        if entry.name.endswith(".json"):
            template = template_of(json.loads(entry.read_text(encoding="utf-8")))
            found[template.canonical] = template
    return found


def newest_template(url: str) -> Template:
    """Return the newest version of a template.

    Raises
    ------
    ReportNotFound
        If there is none of this address.
    """
    versions = [template for template in templates().values() if template.url == url]
    if not versions:
        raise ReportNotFound("There is no such report template.")
    return max(versions, key=lambda template: [int(part) for part in template.version.split(".")])


class Reports:
    """Structured reports of readers.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive, findings
        What they are about.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive, findings: Findings) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive
        self._findings = findings

    def get(self, user: User, imaging_study_uid: str, template_url: str) -> ReportState:
        """Return the reader's own report; one that was never saved has revision 0 and the template's initial
        answers.
        """
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.connect() as connection:
            report = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        return _state(report, evaluate(report.template, report.items))

    def save(
        self, user: User, imaging_study_uid: str, template_url: str, items: object, based_on: int
    ) -> ReportState:
        """Save the answers as a draft, whatever is still missing.

        Raises
        ------
        BadAnswers
            If they are not answers of this template.
        NoSuchSource
            If an answer names a finding that is not there or has no fitting number.
        ReportSigned, ReportChanged
        """

        def change(report: StoredReport) -> tuple[Answered, ...]:
            return self._with_sources(report, items_of(report.template, items))

        return self._change(user, imaging_study_uid, template_url, based_on, change)

    def fill_normal(
        self, user: User, imaging_study_uid: str, template_url: str, based_on: int
    ) -> ReportState:
        """Give every open question the answer of a normal case."""

        def change(report: StoredReport) -> tuple[Answered, ...]:
            return normal_items(report.template, report.items)

        return self._change(user, imaging_study_uid, template_url, based_on, change)

    def sign(
        self,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        based_on: int,
        client: str | None = None,
    ) -> ReportState:
        """Sign a complete report: from here on nobody changes it.

        Raises
        ------
        IncompleteReport
            If a required answer is missing or one is not allowed.
        ReportSigned, ReportChanged, NoSuchSource
        """
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.connect() as connection:
            drafted = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        # The findings may have changed since the draft was saved; what is signed is what they say now.
        sourced = self._with_sources(drafted, drafted.items)
        with self._database.begin() as connection:
            report = self._changeable(connection, user, imaging_study_uid, template_url, pseudonym, based_on)
            evaluation = evaluate(report.template, sourced)
            if not evaluation.is_complete:
                raise IncompleteReport("The report is not complete: the form shows what is missing or wrong.")
            now = clock.now()
            signed = replace(
                report, items=evaluation.items, revision=report.revision + 1, changed_at=now, signed_at=now
            )
            signed = replace(signed, signed_hash=signed.digest())
            _store.save(connection, signed)
            kind = "amended" if signed.amending else "signed"
            self._keep(connection, signed, kind, signed.amending, signed.signed_hash)
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="report.sign",
                target=f"report/{signed.report_id}",
                client=client,
                details={
                    "sha256": signed.signed_hash,
                    "template": signed.template.canonical,
                    "imaging_study": imaging_study_uid,
                    "pseudonym": str(pseudonym),
                },
            )
        return _state(signed, evaluation)

    def template(self, canonical: str) -> Template:
        """Return the version of a template that a response names."""
        return templates()[canonical]

    def amend(
        self, user: User, imaging_study_uid: str, template_url: str, reason: str, client: str | None = None
    ) -> ReportState:
        """Open a signed report again as a draft; what was signed stays readable as its own version.

        Raises
        ------
        NotSigned, BadReason
        """
        reason = _checked(reason, LONGEST_REASON)
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.begin() as connection:
            report = self._signed(connection, user, imaging_study_uid, template_url, pseudonym)
            opened = replace(
                report,
                revision=report.revision + 1,
                changed_at=clock.now(),
                signed_at=None,
                signed_hash="",
                amending=reason,
            )
            _store.save(connection, opened)
            self._record(connection, user, "report.amend", report, report.signed_hash, client)
        return _state(opened, evaluate(opened.template, opened.items))

    def add(
        self, user: User, imaging_study_uid: str, template_url: str, text: str, client: str | None = None
    ) -> ReportState:
        """Add words to a signed report, signed by the same act; the answers stay as they are.

        Raises
        ------
        NotSigned, BadReason
        """
        text = _checked(text, LONGEST_ADDENDUM)
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.begin() as connection:
            report = self._signed(connection, user, imaging_study_uid, template_url, pseudonym)
            before = _versions.load(connection, report.report_id)[-1]
            digest = hashlib.sha256(f"{before.sha256}\n{text}".encode()).hexdigest()
            self._keep(connection, report, "addendum", text, digest)
            self._record(connection, user, "report.addendum", report, digest, client)
        return _state(report, evaluate(report.template, report.items))

    def versions(self, user: User, imaging_study_uid: str, template_url: str) -> list[ReportVersion]:
        """List what the reader signed, the oldest first."""
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.connect() as connection:
            report = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
            return _versions.load(connection, report.report_id)

    def previous(self, user: User, imaging_study_uid: str, template_url: str) -> ReportVersion | None:
        """Return the newest version that the reader signed on another imaging study of the same subject."""
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.connect() as connection:
            found = _versions.load_of_subject(connection, str(pseudonym), user.name)
        return next(
            (
                version
                for version in found
                if version.imaging_study_uid != imaging_study_uid
                and version.response["questionnaire"].partition("|")[0] == template_url
            ),
            None,
        )

    def file(
        self, user: User, imaging_study_uid: str, template_url: str, objects: DerivedObjects
    ) -> ReportVersion:
        """Store the newest signed version as DICOM SR in the archive; filing it again changes nothing.

        Raises
        ------
        NotSigned
            If nothing is signed yet.
        NotFiled
            If the archive refuses the object; the report stays signed.
        """
        signed = [
            item for item in self.versions(user, imaging_study_uid, template_url) if item.kind != "addendum"
        ]
        if not signed:
            raise NotSigned("The report is not signed yet.")
        version = signed[-1]
        if version.sr_instance_uid:
            return version
        marks = [
            found
            for found in self._findings.of_study(imaging_study_uid)
            if found.author == user.name and found.written_at <= version.signed_at
        ]
        template = templates()[version.response["questionnaire"]]
        data = write_report(self._archive, version, template, marks)
        outcome = objects.store(data, imaging_study_uid=imaging_study_uid)
        objects.record([outcome], actor=user.name, actor_role=user.main_role)
        if outcome.failure:
            raise NotFiled(outcome.reason)
        with self._database.begin() as connection:
            _versions.set_instance(connection, version.report_id, version.version, outcome.sop_instance_uid)
        return replace(version, sr_instance_uid=outcome.sop_instance_uid)

    def _signed(
        self,
        connection: sa.Connection,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        pseudonym: Pseudonym,
    ) -> StoredReport:
        report = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        if not report.is_signed:
            raise NotSigned("The report is not signed yet.")
        return report

    def _keep(
        self, connection: sa.Connection, report: StoredReport, kind: str, text: str, digest: str
    ) -> None:
        number = len(_versions.load(connection, report.report_id)) + 1
        version = ReportVersion(
            report_id=report.report_id,
            version=number,
            kind=kind,
            text=text,
            response=report.to_fhir(),
            sha256=digest,
            pseudonym=str(report.pseudonym),
            imaging_study_uid=report.imaging_study_uid,
            author=report.author,
            signed_at=clock.now() if kind == "addendum" else report.signed_at or clock.now(),
        )
        _versions.insert(connection, version)

    def _record(
        self,
        connection: sa.Connection,
        user: User,
        action: str,
        report: StoredReport,
        digest: str,
        client: str | None,
    ) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"report/{report.report_id}",
            client=client,
            details={
                "sha256": digest,
                "imaging_study": report.imaging_study_uid,
                "pseudonym": str(report.pseudonym),
            },
        )

    def _change(
        self,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        based_on: int,
        change: Callable[[StoredReport], tuple[Answered, ...]],
    ) -> ReportState:
        pseudonym = self._subject_of(imaging_study_uid)
        with self._database.connect() as connection:
            before = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        items = change(before)
        with self._database.begin() as connection:
            report = self._changeable(connection, user, imaging_study_uid, template_url, pseudonym, based_on)
            evaluation = evaluate(report.template, items)
            saved = replace(
                report, items=evaluation.items, revision=report.revision + 1, changed_at=clock.now()
            )
            _store.save(connection, saved)
        return _state(saved, evaluation)

    def _changeable(
        self,
        connection: sa.Connection,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        pseudonym: Pseudonym,
        based_on: int,
    ) -> StoredReport:
        report = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        if report.is_signed:
            raise ReportSigned("The report is signed and can no longer be changed.")
        if report.revision != based_on:
            raise ReportChanged("The report was changed in another window. Load the page again.")
        return report

    def _subject_of(self, imaging_study_uid: str) -> Pseudonym:
        rows = self._archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid, limit=1))
        if not rows:
            raise SeriesNotFound("There is no such imaging study in this archive.")
        return rows[0].facts.pseudonym

    def _load(
        self,
        connection: sa.Connection,
        user: User,
        imaging_study_uid: str,
        pseudonym: Pseudonym,
        template_url: str,
    ) -> StoredReport:
        row = _store.load(connection, imaging_study_uid, user.name, template_url)
        if row is None:
            template = newest_template(template_url)
            return StoredReport(
                report_id=str(uuid.uuid4()),
                imaging_study_uid=imaging_study_uid,
                pseudonym=pseudonym,
                author=user.name,
                template=template,
                items=initial_items(template),
                revision=0,
                changed_at=clock.now(),
            )
        template = templates()[f"{row.template_url}|{row.template_version}"]
        return StoredReport(
            report_id=row.report_id,
            imaging_study_uid=row.imaging_study_uid,
            pseudonym=Pseudonym(row.pseudonym),
            author=row.author,
            template=template,
            items=items_of(template, row.response["item"]),
            revision=row.revision,
            changed_at=row.changed_at,
            signed_at=row.signed_at,
            signed_hash=row.signed_hash,
            amending=row.amending,
        )

    def _with_sources(self, report: StoredReport, items: Sequence[Answered]) -> tuple[Answered, ...]:
        """Put the stored number of the finding in the place of whatever number came with its name."""
        asked = {item.link_id: item for item in report.template.walk()}
        return tuple(
            replace(
                node,
                answers=tuple(
                    self._sourced(report, asked[node.link_id], answer) if answer.finding_id else answer
                    for answer in node.answers
                ),
                items=self._with_sources(report, node.items),
            )
            for node in items
        )

    def _sourced(self, report: StoredReport, item: Item, answer: Answer) -> Answer:
        try:
            stored = self._findings.get(answer.finding_id)
        except FindingNotFound:
            stored = None
        place_is_right = (
            stored is not None and stored.finding.place.imaging_study_uid == report.imaging_study_uid
        )
        if stored is None or not place_is_right or stored.is_removed:
            raise NoSuchSource("An answer was taken from a finding that is not there. Take it again.")
        numbers = {number.name: number.value for number in stored.numbers}
        name = next((name for name in item.from_finding if name in numbers), None)
        if name is None:
            raise NoSuchSource("The finding has no number that answers this question.")
        return Answer(numbers[name], answer.finding_id)


def signed_answers(
    connection: sa.Connection, template_url: str, imaging_study_uids: Sequence[str]
) -> list[tuple[str, str, tuple[Answered, ...]]]:
    """Return (author, imaging study, answers) of the newest signed versions of a template."""
    found = []
    for version in _versions.load_newest_of_studies(connection, imaging_study_uids):
        canonical = version.response["questionnaire"]
        if canonical.partition("|")[0] == template_url:
            items = items_of(templates()[canonical], version.response["item"])
            found.append((version.author, version.imaging_study_uid, items))
    return found


def _checked(text: str, longest: int) -> str:
    text = text.strip()
    if not text or len(text) > longest:
        raise BadReason("Say why or what in words, and not in too many.")
    return text


def _state(report: StoredReport, evaluation: Evaluation) -> ReportState:
    return ReportState(replace(report, items=evaluation.items), evaluation.hidden, evaluation.problems)


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the reports on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym) + _versions.forget_subject(connection, pseudonym)
