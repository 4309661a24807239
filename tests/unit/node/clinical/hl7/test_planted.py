"""Identifiers planted in every field of every segment: none in the database, the logs, the page or an answer's text."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from racoon.node.clinical.hl7.model import KINDS
from racoon.platform.logs import configure_logging
from tests.hl7_messages import BEGAN
from tests.unit.node.clinical.hl7.conftest import Clinic

WORDS = ("Zacharias", "ZACHARIAS", "8675309", "19010203", "1901-02-03")


def planted(kind: str, number: int, *, is_broken: bool = False) -> bytes:
    """Build a message of which every field that need not say something holds an identifier."""
    stamp = BEGAN.strftime("%Y%m%d%H%M%S")
    text = f"Zacharias 8675309 Nr {number}^Zacharias&8675309^19010203~Zacharias^8675309"

    def segment(name: str, count: int, **kept: str) -> str:
        fields = [kept.get(f"f{place}", text) for place in range(1, count + 1)]
        return "|".join([name, *fields])

    head = [
        "MSH",
        "^~\\&",
        "KIS",
        "KLINIK",
        text,
        text,
        stamp,
        text,
        kind,
        f"Zacharias8675309{number}",
        "P",
        "2.5",
    ]
    lines = [
        "|".join([*head, text, text, text, text, text, "UNICODE UTF-8", text]),
        segment("EVN", 6, f2=stamp),
        segment("PID", 39, f3=f"8675309{number}^^^Zacharias^PI", f8="F", f29=text),
        segment("NK1", 30),
        segment("PV1", 50, f2="I", f19=f"Zacharias{number}"),
        segment("PV2", 40),
        segment("IN1", 50),
        segment("DG1", 20),
        segment("AL1", 6),
        segment("ZBE", 9),
    ]
    if kind == "ADT^A40":
        lines.append(segment("MRG", 7, f1=f"19010203{number}^^^Zacharias^PI"))
    if kind == "ADT^A37":
        lines.append(segment("PID", 39, f3=f"19010203{number}^^^Zacharias^PI", f29=text))
    if kind.startswith(("OR", "OM")):
        lines += [
            segment("ORC", 25),
            segment("OBR", 45, f2=f"Zacharias{number}"),
            segment("IPC", 9, f3="1.2.8675309.19010203"),
            segment("NTE", 5),
        ]
        lines += [
            segment("OBX", 25, f2=value) for value in ("NM", "ST", "TX", "CE", "SN", "FT", "ED", "Zacharias")
        ]
        lines.append(
            segment("OBX", 25, f2="CWE", f3="8675309^Zacharias^Zacharias", f5="Zacharias^8675309^8675309")
        )
    if is_broken:
        lines.append("Zacharias 8675309")
    return ("\r".join(lines) + "\r").encode()


def bytes_below(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_no_planted_identifier_is_stored_logged_or_shown(
    clinic: Clinic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    configure_logging("worker", tmp_path / "worker.log", "DEBUG")
    messages = [planted(kind, number) for number, kind in enumerate(sorted(KINDS))]
    # What leaks if nothing is done: the words are there.
    assert all(word.encode() in messages[0] for word in ("Zacharias", "8675309", "19010203"))
    messages += [planted("ADT^A01", 90, is_broken=True), planted("ADT^A05", 91), planted("ADT^A01", 92)[:200]]
    receipts = clinic.send(*messages)
    clinic.work()
    counts = clinic.inbox.counts()
    assert counts["done"] >= 10
    assert counts["refused"] >= 1
    assert sum(counts.values()) == len(receipts)
    shown = repr((clinic.inbox.open_messages(), clinic.inbox.senders(), clinic.merger.merges(), receipts))
    # Also before anything is erased: content waits sealed, in the file and in its write-ahead log.
    found = bytes_below(tmp_path) + shown.encode()
    assert b"clinical_resource" in found
    assert [word for word in WORDS if word.encode() in found] == []
    for handler in root.handlers:
        handler.close()


def test_content_is_erased_when_it_was_worked_off(clinic: Clinic) -> None:
    clinic.send(*(planted(kind, number) for number, kind in enumerate(sorted(KINDS))))
    sealed = clinic.inbox.due(1)[0]
    assert sealed.data.startswith(b"MSH")
    clinic.work()
    for item in clinic.inbox.open_messages():
        clinic.inbox.dismiss(item.number)
    with clinic.inbox._database.connect() as connection:
        kept = connection.exec_driver_sql("SELECT count(*), count(sealed) FROM message").one()
    assert tuple(kept) == (len(KINDS), 0)
