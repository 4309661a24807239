"""The gallery over a hundred thousand series: what the server takes for a window, and how it scrolls in Chromium.

The index is the one of ``bench_browse``; every hundredth subject withdrew, so that consent is asked for.
The server is another process.  Scrolling is measured in a real Chromium: the time between frames while the list moves
by fifteen rows a second and while it is thrown from one end to the other, and the processor time of the page by frame.

    python bench/bench_gallery.py                     100 000 series
    python bench/bench_gallery.py --series 20000 --no-browser --json
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import sqlalchemy as sa

from bench.bench_browse import fill
from bench.bench_qido import PASSWORD, ask, connected, percentile, sign_in
from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Pseudonym, Role
from racoon.node.archive import _store
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.archive.thumbnails import Thumbnails
from racoon.node.consent.model import basis_of
from racoon.node.consent.service import Consent
from racoon.node.curation import _tags
from racoon.node.curation.gallery import Gallery
from racoon.node.curation.http import router
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.platform.http import serving as http_server
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series

WINDOW_GOAL_MS = 100.0
"""What a person takes for at once."""

FRAME_GOAL_MS = 34.0
"""Thirty frames a second, on a processor that draws and serves too."""

OBJECT_KEY = "bench/1.dcm"

QUERIES = {
    "everything": "",
    "modality": "modality=MR",
    "two facets": "modality=CT&body_part=ABDOMEN",
    "with errors": "quality=error",
    "description": "text=1.0&modality=MR",
    "a tag": "tag=blurred",
    "a month": "day_from=20240201&day_to=20240331",
}

SCROLL = """async ([step, frames]) => {
    const stage = document.getElementById('stage');
    const times = [];
    let last = await new Promise(requestAnimationFrame), most = 0;
    for (let at = 0; at < frames; at++) {
        stage.scrollTop = step > 0 ? stage.scrollTop + step : stage.scrollHeight * Math.abs(Math.sin(at * 1.7));
        const now = await new Promise(requestAnimationFrame);
        times.push(now - last);
        last = now;
        most = Math.max(most, stage.querySelectorAll('.tile').length);
    }
    return { times, most };
}"""


def furnish(folder: str, series: int) -> tuple[str, int]:
    """Fill the node's database and folder; return the database's address and the number of subjects."""
    url = f"sqlite:///{folder}/node.sqlite"
    database = Database(url)
    create_all(database, "node")
    accounts = install_accounts(create_app("node", "0"), "node", database)
    accounts.create(database, "rita", PASSWORD, [Role.DATA_MANAGER])
    studies = fill(database, series)
    buffer = io.BytesIO()
    voxels = np.random.default_rng(1).integers(-1000, 1000, (1, 512, 512)).astype(np.int16)
    (image,) = ct_series(voxels)
    image.save_as(buffer, enforce_file_format=True)
    LocalFolder(Path(folder) / "objects").put_many([(OBJECT_KEY, buffer.getvalue())])
    table, tag = _store.instances, _tags.series_tag
    consent = Consent(database, AuditLog("node"))
    with database.begin() as connection:
        rows = connection.execute(
            sa.select(_store.series.c.id, _store.series.c.series_uid, _store.series.c.pseudonym)
        ).all()
        for start in range(0, len(rows), 5000):
            connection.execute(
                sa.insert(table),
                [_instance(row, len(buffer.getvalue())) for row in rows[start : start + 5000]],
            )
        tagged = [row for row in rows if row.id % 9 == 0]
        for start in range(0, len(tagged), 5000):
            connection.execute(
                sa.insert(tag),
                [
                    {
                        "tag": "blurred",
                        "series_uid": row.series_uid,
                        "pseudonym": row.pseudonym,
                        "given_by": "rita",
                        "given_at": clock.now(),
                    }
                    for row in tagged[start : start + 5000]
                ],
            )
        words = {"kind": "synthetic", "document": "invented people", "scope": "all", "approved_by": "A. Amt"}
        consent.record_basis(
            connection, basis_of({"study_id": ARCHIVE, **words}), actor="bench", actor_role="bench"
        )
        for subject in sorted({row.pseudonym for row in rows})[::100]:
            consent.withdraw(
                connection,
                Pseudonym(subject),
                "",
                reason="bench",
                source="manual",
                actor="bench",
                actor_role="bench",
            )
    database.dispose()
    return url, studies


def _instance(row: Any, size: int) -> dict[str, Any]:
    return {
        "sop_instance_uid": f"{row.series_uid}.1",
        "series_id": row.id,
        "sop_class_uid": "1.2.840.10008.5.1.4.1.1.2",
        "instance_number": 1,
        "rows": 512,
        "columns": 512,
        "frame_count": 1,
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "size_bytes": size,
        "sha256": f"{row.id:064x}",
        "object_key": OBJECT_KEY,
        "referenced_series_uid": "",
        "evidence": {},
    }


def serve(url: str, folder: str, port: int) -> None:
    """Be the server: the gallery and the archive's pictures with accounts, rights and consent, as a node has them."""
    database = Database(url)
    app = create_app("node", "0", login_path="/login")
    audit = AuditLog("node")
    install_accounts(app, "node", database, audit=audit)
    install_pages(app, site=Site("BENCH", "Bench"), navigation=())
    consent = Consent(database, audit)
    app.state.archive = Archive(
        database, LocalFolder(Path(folder) / "objects"), is_readable=consent.is_readable
    )
    app.state.audit = audit
    app.state.image_access = app.state.image_grants = ImageAccess(database, audit, lambda *_: True)
    app.state.thumbnails = Thumbnails(Path(folder) / "thumbnails")
    app.state.study_choices = list
    app.state.gallery = Gallery(database, audit, app.state.archive, consent.condition)
    app.include_router(archive_router)
    app.include_router(router)
    http_server.serve([http_server.Listener(app, "127.0.0.1", port)])


@contextmanager
def node_of(series: int) -> Iterator[tuple[int, psutil.Process]]:
    """Run a node of some size; give its port and its process."""
    with tempfile.TemporaryDirectory(prefix="racoon-gallery-") as folder:
        url, _ = furnish(folder, series)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        server = multiprocessing.get_context("spawn").Process(
            target=serve, args=(url, folder, port), daemon=True
        )
        server.start()
        try:
            yield port, psutil.Process(server.pid)
        finally:
            server.terminate()
            server.join(10)


def measure_server(port: int, repetitions: int, process: psutil.Process) -> dict[str, dict[str, float]]:
    """Ask for lists, facets and windows; p50 and p95 in milliseconds, and the server's processor time on average."""
    connection = connected(port)
    token = sign_in(connection)
    generator = random.Random(7)
    times: dict[str, list[float]] = {}
    work: dict[str, float] = {}

    def used_s() -> float:
        spent = process.cpu_times()
        return float(spent.user + spent.system)

    def timed(name: str, path: str) -> bytes:
        begun, before_s = time.perf_counter(), used_s()
        status, body = ask(connection, path, token)
        elapsed_ms = (time.perf_counter() - begun) * 1000
        if status != 200:
            raise AssertionError(f"{path}: {status} {body[:200]!r}")
        times.setdefault(name, []).append(elapsed_ms)
        work[name] = work.get(name, 0.0) + (used_s() - before_s) * 1000
        return body

    numbers: dict[str, int] = {}
    for name, query in QUERIES.items():
        for _ in range(repetitions):
            steps = json.loads(timed(f"list: {name}", f"/api/curation/gallery?{query}"))["ids"]
            timed(f"facets: {name}", f"/api/curation/gallery/facets?{query}")
        numbers[name] = len(steps)
        ids = np.cumsum([steps[0], *(-step for step in steps[1:])]).tolist()
        for _ in range(repetitions * 5):
            start = generator.randrange(max(1, len(ids) - 120))
            wanted = ",".join(map(str, ids[start : start + 120]))
            timed("window of 120", f"/api/curation/gallery/series?ids={wanted}")
    for turn in ("thumbnail, first time", "thumbnail, kept"):
        for number in range(1, 41):
            timed(
                turn,
                f"/dicom-web/studies/2.25.1.{number + 2}/series/2.25.1.{number + 2}.1/thumbnail?accept=image/jpeg",
            )
    return {
        name: {
            "p50": percentile(values, 0.5),
            "p95": percentile(values, 0.95),
            "processor": work[name] / len(values),
            "series": numbers.get(name.partition(": ")[2], 0),
        }
        for name, values in times.items()
    }


def measure_browser(port: int, pictures: Path | None) -> dict[str, float]:
    """Scroll in Chromium; times between frames, processor time by frame, tiles that exist, memory."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1600, "height": 900}, color_scheme="dark")
        page.goto(f"http://127.0.0.1:{port}/gallery")
        page.fill("[name=username]", "rita")
        page.fill("[name=password]", PASSWORD)
        page.click("main button")
        begun = time.perf_counter()
        page.wait_for_selector(".tile[aria-label*=CT], .tile[aria-label*=MR]")
        found: dict[str, float] = {"first tiles, s": time.perf_counter() - begun}
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        for name, step, frames in (("steady", 50, 400), ("thrown", 0, 120)):
            before = _metrics(session)
            measured = page.evaluate(SCROLL, [step, frames])
            after = _metrics(session)
            times = measured["times"]
            found |= {
                f"{name}: frame p50, ms": percentile(times, 0.5),
                f"{name}: frame p95, ms": percentile(times, 0.95),
                f"{name}: page's own work by frame, ms": 1000
                * (after["TaskDuration"] - before["TaskDuration"])
                / frames,
                f"{name}: script by frame, ms": 1000
                * (after["ScriptDuration"] - before["ScriptDuration"])
                / frames,
                f"{name}: tiles at most": measured["most"],
            }
        page.wait_for_timeout(3000)
        found["script heap, MB"] = _metrics(session)["JSHeapUsedSize"] / 2**20
        found["elements of the page"] = _metrics(session)["Nodes"]
        if pictures is not None:
            pictures.mkdir(parents=True, exist_ok=True)
            page.screenshot(path=pictures / "gallery-dark.png")
        browser.close()
    return found


def _metrics(session: Any) -> dict[str, float]:
    return {item["name"]: item["value"] for item in session.send("Performance.getMetrics")["metrics"]}


def main(argv: list[str] | None = None) -> int:
    """Fill, serve, ask, scroll, print; the exit code says whether the goals are kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--series", type=int, default=100_000)
    parser.add_argument("--repetitions", type=int, default=10)
    parser.add_argument("--no-browser", action="store_true")
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with node_of(options.series) as (port, process):
        server = measure_server(port, options.repetitions, process)
        browser = {} if options.no_browser else measure_browser(port, options.pictures)
    met = server["window of 120"]["p95"] <= WINDOW_GOAL_MS
    met = met and browser.get("steady: page's own work by frame, ms", 0.0) <= FRAME_GOAL_MS
    if options.json:
        rows = {name: {key: round(value, 1) for key, value in row.items()} for name, row in server.items()}
        shown = {name: round(value, 2) for name, value in browser.items()}
        print(
            json.dumps({"series": options.series, "server_ms": rows, "browser": shown, "met": met}, indent=1)
        )
    else:
        print(
            f"gallery, {options.series} series; goals: window p95 {WINDOW_GOAL_MS:.0f} ms, frame {FRAME_GOAL_MS:.0f} ms"
        )
        for name, row in server.items():
            print(
                f"  {name:24s} p50 {row['p50']:7.1f} ms  p95 {row['p95']:7.1f} ms"
                f"  processor {row['processor']:6.1f} ms  {row['series']:8.0f} series"
            )
        for name, value in browser.items():
            print(f"  {name:44s} {value:9.2f}")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
