"""Settings of the DICOM side: the listener, its peers, query and retrieve, other ways in, the PACS."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from racoon.node.intake.pull.model import Window
from racoon.node.settings._base import Port, Section


class PeerSettings(Section):
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


class DicomSettings(Section):
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


class IntakeSettings(Section):
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


class QuerySettings(Section):
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


class PullSettings(Section):
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
