"""The door on the wire: stored before it is answered, refused in words, strangers turned away."""

from __future__ import annotations

import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from racoon.errors import Unavailable
from racoon.node.clinical.hl7.door import Door
from racoon.node.clinical.hl7.listener import MllpListener, PortInUse
from racoon.node.clinical.hl7.model import State
from racoon.node.settings import Hl7SenderSettings, Hl7Settings
from racoon.platform.certificates import CertificateAuthority, key_pem, make_key, make_request
from racoon.standards.hl7v2.mllp import frame
from tests.hl7_messages import Caller, adt, faulty_stream, oru
from tests.unit.node.clinical.hl7.conftest import SENDERS, ZONE, Clinic


@contextmanager
def listening(clinic: Clinic, **changes: Any) -> Iterator[MllpListener]:
    options = Hl7Settings(senders=SENDERS, idle_timeout_s=20, max_message_kb=64).model_copy(update=changes)
    door = Door(options.senders, options.default_encoding, "", "ALPHA", ZONE)
    listener = MllpListener(options, door, clinic.inbox)
    try:
        yield listener
    finally:
        listener.stop()


def test_message_is_on_disk_before_its_answer(clinic: Clinic) -> None:
    with listening(clinic) as listener:
        caller = Caller(listener.port)
        caller.send(frame(adt("A01", "4711", "CTRL-1", visit="V1")))
        answer = caller.answer()
        with sqlite3.connect(clinic.folder / "hl7" / "inbox.sqlite") as connection:
            assert connection.execute("SELECT state, length(sealed) > 100 FROM message").fetchall() == [
                ("waiting", 1)
            ]
        connection.close()
        caller.close()
    assert answer.split(b"\r")[1] == b"MSA|AA|CTRL-1"
    assert clinic.work() == 1


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        (b"no message", "AR", "no_header"),
        (adt("A08", "1", "7", application="FREMD"), "AR", "unknown_sender"),
        (adt("A08", "1", "7", charset="8859/1").replace(b"8859/1", b"ASCII"), "AE", "wrong_encoding"),
        (adt("A08", "", "7"), "AE", "no_patient"),
        (adt("A40", "1", "7"), "AE", "no_survivor"),
        (b"MSH|" + b"x" * 70_000, "AR", "too_large"),
    ],
)
def test_what_is_refused_is_kept_and_answered_in_words(
    clinic: Clinic, message: bytes, code: str, reason: str
) -> None:
    with listening(clinic) as listener:
        caller = Caller(listener.port)
        caller.send(frame(message))
        answer = caller.answer().decode()
        assert caller.exchange(oru("1", "8")) == "AA"
        caller.close()
    assert f"\rMSA|{code}|" in answer
    assert len(answer.split("\rMSA|")[1].split("|")[2].strip()) > 20
    (refused,) = clinic.inbox.open_messages()
    assert (refused.state, refused.reason) == (State.REFUSED, reason)


def test_types_of_no_use_are_answered_and_not_kept(clinic: Clinic) -> None:
    with listening(clinic) as listener:
        caller = Caller(listener.port)
        assert caller.exchange(adt("A05", "1", "7")) == "AA"
        caller.close()
    assert clinic.inbox.counts()["left_out"] == 1
    with sqlite3.connect(clinic.folder / "hl7" / "inbox.sqlite") as connection:
        assert connection.execute("SELECT sealed FROM message").fetchall() == [(None,)]
    connection.close()


def test_stranger_is_let_go_without_a_word(clinic: Clinic) -> None:
    far = Hl7SenderSettings(name="KIS", addresses=("10.0.0.0/8",))
    with listening(clinic, senders=(far,)) as listener:
        caller = Caller(listener.port)
        with pytest.raises(ConnectionError):
            caller.exchange(oru("1", "8"))
        caller.close()
    assert sum(clinic.inbox.counts().values()) == 0


def test_nothing_is_answered_that_could_not_be_stored(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unavailable("The disk is full.")

    with listening(clinic) as listener:
        with monkeypatch.context() as patch:
            patch.setattr(clinic.inbox, "take", full)
            caller = Caller(listener.port)
            with pytest.raises(ConnectionError):
                caller.exchange(oru("1", "8"))
            caller.close()
        caller = Caller(listener.port)
        assert caller.exchange(oru("1", "8")) == "AA"
        caller.close()


def test_faulty_stream_is_answered_as_it_must_be(clinic: Clinic) -> None:
    stream = faulty_stream(7, 200, 15)
    with listening(clinic) as listener:
        caller = Caller(listener.port)
        caller.send(b"".join(item.block for item in stream))
        # A block that breaks off is noticed when the next one begins; it is answered too, so the codes stay in step.
        wanted = [item.code or "AR" for item in stream]
        if not stream[-1].code:
            wanted.pop()
        assert [caller.code() for _ in wanted] == wanted
        caller.close()


def test_encrypted_port_speaks_tls_only_and_knows_its_senders(clinic: Clinic, tmp_path: Path) -> None:
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    server = authority.issue_server(tmp_path / "server", ["localhost", "127.0.0.1"])
    key = make_key()
    (tmp_path / "client.key").write_bytes(key_pem(key))
    (tmp_path / "client.pem").write_bytes(authority.sign_request(make_request(key, "KIS"), "KIS"))
    stranger = ssl.create_default_context(cafile=str(server.authority))
    known = ssl.create_default_context(cafile=str(server.authority))
    known.load_cert_chain(tmp_path / "client.pem", tmp_path / "client.key")
    files = {"certificate": server.certificate, "key": server.key, "authority": server.authority}
    with listening(clinic, **files) as listener:
        caller = Caller(listener.port, known)
        assert caller.exchange(oru("1", "8")) == "AA"
        caller.close()
        for context in (stranger, None):
            caller = Caller(listener.port, context)
            with pytest.raises((ssl.SSLError, ConnectionError)):
                caller.exchange(oru("1", "9"))
            caller.close()
    assert clinic.inbox.counts()["waiting"] == 1


def test_taken_port_is_named(clinic: Clinic) -> None:
    with (
        listening(clinic) as listener,
        pytest.raises(PortInUse, match=str(listener.port)),
        listening(clinic, port=listener.port),
    ):
        pytest.fail("two listeners on one port")


def test_refused_message_is_taken_after_the_settings_were_mended(clinic: Clinic) -> None:
    message = adt("A08", "4711", "7", visit="V1").replace(b"||||||UNICODE UTF-8", b"||||||")
    (first,) = clinic.send(message)
    assert (first.state, first.reason) == (State.REFUSED, "wrong_encoding")
    (again,) = clinic.send(message)
    assert again.is_duplicate
    assert [item.state for item in clinic.send(adt("A08", "1", "8"))] == [State.WAITING]
    clinic.default_encoding = "UNICODE UTF-8"
    clinic.inbox.close()
    clinic.open()
    (mended,) = clinic.send(message)
    assert mended.state is State.WAITING
    assert clinic.inbox.counts()["refused"] == 0
    assert clinic.work() == 2
