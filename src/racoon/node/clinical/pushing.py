"""Brings images and findings to the FHIR server of the hospital's data integration centre, subject after subject.

One transaction a subject, sent again only when something changed; who may not be read any more is taken back there.
Every resource is one that the facade would give, under its rules.  A server that is busy is asked again; what it
refuses is counted, and the others go on.  Not here: the connection itself, which the application brings.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import Unavailable
from racoon.node.clinical import _push_store
from racoon.node.clinical.model import parse_search
from racoon.node.clinical.service import Facade
from racoon.platform import clock
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.transactions import name_of, removal, transaction

KINDS = (
    "ServiceRequest", "ImagingStudy", "Procedure", "MedicationAdministration", "BodyStructure", "Observation",
    "QuestionnaireResponse", "DiagnosticReport", "CarePlan", "Composition",
)  # fmt: skip
"""What is sent of a subject, beside the Patient and the devices that are named."""

BUSY = frozenset({408, 429, 502, 503, 504})
TRIES = 6
LONGEST_WAIT_S = 120.0


class ServerBusy(Unavailable):
    """The other server did not answer, or was busy at every try; the next run goes on where this one ended."""

    code: ClassVar[str] = "fhir.server_busy"


@dataclass(frozen=True)
class Answer:
    """What the other server said.

    Parameters
    ----------
    status
        HTTP status; 0 when there was no answer.
    retry_after_s
        When it wants to be asked again; 0 when it does not say.
    """

    status: int
    retry_after_s: float = 0.0


Send = Callable[[Resource], Answer]

Note = Callable[[sa.Connection, Iterable[Resource]], None]


@dataclass
class PushReport:
    """What a run did, in counts.

    Attributes
    ----------
    sent, unchanged, taken_back
        Subjects.
    resources
        Sent resources by type.
    refused
        Subjects by the status with which the server refused them.
    """

    sent: int = 0
    unchanged: int = 0
    taken_back: int = 0
    resources: Counter[str] = field(default_factory=Counter)
    refused: Counter[int] = field(default_factory=Counter)

    def as_json(self) -> dict[str, Any]:
        """Return the report for people and machines."""
        return {
            "sent": self.sent,
            "unchanged": self.unchanged,
            "taken_back": self.taken_back,
            "resources": dict(sorted(self.resources.items())),
            "refused": {str(status): count for status, count in sorted(self.refused.items())},
        }


class Pusher:
    """Sends to one server.

    Parameters
    ----------
    facade, database
        What is sent, and where it is kept that it was.
    target
        Address of the server.
    send
        Sends one transaction.
    without
        Types that the server cannot find by an identifier; they are not sent.
    pause
        Waits between two tries; set, it ends the run.
    note
        Puts into the audit of whom something was sent, in the transaction that remembers it.
    """

    def __init__(
        self,
        facade: Facade,
        database: Database,
        target: str,
        send: Send,
        without: Collection[str] = frozenset(),
        pause: threading.Event | None = None,
        note: Note | None = None,
    ) -> None:
        self._facade = facade
        self._database = database
        self._target = target
        self._source = facade.writing.source
        self._send = send
        self._without = frozenset(without)
        self._pause = pause or threading.Event()
        self._note = note

    def run(self, progress: Callable[[int], None] | None = None) -> PushReport:
        """Send what is new or changed, and take back what may not be read any more.

        Raises
        ------
        ServerBusy
            If the server does not take anything now.
        """
        report = PushReport()
        seen: set[str] = set()
        for _, patient in self._facade.iterate(parse_search("Patient", [])):
            seen.add(str(patient["id"]))
            self._bring(patient, report)
            if progress is not None:
                progress(len(seen))
        with self._database.connect() as connection:
            gone = [name for name in _push_store.subjects(connection, self._target) if name not in seen]
        for pseudonym in gone:
            self._take_back(pseudonym, report)
        return report

    def of_subject(self, patient: Resource) -> list[Resource]:
        """Return everything that would be sent of a subject."""
        found = [patient]
        devices: dict[str, None] = {}
        for kind in KINDS:
            if kind in self._without:
                continue
            search = replace(parse_search(kind, [("patient", str(patient["id"]))]), with_reports=True)
            for _, resource in self._facade.iterate(search):
                found.append(resource)
                devices |= dict.fromkeys(_devices_of(resource))
        return [*self._facade.devices(devices), *found]

    def _bring(self, patient: Resource, report: PushReport) -> None:
        pseudonym, resources = str(patient["id"]), self.of_subject(patient)
        bundle = transaction(resources, self._source, self._without)
        digest = hashlib.sha256(json.dumps(bundle, sort_keys=True).encode()).hexdigest()
        with self._database.connect() as connection:
            earlier, names = _push_store.sent(connection, self._target, pseudonym)
        if earlier == digest:
            report.unchanged += 1
            return
        current = [name_of(item) for item in resources]
        # A device belongs to nobody: another subject's images may name it too.
        stale = [name for name in names if name not in current and not name.startswith("Device/")]
        bundle["entry"] += removal(stale, self._source)["entry"]
        if not self._deliver(bundle, report):
            return
        with self._database.begin() as connection:
            _push_store.keep(connection, self._target, pseudonym, digest, current, clock.now())
            if self._note is not None:
                self._note(connection, resources)
        report.sent += 1
        report.resources.update(str(item["resourceType"]) for item in resources)

    def _take_back(self, pseudonym: str, report: PushReport) -> None:
        with self._database.connect() as connection:
            _, names = _push_store.sent(connection, self._target, pseudonym)
        # What refers to others goes first.
        own = [name for name in reversed(names) if not name.startswith("Device/")]
        if self._deliver(removal(own, self._source), report):
            with self._database.begin() as connection:
                _push_store.forget(connection, self._target, pseudonym)
            report.taken_back += 1

    def _deliver(self, bundle: Resource, report: PushReport) -> bool:
        wait_s = 1.0
        for number in range(TRIES):
            answer = self._send(bundle)
            if 200 <= answer.status < 300:
                return True
            if answer.status and answer.status not in BUSY:
                report.refused[answer.status] += 1
                return False
            if number + 1 < TRIES and self._pause.wait(min(answer.retry_after_s or wait_s, LONGEST_WAIT_S)):
                break
            wait_s *= 2
        raise ServerBusy(
            "The FHIR server takes nothing now. Begin again later; what was sent is not sent twice."
        )


def _devices_of(resource: Resource) -> Iterator[str]:
    series: Sequence[Resource] = resource.get("series", ())
    references = [
        performer["actor"]["reference"] for item in series for performer in item.get("performer", ())
    ]
    references += [item["reference"] for item in resource.get("usedReference", ())]
    yield from (text.removeprefix("Device/") for text in references if text.startswith("Device/"))
