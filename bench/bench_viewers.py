"""Time to the first image of a 300-slice CT: the reading room beside OHIF, from one node, after one login.

Both are opened in turns in a real Chromium without a GPU.  "Cold" is a browser that never saw the program, "warm" one
that has its files already.  The first image is the first canvas with more than a few levels of grey.

    python bench/bench_viewers.py            needs `make viewer` and `make ohif`
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.http import second_viewer
from racoon.node.reading.http._page import is_room_built
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.platform.http import serving as http_server
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_slice, deidentified, uid
from tests.network.test_dicom_intake import free_port

PASSWORD = "a long enough password"  # noqa: S105 - of an account that lives as long as this script
SLICES, SIZE = 300, 512
GOAL = 0.5
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
FIRST_IMAGE = """() => [...document.querySelectorAll('canvas')].some((canvas) => {
    if (canvas.width < 200 || canvas.height < 200) return false;
    const small = new OffscreenCanvas(64, 64).getContext('2d');
    small.drawImage(canvas, 0, 0, 64, 64);
    const grey = small.getImageData(0, 0, 64, 64).data.filter((_, at) => at % 4 === 0);
    return new Set(grey).size > 8;
})"""
LIMIT_S = 120.0


def fill(archive: Archive) -> None:
    """Store one series of a body with noise; no two slices are alike."""
    generator = np.random.default_rng(7)
    row, column = np.mgrid[:SIZE, :SIZE] / SIZE - 0.5
    body = np.where((row / 0.4) ** 2 + (column / 0.46) ** 2 <= 1, 40, -1000)
    for start in range(0, SLICES, 50):
        planes = (body + generator.integers(-60, 60, (50, SIZE, SIZE))).astype(np.int16)
        made = [
            ct_slice(plane, (-180.0, -180.0, float(start + index)), number=start + index + 1)
            for index, plane in enumerate(planes)
        ]
        archive.store([deidentified(item) for item in made])


def serve(url: str, folder: str, port: int) -> None:
    """Be the node: archive and reading room with accounts."""
    database = Database(url)
    app = create_app("node", "0", login_path="/login")
    app.state.audit = AuditLog("node")
    install_accounts(app, "node", database, audit=app.state.audit)
    app.state.archive = Archive(database, LocalFolder(Path(folder) / "objects"))
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(app, site=Site("BENCH", "Bench"), navigation=())
    http_server.serve([http_server.Listener(app, "127.0.0.1", port)])


def first_image_s(page: Any, address: str, being_exchanged: type[Exception]) -> float:
    """Open an address and wait for the first image."""
    begun = time.perf_counter()
    page.goto(address, wait_until="commit")
    while time.perf_counter() - begun < LIMIT_S:
        try:
            if page.evaluate(FIRST_IMAGE):
                return time.perf_counter() - begun
        except being_exchanged:
            continue
        page.wait_for_timeout(10)
    raise AssertionError(f"no image within {LIMIT_S:.0f} s at {address}")


def measure(base: str, rounds: int) -> dict[str, list[float]]:
    """Open both viewers in turns, each round in a browser that knows neither."""
    from playwright.sync_api import Error, sync_playwright

    addresses = {
        "room": f"{base}/reading/series/{uid(1, 1)}",
        "OHIF": f"{base}{second_viewer.address_of(uid(1), uid(1, 1))}",
    }
    times: dict[str, list[float]] = {
        f"{name}, {state}": [] for name in addresses for state in ("cold", "warm")
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        for turn in range(rounds):
            for name in sorted(addresses, reverse=bool(turn % 2)):
                context = browser.new_context(viewport={"width": 1366, "height": 768})
                page = context.new_page()
                page.goto(f"{base}/login")
                page.fill("[name=username]", "reader")
                page.fill("[name=password]", PASSWORD)
                page.click("main button")
                for state in ("cold", "warm"):
                    times[f"{name}, {state}"].append(first_image_s(page, addresses[name], Error))
                    page.goto("about:blank")
                context.close()
        browser.close()
    return times


def main(argv: list[str] | None = None) -> int:
    """Fill, serve, open, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    if not (is_room_built() and second_viewer.is_installed()):
        print("not run: needs `make viewer` and `make ohif`")
        return 0
    with tempfile.TemporaryDirectory(prefix="racoon-viewers-") as folder:
        url = f"sqlite:///{folder}/node.sqlite"
        database = Database(url)
        create_all(database, "node")
        app = create_app("node", "0")
        install_accounts(app, "node", database).create(database, "reader", PASSWORD, [Role.READER])
        fill(Archive(database, LocalFolder(Path(folder) / "objects")))
        database.dispose()
        port = free_port()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(url, folder, port))
        server.start()
        try:
            http_ready(port)
            times = measure(f"http://127.0.0.1:{port}", options.rounds)
        finally:
            server.terminate()
            server.join(20)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios = {state: medians[f"room, {state}"] / medians[f"OHIF, {state}"] for state in ("cold", "warm")}
    if options.json:
        print(json.dumps({"median_s": medians, "ratio": ratios, "goal": GOAL}))
    else:
        print(f"first of {SLICES} slices, median of {options.rounds}; goal at most {GOAL} x OHIF's time")
        for name, value in medians.items():
            print(f"  {name:12s} {value:6.2f} s  ({min(times[name]):.2f} to {max(times[name]):.2f})")
        for state, ratio in ratios.items():
            print(f"  {state}: {ratio:.2f} x OHIF's time")
    return 0 if max(ratios.values()) <= GOAL else 1


def http_ready(port: int) -> None:
    """Wait until the server answers."""
    from bench.bench_qido import connected

    connected(port).close()


if __name__ == "__main__":
    sys.exit(main())
