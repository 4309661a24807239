"""What people do in the demo's study, step by step, through the public API of CENTRAL and the nodes.

Every step looks at the state first and does only what is missing, so the walk goes on after any interruption.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from racoon.client import CentralClient, NodeClient, ServerProblem, ServerSilent
from racoon.demo.participants import Participant
from racoon.errors import Defect

POLL_S = 0.25

_PAUSE = threading.Event()

SITE_STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("diz_check", "diz", {"legal_basis": "invented patients; demonstration only", "effort": "none"}),
    ("uac_vote", "committee", {"vote": "yes"}),
    ("local_ethics", "informatician", {"ethics_vote": "acceptance of the lead vote DEMO-2026-001"}),
    ("dpo_ok", "dpo", {"data_protection": "no identifiable data leave the site"}),
    ("contract_signed", "informatician", {"contract": "DEMO-CONTRACT-1"}),
    ("opted_in", "informatician", {}),
)
"""Target state, who takes the step, and what is handed in: from the request to taking part."""

RELEASE_STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("data_ready", "informatician", {}),
    ("released", "diz", {}),
)

STUDY_STEPS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("submitted", "pi", {"signature": "Principal investigator of the demo"}),
    ("formal_check", "office", {}),
    ("ethics", "office2", {"checklist": {"initial": True, "depth": True, "ethics": True}}),
)


class StepFailed(Defect):
    """A step of the demo did not reach its goal in time."""

    code: ClassVar[str] = "demo.step_failed"


class Walk:
    """The people of the demo.

    Parameters
    ----------
    central, nodes
        Servers of the network.
    passwords
        Password by login name.
    say
        Prints one line of progress.
    """

    def __init__(
        self,
        central: Participant,
        nodes: list[Participant],
        passwords: dict[str, str],
        say: Callable[[str], None],
    ) -> None:
        self._central = central
        self._nodes = {node.name: node for node in nodes}
        self._passwords = passwords
        self._say = say
        self._connections: dict[tuple[str, str], CentralClient | NodeClient] = {}

    def central(self, login: str) -> CentralClient:
        """Return CENTRAL as a person sees it."""
        client = self._connection("CENTRAL", login)
        assert isinstance(client, CentralClient)
        return client

    def node(self, site: str, login: str) -> NodeClient:
        """Return a node as a person sees it."""
        client = self._connection(site, login)
        assert isinstance(client, NodeClient)
        return client

    def record_bases(self, study_id: str, sites: list[str]) -> None:
        """Let each site record what it relies on: its people are invented, and nothing is read without a basis."""
        for site in sites:
            self._call(
                lambda site=site: self.node(site, "diz").record_basis(  # type: ignore[misc]  # bound per turn
                    study_id,
                    kind="synthetic",
                    document="demonstration with invented people",
                    scope="all images of this site",
                    approved_by="Data integration centre of the demo",
                )
            )

    def create_study(self, definition: dict[str, Any]) -> str:
        """Create the study unless it is there already; returns its id."""
        with patience():
            studies = self.central("pi").get("/api/studies")
        for study in studies:
            if study["title"] == definition["title"]:
                return str(study["study_id"])
        return str(self._call(lambda: self.central("pi").create_study(definition))["study_id"])

    def count(self, study_id: str) -> dict[str, Any]:
        """Ask all sites for protected counts."""
        return self.run(study_id, "count", "pi", timeout_s=120)

    def to_site_voting(self, study_id: str, sites: list[str]) -> None:
        """Submit, check, request sites, hand in the ethics vote."""
        for target, login, artefacts in STUDY_STEPS:
            self._study_step(study_id, target, login, artefacts)
        study = self._call(lambda: self.central("office").study(study_id))
        if study["state"] == "ethics":
            self._call(lambda: self.central("office").request_sites(study_id, sites))
            vote = {
                "ethics_vote": {
                    "number": "DEMO-2026-001",
                    "committee": "Demo committee",
                    "date": "2026-01-15",
                }
            }
            self._study_step(study_id, "site_voting", "office", vote)

    def decide_at_sites(
        self, study_id: str, sites: list[str], steps: tuple[tuple[str, str, dict[str, Any]], ...]
    ) -> None:
        """Let each site's own people take their steps."""
        if any(target == "diz_check" for target, _, _ in steps):
            self.record_bases(study_id, sites)
        for site in sites:
            for target, login, artefacts in steps:
                self._site_step(site, study_id, target, login, artefacts)
            self._say(f"{site}: {steps[-1][0]}")

    def to_active(self, study_id: str, sites: list[str]) -> None:
        """Contracts, preparation, start; waits until CENTRAL has stored every site's signed decision."""
        wait_for(
            lambda: (
                self._tracks(study_id, sites) >= {"opted_in"}
                and all(
                    state in ("opted_in", "data_ready", "released") for state in self._tracks(study_id, sites)
                )
            ),
            "every site's signed decision is stored at CENTRAL",
        )
        self._study_step(study_id, "contracting", "office", {"contract_draft": "DEMO-CONTRACT-1"})
        self._study_step(study_id, "preparing", "office2", {"contract": "DEMO-CONTRACT-1"})
        self._study_step(study_id, "active", "office", {"protocol_version": "1"})

    def release(self, study_id: str, sites: list[str]) -> None:
        """Let each site release its frozen dataset, and wait until CENTRAL knows."""
        self.decide_at_sites(study_id, sites, RELEASE_STEPS)
        wait_for(
            lambda: self._tracks(study_id, sites) == {"released"}, "every site's release is stored at CENTRAL"
        )

    def finish(self, study_id: str, freeze: str) -> None:
        """Move the study to analysis and close it."""
        self._study_step(study_id, "analysis", "pi", {"freeze": freeze})

    def run(self, study_id: str, kind: str, login: str = "pi", timeout_s: float = 900) -> dict[str, Any]:
        """Start a run, or find the one that goes on, and wait for its end."""
        with patience():
            runs = self.central(login).get(f"/api/studies/{study_id}/runs")
        run_id = next((str(run["run_id"]) for run in runs if run["kind"] == kind), None)
        if run_id is None:
            run_id = self._call(lambda: self._start(study_id, kind, login))
        last: list[str] = []

        def ended() -> dict[str, Any] | None:
            run = self.central(login).run(run_id)
            line = ", ".join(f"{job['site']} {job['state']}" for job in run["jobs"])
            if [line] != last:
                last[:] = [line]
                self._say(f"{kind}: {line}")
            return run if run["state"] not in ("open", "running", "created", "offered") else None

        finished: dict[str, Any] = wait_for(ended, f"the run '{kind}' ends", timeout_s)
        return finished

    def _start(self, study_id: str, kind: str, login: str) -> str:
        if kind == "analysis":
            return self.central(login).start_analysis(study_id)
        return str(self.central(login).start_run(study_id, kind)["run_id"])

    def _tracks(self, study_id: str, sites: list[str]) -> set[str]:
        study = self.central("office").study(study_id)
        return {row["state"] for row in study["sites"] if row["site"] in sites}

    def _study_step(self, study_id: str, target: str, login: str, artefacts: dict[str, Any]) -> None:
        study = self._call(lambda: self.central(login).study(study_id))
        if target in study["next_states"]:
            self._call(lambda: self.central(login).transition(study_id, target, study["version"], artefacts))
            self._say(f"study: {target}")

    def _site_step(
        self, site: str, study_id: str, target: str, login: str, artefacts: dict[str, Any]
    ) -> None:
        def known() -> dict[str, Any] | None:
            return next((s for s in self.node(site, login).studies() if s["study_id"] == study_id), None)

        study = wait_for(known, f"the study reaches {site}")
        if target == "data_ready":
            study = wait_for(
                lambda: (s := known()) and (s if s["dataset_hash"] else None), f"{site} froze its dataset"
            )
        if target in study["next_states"]:
            self._call(lambda: self.node(site, login).decide(study_id, target, study["version"], artefacts))

    def _call(self, step: Callable[[], Any]) -> Any:
        """Do something that may find the server just restarting, or already having done it."""
        for attempt in range(120):
            try:
                return step()
            except ServerSilent:
                self._connections.clear()
                if attempt == 119:
                    raise
                _PAUSE.wait(POLL_S * 2)
            except ServerProblem as problem:
                if problem.http_status == 401 and attempt < 119:
                    self._connections.clear()
                    continue
                if problem.http_status == 409 and attempt > 0:
                    return {}
                raise
        return {}

    def _connection(self, name: str, login: str) -> CentralClient | NodeClient:
        key = (name, login)
        if key not in self._connections:
            participant = self._central if name == "CENTRAL" else self._nodes[name]
            client: CentralClient | NodeClient
            client = CentralClient(participant.url) if name == "CENTRAL" else NodeClient(participant.url)
            client.login(login, self._passwords[login])
            self._connections[key] = client
        return self._connections[key]


def wait_for(condition: Callable[[], Any], goal: str, timeout_s: float = 120.0) -> Any:
    """Ask again until the condition holds; a server that restarts meanwhile is waited for.

    Raises
    ------
    StepFailed
        When the time is over.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            if answer := condition():
                return answer
        except ServerSilent:
            pass
        if time.monotonic() > deadline:
            raise StepFailed(f"Waited {timeout_s:.0f} s in vain until {goal}. The logs folder tells more.")
        _PAUSE.wait(POLL_S)


@contextmanager
def patience() -> Iterator[None]:
    """Name the server's silence as what it is for the demo."""
    try:
        yield
    except ServerSilent as error:
        raise StepFailed(f"{error.public_message} The logs folder tells more.") from error
