"""Closed for one recipient: any size opens to the same bytes, and nothing that was changed, cut or exchanged opens."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon.protocol.sealing import FRAME, PeerCode, PeerCodeRefused, SealBroken, open_sealed, seal_bytes

KEY = X25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()


def closed(data: bytes, purpose: str = "test") -> bytes:
    return b"".join(seal_bytes(PUBLIC, purpose, [data]))


def opened(data: bytes, key: X25519PrivateKey = KEY, purpose: str = "test") -> bytes:
    return b"".join(open_sealed(key, purpose, io.BytesIO(data)))


@pytest.mark.parametrize("size", [0, 1, FRAME - 1, FRAME, FRAME + 1, 2 * FRAME, 3 * FRAME + 7])
def test_every_size_opens_to_the_same_bytes(size: int) -> None:
    data = bytes(number % 251 for number in range(size))
    assert opened(closed(data)) == data


@settings(max_examples=60)
@given(st.integers(0, 2 * FRAME + 200), st.integers(1, 255))
def test_no_changed_byte_opens(at: int, change: int) -> None:
    data = bytearray(closed(b"x" * (2 * FRAME)))
    data[at % len(data)] ^= change
    with pytest.raises(SealBroken):
        opened(bytes(data))


def test_frames_cannot_be_cut_off_or_exchanged() -> None:
    data = closed(b"x" * (2 * FRAME + 5))
    head, step = 48, FRAME + 16
    for end in (0, 10, head, head + step, head + 2 * step, len(data) - 1):
        with pytest.raises(SealBroken):
            opened(data[:end])
    first, second = data[head : head + step], data[head + step : head + 2 * step]
    with pytest.raises(SealBroken):
        opened(data[:head] + second + first + data[head + 2 * step :])


def test_nobody_else_opens_it_nor_for_another_purpose() -> None:
    with pytest.raises(SealBroken):
        opened(closed(b"words"), X25519PrivateKey.generate())
    with pytest.raises(SealBroken):
        opened(closed(b"words"), purpose="other")
    assert closed(b"words") != closed(b"words"), "the same bytes never look the same"


def test_a_large_file_is_never_held_whole() -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(64):
            yield b"x" * 1000

    assert max(len(piece) for piece in seal_bytes(PUBLIC, "test", chunks())) <= FRAME + 16


def test_a_peer_code_survives_copying_or_is_refused() -> None:
    code = PeerCode("POOL", Ed25519PrivateKey.generate().public_key().public_bytes_raw(), PUBLIC)
    text = code.to_text()
    assert PeerCode.from_text(f"  {text}\n") == code
    assert len(code.fingerprint.replace(" ", "")) == 32
    for broken in ("", "racoon-peer-", text[:-1], text.replace(text[40], "_" if text[40] != "_" else "-", 1)):
        with pytest.raises(PeerCodeRefused):
            PeerCode.from_text(broken)
