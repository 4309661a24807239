"""The demo from end to end: write the country, start the servers, send images, walk a study, show the result."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from rich.console import Console

from racoon.client import CentralClient, NodeClient
from racoon.demo.analysis import study_definition
from racoon.demo.cleaning import forget_pid, write_pid
from racoon.demo.country import Country, load_country, plan_institutions, write_country
from racoon.demo.participants import (
    CENTRAL,
    Participant,
    accounts,
    passwords,
    plan_participants,
    write_configuration,
)
from racoon.demo.ports import Ports
from racoon.demo.processes import MemoryMeter, Processes, tree_memory_mb
from racoon.demo.records import Progress
from racoon.demo.refusal import DemoRefused
from racoon.demo.walk import SITE_STEPS, Walk, wait_for
from racoon.demo.writing import CountryWriter

MOST_SITES = 38
_PAUSE = threading.Event()

OWN_ARCHIVE = "site:archive"
"""A site's legal basis for keeping and looking at images, for no study in particular."""

AT_ONCE = 2
"""Nodes that enrol, or PACS that send, at the same time: as many as this machine is assumed to have cores."""


@dataclass(frozen=True)
class Options:
    """How the demo runs; the fields are the command's flags."""

    sites: int = 3
    seed: int = 1
    headless: bool = False
    light: bool = False
    data: Path | None = None
    folder: Path = Path("demo-data")
    json: bool = False


def run(options: dict[str, Any]) -> dict[str, Any]:
    """Run the demo; interactive runs return when the user presses Ctrl-C.

    Parameters
    ----------
    options
        Fields of :class:`Options`.

    Returns
    -------
    dict
        The summary: counts, pooled measurements, scores, the report's path, time and memory.
    """
    chosen = Options(**options)
    if not 1 <= chosen.sites <= MOST_SITES:
        raise DemoRefused(f"The network has 1 to {MOST_SITES} sites.")
    if not chosen.light:
        _check_learning()
    folder = chosen.folder.resolve()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    begun = time.monotonic()

    def say(text: str) -> None:
        console.print(f"[dim]{time.monotonic() - begun:6.1f} s[/dim]  {text}")

    meter = MemoryMeter()
    processes = Processes(folder / "logs")
    ports = Ports()
    write_pid(folder)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    network: _Network | None = None
    try:
        network = _Network(chosen, folder, processes, ports, say)
        network.start()
        summary = network.walk_study(begun, meter)
        (folder / "summary.json").write_text(json.dumps(summary, indent=1), encoding="utf-8")
        if not chosen.headless:
            network.invite(console, summary)
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            say("stopping")
        return summary
    finally:
        processes.stop()
        if network is not None:
            network.abandon()
        meter.stop()
        ports.close()
        signal.signal(signal.SIGTERM, previous)
        forget_pid(folder)


class _Network:
    """The servers of one demo run and the people who use them."""

    def __init__(
        self, options: Options, folder: Path, processes: Processes, ports: Ports, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._ports = ports
        self._folder = folder
        self._processes = processes
        self._say = say
        self._passwords = passwords(folder)
        self._institutions = (
            load_country(folder / "country").sites
            if self._is_written()
            else plan_institutions(sites=options.sites, light=options.light, source=options.data)
        )
        self._sites = [site.code for site in self._institutions]
        self._writer = CountryWriter(
            self._write_country, lambda done, total, case: say(f"{case}: {done} of {total}")
        )
        participants = plan_participants(folder, self._sites, ports)
        self._central, self._nodes = participants[0], participants[1:]
        self._walk = Walk(self._central, self._nodes, self._passwords, say)
        self._idle_memory: dict[str, int] = {}

    @property
    def _country(self) -> Country:
        return self._writer.result()

    def start(self) -> None:
        """Write configurations, start CENTRAL, enrol and start the nodes; meanwhile the country is written."""
        self._writer.start()
        engine_port, engine_admin_port = self._ports.reserve(9500), self._ports.reserve(9501)
        names = {site.code: site.name for site in self._institutions}
        for participant in (self._central, *self._nodes):
            if not participant.config.exists():
                write_configuration(
                    participant, names.get(participant.name, ""), (engine_port, engine_admin_port)
                )
        self._say("CENTRAL starts")
        self._make_accounts(self._central)
        self._serve(self._central)
        self._wait_ready([self._central])
        admin = self._walk.central("admin")
        known = {site["code"]: site for site in admin.sites()}
        for site in self._institutions:
            if site.code not in known:
                admin.add_site(site.code, site.name, site.city)
        self._say(f"{len(self._nodes)} nodes enrol and start")
        codes = {node.name: admin.join_code(node.name) for node in self._nodes if not node.is_enrolled}
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda node: self._open(node, codes.get(node.name)), self._nodes))
        self._wait_ready(self._nodes)
        self._idle_memory = tree_memory_mb(self._processes.pids())
        self._say("all servers are ready: mutual TLS, one outgoing line per node")

    def abandon(self) -> None:
        """Stop writing the country if it still is."""
        self._writer.stop()

    def walk_study(self, begun: float, meter: MemoryMeter) -> dict[str, Any]:
        """Send the images, then take the study from concept to result."""
        self._walk.record_bases(OWN_ARCHIVE, self._sites)
        sent = self._send_images()
        definition = study_definition(self._country, with_training=not self._options.light)
        sites = self._sites
        study_id = self._walk.create_study(definition)
        counted = self._walk.count(study_id)
        self._walk.to_site_voting(study_id, sites)
        self._walk.decide_at_sites(study_id, sites, SITE_STEPS)
        self._walk.to_active(study_id, sites)
        self._walk.run(study_id, "freeze")
        self._walk.release(study_id, sites)
        self._walk.run(study_id, "measure")
        self._walk.run(study_id, "analysis")
        if definition.get("training"):
            self._walk.run(study_id, "training", timeout_s=1800)
        self._walk.finish(study_id, "all datasets frozen")
        return self._summary(study_id, sent, counted, begun, meter)

    def invite(self, console: Console, summary: dict[str, Any]) -> None:
        """Print where to look and what to click first."""
        study = f"{self._central.url}/studies/{summary['study_id']}"
        console.print("\n[bold]The network is running.[/bold] Research use only: not a medical device.\n")
        console.print(f"  1. The study and its result   {study}")
        console.print(f"     sign in as                 pi / {self._passwords['pi']}")
        console.print(f"  2. The report as one file     {summary['report']}")
        node = self._nodes[0]
        console.print(f"  3. A hospital's own pages     {node.url}   ({node.name})")
        console.print(f"     sign in as                 informatician / {self._passwords['informatician']}")
        console.print(f"     or as                      radiologist / {self._passwords['radiologist']}")
        console.print(
            f"\n  All servers: {', '.join(f'{p.name} {p.url}' for p in (self._central, *self._nodes))}"
        )
        console.print(f"  All logins:  {self._folder / 'logins.json'}")
        console.print("\n  Ctrl-C stops everything; racoon demo clean removes it.")

    def _is_written(self) -> bool:
        return (self._folder / "country" / "country.json").exists()

    def _write_country(self, progress: Progress) -> Country:
        options = self._options
        if self._is_written():
            return load_country(self._folder / "country")
        source = "your images" if options.data else "an invented country"
        self._say(f"writing {source}")
        return write_country(
            self._folder / "country",
            sites=options.sites,
            seed=options.seed,
            light=options.light,
            source=options.data,
            progress=progress,
        )

    def _make_accounts(self, participant: Participant) -> None:
        arguments = ["racoon", participant.role, "account", "import", "--config", str(participant.config)]
        people = accounts(participant, self._passwords)
        self._processes.call(f"{participant.name} accounts", arguments, text=people)

    def _open(self, node: Participant, join_code: str | None) -> None:
        """Enrol a node with its people, unless it is enrolled, and start it."""
        if join_code is not None:
            arguments = ["racoon", "node", "enrol", "--config", str(node.config), "--join-code", join_code]
            self._processes.call(
                f"{node.name} enrolment",
                [*arguments, "--accounts-from-stdin"],
                text=accounts(node, self._passwords),
            )
        self._serve(node)

    def _serve(self, participant: Participant) -> None:
        arguments = ["racoon", participant.role, "serve", "--config", str(participant.config)]
        self._processes.serve(participant.name, arguments)

    def _wait_ready(self, participants: list[Participant]) -> None:
        for participant in participants:
            client = (CentralClient if participant.name == CENTRAL else NodeClient)(participant.url)
            with client:
                wait_for(client.is_ready, f"{participant.name} is ready", 90)

    def _send_images(self) -> int:
        """Let each hospital's PACS send to its node by C-STORE, and wait until everything is processed."""
        waiting = list(self._nodes)
        running: dict[str, Any] = {}
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                node = waiting.pop(0)
                running[node.name] = self._processes.start_tool(
                    f"pacs-{node.name.lower()}", self._pacs_arguments(node)
                )
            for name, process in list(running.items()):
                if (code := process.poll()) is not None:
                    del running[name]
                    if code != 0:
                        # The PACS is a process like any other: killed, it begins where it stopped.
                        waiting.append(next(node for node in self._nodes if node.name == name))
            _PAUSE.wait(0.1)
        self._say("all PACS have sent everything")
        sent = sum(self._sent(node) for node in self._nodes)
        for node in self._nodes:
            self._wait_processed(node)
        self._say(f"{sent} instances sent, de-identified, archived or set aside")
        return sent

    def _wait_processed(self, node: Participant) -> None:
        def is_done() -> bool:
            return bool(self._walk.node(node.name, "informatician").intake()["waiting"] == 0)

        wait_for(is_done, f"{node.name} has processed what it received", 600)

    def _pacs_arguments(self, node: Participant) -> list[str]:
        return [
            "racoon.demo.pacs",
            "--folder",
            str(self._country.folder / "pacs" / node.name),
            "--host",
            "127.0.0.1",
            "--port",
            str(node.second_port),
            "--calling",
            f"PACS_{node.name}"[:16],
            "--called",
            node.name,
            "--done-file",
            str(self._done_file(node)),
            "--json",
        ]

    def _done_file(self, node: Participant) -> Path:
        return self._folder / "logs" / f"pacs-{node.name.lower()}.done"

    def _sent(self, node: Participant) -> int:
        path = self._done_file(node)
        return len(set(path.read_text().split())) if path.exists() else 0

    def _summary(
        self, study_id: str, sent: int, counted: dict[str, Any], begun: float, meter: MemoryMeter
    ) -> dict[str, Any]:
        results = self._walk.central("pi").results(study_id)
        reports = self._folder / "report"
        reports.mkdir(exist_ok=True)
        for language in ("en", "de"):
            (reports / f"report.{language}.html").write_bytes(
                self._walk.central("pi").report(study_id, language)
            )
        (reports / "results.csv").write_bytes(self._walk.central("pi").results_csv(study_id))
        intake = {node.name: self._walk.node(node.name, "informatician").intake() for node in self._nodes}
        training = results.get("training")
        return {
            # A hospital for unseen cases and the pool node have nodes too, but are no sites of the study.
            "sites": sum(site.purpose == "training" for site in self._country.sites),
            "nodes": len(self._nodes),
            "seconds": round(time.monotonic() - begun, 1),
            "peak_rss_mb": round(meter.peak_rss_mb),
            "peak_pss_mb": round(meter.peak_pss_mb),
            "node_idle_pss_mb": self._idle_memory,
            "node_pss_mb": tree_memory_mb(self._processes.pids()),
            "restarts": self._processes.restarts,
            "instances_sent": sent,
            "instances_archived": sum(_total(item, "archived") for item in intake.values()),
            "instances_quarantined": sum(_total(item, "quarantined") for item in intake.values()),
            "feasibility": counted.get("summary") or counted.get("total"),
            "measuring": [
                {
                    "biomarker": row["key"],
                    "unit": row["unit"],
                    "n": row["n"],
                    "mean": row["mean"],
                    "sd": row["sd"],
                    "suppressed_sites": row["suppressed_sites"],
                }
                for row in results["measuring"]
            ],
            "training": training
            and {
                key: training[key]
                for key in ("federated_dice", "pooled_dice", "local_dice", "baseline_dice", "rounds")
            },
            "study_id": study_id,
            "data_origin": self._country.kind,
            "report": str(reports / "report.en.html"),
            "csv": str(reports / "results.csv"),
            "research_use_only": True,
        }


def _total(intake: dict[str, Any], count: str) -> int:
    return sum(int(day[count]) for day in intake["days"])


def _check_learning() -> None:
    if find_spec("torch") is None or find_spec("nvflare") is None:
        raise DemoRefused(
            'The full demo trains a network and needs the extra: pip install "racoon[learning]". '
            "Without it, run: racoon demo --light"
        )


def _interrupt(_number: int, _frame: object) -> None:
    sys.exit(143)
