"""The worker process: intake, jobs and the outgoing line; no pages."""

from __future__ import annotations

import logging
import threading
from typing import Any

import sqlalchemy as sa

from racoon.errors import RacoonError
from racoon.node.app.erasing import settlement
from racoon.node.app.fetching import run_in_background as fetch_in_background
from racoon.node.app.handlers import register_handlers
from racoon.node.app.messages import work_in_background
from racoon.node.app.pooling import open_pooling
from racoon.node.app.pulling import run_in_background
from racoon.node.app.reviewing import look_in_background
from racoon.node.app.rooms import Rooms, open_pseudonyms
from racoon.node.app.trusting import run_in_background as ask_for_consents
from racoon.node.archive.assessing import Assessor
from racoon.node.clinical.importing import loaded_tables
from racoon.node.cohorts import service as cohorts
from racoon.node.link.service import Line
from racoon.node.settings import NodeSettings
from racoon.platform.audit import AuditLog
from racoon.platform.bulk import restore_indexes
from racoon.platform.jobs import DbosJobQueue
from racoon.platform.memory import give_back_freed_memory
from racoon.platform.supervise import mark_ready, stopping
from racoon.protocol.messages import AuditAnchor

_log = logging.getLogger(__name__)

QUICK, HEAVY = "quick", "heavy"
QUEUES = {QUICK: 2, HEAVY: 2}
"""Counts and freezes must not wait behind a training; two heavy jobs, because a federation mostly waits."""

QUEUE_POLL_S = 1.0
"""Looking for work costs a percent of a core at this interval; a job waits half a second on average."""

QUICK_KINDS = frozenset({"count", "freeze"})

LOOK_FOR_JOBS_S = 1.0
"""A job that was accepted just before a crash is found and queued again within this time."""

LOOK_FOR_ENDS_S = 30.0
"""Whether an approval has ended is asked whenever something runs; this is how soon running work is stopped."""

ANCHOR_S = 3600.0
"""How often the head of this node's audit chain goes to CENTRAL, which keeps it as evidence."""


def run_worker(settings: NodeSettings) -> None:
    """Be the worker process: intake, jobs and the outgoing line."""
    stop = stopping()
    rooms = Rooms(settings)
    queue = DbosJobQueue(settings.system_database, "worker", QUEUES, poll_s=QUEUE_POLL_S)
    queue.register("site_job", lambda job_id, _payload: rooms.jobs.run(job_id))

    def enqueue_pending() -> None:
        for job in rooms.jobs.pending():
            queue_name = QUICK if job.offer.kind in QUICK_KINDS else HEAVY
            queue.enqueue("site_job", job.offer.job_id, {}, queue_name)

    names = open_pseudonyms(settings)
    settling = settlement(rooms, names)
    pooling = open_pooling(rooms, names=names, settlement=settling)
    line = Line(
        rooms.database,
        rooms.identity,
        rooms.outbox,
        rooms.audit,
        {
            "study.offer": rooms.approvals.receive_offer,
            "study.state": rooms.approvals.receive_state,
            "study.reminder": rooms.approvals.receive_reminder,
            "job.offer": rooms.jobs.receive,
            "job.cancel": rooms.jobs.receive_cancel,
            "subject.withdrawn.receipt": settling.receive_receipt,
            "letter.delivered": pooling.receive,
            "audit.anchor.central": lambda connection, anchor: _keep_anchor(connection, rooms.audit, anchor),
        },
        settings.artifacts_folder,
        enqueue_pending,
        parcels=rooms.parcels,
    )
    register_handlers(rooms, line)
    rooms.deletions.resume()
    # Of a first import that was killed: without them every question of a subject reads whole tables.
    restore_indexes(rooms.database, loaded_tables([cohorts.clinical_fact]))
    queue.launch()
    loop = rooms.ingest_loop()
    ingest = threading.Thread(target=loop.run, args=(stop,), name="ingest", daemon=True)
    ingest.start()
    watched = rooms.watched_folder()
    if watched is not None:
        pause_s = settings.intake.watch_pause_s
        threading.Thread(
            target=watched.run, args=(stop,), kwargs={"pause_s": pause_s}, name="watch", daemon=True
        ).start()
    threading.Thread(target=Assessor(rooms.archive).run, args=(stop,), name="assess", daemon=True).start()
    threading.Thread(target=run_in_background, args=(settings, stop), name="pull", daemon=True).start()
    fetch_in_background(settings, rooms.database, names, stop)
    ask_for_consents(settings, rooms.database, names, rooms.consent, stop)
    work_in_background(settings, rooms.database, rooms.audit, names, stop)
    look_in_background(settings, rooms.database, names, stop)
    line.start()
    mark_ready()
    next_beat = next_anchor = next_look = 0.0
    waited_s = 0.0
    while not stop.wait(LOOK_FOR_JOBS_S):
        waited_s += LOOK_FOR_JOBS_S
        try:
            enqueue_pending()
            settling.settle()
            pooling.work()
            if waited_s >= next_beat:
                beat = rooms.heartbeat()
                with rooms.database.begin() as connection:
                    rooms.gate.announce(connection, "heartbeat", beat)
                next_beat = waited_s + settings.heartbeat_s
                if not (beat.jobs_running or beat.intake_waiting):
                    give_back_freed_memory()
            if waited_s >= next_look:
                with rooms.database.begin() as connection:
                    rooms.approvals.tick(connection)
                next_look = waited_s + LOOK_FOR_ENDS_S
            if waited_s >= next_anchor:
                with rooms.database.begin() as connection:
                    sequence, digest = rooms.audit.head(connection)
                    rooms.gate.announce(
                        connection, "audit.anchor", AuditAnchor(sequence=sequence, hash=digest)
                    )
                next_anchor = waited_s + ANCHOR_S
        except RacoonError as error:
            _log.warning("the worker waits", extra={"code": error.error_code})
    line.stop()
    ingest.join(5)
    queue.shutdown()


def _keep_anchor(connection: sa.Connection, audit: AuditLog, anchor: Any) -> None:
    """Keep the head of CENTRAL's audit chain in ours: neither side can rewrite its past unseen."""
    audit.append(
        connection,
        actor="CENTRAL",
        actor_role="central",
        action="audit.anchor",
        target="audit/central",
        details={"sequence": anchor.sequence, "hash": anchor.hash},
    )
