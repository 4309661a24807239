"""MLLP in: every message is on disk before it is answered; the messages of all connections share a commit.

This process does not know who is who: it reads a message to answer it, and hands it to the inbox sealed.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import ssl
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from racoon.errors import RacoonError
from racoon.node.clinical.hl7.door import Door
from racoon.node.clinical.hl7.inbox import Arrival, Inbox, Receipt
from racoon.node.clinical.hl7.model import ListenerOptions, SenderOptions
from racoon.platform.dimse.tls import listening_context
from racoon.platform.settings import ConfigurationError
from racoon.platform.supervise import mark_ready, stopping
from racoon.standards.hl7v2.mllp import Block, BlockReader, frame

_log = logging.getLogger(__name__)

READ_BYTES = 1 << 16

MOST_IN_A_COMMIT = 500

START_TIMEOUT_S = 10.0


class PortInUse(ConfigurationError):
    """Another process listens on the HL7 port, or it may not be opened."""

    code = "hl7.port_in_use"


class _Committer:
    """Stores what all connections brought, each time in one transaction: a commit costs more than a message."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._queue: queue.SimpleQueue[tuple[Sequence[Arrival], Future[list[Receipt]]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._run, name="hl7-commit", daemon=True)
        self._thread.start()

    def put(self, arrivals: Sequence[Arrival]) -> Future[list[Receipt]]:
        """Hand messages in; the future is done when they are on disk."""
        done: Future[list[Receipt]] = Future()
        self._queue.put((arrivals, done))
        return done

    def stop(self) -> None:
        """Store what was handed in, then end."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (first := self._queue.get()) is not None:
            group, is_last = [first], False
            while sum(len(arrivals) for arrivals, _ in group) < MOST_IN_A_COMMIT:
                try:
                    further = self._queue.get_nowait()
                except queue.Empty:
                    break
                if further is None:
                    is_last = True
                    break
                group.append(further)
            self._store(group)
            if is_last:
                return

    def _store(self, group: Sequence[tuple[Sequence[Arrival], Future[list[Receipt]]]]) -> None:
        try:
            receipts = iter(self._inbox.take([item for arrivals, _ in group for item in arrivals]))
        except Exception as error:  # noqa: BLE001 -- whatever it was: no sender may be told that it was stored
            for _, done in group:
                done.set_exception(error)
            return
        for arrivals, done in group:
            done.set_result([next(receipts) for _ in arrivals])


class MllpListener:
    """The listener, running in a thread until :meth:`stop`.

    Parameters
    ----------
    options
        Address, senders, limits.
    door
        Judges messages.
    inbox
        Keeps them.

    Raises
    ------
    PortInUse
        If the port is taken; says which.
    """

    def __init__(self, options: ListenerOptions, door: Door, inbox: Inbox) -> None:
        self._options, self._door = options, door
        self._tls = _tls_of(options)
        self._committer = _Committer(inbox)
        self._connections = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._started: Future[int] = Future()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="hl7", daemon=True)
        self._thread.start()
        try:
            self.port = self._started.result(START_TIMEOUT_S)
        except OSError as error:
            self._committer.stop()
            raise PortInUse(
                f"HL7 port {options.port} cannot be opened: another program may use it. Change hl7.port.",
                details={"errno": error.errno},
            ) from error

    def stop(self) -> None:
        """Close the port and open connections; what was acknowledged is on disk."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._committer.stop()

    def _run(self) -> None:
        loop = self._loop
        try:
            server = loop.run_until_complete(
                asyncio.start_server(self._handle, self._options.host, self._options.port, ssl=self._tls)
            )
        except OSError as error:
            loop.close()
            self._started.set_exception(error)
            return
        self._started.set_result(server.sockets[0].getsockname()[1])
        loop.run_forever()
        loop.run_until_complete(self._end(server))
        loop.close()

    async def _end(self, server: asyncio.Server) -> None:
        server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._connections += 1
        try:
            senders = self._door.senders_at(str(writer.get_extra_info("peername")[0]))
            if not senders:
                _log.warning("HL7 connection refused: its address is not among hl7.senders")
            elif self._connections > self._options.max_connections:
                _log.warning("HL7 connection refused: too many are open")
            else:
                await self._converse(reader, writer, senders)
        except (ConnectionError, TimeoutError, ssl.SSLError):
            # The sender sends again what was not answered.
            _log.info("HL7 connection ended without a goodbye")
        except RacoonError as error:
            # No answer means: send again.  An error would let some senders drop the message.
            _log.error(
                "HL7 messages cannot be stored; the connection is closed", extra={"code": error.error_code}
            )
        finally:
            self._connections -= 1
            self._tasks.discard(task)
            writer.close()

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, senders: Sequence[SenderOptions]
    ) -> None:
        blocks = BlockReader(self._options.max_message_kb << 10)
        while data := await asyncio.wait_for(reader.read(READ_BYTES), self._options.idle_timeout_s):
            await self._take(list(blocks.feed(data)), writer, senders)
        last = blocks.close()
        if last is not None:
            await self._take([last], None, senders)
        if blocks.skipped_bytes:
            _log.warning("bytes outside of HL7 blocks were skipped", extra={"bytes": blocks.skipped_bytes})

    async def _take(
        self, blocks: Sequence[Block], writer: asyncio.StreamWriter | None, senders: Sequence[SenderOptions]
    ) -> None:
        if not blocks:
            return
        arrivals = [self._door.judge(block, senders) for block in blocks]
        receipts = await asyncio.wrap_future(self._committer.put(arrivals))
        if writer is not None:
            for arrival, receipt in zip(arrivals, receipts, strict=True):
                writer.write(frame(self._door.answer(arrival, receipt)))
            await writer.drain()


def run_listener(options: ListenerOptions, door: Door, folder: Path) -> None:
    """Be the process ``hl7``: listen until SIGTERM."""
    stop = stopping()
    inbox = Inbox(folder)
    listener = MllpListener(options, door, inbox)
    mark_ready()
    stop.wait()
    listener.stop()
    inbox.close()


def _tls_of(options: ListenerOptions) -> ssl.SSLContext | None:
    if options.certificate is None or options.key is None:
        return None
    try:
        return listening_context(options.certificate, options.key, options.authority)
    except ConfigurationError as error:
        raise ConfigurationError(
            "The TLS files of the HL7 listener cannot be used. Check hl7.certificate, hl7.key and hl7.authority."
        ) from error
