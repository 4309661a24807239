"""Retrieving a CT series of 250 slices (WADO-RS) against Orthanc's DICOMweb plugin: MB a second and their ratio.

Both servers hold the same four imaging studies and are asked in turn for one after the other: readers open another
study each time, and Orthanc keeps the objects of the last one in its memory (1.1 GB/s where it is asked for the same
series again, which is what a loop over one series would measure).

    python bench/bench_wado.py
    python bench/bench_wado.py --slices 50 --json
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.database import Database, create_all
from tests.dicom_objects import ct_series, deidentified, to_bytes, uid
from tests.dicomweb_server import serving
from tests.network.test_dicom_intake import free_port
from tests.orthanc import running_orthanc

GOAL = 2.0
ROUNDS = 3
STUDIES = 4
SIZE = 512
PIECE = 1 << 20


def serve(folder: Path, slices: int, pipe: Connection) -> None:
    """Fill an archive and serve it in a process of its own, until told to end."""
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(folder / "objects"))
    for study in range(1, STUDIES + 1):
        for item in series(slices, study):
            archive.store([deidentified(item)])
    with serving(archive, folder) as server:
        pipe.send((server.root, server.token))
        pipe.recv()
    database.dispose()


def series(slices: int, study: int) -> list[Dataset]:
    """Slices of noise with the dynamic range of CT."""
    voxels = np.random.default_rng(study).integers(-1000, 3000, (slices, SIZE, SIZE)).astype(np.int16)
    return ct_series(voxels, study=study, subject=f"SUBJ-{study}")


@contextmanager
def our_server(folder: Path, slices: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Our archive and its routes, rights checked."""
    folder.mkdir()
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, slices, there))
    process.start()
    try:
        root, token = here.recv()
        yield root, {"Authorization": f"Bearer {token}"}
        here.send("end")
    finally:
        process.join(30)


@contextmanager
def orthanc(folder: Path, slices: int) -> Iterator[tuple[str, dict[str, str]]]:
    """Orthanc with its DICOMweb plugin."""
    program = shutil.which("Orthanc")
    if program is None:
        sys.exit("Orthanc is not installed: apt-get install orthanc orthanc-dicomweb")
    with running_orthanc(program, folder, (free_port(), free_port()), servers={}) as server:
        for study in range(1, STUDIES + 1):
            for item in series(slices, study):
                server.add(to_bytes(item))
        yield f"http://127.0.0.1:{server.http_port}", {}


def retrieve(root: str, headers: Mapping[str, str], study: int) -> tuple[int, float]:
    """Fetch the whole series of an imaging study once; return bytes and seconds."""
    connection = http.client.HTTPConnection(root.removeprefix("http://"), timeout=300)
    accept = {"Accept": 'multipart/related; type="application/dicom"'}
    started = time.perf_counter()
    address = f"/dicom-web/studies/{uid(study)}/series/{uid(study, 1)}"
    connection.request("GET", address, headers={**headers, **accept})
    answer = connection.getresponse()
    if answer.status != http.HTTPStatus.OK:
        sys.exit(f"{root} answered {answer.status}: {answer.read(500)!r}")
    total = 0
    # One buffer for all pieces: a client that takes fresh memory for each would time itself.
    buffer = bytearray(PIECE)
    while count := answer.readinto(buffer):
        total += count
    seconds = time.perf_counter() - started
    connection.close()
    return total, seconds


def measure(slices: int) -> dict[str, object]:
    """Retrieve from both in turn."""
    rates: dict[str, list[float]] = {"racoon": [], "orthanc": []}
    least = slices * SIZE * SIZE * 2
    with tempfile.TemporaryDirectory(prefix="bench-wado-") as name:
        folder = Path(name)
        with our_server(folder / "racoon", slices) as mine, orthanc(folder / "orthanc", slices) as other:
            turns = [study for _ in range(ROUNDS) for study in range(1, STUDIES + 1)]
            for study in turns:
                for receiver, (root, headers) in (("racoon", mine), ("orthanc", other)):
                    size, seconds = retrieve(root, headers, study)
                    if size < least:
                        sys.exit(f"{receiver} sent {size} bytes, less than the pixels")
                    rates[receiver].append(size / 1e6 / seconds)
    mine_rate, other_rate = (statistics.median(rates[name]) for name in rates)
    ratio = mine_rate / other_rate
    return {
        "slices": slices,
        "racoon_mb_per_s": round(mine_rate, 1),
        "orthanc_mb_per_s": round(other_rate, 1),
        "ratio": round(ratio, 2),
        "goal": GOAL,
        "met": ratio >= GOAL,
    }


def main() -> int:
    """Measure, print, and say by the exit code whether the goal was met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--slices", type=int, default=250)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.slices)
    if arguments.json:
        print(json.dumps(found))
    else:
        print(
            f"series of {found['slices']} slices: {found['racoon_mb_per_s']} MB/s against Orthanc's "
            f"{found['orthanc_mb_per_s']} MB/s, ratio {found['ratio']} (goal {GOAL})"
        )
    return 0 if found["met"] else 1


if __name__ == "__main__":
    sys.exit(main())
