"""What one may ask of proposals: offer what was measured, accept or reject, how automatic the answers are."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answered, Template, answer_of_fhir, answer_to_fhir, answers_by_path
from racoon.domain.reading_protocol import ReadingProtocol
from racoon.node.archive.model import SeriesFilter
from racoon.node.archive.service import Archive
from racoon.node.measuring import service as measuring
from racoon.node.measuring.model import StoredValue
from racoon.node.reading.proposals import _store
from racoon.node.reading.proposals.model import (
    ACCEPTED,
    PROPOSED,
    REJECTED,
    NoSuchProposal,
    Proposal,
    UndecidedProposals,
    answer_of,
    levels_of,
    path_of,
)
from racoon.platform import clock
from racoon.platform.auth import User
from racoon.platform.database import Database

MASK = "mask/"
"""Before the SOP Instance UID of a segmentation, where a proposal is a mask."""


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the proposals on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


class Proposals:
    """Automatic values as proposed answers.

    Parameters
    ----------
    database
        Where they are kept, and the measured values.
    archive
        Which series an imaging study has.
    """

    def __init__(self, database: Database, archive: Archive) -> None:
        self._database = database
        self._archive = archive

    def offer(
        self, user: User, imaging_study_uid: str, template: Template, protocol: ReadingProtocol | None
    ) -> list[Proposal]:
        """Return what is proposed to a reader, new values too; what was decided stays.

        A protocol that blinds to machines proposes nothing.
        """
        series = self._archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid))
        is_offering = protocol is not None and not protocol.blinded_to_machines and protocol.proposals
        with self._database.begin() as connection:
            known = _store.load(connection, imaging_study_uid, user.name, template.url)
            if is_offering and series:
                assert protocol is not None
                there = {row.path for row in known}
                uids = [row.facts.series_uid for row in series]
                for proposal in _measured(connection, template, protocol, uids):
                    if proposal.path in there:
                        continue
                    kind = next(
                        item.kind
                        for item in template.walk()
                        if item.link_id == proposal.path.rpartition("/")[2]
                    )
                    _store.insert(
                        connection,
                        imaging_study_uid=imaging_study_uid,
                        reader=user.name,
                        template_url=template.url,
                        path=proposal.path,
                        pseudonym=str(series[0].facts.pseudonym),
                        answer=answer_to_fhir(kind, proposal.answer),
                        source=dict(proposal.source),
                        state=PROPOSED,
                    )
            return list(self._load(connection, user, imaging_study_uid, template).values())

    def decide(
        self, user: User, imaging_study_uid: str, template: Template, path: str, *, accept: bool
    ) -> None:
        """Accept or reject what is proposed for a question.

        Raises
        ------
        NoSuchProposal
        """
        state = ACCEPTED if accept else REJECTED
        with self._database.begin() as connection:
            changed = _store.decide(
                connection, imaging_study_uid, user.name, template.url, path, state, clock.now()
            )
        if not changed:
            raise NoSuchProposal("Nothing is proposed for this question.")

    def decide_mask(self, user: User, imaging_study_uid: str, segmentation: str, *, accept: bool) -> None:
        """Note that a reader takes a machine's mask over, or rejects it; a later decision replaces it."""
        state = ACCEPTED if accept else REJECTED
        series = self._archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid, limit=1))
        path, now = f"{MASK}{segmentation}", clock.now()
        with self._database.begin() as connection:
            if not _store.decide(connection, imaging_study_uid, user.name, "", path, state, now) and series:
                _store.insert(
                    connection,
                    imaging_study_uid=imaging_study_uid,
                    reader=user.name,
                    template_url="",
                    path=path,
                    pseudonym=str(series[0].facts.pseudonym),
                    answer={},
                    source={"segmentation": segmentation},
                    state=state,
                    decided_at=now,
                )

    def rejected_masks(self, user: User, imaging_study_uid: str) -> frozenset[str]:
        """Return the segmentations that a reader rejected."""
        with self._database.connect() as connection:
            found = _store.load(connection, imaging_study_uid, user.name, "")
        return frozenset(row.path.removeprefix(MASK) for row in found if row.state == REJECTED)

    def levels(
        self,
        user: User,
        imaging_study_uid: str,
        template: Template,
        items: tuple[Answered, ...],
        hidden: Collection[str],
    ) -> dict[str, str]:
        """Say how automatic each answer is, before a signature.

        Raises
        ------
        UndecidedProposals
            If a question that is asked has a proposal that nobody accepted or rejected.
        """
        with self._database.connect() as connection:
            found = self._load(connection, user, imaging_study_uid, template)
        asked = {
            path: proposal
            for path, proposal in found.items()
            if not any(path == other or path.startswith(f"{other}/") for other in hidden)
        }
        if any(proposal.state == PROPOSED for proposal in asked.values()):
            raise UndecidedProposals("Accept or reject every proposed answer before signing.")
        return levels_of(asked, answers_by_path(template, items))

    def _load(
        self, connection: sa.Connection, user: User, imaging_study_uid: str, template: Template
    ) -> dict[str, Proposal]:
        items = {item.link_id: item for item in template.walk()}
        return {
            row.path: Proposal(
                row.path,
                answer_of_fhir(items[row.path.rpartition("/")[2]], row.answer),
                row.source,
                row.state,
            )
            for row in _store.load(connection, imaging_study_uid, user.name, template.url)
        }


def _measured(
    connection: sa.Connection, template: Template, protocol: ReadingProtocol, series_uids: list[str]
) -> list[Proposal]:
    """Make proposals of the newest valid values of an imaging study."""
    items = {item.link_id: item for item in template.walk()}
    found = []
    for rule in protocol.proposals:
        path = path_of(template, rule.question)
        values = measuring.load_values(
            connection, biomarker=rule.biomarker, series_uids=series_uids, limit=None
        )
        usable = [
            (number, value)
            for number, value in values
            if value.valid
            and value.value is not None
            and rule.label in ("", value.label.key if value.label else "")
        ]
        if path is None or not usable:
            continue
        number, value = max(usable, key=lambda row: (row[1].computed_at, row[0]))
        assert value.value is not None
        answer = answer_of(rule, items[rule.question], value.value)
        if answer is not None:
            found.append(Proposal(path, answer, _source(number, value)))
    return found


def _source(number: int, value: StoredValue) -> dict[str, Any]:
    return {
        "value_id": number,
        "biomarker": value.biomarker,
        "version": value.version,
        "label": value.label.to_dict() if value.label else None,
        "value": value.value,
        "unit": value.unit,
        "software": value.software,
        "automation": value.automation,
        "series": value.series_uid,
        "computed_at": value.computed_at.isoformat(),
        "link": f"/reading/series/{value.series_uid}?instance={value.key_instance_uid}&frame={value.key_frame}",
    }
