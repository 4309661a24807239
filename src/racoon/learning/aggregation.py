"""Exact weighted mean of network weights: independent of the order and the time in which sites answer.

Each weight is turned into a fixed-point integer; integers add associatively, so any order gives the same
bits, and the accumulator needs one 64-bit number per weight however many sites take part.  Given a folder, these
sums lie in a nameless file there and pass through memory piece by piece.
"""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Mapping
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from racoon.errors import Unavailable
from racoon.learning.weights import PIECE, BadWeights, Weights, check_weights

FRACTION_BITS = 32
"""Resolution 2**-33 after rounding: below half a float32 step for every magnitude above 2**-9."""

MAXIMUM_TOTAL = 2 ** (62 - FRACTION_BITS - 10)
"""Largest sum of case counts: with ``weights.MAXIMUM_MAGNITUDE`` (2**10) the sums stay below 2**62."""


def to_fixed(tensor: npt.NDArray[np.float32], cases: int) -> npt.NDArray[np.int64]:
    """Return a site's share of the sum: its weights on the fixed-point grid, times its cases."""
    scaled = np.empty(tensor.shape, np.float64)
    np.multiply(tensor, 2.0**FRACTION_BITS, out=scaled)
    fixed: npt.NDArray[np.int64] = np.rint(scaled, out=scaled).astype(np.int64)
    fixed *= np.int64(cases)
    return fixed


class _SumsInMemory:
    """The sums of every tensor, one after the other, as one array."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._sums = np.zeros(size, np.int64)

    def read(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Return a piece; what is written into it counts."""
        return self._sums[start : start + count]

    def write(self, start: int, piece: npt.NDArray[np.int64]) -> None:
        """Nothing to do: the piece is the sums' own memory."""

    def room_for_mean(self) -> npt.NDArray[np.float32]:
        """Return where the mean may be written from the left: at half the width, behind what is still to be read."""
        return self._sums.view(np.float32)[: self._sums.size]

    def close(self) -> None:
        """Give the memory back."""
        self._sums = self._sums[:0]


class _SumsInFile:
    """The same in a file without a name: it is gone with the process, and no more than a piece is in memory."""

    def __init__(self, size: int, folder: Path) -> None:
        self.size = size
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by close
        # A round that is given up closes it too, without a warning about a forgotten file.
        self._close = weakref.finalize(self, self._file.close)
        self._room = np.empty(PIECE, np.int64)
        try:
            # Reserved now, a full disk is told before the first weight is added; what was never written reads as 0.
            os.posix_fallocate(self._file.fileno(), 0, max(1, size * 8))
        except OSError:
            self._close()
            raise

    def read(self, start: int, count: int) -> npt.NDArray[np.int64]:
        """Return a copy of a piece, valid until the next one is read."""
        piece = self._room[:count]
        view = piece.data.cast("B")
        done = 0
        while done < len(view):
            got = os.preadv(self._file.fileno(), [view[done:]], start * 8 + done)
            if got == 0:
                raise OSError("The file of the sums ends early.")
            done += got
        return piece

    def write(self, start: int, piece: npt.NDArray[np.int64]) -> None:
        """Write a piece back."""
        view = piece.data.cast("B")
        done = 0
        while done < len(view):
            done += os.pwrite(self._file.fileno(), view[done:], start * 8 + done)

    def room_for_mean(self) -> npt.NDArray[np.float32]:
        """Return where the mean may be written: memory of one model."""
        return np.empty(self.size, np.float32)

    def close(self) -> None:
        """Give the disk back."""
        self._close()


class ExactMean:
    """Accumulates contributions of one round.

    Parameters
    ----------
    shapes
        Tensor name → shape of the architecture; anything else is refused.
    folder
        Where the sums lie while the round lasts, twice the model's size; ``None`` keeps them in memory.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]], folder: Path | None = None) -> None:
        self.shapes = dict(shapes)
        self.contributors: dict[str, int] = {}
        self._folder = folder
        self._sums: _SumsInMemory | _SumsInFile | None = None
        self._is_taken = False
        self._is_torn = False

    @property
    def total(self) -> int:
        """Sum of the case counts accepted so far."""
        return sum(self.contributors.values())

    def add(self, site: str, weights: Mapping[str, npt.NDArray[np.float32]], cases: int) -> None:
        """Accept one site's weights.

        Parameters
        ----------
        site
            Site code; a second contribution of the same site in a round is refused.
        weights
            Tensors after local training.
        cases
            Number of training cases at the site, its share in the mean.

        Raises
        ------
        BadWeights
            For tensors of another architecture, non-finite or absurd values, a bad count or a repeated site.
        Unavailable
            If the folder cannot hold the sums; after half a contribution was written the round cannot be used.
        """
        if site in self.contributors:
            raise BadWeights("A site answered twice in one round.", details={"site": site})
        if not 0 < cases <= MAXIMUM_TOTAL - self.total:
            raise BadWeights(
                "A site's number of cases is out of range.", details={"site": site, "cases": cases}
            )
        self._require_open()
        check_weights(weights, self.shapes)
        try:
            sums = self._sums = self._sums or self._make_sums()
        except OSError as error:
            raise Unavailable("There is no room for the sums of the round.") from error
        offset = 0
        try:
            for name, shape in self.shapes.items():
                size, tensor = math.prod(shape), np.asarray(weights[name]).reshape(-1)
                # Piece by piece: a whole tensor as float64 and as int64 would double the memory of a large one.
                for start in range(0, size, PIECE):
                    piece = sums.read(offset + start, min(PIECE, size - start))
                    piece += to_fixed(tensor[start : start + PIECE], cases)
                    sums.write(offset + start, piece)
                offset += size
        except OSError as error:
            self._is_torn = True
            raise Unavailable("The sums of the round cannot be kept.") from error
        self.contributors[site] = cases

    def mean(self) -> Weights:
        """Compute the case-weighted mean of what was accepted so far; the round goes on.

        Raises
        ------
        BadWeights
            If nothing was accepted, or the mean was taken before.
        Unavailable
            As :meth:`take`.
        """
        sums = self._accepted_sums()
        return self._divide(sums, np.empty(sums.size, np.float32))

    def take(self) -> Weights:
        """Compute the mean and end the round; nothing is held twice, and a file of the sums is given back.

        Raises
        ------
        BadWeights
            If nothing was accepted, or the mean was taken before.
        Unavailable
            If the sums cannot be read, or a contribution was written by half.
        """
        sums = self._accepted_sums()
        taken = self._divide(sums, sums.room_for_mean())
        self._is_taken = True
        self._sums = None
        sums.close()
        return taken

    def _accepted_sums(self) -> _SumsInMemory | _SumsInFile:
        self._require_open()
        if self._sums is None or not self.contributors:
            raise BadWeights("No site contributed to the round.")
        return self._sums

    def _divide(self, sums: _SumsInMemory | _SumsInFile, room: npt.NDArray[np.float32]) -> Weights:
        scale = float(self.total) * 2.0**FRACTION_BITS
        try:
            for start in range(0, sums.size, PIECE):
                count = min(PIECE, sums.size - start)
                room[start : start + count] = sums.read(start, count) / scale
        except OSError as error:
            raise Unavailable("The sums of the round cannot be read.") from error
        ends = accumulate(math.prod(shape) for shape in self.shapes.values())
        parts = zip(self.shapes.items(), ends, strict=True)
        return {name: room[end - math.prod(shape) : end].reshape(shape) for (name, shape), end in parts}

    def _make_sums(self) -> _SumsInMemory | _SumsInFile:
        size = sum(math.prod(shape) for shape in self.shapes.values())
        return _SumsInMemory(size) if self._folder is None else _SumsInFile(size, self._folder)

    def _require_open(self) -> None:
        if self._is_torn:
            raise Unavailable("The sums of the round are torn; it must be repeated.")
        if self._is_taken:
            raise BadWeights("The round is over; its mean was taken.")
