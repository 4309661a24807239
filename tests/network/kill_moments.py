"""An intake whose listener and worker are killed at random moments, and what is left of it.

The sender believes nothing but an acknowledgement: what was not acknowledged it sends again.  A witness in the worker
writes down the checksum of every object as it stood in the queue, so that the bytes before de-identification can be
compared with what was sent.
"""

from __future__ import annotations

import hashlib
import io
import multiprocessing
import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pynetdicom import AE

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.deid.service import Deidentifier
from racoon.node.intake.service import IngestLoop, Intake, count_stored, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from tests.network.test_dicom_intake import Listener, Options, Settings, free_port, start
from tests.planted_identifiers import make_ct

CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"


@dataclass
class Figures:
    """What one run counted."""

    acknowledged: int = 0
    sent: int = 0
    listener_kills: int = 0
    worker_kills: int = 0
    archived: int = 0
    lost: list[str] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)


class Witness(Deidentifier):
    """De-identifies, and writes down the checksum of each object as it came."""

    journal: Path

    def apply(self, source: Path | bytes, **options: Any) -> Any:
        data = source if isinstance(source, bytes) else source.read_bytes()
        line = hashlib.sha256(dataset_part(data)).hexdigest() + "\n"
        with self.journal.open("a") as stream:
            stream.write(line)
        return super().apply(data, **options)


def dataset_part(data: bytes) -> bytes:
    """Give what follows the file meta information: the bytes that the sender sent."""
    length = int.from_bytes(data[140:144], "little")
    return data[144 + length :]


@contextmanager
def node_at(folder: Path) -> Iterator[tuple[IngestLoop, Archive, Intake]]:
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    spool = Spool(spool_folder(folder))
    archive = Archive(database, LocalFolder(folder / "objects"), on_stored=[count_stored])
    names = Pseudonymiser(folder / "keys" / "key.json", f"sqlite:///{folder}/mapping.sqlite")
    witness = Witness("basic", names)
    witness.journal = folder / "witness.txt"
    loop = IngestLoop(spool, witness, archive, database, quarantine=folder / "quarantine")
    try:
        yield loop, archive, Intake(database, spool, folder / "quarantine", AuditLog("node"))
    finally:
        names.close()
        database.dispose()


def work(folder: Path) -> None:
    """Be the worker until killed."""
    with node_at(folder) as (loop, _, _):
        loop.run(multiprocessing.Event(), idle_s=0.02)  # type: ignore[arg-type]  # it has the method that is asked


def run(folder: Path, *, moments: int, instances: int, seed: int) -> Figures:
    """Send instances while listener and worker are killed, each moment one of them.

    Parameters
    ----------
    folder
        Data directory of the node; empty.
    moments
        How many kills; they are spread over the objects at random.
    instances
        How many objects.
    seed
        Of the moments.
    """
    chance = random.Random(seed)
    settings = Settings(folder, Options(free_port(), association_timeout_s=5, idle_timeout_s=30))
    folder.mkdir(parents=True, exist_ok=True)
    with node_at(folder):
        pass  # tables are made once, before two processes would
    figures, sent = Figures(), {}
    kills = Counter(chance.choices(range(instances), k=moments))
    sender = _Sender(settings.dicom.port)
    listener, worker = start(settings), _start_worker(folder)
    try:
        for number in range(instances):
            dataset = pydicom.dcmread(io.BytesIO(make_ct(number + 1, planted=False).data))
            for _ in range(kills[number]):
                if chance.random() < 0.5:
                    # While the object is on its way: a little after the sender has begun.
                    threading.Timer(chance.random() * 0.02, _kill, (listener.process,)).start()
                    figures.listener_kills += 1
                else:
                    _kill(worker)
                    worker = _start_worker(folder)
                    figures.worker_kills += 1
            while True:
                figures.sent += 1
                if sender.send(dataset):
                    break
                if not listener.process.is_alive():
                    listener.process.join()
                    listener = start(settings)
            sent[hashlib.sha256(sender.encoded(dataset)).hexdigest()] = str(dataset.SOPInstanceUID)
            figures.acknowledged += 1
    finally:
        sender.close()
        for process in (listener.process, worker):
            _kill(process)
    _judge(folder, sent, figures)
    return figures


def _judge(folder: Path, sent: dict[str, str], figures: Figures) -> None:
    with node_at(folder) as (loop, archive, intake):
        while loop.run_once().taken:
            pass
        figures.archived = archive.counts().instances
        assert intake.quarantined() == []
        assert list(spool_folder(folder).glob("*.dcm")) == []
    seen = set((folder / "witness.txt").read_text().split())
    figures.lost = [uid for digest, uid in sent.items() if digest not in seen]
    figures.changed = sorted(seen - sent.keys())


class _Sender:
    """A sender that opens an association anew whenever an answer stays away."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._entity = AE(ae_title="SCANNER")
        self._entity.add_requested_context(CT, EXPLICIT)
        self._entity.dimse_timeout = self._entity.network_timeout = 10
        self._entity.connection_timeout = 2
        self._association: Any = None

    def send(self, dataset: Dataset) -> bool:
        """Send one object; True only for an answer that says success."""
        if self._association is None or not self._association.is_established:
            self._drop()
            self._association = self._entity.associate("127.0.0.1", self._port, ae_title="RACOON")
        if not self._association.is_established:
            return False
        try:
            status = self._association.send_c_store(dataset)
        except (RuntimeError, ValueError):
            status = Dataset()
        if status.get("Status") == 0:
            return True
        # An empty status is an unknown outcome: associate again, send again.
        self._association.abort()
        self._drop()
        return False

    def encoded(self, dataset: Dataset) -> bytes:
        """Give the bytes of an object as they travel."""
        from pynetdicom.dsutils import encode

        data = encode(dataset, False, True)
        assert data is not None
        return data

    def close(self) -> None:
        if self._association is not None and self._association.is_established:
            self._association.release()
        self._drop()

    def _drop(self) -> None:
        """Close the socket of an association whose peer was killed; pynetdicom leaves it to the collector."""
        connection = self._association.dul.socket if self._association is not None else None
        if connection is not None and connection.socket is not None:
            connection.socket.close()


def _start_worker(folder: Path) -> multiprocessing.process.BaseProcess:
    process = multiprocessing.get_context("fork").Process(target=work, args=(folder,), daemon=True)
    process.start()
    return process


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)


__all__ = ["Figures", "Listener", "run"]
