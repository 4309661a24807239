"""Keys, certificates and signatures; openssl, which nobody here wrote, agrees."""

from __future__ import annotations

import shutil
import stat
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import CertificateSigningRequestBuilder, Name
from hypothesis import given
from hypothesis import strategies as st

from racoon.platform import clock
from racoon.platform.certificates import (
    BadKey,
    BadRequestForCertificate,
    CertificateAuthority,
    common_name,
    decode_text,
    encode_text,
    fingerprint,
    load_or_create_key,
    load_or_create_signing_key,
    make_key,
    make_request,
    not_after,
    public_key_text,
    remaining_days,
    sign,
    verify,
)

_KEY = ed25519.Ed25519PrivateKey.generate()


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_private_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    authority.issue_server(tmp_path / "server", ["localhost"])
    load_or_create_signing_key(tmp_path / "sign.key")
    keys = [tmp_path / "ca/ca.key", tmp_path / "server/server.key", tmp_path / "sign.key"]
    assert [_mode(path) for path in keys] == [0o600] * 3
    assert not list(tmp_path.rglob("*.part"))


def test_authority_and_keys_are_loaded_again(tmp_path: Path) -> None:
    first = CertificateAuthority.load_or_create(tmp_path)
    assert CertificateAuthority.load_or_create(tmp_path).certificate_pem == first.certificate_pem
    assert public_key_text(load_or_create_signing_key(tmp_path / "k")) == public_key_text(
        load_or_create_signing_key(tmp_path / "k")
    )
    (tmp_path / "ca.key").unlink()
    with pytest.raises(BadKey, match="do not belong together"):
        CertificateAuthority.load_or_create(tmp_path)


def test_issued_names_and_times(tmp_path: Path) -> None:
    authority = CertificateAuthority.load_or_create(tmp_path)
    pem = authority.sign_request(make_request(make_key(), "I am CENTRAL"), "ALPHA", 30)
    assert common_name(pem) == "ALPHA"
    assert abs(not_after(pem) - clock.now() - timedelta(days=30)) < timedelta(minutes=1)
    assert 29.9 < remaining_days(pem) < 30
    assert abs(remaining_days(authority.certificate_pem) - 3650) < 1
    assert len(fingerprint(pem)) == 64


def test_leaf_never_outlives_its_authority(tmp_path: Path) -> None:
    authority = CertificateAuthority.load_or_create(tmp_path)
    pem = authority.sign_request(make_request(make_key(), "x"), "ALPHA", 36500)
    assert not_after(pem) == not_after(authority.certificate_pem)


def test_bad_requests_are_refused(tmp_path: Path) -> None:
    authority = CertificateAuthority.load_or_create(tmp_path)
    good = make_request(make_key(), "x")
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 1
    key = rsa.generate_private_key(65537, 2048)
    weak = CertificateSigningRequestBuilder().subject_name(Name([])).sign(key, SHA256())
    for request in (b"nonsense", "ü", bytes(flipped), weak.public_bytes(serialization.Encoding.PEM)):
        with pytest.raises(BadRequestForCertificate):
            authority.sign_request(request, "ALPHA")


def test_openssl_agrees(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: apt-get install openssl")
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    files = authority.issue_server(tmp_path / "server", ["central.example", "127.0.0.1"])
    client = tmp_path / "client.pem"
    client.write_bytes(authority.sign_request(make_request(make_key(), "x"), "ALPHA"))
    for purpose, path, rest in (
        ("sslserver", files.certificate, ["-verify_hostname", "central.example"]),
        ("sslserver", files.certificate, ["-verify_ip", "127.0.0.1"]),
        ("sslclient", client, []),
    ):
        command = [
            "openssl",
            "verify",
            "-x509_strict",
            "-CAfile",
            str(tmp_path / "ca/ca.pem"),
            "-purpose",
            purpose,
        ]
        result = subprocess.run([*command, *rest, str(path)], capture_output=True, check=False)
        assert result.returncode == 0, result.stderr
    wrong = [
        "openssl",
        "verify",
        "-CAfile",
        str(tmp_path / "ca/ca.pem"),
        "-purpose",
        "sslserver",
        str(client),
    ]
    assert subprocess.run(wrong, capture_output=True, check=False).returncode != 0


@given(st.binary(max_size=200), st.binary(min_size=1, max_size=200))
def test_signature_fits_one_message_only(message: bytes, other: bytes) -> None:
    signature, public = sign(_KEY, message), public_key_text(_KEY)
    assert verify(public, signature, message)
    assert verify(public, signature, other) == (other == message)
    assert not verify(public, encode_text(b"\0" * 64), message)
    assert not verify("nonsense", signature, message)
    assert not verify(public, "ü", message)


@given(st.binary(max_size=100))
def test_text_form_is_unique(data: bytes) -> None:
    text = encode_text(data)
    assert decode_text(text) == data
    assert "=" not in text
    with pytest.raises(ValueError, match="base64url"):
        decode_text(text + "=")


@pytest.mark.parametrize("text", ["a", "AB", "A+==", "A/A", " AAA", "AAA\n", "ü"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="base64url"):
        decode_text(text)


def test_wrong_kind_of_key(tmp_path: Path) -> None:
    load_or_create_key(tmp_path / "tls.key")
    with pytest.raises(BadKey, match="not an Ed25519"):
        load_or_create_signing_key(tmp_path / "tls.key")
    (tmp_path / "broken.key").write_text("broken")
    with pytest.raises(BadKey, match="cannot be read"):
        load_or_create_key(tmp_path / "broken.key")
