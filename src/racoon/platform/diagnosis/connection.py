"""The way to CENTRAL: name, route, proxy, certificates, clock.

A node dials out on one port and nobody dials in, so one firewall rule is enough; these checks print it.
"""

from __future__ import annotations

import os
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
from cryptography import x509

from racoon.platform.clock import now
from racoon.platform.diagnosis.finding import Finding

TIMEOUT_S: Final = 10.0

LARGEST_SKEW: Final = timedelta(seconds=60)
"""Signed messages carry their time; a peer refuses one that is more than a few minutes off."""

WARN_BEFORE_EXPIRY: Final = timedelta(days=14)
"""Certificates renew by themselves well before; one that did not by now needs a person."""

NEEDS_CLIENT_CERTIFICATE: Final = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "certificate required")
"""What OpenSSL says when the other side is there and wants to know who we are."""


@dataclass(frozen=True)
class Answer:
    """What came back from CENTRAL on one way."""

    is_reached: bool
    status: int | None = None
    server_time: datetime | None = None
    error: str = ""


@dataclass(frozen=True)
class Identity:
    """Files with which a node shows who it is."""

    certificate: Path
    key: Path


def firewall_rule(url: str, proxy: str | None = None) -> str:
    """Say the exact rule to request from the hospital's network department."""
    target = urlsplit(proxy or url)
    port = target.port or (443 if target.scheme == "https" else 80)
    return (
        f"Ask for this firewall rule: allow outgoing TCP from this machine to {target.hostname} port {port}; "
        "nothing incoming is needed."
    )


def fetch(url: str, *, ca_file: Path | None, identity: Identity | None, proxy: str | None) -> Answer:
    """Ask CENTRAL for its health on one way, directly or through a proxy.

    Parameters
    ----------
    url
        Address of CENTRAL as the configuration says it.
    ca_file
        Certificate authority of the network in PEM; the system's own when ``None``.
    identity
        The node's certificate, once it is enrolled.
    proxy
        Forward proxy, ``None`` for the direct way whatever the environment says.
    """
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file and ca_file.exists() else None)
    if identity is not None and identity.certificate.exists() and identity.key.exists():
        context.load_cert_chain(identity.certificate, identity.key)
    try:
        with httpx.Client(verify=context, proxy=proxy, trust_env=False, timeout=TIMEOUT_S) as client:
            response = client.get(f"{url.rstrip('/')}/health/live")
    except httpx.HTTPError as error:
        text = str(error) or type(error).__name__
        if any(sign in text for sign in NEEDS_CLIENT_CERTIFICATE):
            return Answer(True, error="not enrolled")
        return Answer(False, error=text)
    date = response.headers.get("date")
    server_time = parsedate_to_datetime(date).astimezone(UTC) if date else None
    return Answer(True, response.status_code, server_time)


def check_central(
    url: str, *, ca_file: Path | None = None, identity: Identity | None = None
) -> list[Finding]:
    """Check the direct way, the way through ``HTTPS_PROXY`` when there is one, and the clock.

    Parameters
    ----------
    url
        Address of CENTRAL.
    ca_file
        Certificate authority of the network in PEM.
    identity
        The node's certificate and key, once it is enrolled.
    """
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    direct = fetch(url, ca_file=ca_file, identity=identity, proxy=None)
    through = fetch(url, ca_file=ca_file, identity=identity, proxy=proxy) if proxy else None
    findings = [_describe("CENTRAL, direct", url, direct, None, is_needed=through is None)]
    if through is None:
        findings.append(Finding("CENTRAL, proxy", "skipped", "HTTPS_PROXY is not set"))
    else:
        findings.append(_describe("CENTRAL, proxy", url, through, proxy, is_needed=True))
    times = [answer.server_time for answer in (through, direct) if answer and answer.server_time]
    findings.append(check_clock(times[0] if times else None))
    return findings


def _describe(check: str, url: str, answer: Answer, proxy: str | None, *, is_needed: bool) -> Finding:
    way = f"through {urlsplit(proxy).hostname}" if proxy else "directly"
    if answer.is_reached:
        detail = "; it asks for a node certificate, so enrol first" if answer.error else ""
        return Finding(check, "ok", f"{url} answers {way}{detail}")
    message = f"{url} cannot be reached {way}: {answer.error}"
    if "CERTIFICATE_VERIFY_FAILED" in answer.error:
        mend = (
            "Something on the way shows another certificate than CENTRAL's. Check the certificate authority "
            "in the configuration; if a proxy inspects TLS, ask for an exception for this address."
        )
        return Finding(check, "problem", message, mend)
    if not is_needed:
        return Finding(check, "skipped", f"not reachable {way}; the proxy is used")
    return Finding(check, "problem", message, firewall_rule(url, proxy))


def check_clock(server_time: datetime | None, local_time: datetime | None = None) -> Finding:
    """Compare this machine's clock with CENTRAL's.

    Parameters
    ----------
    server_time
        CENTRAL's ``Date`` header (whole seconds), ``None`` when there was no answer.
    local_time
        This machine's time; now when omitted.
    """
    if server_time is None:
        return Finding("clock", "skipped", "no time from CENTRAL to compare with")
    skew = (local_time or now()) - server_time
    seconds = skew.total_seconds()
    if abs(skew) > LARGEST_SKEW:
        direction = "ahead of" if seconds > 0 else "behind"
        message = f"this machine is {abs(seconds):.0f} s {direction} CENTRAL; signed messages will be refused"
        return Finding(
            "clock", "problem", message, "Switch on time synchronisation: timedatectl set-ntp true"
        )
    return Finding("clock", "ok", f"within {abs(seconds):.0f} s of CENTRAL")


def check_certificate(name: str, file: Path, mend: str, moment: datetime | None = None) -> Finding:
    """Check how long a certificate is still valid.

    Parameters
    ----------
    name
        Whose certificate it is, in words.
    file
        Certificate in PEM.
    mend
        What to do when it is missing or about to expire.
    moment
        Time to compare with; now when omitted.
    """
    check = f"certificate ({name})"
    if not file.exists():
        return Finding(check, "warning", "not there yet", mend)
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
    except (OSError, ValueError):
        return Finding(check, "problem", f"{file} cannot be read as a certificate", mend)
    left = certificate.not_valid_after_utc - (moment or now())
    until = f"valid until {certificate.not_valid_after_utc:%Y-%m-%d}"
    if left < timedelta(0):
        return Finding(check, "problem", f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}", mend)
    if left < WARN_BEFORE_EXPIRY:
        return Finding(check, "warning", f"{until}; renewal should have happened by now", mend)
    return Finding(check, "ok", until)
