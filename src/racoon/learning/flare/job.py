"""FLARE jobs as data: what CENTRAL submits, and what a site must find in it, byte for byte after parsing.

The site's part of a job is a pure function of plan and run, so the site does not *inspect* a job: it derives
the one job it approved and compares.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from racoon.domain.plan import TrainingPlan
from racoon.learning.engine import EngineJob
from racoon.learning.flare.policy import (
    AGGREGATOR_CLASS,
    CONTROLLER_CLASS,
    EXECUTOR_CLASS,
    GENERATOR_CLASS,
    KEEPER_CLASS,
    RELAY_CLASS,
)

CLIENT_CONFIG = "config/config_fed_client.json"
SERVER_CONFIG = "config/config_fed_server.json"
TASK = "train"

FACTS = ("steps", "cases", "seconds")
"""What a site says about a round beside the weights; anything else is dropped at both ends."""

MORE_FACTS = ("loss", "epsilon")
"""Said where there is something to say: a private training tells its ε and keeps its loss."""

JOB_HEADER, PARTICIPANTS_HEADER = "racoon_job", "racoon_participants"
"""By these a site knows what a secure sum is for."""

SHORTEST_WAIT_S = 0.5
QUESTIONS_PER_S = 20.0
"""What CENTRAL's one engine process answers beside its work: each question is some milliseconds."""


def site_config(plan: TrainingPlan, run_id: str) -> dict[str, Any]:
    """Return the whole configuration a job may have at a site."""
    return {
        "format_version": 2,
        "executors": [
            {
                "tasks": [TASK],
                "executor": {"path": EXECUTOR_CLASS, "args": {"plan": plan.to_dict(), "run_id": run_id}},
            }
        ],
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [],
    }


def server_config(job: EngineJob) -> dict[str, Any]:
    """Return the configuration of the server's part; its paths are CENTRAL's own and no site receives it."""
    shared = {
        "plan": job.plan.to_dict(),
        "folder": str(job.folder.resolve()),
        "participants": list(job.sites),
    }
    return {
        "format_version": 2,
        "server": {"task_request_interval": request_interval_s(len(job.sites))},
        "task_data_filters": [],
        "task_result_filters": [],
        "components": [
            {
                "id": "keeper",
                "path": KEEPER_CLASS,
                "args": {
                    "source": str(job.source.resolve()),
                    "folder": str(job.folder.resolve()),
                    "job": job.name,
                    "needed": len(job.sites) if needs_all(job.plan) else 1,
                },
            },
            {"id": "generator", "path": GENERATOR_CLASS, "args": {**shared, "job": job.name}},
            {"id": "aggregator", "path": AGGREGATOR_CLASS, "args": shared},
        ],
        "workflows": [{"id": "rounds", **_workflow(job)}],
    }


def _workflow(job: EngineJob) -> dict[str, Any]:
    """Return what leads through the rounds: scatter and gather, or the model's way from site to site."""
    rounds = {"num_rounds": job.plan.rounds - job.first_round, "start_round": job.first_round}
    if job.plan.strategy.name == "cyclic":
        own = {
            "plan": job.plan.to_dict(),
            "participants": list(job.sites),
            "visit_wait_s": job.straggler_wait_s,
        }
        return {"path": RELAY_CLASS, "args": {**rounds, **own}}
    return {
        "path": CONTROLLER_CLASS,
        "args": {
            **rounds,
            "min_clients": needed_sites(job),
            "wait_time_after_min_received": job.straggler_wait_s,
            "train_timeout": job.round_timeout_s,
            "aggregator_id": "aggregator",
            "persistor_id": "keeper",
            "shareable_generator_id": "generator",
            "train_task_name": TASK,
            # FLARE's snapshots would keep a second copy; RoundKeeper's files are the truth.
            "snapshot_every_n_rounds": 0,
        },
    }


def request_interval_s(sites: int) -> float:
    """Return how long a site waits after a round, and between asking for the next, in seconds.

    FLARE's two seconds are a fifth of a small network's round; sites together ask no more often than
    :data:`QUESTIONS_PER_S`.
    """
    return max(SHORTEST_WAIT_S, sites / QUESTIONS_PER_S)


def needs_all(plan: TrainingPlan) -> bool:
    """Tell whether a round is none without every participant: a sealed sum, or the model's way round."""
    return plan.strategy.secure_sum or plan.strategy.name == "cyclic"


def needed_sites(job: EngineJob) -> int:
    """Return how many answers a round waits for."""
    return len(job.sites) if needs_all(job.plan) else job.min_sites


def job_meta(job: EngineJob) -> dict[str, Any]:
    """Return ``meta.json``: server and sites get different apps."""
    return {
        "name": job.name,
        "resource_spec": {},
        "min_clients": needed_sites(job),
        "deploy_map": {"app_server": ["server"], "app_site": list(job.sites)},
        "custom_props": {"plan_hash": job.plan.hash, "run_id": job.run_id},
    }


def write_job(folder: Path, job: EngineJob) -> Path:
    """Write a job folder and return its absolute path (relative ones are looked up in ``transfer``)."""
    root = folder.resolve() / job.name
    for app, name, document in (
        ("app_server", SERVER_CONFIG, server_config(job)),
        ("app_site", CLIENT_CONFIG, site_config(job.plan, job.run_id)),
    ):
        path = root / app / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    (root / "meta.json").write_text(json.dumps(job_meta(job), indent=1), encoding="utf-8")
    return root
