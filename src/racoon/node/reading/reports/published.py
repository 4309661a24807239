"""What one may ask of signed reports: their versions, what was signed before, the DICOM SR in the archive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answered, Template, items_of
from racoon.errors import Defect
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.model import SeriesFilter, SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports import _store, _versions
from racoon.node.reading.reports._filing import write_report
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.model import NotSigned, ReportNotFound, ReportVersion
from racoon.platform.auth import User
from racoon.platform.database import Database


class NotFiled(Defect):
    """A signed report that the archive did not take as DICOM SR."""

    code = "reading.not_filed"


def subject_of(archive: Archive, imaging_study_uid: str) -> Pseudonym:
    """Return whose imaging study it is.

    Raises
    ------
    SeriesNotFound
        If it is not there or may not be read.
    """
    rows = archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid, limit=1))
    if not rows:
        raise SeriesNotFound("There is no such imaging study in this archive.")
    return rows[0].facts.pseudonym


def signed_answers(
    connection: sa.Connection, template_url: str, imaging_study_uids: Sequence[str]
) -> list[tuple[str, str, tuple[Answered, ...]]]:
    """Return (author, imaging study, answers) of the newest signed versions of a template."""
    forms = templates(connection)
    return [
        (version.author, version.imaging_study_uid, answers_of(version, forms))
        for version in signed_versions(connection, template_url, imaging_study_uids)
    ]


def signed_versions(
    connection: sa.Connection, template_url: str, imaging_study_uids: Sequence[str]
) -> list[ReportVersion]:
    """Return the newest signed version of every author on some imaging studies, of one template."""
    return [
        version
        for version in _versions.load_newest_of_studies(connection, imaging_study_uids)
        if version.response["questionnaire"].partition("|")[0] == template_url
    ]


def signed_on(connection: sa.Connection, imaging_study_uids: Sequence[str]) -> list[ReportVersion]:
    """Return the newest signed version of every author on some imaging studies whose template is known here."""
    forms = templates(connection)
    return [
        version
        for version in _versions.load_newest_of_studies(connection, imaging_study_uids)
        if version.response["questionnaire"] in forms
    ]


def version_of(connection: sa.Connection, report_id: str, number: int) -> ReportVersion:
    """Return one signed version of a report.

    Raises
    ------
    ReportNotFound
    """
    found = next((item for item in _versions.load(connection, report_id) if item.version == number), None)
    if found is None:
        raise ReportNotFound("There is no such signed version.")
    return found


def template_of_version(connection: sa.Connection, version: ReportVersion) -> Template:
    """Return the template whose questions a signed version answers."""
    return templates(connection)[version.response["questionnaire"]]


def answers_of(version: ReportVersion, forms: Mapping[str, Template]) -> tuple[Answered, ...]:
    """Return the answers of a signed version."""
    return items_of(forms[version.response["questionnaire"]], version.response["item"])


def filed_by(author: str, imaging_study_uids: sa.Select[Any]) -> sa.Select[Any]:
    """Select the DICOM SRs that a reader's own signed reports on some imaging studies were stored as."""
    return _versions.instances_on_studies(author, imaging_study_uids, own=True)


def filed_by_others(author: str, imaging_study_uids: sa.Select[Any]) -> sa.Select[Any]:
    """Select the DICOM SRs that other readers' signed reports on some imaging studies were stored as."""
    return _versions.instances_on_studies(author, imaging_study_uids)


Sight = Callable[[frozenset[str]], frozenset[str]]
"""Of the imaging studies of one subject those on which a reader may see what others signed."""


def own_alone(_imaging_study_uids: frozenset[str]) -> frozenset[str]:
    """Let nothing of others be seen."""
    return frozenset()


@dataclass(frozen=True)
class PreviousReport:
    """What was signed before on a subject.

    Parameters
    ----------
    examined_on
        ``YYYYMMDD`` in the subject's shifted calendar, or empty where no object says so.
    """

    version: ReportVersion
    examined_on: str


def previous_report(
    connection: sa.Connection,
    archive: Archive,
    author: str,
    imaging_study_uid: str,
    pseudonym: Pseudonym,
    template_url: str,
    sight: Sight = own_alone,
) -> PreviousReport | None:
    """Return what was signed last with a template on the latest examination that is not after this one.

    The order in which cases are read says nothing: lists are shuffled.  An examination without a day counts as
    earlier than any other.

    Parameters
    ----------
    author
        Who reads now; what this person signed is always in sight.
    sight
        Says where what others signed is in sight too.
    """
    rows = archive.series(SeriesFilter(pseudonym=str(pseudonym)))
    days: dict[str, str] = {}
    for row in rows:
        days.setdefault(row.facts.imaging_study_uid, row.facts.study_date_shifted)
    today = days.get(imaging_study_uid, "")
    in_sight = sight(frozenset(days))
    forms = templates(connection)
    found = [
        version
        for version in _versions.load_of_subject(connection, str(pseudonym))
        if version.imaging_study_uid in days
        and (version.author == author or version.imaging_study_uid in in_sight)
        and version.imaging_study_uid != imaging_study_uid
        and version.response["questionnaire"] in forms
        and forms[version.response["questionnaire"]].url == template_url
        and (not today or days[version.imaging_study_uid] <= today)
    ]
    if not found:
        return None
    # The newest signature comes first, and of equal days the first stays.
    version = max(found, key=lambda item: days[item.imaging_study_uid])
    return PreviousReport(version, days[version.imaging_study_uid])


class PublishedReports:
    """Signed reports of readers.

    Parameters
    ----------
    database
        Where they are kept.
    archive, findings
        What they are about.
    """

    def __init__(self, database: Database, archive: Archive, findings: Findings) -> None:
        self._database = database
        self._archive = archive
        self._findings = findings

    def versions(self, user: User, imaging_study_uid: str, template_url: str) -> list[ReportVersion]:
        """List what the reader signed, the oldest first."""
        subject_of(self._archive, imaging_study_uid)
        with self._database.connect() as connection:
            row = _store.load(connection, imaging_study_uid, user.name, template_url)
            return _versions.load(connection, row.report_id) if row else []

    def of_report(
        self, user: User, imaging_study_uid: str, template_url: str, report_id: str, sight: Sight
    ) -> list[ReportVersion]:
        """List the signed versions of a report that may be another reader's, the oldest first.

        Raises
        ------
        ReportNotFound
            Also where it is not in sight: who has signed is not said either.
        """
        pseudonym = subject_of(self._archive, imaging_study_uid)
        with self._database.connect() as connection:
            found = _versions.load(connection, report_id)
        if not found or (
            found[0].imaging_study_uid,
            found[0].response["questionnaire"].partition("|")[0],
        ) != (
            imaging_study_uid,
            template_url,
        ):
            raise ReportNotFound("There is no such signed version.")
        if found[0].author != user.name:
            rows = self._archive.series(SeriesFilter(pseudonym=str(pseudonym)))
            if imaging_study_uid not in sight(frozenset(row.facts.imaging_study_uid for row in rows)):
                raise ReportNotFound("There is no such signed version.")
        return found

    def previous(
        self, user: User, imaging_study_uid: str, template_url: str, sight: Sight = own_alone
    ) -> PreviousReport | None:
        """Return what was signed last on the examination of the same subject before this one."""
        pseudonym = subject_of(self._archive, imaging_study_uid)
        with self._database.connect() as connection:
            return previous_report(
                connection, self._archive, user.name, imaging_study_uid, pseudonym, template_url, sight
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
        with self._database.connect() as connection:
            template = templates(connection)[version.response["questionnaire"]]
        data = write_report(self._archive, version, template, marks)
        outcome = objects.store(data, imaging_study_uid=imaging_study_uid)
        objects.record([outcome], actor=user.name, actor_role=user.main_role)
        if outcome.failure:
            raise NotFiled(outcome.reason)
        with self._database.begin() as connection:
            _versions.set_instance(connection, version.report_id, version.version, outcome.sop_instance_uid)
        return replace(version, sr_instance_uid=outcome.sop_instance_uid)
