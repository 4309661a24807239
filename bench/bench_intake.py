"""Receiving CT slices durably, against Orthanc with its default, synced storage: slices a second and their ratio.

DCMTK's ``storescu`` sends to both, in turn, with one and with four senders; receivers and senders share the machine.
It costs both the same, so on few cores the ratio is nearer to 1 than that of the receivers alone.  Orthanc is synced:
one ``fdatasync`` for each instance, seen with strace; the name of that file is not synced, ours is.

    python bench/bench_intake.py                     300 slices
    python bench/bench_intake.py --instances 2000    the goal of issue B
    python bench/bench_intake.py --json
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pydicom

from tests.network.test_dicom_intake import Options, Settings, free_port, start
from tests.orthanc import AE_TITLE, running_orthanc
from tests.planted_identifiers import make_ct

GOAL = 1.0
SENDERS = (1, 4)
ROUNDS = 3

Count = Callable[[], int]


def write_slices(folder: Path, count: int) -> list[Path]:
    """Write CT slices of 512 by 512 with noise, each with its own UID, 100 a series."""
    folder.mkdir(parents=True)
    dataset = pydicom.dcmread(io.BytesIO(make_ct(planted=False).data))
    dataset.Rows = dataset.Columns = 512
    noise = np.random.default_rng(3).integers(0, 4096, (512, 512), dtype="<u2")
    paths = []
    for number in range(count):
        dataset.SOPInstanceUID = f"2.25.3.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.SeriesInstanceUID = f"2.25.4.{number // 100}"
        dataset.PixelData = np.roll(noise, number).tobytes()
        paths.append(folder / f"{number:05d}.dcm")
        dataset.save_as(paths[-1])
    return paths


def send(files: Sequence[Path], senders: int, title: str, port: int) -> float:
    """Send all files once; return slices a second from the first connection to the last release."""
    program = shutil.which("storescu", path="/usr/bin")
    if program is None:
        sys.exit("storescu is not installed: apt-get install dcmtk")
    command = [program, "-aec", title, "-aet", "SCANNER", "-pdu", "65536", "127.0.0.1", str(port)]
    environment = {**os.environ, "TCP_NODELAY": "1"}
    start_s = time.perf_counter()
    running = [
        subprocess.Popen(
            [*command, *map(str, files[part::senders])],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
        )
        for part in range(senders)
    ]
    for process in running:
        _, errors = process.communicate(timeout=600)
        if process.returncode:
            sys.exit(f"storescu failed: {errors.decode(errors='replace')[-500:]}")
    return len(files) / (time.perf_counter() - start_s)


@contextmanager
def our_listener(folder: Path) -> Iterator[tuple[str, int, Count]]:
    """Our listener alone: spooled and synced is what it acknowledges; the rest of a node works behind the queue."""
    listener = start(Settings(folder, Options(free_port())), "spawn")
    try:
        yield "RACOON", listener.port, lambda: sum(1 for _ in listener.spool.glob("*.dcm"))
    finally:
        listener.process.terminate()
        listener.process.join(20)


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[str, int, Count]]:
    """Orthanc as Debian ships it."""
    program = shutil.which("Orthanc")
    if program is None:
        sys.exit("Orthanc is not installed: apt-get install orthanc")
    with running_orthanc(program, folder, (free_port(), free_port())) as server:
        yield AE_TITLE, server.dicom_port, lambda: len(server.identifiers("instances"))


def measure(count: int) -> dict[str, object]:
    """Send to both in turn, each time into an empty folder."""
    receivers = {"racoon": our_listener, "orthanc": orthanc}
    rates: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="bench-intake-") as name:
        folder = Path(name)
        files = write_slices(folder / "slices", count)
        for turn in range(ROUNDS):
            for senders in SENDERS:
                for receiver, running in receivers.items():
                    place = folder / f"{receiver}-{senders}-{turn}"
                    with running(place) as (title, port, stored):
                        rates.setdefault((receiver, senders), []).append(send(files, senders, title, port))
                        found = stored()
                    if found != count:
                        sys.exit(f"{receiver} holds {found} of {count} acknowledged slices")
                    shutil.rmtree(place)
    result: dict[str, object] = {"instances": count, "rounds": ROUNDS}
    ratios = []
    for senders in SENDERS:
        mine, other = (statistics.median(rates[receiver, senders]) for receiver in receivers)
        ratios.append(mine / other)
        result[f"senders {senders}"] = {
            "racoon_per_s": round(mine, 1),
            "orthanc_per_s": round(other, 1),
            "ratio": round(mine / other, 2),
        }
    return {**result, "goal": GOAL, "met": min(ratios) >= GOAL}


def main() -> int:
    """Measure, print, and say by the exit code whether the goal was met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=300)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measure(arguments.instances)
    if arguments.json:
        print(json.dumps(found))
    else:
        for senders in SENDERS:
            row = found[f"senders {senders}"]
            assert isinstance(row, dict)
            print(
                f"{senders} sender(s): {row['racoon_per_s']}/s against Orthanc's {row['orthanc_per_s']}/s, "
                f"ratio {row['ratio']} (goal {GOAL})"
            )
    return 0 if found["met"] else 1


if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
