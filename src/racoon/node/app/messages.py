"""HL7 messages in the node's processes: the listener, the worker that knows who is who, the desk of the page."""

from __future__ import annotations

import threading
from pathlib import Path
from zoneinfo import ZoneInfo

from racoon.domain.identity import Pseudonym
from racoon.node.app.permission import open_consent
from racoon.node.archive.records import count_stored_between, holdings
from racoon.node.clinical.hl7.desk import MessageDesk
from racoon.node.clinical.hl7.door import Door
from racoon.node.clinical.hl7.inbox import Inbox
from racoon.node.clinical.hl7.listener import run_listener
from racoon.node.clinical.hl7.mapping import Reading
from racoon.node.clinical.hl7.merging import Merger
from racoon.node.clinical.hl7.working import Worker
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.ordering import OrderLinker
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import NodeSettings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


def inbox_folder(settings: NodeSettings) -> Path:
    """Give the folder of the inbox."""
    return settings.data_directory / "hl7"


def run_hl7(settings: NodeSettings) -> None:
    """Be the process ``hl7``."""
    run_listener(settings.hl7, open_door(settings), inbox_folder(settings))


def open_door(settings: NodeSettings) -> Door:
    """Make what judges messages by this site's settings."""
    options = settings.hl7
    return Door(
        options.senders,
        options.default_encoding,
        options.patient_authority,
        settings.site,
        ZoneInfo(settings.fhir.time_zone),
    )


def open_desk(settings: NodeSettings, database: Database, audit: AuditLog) -> MessageDesk:
    """Make what the page shows and decides."""
    return MessageDesk(
        Inbox(inbox_folder(settings)),
        open_door(settings),
        settings.hl7.senders,
        database,
        audit,
        lambda pseudonym: len(holdings(database, Pseudonym(pseudonym))),
        lambda pseudonym, start, end: count_stored_between(database, Pseudonym(pseudonym), start, end),
    )


def open_worker(settings: NodeSettings, database: Database, audit: AuditLog, names: Pseudonymiser) -> Worker:
    """Make what works messages off."""
    limit = settings.deid.in_force().date_shift_limit_days
    systems, listeners = settings.fhir.patient_systems, [cohorts.record_clinical]
    reading = Reading(
        ZoneInfo(settings.fhir.time_zone), settings.hl7.patient_authority, next(iter(systems), "")
    )
    return Worker(
        Inbox(inbox_folder(settings)),
        Importer(database, names, patient_systems=systems, shift_limit_days=limit, on_stored=listeners),
        open_merger(settings, database, audit, names),
        names,
        reading,
        settings.hl7.default_encoding,
        OrderLinker(database, names),
        introduces=settings.trust.identity.compare_names,
    )


def open_merger(settings: NodeSettings, database: Database, audit: AuditLog, names: Pseudonymiser) -> Merger:
    """Make what lets two numbers be one patient, and two again."""
    consent = open_consent(settings, database, audit, names=names)

    def withdrawn(pseudonym: Pseudonym) -> frozenset[str]:
        with database.connect() as connection:
            return frozenset(
                item.scope for item in consent.withdrawals(connection) if item.pseudonym == pseudonym
            )

    return Merger(
        database,
        audit,
        names,
        shift_limit_days=settings.deid.in_force().date_shift_limit_days,
        on_stored=[cohorts.record_clinical],
        withdrawn=withdrawn,
    )


def work_in_background(
    settings: NodeSettings, database: Database, audit: AuditLog, names: Pseudonymiser, stop: threading.Event
) -> None:
    """Start the worker in a thread, where the site opened the port."""
    if settings.hl7.port:
        worker = open_worker(settings, database, audit, names)
        threading.Thread(target=worker.run, args=(stop,), name="hl7", daemon=True).start()
