"""Settings of the rooms behind the door: pages, archive, de-identification, release, FHIR, learning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, PrivateAttr, field_validator, model_validator

from racoon.domain.governance.local_process import LocalProcess, read_process
from racoon.node.deid.model import Profile, UnknownProfile
from racoon.node.release.policy import BadPolicy, DisclosurePolicy, tighten
from racoon.node.release.signed import read_signed_policy
from racoon.node.settings._base import Port, Section
from racoon.protocol.addresses import PeopleUrl
from racoon.protocol.messages import JobKind

DEFAULT_PROFILE = "basic"


class HttpSettings(Section):
    """Pages and API for people at the site.

    Attributes
    ----------
    host, port
        Where the node listens for browsers.
    certificate, key
        PEM files for HTTPS; needed unless the host is this machine or a proxy in front does it.
    behind_proxy
        A reverse proxy in front terminates HTTPS.
    people_url
        As the site's people type it, e.g. ``https://racoon.hospital.example``; CENTRAL links to it, so that who has
        rights at this site opens the cases behind a number.  Empty: CENTRAL names the page's path only.
    second_factor
        ``"required"``: people can do nothing here but set up a one-time code until they have one.
    """

    host: str = "127.0.0.1"
    port: Port = 8600
    certificate: Path | None = None
    key: Path | None = None
    behind_proxy: bool = False
    people_url: PeopleUrl | None = None
    second_factor: Literal["optional", "required"] = "optional"

    @property
    def address(self) -> str:
        """As people reach the node: ``people_url``, else the local address."""
        scheme = "https" if self.certificate else "http"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return str(self.people_url or f"{scheme}://{host}:{self.port}").rstrip("/")

    @model_validator(mode="after")
    def _encrypted_or_local(self) -> HttpSettings:
        local = self.host in ("127.0.0.1", "::1", "localhost")
        if not local and not self.behind_proxy and not (self.certificate and self.key):
            raise ValueError(
                "a node that others can reach needs 'certificate' and 'key', or behind_proxy = true"
            )
        return self


class ApprovalsSettings(Section):
    """What this site asks of a study beyond the network's track.

    Attributes
    ----------
    process
        JSON file of the site's own use and access process, read when the node starts; empty: the network's track alone.
    """

    process: Path | None = None

    _local: LocalProcess = PrivateAttr(default=LocalProcess())

    @property
    def local_process(self) -> LocalProcess:
        """The process as read; the empty one without a file."""
        return self._local

    @model_validator(mode="after")
    def _read_process(self) -> ApprovalsSettings:
        if self.process is not None:
            try:
                self._local = read_process(json.loads(self.process.read_text(encoding="utf-8")))
            except OSError as error:
                raise ValueError(f"the process {self.process} cannot be read: {error.strerror}") from error
            except ValueError as error:
                raise ValueError(f"the process {self.process} is wrong: {error}") from error
        return self


class ArchiveSettings(Section):
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


class DeidSettings(Section):
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
    site: dict[str, Any] = Field(default_factory=dict)
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


class ReleaseSettings(Section):
    """The disclosure rules in force here.

    Attributes
    ----------
    feasibility
        Whether protected feasibility counts are answered without an approved study.
    policy_file
        The network's policy as a file that ``racoon central sign-policy`` signed; read when the node starts.
    policy_key
        Public key that has to have signed it.
    network_policy
        The network's policy document where there is no such file; empty takes the one shipped with this version.
    site_policy
        The site's own limits; each counts only where it is stricter than the network's.
    white_list
        Kinds of jobs whose protected results leave by the rules alone; the results of all others wait for a reviewer.
    reviewers
        User names of the people who review; empty: everybody whose roles may.
    two_reviewers
        What two people have to accept beside who asked: ``export``, ``result``.
    """

    feasibility: bool = True
    policy_file: Path | None = None
    policy_key: str = ""
    network_policy: dict[str, Any] = Field(default_factory=dict)
    site_policy: dict[str, Any] = Field(default_factory=dict)
    white_list: tuple[JobKind, ...] = get_args(JobKind)
    reviewers: tuple[str, ...] = ()
    two_reviewers: tuple[Literal["export", "result"], ...] = ()

    _network: DisclosurePolicy = PrivateAttr()

    @model_validator(mode="after")
    def _sensible(self) -> ReleaseSettings:
        if (self.policy_file is None) != (not self.policy_key):
            raise ValueError("policy_file needs the policy_key that signed it, and the other way round.")
        if self.policy_file is not None and self.network_policy:
            raise ValueError("The network's policy stands in policy_file or in network_policy, not in both.")
        try:
            # Read once: what is in force while the node runs is what it started with.
            self._network = self._read()
            self.policy()
        except BadPolicy as error:
            raise ValueError(error.public_message) from error
        except OSError as error:
            raise ValueError(f"policy_file cannot be read: {error.strerror}.") from error
        return self

    def _read(self) -> DisclosurePolicy:
        if self.policy_file is not None:
            return read_signed_policy(self.policy_file.read_bytes(), self.policy_key)
        return DisclosurePolicy.from_dict({"version": "network-1", **self.network_policy})

    def policy(self) -> DisclosurePolicy:
        """Return the policy in force: for each limit the stricter of network and site."""
        network = self._network
        site = {**network.to_dict(), "version": "1", **self.site_policy}
        return tighten(network, DisclosurePolicy.from_dict(site)) if self.site_policy else network


class PoolSettings(Section):
    """Pooled studies.

    Attributes
    ----------
    receives
        Whether this node is a pool: it takes shipments of studies that name it as their pool.
    """

    receives: bool = False


class FhirSettings(Section):
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
    deleted_tags
        Tags, ``system|code``, by which the clinic marks a resource that it deleted; what carries one is taken out.
    push_to
        Address of the FHIR server that ``racoon fhir push`` sends to; empty: it sends nothing.
    push_token
        File with the bearer token for it.
    push_authority
        PEM file of who signed its certificate; empty: the system's authorities.
    validator_jar
        Path of the official validator (``validator_cli.jar``), where a site has it; empty: the rule tables check alone.
    validator_java
        Program that runs it.
    validator_packages
        Files or folders of profile packages that it is given (``-ig``); it is told to ask no terminology server.
    validator_timeout_s
        It is stopped after this time.
    """

    profiles: Literal["2025", "2026", "2027-ballot"] = "2026"
    time_zone: str = "Europe/Berlin"
    patient_systems: tuple[str, ...] = ()
    deleted_tags: tuple[Annotated[str, Field(pattern=r"^[^|]+\|[^|]+$")], ...] = ()
    push_to: str = ""
    push_token: Path | None = None
    push_authority: Path | None = None
    validator_jar: Path | None = None
    validator_java: str = "java"
    validator_packages: tuple[Path, ...] = ()
    validator_timeout_s: Annotated[float, Field(gt=0, le=86_400)] = 600.0

    @field_validator("push_to")
    @classmethod
    def _sealed(cls, value: str) -> str:
        found = urlsplit(value)
        is_near = found.hostname in ("127.0.0.1", "localhost", "::1")
        if value and not (found.scheme == "https" or (found.scheme == "http" and is_near)):
            raise ValueError("'push_to' begins with https://: what is sent is pseudonymised, not anonymous")
        return value.rstrip("/")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("a time zone is written like Europe/Berlin") from error
        return value


class LearningSettings(Section):
    """Whose models run here.

    Attributes
    ----------
    model_signers
        Public keys (from `racoon model key`) whose model packages this node runs; none runs when empty.
    sum_keys
        Site → public key for secure sums (from `racoon node models sum-key` there), exchanged between administrators.
    epsilon
        Largest ε of all trainings of one study on this node's subjects; plans without differential privacy are then
        refused. Without it the plans say how much they spend.
    """

    model_signers: list[str] = Field(default_factory=list)
    sum_keys: dict[str, str] = Field(default_factory=dict)
    epsilon: float | None = Field(default=None, gt=0)
