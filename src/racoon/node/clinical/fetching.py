"""Fetches the clinical course from a FHIR server: page by page or by bulk export, and goes on where it was cut off.

A page is stored before its successor is written down, so that a kill repeats one page and loses none; taking a page
again changes nothing.  A server may drop parameters that it does not know without a word (R4 search, 3.1.1.3):
what narrows a search is looked up in its CapabilityStatement first and in the ``self`` link afterwards.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit

from racoon.errors import Refused
from racoon.node.clinical import fetched
from racoon.node.clinical.calling import AnswerNotUnderstood, Service, ServiceDown, ServiceRefused
from racoon.node.clinical.deletions import HISTORY, begin_history, link_of, take_deletions
from racoon.node.clinical.fetched import Checkpoint
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.importing import BATCH, Importer
from racoon.node.clinical.trust.model import entries
from racoon.platform import clock
from racoon.platform.database import Database
from racoon.standards.fhir.answers import NDJSON
from racoon.standards.fhir.reading import (
    LARGEST_LINE_BYTES,
    Found,
    Unread,
    read_line,
)

TRIES = 6
"""With pauses that double from a second this waits a minute for a server that restarts."""

FIRST_PAUSE_S = 1.0
OVERLAP = timedelta(minutes=2)
"""The next fetch begins so much earlier: clocks of two machines differ, and a resource twice changes nothing."""

EXPORT = "$export"

Wait = Callable[[float], bool]
"""Waits for seconds; True when everything is asked to stop."""


class SearchNotKnown(Refused):
    """The server cannot search as it was asked to, and would have answered another question."""

    code: ClassVar[str] = "clinical.search_not_known"


class FetchStopped(Refused):
    """Somebody asked to stop; the next fetch goes on from here."""

    code: ClassVar[str] = "clinical.fetch_stopped"


@dataclass(frozen=True)
class Wish:
    """What is fetched.

    Parameters
    ----------
    types
        Types of resources, those that others refer to first.
    filters
        By type the search parameters that narrow it.
    method
        ``search`` or ``export``.
    page
        Resources asked for in one page.
    """

    types: tuple[str, ...]
    filters: Mapping[str, str] = field(default_factory=dict)
    method: str = "search"
    page: int = 500


class Fetcher:
    """Fetches from one server.

    Parameters
    ----------
    service
        Root of the server.
    database
        The node's own; keeps how far it is.
    importer
        Takes what comes.
    wait
        Waits between tries.
    """

    def __init__(
        self, service: Service, database: Database, importer: Importer, wait: Wait | None = None
    ) -> None:
        self._service, self._database, self._importer = service, database, importer
        self._wait = wait or threading.Event().wait
        self._progress: Callable[[str, int], None] = lambda _kind, _read: None

    def run(self, wish: Wish, *, progress: Callable[[str, int], None] | None = None) -> dict[str, Any]:
        """Fetch what is new since the last time, or the rest of what was cut off.

        Parameters
        ----------
        wish
            What.
        progress
            Called with type and number of resources after every page.

        Returns
        -------
        dict
            The report of the import, ``types`` read, ``skipped`` types with the reason, and ``deletions_untold``,
            types of which the server keeps no history, so that it never says what was deleted.

        Raises
        ------
        ServiceDown
            If the server does not answer after several tries.
        SearchNotKnown, ServiceRefused, AnswerNotUnderstood
            If it cannot give what was asked for.
        """
        self._progress = progress or self._progress
        report, started = ImportReport(), clock.now()
        offered = self._capabilities()
        skipped: dict[str, str] = {}
        untold: list[str] = []
        try:
            if wish.method == "export":
                self._export(wish, report)
            else:
                for kind in wish.types:
                    if kind not in offered:
                        skipped[kind] = "The server's CapabilityStatement does not name this type."
                        continue
                    has_history = HISTORY in offered[kind]
                    if has_history:
                        begin_history(self._database, kind, _overlapped())
                    else:
                        untold.append(kind)
                    self._search(kind, wish, offered[kind], report)
                    if has_history:
                        self._take_deletions(kind, wish, report)
        finally:
            if report.read.total() or report.refused or report.removed:
                with self._database.begin() as connection:
                    fetched.save_report(connection, started, report)
        return report.as_json() | {"skipped": skipped, "method": wish.method, "deletions_untold": untold}

    # -- search

    def _search(self, kind: str, wish: Wish, known: frozenset[str], report: ImportReport) -> None:
        filters = parse_qsl(wish.filters.get(kind, ""), keep_blank_values=True)
        lost = sorted({name.partition(":")[0].partition(".")[0] for name, _ in filters} - known)
        if lost:
            raise SearchNotKnown(
                f"The server's CapabilityStatement names no search parameter {lost[0]} for {kind}. Take it out of"
                " diz.filters, or let the server index it."
            )
        with self._database.connect() as connection:
            point = fetched.load(connection, kind)
        if point.is_done or not point.next_page:
            wanted = list(filters)
            if point.since and "_lastUpdated" in known:
                wanted.append(("_lastUpdated", f"ge{point.since}"))
            point = self._begin(kind, point)
            document = self._patiently(lambda: self._service.get(kind, [*wanted, ("_count", str(wish.page))]))
            _see_that_nothing_was_dropped(kind, document, wanted)
        else:
            document = self._resumed(point.next_page)
            if document is None:
                # The server forgot its page: from the beginning, which takes nothing twice.
                with self._database.begin() as connection:
                    fetched.save(connection, Checkpoint(kind, is_done=False, since=point.since))
                self._search(kind, wish, known, report)
                return
        while True:
            resources = [item for item, _ in entries(document, "The FHIR server") if item is not None]
            found = [
                Found(kind, item) for item in resources if item.get("resourceType") != "OperationOutcome"
            ]
            self._importer.take_page(found, report)
            following = link_of(document, "next")
            read = point.read + len(found)
            point = (
                Checkpoint(kind, False, point.since, point.started, following, 0, read)
                if following
                else Checkpoint(kind, True, point.started, "", "", 0, read)
            )
            with self._database.begin() as connection:
                fetched.save(connection, point)
            self._progress(kind, read)
            if not following:
                return
            document = self._patiently(functools.partial(self._service.get, following))

    def _begin(self, kind: str, point: Checkpoint) -> Checkpoint:
        begun = Checkpoint(kind, False, point.since, _overlapped())
        with self._database.begin() as connection:
            fetched.save(connection, begun)
        return begun

    def _resumed(self, page: str) -> Any:
        try:
            return self._patiently(lambda: self._service.get(page))
        except ServiceRefused as error:
            if error.details.get("status") in (400, 404, 410):
                return None
            raise

    def _take_deletions(self, kind: str, wish: Wish, report: ImportReport) -> None:
        take_deletions(
            self._database,
            kind,
            wish.page,
            _overlapped(),
            lambda path, query: self._patiently(lambda: self._service.get(path, query)),
            lambda page: self._importer.take_page(page, report),
        )

    # -- bulk export

    def _export(self, wish: Wish, report: ImportReport) -> None:
        with self._database.connect() as connection:
            point = fetched.load(connection, EXPORT)
        if point.is_done or not point.next_page:
            point = self._kick_off(wish, point)
        manifest = self._manifest(point.next_page)
        if manifest is None:
            point = self._kick_off(wish, point)
            manifest = self._manifest(point.next_page)
        if not isinstance(manifest, dict) or not isinstance(manifest.get("output"), list):
            raise AnswerNotUnderstood("The export of the FHIR server has no list of its files.")
        files = [
            (str(item.get("type")), str(item.get("url")))
            for item in manifest["output"]
            if isinstance(item, dict) and item.get("type") in wish.types
        ]
        files.sort(key=lambda item: wish.types.index(item[0]))
        # Bundles of requests to delete, after what is there (Bulk Data Access 2.0, export manifest, "deleted").
        deleted = manifest.get("deleted")
        listed = deleted if isinstance(deleted, list) else []
        files += [("Bundle", str(item.get("url"))) for item in listed if isinstance(item, dict)]
        for index, (kind, url) in enumerate(files):
            self._file(f"{kind}/{index}", url, report)
        until = str(manifest.get("transactionTime", "")) or point.started
        with self._database.begin() as connection:
            fetched.forget_files(connection)
            fetched.save(connection, Checkpoint(EXPORT, True, until, "", "", 0, report.read.total()))
        self._service.request("DELETE", point.next_page, accepted=frozenset({404, 405, 501}))

    def _kick_off(self, wish: Wish, point: Checkpoint) -> Checkpoint:
        query = [("_type", ",".join(wish.types)), ("_outputFormat", NDJSON)]
        query += [("_since", point.since)] if point.since else []
        query += [("_typeFilter", f"{kind}?{text}") for kind, text in sorted(wish.filters.items()) if text]
        answer = self._patiently(
            lambda: self._service.request(
                "GET", EXPORT, parameters=query, headers={"prefer": "respond-async"}
            )
        )
        place = answer.headers.get("content-location", "")
        if answer.status_code != 202 or not place:
            raise SearchNotKnown(
                'The server did not begin a bulk export. Set diz.method = "search", or let its operator open $export.'
            )
        begun = Checkpoint(EXPORT, False, point.since, _overlapped(), place)
        with self._database.begin() as connection:
            fetched.forget_files(connection)
            fetched.save(connection, begun)
        return begun

    def _manifest(self, place: str) -> Any:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                answer = self._patiently(lambda: self._service.request("GET", place))
            except ServiceRefused as error:
                if error.details.get("status") in (404, 410):
                    return None
                raise
            if answer.status_code != 202:
                return self._service.read(answer)
            asked = answer.headers.get("retry-after", "")
            self._pause(min(float(asked), 300.0) if asked.isdigit() else pause_s)
            pause_s = min(pause_s * 2, 60.0)

    def _file(self, name: str, url: str, report: ImportReport) -> None:
        with self._database.connect() as connection:
            point = fetched.load(connection, name)
        if point.is_done and point.next_page == url:
            return
        done = point.line if point.next_page == url else 0
        kind = name.partition("/")[0]

        def read_rest() -> None:
            nonlocal done
            for first, lines in self._batches(url, done):
                page = [found for n, text in lines if text.strip() for found in _found(kind, first + n, text)]
                self._importer.take_page(page, report)
                done = first + len(lines)
                with self._database.begin() as connection:
                    fetched.save(connection, Checkpoint(name, False, "", "", url, done, done))
                self._progress(kind, done)

        self._patiently(read_rest)
        with self._database.begin() as connection:
            fetched.save(connection, Checkpoint(name, True, "", "", url, done, done))

    def _batches(self, url: str, skip: int) -> Iterator[tuple[int, list[tuple[int, str]]]]:
        with self._service.stream(url, {"accept": NDJSON}) as answer:
            batch: list[tuple[int, str]] = []
            number = -1
            for number, text in enumerate(answer.iter_lines()):
                if number < skip:
                    continue
                batch.append((len(batch), text))
                if len(batch) >= BATCH:
                    yield number + 1 - len(batch), batch
                    batch = []
            if batch:
                yield number + 1 - len(batch), batch

    # -- patience

    def _capabilities(self) -> dict[str, frozenset[str]]:
        """Return the search parameters that the server names, by type, and whether it tells their history."""
        statement = self._patiently(lambda: self._service.get("metadata"))
        if not isinstance(statement, dict) or statement.get("resourceType") != "CapabilityStatement":
            raise AnswerNotUnderstood(
                "The server gave no CapabilityStatement. Check that diz.url is the root of its FHIR interface."
            )
        found: dict[str, frozenset[str]] = {}
        for rest in statement.get("rest", []):
            common = [str(item.get("name")) for item in rest.get("searchParam", [])]
            for item in rest.get("resource", []):
                names = [str(parameter.get("name")) for parameter in item.get("searchParam", [])]
                can = {str(interaction.get("code")) for interaction in item.get("interaction", [])}
                names += [HISTORY] if "history-type" in can else []
                found[str(item.get("type"))] = frozenset([*names, *common])
        return found

    def _patiently(self, ask: Callable[[], Any]) -> Any:
        pause_s = FIRST_PAUSE_S
        for left in reversed(range(TRIES)):
            try:
                return ask()
            except ServiceDown as error:
                if not left:
                    raise
                self._pause(error.wait_s if error.wait_s is not None else pause_s)
                pause_s *= 2
        raise AssertionError("the last try raises")

    def _pause(self, seconds: float) -> None:
        if self._wait(seconds):
            raise FetchStopped("The fetch was stopped. The next one goes on from here.")


def _found(kind: str, number: int, text: str) -> Iterator[Found]:
    place = f"{kind}:{number + 1}"
    if len(text) > LARGEST_LINE_BYTES:
        yield Found(place, None, "The line is too long to be one resource.")
    else:
        yield from read_line(Unread(place, text.encode("utf-8", "surrogatepass")))


def _overlapped() -> str:
    return (clock.now() - OVERLAP).isoformat(timespec="seconds")


def _see_that_nothing_was_dropped(kind: str, document: Any, wanted: Sequence[tuple[str, str]]) -> None:
    used = {name for name, _ in parse_qsl(urlsplit(link_of(document, "self")).query, keep_blank_values=True)}
    for name, _ in wanted:
        if name not in used:
            raise SearchNotKnown(
                f"The server searched {kind} without {name}, as its self link says, and would have given more than was"
                " asked for. Nothing was taken. Take it out of diz.filters, or let the server index it."
            )
