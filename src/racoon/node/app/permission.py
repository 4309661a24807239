"""The legal basis, connected: who is asked before a read, and who acts when somebody withdraws."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta

import sqlalchemy as sa

from racoon.domain.consent import ARCHIVE
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.clinical import matching
from racoon.node.clinical import service as clinical
from racoon.node.clinical.hl7 import merging
from racoon.node.clinical.removing import removed_consents
from racoon.node.cohorts import service as cohorts
from racoon.node.consent.model import Affected, Item, KnownDocument, Withdrawal
from racoon.node.consent.real_days import RealDays
from racoon.node.consent.service import Consent
from racoon.node.consent.sources import drop_documents
from racoon.node.curation import service as curation
from racoon.node.intake import forgetting
from racoon.node.jobs.service import Jobs, trainings
from racoon.node.pooling.sending import pooled_recipients
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.consents import UnreadableConsent, read_consent


def open_consent(
    settings: NodeSettings,
    database: Database,
    audit: AuditLog,
    *,
    names: Pseudonymiser | None = None,
    jobs: Jobs | None = None,
) -> Consent:
    """Open the legal basis.

    Parameters
    ----------
    settings, database, audit
        The node's own.
    names
        The door to who is who, in a process that may hold it: only there a day of acquisition can be checked.
    jobs
        Whose trainings a withdrawal stops.
    """

    def affected(connection: sa.Connection, pseudonym: Pseudonym) -> list[Affected]:
        return [
            Affected(study_id, dataset_hash, tuple(trainings(connection, study_id)))
            for study_id, dataset_hash in curation.datasets_with(connection, pseudonym)
            # What the site froze for itself nobody outside was told of.
            if study_id != ARCHIVE
        ]

    def leave_cohorts(connection: sa.Connection, withdrawal: Withdrawal) -> None:
        if not withdrawal.scope:
            cohorts.forget_subject(connection, withdrawal.pseudonym)
            curation.forget_pairs(connection, withdrawal.pseudonym)

    def close_quarantined(connection: sa.Connection, withdrawal: Withdrawal) -> None:
        if not withdrawal.scope:
            note = f"withdrawal {withdrawal.withdrawal_id}"
            forgetting.close_for_withdrawal(connection, withdrawal.pseudonym, note)

    def stop_trainings(connection: sa.Connection, withdrawal: Withdrawal) -> None:
        if jobs is not None:
            jobs.stop_for_subject(connection, {item.study_id for item in withdrawal.affected})

    def take_the_merged(connection: sa.Connection, withdrawal: Withdrawal) -> None:
        # One person: images that came before a merge lie under the old pseudonym.
        for other in sorted(merging.joined(connection, withdrawal.pseudonym)):
            consent.withdraw(
                connection,
                other,
                withdrawal.scope,
                reason=withdrawal.reason,
                source=withdrawal.source,
                actor=withdrawal.recorded_by,
                actor_role=withdrawal.recorded_role,
            )

    days = None
    if names is not None:
        days = RealDays(names, settings.deid.in_force().date_shift_limit_days)
    consent = Consent(
        database,
        audit,
        days=days,
        on_withdrawn=[leave_cohorts, close_quarantined, stop_trainings, take_the_merged],
        find_affected=affected,
        find_recipients=pooled_recipients,
    )
    return consent


def usable_series(consent: Consent) -> curation.Usable:
    """Make the port by which a freeze asks item by item."""

    def usable(
        connection: sa.Connection, study_id: str, found: Sequence[cohorts.CohortSeries]
    ) -> Collection[str]:
        items = [Item(entry.series_uid, entry.pseudonym, entry.day_shifted) for entry in found]
        decisions = consent.decide_items(connection, study_id, items)
        # Where two people may be mixed up, nothing is used until somebody looked.
        unsure = matching.stopped(connection, {entry.pseudonym for entry in found})
        doubtful = {entry.series_uid for entry in found if entry.pseudonym in unsure}
        return [uid for uid, decision in decisions.items() if decision.is_permitted and uid not in doubtful]

    return usable


def load_usable(
    connection: sa.Connection, consent: Consent, study_id: str, dataset_hash: str
) -> DatasetManifest:
    """Load of a frozen dataset what may still be used."""
    manifest = curation.load(connection, study_id, dataset_hash)
    days = cohorts.days_of_series(connection, [entry.series_uid for entry in manifest.series])
    usable = consent.usable_part(connection, manifest, days)
    unsure = matching.stopped(connection, {entry.pseudonym for entry in usable.series})
    return usable.without(entry.series_uid for entry in usable.series if entry.pseudonym in unsure)


def take_consents(
    connection: sa.Connection, consent: Consent, actor: str, role: str, *, live_hours: float | None = None
) -> dict[str, int]:
    """Take the imported Consent resources into force; those that withdraw take effect at once.

    Parameters
    ----------
    connection
        Open write transaction.
    consent
        The legal basis.
    actor, role
        Who imported.
    live_hours
        The files are a server's current state: what is not confirmed again within this time is denied.

    Returns
    -------
    dict
        ``documents``, ``unreadable`` and ``withdrawn``.
    """
    fresh_until = clock.now() + timedelta(hours=live_hours) if live_hours is not None else None
    known, unreadable = [], 0
    for key, pseudonym, year, content in clinical.consents(connection):
        try:
            document = read_consent(content, key)
        except UnreadableConsent:
            unreadable += 1
            continue
        born = date(year, 1, 1) if year is not None else None
        known.append(KnownDocument(pseudonym, document, born, "fhir", fresh_until))
    drop_documents(connection, consent, "fhir", removed_consents(connection))
    withdrawn = consent.record_documents(connection, known, actor=actor, actor_role=role)
    return {"documents": len(known), "unreadable": unreadable, "withdrawn": len(withdrawn)}
