"""The node's rooms, furnished once per process: who gets which database, port and neighbour.

Built in each of the node's processes; holds services only, no routes and no job handlers.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import sqlalchemy as sa

from racoon import __version__
from racoon.domain.governance.approval import Purpose
from racoon.domain.identity import Pseudonym
from racoon.node.app.permission import open_consent
from racoon.node.approvals.service import Approvals
from racoon.node.archive.access import ImageAccess, MayView
from racoon.node.archive.deletion import Deletions, RemovedListener
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.objects import LocalFolder, ObjectStore
from racoon.node.archive.service import Archive
from racoon.node.archive.thumbnails import Thumbnails
from racoon.node.clinical.service import Facade
from racoon.node.cohorts import service as cohorts
from racoon.node.cohorts.columns import ColumnCopy
from racoon.node.consent.model import ConsentChanged
from racoon.node.curation import service as curation
from racoon.node.deid.derived import DerivedGate
from racoon.node.deid.service import Deidentifier
from racoon.node.deid.text_detection import detector_for
from racoon.node.intake.activity import Activity
from racoon.node.intake.pull.desk import PullDesk
from racoon.node.intake.service import IngestLoop, Intake, activity_folder, count_stored, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.intake.watching import WatchedFolder
from racoon.node.jobs.model import JobState, Outcome
from racoon.node.jobs.service import Jobs
from racoon.node.link.identity import Identity, load_identity
from racoon.node.link.service import Outbox
from racoon.node.pooling.peers import Peers
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.work.service import hidden_from, values_hidden_from
from racoon.node.release.reviews import ReviewRefused, Reviews
from racoon.node.release.service import Parcels, ReleaseGate
from racoon.node.settings import NodeSettings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountStore
from racoon.platform.database import Database
from racoon.protocol.envelope import PROTOCOL_VERSION
from racoon.protocol.messages import Heartbeat, JobOffer
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import VERSIONS


def open_objects(settings: NodeSettings) -> ObjectStore:
    """Open where the images lie: a folder of this machine, or the bucket the site named."""
    wanted = settings.archive
    if not wanted.url or wanted.key_file is None:
        return LocalFolder(settings.data_directory / "archive")
    from racoon.node.archive.bucket import Bucket, BucketAddress  # noqa: PLC0415 - an extra that few sites need

    return Bucket(BucketAddress(wanted.url, wanted.endpoint, wanted.key_file, wanted.region))


def open_archive(settings: NodeSettings, database: Database) -> Archive:
    """Open the archive with everything that listens to what it stores, and with consent, which every read asks,
    and with blinding, which everything asks that is given to a person.
    """
    consent = open_consent(settings, database, AuditLog("node"))
    return Archive(
        database,
        open_objects(settings),
        on_stored=[cohorts.record, count_stored],
        is_readable=consent.is_readable,
        readable_among=consent.readable_among,
        hidden_from=hidden_from,
        values_hidden_from=values_hidden_from,
    )


def open_decisions(settings: NodeSettings, audit: AuditLog) -> Approvals:
    """Open this site's decisions in a process that itself decides nothing and tells CENTRAL nothing."""
    key = load_identity(settings.identity_folder, settings.site).signing_key
    return Approvals(
        audit,
        lambda _connection, _type, _message: None,
        key,
        feasibility_enabled=False,
        process=settings.approvals.local_process,
    )


def may_view(approvals: Approvals) -> MayView:
    """Say whether the site's decisions allow looking at a research study's images now."""
    return lambda connection, study_id: approvals.allows(connection, study_id, Purpose.VIEW)


def open_access(settings: NodeSettings, database: Database, audit: AuditLog) -> ImageAccess:
    """Open the rights per person and study in a further process."""
    return ImageAccess(database, audit, may_view(open_decisions(settings, audit)))


def open_deletions(
    settings: NodeSettings, database: Database, audit: AuditLog, *, for_withdrawals: bool = False
) -> Deletions:
    """Open what deletes images, with everything that has to forget with it.

    Whose subject withdrew has decided: no second person at the site is asked for that.
    """
    objects = open_objects(settings)
    listeners: list[RemovedListener] = [
        cohorts.forget,
        curation.forget_series,
        open_thumbnails(settings).listen,
    ]
    if for_withdrawals:
        return Deletions(database, objects, audit, on_removed=listeners, needs_second_person=False)
    return Deletions(database, objects, audit, on_removed=listeners)


def open_thumbnails(settings: NodeSettings) -> Thumbnails:
    """Open the folder of small pictures; it may be deleted at any time."""
    return Thumbnails(settings.data_directory / "thumbnails")


def open_pseudonyms(settings: NodeSettings) -> Pseudonymiser:
    """Open the door to who is who; the intake, the import of clinical data and agreed re-identifications
    open it, nobody else.
    """
    folder = settings.data_directory / "pseudonyms"
    return Pseudonymiser(folder / "master.key", f"sqlite:///{folder.resolve() / 'pseudonyms.sqlite'}")


def fhir_writing(settings: NodeSettings) -> Writing:
    """Say how this node writes FHIR."""
    site = settings.site.lower()
    return Writing(
        VERSIONS[settings.fhir.profiles],
        ZoneInfo(settings.fhir.time_zone),
        source=f"urn:racoon:site:{site}",
        pseudonym_system=f"urn:racoon:site:{site}:pseudonym",
    )


def open_images(settings: NodeSettings) -> Archive:
    """Open the archive in a further process, to read images there."""
    return open_archive(settings, Database(settings.database))


def open_columns(settings: NodeSettings) -> ColumnCopy | None:
    """Open the copy in which cohorts are counted, where the site keeps one."""
    return (
        ColumnCopy(settings.data_directory / "cohorts" / "facts.duckdb")
        if settings.count_in_columns
        else None
    )


@dataclass
class Rooms:
    """Services of one process of the node.

    Parameters
    ----------
    settings
        The node's settings; the node is enrolled.
    """

    settings: NodeSettings
    database: Database = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.started_at = clock.now()
        self.database = Database(settings.database)
        self.identity = load_identity(settings.identity_folder, settings.site)
        self.audit = AuditLog("node", settings.release.policy().version)
        self.outbox = Outbox(self.identity, settings.artifacts_folder)
        self.people = AccountStore("node")
        self.gate = ReleaseGate(
            settings.release.policy(),
            self.outbox,
            self.audit,
            Reviews(
                self.audit,
                reviewers=settings.release.reviewers,
                two_for=settings.release.two_reviewers,
                is_same_person=self.people.is_same_person,
            ),
            settings.release.white_list,
        )
        self.gate.check_again = self._check_again
        self.peers = Peers(
            self.audit,
            settings.site,
            self.identity.signing_key.public_key(),
            settings.identity_folder / "sealing.key",
        )
        self.parcels = Parcels(self.database, settings.data_directory / "parcels")
        self.approvals = Approvals(
            self.audit,
            self.gate.announce,
            self.identity.signing_key,
            feasibility_enabled=settings.release.feasibility,
            process=settings.approvals.local_process,
        )
        self.archive = open_archive(settings, self.database)
        self.thumbnails = open_thumbnails(settings)
        self.deletions = open_deletions(settings, self.database, self.audit)
        self.image_access = ImageAccess(self.database, self.audit, may_view(self.approvals))
        self.erasures = open_deletions(settings, self.database, self.audit, for_withdrawals=True)
        self.spool = Spool(spool_folder(settings.data_directory))
        self.activity = Activity(activity_folder(settings.data_directory))
        self.quarantine = settings.data_directory / "quarantine"
        self.intake = Intake(
            self.database,
            self.spool,
            self.quarantine,
            self.audit,
            largest_bytes=settings.dicom.max_object_mb << 20,
            activity=self.activity,
        )
        self.pull = PullDesk(settings.pull, settings.data_directory / "pull", self.database, self.audit)
        self.jobs = Jobs(self.database, self.audit, self.approvals, self.gate.announce, self._submit)
        self.consent = open_consent(settings, self.database, self.audit, jobs=self.jobs)
        self.fhir = Facade(
            self.archive,
            self.approvals,
            fhir_writing(settings),
            findings=Findings(self.database, self.audit, self.archive),
            audit=self.audit,
        )

    def ingest_loop(self) -> IngestLoop:
        """Build the loop that works the spool off; it alone opens the door to who is who."""
        names = open_pseudonyms(self.settings)
        return IngestLoop(
            self.spool,
            Deidentifier(
                self.settings.deid.in_force(),
                names,
                detector=detector_for(self.settings.deid.detect_text),
                detect_text=self.settings.deid.detect_text,
                introduces=self.settings.trust.identity.compare_names,
            ),
            self.archive,
            self.database,
            quarantine=self.quarantine,
            processes=self.settings.ingest_processes,
            activity=self.activity,
        )

    def derived_objects(self) -> DerivedObjects:
        """Build the way in for masks and reports; its gate has a key of its own and does not know who is who."""
        gate = DerivedGate(
            self.settings.deid.in_force(), self.settings.data_directory / "archive-keys" / "derived.key"
        )

        def clean(data: bytes) -> DeidentifiedInstance:
            found = gate.apply(data)
            return DeidentifiedInstance(
                bytes=found.dataset_bytes,
                sop_class_uid=found.sop_class_uid,
                sop_instance_uid=found.sop_instance_uid,
                series_uid=found.series_uid,
                imaging_study_uid=found.imaging_study_uid,
                pseudonym=found.pseudonym,
                evidence={**found.evidence, "source": "derived"},
            )

        return DerivedObjects(self.archive, clean, self.audit)

    def series_of_study(self, study_id: str) -> list[str]:
        """Series of the dataset frozen for a research study, with the masks that were frozen with them.

        Raises
        ------
        NotApproved, DatasetMissing
            If the site does not know the study, or has frozen nothing for it.
        """
        with self.database.connect() as connection:
            study = self.approvals.current(connection, study_id)
            manifest = curation.load(connection, study_id, study.dataset_hash or "")
        return [uid for entry in manifest.series for uid in (entry.series_uid, *entry.mask_series_uids)]

    def study_choices(self) -> list[tuple[str, str]]:
        """Id and title of every research study for which a dataset is frozen here."""
        with self.database.connect() as connection:
            studies = self.approvals.studies(connection)
        found: dict[str, str] = {}
        for study in studies:
            if study.dataset_hash:
                found.setdefault(study.study_id, study.definition.title)
        return sorted(found.items(), key=lambda item: item[1].casefold())

    def watched_folder(self) -> WatchedFolder | None:
        """Give the folder that others fill, where one is configured."""
        folder = self.settings.intake.watched_folder
        if folder is None:
            return None
        return WatchedFolder(
            folder,
            self.spool,
            self.settings.data_directory / "imports",
            largest_bytes=self.settings.dicom.max_object_mb << 20,
        )

    def heartbeat(self) -> Heartbeat:
        """Tell how the node is, in numbers about the machine; counts of data leave only through releases."""
        status = self.intake.status(days=1)
        with self.database.connect() as connection:
            states = [job.state for job in self.jobs.newest(connection)]
        return Heartbeat(
            version=__version__,
            protocol=f"{PROTOCOL_VERSION[0]}.{PROTOCOL_VERSION[1]}",
            sent_at=clock.now(),
            uptime_s=max(0.0, (clock.now() - self.started_at).total_seconds()),
            disk_free_gb=shutil.disk_usage(self.settings.data_directory).free / 1e9,
            memory_mb=psutil.Process().memory_info().rss / 2**20,
            jobs_waiting=states.count(JobState.ACCEPTED),
            jobs_running=states.count(JobState.RUNNING),
            intake_waiting=status.waiting,
            quarantined=status.in_quarantine,
            certificate_expires_at=self.identity.expires_at,
            people_url=self.settings.http.people_url,
        )

    def _submit(self, connection: sa.Connection, offer: JobOffer, outcome: Outcome) -> Any:
        if outcome.consent_number is not None and self.consent.withdrawn_since(
            connection, outcome.consent_number, offer.study_id, outcome.subjects
        ):
            raise ConsentChanged("A subject withdrew while the job ran. It runs again without them.")
        subjects = None if outcome.subjects is None else sorted(outcome.subjects)
        basis = {"consent_number": outcome.consent_number, "subjects": subjects}
        return self.gate.submit(connection, offer, outcome.aggregate, outcome.files, basis=basis)

    def _check_again(self, connection: sa.Connection, offer: JobOffer, basis: Mapping[str, Any]) -> None:
        """Ask again for approvals and withdrawals before a reviewed result leaves."""
        self.approvals.authorise(connection, offer)
        number, subjects = basis["consent_number"], basis["subjects"]
        known = None if subjects is None else {Pseudonym(name) for name in subjects}
        if number is not None and self.consent.withdrawn_since(connection, number, offer.study_id, known):
            raise ReviewRefused(
                "A subject withdrew since this was computed. Refuse it: CENTRAL can ask for it again."
            )
