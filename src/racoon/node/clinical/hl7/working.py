"""Works the inbox off: messages become resources, in order per patient, many in one transaction.

What was stored and not yet marked is taken again after a crash, and changes nothing: a resource is combined by the
time of its event, and a merge that is done is found done.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from racoon.domain.identity import PatientId
from racoon.errors import Unavailable
from racoon.node.clinical.hl7.combining import combine
from racoon.node.clinical.hl7.inbox import Inbox, Waiting
from racoon.node.clinical.hl7.mapping import Reading, people_of, resources_of
from racoon.node.clinical.hl7.merging import Merger
from racoon.node.clinical.hl7.model import MERGE, PARTING, HeldMessage
from racoon.node.clinical.hl7.reading import READ, card_of, merges_in, parted_in
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.ordering import OrderLinker
from racoon.node.pseudonyms.model import canonical_id
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.fhir.building import Resource
from racoon.standards.hl7v2.message import Message, UnreadableMessage, parse_message

_log = logging.getLogger(__name__)

BATCH = 200
"""Messages in one transaction: enough to amortise three commits, some thousand rows."""

PAUSE_S = 0.5
TIDY_S = 60.0


class Worker:
    """Works the inbox of one node off; one at a time.

    Parameters
    ----------
    inbox
        Where messages wait.
    importer, merger
        Where they go.
    names
        The door to who is who.
    reading
        How messages are read.
    default_encoding
        For messages with an empty MSH-18.
    orders
        Finds the images of orders that name no study.
    introduces
        Whether what messages say of persons is kept sealed, so that doubtful numbers are found.
    """

    def __init__(
        self,
        inbox: Inbox,
        importer: Importer,
        merger: Merger,
        names: Pseudonymiser,
        reading: Reading,
        default_encoding: str,
        orders: OrderLinker,
        *,
        introduces: bool = False,
    ) -> None:
        self._introduces = introduces
        self._inbox, self._importer, self._merger, self._names = inbox, importer, merger, names
        self._reading, self._default_encoding = reading, default_encoding
        self._orders = orders
        # Number of a message to the merged patient's number under which it came.
        self._merged: dict[int, PatientId] = {}

    def run(self, stop: threading.Event) -> None:
        """Work until asked to stop."""
        next_tidy = 0.0
        while not stop.is_set():
            done = 0
            try:
                done = self.work_off()
                if time.monotonic() >= next_tidy:
                    self._merger.sweep()
                    self._inbox.prune()
                    self._orders.link()
                    next_tidy = time.monotonic() + TIDY_S
            except Unavailable as error:
                _log.warning("HL7 messages wait", extra={"code": error.error_code})
            if not done:
                stop.wait(PAUSE_S)

    def work_off(self) -> int:
        """Take the next messages; returns how many were finished."""
        batch = _Batch(self._inbox)
        self._merged.clear()
        run: list[tuple[Waiting, list[Resource]]] = []
        for item in self._inbox.due(BATCH):
            if batch.is_behind(item):
                continue
            try:
                message = parse_message(item.data, default_encoding=self._default_encoding, only=READ)
                if item.kind in (MERGE, PARTING):
                    self._store(run, batch)
                    run = []
                    if not batch.is_behind(item):
                        (self._merge if item.kind == MERGE else self._part)(item, message, batch)
                    continue
                run.append((item, self._resources(item, message)))
            except (HeldMessage, UnreadableMessage) as error:
                batch.hold(item, error.reason)
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001 -- one message must not stop the others; its text may name somebody
                _log.error("an HL7 message met a defect", extra={"code": type(error).__name__})
                batch.hold(item, "defect")
        self._store(run, batch)
        return batch.finished

    def _resources(self, item: Waiting, message: Message) -> list[Resource]:
        def survivor(number: str) -> str:
            found = self._names.survivor(PatientId(number))
            if found != canonical_id(PatientId(number)):
                self._merged[item.number] = PatientId(number)
            return found

        made = resources_of(message, self._reading, item.received_at, survivor)
        self._introduce(message)
        return made

    def _introduce(self, message: Message) -> None:
        """Let the room that knows who is who keep what an admission says of its patients, to find doubtful numbers."""
        if self._introduces and message.kind.startswith("ADT"):
            for person in message.all("PID"):
                self._names.introduce(card_of(person, self._reading.authority))

    def _merge(self, item: Waiting, message: Message, batch: _Batch) -> None:
        pairs = list(merges_in(message, self._reading.authority))
        for old, surviving in pairs:
            self._merger.merge(old, surviving)
        token = self._inbox.patient_token
        batch.finish([item], [(token(old), token(surviving)) for old, surviving in pairs])

    def _part(self, item: Waiting, message: Message, batch: _Batch) -> None:
        first, second = parted_in(message, self._reading.authority)
        self._merger.part(first, second)
        people = people_of(message, self._reading, item.received_at)
        taken = self._importer.take_groups([[person] for person in people], combine)
        if "other_patient" in taken:
            raise HeldMessage("other_patient")
        token = self._inbox.patient_token
        batch.finish([item], parted=[(token(first), token(second))])

    def _note_origins(self, run: Sequence[tuple[Waiting, list[Resource]]]) -> dict[int, set[str]]:
        """Note which resources come under a number that was merged into another one; by number of the message."""
        noted = {}
        for item, resources in run:
            number = self._merged.pop(item.number, None)
            if number is not None:
                noted[item.number] = self._merger.note_origins(number, resources)
        return noted

    def _store(self, run: Sequence[tuple[Waiting, list[Resource]]], batch: _Batch) -> None:
        # What was held while the run was collected keeps its patient's later ones back.
        run = [entry for entry in run if not batch.is_behind(entry[0])]
        if not run:
            return
        noted = self._note_origins(run)
        try:
            taken = self._importer.take_groups([resources for _, resources in run], combine)
        except Unavailable:
            raise
        except Exception as error:  # noqa: BLE001 -- which message it was is found by taking them one by one
            if len(run) > 1:
                for entry in run:
                    self._store([entry], batch)
                return
            _log.error("an HL7 message cannot be stored", extra={"code": type(error).__name__})
            batch.hold(run[0][0], "not_stored")
            return
        for (item, _), outcome in zip(run, taken, strict=True):
            if outcome != "taken" and item.number in noted:
                self._merger.forget_origins(noted[item.number])
            if outcome == "other_patient":
                batch.hold(item, "other_patient")
        batch.finish([item for (item, _), outcome in zip(run, taken, strict=True) if outcome == "taken"])


class _Batch:
    """Whose messages may not go on in this batch, and what is done of it."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._stopped: dict[str, int] = {}
        self._joined = inbox.same_patients()
        self.finished = 0

    def is_behind(self, item: Waiting) -> bool:
        """Tell whether an earlier message of the patient waits for a person."""
        tokens = {self._root(token) for token in item.patients}
        is_behind = any(self._stopped.get(token, item.number) < item.number for token in tokens)
        if is_behind:
            for token in tokens:
                self._stopped.setdefault(token, item.number)
        return is_behind

    def hold(self, item: Waiting, reason: str) -> None:
        """Let a message wait, and its patient's later ones."""
        self._inbox.hold(item.number, reason)
        for token in item.patients:
            root = self._root(token)
            self._stopped[root] = min(item.number, self._stopped.get(root, item.number))

    def finish(
        self,
        items: Sequence[Waiting],
        same_patients: Sequence[tuple[str, str]] = (),
        parted: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Mark messages as worked off."""
        self._inbox.finish([item.number for item in items], same_patients, parted)
        self.finished += len(items)
        if parted:
            self._joined = self._inbox.same_patients()
        for token, surviving in same_patients:
            old, new = self._root(token), self._root(surviving)
            if old != new:
                self._joined[old] = new

    def _root(self, token: str) -> str:
        while token in self._joined:
            token = self._joined[token]
        return token
