"""Erases a subject at this node after a withdrawal: every room forgets, then it is looked whether anything is left."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.errors import Unavailable
from racoon.node.app.rooms import Rooms, open_columns
from racoon.node.app.trusting import open_pseudonym_service
from racoon.node.app.truths import LABELS, forget_labels
from racoon.node.archive.deletion import DeletionState
from racoon.node.archive.records import holdings
from racoon.node.clinical import ordering
from racoon.node.clinical import service as clinical
from racoon.node.cohorts import service as cohorts
from racoon.node.compute.service import forget_cases
from racoon.node.consent.model import EVERYTHING, Withdrawal
from racoon.node.consent.real_days import RealDays
from racoon.node.consent.service import CENTRAL_RECIPIENT
from racoon.node.consent.settling import Settlement
from racoon.node.curation import service as curation
from racoon.node.deid.naming import subjects_named
from racoon.node.intake import forgetting
from racoon.node.jobs.service import ended_jobs
from racoon.node.measuring import service as measuring
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN, UnknownPseudonym
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.reading.adjudication import service as adjudication
from racoon.node.reading.drawing import service as drawings
from racoon.node.reading.findings import service as findings
from racoon.node.reading.practice import service as practice
from racoon.node.reading.proposals import service as proposals
from racoon.node.reading.queries import service as queries
from racoon.node.reading.reports import service as reports
from racoon.node.reading.work import service as reading_work
from racoon.protocol.letters import SubjectTakenBack
from racoon.protocol.messages import SubjectWithdrawn


def settlement(rooms: Rooms, names: Pseudonymiser) -> Settlement:
    """Build what carries withdrawals to their end; it needs the door to who is who, to name a subject per study."""
    service = open_pseudonym_service(rooms.settings, names)
    days = RealDays(
        names,
        rooms.settings.deid.in_force().date_shift_limit_days,
        lambda patient, study_id: service.pseudonyms([patient], study_id)[patient],
    )
    return Settlement(
        rooms.database,
        rooms.audit,
        days,
        erase=lambda item: (
            _forget_accessions(rooms, names, item)
            | erase(rooms, item, lambda data: subjects_named(data, names.pseudonym))
            | _forget_description(names, item)
        ),
        has_images=lambda pseudonym: (
            bool(holdings(rooms.database, pseudonym))
            or forgetting.holds(rooms.database, pseudonym)
            or _is_described(names, pseudonym)
        ),
        announce=lambda connection, recipient, message: tell_recipient(rooms, connection, recipient, message),
    )


def _forget_accessions(rooms: Rooms, names: Pseudonymiser, withdrawal: Withdrawal) -> dict[str, Any]:
    """Erase under which accession numbers a subject's images came, where everything was withdrawn.

    It comes before the images go, which say what to look for; after a crash it begins again.
    """
    if withdrawal.scope != EVERYTHING:
        return {}
    studies = set(holdings(rooms.database, withdrawal.pseudonym))
    forgotten = names.forget_accessions(studies)
    with rooms.database.begin() as connection:
        ordering.forget_studies(connection, studies)
    return {"accession_numbers": forgotten}


def _forget_description(names: Pseudonymiser, withdrawal: Withdrawal) -> dict[str, Any]:
    """Erase what was kept of who the person is, where everything was withdrawn."""
    patient = _described(names, withdrawal.pseudonym)
    if withdrawal.scope or names.cards is None or patient is None:
        return {}
    return {"descriptions": names.cards.forget(patient)}


def _is_described(names: Pseudonymiser, pseudonym: Pseudonym) -> bool:
    """Tell whether it is kept who a subject is: a message or an image may say it again after the withdrawal."""
    patient = _described(names, pseudonym)
    return names.cards is not None and patient is not None and names.cards.holds(patient)


def _described(names: Pseudonymiser, pseudonym: Pseudonym) -> PatientId | None:
    try:
        return names.reveal(pseudonym, ARCHIVE_DOMAIN)
    except UnknownPseudonym:
        return None


def tell_recipient(
    rooms: Rooms, connection: sa.Connection, recipient: str, message: SubjectWithdrawn
) -> None:
    """Tell CENTRAL, or a pool in a closed letter, that a subject withdrew."""
    if recipient == CENTRAL_RECIPIENT:
        rooms.gate.announce(connection, "subject.withdrawn", message)
        return
    peer = rooms.peers.get(connection, recipient)
    if peer is None:
        raise Unavailable(
            "The peer code of a pool that holds data of this site was taken away; enter it again."
        )
    letter = SubjectTakenBack(
        tombstone_id=message.tombstone_id, study_id=message.study_id, subject=message.subject
    )
    rooms.gate.post(connection, peer, "subject.taken_back", letter)


def erase(rooms: Rooms, withdrawal: Withdrawal, subjects_in: forgetting.SubjectsIn) -> dict[str, Any]:
    """Remove a subject from every room; a subject who left one study only, from what was prepared for that study.

    Parameters
    ----------
    rooms, withdrawal
        Where, and who.
    subjects_in
        Reads whom an original names that waits in the spool or in quarantine.

    Returns
    -------
    dict
        Proofs of the deletions, rows removed by room, and what was found afterwards.
    """
    pseudonym = withdrawal.pseudonym
    studies = {item.study_id for item in withdrawal.affected}
    held = holdings(rooms.database, pseudonym)
    series_uids = [uid for found in held.values() for uid in found]
    with rooms.database.begin() as connection:
        rooms.jobs.stop_for_subject(connection, studies)
        runs = ended_jobs(connection, studies)
    compute = rooms.settings.data_directory / "compute"
    prepared = forget_cases(compute, series_uids, runs)
    forget_labels(compute / LABELS, {pseudonym, *series_uids})
    if withdrawal.scope != EVERYTHING:
        return {"prepared_cases": prepared}
    originals = forgetting.forget_subject(
        rooms.database,
        rooms.spool,
        rooms.quarantine,
        rooms.audit,
        pseudonym,
        subjects_in=subjects_in,
        note=f"withdrawal {withdrawal.withdrawal_id}",
    )
    deletions = [
        rooms.erasures.request(
            imaging_study_uid,
            reason=f"withdrawal {withdrawal.withdrawal_id}",
            actor=withdrawal.recorded_by,
            actor_role=withdrawal.recorded_role,
        )
        for imaging_study_uid in held
    ]
    with rooms.database.begin() as connection:
        rows = {
            "cohorts": cohorts.forget_subject(connection, pseudonym),
            "curation": curation.forget_subject(connection, pseudonym),
            "measuring": measuring.forget_subject(connection, pseudonym, series_uids),
            "decisions": adjudication.forget_subject(connection, pseudonym),
            "drawings": drawings.forget_subject(connection, pseudonym),
            "findings": findings.forget_subject(connection, pseudonym),
            "queries": queries.forget_subject(connection, pseudonym),
            "practice": practice.forget_subject(connection, pseudonym),
            "proposals": proposals.forget_subject(connection, pseudonym),
            "reading_tasks": reading_work.forget_subject(connection, pseudonym),
            "reports": reports.forget_subject(connection, pseudonym),
            "clinical": clinical.forget_subject(connection, pseudonym),
        }
    rooms.thumbnails.forget(series_uids)
    rooms.database.forget_deleted_pages()
    if columns := open_columns(rooms.settings):
        columns.forget()
    return {
        "deletions": [item.proof_hash for item in deletions if item.state is DeletionState.DONE],
        "imaging_studies": len(held),
        "originals": asdict(originals),
        "rows": rows,
        "prepared_cases": prepared,
        "left": {
            "imaging_studies": len(holdings(rooms.database, pseudonym)),
            "quarantine": int(forgetting.holds(rooms.database, pseudonym)),
        },
    }
