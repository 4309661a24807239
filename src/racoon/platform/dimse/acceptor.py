"""The accepting side of DICOM's upper layer (PS3.8) for a service that takes in masses of data.

One thread for each connection, which waits in the kernel and hands the fragments of a data set on as they lie in its
buffer. What the messages mean is the business of the :class:`Provider`. See decision 0037 for why this is not
pynetdicom, which serves all other doors.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from racoon.errors import Refused
from racoon.platform.dimse.command import LARGEST_COMMAND_BYTES, Command, Field, encode_command
from racoon.platform.dimse.connection import Connection
from racoon.platform.dimse.pdu import (
    APPLICATION_CONTEXT,
    APPLICATION_CONTEXT_NOT_SUPPORTED,
    TOO_MANY_ASSOCIATIONS,
    VERSION_NOT_SUPPORTED,
    AcceptedContext,
    AssociateRequest,
    ContextResult,
    MalformedPdu,
    ProposedContext,
    Rejection,
    decode_request,
    encode_abort,
    encode_acceptance,
    encode_message,
    encode_rejection,
    encode_release,
    fragments,
)
from racoon.platform.dimse.steps import EVENT_OF, NEXT, TABLE, Event, State

LOG = logging.getLogger(__name__)


class OutOfPlace(Refused):
    """A message that this service does not take on; its association is aborted."""

    code = "dimse.out_of_place"


@dataclass(frozen=True, slots=True)
class Message:
    """A message to send.

    Parameters
    ----------
    command
        Elements of its command set but for lengths and the type of its data set.
    data
        Its data set, encoded in the syntax of the context.
    """

    command: Mapping[Field, int | str]
    data: bytes | None = None


class Taking(Protocol):
    """One message on its way in."""

    def write(self, parts: list[memoryview]) -> None:
        """Take the next pieces of the data set; they are overwritten afterwards."""

    def finish(self) -> Iterable[Message]:
        """Give the answer: all pieces were there."""

    def discard(self) -> None:
        """Forget it: the association ended first."""


class Session(Protocol):
    """One association."""

    def receive(self, context: AcceptedContext, command: Command) -> Taking:
        """Take a message whose command set is here; its data set follows, where it has one.

        Raises
        ------
        OutOfPlace, MalformedPdu
            If the association cannot go on.
        """

    def end(self, how: str) -> None:
        """Hear that the association is over: ``"released"`` or ``"aborted"``."""


class Provider(Protocol):
    """What the acceptor serves."""

    def judge(self, request: AssociateRequest) -> Rejection | None:
        """Say why an association is rejected, or None."""

    def choose(self, proposed: ProposedContext) -> tuple[ContextResult, str]:
        """Answer a proposed context: with the transfer syntax, when it is accepted."""

    def open(self, request: AssociateRequest, address: str) -> Session:
        """Begin to serve an association."""


@dataclass(frozen=True)
class Limits:
    """What a peer may take.

    Parameters
    ----------
    largest_pdu_bytes
        That we receive.
    artim_s
        How long a connection may take to ask for an association, and to close behind one (PS3.8 section 9.1.5).
    idle_s
        How long an association may be silent, and one PDU take to arrive.
    implementation
        Class UID and version name that the peer is told.
    """

    largest_pdu_bytes: int
    artim_s: float
    idle_s: float
    implementation: tuple[str, str]


class Association:
    """One connection from its first to its last byte.

    Parameters
    ----------
    connection, address
        Of the peer.
    provider
        What it is served.
    limits
        What it may take.
    enter, leave
        Ask for a place among the associations, and give it back.
    """

    def __init__(
        self,
        connection: Connection,
        address: str,
        provider: Provider,
        limits: Limits,
        enter: Callable[[], bool],
        leave: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._address = address
        self._provider = provider
        self._limits = limits
        self._enter, self._leave = enter, leave
        self._state = State.CONNECTED
        self._session: Session | None = None
        self._contexts: dict[int, AcceptedContext] = {}
        self._peer_pdu_bytes = 0
        self._command = bytearray()
        self._context: AcceptedContext | None = None
        self._taking: Taking | None = None
        self._parts: list[memoryview] = []
        self._actions: Mapping[str, Callable[[memoryview | None], None]] = {
            "AE-6": self._consider,
            "DT-2": self._read_data,
            "AR-2": self._release,
            "AA-1": lambda _: self._abort(by_provider=False),
            "AA-7": lambda _: self._abort(by_provider=True),
            "AA-8": lambda _: self._abort(by_provider=True),
        }

    def serve(self) -> None:
        """Be the thread of this connection."""
        self._connection.limit(self._limits.artim_s, in_all=True)
        try:
            while self._state is not State.IDLE:
                event, body = self._await()
                self._step(event, body)
        except OSError:
            LOG.debug("connection lost")
        except Exception as error:
            # A fault in serving one sender must not reach the others.
            LOG.error("association failed", exc_info=error)
            with contextlib.suppress(OSError):
                self._connection.send(encode_abort(by_provider=False))
        finally:
            self._over("aborted")
            self._connection.close()

    def cut(self) -> None:
        """End it from another thread."""
        self._connection.cut(encode_abort(by_provider=False) if self._session is not None else b"")

    def _await(self) -> tuple[Event, memoryview | None]:
        try:
            kind, body = self._connection.read_pdu()
        except MalformedPdu as error:
            LOG.info("association ended: %s", error.public_message)
            return Event.INVALID, None
        except TimeoutError:
            is_timed = self._state in (State.CONNECTED, State.ENDING)
            return (Event.ARTIM if is_timed else Event.WE_ABORT), None
        except (EOFError, OSError):
            return Event.CLOSED, None
        return EVENT_OF.get(kind, Event.INVALID), body

    def _step(self, event: Event, body: memoryview | None = None) -> None:
        action = TABLE[event, self._state]
        if action == "AA-8":
            LOG.info("association ended out of turn", extra={"reason": f"{event} in {self._state}"})
        self._state = NEXT[action]
        if self._state in (State.IDLE, State.ENDING):
            self._over("aborted")
        do = self._actions.get(action)
        if do is None:
            return
        try:
            do(body)
        except MalformedPdu as error:
            LOG.info("association ended: %s", error.public_message)
            self._connection.give_up_reading()
            self._step(Event.INVALID)
        except OutOfPlace as error:
            LOG.warning("association aborted: %s", error.public_message)
            self._connection.give_up_reading()
            self._step(Event.WE_ABORT)

    # Association

    def _consider(self, body: memoryview | None) -> None:
        assert body is not None
        request = decode_request(body)
        rejection = None
        if not request.supports_version_1:
            rejection = VERSION_NOT_SUPPORTED
        elif request.application_context != APPLICATION_CONTEXT:
            rejection = APPLICATION_CONTEXT_NOT_SUPPORTED
        else:
            rejection = self._provider.judge(request)
        if rejection is None and not self._enter():
            rejection = TOO_MANY_ASSOCIATIONS
        if rejection is not None:
            LOG.info("association rejected", extra={"reason": "/".join(map(str, rejection))})
            self._step(Event.WE_REJECT)
            self._connection.send(encode_rejection(rejection))
            self._end_in_time()
            return
        # From here on the place is taken; what gives it back is the end of the session.
        try:
            self._session = self._provider.open(request, self._address)
        except BaseException:
            self._leave()
            raise
        answers = [(proposed, *self._provider.choose(proposed)) for proposed in request.contexts]
        self._contexts = {
            proposed.context_id: AcceptedContext(proposed.context_id, proposed.abstract_syntax, transfer)
            for proposed, result, transfer in answers
            if result is ContextResult.ACCEPTED
        }
        self._peer_pdu_bytes = request.largest_pdu_bytes
        self._step(Event.WE_ACCEPT)
        self._connection.expect(self._limits.largest_pdu_bytes)
        self._connection.limit(self._limits.idle_s, in_all=False)
        self._connection.send(
            encode_acceptance(
                request,
                answers,
                largest_pdu_bytes=self._limits.largest_pdu_bytes,
                implementation=self._limits.implementation,
            )
        )

    def _release(self, _body: memoryview | None) -> None:
        self._over("released" if self._taking is None else "aborted")
        self._step(Event.WE_RELEASE)
        self._connection.send(encode_release())
        self._end_in_time()

    def _abort(self, *, by_provider: bool) -> None:
        self._connection.send(encode_abort(by_provider=by_provider))
        self._end_in_time()

    def _end_in_time(self) -> None:
        self._connection.limit(self._limits.artim_s, in_all=True)

    def _over(self, how: str) -> None:
        """Forget what was on its way, once."""
        taking, self._taking = self._taking, None
        self._parts.clear()
        if taking is not None:
            taking.discard()
        session, self._session = self._session, None
        if session is not None:
            self._leave()
            session.end(how)

    # Messages

    def _read_data(self, body: memoryview | None) -> None:
        assert body is not None
        for context_id, is_command, is_last, piece in fragments(body):
            if is_command:
                self._read_command(context_id, piece, is_last=is_last)
            elif self._taking is None or self._context is None or self._context.context_id != context_id:
                raise MalformedPdu("A data set came without its command.")
            else:
                self._parts.append(piece)
                if is_last:
                    self._answer()
        if self._parts and not self._connection.holds_pdu:
            # The next read overwrites the buffer.
            self._hand_on()

    def _read_command(self, context_id: int, piece: memoryview, *, is_last: bool) -> None:
        if self._taking is not None:
            raise MalformedPdu("A command came in the middle of a data set.")
        self._command += piece
        if len(self._command) > LARGEST_COMMAND_BYTES:
            raise MalformedPdu("A command set is too long.")
        if not is_last:
            return
        self._context = self._contexts.get(context_id)
        if self._context is None or self._session is None:
            raise MalformedPdu("A command came in a context that was not agreed.")
        command = Command(bytes(self._command))
        self._command.clear()
        self._taking = self._session.receive(self._context, command)
        if not command.has_data:
            self._answer()

    def _hand_on(self) -> None:
        if self._taking is not None:
            self._taking.write(self._parts)
        self._parts.clear()

    def _answer(self) -> None:
        self._hand_on()
        taking, context = self._taking, self._context
        assert taking is not None
        assert context is not None
        answers = taking.finish()
        self._taking = None
        for message in answers:
            command = encode_command(message.command, has_data=message.data is not None)
            self._connection.send(
                encode_message(context.context_id, command, message.data, self._peer_pdu_bytes)
            )
