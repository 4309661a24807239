"""Both sides of the federated engine on this machine: what CENTRAL and the nodes do, with real processes on loopback.

The engine's server, one engine process per site with its own key and approvals, and mutual TLS between them.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from racoon.domain.identity import is_site_code
from racoon.domain.plan import TrainingPlan
from racoon.learning.laboratory import Report


def train_federated(
    plan: TrainingPlan, cases: Mapping[str, Path], folder: Path, report: Report
) -> tuple[dict[str, Path], list[dict[str, Any]]]:
    """Run a plan's rounds over some sites; goes on after the last aggregated round.

    Parameters
    ----------
    plan
        What to train; ``min_sites`` sites make a round.
    cases
        Site → folder of its prepared training cases.
    folder
        Keys, kits and rounds of this run.
    report
        Called after each round.

    Returns
    -------
    tuple
        Model files, ``""`` for the one of all sites or with FedBN one per site; and the account of each round:
        who answered with what, who was missing, who was refused.
    """
    from racoon.central.learning.service import Training
    from racoon.learning.flare.central_side import FlareEngine
    from racoon.learning.flare.site_engine import FlareSite
    from racoon.learning.spending import Purse
    from racoon.learning.weights import load_weights, save_weights
    from racoon.node.compute.seat import EngineSeat

    training = Training(
        FlareEngine(folder / "central" / "engine", "127.0.0.1", _free_port()), folder / "runs"
    )
    run_id = f"run-{plan.hash[:12]}"
    codes = _site_codes(cases)
    keys = {code: FlareSite(folder / "sites" / name, code).sum_key() for name, code in codes.items()}
    sites = {name: FlareSite(folder / "sites" / name, code, keys) for name, code in codes.items()}
    stop = threading.Event()
    with ThreadPoolExecutor(len(sites)) as pool:
        seats = [
            pool.submit(
                EngineSeat(engine, partial(training.sign_site, codes[name])).take_part,
                run_id,
                plan,
                cases[name],
                purse=Purse(folder / "sites" / name / "ledger.jsonl"),
                should_stop=stop.is_set,
            )
            for name, engine in sites.items()
        ]
        try:
            result = training.run_federated(
                run_id,
                plan,
                tuple(codes.values()),
                is_cancelled=lambda: any(seat.done() and seat.exception() for seat in seats),
                report=lambda done, total, _: report("federated: rounds", done, total),
            )
        finally:
            stop.set()
            training.close()
            failures = [error for seat in seats if (error := seat.exception()) is not None]
            if failures:
                # Why a site could not sit down says more than that the run was given up for it.
                raise failures[0]
    rounds = [_by_name(entry, {code: name for name, code in codes.items()}) for entry in result.rounds]
    models = {"": result.weights}
    if plan.strategy.name == "fedbn":
        shared = load_weights(result.weights)
        models = {}
        for name, engine in sites.items():
            models[name] = folder / f"model-{name}.safetensors"
            save_weights(models[name], {**shared, **engine.local_tensors(plan, run_id)})
    return models, rounds


def _site_codes(names: Iterable[str]) -> dict[str, str]:
    """Give each site a code of the form the engine's certificates want, whatever it is called here."""
    codes: dict[str, str] = {}
    for number, name in enumerate(names, start=1):
        code = re.sub(r"[^A-Z0-9_]", "_", name.upper())[:16]
        codes[name] = code if is_site_code(code) and code not in codes.values() else f"SITE_{number}"
    return codes


def _by_name(entry: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """Return a round's account with the sites' own names."""
    account = dict(entry)
    for part in ("sites", "refusals"):
        account[part] = {names.get(code, code): value for code, value in (entry.get(part) or {}).items()}
    for part in ("missing", "refused"):
        account[part] = [names.get(code, code) for code in entry.get(part) or ()]
    return account


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
