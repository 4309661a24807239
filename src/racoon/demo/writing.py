"""The country is written while the servers start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future

from racoon.demo.country import Country
from racoon.demo.records import Progress


class _Stopped(Exception):
    pass


class CountryWriter:
    """Runs the writing of a country beside what else is to do; its worker processes do the computing.

    Parameters
    ----------
    write
        Writes, and calls its argument after each case.
    progress
        Called after each case.
    """

    def __init__(self, write: Callable[[Progress], Country], progress: Progress) -> None:
        self._write = write
        self._progress = progress
        self._stop = threading.Event()
        self._country: Future[Country] = Future()
        self._thread = threading.Thread(target=self._run, name="country")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def result(self) -> Country:
        """Wait for the country; raises what its writing raised."""
        return self._country.result()

    def stop(self) -> None:
        """Give it up after the case that is being written; does nothing when all are."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            self._country.set_result(self._write(self._report))
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            self._country.set_exception(error)

    def _report(self, done: int, total: int, case: str) -> None:
        if self._stop.is_set():
            raise _Stopped
        self._progress(done, total, case)
