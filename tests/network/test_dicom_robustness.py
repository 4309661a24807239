"""The DICOM listener against hostile, silent and encrypted peers, and its promise that objects are safe."""

from __future__ import annotations

import contextlib
import io
import os
import random
import socket
import ssl
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import psutil
import pydicom
import pytest
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from racoon.platform.certificates import CertificateAuthority, TlsFiles, key_pem, make_key, make_request
from tests.network.test_dicom_intake import Listener, Options, Peer, Settings, free_port, start
from tests.planted_identifiers import make_ct
from tests.waiting import eventually

VERIFICATION = "1.2.840.10008.1.1"
COMMITMENT = "1.2.840.10008.1.20.1"
CT = "1.2.840.10008.5.1.4.1.1.2"

STREAMS = int(os.environ.get("RACOON_PDU_STREAMS", "10000" if os.environ.get("RACOON_ACCEPTANCE") else "120"))
SEED = int(os.environ.get("RACOON_ACCEPTANCE_SEED", "0"))


@contextlib.contextmanager
def running(tmp_path: Path, method: Literal["fork", "spawn"] = "fork", **options: Any) -> Iterator[Listener]:
    listener = start(Settings(tmp_path / "data", Options(free_port(), **options)), method)
    try:
        yield listener
    finally:
        listener.process.terminate()
        listener.process.join(10)
        assert listener.process.exitcode == 0


def slice_of(number: int = 1) -> Dataset:
    return pydicom.dcmread(io.BytesIO(make_ct(number, planted=False).data))


def echoes(port: int, **options: Any) -> bool:
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(VERIFICATION)
    association = entity.associate("127.0.0.1", port, ae_title="RACOON", **options)
    if not association.is_established:
        return False
    status = association.send_c_echo().get("Status")
    association.release()
    return status == 0


# Hostile


def recorded_session(port: int) -> list[bytes]:
    """The PDUs of an honest sender: association, echo, one object, release."""
    sent: list[bytes] = []
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(VERIFICATION)
    entity.add_requested_context(CT)
    association = entity.associate(
        "127.0.0.1",
        port,
        ae_title="RACOON",
        max_pdu=4096,
        evt_handlers=[(evt.EVT_DATA_SENT, lambda event: sent.append(bytes(event.data)))],
    )
    assert association.send_c_echo().Status == 0
    assert association.send_c_store(slice_of()).Status == 0
    association.release()
    return sent


def mutated(pdus: list[bytes], chance: random.Random) -> bytes:
    """One to four flaws of the kinds that broken senders and attackers have."""
    parts = [bytearray(pdu) for pdu in pdus]
    for _ in range(chance.randint(1, 4)):
        part = chance.choice(parts)
        kind = chance.randrange(8)
        if kind == 0 and part:
            part[chance.randrange(len(part))] ^= 1 << chance.randrange(8)
        elif kind == 1 and len(part) >= 6:
            part[2:6] = struct.pack(
                ">L", chance.choice([0, 1, 5, len(part), 1 << 20, 0x7FFFFFFF, 0xFFFFFFFF])
            )
        elif kind == 2 and part:
            del part[chance.randrange(len(part)) :]
        elif kind == 3:
            place = chance.randrange(len(part) + 1)
            part[place:place] = chance.randbytes(chance.randint(1, 40))
        elif kind == 4:
            parts.insert(chance.randrange(len(parts)), bytearray(part))
        elif kind == 5:
            chance.shuffle(parts)
        elif kind == 6 and part:
            part[0] = chance.randrange(256)
        elif len(part) > 12:
            place = chance.randrange(6, len(part) - 4)
            part[place : place + 4] = struct.pack(">L", chance.choice([0, 1, 0xFFFF, 0xFFFFFFFF]))
    return b"".join(parts)


def answered(port: int, stream: bytes) -> bool:
    """Send a stream and wait for the end of the connection; False when it hangs."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(20)
        try:
            connection.sendall(stream)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass  # closed in our face: that is an answer
    return True


@pytest.mark.timeout(7200)
def test_mutated_streams_end_their_association_and_nothing_else(tmp_path: Path) -> None:
    print(f"seed {SEED}, {STREAMS} streams")
    # A fork would keep pytest's collectors of log lines and of threads' exceptions, and their memory would be counted.
    with running(tmp_path, "spawn", association_timeout_s=5, idle_timeout_s=10) as listener:
        honest = recorded_session(listener.port)
        assert len(honest) > 4
        process = psutil.Process(listener.process.pid)
        before = process.memory_info().rss
        hung = []
        for number in range(STREAMS):
            chance = random.Random(f"{SEED}-{number}")
            if not answered(listener.port, mutated(honest, chance)):
                hung.append(number)
            if number % 40 == 0:
                assert echoes(listener.port), f"after stream {number}"
        assert hung == []
        assert listener.process.is_alive()
        assert echoes(listener.port)
        eventually(lambda: process.num_threads() < 12, timeout_s=30, what="threads of ended associations go")
        assert process.memory_info().rss - before < 200 << 20
        for path in listener.spool.glob("*.dcm"):
            assert path.read_bytes()[128:132] == b"DICM", "only whole files lie in the spool"
        assert list(listener.spool.glob("*.part")) == []


# Silent


@pytest.mark.parametrize("first", [b"", b"\x01\x00\x00", b"\x01\x00\x00\x00\x01\x00" + b"x" * 20])
def test_silent_connection_is_closed_in_time(tmp_path: Path, first: bytes) -> None:
    with running(tmp_path, association_timeout_s=1, idle_timeout_s=2) as listener:
        with socket.create_connection(("127.0.0.1", listener.port), timeout=5) as connection:
            connection.sendall(first)
            connection.settimeout(15)
            started = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):
                    pass
            assert time.monotonic() - started < 10
        assert echoes(listener.port)


def test_silent_association_is_ended(tmp_path: Path) -> None:
    with running(tmp_path, association_timeout_s=2, idle_timeout_s=1) as listener:
        entity = AE(ae_title="SCANNER")
        entity.add_requested_context(VERIFICATION)
        association = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
        assert association.is_established
        eventually(lambda: not association.is_established, timeout_s=15, what="the listener ends it")


def test_further_association_is_rejected_for_now(tmp_path: Path) -> None:
    with running(tmp_path, max_associations=1) as listener:
        entity = AE(ae_title="SCANNER")
        entity.add_requested_context(VERIFICATION)
        first = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
        second = entity.associate("127.0.0.1", listener.port, ae_title="RACOON")
        assert (first.is_established, second.is_rejected) == (True, True)
        assert second.acceptor.primitive.result_source == 3, "local limit exceeded (PS3.8 table 9-21)"
        assert second.acceptor.primitive.result == 2, "transient: try again"
        first.release()


# Encrypted


@pytest.fixture
def tls(tmp_path: Path) -> tuple[TlsFiles, TlsFiles]:
    """Files of the listener and of a sender, both signed by one authority."""
    authority = CertificateAuthority.load_or_create(tmp_path / "ca")
    server = authority.issue_server(tmp_path / "server", ["localhost", "127.0.0.1"])
    key = make_key()
    client = TlsFiles(tmp_path / "client.pem", tmp_path / "client.key", server.authority)
    client.key.write_bytes(key_pem(key))
    client.certificate.write_bytes(authority.sign_request(make_request(key, "SCANNER"), "SCANNER"))
    return server, client


def client_context(files: TlsFiles, *, with_certificate: bool = True) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(files.authority))
    if with_certificate:
        context.load_cert_chain(files.certificate, files.key)
    return context


def tls_version(port: int, context: ssl.SSLContext) -> str:
    """The version agreed on, or nothing when the listener ends the connection."""
    try:
        with (
            socket.create_connection(("127.0.0.1", port), timeout=10) as raw,
            context.wrap_socket(raw, server_hostname="localhost") as secure,
        ):
            secure.settimeout(1.0)
            try:
                return "" if secure.recv(1) == b"" else "data"
            except TimeoutError:
                return secure.version() or ""
    except (ssl.SSLError, ConnectionError):
        return ""


def test_encrypted_port_speaks_tls_only_and_knows_its_senders(
    tmp_path: Path, tls: tuple[TlsFiles, TlsFiles]
) -> None:
    server, client = tls
    options = {"certificate": server.certificate, "key": server.key, "authority": server.authority}
    with running(tmp_path, association_timeout_s=3, **options) as listener:
        # A peer that never says a word must not keep others waiting.
        with socket.create_connection(("127.0.0.1", listener.port)):
            assert echoes(listener.port, tls_args=(client_context(client), "localhost"))
        stranger = client_context(client, with_certificate=False)
        # In TLS 1.3 a client hears only afterwards that its missing certificate was not accepted.
        assert tls_version(listener.port, stranger) == ""
        with socket.create_connection(("127.0.0.1", listener.port)) as raw:
            raw.sendall(b"\x01\x00\x00\x00\x00\x44" + bytes(68))
            raw.settimeout(10)
            with contextlib.suppress(OSError):
                assert raw.recv(1) != b"\x02", "an association without TLS"
        old = client_context(client)
        with pytest.warns(DeprecationWarning, match="TLSv1_1"):
            old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        weak = client_context(client)
        weak.maximum_version = ssl.TLSVersion.TLSv1_2
        weak.set_ciphers("AES128-SHA256:AES128-GCM-SHA256")
        assert [tls_version(listener.port, context) for context in (old, weak)] == ["", ""]
        assert tls_version(listener.port, client_context(client)) == "TLSv1.3"
        assert echoes(listener.port, tls_args=(client_context(client), "localhost"))


@pytest.mark.external
def test_dcmtk_sends_over_tls(
    tmp_path: Path, tls: tuple[TlsFiles, TlsFiles], needs_program: Callable[[str, str], str]
) -> None:
    program = needs_program("storescu", "dcmtk")
    server, client = tls
    file = tmp_path / "ct.dcm"
    file.write_bytes(make_ct(planted=False).data)
    options = {"certificate": server.certificate, "key": server.key, "authority": server.authority}
    with running(tmp_path, **options) as listener:
        command = [
            *(program, "+tls", str(client.key), str(client.certificate), "+cf", str(client.authority)),
            *("-aec", "RACOON", "127.0.0.1", str(listener.port), str(file)),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert len(list(listener.spool.glob("*.dcm"))) == 1


# Storage commitment


def request_for(*references: tuple[str, str]) -> Dataset:
    request = Dataset()
    request.TransactionUID = "1.2.826.0.1.3680043.10.999.77"
    items = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        items.append(item)
    request.ReferencedSOPSequence = items
    return request


class Reports:
    """Collects N-EVENT-REPORT requests."""

    def __init__(self) -> None:
        self.found: list[tuple[int, Dataset]] = []

    def __call__(self, event: Any) -> tuple[int, None]:
        self.found.append((event.event_type, event.event_information))
        return 0x0000, None


def stored(port: int, number: int) -> Dataset:
    dataset = slice_of(number)
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(CT)
    association = entity.associate("127.0.0.1", port, ae_title="RACOON")
    assert association.send_c_store(dataset).Status == 0
    association.release()
    return dataset


def ask(port: int, request: Dataset, reports: Reports) -> int:
    entity = AE(ae_title="SCANNER")
    entity.add_requested_context(COMMITMENT)
    association = entity.associate(
        "127.0.0.1", port, ae_title="RACOON", evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)]
    )
    status, _ = association.send_n_action(request, 1, COMMITMENT, "1.2.840.10008.1.20.1.1")
    with contextlib.suppress(AssertionError):
        eventually(lambda: bool(reports.found), timeout_s=4)
    association.release()
    return int(status.Status)


def test_commitment_names_what_is_safe_and_what_is_not(tmp_path: Path) -> None:
    with running(tmp_path) as listener:
        dataset = stored(listener.port, 1)
        other = stored(listener.port, 2)
        reports = Reports()
        instance = str(dataset.SOPInstanceUID)
        assert ask(listener.port, request_for((CT, instance)), reports) == 0
        ((kind, answer),) = reports.found
        assert (kind, answer.TransactionUID) == (1, "1.2.826.0.1.3680043.10.999.77")
        assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [instance]
        assert "FailedSOPSequence" not in answer

        reports = Reports()
        wrong_class = ("1.2.840.10008.5.1.4.1.1.4", str(other.SOPInstanceUID))
        ask(listener.port, request_for((CT, instance), (CT, "1.2.3.4"), wrong_class), reports)
        ((kind, answer),) = reports.found
        assert kind == 2
        assert [item.FailureReason for item in answer.FailedSOPSequence] == [0x0112, 0x0119]
        assert len(answer.ReferencedSOPSequence) == 1
        receipts = b"".join(path.read_bytes() for path in (tmp_path / "data" / "receipts").iterdir())
        assert instance.encode() not in receipts


def test_commitment_survives_a_restart_and_reaches_a_known_peer_anew(tmp_path: Path) -> None:
    reports = Reports()
    entity = AE(ae_title="SCANNER")
    entity.add_supported_context(COMMITMENT, scu_role=True, scp_role=True)
    port = free_port()
    server = entity.start_server(
        ("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, reports)]
    )
    try:
        with running(tmp_path) as listener:
            dataset = stored(listener.port, 1)
        with running(tmp_path, peers=(Peer("SCANNER", port),)) as listener:
            elsewhere = Reports()
            assert ask(listener.port, request_for((CT, str(dataset.SOPInstanceUID))), elsewhere) == 0
            eventually(lambda: bool(reports.found), timeout_s=15, what="the report comes on its own")
        assert [kind for kind, _ in reports.found] == [1]
        assert elsewhere.found == []
    finally:
        server.shutdown()


def test_malformed_request_for_commitment_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as listener:
        empty = Dataset()
        empty.TransactionUID = "1.2.3"
        assert ask(listener.port, empty, Reports()) == 0x0115
