"""The engine's own small public-key infrastructure; every private key stays on the machine that made it.

FLARE reads who somebody is from the certificate's subject: ``CN`` name, ``O`` organisation,
``unstructuredName`` role (administrators only).  It signs jobs with RSA-PSS, so keys are RSA.  Its own
provisioning makes all keys in one place and a root that dies after 360 days; ours does neither.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from racoon.domain.identity import is_site_code
from racoon.errors import Defect, Refused
from racoon.platform.files import create_atomically, write_atomically

ROOT_DAYS = 3650
"""Renewing the root means new kits everywhere, so it outlives a study."""

LEAF_DAYS = 825
"""A long study does not stop for a certificate; a site asks again each time it joins a run anyway."""

KEY_BITS = 3072
"""BSI TR-02102-1 asks for at least 3000 bits."""

CLOCK_SKEW = timedelta(minutes=10)
"""Hospital clocks differ."""

PROJECT = "racoon"
"""FLARE's project name: it is the root's common name and the server entry in every kit."""


class BadKey(Defect):
    """A key file of the engine cannot be used."""

    code = "learning.bad_key"


class BadSigningRequest(Refused):
    """A signing request that is not a site's own."""

    code = "learning.bad_signing_request"


def load_or_make_key(path: Path) -> rsa.RSAPrivateKey:
    """Load a private key, or make it once with mode 0600."""
    if not path.exists():
        key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        create_atomically(path, pem, mode=0o600)
    loaded = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(loaded, rsa.RSAPrivateKey):
        raise BadKey("An engine key file does not hold an RSA key.", details={"path": str(path)})
    return loaded


def make_request(key: rsa.RSAPrivateKey, site: str) -> str:
    """Make a site's signing request, PEM; CENTRAL decides name and organisation, not the request."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(site, site))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode("ascii")


class EngineAuthority:
    """The root of one network's engine; lives at CENTRAL only.

    Parameters
    ----------
    folder
        Holds ``root.key`` (0600) and ``root.crt``.
    """

    def __init__(self, folder: Path) -> None:
        self._key = load_or_make_key(folder / "root.key")
        path = folder / "root.crt"
        if not path.exists():
            certificate = self._build(
                _name(PROJECT), self._key.public_key(), [PROJECT], ROOT_DAYS, authority=True
            )
            create_atomically(path, certificate, mode=0o644)
        self.pem = path.read_text(encoding="ascii")
        self._certificate = x509.load_pem_x509_certificate(self.pem.encode("ascii"))

    def sign_site(self, request_pem: str, site: str) -> str:
        """Sign a site's request.

        Parameters
        ----------
        request_pem
            Made by :func:`make_request` at the site.
        site
            Code of the peer that sent it, as CENTRAL knows it from mutual TLS.

        Raises
        ------
        BadSigningRequest
            If the request is unreadable, not signed by its own key, not RSA of enough bits, or names another
            site.
        """
        try:
            request = x509.load_pem_x509_csr(request_pem.encode("ascii"))
            valid = request.is_signature_valid
        except (ValueError, UnicodeEncodeError) as error:
            raise BadSigningRequest("The engine's signing request cannot be read.") from error
        key = request.public_key()
        named = [str(item.value) for item in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        if not valid or not isinstance(key, rsa.RSAPublicKey) or key.key_size < KEY_BITS:
            raise BadSigningRequest("The engine's signing request is not signed by a strong enough RSA key.")
        if named != [site] or not is_site_code(site):
            raise BadSigningRequest("The engine's signing request is not for the site that sent it.")
        return self._build(_name(site, site), key, [site], LEAF_DAYS).decode("ascii")

    def issue(
        self, key: rsa.RSAPrivateKey, common_name: str, hosts: Sequence[str], role: str | None = None
    ) -> str:
        """Issue a certificate for a key of CENTRAL itself (server, job signer)."""
        name = _name(common_name, "CENTRAL", role)
        return self._build(name, key.public_key(), [common_name, *hosts], LEAF_DAYS).decode("ascii")

    def _build(
        self,
        subject: x509.Name,
        key: rsa.RSAPublicKey,
        names: Sequence[str],
        days: int,
        *,
        authority: bool = False,
    ) -> bytes:
        now = datetime.now(UTC)
        end = now + timedelta(days=days)
        if not authority:
            end = min(end, self._certificate.not_valid_after_utc)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(_name(PROJECT))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - CLOCK_SKEW)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .add_extension(
                x509.SubjectAlternativeName([_host(name) for name in dict.fromkeys(names)]), critical=False
            )
        )
        if authority:
            builder = builder.add_extension(
                x509.BasicConstraints(ca=True, path_length=None), critical=True
            ).add_extension(_CA_USAGE, critical=True)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def write_credentials(folder: Path, stem: str, certificate_pem: str, authority_pem: str) -> None:
    """Write certificate and root beside the key of the same stem; the key itself is made in place."""
    write_atomically(folder / f"{stem}.crt", certificate_pem.encode("ascii"), mode=0o644)
    write_atomically(folder / "rootCA.pem", authority_pem.encode("ascii"), mode=0o644)


_CA_USAGE = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _name(common_name: str, organisation: str | None = None, role: str | None = None) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    if role:
        parts.append(x509.NameAttribute(NameOID.UNSTRUCTURED_NAME, role))
    return x509.Name(parts)


def _host(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        # An e-mail-like administrator name has no place among DNS names, but FLARE itself writes it so.
        return x509.DNSName(name)
