"""Kills and freezes processes of a running demo at chosen moments, by reading what the demo says it is doing."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil

from racoon.platform.supervise import read_pids

PHASES = {
    "arriving": "all servers are ready",
    "deciding": "study: submitted",
    "measuring": "measure:",
    "training": "training:",
}
"""Line of the demo's progress at which a phase has begun."""

KINDS = (
    ("CENTRAL", "supervisor"),
    ("CENTRAL", "http"),
    ("CENTRAL", "worker"),
    ("ALPHA", "supervisor"),
    ("ALPHA", "http"),
    ("BRAVO", "worker"),
    ("CHARLIE", "dicom"),
    ("BRAVO", "pacs"),
)
"""Every kind of process of the demo without training."""

TRAINING_KINDS = (
    ("CENTRAL", "engine-server"),
    ("BRAVO", "engine-site"),
    ("CHARLIE", "trainer"),
    ("ALPHA", "worker"),
    ("CENTRAL", "worker"),
)
"""Kinds that matter while a network is trained."""

_COMMANDS = {
    "pacs": "racoon.demo.pacs",
    "engine-server": "racoon.learning.flare.process server",
    "engine-site": "racoon.learning.flare.process site",
    "trainer": "racoon.learning.train_process",
}


@dataclass(frozen=True)
class Blow:
    """What happens when: in a phase, after a pause, a process is killed or frozen for some seconds."""

    phase: str
    participant: str
    kind: str
    pause_s: float
    frozen_s: float = 0.0

    def __str__(self) -> str:
        """Say it in words."""
        what = f"freeze for {self.frozen_s:.0f} s" if self.frozen_s else "kill -9"
        return f"{what} {self.participant} {self.kind} {self.pause_s:.1f} s into '{self.phase}'"


def draw_blows(seed: int, phases: tuple[str, ...]) -> list[Blow]:
    """Draw one blow per phase; over many seeds every kind is hit in every phase."""
    rng = random.Random(seed)
    blows = []
    for number, phase in enumerate(phases):
        kinds = TRAINING_KINDS if phase == "training" else KINDS
        usable = [kind for kind in kinds if phase == "arriving" or kind[1] != "pacs"]
        participant, kind = usable[(seed + number * 3) % len(usable)]
        # A federation needs some seconds to gather; a blow may fall before, in, or between its rounds.
        longest_s = 20.0 if kind.startswith("engine") else 2.0
        blows.append(Blow(phase, participant, kind, rng.uniform(0.0, longest_s)))
    return blows


class Chaos(threading.Thread):
    """Delivers blows to a demo while it runs; ``delivered`` says which ones hit a living process."""

    def __init__(self, folder: Path, log: Path, blows: list[Blow]) -> None:
        super().__init__(name="chaos", daemon=True)
        self._folder = folder
        self._log = log
        self._blows = blows
        self._stop_asked = threading.Event()
        self.delivered: list[str] = []

    def run(self) -> None:
        """Wait for each blow's phase and strike."""
        for blow in self._blows:
            while PHASES[blow.phase] not in self._log.read_text(errors="replace"):
                if self._stop_asked.wait(0.05):
                    return
            # Some processes begin late in a phase, others live only for moments.
            while self._find(blow) is None:
                if self._stop_asked.wait(0.1):
                    return
            if self._stop_asked.wait(blow.pause_s):
                return
            while not self._strike(blow):
                if self._stop_asked.wait(0.1):
                    return

    def end(self) -> None:
        """Stop waiting."""
        self._stop_asked.set()
        self.join(60)

    def _strike(self, blow: Blow) -> bool:
        pid = self._find(blow)
        if pid is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            if blow.frozen_s:
                os.kill(pid, signal.SIGSTOP)
                self._stop_asked.wait(blow.frozen_s)
                os.kill(pid, signal.SIGCONT)
            else:
                os.kill(pid, signal.SIGKILL)
            self.delivered.append(str(blow))
            return True
        return False

    def _find(self, blow: Blow) -> int | None:
        if blow.kind not in _COMMANDS:
            return read_pids(self._folder / blow.participant.lower() / "data" / "run").get(blow.kind)
        place = f"/{blow.participant.lower()}/"
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if _COMMANDS[blow.kind] in words and str(self._folder) in words:
                if blow.kind == "pacs" and f"PACS_{blow.participant}" not in words:
                    continue
                if blow.kind != "pacs" and place not in words:
                    continue
                return int(process.pid)
        return None


def numbers_of(summary: dict[str, object]) -> str:
    """Everything of a summary that must not depend on what was killed when."""
    return json.dumps(
        {key: summary[key] for key in ("instances_sent", "instances_archived", "measuring")}, sort_keys=True
    )
