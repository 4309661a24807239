"""TLS for DICOM connections: the BCP 195 profile of PS3.15 B.12 (RFC 8996, RFC 9325)."""

from __future__ import annotations

import ssl
from pathlib import Path

from racoon.platform.settings import ConfigurationError

CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""TLS 1.2 with forward secrecy and authenticated encryption only; TLS 1.3 has nothing else anyway."""


def listening_context(certificate: Path, key: Path, authority: Path | None) -> ssl.SSLContext:
    """Make the listener's context.

    Parameters
    ----------
    certificate, key
        Our own PEM files.
    authority
        Who signs senders; with it a sender without a certificate is refused.

    Raises
    ------
    ConfigurationError
        If the files cannot be used.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context)
    try:
        context.load_cert_chain(certificate, key)
        if authority is not None:
            context.load_verify_locations(authority)
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            "The TLS files of the DICOM listener cannot be used. Check dicom.certificate, dicom.key and "
            "dicom.authority.",
            details={"certificate": str(certificate)},
        ) from error
    return context


def calling_context(authority: Path, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Make a context for our own calls to a PACS.

    Parameters
    ----------
    authority
        Who signs the PACS.
    certificate, key
        Our own PEM files, when the PACS asks for them.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _harden(context)
    try:
        context.load_verify_locations(authority)
        if certificate is not None and key is not None:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError("The TLS files for calls to a PACS cannot be used.") from error
    return context


def _harden(context: ssl.SSLContext) -> None:
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
