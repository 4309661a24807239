"""The upper layer of the intake: the standard's table, PDUs beside pynetdicom's, a socket that gives whole ones."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading
import time
from collections.abc import Iterator

import pytest
from pynetdicom import build_context, build_role
from pynetdicom.dimse_messages import C_STORE_RQ
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.fsm import TRANSITION_TABLE
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, A_ASSOCIATE_RQ, A_RELEASE_RP, P_DATA_TF
from pynetdicom.pdu_primitives import A_ASSOCIATE, MaximumLengthNotification
from pynetdicom.pdu_primitives import ImplementationClassUIDNotification as ImplementationUid

from racoon.platform.dimse.command import Command, Field, Operation, encode_command
from racoon.platform.dimse.connection import AHEAD_BYTES, Connection
from racoon.platform.dimse.pdu import (
    APPLICATION_CONTEXT,
    HEADER,
    LARGEST_PDU_BYTES,
    TOO_MANY_ASSOCIATIONS,
    AssociateRequest,
    ContextResult,
    MalformedPdu,
    ProposedContext,
    decode_request,
    encode_abort,
    encode_acceptance,
    encode_message,
    encode_rejection,
    encode_release,
    fragments,
)
from racoon.platform.dimse.steps import NEXT, TABLE, Event, State

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def request_pdu() -> bytes:
    """A request as pynetdicom writes it."""
    request = A_ASSOCIATE()
    request.application_context_name = APPLICATION_CONTEXT
    request.calling_ae_title, request.called_ae_title = "SCANNER", "RACOON"
    context = build_context(CT, [EXPLICIT, IMPLICIT])
    context.context_id = 1
    request.presentation_context_definition_list = [context]
    length, implementation = MaximumLengthNotification(), ImplementationUid()
    length.maximum_length_received = 16382
    implementation.implementation_class_uid = "1.2.3"
    request.user_information = [length, implementation, build_role(CT, scu_role=True, scp_role=True)]
    pdu = A_ASSOCIATE_RQ()
    pdu.from_primitive(request)
    return bytes(pdu.encode())


def understood() -> AssociateRequest:
    return decode_request(memoryview(request_pdu())[HEADER.size :])


# The table


def test_table_is_the_standards() -> None:
    """pynetdicom typed the same table of PS3.8 from the standard: a second reading of it."""
    ours = {(event.value, state.value): action for (event, state), action in TABLE.items()}
    states, events = {state for _, state in ours}, {event for event, _ in ours}
    theirs = {
        key: action for key, action in TRANSITION_TABLE.items() if key[0] in events and key[1] in states
    }
    assert ours == theirs


def test_every_pdu_has_an_action_in_every_state_and_every_action_a_next_state() -> None:
    arriving = [Event.ACCEPTANCE, Event.REJECTION, Event.REQUEST, Event.DATA, Event.RELEASE]
    arriving += [Event.RELEASE_ANSWER, Event.ABORT, Event.CLOSED, Event.INVALID]
    for state in set(State) - {State.IDLE}:
        assert all((event, state) in TABLE for event in arriving), state
    assert set(TABLE.values()) == set(NEXT)


# PDUs


def test_request_is_read_as_pynetdicom_wrote_it() -> None:
    request = understood()
    assert (request.called, request.calling) == ("RACOON", "SCANNER")
    assert request.supports_version_1
    assert request.application_context == APPLICATION_CONTEXT
    assert request.contexts == (ProposedContext(1, CT, (EXPLICIT, IMPLICIT)),)
    assert request.largest_pdu_bytes == 16382
    assert request.roles == {CT: (True, True)}


def test_answers_are_read_by_pynetdicom_as_we_meant_them() -> None:
    request = understood()
    acceptance = A_ASSOCIATE_AC()
    answers = [
        (request.contexts[0], ContextResult.ACCEPTED, EXPLICIT),
        (ProposedContext(3, "1.2.3", (EXPLICIT,)), ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED, IMPLICIT),
    ]
    acceptance.decode(
        encode_acceptance(request, answers, largest_pdu_bytes=262_144, implementation=("1.2.5", "RACOON_1"))
    )
    primitive = acceptance.to_primitive()
    assert primitive.maximum_length_received == 262_144
    assert (primitive.called_ae_title, primitive.calling_ae_title) == ("RACOON", "SCANNER")
    results = [
        (item.context_id, item.result) for item in primitive.presentation_context_definition_results_list
    ]
    assert results == [(1, 0), (3, 3)]
    (role,) = [item for item in primitive.user_information if hasattr(item, "scp_role")]
    assert (role.sop_class_uid, role.scu_role, role.scp_role) == (CT, True, False)
    rejection, release, abort = A_ASSOCIATE_RJ(), A_RELEASE_RP(), A_ABORT_RQ()
    rejection.decode(encode_rejection(TOO_MANY_ASSOCIATIONS))
    assert (rejection.result, rejection.source, rejection.reason_diagnostic) == (2, 3, 2)
    release.decode(encode_release())
    abort.decode(encode_abort(by_provider=True))
    assert (abort.source, abort.reason_diagnostic) == (2, 2)


def test_message_is_cut_to_what_the_peer_takes() -> None:
    command = encode_command({Field.COMMAND: Operation.ECHO, Field.MESSAGE_ID: 7}, has_data=True)
    data, found = bytes(range(256)) * 3, {True: b"", False: b""}
    stream = memoryview(encode_message(5, command, data, 128))
    ends = []
    while stream:
        length = HEADER.unpack_from(stream)[1]
        assert length <= 128
        for context, is_command, is_last, piece in fragments(stream[HEADER.size : HEADER.size + length]):
            assert context == 5
            found[is_command] += bytes(piece)
            ends.append(is_last)
        stream = stream[HEADER.size + length :]
    assert found == {True: command, False: data}
    assert sum(ends) == 2
    assert ends[-1]


def test_command_of_pynetdicom_is_understood() -> None:
    primitive = C_STORE()
    primitive.MessageID, primitive.AffectedSOPClassUID = 7, CT
    primitive.AffectedSOPInstanceUID, primitive.Priority = "1.2.3", 2
    message = C_STORE_RQ()
    message.primitive_to_message(primitive)
    (first, *_) = message.encode_msg(1, 0)
    pdu = P_DATA_TF()
    pdu.from_primitive(first)
    ((_, is_command, is_last, piece),) = fragments(memoryview(bytes(pdu.encode()))[HEADER.size :])
    assert (is_command, is_last) == (True, True)
    command = Command(bytes(piece))
    assert command.number(Field.COMMAND) == Operation.STORE
    assert command.number(Field.MESSAGE_ID) == 7
    assert (command.uid(Field.AFFECTED_CLASS), command.uid(Field.AFFECTED_INSTANCE)) == (CT, "1.2.3")
    with pytest.raises(MalformedPdu):
        command.number(Field.STATUS)


def test_mutated_bytes_are_read_or_refused_and_nothing_else() -> None:
    request = request_pdu()[HEADER.size :]
    data = encode_message(1, encode_command({Field.COMMAND: 1}, has_data=True), b"x" * 50, 0)[HEADER.size :]
    for seed in range(3000):
        chance = random.Random(seed)
        body = bytearray(chance.choice([request, data]))
        for _ in range(chance.randint(1, 5)):
            place = chance.randrange(len(body))
            body[place : place + chance.randint(0, 4)] = chance.randbytes(chance.randint(0, 4))
        with contextlib.suppress(MalformedPdu):
            decode_request(memoryview(bytes(body)))
        with contextlib.suppress(MalformedPdu):
            for *_, piece in fragments(memoryview(bytes(body))):
                Command(bytes(piece))


# The socket


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, Connection]]:
    peer, ours = socket.socketpair()
    connection = Connection(ours)
    connection.limit(2.0, in_all=False)
    yield peer, connection
    peer.close()
    connection.close()


def pdu(size: int, fill: int) -> bytes:
    return HEADER.pack(4, size) + bytes([fill]) * size


def test_pdus_of_all_sizes_in_pieces_of_all_sizes_arrive_whole(
    pair: tuple[socket.socket, Connection],
) -> None:
    peer, connection = pair
    connection.expect(100_000)
    chance = random.Random(1)
    sizes = [chance.choice([0, 1, 5, 16_000, AHEAD_BYTES, 99_999, 100_000, 170_000]) for _ in range(60)]
    stream = b"".join(pdu(size, number) for number, size in enumerate(sizes))

    def send() -> None:
        place = 0
        while place < len(stream):
            step = chance.choice([1, 3, 6, 1000, 50_000, 300_000])
            peer.sendall(stream[place : place + step])
            place += step

    sender = threading.Thread(target=send)
    sender.start()
    held: list[tuple[int, memoryview]] = []
    for number, size in enumerate(sizes):
        kind, body = connection.read_pdu()
        assert (kind, len(body)) == (4, size)
        held.append((number, body))
        if not connection.holds_pdu:
            # What the next read may overwrite is right until then, all of it.
            assert all(bytes(kept) == bytes([which]) * len(kept) for which, kept in held)
            held.clear()
    sender.join()


def test_dribbling_peer_has_one_time_for_a_whole_pdu(pair: tuple[socket.socket, Connection]) -> None:
    peer, connection = pair
    connection.limit(0.3, in_all=False)
    stop = threading.Event()

    def dribble() -> None:
        peer.sendall(HEADER.pack(4, 1000))
        while not stop.wait(0.05):
            peer.send(b"x")

    sender = threading.Thread(target=dribble)
    sender.start()
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        connection.read_pdu()
    assert time.monotonic() - started < 1.5
    stop.set()
    sender.join()


def test_length_that_no_pdu_has_is_refused_before_memory_is_taken(
    pair: tuple[socket.socket, Connection],
) -> None:
    peer, connection = pair
    peer.sendall(struct.pack(">BxL", 4, LARGEST_PDU_BYTES * 2) + b"x" * 5000)
    with pytest.raises(MalformedPdu):
        connection.read_pdu()
    peer.shutdown(socket.SHUT_WR)
    with pytest.raises(EOFError):
        connection.read_pdu()
