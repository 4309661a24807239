"""Settings of CENTRAL: TOML file < environment ``RACOON_CENTRAL_…`` < flags."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator
from pydantic_settings import BaseSettings

from racoon.domain.identity import Role
from racoon.platform.auth.oidc.settings import ProviderSettings


def is_loopback(host: str) -> bool:
    """Tell whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Listener(BaseModel):
    """Where one listener is bound and under which URL the outside reaches it.

    Attributes
    ----------
    host, port
        Local address.
    public_url
        As others type it; derived from host and port when empty.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(ge=1, le=65535)
    public_url: str = ""


class PeopleListener(Listener):
    """The listener for browsers and scripts of people.

    Attributes
    ----------
    tls_certificate, tls_key
        PEM files; without them only loopback or a reverse proxy is allowed.
    behind_proxy
        ``true`` when a reverse proxy in front ends TLS.
    second_factor
        ``"required"``: people can do nothing here but set up a one-time code until they have one.
    public_page
        ``true`` shows ``/public`` to everybody: active and finished studies in lay words, with rounded totals.
    """

    port: int = Field(default=8500, ge=1, le=65535)
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    behind_proxy: bool = False
    second_factor: Literal["optional", "required"] = "optional"
    public_page: bool = False

    @model_validator(mode="after")
    def _refuse_plain_text_on_the_network(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key belong together; give both or none")
        if not is_loopback(self.host) and self.tls_certificate is None and not self.behind_proxy:
            raise ValueError(
                "passwords must not cross the network in plain text: set tls_certificate and tls_key, "
                "or behind_proxy = true when a proxy ends TLS, or host = '127.0.0.1'"
            )
        return self


class NodesListener(Listener):
    """The listener for nodes: TLS with a certificate of this network's own authority on both sides.

    Attributes
    ----------
    server_names
        DNS names and IP addresses in the server certificate; host and the host of ``public_url`` are always
        in it.
    """

    port: int = Field(default=8501, ge=1, le=65535)
    server_names: tuple[str, ...] = ()


class InitialAccount(BaseModel):
    """An account made at first boot when no account exists yet; change the password after.

    Attributes
    ----------
    username, password
        For the first sign-in; the password has at least 12 characters.
    roles
        What the account may do.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    username: str = Field(min_length=1, max_length=80)
    password: SecretStr = Field(min_length=12)
    roles: tuple[Role, ...] = (Role.ADMIN_CENTRAL,)


class TrainingEngine(BaseModel):
    """The federated training engine's server (training studies only).

    Sites reach it through the nodes' listener; it listens on this machine's loopback address and nowhere else.

    Attributes
    ----------
    port
        Port on 127.0.0.1.
    admin_port
        Port of the engine's own administration; never reachable from outside this machine.
    enabled
        ``false`` runs CENTRAL without training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=8502, ge=1, le=65535)
    admin_port: int = Field(default=8503, ge=1, le=65535)
    enabled: bool = True


class CentralSettings(BaseSettings):
    """All settings of CENTRAL.

    Attributes
    ----------
    data_directory
        Everything CENTRAL writes: database, keys, artefacts, logs.
    network
        Name of the network, shown to people and put into the authority's certificate.
    people, nodes
        The two listeners.
    engine
        The training engine.
    database_url
        ``postgresql://…`` or empty for SQLite in the data directory.
    join_code_hours
        Lifetime of a join code.
    certificate_days
        Lifetime of a node's certificate; nodes renew at two thirds of it.
    long_poll_s
        Longest time a poll waits for a message.
    heartbeat_s
        Interval in which nodes report; an alert comes after two missed ones.
    retention_days
        How long delivered messages and old heartbeats are kept.
    artifact_limit_mb
        Largest file a node may upload.
    parcels_gb, parcel_days
        Most gigabytes of closed parcels that wait here for a pool, and how long one waits.
    result_days
        How long a job offer stays valid; a run ends then with the sites that have answered.
    account
        Account made at first boot when there is none.
    oidc
        Identity providers that sign people in, beside the accounts with passwords; needs the extra ``oidc``.
    language
        Language of pages when the browser asks for neither German nor English.
    log_level
        Lowest level written to the log.
    """

    data_directory: Path
    network: str = "RACOON network"
    people: PeopleListener = PeopleListener()
    nodes: NodesListener = NodesListener()
    engine: TrainingEngine = TrainingEngine()
    database_url: str = ""
    join_code_hours: float = Field(default=72.0, gt=0)
    certificate_days: float = Field(default=90.0, gt=0, le=365)
    long_poll_s: float = Field(default=25.0, gt=0, le=60)
    heartbeat_s: float = Field(default=60.0, gt=0)
    retention_days: float = Field(default=30.0, gt=0)
    artifact_limit_mb: int = Field(default=512, gt=0)
    parcels_gb: float = Field(default=200.0, gt=0)
    parcel_days: float = Field(default=30.0, gt=0)
    result_days: float = Field(default=7.0, gt=0)
    account: InitialAccount | None = None
    oidc: tuple[ProviderSettings, ...] = ()
    language: Literal["de", "en"] = "en"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @property
    def people_url(self) -> str:
        """Base URL of the people listener, without a slash at the end."""
        scheme = "https" if self.people.tls_certificate else "http"
        return (self.people.public_url or _url(scheme, self.people)).rstrip("/")

    @property
    def nodes_url(self) -> str:
        """Base URL of the nodes listener, without a slash at the end."""
        return (self.nodes.public_url or _url("https", self.nodes)).rstrip("/")

    @property
    def database(self) -> str:
        """URL of CENTRAL's database."""
        return self.database_url or f"sqlite:///{self.data_directory.resolve() / 'central.sqlite'}"

    @property
    def system_database(self) -> str:
        """URL of the job queue's own database."""
        return self.database_url or f"sqlite:///{self.data_directory.resolve() / 'jobs.sqlite'}"


def _url(scheme: str, listener: Listener) -> str:
    host = f"[{listener.host}]" if ":" in listener.host else listener.host
    return f"{scheme}://{host}:{listener.port}"
