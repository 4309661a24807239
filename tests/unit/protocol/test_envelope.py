"""Envelopes: every altered byte shows, every time and address is checked, join codes prove both sides."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from racoon.protocol.envelope import Envelope, EnvelopeRefused, seal, to_wire, verify
from racoon.protocol.exchange import JoinCode, JoinCodeRefused, is_proven, prove
from racoon.protocol.messages import MESSAGES, Direction, MessageDefect, parse_payload

KEY = Ed25519PrivateKey.generate()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def sealed(payload: dict[str, Any] | None = None) -> Envelope:
    return seal(
        KEY, type="job.cancel", sender="CENTRAL", recipient="ALPHA", payload=payload or {}, issued_at=NOW
    )


def check(envelope: Envelope, *, now: datetime = NOW) -> None:
    verify(envelope, KEY.public_key(), sender="CENTRAL", recipient="ALPHA", now=now)


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=8), json_values, max_size=4))
def test_a_sealed_message_survives_the_wire(payload: dict[str, Any]) -> None:
    check(Envelope.model_validate(json.loads(json.dumps(to_wire(sealed(payload))))))


@given(st.data())
def test_any_altered_byte_is_refused(data: st.DataObject) -> None:
    wire = json.dumps(to_wire(sealed({"job_id": "J1", "reason": "x"}))).encode()
    place = data.draw(st.integers(0, len(wire) - 1))
    altered = bytearray(wire)
    altered[place] ^= data.draw(st.integers(1, 255))
    try:
        document = json.loads(bytes(altered))
        envelope = Envelope.model_validate(document)
    except (ValueError, ValidationError):
        return
    if to_wire(envelope) == json.loads(wire):
        return  # the altered byte was insignificant white space or the like
    with pytest.raises(EnvelopeRefused):
        check(envelope)


@pytest.mark.parametrize(
    ("now", "code"),
    [(NOW + timedelta(days=31), "protocol.expired"), (NOW - timedelta(minutes=6), "protocol.clock")],
)
def test_time_is_checked(now: datetime, code: str) -> None:
    with pytest.raises(EnvelopeRefused) as refusal:
        check(sealed(), now=now)
    assert refusal.value.error_code == code


def test_another_recipient_and_a_newer_protocol_are_refused() -> None:
    with pytest.raises(EnvelopeRefused, match="not addressed"):
        verify(sealed(), KEY.public_key(), sender="CENTRAL", recipient="BRAVO", now=NOW)
    newer = sealed().model_copy(update={"protocol": "2.0"})
    with pytest.raises(EnvelopeRefused) as refusal:
        check(newer)
    assert refusal.value.error_code == "protocol.newer_version"


def test_a_message_of_the_other_direction_or_with_an_extra_field_is_malformed() -> None:
    with pytest.raises(MessageDefect):
        parse_payload("heartbeat", {}, Direction.TO_NODE)
    with pytest.raises(MessageDefect, match="patient_name"):
        parse_payload("job.cancel", {"job_id": "J1", "patient_name": "x"}, Direction.TO_NODE)


def test_every_message_form_has_a_schema_without_open_ends() -> None:
    for known in MESSAGES.values():
        assert known.form.model_json_schema()["additionalProperties"] is False


def test_join_code_survives_copying_and_shows_typing_errors() -> None:
    code = JoinCode("https://central.example", "ALPHA", b"s" * 32)
    text = code.to_text()
    assert JoinCode.from_text(f"  {text}\n") == code
    for broken in (
        text[:-3],
        text.replace(text[30], "A" if text[30] != "A" else "B", 1),
        "racoon-join-",
        "hello",
    ):
        with pytest.raises(JoinCodeRefused):
            JoinCode.from_text(broken)


def test_a_proof_fits_its_purpose_and_content_only() -> None:
    proof = prove(b"k", "request", {"site": "ALPHA"})
    assert is_proven(b"k", "request", {"site": "ALPHA"}, proof)
    assert not is_proven(b"k", "answer", {"site": "ALPHA"}, proof)
    assert not is_proven(b"k", "request", {"site": "BRAVO"}, proof)
    assert not is_proven(b"j", "request", {"site": "ALPHA"}, proof)
