"""What an operator writes about an identity provider."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from racoon.domain.identity import Role


class ProviderSettings(BaseModel):
    """An identity provider that may sign people in.

    Attributes
    ----------
    name
        Short name in addresses and behind account names, e.g. ``hospital``.
    title
        As the sign-in page says it.
    issuer
        Exactly as the provider names itself; ``https://``, or ``http://`` on this machine.
    client_id
        Under which the provider knows this server.
    client_secret_file
        File with the secret; without one the client is public and only PKCE protects the code.
    client_auth
        How the secret is sent.
    scopes
        What is asked for; ``openid`` is always.
    name_claim
        Claim that names a person for people; who it is, only issuer and subject say.
    roles_claim
        Claim with the groups; dots lead into nested claims (``realm_access.roles``).
    roles
        From each group to roles here. A group that is not listed gives nothing.
    second_factor
        Where a second factor is required here: ``amr`` believes the provider only when its token says that one was
        used (RFC 8176), ``trusted`` always.
    ca_file
        Certificates of the authority that signed the provider's; empty: those of the system.
    timeout_s
        How long the provider may take for an answer.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,19}$")]
    title: Annotated[str, Field(min_length=1, max_length=80)]
    issuer: Annotated[str, Field(max_length=200)]
    client_id: Annotated[str, Field(min_length=1, max_length=200)]
    client_secret_file: Path | None = None
    client_auth: Literal["client_secret_basic", "client_secret_post"] = "client_secret_basic"
    scopes: tuple[str, ...] = ("openid", "profile")
    name_claim: str = "preferred_username"
    roles_claim: str = "groups"
    roles: Mapping[str, tuple[Role, ...]]
    second_factor: Literal["amr", "trusted"] = "amr"
    ca_file: Path | None = None
    timeout_s: Annotated[float, Field(gt=0, le=60)] = 10.0

    @field_validator("issuer")
    @classmethod
    def _encrypted_or_local(cls, value: str) -> str:
        if not is_safe_address(value):
            raise ValueError(
                "issuer must begin with https://, or with http:// where it names this machine only"
            )
        return value


def is_safe_address(address: str) -> bool:
    """Tell whether tokens and secrets may travel to an address: encrypted, or not leaving this machine."""
    try:
        parts = urlsplit(address)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None or parts.fragment:
        return False
    if parts.scheme == "https":
        return True
    try:
        is_local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_local = False
    return parts.scheme == "http" and is_local
