"""Keys stay where they were made; CENTRAL signs for the site it talks to and for nobody else."""

from __future__ import annotations

import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from racoon.learning.flare.certificates import (
    BadSigningRequest,
    EngineAuthority,
    load_or_make_key,
    make_request,
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> EngineAuthority:
    return EngineAuthority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def key(tmp_path_factory) -> rsa.RSAPrivateKey:
    path = tmp_path_factory.mktemp("site") / "client.key"
    key = load_or_make_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_or_make_key(path).private_numbers() == key.private_numbers()
    return key


def test_site_certificate_names_the_site_and_verifies(
    authority: EngineAuthority, key: rsa.RSAPrivateKey
) -> None:
    pem = authority.sign_site(make_request(key, "ALPHA"), "ALPHA")
    certificate = x509.load_pem_x509_certificate(pem.encode())
    root = x509.load_pem_x509_certificate(authority.pem.encode())
    certificate.verify_directly_issued_by(root)
    names = [(item.oid, item.value) for item in certificate.subject]
    assert names == [(NameOID.COMMON_NAME, "ALPHA"), (NameOID.ORGANIZATION_NAME, "ALPHA")]
    assert certificate.public_key() == key.public_key()
    assert (root.not_valid_after_utc - root.not_valid_before_utc).days >= 3650


def test_request_for_another_site_is_refused(authority: EngineAuthority, key: rsa.RSAPrivateKey) -> None:
    for request, site in ((make_request(key, "ALPHA"), "BRAVO"), (make_request(key, "alpha"), "alpha")):
        with pytest.raises(BadSigningRequest):
            authority.sign_site(request, site)


def test_weak_or_broken_requests_are_refused(authority: EngineAuthority) -> None:
    weak = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    curve = x509.CertificateSigningRequestBuilder().subject_name(
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ALPHA")])
    )
    pem = curve.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    requests = [
        make_request(weak, "ALPHA"),
        pem.public_bytes(serialization.Encoding.PEM).decode(),
        "no request",
        "ü",
    ]
    for request in requests:
        with pytest.raises(BadSigningRequest):
            authority.sign_site(request, "ALPHA")


def test_authority_is_the_same_after_a_restart(tmp_path) -> None:
    assert EngineAuthority(tmp_path).pem == EngineAuthority(tmp_path).pem
