"""The engine port's site side on FLARE: this site's key, its own policy, one process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil

from racoon.domain.plan import TrainingPlan
from racoon.learning.engine import EngineIdentity
from racoon.learning.extra import require_extra
from racoon.learning.flare import policy
from racoon.learning.flare.approvals import (
    APPROVALS_VARIABLE,
    Approval,
    Approvals,
    SecureSums,
    local_folder,
    progress_file,
)
from racoon.learning.flare.central_side import end_process, record_process, recorded_process, start_process
from racoon.learning.flare.certificates import load_or_make_key, make_request, write_credentials
from racoon.learning.masking import SUM_KEY, load_or_make_sum_key, public_text
from racoon.learning.spending import Purse
from racoon.learning.strategies import LocalTensors
from racoon.learning.weights import Weights
from racoon.platform.files import write_atomically


class FlareSite:
    """FLARE's site side.

    Parameters
    ----------
    folder
        Key, kit, approvals and process record; readable by the node only.
    site
        Site code; FLARE knows the site by it.
    peers
        Site → public key for secure sums, as this site's administrator entered them.
    minimum_sites
        Fewest sites of a secure sum.
    """

    def __init__(
        self, folder: Path, site: str, peers: Mapping[str, str] | None = None, minimum_sites: int = 3
    ) -> None:
        self.folder = folder.resolve()
        self.site = site
        self.approvals = Approvals(self.folder / "approvals")
        self._kit = self.folder / "kit"
        self._sums = SecureSums(site, self.folder / SUM_KEY, dict(peers or {}), minimum_sites)
        self._process: subprocess.Popen[bytes] | None = None

    def sum_key(self) -> str:
        """Return this site's public key for secure sums, for the administrators of the others."""
        return public_text(load_or_make_sum_key(self._sums.key))

    def request(self) -> str:
        """Make the site's key once and return its signing request, PEM."""
        return make_request(load_or_make_key(self._kit / "startup" / "client.key"), self.site)

    def install(self, identity: EngineIdentity) -> None:
        """Keep CENTRAL's answer and write the kit; policy and gates are the site's own."""
        require_extra("nvflare", "safetensors", "torch")
        startup, local = self._kit / "startup", self._kit / "local"
        write_credentials(startup, "client", identity.certificate_pem, identity.authority_pem)
        _write(startup / "fed_client.json", policy.site_startup(self.site, identity.address))
        _write(local / "resources.json", policy.site_resources(str(self.approvals.folder), self.site))
        _write(local / "authorization.json", policy.authorization())
        _write(local / "log_config.json", policy.log_configuration())
        (self._kit / "transfer").mkdir(exist_ok=True)
        _write(self.folder / "identity.json", identity.to_dict())

    def approve(self, plan: TrainingPlan, run_id: str, cases: Path, purse: Purse | None = None) -> None:
        """Let jobs with exactly this plan, signed by the installed signer, run on these prepared cases."""
        identity = EngineIdentity.from_dict(json.loads((self.folder / "identity.json").read_bytes()))
        self.approvals.grant(Approval(plan, (run_id,), identity.signer, cases.resolve(), purse, self._sums))

    def withdraw(self, plan_hash: str) -> None:
        """Let no further job with this plan begin."""
        self.approvals.withdraw(plan_hash)

    def refusals(self) -> list[dict[str, Any]]:
        """Return what the gates refused, oldest first, for the node's audit."""
        path = self.approvals.folder / "refusals.jsonl"
        if not path.exists():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def start(self) -> None:
        """Start the site's process, or keep the one started here; one that lost its parent is ended first."""
        if self.is_alive():
            return
        end_process(self.folder / "site.pid", None)
        self._process = start_process(
            "site", self._kit, self.site, **{APPROVALS_VARIABLE: str(self.approvals.folder)}
        )
        record_process(self.folder / "site.pid", self._process.pid)

    def is_alive(self) -> bool:
        """Tell whether the site's process that was started here lives."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process is not None

    def is_working(self) -> bool:
        """Tell whether a job process runs here now."""
        process = recorded_process(self.folder / "site.pid")
        if process is None:
            return False
        try:
            return any("worker_process" in " ".join(child.cmdline()) for child in process.children())
        except psutil.Error:
            return False

    def trained_rounds(self, run_id: str) -> list[dict[str, Any]]:
        """Return the facts of the rounds trained here in a run, oldest first; repeated ones once."""
        path = progress_file(self.approvals.folder, run_id)
        if not path.exists():
            return []
        facts = [
            json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")
        ]
        return [entry for _, entry in sorted({entry["round"]: entry for entry in facts}.items())]

    def local_tensors(self, plan: TrainingPlan, run_id: str) -> Weights:
        """Return the weights of a run that stayed here; none but with FedBN."""
        return LocalTensors(plan, local_folder(self.approvals.folder, run_id)).kept(plan.rounds)

    def stop(self) -> None:
        """Stop the site's process, its job processes and trainers."""
        end_process(self.folder / "site.pid", self._process)
        self._process = None


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(document, indent=1).encode(), mode=0o600)
