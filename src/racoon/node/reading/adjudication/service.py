"""What one may ask of decisions: both readings side by side, a draft to begin from, the record that is signed."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answered, Template, agreed_items, answers_by_path
from racoon.node.archive.service import Archive
from racoon.node.reading.adjudication import _store
from racoon.node.reading.adjudication._masks import compare_masks
from racoon.node.reading.adjudication.model import (
    Answers,
    Decision,
    MaskAgreement,
    MaskPairs,
    NothingToDecide,
    Reading,
    ReadingsMissing,
    whose_answers,
)
from racoon.node.reading.drawing.model import Drawing
from racoon.node.reading.drawing.service import finished_on_study
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.published import answers_of, signed_versions
from racoon.node.reading.work.model import ADJUDICATE, READ, ReadingTask
from racoon.node.reading.work.service import tasks_on
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the decisions on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


@dataclass(frozen=True)
class Case:
    """A case to decide: the task, both signed readings, how their masks agree, what the readers are called."""

    task: ReadingTask
    readings: tuple[ReportVersion, ...]
    masks: tuple[MaskAgreement, ...]
    aliases: Mapping[str, str] = field(default_factory=dict)


class Adjudication:
    """Decisions between two readings.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        What was read.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def is_asked(self, user: User, imaging_study_uid: str) -> str:
        """Return the list in which somebody decides on an imaging study, or nothing."""
        with self._database.connect() as connection:
            found = tasks_on(connection, imaging_study_uid)
        return next((task.list_name for task in found if _is_theirs(task, user.name)), "")

    def case(self, user: User, list_name: str, imaging_study_uid: str) -> Case:
        """Return what there is to decide.

        Raises
        ------
        NothingToDecide
            If it is not this person's to decide, or its subject's data may not be read.
        ReadingsMissing
            Until both readers are done.
        """
        with self._database.connect() as connection:
            task, readings = self._readings(connection, user, list_name, imaging_study_uid)
            drawings = finished_on_study(connection, imaging_study_uid)
        if not self._archive.is_readable(task.pseudonym):
            raise NothingToDecide("There is nothing to decide here.")
        names = tuple(version.author for version in readings)
        masks = tuple(self._masks(task, names, drawings))
        aliases = self.aliases(user, imaging_study_uid, list_name)
        if aliases and list(aliases) != list(names):
            # The order of the names would tell whose is which.
            readings = readings[::-1]
            masks = tuple(
                replace(mask, segments=mask.segments[::-1], volumes_ml=mask.volumes_ml[::-1])
                for mask in masks
            )
        return Case(task, readings, masks, aliases)

    def aliases(self, user: User, imaging_study_uid: str, list_name: str = "") -> dict[str, str]:
        """Return what readers are called while somebody who must not know decides between them; else nothing.

        Who is A and who is B is drawn for each case and stays.
        """
        with self._database.connect() as connection:
            found = tasks_on(connection, imaging_study_uid)
        for own in found:
            is_open = own.hides_names and own.done_at is None and list_name in ("", own.list_name)
            if is_open and _is_theirs(own, user.name):
                names = sorted(
                    task.reader for task in found if task.list_name == own.list_name and task.duty == READ
                )
                drawn = hashlib.sha256(f"{own.list_name}/{imaging_study_uid}/names".encode()).digest()
                names = names[::-1] if drawn[0] & 1 else names
                return dict(zip(names, "AB", strict=False))
        return {}

    def beginning(
        self, user: User, list_name: str, imaging_study_uid: str, reader: str = ""
    ) -> tuple[Answered, ...]:
        """Return answers to begin a decision with: those of one reader, or what both say alike.

        Raises
        ------
        NothingToDecide, ReadingsMissing
        """
        with self._database.connect() as connection:
            _, readings = self._readings(connection, user, list_name, imaging_study_uid)
            forms = templates(connection)
        aliases = self.aliases(user, imaging_study_uid, list_name)
        answers = {
            aliases.get(version.author, version.author): answers_of(version, forms) for version in readings
        }
        if reader and reader not in answers:
            raise NothingToDecide("There is no reading of this person.")
        return answers[reader] if reader else agreed_items(*answers.values())

    def prepare(self, user: User, imaging_study_uid: str, template_url: str) -> None:
        """Compare the masks of what is to be decided, before the short transaction of the signature."""
        with self._database.connect() as connection:
            found = tasks_on(connection, imaging_study_uid)
        for task in found:
            if _is_theirs(task, user.name) and task.template_url == template_url:
                self.mask_agreement([item for item in found if item.list_name == task.list_name])

    def check(self, connection: sa.Connection, user: User, version: ReportVersion) -> None:
        """Record the decision where a signed report is one; called in the transaction of the signature.

        Raises
        ------
        ReadingsMissing
            If it is one and a reading is missing: the signature is refused.
        """
        template_url = version.response["questionnaire"].partition("|")[0]
        for task in tasks_on(connection, version.imaging_study_uid):
            if _is_theirs(task, user.name) and task.template_url == template_url:
                self._record(connection, user, task, version)

    def decisions(self, list_name: str) -> list[dict[str, Any]]:
        """Return the newest record of each decided case of a list."""
        with self._database.connect() as connection:
            found = _store.load(connection, list_name=list_name)
        return list({record["imaging_study"]: record for record in found}.values())

    def record(self, list_name: str, imaging_study_uid: str) -> dict[str, Any]:
        """Return the newest record of a case.

        Raises
        ------
        NothingToDecide
        """
        with self._database.connect() as connection:
            found = _store.load(connection, list_name=list_name, imaging_study_uid=imaging_study_uid)
        if not found:
            raise NothingToDecide("This case is not decided.")
        return found[-1]

    def of_report(self, report_id: str, version: int) -> dict[str, Any] | None:
        """Return the record that a signed version is, or None."""
        with self._database.connect() as connection:
            found = _store.load(connection, report_id=report_id)
        return next((record for record in found if record["version"] == version), None)

    def mask_agreement(self, case: list[ReadingTask]) -> list[MaskAgreement]:
        """Compare the masks of a case that both its readers are done with.

        Parameters
        ----------
        case
            The tasks of a list on one imaging study.
        """
        readers = [task for task in case if task.duty == READ]
        if len(readers) != 2 or any(task.done_at is None for task in readers):
            return []
        return [mask for _, mask in self.mask_pairs(case).found]

    def mask_pairs(self, case: Sequence[ReadingTask], at_most: int | None = None) -> MaskPairs:
        """Compare the masks of every pair of readers of a case, two readers or more, that all are done with.

        Parameters
        ----------
        case
            The tasks of a list on one imaging study.
        at_most
            How many segmentations may be compared now; what is known already costs nothing. None compares all.
        """
        readers = [task for task in case if task.duty == READ]
        if len(readers) < 2 or any(task.done_at is None for task in readers):
            return MaskPairs()
        with self._database.connect() as connection:
            drawings = finished_on_study(connection, readers[0].imaging_study_uid)
        found: list[tuple[tuple[str, str], MaskAgreement]] = []
        made = waiting = 0
        for first, second in itertools.combinations(sorted(task.reader for task in readers), 2):
            for series, pair in _pairs(drawings, (first, second)):
                rows = self._known(pair)
                if rows is None and at_most is not None and made >= at_most:
                    waiting += 1
                    continue
                if rows is None:
                    made += 1
                    rows = self._compared(readers[0], series, pair)
                found += [((first, second), row) for row in rows]
        return MaskPairs(tuple(found), made, waiting)

    # -- inside

    def _readings(
        self, connection: sa.Connection, user: User, list_name: str, imaging_study_uid: str
    ) -> tuple[ReadingTask, tuple[ReportVersion, ...]]:
        found = [task for task in tasks_on(connection, imaging_study_uid) if task.list_name == list_name]
        own = next((task for task in found if _is_theirs(task, user.name)), None)
        if own is None:
            raise NothingToDecide("There is nothing to decide here.")
        return own, _both(connection, own, found)

    def _masks(
        self, task: ReadingTask, names: tuple[str, ...], drawings: list[Drawing]
    ) -> list[MaskAgreement]:
        rows: list[MaskAgreement] = []
        for series, pair in _pairs(drawings, names):
            known = self._known(pair)
            rows += self._compared(task, series, pair) if known is None else known
        return rows

    def _known(self, pair: tuple[str, str]) -> list[MaskAgreement] | None:
        with self._database.connect() as connection:
            return _store.load_masks(connection, *pair)

    def _compared(self, task: ReadingTask, series: str, pair: tuple[str, str]) -> list[MaskAgreement]:
        found = compare_masks(self._archive, series, *pair)
        with self._database.begin() as connection:
            _store.save_masks(connection, *pair, str(task.pseudonym), found)
        return found

    def _record(
        self, connection: sa.Connection, user: User, task: ReadingTask, version: ReportVersion
    ) -> None:
        found = [
            item for item in tasks_on(connection, task.imaging_study_uid) if item.list_name == task.list_name
        ]
        readings = _both(connection, task, found)
        names = tuple(item.author for item in readings)
        drawings = finished_on_study(connection, task.imaging_study_uid)
        masks = [
            row
            for series in dict.fromkeys(item.series_uid for item in drawings)
            for row in _store.load_masks(connection, *_stored(drawings, series, names)) or ()
        ]
        forms = templates(connection)
        decision = Decision(
            list_name=task.list_name,
            imaging_study_uid=task.imaging_study_uid,
            pseudonym=str(task.pseudonym),
            adjudicator=user.name,
            report_id=version.report_id,
            version=version.version,
            report_sha256=version.sha256,
            decided_at=version.signed_at,
            readings=tuple(
                Reading(item.author, item.report_id, item.version, item.sha256, item.signed_at)
                for item in readings
            ),
            whose=whose_answers(
                paths_of(version, forms), {item.author: paths_of(item, forms) for item in readings}
            ),
            masks=tuple(masks),
            drawn=tuple(
                (item.finished[-1], tuple(segment.origin for segment in item.segments if segment.origin))
                for item in drawings
                if item.author == user.name
            ),
        )
        _store.insert(connection, decision)
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="report.decide",
            target=f"report/{version.report_id}",
            details={
                "sha256": decision.digest(),
                "list": task.list_name,
                "readers": [item.author for item in readings],
                "imaging_study": task.imaging_study_uid,
                "pseudonym": str(task.pseudonym),
            },
        )


def _is_theirs(task: ReadingTask, name: str) -> bool:
    return task.duty == ADJUDICATE and task.reader == name


def _both(
    connection: sa.Connection, task: ReadingTask, tasks: list[ReadingTask]
) -> tuple[ReportVersion, ...]:
    """Return what both readers signed, in the order of their names."""
    readers = {item.reader: item.done_at for item in tasks if item.duty == READ}
    signed = {
        version.author: version
        for version in signed_versions(connection, task.template_url, [task.imaging_study_uid])
        if version.author in readers
    }
    if not readers or any(done is None for done in readers.values()) or set(signed) != set(readers):
        raise ReadingsMissing("A decision needs both readings. One of them is not signed yet.")
    return tuple(signed[name] for name in sorted(signed))


def _pairs(drawings: list[Drawing], names: tuple[str, ...]) -> list[tuple[str, tuple[str, str]]]:
    """List the series on which two readers drew, each with the segmentations of both."""
    return [
        (series, _stored(drawings, series, names))
        for series in dict.fromkeys(item.series_uid for item in drawings if item.author in names)
    ]


def _stored(drawings: list[Drawing], series: str, names: tuple[str, ...]) -> tuple[str, str]:
    """Return the newest segmentations of two readers on a series, empty where one stored none."""
    stored = {(item.author, item.series_uid): item.finished[-1] for item in drawings}
    first, second = (stored.get((name, series), "") for name in names)
    return first, second


def paths_of(version: ReportVersion, forms: Mapping[str, Template]) -> Answers:
    """Return the answers of a signed version by the paths of their questions."""
    return answers_by_path(forms[version.response["questionnaire"]], answers_of(version, forms))
