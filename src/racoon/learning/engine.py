"""The federated engine as RACOON sees it: a port of eight verbs, so that another engine costs one adapter.

Two sides that never meet in one process: CENTRAL's side (:class:`FederatedEngine`) and a site's side
(:class:`SiteEngine`).  What a run *means* (quorum, resume, who was missing when) is not here but in
``central.learning``; what a site *allows* is decided by the site's approvals alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused, Unavailable
from racoon.learning.spending import Purse


class EngineUnavailable(Unavailable):
    """The engine's server or a site's engine process cannot be reached now."""

    code = "learning.engine_unavailable"


class EngineRefused(Refused):
    """The engine or a site's policy refused a job."""

    code = "learning.engine_refused"


class JobState(StrEnum):
    """Where a submitted job is, in our words."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETED = "completed"
    ABORTED = "aborted"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def is_final(self) -> bool:
        """Whether the engine will not move it any more."""
        return self in {JobState.COMPLETED, JobState.ABORTED, JobState.FAILED, JobState.UNKNOWN}


@dataclass(frozen=True)
class JobStatus:
    """What the engine says about a job.

    Parameters
    ----------
    state
        In our words.
    detail
        In the engine's words, for logs.
    refusals
        Site → public reason, for sites that refused the job.
    """

    state: JobState
    detail: str = ""
    refusals: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class EngineAddress:
    """Where a site finds the engine's server.

    Parameters
    ----------
    host, port
        As seen from the site.
    identity
        Common name of the server's certificate; a site talks to nobody else.
    """

    host: str
    port: int
    identity: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"host": self.host, "port": self.port, "identity": self.identity}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> EngineAddress:
        """Read the JSON form."""
        return cls(document["host"], document["port"], document["identity"])


@dataclass(frozen=True)
class EngineIdentity:
    """What CENTRAL answers to a site's signing request.

    Parameters
    ----------
    certificate_pem, authority_pem
        The site's certificate and the authority that signed it and the server.
    address
        The engine's server.
    signer
        Name that signs jobs; a site accepts jobs of nobody else.
    """

    certificate_pem: str
    authority_pem: str
    address: EngineAddress
    signer: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "certificate_pem": self.certificate_pem,
            "authority_pem": self.authority_pem,
            "address": self.address.to_dict(),
            "signer": self.signer,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> EngineIdentity:
        """Read the JSON form."""
        return cls(
            document["certificate_pem"],
            document["authority_pem"],
            EngineAddress.from_dict(document["address"]),
            document["signer"],
        )


@dataclass(frozen=True)
class EngineJob:
    """One job for the engine: some consecutive rounds of a plan at some sites.

    Parameters
    ----------
    name
        Name without spaces; the same name is never submitted twice.
    run_id
        The run it belongs to.
    plan
        What the sites approved.
    sites
        Who takes part, at least ``min_sites``.
    min_sites
        Answers that make a round.
    first_round
        Round to begin with, counted from 0; rounds go on to the plan's last.
    source
        Weights to begin with.
    folder
        Where the engine's server leaves ``round-N.safetensors`` and ``rounds.jsonl`` after each round.
    straggler_wait_s, round_timeout_s
        Wait after the quorum answered; end of a round whoever answered.
    """

    name: str
    run_id: str
    plan: TrainingPlan
    sites: tuple[str, ...]
    min_sites: int
    first_round: int
    source: Path
    folder: Path
    straggler_wait_s: int = 120
    round_timeout_s: int = 3600


class FederatedEngine(Protocol):
    """CENTRAL's side of the engine."""

    def provision(self) -> None:
        """Make keys, certificates and kits of the server once; idempotent."""

    def sign_site(self, site: str, request_pem: str) -> EngineIdentity:
        """Sign the request of an enrolled site."""

    def start_server(self) -> None:
        """Start the server, or keep the one started here; return when it answers."""

    def stop_server(self) -> None:
        """Stop the server; idempotent."""

    def close(self) -> None:
        """Let go of the server because this process ends; idempotent."""

    def is_server_alive(self) -> bool:
        """Tell whether the server's process lives."""

    def connected_sites(self) -> frozenset[str]:
        """Return the sites whose engine process is signed in."""

    def sites_at_work(self, job_id: str) -> frozenset[str]:
        """Return the sites that run a process for the job."""

    def submit(self, job: EngineJob) -> str:
        """Submit a job and return the engine's id of it."""

    def watch(self, job_id: str) -> JobStatus:
        """Ask for a job's status."""

    def abort(self, job_id: str) -> None:
        """End a job; idempotent."""


class SiteEngine(Protocol):
    """A site's side of the engine."""

    def request(self) -> str:
        """Make the site's key once and return its signing request, PEM."""

    def install(self, identity: EngineIdentity) -> None:
        """Keep CENTRAL's answer and write the kit with this site's own policy; idempotent."""

    def approve(self, plan: TrainingPlan, run_id: str, cases: Path, purse: Purse | None = None) -> None:
        """Let jobs with exactly this plan run on these prepared cases, and spend from this purse."""

    def withdraw(self, plan_hash: str) -> None:
        """Let no further job with this plan begin; idempotent."""

    def start(self) -> None:
        """Start the site's engine process, or keep the one that runs; idempotent."""

    def is_alive(self) -> bool:
        """Tell whether the site's engine process lives."""

    def is_working(self) -> bool:
        """Tell whether a job process runs here now."""

    def trained_rounds(self, run_id: str) -> list[dict[str, Any]]:
        """Return the facts of the rounds this site trained in a run, oldest first."""

    def refusals(self) -> list[dict[str, Any]]:
        """Return what this site's gates refused, oldest first."""

    def stop(self) -> None:
        """Stop the site's engine process and its children; idempotent."""


def choose_participants(wanted: Sequence[str], connected: frozenset[str]) -> tuple[str, ...]:
    """Return the wanted sites that are connected, in the wanted order."""
    return tuple(site for site in wanted if site in connected)
