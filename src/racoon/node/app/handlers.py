"""Which room does the work of which job kind at this site."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from functools import partial
from importlib.util import find_spec

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.dataset import DatasetManifest
from racoon.learning.engine import EngineAddress, EngineIdentity
from racoon.learning.flare.site_engine import FlareSite
from racoon.node.analysing.model import SubjectTable
from racoon.node.analysing.service import load_subjects
from racoon.node.analysing.worker import analyse_handler
from racoon.node.app.linking import linkage_folder
from racoon.node.app.permission import load_usable, open_consent, usable_series
from racoon.node.app.rooms import Rooms, open_columns, open_images, open_pseudonyms
from racoon.node.app.truths import LABELS, open_truths
from racoon.node.approvals.model import StudyAtSite
from racoon.node.cohorts.worker import count_handler
from racoon.node.compute.limits import Gate, TrainingLimits
from racoon.node.compute.seat import EngineSeat
from racoon.node.compute.service import Compute
from racoon.node.compute.worker import Ports, evaluate_handler, train_federated_handler, train_local_handler
from racoon.node.consent.service import Consent
from racoon.node.curation.worker import freeze_handler
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.node.link.service import Line
from racoon.node.measuring.service import Processes
from racoon.node.measuring.worker import measure_handler
from racoon.node.settings import NodeSettings
from racoon.platform import clock
from racoon.protocol.messages import JobOffer

_log = logging.getLogger(__name__)


def register_data_handlers(rooms: Rooms) -> tuple[Consent, Callable[[str, str], DatasetManifest]]:
    """Say which room counts, freezes, measures and analyses; gives back what training needs of it.

    Returns
    -------
    tuple
        The consent that is asked, and what loads the usable part of a frozen dataset.
    """
    jobs, settings = rooms.jobs, rooms.settings
    consent = open_consent(settings, rooms.database, rooms.audit, names=open_pseudonyms(settings), jobs=jobs)

    def load_manifest(study_id: str, dataset_hash: str) -> DatasetManifest:
        with rooms.database.connect() as connection:
            return load_usable(connection, consent, study_id, dataset_hash)

    def register(kind: str, handler: Handler) -> None:
        jobs.register(kind, _knowing_withdrawals(rooms, consent, handler))

    readable = consent.condition
    register(
        "count",
        count_handler(
            rooms.database,
            readable,
            open_columns(settings),
            linkage_folder(settings).counted_elsewhere,
        ),
    )
    register(
        "freeze",
        freeze_handler(
            rooms.database,
            rooms.archive,
            rooms.approvals,
            readable=readable,
            usable=usable_series(consent),
        ),
    )
    processes = Processes(settings.measuring_processes, partial(open_images, settings))
    register("measure", measure_handler(rooms.database, rooms.archive, load_manifest, processes))

    def load_table(plan: AnalysisPlan, manifest: DatasetManifest) -> SubjectTable:
        with rooms.database.connect() as connection:
            return load_subjects(connection, plan, manifest, rooms.archive.is_readable)

    def standing() -> tuple[int, date]:
        with rooms.database.connect() as connection:
            return consent.newest(connection), clock.now().date()

    register("analyse", analyse_handler(load_manifest, load_table, standing))
    return consent, load_manifest


def register_handlers(rooms: Rooms, line: Line) -> None:
    """Say which room does the work of which job kind at this site."""
    jobs, settings = rooms.jobs, rooms.settings
    consent, load_manifest = register_data_handlers(rooms)

    def register(kind: str, handler: Handler) -> None:
        jobs.register(kind, _knowing_withdrawals(rooms, consent, handler))

    if find_spec("torch") is None or find_spec("nvflare") is None:
        _log.info("training is not installed", extra={"extra": "learning"})
        return
    compute = Compute(settings.data_directory / "compute", rooms.archive)
    policy = settings.release.policy()
    ports = Ports(
        load_manifest=load_manifest,
        fetch_artifact=line.fetch_artifact,
        is_ended=jobs.is_ended,
        minimum_cases=policy.training_minimum_cases,
        minimum_sites=policy.training_minimum_sites,
        gate=Gate(
            rooms.database,
            TrainingLimits(rooms.audit),
            jobs.is_ended,
            jobs.is_paused,
            settings.data_directory / "compute" / "worked",
        ),
        ledgers=settings.data_directory / "compute" / "ledgers",
        epsilon=settings.learning.epsilon,
        load_truths=open_truths(
            rooms.database,
            rooms.archive,
            rooms.audit,
            consent.condition,
            settings.data_directory / "compute" / LABELS,
        ),
    )
    register("train.local", train_local_handler(compute, ports))
    register("evaluate", evaluate_handler(compute, ports))
    register("train.federated", train_federated_handler(compute, _engine_seat(settings, line), ports))


def _knowing_withdrawals(rooms: Rooms, consent: Consent, handler: Handler) -> Handler:
    """Note the newest withdrawal before the work begins: the gate throws away what is older than a later one."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        with rooms.database.connect() as connection:
            number = consent.newest(connection)
        return replace(handler(offer, study, report), consent_number=number)

    return handle


def _engine_seat(settings: NodeSettings, line: Line) -> EngineSeat:
    def request_identity(request_pem: str) -> EngineIdentity:
        membership = line.request_engine_membership(request_pem)
        return EngineIdentity(
            membership.certificate_pem,
            membership.authority_pem,
            EngineAddress("127.0.0.1", line.open_engine_door(), membership.identity),
            membership.signer,
        )

    return EngineSeat(
        FlareSite(
            settings.data_directory / "engine",
            settings.site,
            settings.learning.sum_keys,
            settings.release.policy().training_minimum_sites,
        ),
        request_identity,
    )
