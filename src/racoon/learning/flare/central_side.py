"""The engine port's CENTRAL side on FLARE: one server process, one signed-in job signer."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from racoon.learning.engine import (
    EngineAddress,
    EngineIdentity,
    EngineJob,
    EngineRefused,
    EngineUnavailable,
    JobState,
    JobStatus,
)
from racoon.learning.extra import require_extra
from racoon.learning.flare import policy
from racoon.learning.flare.certificates import EngineAuthority, load_or_make_key, write_credentials
from racoon.learning.flare.job import write_job
from racoon.learning.subprocesses import child_environment
from racoon.platform.files import write_atomically

START_TIMEOUT_S = 60.0
"""A server is up in 3 s on an idle machine; a busy small one may need much longer."""

SIGN_IN_TIMEOUT_S = 20.0
"""One attempt to sign in; FLARE's session does not notice a server that ended meanwhile, a new one does."""

STOP_TIMEOUT_S = 8.0

_STATES = {
    "SUBMITTED": JobState.WAITING,
    "APPROVED": JobState.WAITING,
    "DISPATCHED": JobState.WAITING,
    "RUNNING": JobState.RUNNING,
    "FINISHED:COMPLETED": JobState.COMPLETED,
    "FINISHED:ABORTED": JobState.ABORTED,
}


class FlareEngine:
    """FLARE's server side.

    Parameters
    ----------
    folder
        Keys, kits, jobs and the process record of this network's engine; readable by CENTRAL only.
    host, port
        Where the server listens and where sites find it.
    identity
        Common name of the server's certificate.
    """

    def __init__(self, folder: Path, host: str, port: int, identity: str = "racoon-engine") -> None:
        self.folder = folder.resolve()
        self.address = EngineAddress(host, port, identity)
        self._server_kit = self.folder / "server"
        self._signer_kit = self.folder / "signer"
        self._session: Any = None
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.RLock()
        self._closes_at_exit = False
        self._is_closed = False

    def provision(self) -> None:
        """Make root, server and signer once; later calls only rewrite the policies."""
        require_extra("nvflare", "safetensors")
        with self._lock:
            authority = EngineAuthority(self.folder / "authority")
            for kit, stem, name, role in (
                (self._server_kit, "server", self.address.identity, None),
                (self._signer_kit, "client", policy.SIGNER, policy.SIGNER_ROLE),
            ):
                startup = kit / "startup"
                key = load_or_make_key(startup / f"{stem}.key")
                if not (startup / f"{stem}.crt").exists():
                    hosts = [self.address.host, "localhost"] if stem == "server" else []
                    write_credentials(startup, stem, authority.issue(key, name, hosts, role), authority.pem)
            _write(self._server_kit / "startup" / "fed_server.json", policy.server_startup(self.address))
            local = self._server_kit / "local"
            _write(local / "resources.json", policy.server_resources(str(self._server_kit / "storage")))
            _write(local / "authorization.json", policy.authorization())
            _write(local / "log_config.json", policy.log_configuration())
            (self._server_kit / "transfer").mkdir(exist_ok=True)
            transfer = self._signer_kit / "transfer"
            transfer.mkdir(exist_ok=True)
            _write(
                self._signer_kit / "startup" / "fed_admin.json",
                policy.signer_startup(self.address, str(transfer)),
            )
            _write(self._signer_kit / "local" / "resources.json", policy.signer_resources())

    def sign_site(self, site: str, request_pem: str) -> EngineIdentity:
        """Sign an enrolled site's request; the private key stays at the site."""
        self.provision()
        authority = EngineAuthority(self.folder / "authority")
        return EngineIdentity(
            authority.sign_site(request_pem, site), authority.pem, self.address, policy.SIGNER
        )

    def start_server(self) -> None:
        """Start the server, or keep the one started here; return when the signer is signed in.

        A server that another process started has lost its parent and is about to end by its lifeline, so it is
        ended at once rather than adopted.
        """
        with self._lock:
            if self._is_closed:
                raise EngineUnavailable("The training engine is being closed.")
            self.provision()
            if not self.is_server_alive():
                self._close_session()
                end_process(self.folder / "server.pid", None)
                # FLARE leaves jobs RUNNING for ever when its server dies.  Its store is a cache to us: what
                # counts is in the run folders, so a new server begins empty and nothing stale can come back.
                shutil.rmtree(self._server_kit / "storage", ignore_errors=True)
                self._process = start_process("server", self._server_kit, self.address.identity)
                record_process(self.folder / "server.pid", self._process.pid)
            self._call(lambda session: session.get_system_info(), START_TIMEOUT_S)

    def stop_server(self) -> None:
        """Stop the server and its job processes."""
        with self._lock:
            self._close_session()
            end_process(self.folder / "server.pid", self._process)
            self._process = None

    def is_server_alive(self) -> bool:
        """Tell whether the server that was started here is alive."""
        if self._process is not None and self._process.poll() is not None:
            self._process = None
        return self._process is not None

    def connected_sites(self) -> frozenset[str]:
        """Return the sites that are signed in."""
        info = self._call(lambda session: session.get_system_info())
        return frozenset(client.name for client in info.client_info)

    def sites_at_work(self, job_id: str) -> frozenset[str]:
        """Return the connected sites that run a process for the job."""
        reply = self._call(lambda session: session.get_client_job_status()) or []
        return frozenset(
            str(entry.get("client_name", ""))
            for entry in reply
            if isinstance(entry, dict) and entry.get("job_id") == job_id
        )

    def submit(self, job: EngineJob) -> str:
        """Submit a job; the name is its submit token, so a repeated call returns the same id."""
        return self.submit_folder(write_job(self.folder / "jobs", job))

    def submit_folder(self, path: Path) -> str:
        """Submit a job folder as it is, signed by the signer; its name is the submit token."""
        return str(
            self._call(lambda session: session.submit_job(str(path.resolve()), submit_token=path.name))
        )

    def watch(self, job_id: str) -> JobStatus:
        """Ask for a job's status; ABNORMAL and exceptions are FAILED, the round files tell the rest."""
        meta = self._call(lambda session: session.get_job_meta(job_id))
        if meta is None:
            return JobStatus(JobState.UNKNOWN, "not known to the server")
        text = str(meta.get("status", ""))
        state = _STATES.get(text, JobState.FAILED if text.startswith("FINISHED") else JobState.UNKNOWN)
        details = [str(item) for item in meta.get("job_deploy_detail") or []]
        history = [str(item) for item in meta.get("schedule_history") or []]
        refusals = tuple(
            (site, reason)
            for site, _, reason in (line.partition(": ") for line in details)
            if site != "server" and reason and reason != "OK"
        )
        return JobStatus(state, "; ".join([text, *details, *history[-1:]]), refusals)

    def abort(self, job_id: str) -> None:
        """Abort a job if it is not final yet; a job the server does not know is as good as aborted."""
        with contextlib.suppress(EngineRefused):
            self._call(lambda session: session.abort_job(job_id))

    def _call(self, action: Callable[[Any], Any], timeout_s: float = 15.0) -> Any:
        """Run one command of the signed-in signer; sign in again after a loss of the server."""
        require_extra("nvflare")
        from nvflare.fuel.flare_api import api_spec

        deadline = time.monotonic() + timeout_s
        with self._lock:
            while True:
                try:
                    if self._session is None:
                        self._session = self._sign_in(min(deadline - time.monotonic(), SIGN_IN_TIMEOUT_S))
                    return action(self._session)
                except api_spec.JobNotFound:
                    return None
                except (
                    api_spec.InvalidJobDefinition,
                    api_spec.JobNotRunning,
                    api_spec.AuthorizationError,
                ) as error:
                    raise EngineRefused(
                        "The engine refused the job.", details={"error": str(error)}
                    ) from error
                except Exception as error:
                    # FLARE raises plain RuntimeError and OSError, among others, when it loses its server.
                    self._close_session()
                    if time.monotonic() > deadline or self._is_closed or not self.is_server_alive():
                        raise EngineUnavailable(
                            "The training engine's server does not answer.", details={"error": str(error)}
                        ) from error
                    threading.Event().wait(0.3)

    def close(self) -> None:
        """Sign out for good; the server ends with this process."""
        self._is_closed = True
        self._close_session()

    def _sign_in(self, timeout_s: float) -> Any:
        if self._is_closed:
            raise EngineUnavailable("The training engine is being closed.")
        if not self._closes_at_exit:
            # FLARE's session works in thread pools, which Python joins before anything `atexit` runs: without
            # signing out first, a process that signed in once never ends.
            threading._register_atexit(self.close)  # type: ignore[attr-defined]  # noqa: SLF001
            self._closes_at_exit = True
        from nvflare.fuel.flare_api.flare_api import new_secure_session

        # FLARE prints a greeting; a command's standard output carries one JSON document and nothing else.
        with contextlib.redirect_stdout(sys.stderr):
            return new_secure_session(
                username=policy.SIGNER,
                startup_kit_location=str(self._signer_kit),
                timeout=max(timeout_s, 2.0),
            )

    def _close_session(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            with contextlib.suppress(Exception):
                session.close()


def start_process(role: str, kit: Path, name: str, **environment: str) -> subprocess.Popen[bytes]:
    """Start FLARE's server or site process for a kit; console output goes to ``console.log`` of the kit."""
    with (kit / "console.log").open("ab") as console:
        return subprocess.Popen(
            [sys.executable, "-m", "racoon.learning.flare.process", role, str(kit), "--name", name],
            cwd=kit,
            env=child_environment(**environment),
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def record_process(path: Path, pid: int) -> None:
    """Remember a process by number and start time; numbers are used again, start times are not."""
    write_atomically(path, json.dumps({"pid": pid, "created": psutil.Process(pid).create_time()}).encode())


def recorded_process(path: Path) -> psutil.Process | None:
    """Return the recorded process if it still lives."""
    try:
        record = json.loads(path.read_bytes())
        process = psutil.Process(record["pid"])
        if abs(process.create_time() - record["created"]) > 1.0 or process.status() == psutil.STATUS_ZOMBIE:
            return None
    except (FileNotFoundError, ValueError, KeyError, psutil.NoSuchProcess):
        return None
    return process


def end_process(path: Path, handle: subprocess.Popen[bytes] | None) -> None:
    """Stop a recorded process and all its children: SIGTERM first, SIGKILL what is left."""
    process = recorded_process(path)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            family = [*process.children(recursive=True), process]
            process.send_signal(signal.SIGTERM)
            _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT_S)
            for member in alive:
                with contextlib.suppress(psutil.NoSuchProcess):
                    member.kill()
            psutil.wait_procs(alive, timeout=2.0)
    if handle is not None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            handle.wait(timeout=2.0)
    path.unlink(missing_ok=True)


def _write(path: Path, document: dict[str, Any]) -> None:
    write_atomically(path, json.dumps(document, indent=1).encode(), mode=0o600)
