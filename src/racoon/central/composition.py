"""The rooms of CENTRAL, connected: everything the processes of one CENTRAL have in common."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.central.analyses.service import Analyses
from racoon.central.analysing.service import AnalysisRuns
from racoon.central.cohorts.service import Cohorts
from racoon.central.library.service import Library
from racoon.central.monitoring.service import Monitoring
from racoon.central.onboarding.service import Onboardings
from racoon.central.orchestration.service import Artifacts, Mail, Runs
from racoon.central.relay.engine_door import EngineDoor
from racoon.central.relay.service import Relay
from racoon.central.results.service import Results
from racoon.central.settings import CentralSettings
from racoon.central.sites.service import Network, Sites
from racoon.central.studies.service import Amendments, Studies, Watch
from racoon.central.withdrawals.service import Withdrawals
from racoon.platform.audit import AuditLog
from racoon.platform.certificates import (
    CertificateAuthority,
    load_or_create_signing_key,
    public_key_text,
)
from racoon.platform.database import Database
from racoon.platform.files import create_atomically


@dataclass(frozen=True)
class Central:
    """All services of one CENTRAL on one database."""

    settings: CentralSettings
    database: Database
    audit: AuditLog
    sites: Sites
    mail: Mail
    runs: Runs
    artifacts: Artifacts
    studies: Studies
    amendments: Amendments
    watch: Watch
    cohorts: Cohorts
    analyses: Analyses
    analysis_runs: AnalysisRuns
    results: Results
    monitoring: Monitoring
    withdrawals: Withdrawals
    library: Library
    relay: Relay
    engine_door: EngineDoor | None
    onboardings: Onboardings

    @property
    def keys(self) -> Path:
        """Folder of keys and certificates."""
        return self.settings.data_directory / "keys"


def build(settings: CentralSettings, database: Database) -> Central:
    """Connect the services; keys are made at first use, in files only their owner can read."""
    keys = settings.data_directory / "keys"
    signing_key = load_or_create_signing_key(keys / "signing.key")
    audit = AuditLog("central")
    sites = Sites(
        audit,
        lambda: load_authority(settings),
        _seal(keys),
        _network(settings, signing_key),
        join_code_lifetime=timedelta(hours=settings.join_code_hours),
        certificate_days=settings.certificate_days,
    )
    mail = Mail(audit, signing_key)
    runs = Runs(audit, mail)
    studies = Studies(audit, sites, mail, runs)
    artifacts = Artifacts(settings.data_directory / "artifacts", settings.artifact_limit_mb * 2**20)
    cohorts = Cohorts(sites, studies, runs)
    time = timedelta(days=settings.result_days)

    def is_training(site: str) -> bool:
        with database.connect() as connection:
            return runs.has_open_job(connection, site, "train.federated")

    analyses = Analyses(sites, studies, runs, artifacts, time=time)
    return Central(
        settings=settings,
        database=database,
        audit=audit,
        sites=sites,
        mail=mail,
        runs=runs,
        artifacts=artifacts,
        studies=studies,
        amendments=Amendments(audit, studies),
        watch=Watch(studies),
        cohorts=cohorts,
        analyses=analyses,
        analysis_runs=AnalysisRuns(studies, runs, analyses, time=time),
        results=Results(studies, runs, analyses, cohorts),
        monitoring=Monitoring(audit, sites, mail, interval_s=settings.heartbeat_s),
        withdrawals=Withdrawals(audit, mail),
        library=Library(audit, studies, settings.data_directory / "library"),
        relay=Relay(
            audit, mail, studies, settings.data_directory / "parcels", int(settings.parcels_gb * 10**9)
        ),
        engine_door=EngineDoor(settings.engine.port, is_training) if settings.engine.enabled else None,
        onboardings=Onboardings(audit, sites, mail),
    )


def load_authority(settings: CentralSettings) -> CertificateAuthority:
    """Load the network's certificate authority, or make it at first boot."""
    return CertificateAuthority.load_or_create(settings.data_directory / "keys", settings.network)


def _network(settings: CentralSettings, signing_key: Ed25519PrivateKey) -> Network:
    return Network(settings.network, settings.people_url, settings.nodes_url, public_key_text(signing_key))


def _seal(keys: Path) -> Fernet:
    path = keys / "join.key"
    if not path.exists():
        create_atomically(path, Fernet.generate_key())
    return Fernet(path.read_bytes())
