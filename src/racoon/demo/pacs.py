"""Plays a hospital's PACS: sends a folder of DICOM files by C-STORE until all are acknowledged.

Run as ``python -m racoon.demo.pacs --folder F --host H --port P --calling A --called B [--json]``.  It
waits for a node that is restarting, goes on where it stopped (``--done-file``) and can plant bad objects
among the good (``--faults``).
"""

from __future__ import annotations

import argparse
import json
import random
import struct
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info

from racoon.demo.association import Association, Context, ContextRefused, PeerUnavailable
from racoon.demo.series import make_uid

LONGEST_WAIT_S = 3.0
TRIES = 3
"""How often an instance is offered that the node says it cannot take; busy nodes are asked without end."""


@dataclass(frozen=True)
class Instance:
    """One object to send.

    Parameters
    ----------
    path
        File it comes from.
    sop_instance_uid, context
        As the file's meta information says.
    start
        Byte where the data set starts.
    fault
        Empty, or the kind of damage done on the way: ``truncated``, ``not-dicom``, ``duplicate``.
    """

    path: Path
    sop_instance_uid: str
    context: Context
    start: int
    fault: str = ""

    def read(self) -> bytes:
        """Read the data set's bytes, damaged if so planned."""
        data = self.path.read_bytes()[self.start :]
        if self.fault == "truncated":
            return data[: len(data) * 3 // 5 // 2 * 2]
        if self.fault == "not-dicom":
            return b"This is a letter that somebody put into the image folder by mistake.\r\n" * 20
        return data


@dataclass
class Tally:
    """What has happened so far."""

    total: int
    sent: int = 0
    bytes_sent: int = 0
    rejected: list[str] = field(default_factory=list)
    faults: int = 0
    retries: int = 0


def find_instances(folder: Path) -> tuple[list[Instance], list[Path]]:
    """Find the DICOM files under a folder in a stable order, and the files that are none."""
    found, others = [], []
    for path in sorted(part for part in folder.rglob("*") if part.is_file()):
        instance = read_instance(path)
        if instance is None:
            others.append(path)
        else:
            found.append(instance)
    return found, others


def read_instance(path: Path) -> Instance | None:
    """Read what is needed to send a file; None if it is not a DICOM file (PS3.10 7.1)."""
    try:
        meta = read_file_meta_info(path)
        with path.open("rb") as stream:
            # Preamble, DICM, then (0002,0000) UL 4: the group's length counts from its end.
            stream.seek(128 + 4 + 8)
            (length,) = struct.unpack("<I", stream.read(4))
        context = Context(str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID))
        return Instance(path, str(meta.MediaStorageSOPInstanceUID), context, 144 + length)
    except (InvalidDicomError, AttributeError, struct.error, EOFError):
        return None


def plant_faults(instances: Sequence[Instance]) -> list[Instance]:
    """Put a truncated object, one that is no DICOM, and a duplicate among the good ones."""
    planted = list(instances)
    if not planted:
        return planted
    model = planted[0]
    for position, fault in ((1, "truncated"), (2, "not-dicom"), (4, "duplicate")):
        uid = (
            model.sop_instance_uid
            if fault == "duplicate"
            else make_uid("fault", fault, model.sop_instance_uid)
        )
        bad = Instance(model.path, uid, model.context, model.start, fault)
        planted.insert(min(position * max(len(planted) // 5, 1), len(planted)), bad)
    return planted


class Sender:
    """Sends instances to one node and does not give up while it may come back.

    Parameters
    ----------
    host, port, calling, called
        The node's listener and the AE titles.
    done_file
        Where acknowledged SOP instance UIDs are listed, to go on after an interruption.
    give_up_after_s
        Longest silence of the node before this process ends with an error.
    report
        Called with an event as a dictionary.
    """

    def __init__(
        self,
        host: str,
        port: int,
        calling: str,
        called: str,
        *,
        done_file: Path | None,
        give_up_after_s: float,
        report: Reporter,
    ) -> None:
        self._peer = (host, port, calling, called)
        self._done_file = done_file
        self._give_up_after_s = give_up_after_s
        self._report = report
        self._pause = threading.Event()

    def send(self, instances: Sequence[Instance]) -> Tally:
        """Send everything that is not acknowledged yet; return what happened."""
        done = self._load_done()
        pending = [part for part in instances if part.fault or part.sop_instance_uid not in done]
        tally = Tally(total=sum(1 for part in instances if not part.fault))
        tally.sent = tally.total - sum(1 for part in pending if not part.fault)
        tries: dict[str, int] = {}
        silent_since = time.monotonic()
        wait_s = 0.1
        while pending:
            before = len(pending)
            try:
                pending = self._send_some(pending, tally, tries)
            except PeerUnavailable as problem:
                reason = problem.public_message
            else:
                reason = "The node has no room now."
            moved = before - len(pending)
            if moved or not pending:
                silent_since, wait_s = time.monotonic(), 0.1
            if not pending:
                break
            if time.monotonic() - silent_since > self._give_up_after_s:
                self._report.write("gave-up", left=len(pending), reason=reason)
                break
            tally.retries += 1
            self._report.write("retry", left=len(pending), reason=reason, wait_s=round(wait_s, 2))
            self._pause.wait(wait_s * random.uniform(0.7, 1.3))
            wait_s = min(wait_s * 1.7, LONGEST_WAIT_S)
        return tally

    def _send_some(self, pending: list[Instance], tally: Tally, tries: dict[str, int]) -> list[Instance]:
        """Send over one association; take what is finished off the list, in place, and return the list."""
        contexts = list(dict.fromkeys(part.context for part in pending))
        host, port, calling, called = self._peer
        with Association(host, port, calling, called, contexts) as association:
            at = 0
            while at < len(pending):
                instance = pending[at]
                try:
                    data = instance.read()
                    status = association.store(instance.context, instance.sop_instance_uid, data)
                except ContextRefused as problem:
                    self._reject(instance, tally, problem.public_message)
                    pending.pop(at)
                    continue
                # Success, or a warning with the object stored (PS3.4 B.2.3).
                if status == 0 or status & 0xF000 == 0xB000:
                    self._acknowledge(instance, tally, len(data))
                    pending.pop(at)
                elif status & 0xFF00 == 0xA700:
                    at += 1
                else:
                    tries[instance.sop_instance_uid] = tries.get(instance.sop_instance_uid, 0) + 1
                    if instance.fault or tries[instance.sop_instance_uid] >= TRIES:
                        self._reject(instance, tally, f"status {status:04X}")
                        pending.pop(at)
                    else:
                        at += 1
        return pending

    def _acknowledge(self, instance: Instance, tally: Tally, size: int) -> None:
        tally.bytes_sent += size
        if instance.fault:
            tally.faults += 1
            self._report.write("fault", kind=instance.fault, outcome="accepted")
            return
        tally.sent += 1
        if self._done_file is not None:
            with self._done_file.open("a", encoding="ascii") as stream:
                stream.write(f"{instance.sop_instance_uid}\n")
        self._report.progress(tally)

    def _reject(self, instance: Instance, tally: Tally, reason: str) -> None:
        if instance.fault:
            tally.faults += 1
            self._report.write("fault", kind=instance.fault, outcome="refused", reason=reason)
            return
        tally.rejected.append(instance.sop_instance_uid)
        self._report.write("rejected", path=str(instance.path), reason=reason)

    def _load_done(self) -> set[str]:
        if self._done_file is None or not self._done_file.exists():
            return set()
        # A line that a kill cut short has no newline; its instance is sent again, which is harmless.
        text = self._done_file.read_text(encoding="ascii")
        return set(text[: text.rfind("\n") + 1].split())


class Reporter:
    """Writes progress to the standard output: lines for people or JSON lines for machines."""

    def __init__(self, *, is_json: bool, every_s: float = 0.5) -> None:
        self._is_json = is_json
        self._every_s = every_s
        self._last = 0.0

    def write(self, event: str, **facts: object) -> None:
        """Write one event."""
        if self._is_json:
            line = json.dumps({"event": event, **facts}, ensure_ascii=False)
        else:
            line = event + "".join(f"  {key}={value}" for key, value in facts.items())
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    def progress(self, tally: Tally) -> None:
        """Write how far it is, twice a second at most."""
        now = time.monotonic()
        if now - self._last >= self._every_s or tally.sent == tally.total:
            self._last = now
            self.write("progress", sent=tally.sent, total=tally.total, bytes=tally.bytes_sent)


def main(arguments: Sequence[str] | None = None) -> int:
    """Send a folder; exit status 0 if every good instance was acknowledged, 1 otherwise."""
    options = _parse(arguments)
    report = Reporter(is_json=options.json)
    folder = Path(options.folder)
    if not folder.is_dir():
        report.write("error", reason=f"There is no folder {folder}.")
        return 2
    instances, others = find_instances(folder)
    for path in others:
        report.write("skipped", path=str(path), reason="not a DICOM file; C-STORE cannot carry it")
    planned = plant_faults(instances) if options.faults else instances
    report.write("start", total=len(instances), faults=len(planned) - len(instances))
    started = time.monotonic()
    sender = Sender(
        options.host,
        options.port,
        options.calling,
        options.called,
        done_file=Path(options.done_file) if options.done_file else None,
        give_up_after_s=options.give_up_after,
        report=report,
    )
    tally = sender.send(planned)
    seconds = time.monotonic() - started
    report.write(
        "done",
        sent=tally.sent,
        total=tally.total,
        rejected=len(tally.rejected),
        faults=tally.faults,
        retries=tally.retries,
        bytes=tally.bytes_sent,
        seconds=round(seconds, 3),
    )
    return 0 if tally.sent == tally.total else 1


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m racoon.demo.pacs", description=__doc__.splitlines()[0])
    parser.add_argument("--folder", required=True, help="folder with DICOM files, searched to any depth")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--calling", default="PACS", help="our AE title")
    parser.add_argument("--called", required=True, help="the node's AE title")
    parser.add_argument(
        "--done-file", help="list of acknowledged SOP instance UIDs, to go on after an interruption"
    )
    parser.add_argument(
        "--give-up-after", type=float, default=600.0, help="seconds of silence before giving up"
    )
    parser.add_argument(
        "--faults", action="store_true", help="plant a truncated, a non-DICOM and a duplicate object"
    )
    parser.add_argument("--json", action="store_true", help="JSON lines")
    return parser.parse_args(arguments)


def iterate_events(stream: Iterator[str]) -> Iterator[dict[str, object]]:
    """Read the JSON lines of this process again."""
    for line in stream:
        if line.startswith("{"):
            yield json.loads(line)


if __name__ == "__main__":
    raise SystemExit(main())
