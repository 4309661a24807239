"""Settings of the services that the hospital trusts with consents, pseudonyms and identities, and of the DIZ."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from racoon.node.settings._base import Section


class ServiceSettings(Section):
    """Where a service answers, and how this node shows who it is.

    Attributes
    ----------
    url
        Root of its interface; ``https://`` unless it runs on this machine.
    authority
        PEM file of who signs its certificate; the system's authorities without one.
    certificate, key
        PEM files by which this node shows itself.
    token_file
        File with a bearer token, read for every request.
    user, password_file
        Name, and the file with the password; of Mainzelliste the file with its API key.
    timeout_s
        How long one answer may be silent.
    """

    url: str = ""
    authority: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    token_file: Path | None = None
    user: str = ""
    password_file: Path | None = None
    timeout_s: Annotated[float, Field(ge=0.1, le=300)] = 5.0

    @field_validator("url")
    @classmethod
    def _encrypted(cls, value: str) -> str:
        if value and not value.startswith(("https://", "http://127.0.0.1", "http://localhost")):
            raise ValueError("'url' begins with https:// unless the service runs on this machine")
        return value

    @model_validator(mode="after")
    def _whole_identity(self) -> ServiceSettings:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' belong together")
        return self


class ConsentSourceSettings(ServiceSettings):
    """Who keeps the consents.

    Attributes
    ----------
    kind
        ``embedded``: they are imported here; ``gics``, ``fhir`` (a FHIR server) and ``folder`` are asked.
    folder
        Folder with FHIR files, for the kind ``folder``.
    domain
        Domain of gICS.
    identifier_system
        Identifier system under which it keeps the number that is in the images.
    poll_minutes
        How often it is asked.
    live_minutes
        What it said counts so long without being confirmed; longer than ``poll_minutes``.
    """

    kind: Literal["embedded", "gics", "fhir", "folder"] = "embedded"
    folder: Path | None = None
    domain: str = "MII"
    identifier_system: str = ""
    poll_minutes: Annotated[float, Field(ge=0.1, le=720)] = 10.0
    live_minutes: Annotated[float, Field(ge=0.2, le=1440)] = 30.0

    @model_validator(mode="after")
    def _complete(self) -> ConsentSourceSettings:
        if self.kind in ("gics", "fhir") and not (self.url and self.identifier_system):
            raise ValueError(f"kind = \"{self.kind}\" needs 'url' and 'identifier_system'")
        if (self.kind == "folder") != (self.folder is not None):
            raise ValueError("'folder' and kind = \"folder\" belong together")
        if self.live_minutes <= self.poll_minutes:
            raise ValueError(
                "'live_minutes' is longer than 'poll_minutes', or consents end between two polls"
            )
        return self


class PseudonymServiceSettings(ServiceSettings):
    """Who names subjects in a study.

    Attributes
    ----------
    kind
        ``embedded``: this node's own key; ``mii``: the MII pseudonymisation interface; ``gpas``.
    domains
        Its domain for a study; ``{study}`` stands for the study's id.
    identifier_system
        Identifier system of the number that is in the images, for the kind ``mii``.
    context_system
        System of the names of its contexts, for the kind ``mii``.
    """

    kind: Literal["embedded", "mii", "gpas"] = "embedded"
    domains: Annotated[str, Field(pattern=r"^[^{}]*\{study\}[^{}]*$")] = "{study}"
    identifier_system: str = ""
    context_system: str = ""

    @model_validator(mode="after")
    def _complete(self) -> PseudonymServiceSettings:
        if self.kind != "embedded" and not self.url:
            raise ValueError(f"kind = \"{self.kind}\" needs 'url'")
        if self.kind == "mii" and not self.identifier_system:
            raise ValueError("kind = \"mii\" needs 'identifier_system'")
        return self


class IdentityLinkSettings(ServiceSettings):
    """Who knows under which number a person's images came, where a record does not carry it.

    Attributes
    ----------
    kind
        ``embedded``: nobody; ``epix``; ``mainzelliste``.
    domain, source
        Domain of matching and data source of E-PIX.
    id_type
        Type of id of Mainzelliste that is the number in the images.
    compare_names
        Whether this node keeps, sealed, what images and admissions say of a number's person, so that doubtful numbers
        are listed for people to look at.  Names are kept nowhere else, so a site has to ask for it.
    review_records
        Whether a FHIR record without the hospital's number waits for a person when it is near to a known one; such an
        import does without its helper process.
    """

    compare_names: bool = False
    review_records: bool = False
    kind: Literal["embedded", "epix", "mainzelliste"] = "embedded"
    domain: str = ""
    source: str = ""
    id_type: str = ""

    @model_validator(mode="after")
    def _complete(self) -> IdentityLinkSettings:
        if self.kind != "embedded" and not self.url:
            raise ValueError(f"kind = \"{self.kind}\" needs 'url'")
        if self.kind == "epix" and not (self.domain and self.source):
            raise ValueError("kind = \"epix\" needs 'domain' and 'source'")
        if self.kind == "mainzelliste" and not (self.id_type and self.password_file):
            raise ValueError("kind = \"mainzelliste\" needs 'id_type' and 'password_file'")
        return self


class TrustSettings(Section):
    """Services that the hospital trusts; this node itself by default.

    Attributes
    ----------
    consent
        Who keeps the consents.
    pseudonyms
        Who names subjects in a study.
    identity
        Who finds a person's number.
    """

    consent: ConsentSourceSettings = ConsentSourceSettings()
    pseudonyms: PseudonymServiceSettings = PseudonymServiceSettings()
    identity: IdentityLinkSettings = IdentityLinkSettings()


class DizSettings(ServiceSettings):
    """The FHIR server of the data integration centre.

    Attributes
    ----------
    types
        Types of resources that are fetched, patients first.
    method
        ``search`` asks page by page; ``export`` lets the server write NDJSON (FHIR Bulk Data Access).
    filters
        For a type the search parameters that narrow it, such as ``Observation = "category=laboratory"``.
    page
        Resources asked for in one page.
    every_hours
        How often the worker fetches what changed; 0 leaves it to ``racoon fhir pull``.
    """

    types: tuple[Annotated[str, Field(pattern=r"^[A-Z][A-Za-z]{2,40}$")], ...] = (
        "Patient",
        "Encounter",
        "Condition",
        "Observation",
        "Procedure",
        "Medication",
        "MedicationStatement",
        "MedicationAdministration",
        "Consent",
    )
    method: Literal["search", "export"] = "search"
    filters: dict[str, str] = Field(default_factory=dict)
    page: Annotated[int, Field(ge=1, le=5000)] = 500
    every_hours: Annotated[float, Field(ge=0, le=168)] = 0.0
    timeout_s: Annotated[float, Field(ge=0.1, le=600)] = 60.0
