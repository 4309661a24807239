"""Orthanc as the peer of a search benchmark: filled with as many small instances, asked the same questions."""

from __future__ import annotations

import io
import random
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pydicom

from tests.orthanc import running_orthanc
from tests.planted_identifiers import make_ct

BASE = 1_000_000
"""Numbers of one width, so that an instance is made by replacing bytes."""

SENDERS = 4

ADDRESSES = {
    "study by UID": "studies?StudyInstanceUID=2.25.1.{n}",
    "study by pseudonym": "studies?PatientID=R1-SUBJECT{n}",
    "100 studies": "studies?limit=100",
    "pseudonyms by wildcard": "studies?limit=100&PatientID=R1-SUBJECT10000*",
    "series of a study": "studies/2.25.1.{n}/series",
    "50 instances of a series": "studies/2.25.1.{n}/series/2.25.1.{n}.1/instances",
}
"""The questions of ``bench_qido`` that both answer, in the words of this archive."""


def template() -> bytes:
    """Make a CT slice of 16 by 16 whose names are placeholders of fixed width."""
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.PatientID = dataset.PatientName = f"R1-SUBJECT{BASE}"
    dataset.StudyInstanceUID = f"2.25.1.{BASE}"
    dataset.SeriesInstanceUID = f"2.25.1.{BASE}.7"
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = f"2.25.1.{BASE}.7.10"
    stream = io.BytesIO()
    dataset.save_as(stream)
    return stream.getvalue()


def instances(count: int, per_series: int, per_study: int) -> Iterator[bytes]:
    """Make instances, as many in a series and a study as the other archive has."""
    data, place = template(), str(BASE).encode()
    for index in range(count):
        study, rest = divmod(index, per_study)
        series, number = divmod(rest, per_series)
        uid = data.replace(b".7.10", f".{series + 1}.{number + 10}".encode())
        yield uid.replace(place + b".7", f"{BASE + study}.{series + 1}".encode()).replace(
            place, str(BASE + study).encode()
        )


def measure(count: int, per_series: int, per_study: int, repetitions: int) -> dict[str, float]:
    """Fill Orthanc and ask; give the median in milliseconds by question.

    Its files are not synced while it is filled: the index, which answers, is the same.
    """
    program = shutil.which("Orthanc")
    if program is None:
        return {}
    with tempfile.TemporaryDirectory(prefix="bench-qido-orthanc-") as name:
        ports = []
        for _ in range(2):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                ports.append(probe.getsockname()[1])
        with running_orthanc(
            program, Path(name), (ports[0], ports[1]), servers={}, SyncStorageArea=False
        ) as server:
            fill(server.http, count, per_series, per_study)
            return ask(server.http, max(count // per_study, 1), repetitions)


def fill(client: httpx.Client, count: int, per_series: int, per_study: int) -> None:
    """Send the instances over HTTP, several at a time."""

    def put(data: bytes) -> None:
        client.post("/instances", content=data).raise_for_status()

    with ThreadPoolExecutor(SENDERS) as pool:
        for _ in pool.map(put, instances(count, per_series, per_study)):
            pass
    held = client.get("/statistics").json()["CountInstances"]
    if held != count:
        raise AssertionError(f"Orthanc holds {held} of {count} instances")


def ask(client: httpx.Client, studies: int, repetitions: int) -> dict[str, float]:
    """Ask every question in turns; median in milliseconds."""
    generator = random.Random(7)
    times: dict[str, list[float]] = {name: [] for name in ADDRESSES}
    headers = {"Accept": "application/dicom+json"}
    for turn in range(repetitions + 1):
        for name, address in ADDRESSES.items():
            n = BASE + generator.randrange(studies)
            begun = time.perf_counter()
            answer = client.get(f"/dicom-web/{address.format(n=n)}", headers=headers, timeout=300)
            if turn:
                times[name].append((time.perf_counter() - begun) * 1000)
            if answer.status_code != 200 or not answer.json():
                raise AssertionError(f"{address}: {answer.status_code} {answer.text[:200]}")
    return {name: sorted(values)[len(values) // 2] for name, values in times.items()}
