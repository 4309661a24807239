"""Settings of the clinical systems: HL7 v2 messages."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator

from racoon.node.settings._base import Section
from racoon.standards.hl7v2.message import ENCODINGS


class Hl7SenderSettings(Section):
    """A hospital system that may send messages.

    Attributes
    ----------
    name
        Name for people, shown on the page.
    addresses
        Addresses or networks it calls from, such as ``10.1.2.3`` or ``10.1.2.0/24``.
    application
        Its MSH-3; empty takes any.
    facility
        Its MSH-4; empty takes any.
    """

    name: Annotated[str, Field(min_length=1, max_length=80)]
    addresses: Annotated[tuple[str, ...], Field(min_length=1)]
    application: str = ""
    facility: str = ""

    @field_validator("addresses")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            ipaddress.ip_network(item, strict=False)
        return value


class Hl7Settings(Section):
    """HL7 v2 over MLLP; closed by default.

    Attributes
    ----------
    host, port
        Where hospital systems send to; port 0 keeps it closed.
    senders
        Who may send, each a table ``[[hl7.senders]]``; anybody else is refused.
    default_encoding
        Encoding of messages with an empty MSH-18, as HL7 table 0211 names it.
    patient_authority
        Assigning authority (CX.4) of the number that is in the images; empty: the number of type MR, else PI.
    max_message_kb
        A larger message is refused.
    max_connections
        Connections at the same time.
    idle_timeout_s
        A connection that is silent for so long is closed.
    certificate, key
        PEM files; with them the port speaks TLS only.
    authority
        PEM file of who signs the senders' certificates; with it a sender without one is refused.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    senders: tuple[Hl7SenderSettings, ...] = ()
    default_encoding: str = "8859/1"
    patient_authority: str = ""
    max_message_kb: Annotated[int, Field(ge=16, le=65_536)] = 4096
    max_connections: Annotated[int, Field(ge=1, le=500)] = 32
    idle_timeout_s: Annotated[float, Field(ge=1, le=86_400)] = 3600.0
    certificate: Path | None = None
    key: Path | None = None
    authority: Path | None = None

    @field_validator("default_encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        if value not in ENCODINGS:
            raise ValueError(f"an encoding is one of {', '.join(ENCODINGS)}")
        return value

    @model_validator(mode="after")
    def _complete(self) -> Hl7Settings:
        if self.port and not self.senders:
            raise ValueError("an open port needs at least one [[hl7.senders]]: nobody else is let in")
        names = [sender.name for sender in self.senders]
        if len(set(names)) < len(names):
            raise ValueError("two of hl7.senders have the same name")
        if (self.certificate is None) != (self.key is None):
            raise ValueError("'certificate' and 'key' of [hl7] belong together")
        if self.authority is not None and self.certificate is None:
            raise ValueError("'authority' checks senders over TLS, which needs 'certificate' and 'key'")
        return self
