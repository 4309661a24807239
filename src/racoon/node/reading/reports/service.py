"""What one may ask of reports: read, save as a draft, fill with normal findings, sign."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.labels import Label
from racoon.domain.questionnaire import (
    Answered,
    Evaluation,
    evaluate,
    items_of,
    normal_items,
    with_levels,
)
from racoon.errors import Defect
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports import _answers, _store, _versions
from racoon.node.reading.reports._prefilling import begun_items, levels_of_prefill
from racoon.node.reading.reports._sources import with_sources
from racoon.node.reading.reports.catalogue import newest_template, templates
from racoon.node.reading.reports.coding_help import with_known_codes
from racoon.node.reading.reports.model import (
    LONGEST_ADDENDUM,
    LONGEST_REASON,
    NotSigned,
    ReportChanged,
    ReportSigned,
    ReportState,
    ReportVersion,
    StoredReport,
    checked_words,
)
from racoon.node.reading.reports.published import subject_of
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database


class IncompleteReport(Defect):
    """A report that cannot be signed; the form shows the reason at each question."""

    code = "reading.incomplete_report"


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
        pseudonym = subject_of(self._archive, imaging_study_uid)
        with self._database.connect() as connection:
            report = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        return _state(report, evaluate(report.template, report.items))

    def save(
        self,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        items: object,
        based_on: int,
        *,
        labels: Sequence[Label] = (),
    ) -> ReportState:
        """Save the answers as a draft, whatever is still missing.

        Parameters
        ----------
        labels
            Of the node's reading protocols: what codes of words may be besides shipped terms and templates.

        Raises
        ------
        BadAnswers
            If they are not answers of this template, or a text has a code that is not offered here.
        NoSuchSource
            If an answer names a finding that is not there or has no fitting number.
        ReportSigned, ReportChanged
        """

        def change(report: StoredReport) -> tuple[Answered, ...]:
            # How automatic an answer is, is said at the signature and never believed.
            given = with_levels(report.template, items_of(report.template, items), {})
            with self._database.connect() as connection:
                forms = templates(connection).values()
            coded = with_known_codes(report.template, given, forms, labels)
            return with_sources(self._findings, report, coded)

        return self._change(user, imaging_study_uid, template_url, based_on, change)

    def begin(
        self,
        user: User,
        imaging_study_uid: str,
        template_url: str,
        items: Sequence[Answered],
        based_on: int,
    ) -> ReportState:
        """Put the answers of other readings into the draft, to decide between them."""

        def change(report: StoredReport) -> tuple[Answered, ...]:
            return with_sources(self._findings, report, items)

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
        *,
        levels: Mapping[str, str] | None = None,
        also: Callable[[sa.Connection, ReportVersion], None] = lambda _connection, _version: None,
    ) -> ReportState:
        """Sign a complete report: from here on nobody changes it.

        Parameters
        ----------
        levels
            How automatic answers are, by path.
        also
            What else the signature does, in its transaction; what it refuses is not signed.

        Raises
        ------
        IncompleteReport
            If a required answer is missing or one is not allowed.
        ReportSigned, ReportChanged, NoSuchSource
        """
        pseudonym = subject_of(self._archive, imaging_study_uid)
        with self._database.connect() as connection:
            drafted = self._load(connection, user, imaging_study_uid, pseudonym, template_url)
        # The findings may have changed since the draft was saved; what is signed is what they say now.
        sourced = with_sources(self._findings, drafted, drafted.items)
        with self._database.begin() as connection:
            report = self._changeable(connection, user, imaging_study_uid, template_url, pseudonym, based_on)
            evaluation = evaluate(report.template, sourced)
            if not evaluation.is_complete:
                raise IncompleteReport("The report is not complete: the form shows what is missing or wrong.")
            now = clock.now()
            begun = begun_items(
                connection, self._archive, user.name, imaging_study_uid, pseudonym, report.template
            )
            known = levels_of_prefill(report.template, begun, evaluation.items)
            items = with_levels(report.template, evaluation.items, known | dict(levels or {}))
            signed = replace(report, items=items, revision=report.revision + 1, changed_at=now, signed_at=now)
            signed = replace(signed, signed_hash=signed.digest())
            _store.save(connection, signed)
            kind = "amended" if signed.amending else "signed"
            version = self._keep(connection, signed, kind, signed.amending, signed.signed_hash)
            also(connection, version)
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
        return _state(signed, replace(evaluation, items=items))

    def amend(
        self, user: User, imaging_study_uid: str, template_url: str, reason: str, client: str | None = None
    ) -> ReportState:
        """Open a signed report again as a draft; what was signed stays readable as its own version.

        Raises
        ------
        NotSigned, BadReason
        """
        reason = checked_words(reason, LONGEST_REASON)
        pseudonym = subject_of(self._archive, imaging_study_uid)
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
        text = checked_words(text, LONGEST_ADDENDUM)
        pseudonym = subject_of(self._archive, imaging_study_uid)
        with self._database.begin() as connection:
            report = self._signed(connection, user, imaging_study_uid, template_url, pseudonym)
            before = _versions.load(connection, report.report_id)[-1]
            digest = hashlib.sha256(f"{before.sha256}\n{text}".encode()).hexdigest()
            self._keep(connection, report, "addendum", text, digest)
            self._record(connection, user, "report.addendum", report, digest, client)
        return _state(report, evaluate(report.template, report.items))

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
    ) -> ReportVersion:
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
        if kind != "addendum":
            cohorts.record_report(
                connection, report.report_id, report.pseudonym, report.imaging_study_uid, version.response
            )
        _answers.record(connection, version, {report.template.canonical: report.template})
        return version

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
        pseudonym = subject_of(self._archive, imaging_study_uid)
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
            template = newest_template(template_url, connection)
            return StoredReport(
                report_id=str(uuid.uuid4()),
                imaging_study_uid=imaging_study_uid,
                pseudonym=pseudonym,
                author=user.name,
                template=template,
                items=begun_items(
                    connection, self._archive, user.name, imaging_study_uid, pseudonym, template
                ),
                revision=0,
                changed_at=clock.now(),
            )
        template = templates(connection)[f"{row.template_url}|{row.template_version}"]
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


def _state(report: StoredReport, evaluation: Evaluation) -> ReportState:
    return ReportState(
        replace(report, items=evaluation.items), evaluation.hidden, evaluation.problems, evaluation.doubts
    )


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the reports on a subject; returns how many rows."""
    gone = _store.forget_subject(connection, pseudonym) + _versions.forget_subject(connection, pseudonym)
    return gone + _answers.forget_subject(connection, pseudonym)
