"""Broken and hostile files: each passes or is quarantined with a reason; none crashes, hangs or eats the memory.

A seeded sample here; ``make acceptance ISSUE=B`` runs a hundred thousand.
"""

from __future__ import annotations

import os
import random
import struct
import time

import psutil
import pytest

from racoon.node.deid.model import Quarantined
from racoon.node.deid.service import Deidentifier
from racoon.node.intake._evidence import summarise
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.planted_identifiers import make_ct, make_seg
from tests.planted_objects import make_commented_jpeg2000, make_report, make_structure_set

FILES = int(
    os.environ.get("RACOON_MUTATED_FILES", "100000" if os.environ.get("RACOON_ACCEPTANCE") else "300")
)
SEED = int(os.environ.get("RACOON_ACCEPTANCE_SEED", "0"))

LONGEST_S = 20.0
"""One small file; the slowest honest one takes a hundredth of this."""

MEMORY_BYTES = 400 << 20

LENGTHS = (0, 1, 2, 0x7F, 0xFF, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (
    b"\xfe\xff\x00\xe0",
    b"\xfe\xff\xdd\xe0",
    b"\xfe\xff\x0d\xe0",
    b"SQ",
    b"UN",
    b"OW",
    b"DICM",
    b"\x00\x00\x00\x00",
)


def mutated(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """Put flaws into a file: of a bad disk, a bad network, a bad program, a bad person."""
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 3, 6))):
        # Headers are where the harm is done: most flaws fall into the first two kilobytes.
        place = chance.randrange(min(len(changed), 2048 if chance.random() < 0.8 else len(changed)) or 1)
        kind = chance.randrange(9)
        if kind == 0 and changed:
            changed[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            changed[place : place + 4] = struct.pack("<L", chance.choice(LENGTHS))
        elif kind == 2:
            changed[place : place + 2] = struct.pack("<H", chance.choice(LENGTHS) & 0xFFFF)
        elif kind == 3:
            del changed[place:]
        elif kind == 4:
            del changed[place : place + chance.randint(1, 64)]
        elif kind == 5:
            changed[place:place] = chance.randbytes(chance.randint(1, 64))
        elif kind == 6:
            changed[place : place + len(WORDS[0])] = chance.choice(WORDS)
        elif kind == 7:
            piece = changed[place : place + chance.randint(8, 400)]
            changed[place:place] = piece * chance.randint(1, 20)
        else:
            other = chance.choice(others)
            start = chance.randrange(len(other))
            changed[place:place] = other[start : start + chance.randint(8, 400)]
        if not changed:
            break
    return bytes(changed)


@pytest.mark.timeout(24 * 3600)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_mutated_file_has_an_end() -> None:
    print(f"seed {SEED}, {FILES} files")
    originals = [
        make_ct().data,
        make_ct(syntax="1.2.840.10008.1.2").data,
        make_ct(syntax="1.2.840.10008.1.2.1.99").data,
        make_seg().data,
        make_report().data,
        make_structure_set().data,
        make_commented_jpeg2000(),
    ]
    deidentifier = Deidentifier("basic", Pseudonymiser(None, None))
    for data in originals:
        with_end(deidentifier, data)
    process = psutil.Process()
    before = process.memory_info().rss
    ends: dict[str, int] = {}
    slowest, worst = 0.0, -1
    for number in range(FILES):
        chance = random.Random(f"{SEED}-{number}")
        data = mutated(chance.choice(originals), originals, chance)
        began = time.process_time()
        end = with_end(deidentifier, data)
        took = time.process_time() - began
        if took > slowest:
            slowest, worst = took, number
        ends[end] = ends.get(end, 0) + 1
    print(f"ends {dict(sorted(ends.items()))}, slowest {slowest:.3f} s (file {worst})")
    assert sum(ends.values()) == FILES
    assert slowest < LONGEST_S, f"file {worst}"
    assert process.memory_info().rss - before < MEMORY_BYTES
    assert len(ends) > 3, "the flaws reach several rules"


def with_end(deidentifier: Deidentifier, data: bytes) -> str:
    """Put a file through the rules, and its header through what the quarantine page shows."""
    try:
        deidentifier.apply(data)
    except Quarantined as stopped:
        summarise(data)
        return stopped.reason.value
    return "passed"
