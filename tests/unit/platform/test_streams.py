"""Streams over connections that are cut: every byte once and in order, and never more than the window in memory."""

from __future__ import annotations

import asyncio
import hashlib
import random

import pytest

from racoon.platform.streams import PIECE, WINDOW, BadFrames, Receive, Send, Stream

pytestmark = pytest.mark.timeout(60)


class Pipe:
    """One side's program: a loopback connection, the program's end and the stream's end."""

    def __init__(self) -> None:
        self._accepted: asyncio.Future[tuple[asyncio.StreamReader, asyncio.StreamWriter]]

    async def open(self) -> None:
        self._accepted = asyncio.get_running_loop().create_future()
        self.server = await asyncio.start_server(
            lambda reader, writer: self._accepted.set_result((reader, writer)), "127.0.0.1", 0, limit=PIECE
        )
        port = self.server.sockets[0].getsockname()[1]
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
        self.stream = Stream(*await self._accepted)

    async def close(self) -> None:
        self.writer.close()
        await self.stream.close()
        self.server.close()


async def _join(one: Stream, other: Stream, cut_after: int | None) -> None:
    """Carry both over one connection, which is cut after so many bytes; partial frames are lost with it."""
    lines = asyncio.Queue[bytes](maxsize=4), asyncio.Queue[bytes](maxsize=4)
    left = cut_after

    def ends(mine: asyncio.Queue[bytes], theirs: asyncio.Queue[bytes]) -> tuple[Receive, Send]:
        async def send(data: bytes) -> None:
            nonlocal left
            if left is not None:
                if left < len(data):
                    await theirs.put(data[: max(left, 0)] or b"D")
                    left = 0
                    raise OSError("cut")
                left -= len(data)
            await theirs.put(data)

        return mine.get, send

    tasks = [
        asyncio.create_task(one.carry(*ends(*lines), other.received)),
        asyncio.create_task(other.carry(*ends(*lines[::-1]), one.received)),
    ]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    await asyncio.sleep(0.01)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def test_every_byte_arrives_once_over_many_cut_connections() -> None:
    async def run() -> None:
        ours, theirs = Pipe(), Pipe()
        await ours.open()
        await theirs.open()
        dice = random.Random(7)
        there, back = dice.randbytes(9_000_001), dice.randbytes(3_000_003)

        async def talk(pipe: Pipe, data: bytes, wanted: int) -> str:
            async def write() -> None:
                pipe.writer.write(data)
                await pipe.writer.drain()

            writing = asyncio.create_task(write())
            digest, count = hashlib.sha256(), 0
            while count < wanted:
                piece = await pipe.reader.read(PIECE)
                assert piece
                digest.update(piece)
                count += len(piece)
            await writing
            return digest.hexdigest()

        talks = [
            asyncio.create_task(talk(ours, there, len(back))),
            asyncio.create_task(talk(theirs, back, len(there))),
        ]
        cuts = 0
        while not all(item.done() for item in talks):
            joined = asyncio.create_task(
                _join(ours.stream, theirs.stream, dice.randrange(50_000, 900_000) if cuts < 30 else None)
            )
            await asyncio.wait([joined, asyncio.gather(*talks)], return_when=asyncio.FIRST_COMPLETED)
            if not joined.done():
                joined.cancel()
            cuts += 1
        assert await talks[0] == hashlib.sha256(back).hexdigest()
        assert await talks[1] == hashlib.sha256(there).hexdigest()
        assert cuts > 10
        await ours.close()
        await theirs.close()

    asyncio.run(run())


def test_a_program_that_does_not_read_holds_the_other_up_and_memory_stays_bounded() -> None:
    async def run() -> None:
        ours, theirs = Pipe(), Pipe()
        await ours.open()
        await theirs.open()
        joined = asyncio.create_task(_join(ours.stream, theirs.stream, None))
        sent = 0

        async def flood() -> None:
            nonlocal sent
            while True:
                ours.writer.write(bytes(PIECE))
                await ours.writer.drain()
                sent += PIECE

        flooding = asyncio.create_task(flood())
        before = -1
        while sent > before:
            before = sent
            await asyncio.sleep(0.5)
        assert theirs.stream.received <= 3 * WINDOW + (8 << 20)
        assert sent < 60 << 20
        flooding.cancel()
        joined.cancel()
        await asyncio.gather(flooding, joined, return_exceptions=True)
        await ours.close()
        await theirs.close()

    asyncio.run(run())


def test_the_end_of_a_program_is_told_after_its_last_byte() -> None:
    async def run() -> None:
        ours, theirs = Pipe(), Pipe()
        await ours.open()
        await theirs.open()
        ours.writer.write(b"last words")
        ours.writer.close()
        await asyncio.wait_for(_join(ours.stream, theirs.stream, None), 5)
        assert ours.stream.is_over()
        assert theirs.stream.is_over()
        await theirs.stream.close()
        assert await theirs.reader.read() == b"last words"
        await ours.close()
        await theirs.close()

    asyncio.run(run())


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"D" + b"\xff" * 8, b"A" + b"\xff" * 8])
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    async def run() -> None:
        pipe = Pipe()
        await pipe.open()
        gives = [data, b""]

        async def send(_: bytes) -> None:
            await asyncio.sleep(0)

        async def receive() -> bytes:
            return gives.pop(0)

        with pytest.raises(BadFrames):
            await pipe.stream.carry(receive, send, 0)
        with pytest.raises(BadFrames):
            await pipe.stream.carry(receive, send, 1)
        await pipe.close()

    asyncio.run(run())
