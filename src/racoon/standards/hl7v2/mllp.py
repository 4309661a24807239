"""Blocks of the Minimal Lower Layer Protocol (HL7 v2 transport specification, release 1): ``<VT> message <FS><CR>``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

START, END, RETURN = 0x0B, 0x1C, 0x0D

BlockKind = Literal["message", "truncated", "too_large"]


@dataclass(frozen=True)
class Block:
    """What one block brought.

    Parameters
    ----------
    kind
        ``truncated``: another block began before this one ended.  ``too_large``: it was skipped while it arrived.
    data
        Content without framing; empty for one that is too large.
    """

    kind: BlockKind
    data: bytes


class BlockReader:
    """Cuts a stream into blocks; bounded in memory, and in step again after anything that is no block.

    Parameters
    ----------
    largest_bytes
        A longer block is skipped.

    Examples
    --------
    >>> reader = BlockReader(100)
    >>> [block.data for block in reader.feed(b"noise" + frame(b"MSH|1") + bytes([START]) + b"MSH|")]
    [b'MSH|1']
    >>> [block.data for block in reader.feed(b"2" + bytes([END, RETURN]))], reader.skipped_bytes
    ([b'MSH|2'], 5)
    """

    def __init__(self, largest_bytes: int) -> None:
        self._largest = largest_bytes
        self._open: bytearray | None = None
        self._is_skipping = False
        self.skipped_bytes = 0
        """Bytes outside of blocks, but for the ends of lines that some senders put there."""

    @property
    def is_inside(self) -> bool:
        """Whether a block has begun and not ended."""
        return self._open is not None

    def feed(self, data: bytes) -> Iterator[Block]:
        """Yield the blocks that end in these bytes."""
        place = 0
        while place < len(data):
            if self._open is None:
                start = data.find(START, place)
                outside = data[place:] if start < 0 else data[place:start]
                self.skipped_bytes += len(outside) - outside.count(b"\r") - outside.count(b"\n")
                if start < 0:
                    return
                self._open, self._is_skipping, place = bytearray(), False, start + 1
            end, again = data.find(END, place), data.find(START, place)
            is_restart = again >= 0 and (end < 0 or again < end)
            stop = again if is_restart else end
            self._collect(data[place:] if stop < 0 else data[place:stop])
            if stop < 0:
                return
            # The next block's first byte is left where it is: it opens that one.
            place = stop if is_restart else stop + 1
            yield self._closed("truncated" if is_restart else "message")

    def close(self) -> Block | None:
        """Give the block that had begun when the connection ended."""
        return None if self._open is None else self._closed("truncated")

    def _collect(self, part: bytes) -> None:
        assert self._open is not None
        if self._is_skipping or len(self._open) + len(part) > self._largest:
            self._is_skipping = True
            self._open.clear()
        else:
            self._open += part

    def _closed(self, kind: BlockKind) -> Block:
        assert self._open is not None
        block = Block("too_large", b"") if self._is_skipping else Block(kind, bytes(self._open))
        self._open = None
        return block


def frame(message: bytes) -> bytes:
    """Put a message into a block."""
    return bytes([START]) + message + bytes([END, RETURN])
