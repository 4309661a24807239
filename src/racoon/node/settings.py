"""Settings of a node: one TOML file, each key with its meaning; wrong ones stop the node at boot."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings

from racoon.domain.identity import is_site_code
from racoon.node.deid.model import Profile, UnknownProfile
from racoon.node.intake.pull.model import Window
from racoon.node.release.policy import BadPolicy, DisclosurePolicy, tighten
from racoon.platform.settings import load_settings

ENVIRONMENT_PREFIX = "RACOON_NODE_"

Port = Annotated[int, Field(ge=1, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HttpSettings(_Section):
    """Pages and API for people at the site.

    Attributes
    ----------
    host, port
        Where the node listens for browsers.
    certificate, key
        PEM files for HTTPS; needed unless the host is this machine or a proxy in front does it.
    behind_proxy
        A reverse proxy in front terminates HTTPS.
    """

    host: str = "127.0.0.1"
    port: Port = 8600
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False

    @model_validator(mode="after")
    def _encrypted_or_local(self) -> HttpSettings:
        local = self.host in ("127.0.0.1", "::1", "localhost")
        if not local and not self.behind_proxy and not (self.certificate and self.key):
            raise ValueError(
                "a node that others can reach needs 'certificate' and 'key', or behind_proxy = true"
            )
        return self


class PeerSettings(_Section):
    """Another DICOM application, such as the PACS.

    Attributes
    ----------
    ae_title
        Its AE title.
    host, port
        Where it is reached.
    authority
        PEM file of who signs its certificate; with it our calls to it are encrypted.
    """

    ae_title: Annotated[str, Field(min_length=1, max_length=16)]
    host: str
    port: Port = 104
    authority: Path | None = None


class DicomSettings(_Section):
    """The DICOM listener.

    Attributes
    ----------
    host, port, ae_title
        Where the PACS sends to.
    calling_ae_titles
        Senders that are accepted; empty accepts any.
    max_pdu_bytes
        Largest PDU.
    max_object_mb
        A larger object is refused while it arrives.
    association_timeout_s
        A connection that has not asked for an association by then is closed (ARTIM timer).
    idle_timeout_s
        An association that is silent for so long is ended, and so is one whose PDU takes longer to arrive.
    max_associations
        Associations at the same time; a further one is rejected for now.
    certificate, key
        PEM files; with them the port speaks TLS only, by the BCP 195 profile.
    authority
        PEM file of who signs the senders' certificates; with it a sender without one is refused.
    peers
        Other applications, each a table ``[[dicom.peers]]``. Answers to storage commitment go there.
    """

    host: str = "127.0.0.1"
    port: Port = 11112
    ae_title: Annotated[str, Field(min_length=1, max_length=16)] = "RACOON"
    calling_ae_titles: tuple[str, ...] = ()
    max_pdu_bytes: Annotated[int, Field(ge=16_384, le=1_048_576)] = 262_144
    max_object_mb: Annotated[int, Field(ge=1, le=16_384)] = 2048
    association_timeout_s: Annotated[float, Field(ge=1, le=600)] = 30.0
    idle_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 300.0
    max_associations: Annotated[int, Field(ge=1, le=1000)] = 64
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    peers: tuple[PeerSettings, ...] = ()

    @model_validator(mode="after")
    def _whole_identity(self) -> DicomSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' of the DICOM listener belong together")
        if self.authority is not None and self.certificate is None:
            raise ValueError("'authority' checks senders over TLS, which needs 'certificate' and 'key'")
        return self


class IntakeSettings(_Section):
    """Other ways in than DICOM.

    Attributes
    ----------
    watched_folder
        Files that others put here are taken and removed; what cannot be taken goes to its subfolder ``refused``.
    watch_pause_s
        Seconds between two looks; a file is taken when it did not change in between.
    """

    watched_folder: Path | None = None
    watch_pause_s: Annotated[float, Field(ge=0.2, le=3600)] = 5.0


class ArchiveSettings(_Section):
    """The archive of de-identified images.

    Attributes
    ----------
    readers
        ``all``: who holds the role of a reader sees every image.  ``granted``: only those of the research studies
        that he was let into.
    url
        ``s3://BUCKET/PREFIX`` where the images lie in a bucket; empty: in the folder ``archive`` below
        ``data_directory``.  The index stays in the node's database either way.
    endpoint
        Address of the bucket's server, such as ``https://objects.example.org:9000``.
    region
        As that server names it.
    key_file
        File with two lines, access key and secret key, that only the node can read.
    """

    readers: Literal["all", "granted"] = "all"
    url: Annotated[str, Field(pattern=r"^(s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[a-z0-9._/-]*)?)?$")] = ""
    endpoint: Annotated[str, Field(pattern=r"^(https?://[^/\s]+/?)?$")] = ""
    region: str = "us-east-1"
    key_file: Path | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> ArchiveSettings:
        if self.url and not (self.endpoint and self.key_file):
            raise ValueError("a bucket in 'url' needs its 'endpoint' and a 'key_file'")
        return self


class AskerSettings(PeerSettings):
    """A DICOM application that may search the archive and fetch from it.

    Attributes
    ----------
    ae_title, host, port
        As whom and from where it calls, and where C-MOVE sends to.
    account
        Account of this node whose rights it has.
    """

    account: Annotated[str, Field(min_length=1)]


class QuerySettings(_Section):
    """Query and retrieve for DICOM tools without DICOMweb; closed by default.

    Attributes
    ----------
    host, port, ae_title
        Where tools ask; port 0 keeps it closed.
    certificate, key, authority
        PEM files as in ``[dicom]``.
    idle_timeout_s
        An association that is silent for so long is ended.
    max_associations
        Associations at the same time.
    peers
        Who may ask, each a table ``[[query.peers]]``; anybody else is refused.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    ae_title: Annotated[str, Field(min_length=1, max_length=16)] = "RACOON_ARCHIVE"
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None
    idle_timeout_s: Annotated[float, Field(ge=1, le=3600)] = 60.0
    max_associations: Annotated[int, Field(ge=1, le=100)] = 10
    peers: tuple[AskerSettings, ...] = ()

    @model_validator(mode="after")
    def _whole_identity(self) -> QuerySettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' of [query] belong together")
        if self.authority is not None and self.certificate is None:
            raise ValueError("'authority' checks callers over TLS, which needs 'certificate' and 'key'")
        titles = [peer.ae_title for peer in self.peers]
        if len(set(titles)) < len(titles):
            raise ValueError("two of query.peers have the same ae_title")
        return self


class PullSettings(_Section):
    """Fetching from a PACS by accession number or study protocol.

    Attributes
    ----------
    peer
        AE title of the PACS, one of ``dicom.peers``; without it and without ``url`` nothing is fetched.
    url
        Root of the DICOMweb services of the PACS, for the method ``dicomweb``.
    authority
        PEM file of who signs the certificate of ``url``; the system's authorities without one.
    token_file
        File with the bearer token that ``url`` asks for.
    method
        ``get`` brings objects on the connection that asks; ``move`` lets the PACS call our DICOM port; ``dicomweb``
        uses QIDO-RS and WADO-RS.
    window
        Hours of the day, local time, such as ``20:00-06:00``; empty means always.
    daily_limit
        Objects a day; 0 means no limit.
    pause_s
        Pause between two examinations.
    timeout_s
        How long one answer of the PACS may take.
    """

    peer: str = ""
    url: str = ""
    authority: Path | None = None
    token_file: Path | None = None
    method: Literal["get", "move", "dicomweb"] = "get"
    window: str = ""
    daily_limit: Annotated[int, Field(ge=0)] = 0
    pause_s: Annotated[float, Field(ge=0, le=3600)] = 0.0
    timeout_s: Annotated[float, Field(ge=1, le=3600)] = 60.0

    @property
    def source(self) -> str:
        """Name or address of the PACS, empty when nothing is fetched."""
        return self.url if self.method == "dicomweb" else self.peer

    @model_validator(mode="after")
    def _one_way(self) -> PullSettings:
        if (self.method == "dicomweb") != bool(self.url):
            raise ValueError("'url' and method = \"dicomweb\" belong together")
        if self.url and not self.url.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("'url' begins with https:// unless the PACS is on this machine")
        return self

    @field_validator("window")
    @classmethod
    def _readable(cls, value: str) -> str:
        Window.parse(value)
        return value


DEFAULT_PROFILE = "basic"


class DeidSettings(_Section):
    """De-identification of what enters the archive.

    Attributes
    ----------
    profile
        Name of a profile, or a .toml or .json file with one.
    site
        What this site takes away from the profile: without, also_remove, without_private, refused_sop_classes,
        refuse_faces, no_birth_date.  There is no key by which more would stay.
    detect_text
        Images in which the reader of the extra ``ocr`` looks for text: ``derived`` (all but original slices of CT, MR
        and PET, where a reader is installed), ``all`` (it has to be installed), ``off``.
    """

    profile: str = DEFAULT_PROFILE
    site: dict[str, Any] = {}
    detect_text: Literal["off", "derived", "all"] = "derived"

    @model_validator(mode="after")
    def _known(self) -> DeidSettings:
        if self.profile == DEFAULT_PROFILE and not self.site:
            # Known to exist; its tables are large, and commands that only read settings need not load them.
            return self
        try:
            self.in_force()
        except UnknownProfile as error:
            raise ValueError(error.public_message) from error
        return self

    def in_force(self) -> Profile:
        """Return the profile after the site's own rules."""
        from racoon.node.deid.profiles import profile_named, tightened  # noqa: PLC0415 - loads pydicom

        return tightened(profile_named(self.profile), self.site)


class ReleaseSettings(_Section):
    """The disclosure rules in force here.

    Attributes
    ----------
    feasibility
        Whether protected feasibility counts are answered without an approved study.
    network_policy
        The network's policy document; empty takes the one shipped with this version.
    site_policy
        The site's own limits; each counts only where it is stricter than the network's.
    """

    feasibility: bool = True
    network_policy: dict[str, Any] = {}
    site_policy: dict[str, Any] = {}

    @model_validator(mode="after")
    def _sensible(self) -> ReleaseSettings:
        try:
            self.policy()
        except BadPolicy as error:
            raise ValueError(error.public_message) from error
        return self

    def policy(self) -> DisclosurePolicy:
        """Return the policy in force: for each limit the stricter of network and site."""
        network = DisclosurePolicy.from_dict({"version": "network-1", **self.network_policy})
        site = {**network.to_dict(), "version": "1", **self.site_policy}
        return tighten(network, DisclosurePolicy.from_dict(site)) if self.site_policy else network


class FhirSettings(_Section):
    """How this node speaks FHIR.

    Attributes
    ----------
    profiles
        Package of the core data set's profiles that is written; all of them are read.
    time_zone
        Written beside times of day, because DICOM mostly names none.
    patient_systems
        Identifier systems that carry the patient's number of this hospital, the one that is in the images; empty
        takes the identifier of type MR.
    """

    profiles: Literal["2025", "2026", "2027-ballot"] = "2026"
    time_zone: str = "Europe/Berlin"
    patient_systems: tuple[str, ...] = ()

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("a time zone is written like Europe/Berlin") from error
        return value


class LearningSettings(_Section):
    """Whose models run here.

    Attributes
    ----------
    model_signers
        Public keys (from `racoon model key`) whose model packages this node runs; none runs when empty.
    """

    model_signers: list[str] = []


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
    measuring_processes
        Processes that measure in parallel; each holds one image, about 0.5 GB for a thin-slice chest CT.
    engine_host
        Host of CENTRAL's training engine when it differs from what CENTRAL announces.
    """

    site: str
    site_name: str = ""
    data_directory: Path
    database_url: str | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    heartbeat_s: Annotated[float, Field(ge=0.5, le=3600)] = 30.0
    ingest_processes: Annotated[int, Field(ge=1, le=64)] = 1
    measuring_processes: Annotated[int, Field(ge=1, le=64)] = 1
    engine_host: str | None = None
    http: HttpSettings = HttpSettings()
    dicom: DicomSettings = DicomSettings()
    intake: IntakeSettings = IntakeSettings()
    pull: PullSettings = PullSettings()
    archive: ArchiveSettings = ArchiveSettings()
    query: QuerySettings = QuerySettings()
    deid: DeidSettings = DeidSettings()
    release: ReleaseSettings = ReleaseSettings()
    fhir: FhirSettings = FhirSettings()
    learning: LearningSettings = LearningSettings()

    @model_validator(mode="after")
    def _known_peer(self) -> NodeSettings:
        if self.pull.peer and self.pull.peer not in [peer.ae_title for peer in self.dicom.peers]:
            raise ValueError(f"pull.peer names {self.pull.peer}, which is not among dicom.peers")
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
