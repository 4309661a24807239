"""Words and rules of sites and their enrolment.  Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from racoon.domain.canonical import content_hash
from racoon.errors import Defect, Refused
from racoon.protocol.envelope import CENTRAL
from racoon.protocol.exchange import EnrolmentRequest


class SiteState(StrEnum):
    """Where a site stands in the network."""

    INVITED = "invited"
    ENROLLED = "enrolled"
    SUSPENDED = "suspended"


class EnrolmentRefused(Refused):
    """The site may not join with this request."""

    code: ClassVar[str] = "enrolment.refused"


class SiteRefused(Refused):
    """The peer is not an enrolled site of this network."""

    code: ClassVar[str] = "site.refused"


class SiteDefect(Defect):
    """The site's code is malformed, taken or unknown."""

    code: ClassVar[str] = "site.invalid"


class UnknownSite(SiteDefect):
    """There is no site with this code."""

    code: ClassVar[str] = "site.unknown"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class Site:
    """One institution of the network.

    Parameters
    ----------
    code, name, city
        Short stable code, and words for people.
    state
        See :class:`SiteState`.
    signing_key
        Ed25519 public key (base64url) that its messages are checked with; ``None`` before enrolment.
    version
        Version of the program its node reported last.
    created_at, enrolled_at
        Aware times.
    certificate_expires_at
        Expiry of the newest certificate; ``None`` before enrolment.
    join_code_expires_at
        Expiry of an open join code; ``None`` without one.
    """

    code: str
    name: str
    city: str
    state: SiteState
    signing_key: str | None
    version: str | None
    created_at: datetime
    enrolled_at: datetime | None
    certificate_expires_at: datetime | None = None
    join_code_expires_at: datetime | None = None


@dataclass(frozen=True)
class OpenJoinCode:
    """A join code as CENTRAL keeps it.

    Parameters
    ----------
    secret
        The shared secret, opened for this check.
    expires_at
        Aware time.
    request_hash
        Hash of the request that used the code, ``None`` while it is unused.
    """

    secret: bytes
    expires_at: datetime
    request_hash: str | None


RESERVED_CODES = frozenset({CENTRAL, "IMAGE", "SERVER"})
"""Names that would be mistaken for something else in messages, certificates and plots."""


def request_hash(request: EnrolmentRequest) -> str:
    """Identify an enrolment request: the same one sent again gets the same site, never another key."""
    return content_hash({"request_pem": request.request_pem, "signing_key": request.signing_key})


def check_join_code(code: OpenJoinCode | None, request: EnrolmentRequest, now: datetime) -> OpenJoinCode:
    """Check that a join code may be used by this request.

    A node that crashed before it stored the answer sends the very same request again and is answered again;
    anybody else finds the code burned.

    Raises
    ------
    EnrolmentRefused
        With one message for every reason, so that it tells a guesser nothing.
    """
    if code is None or code.expires_at <= now or code.request_hash not in (None, request_hash(request)):
        raise EnrolmentRefused(
            "This join code is not valid (any more). Ask CENTRAL's administrator for a new one.",
            code="enrolment.join_code",
        )
    return code
