"""Keys and certificates of the network: one small certificate authority, TLS leaf certificates, signing keys.

Private keys are created on the machine that uses them, in files only their owner can read, and never leave
it: a node sends a signing request and gets a certificate back. Revocation is not done by lists: CENTRAL looks
up each peer's fingerprint in its own table on every request.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from racoon.errors import Defect, Refused
from racoon.platform import clock
from racoon.platform.files import create_atomically, write_atomically

CA_DAYS = 3650
"""Outlives a network's funding periods; replacing the authority means to enrol every node again."""

LEAF_DAYS = 90
"""Short enough that a stolen key dies by itself, long enough that a node may be offline for a month."""

CLOCK_SKEW = timedelta(minutes=10)
"""Hospital clocks differ; a certificate is valid from a little before it was made."""

Certificate = x509.Certificate | bytes | str | Path


class BadRequestForCertificate(Refused):
    """A signing request is unreadable, not signed by its own key, or has a kind of key we do not accept."""

    code = "certificate.bad_request"


class BadKey(Defect):
    """A key or certificate file cannot be used."""

    code = "certificate.bad_key"


@dataclass(frozen=True)
class TlsFiles:
    """Where a listener or client finds its PEM files; ``authority`` verifies the other side."""

    certificate: Path
    key: Path
    authority: Path | None = None


def make_key() -> ec.EllipticCurvePrivateKey:
    """Make a private key for TLS (ECDSA on P-256, accepted by every TLS 1.2 and 1.3 stack)."""
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """Write a private key as unencrypted PKCS #8 PEM; the file's permissions protect it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def load_or_create_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Load a TLS private key, or make it in a file of mode 0600."""
    if not path.exists():
        create_atomically(path, key_pem(make_key()))
    key = _load_private(path)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadKey(f"{path.name} is not an elliptic-curve private key.", details={"path": str(path)})
    return key


def make_request(key: ec.EllipticCurvePrivateKey, common_name: str) -> bytes:
    """Make a PEM certificate signing request; the authority decides the final name itself."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)


class CertificateAuthority:
    """The network's own certificate authority, kept in one folder as ``ca.pem`` and ``ca.key`` (0600)."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def load_or_create(cls, folder: Path, name: str = "RACOON network") -> CertificateAuthority:
        """Load the authority from a folder, or create it there with its own key."""
        key = load_or_create_key(folder / "ca.key")
        path = folder / "ca.pem"
        if not path.exists():
            create_atomically(path, _self_signed(key, name), mode=0o644)
        certificate = load_certificate(path)
        if certificate.public_key() != key.public_key():
            raise BadKey(
                "The authority's certificate and key do not belong together.", details={"path": str(path)}
            )
        return cls(certificate, key)

    @property
    def certificate_pem(self) -> bytes:
        """The authority's certificate, to be given to every node."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    def sign_request(self, request_pem: bytes | str, common_name: str, days: float = LEAF_DAYS) -> bytes:
        """Issue a client certificate for a signing request.

        Parameters
        ----------
        request_pem
            PEM signing request; only its public key is used, never its names or extensions.
        common_name
            Name in the certificate: the site code the authority itself has established.
        days
            Validity.

        Raises
        ------
        BadRequestForCertificate
        """
        return self._issue(_request_key(request_pem), common_name, (), days, ExtendedKeyUsageOID.CLIENT_AUTH)

    def sign_server_request(
        self, request_pem: bytes | str, hosts: Sequence[str], days: float = LEAF_DAYS
    ) -> bytes:
        """Issue a server certificate for a signing request; ``hosts`` are DNS names or IP addresses."""
        return self._issue(_request_key(request_pem), hosts[0], hosts, days, ExtendedKeyUsageOID.SERVER_AUTH)

    def issue_server(self, folder: Path, hosts: Sequence[str], days: float = LEAF_DAYS) -> TlsFiles:
        """Make or renew ``server.pem`` and ``server.key`` in a folder for DNS names and IP addresses."""
        files = TlsFiles(folder / "server.pem", folder / "server.key", folder / "authority.pem")
        key = load_or_create_key(files.key)
        pem = self._issue(key.public_key(), hosts[0], hosts, days, ExtendedKeyUsageOID.SERVER_AUTH)
        write_atomically(files.certificate, pem, mode=0o644)
        write_atomically(folder / "authority.pem", self.certificate_pem, mode=0o644)
        return files

    def _issue(
        self,
        public_key: ec.EllipticCurvePublicKey,
        common_name: str,
        hosts: Sequence[str],
        days: float,
        usage: x509.ObjectIdentifier,
    ) -> bytes:
        moment = clock.now()
        authority_id = self._certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self._certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment - CLOCK_SKEW)
            .not_valid_after(min(moment + timedelta(days=days), self._certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(authority_id), critical=False
            )
        )
        if hosts:
            names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def load_certificate(source: Certificate) -> x509.Certificate:
    """Load a certificate from PEM, DER or a file."""
    if isinstance(source, x509.Certificate):
        return source
    data = source.read_bytes() if isinstance(source, Path) else source
    data = data.encode("ascii", "replace") if isinstance(data, str) else data
    try:
        if data.lstrip().startswith(b"-----"):
            return x509.load_pem_x509_certificate(data)
        return x509.load_der_x509_certificate(data)
    except ValueError as error:
        raise BadKey("This is not a readable certificate.") from error


def fingerprint(certificate: Certificate) -> str:
    """Return the SHA-256 of a certificate's DER bytes, lower-case hex."""
    return load_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def not_after(certificate: Certificate) -> datetime:
    """Return when a certificate expires (aware UTC)."""
    return load_certificate(certificate).not_valid_after_utc


def renews_at(certificate: Certificate) -> datetime:
    """Return when a certificate is to be replaced: at two thirds of its lifetime (aware UTC).

    A share and not a number of days, so that a network with short-lived certificates does not ask for a new one
    all the time and one with long-lived ones has months to notice.
    """
    loaded = load_certificate(certificate)
    lifetime = loaded.not_valid_after_utc - loaded.not_valid_before_utc - CLOCK_SKEW
    return loaded.not_valid_after_utc - lifetime / 3


def remaining_days(certificate: Certificate) -> float:
    """Return how many days a certificate is still valid; negative when it has expired."""
    return (not_after(certificate) - clock.now()) / timedelta(days=1)


def common_name(certificate: Certificate) -> str:
    """Return the certificate's common name: for a node, its site code."""
    names = load_certificate(certificate).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise BadKey("The certificate does not carry exactly one common name.")
    return str(names[0].value)


def load_or_create_signing_key(path: Path) -> ed25519.Ed25519PrivateKey:
    """Load the Ed25519 key that signs messages, or make it in a file of mode 0600."""
    if not path.exists():
        create_atomically(path, key_pem(ed25519.Ed25519PrivateKey.generate()))
    key = _load_private(path)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise BadKey(f"{path.name} is not an Ed25519 signing key.", details={"path": str(path)})
    return key


def public_key_text(key: ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey) -> str:
    """Write the public half of a signing key as base64url text without padding (43 characters)."""
    public = key.public_key() if isinstance(key, ed25519.Ed25519PrivateKey) else key
    return encode_text(public.public_bytes_raw())


def sign(key: ed25519.Ed25519PrivateKey, message: bytes) -> str:
    """Sign bytes; the signature is base64url text without padding (86 characters)."""
    return encode_text(key.sign(message))


def verify(public_text: str, signature: str, message: bytes) -> bool:
    """Tell whether a signature belongs to these bytes and this public key; the unreadable is false."""
    try:
        public = ed25519.Ed25519PublicKey.from_public_bytes(decode_text(public_text))
        public.verify(decode_text(signature), message)
    except (InvalidSignature, ValueError):
        return False
    return True


def encode_text(data: bytes) -> str:
    """Write bytes as base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_text(text: str) -> bytes:
    """Read base64url without padding, strictly: one text for one value (no other alphabet, no stray bits)."""
    try:
        data = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64url") from error
    if encode_text(data) != text:
        raise ValueError("not canonical base64url")
    return data


def _self_signed(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    moment = clock.now()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - CLOCK_SKEW)
        .not_valid_after(moment + timedelta(days=CA_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _request_key(request_pem: bytes | str) -> ec.EllipticCurvePublicKey:
    data = request_pem.encode("ascii", "replace") if isinstance(request_pem, str) else request_pem
    try:
        request = x509.load_pem_x509_csr(data)
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, InvalidSignature) as error:
        raise BadRequestForCertificate("The certificate request cannot be read.") from error
    if not signed:
        raise BadRequestForCertificate("The certificate request is not signed by its own key.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadRequestForCertificate("The certificate request needs an elliptic-curve key on P-256.")
    return key


def _load_private(path: Path) -> object:
    try:
        return serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError, OSError) as error:
        raise BadKey(
            f"The key file {path.name} cannot be read. Restore it from the backup or enrol again.",
            details={"path": str(path)},
        ) from error
