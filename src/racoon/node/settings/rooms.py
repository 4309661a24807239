"""Settings of the rooms behind the door: pages, archive, de-identification, release, FHIR, learning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from racoon.node.deid.model import Profile, UnknownProfile
from racoon.node.release.policy import BadPolicy, DisclosurePolicy, tighten
from racoon.node.settings._base import Port, Section
from racoon.protocol.addresses import PeopleUrl

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

    @model_validator(mode="after")
    def _encrypted_or_local(self) -> HttpSettings:
        local = self.host in ("127.0.0.1", "::1", "localhost")
        if not local and not self.behind_proxy and not (self.certificate and self.key):
            raise ValueError(
                "a node that others can reach needs 'certificate' and 'key', or behind_proxy = true"
            )
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
    network_policy
        The network's policy document; empty takes the one shipped with this version.
    site_policy
        The site's own limits; each counts only where it is stricter than the network's.
    """

    feasibility: bool = True
    network_policy: dict[str, Any] = Field(default_factory=dict)
    site_policy: dict[str, Any] = Field(default_factory=dict)

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


class LearningSettings(Section):
    """Whose models run here.

    Attributes
    ----------
    model_signers
        Public keys (from `racoon model key`) whose model packages this node runs; none runs when empty.
    """

    model_signers: list[str] = Field(default_factory=list)
