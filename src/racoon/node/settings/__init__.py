"""Settings of a node: one TOML file, each key with its meaning; wrong ones stop the node at boot.

For the composition root and the rooms it furnishes: each section is a table, frozen once read.  Nothing that people
decide at run time lives here, and no secret but the path to its file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from racoon.domain.identity import is_site_code
from racoon.node.settings.clinical import Hl7SenderSettings, Hl7Settings
from racoon.node.settings.dicom import (
    AskerSettings,
    DicomSettings,
    IntakeSettings,
    PeerSettings,
    PullSettings,
    QuerySettings,
)
from racoon.node.settings.rooms import (
    ApprovalsSettings,
    ArchiveSettings,
    DeidSettings,
    FhirSettings,
    HttpSettings,
    LearningSettings,
    PoolSettings,
    ReleaseSettings,
)
from racoon.node.settings.trust import (
    ConsentSourceSettings,
    DizSettings,
    IdentityLinkSettings,
    PseudonymServiceSettings,
    ServiceSettings,
    TrustSettings,
)
from racoon.platform.auth.oidc.settings import ProviderSettings
from racoon.platform.settings import load_settings

__all__ = [
    "ApprovalsSettings",
    "ArchiveSettings",
    "AskerSettings",
    "ConsentSourceSettings",
    "DeidSettings",
    "DicomSettings",
    "DizSettings",
    "FhirSettings",
    "Hl7SenderSettings",
    "Hl7Settings",
    "HttpSettings",
    "IdentityLinkSettings",
    "IntakeSettings",
    "LearningSettings",
    "NodeSettings",
    "PeerSettings",
    "PoolSettings",
    "PseudonymServiceSettings",
    "PullSettings",
    "QuerySettings",
    "ReleaseSettings",
    "ServiceSettings",
    "TrustSettings",
    "load_node_settings",
]

ENVIRONMENT_PREFIX = "RACOON_NODE_"


class NodeSettings(BaseSettings):
    """All settings of a node.

    Attributes
    ----------
    site
        Site code, e.g. ``"ALPHA"``.
    site_name
        Name for people.
    data_directory
        Data directory; everything the node keeps lies below it.
    database_url
        ``sqlite:///…`` (default: a file in the data directory) or ``postgresql://…``.
    log_level
        Lowest level written to the log.
    heartbeat_s
        Seconds between two signs of life to CENTRAL.
    ingest_processes
        Processes that de-identify in parallel.
    count_in_columns
        Whether cohorts are counted in a copy of the facts made for it; needs the extras ``columns`` and ``parquet``.
    measuring_processes
        Processes that measure in parallel; each holds one image, about 0.5 GB for a thin-slice chest CT.
    oidc
        Identity providers that sign people in, beside the accounts with passwords; needs the extra ``oidc`` and
        ``http.people_url``.
    """

    site: str
    site_name: str = ""
    data_directory: Path
    database_url: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    heartbeat_s: Annotated[float, Field(ge=0.5, le=3600)] = 30.0
    ingest_processes: Annotated[int, Field(ge=1, le=64)] = 1
    count_in_columns: bool = False
    measuring_processes: Annotated[int, Field(ge=1, le=64)] = 1
    oidc: tuple[ProviderSettings, ...] = ()
    http: HttpSettings = HttpSettings()
    dicom: DicomSettings = DicomSettings()
    intake: IntakeSettings = IntakeSettings()
    pull: PullSettings = PullSettings()
    approvals: ApprovalsSettings = ApprovalsSettings()
    archive: ArchiveSettings = ArchiveSettings()
    query: QuerySettings = QuerySettings()
    deid: DeidSettings = DeidSettings()
    release: ReleaseSettings = ReleaseSettings()
    pool: PoolSettings = PoolSettings()
    fhir: FhirSettings = FhirSettings()
    hl7: Hl7Settings = Hl7Settings()
    trust: TrustSettings = TrustSettings()
    diz: DizSettings = DizSettings()
    learning: LearningSettings = LearningSettings()

    @model_validator(mode="after")
    def _known_peer(self) -> NodeSettings:
        if self.pull.peer and self.pull.peer not in [peer.ae_title for peer in self.dicom.peers]:
            raise ValueError(f"pull.peer names {self.pull.peer}, which is not among dicom.peers")
        return self

    @model_validator(mode="after")
    def _known_numbers(self) -> NodeSettings:
        if self.trust.identity.kind == "epix" and not self.fhir.patient_systems:
            raise ValueError(
                "trust.identity with E-PIX needs fhir.patient_systems: the number that is in the images"
            )
        return self

    @field_validator("site")
    @classmethod
    def _site_code(cls, value: str) -> str:
        if not is_site_code(value):
            raise ValueError("a site code has 2 to 16 capital letters, digits or underscores, e.g. ALPHA")
        return value

    @property
    def database(self) -> str:
        """URL of the node's database."""
        return self.database_url or f"sqlite:///{self.data_directory.resolve() / 'node.sqlite'}"

    @property
    def system_database(self) -> str:
        """URL of the job queue's own database."""
        return self.database_url or f"sqlite:///{self.data_directory.resolve() / 'jobs.sqlite'}"

    @property
    def identity_folder(self) -> Path:
        """Keys and certificate of this node."""
        return self.data_directory / "identity"

    @property
    def artifacts_folder(self) -> Path:
        """Files that travel beside messages."""
        return self.data_directory / "artifacts"

    @property
    def display_name(self) -> str:
        """Name for people."""
        return self.site_name or self.site


def load_node_settings(path: Path | None, **flags: object) -> NodeSettings:
    """Load a node's settings; relative paths are relative to the file's folder.

    Raises
    ------
    racoon.platform.settings.ConfigurationError
    """
    settings = load_settings(NodeSettings, path, ENVIRONMENT_PREFIX, flags=flags)
    if path is not None and not settings.data_directory.is_absolute():
        settings = settings.model_copy(
            update={"data_directory": (path.parent / settings.data_directory).resolve()}
        )
    return settings
