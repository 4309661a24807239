"""How long a logistic model across 38 hospitals takes over the real protocol, and what CENTRAL remembers of it.

Run ``python bench/bench_analysis.py``; goal of the issue: a million rows in all, 20 covariates, at most 60 s on two
cores.  CENTRAL is real, with its database and signed messages.  Each node has a database of its own with its rows, two
processes do the nodes' computing, and every answer passes the node's own release gate.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import DerivedTable, SubjectTable
from racoon.node.analysing.service import derive_table
from racoon.node.analysing.worker import compute_round
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.rounds import protect_round
from tests.analysing_sites import carry_on
from tests.simulated_network import DEFINITION, Network, SimulatedNode

GOAL_S = 60.0
SITES, COVARIATES = 38, 20
PROCESSES = 2

_TABLES: dict[str, DerivedTable] = {}
"""Rows that a computing process has read from its nodes' databases, as a node's worker keeps them within a run."""


def plan_document(covariates: int) -> dict[str, Any]:
    """Write the plan: one logistic model."""
    names = [f"x{place}" for place in range(covariates)]
    return {
        "kind": "analysis",
        "name": "Twenty covariates",
        "variables": [
            *(
                {"name": name, "kind": "number", "source": f"measured volume@1 99TEST:{name}"}
                for name in names
            ),
            {"name": "y", "kind": "number", "source": "measured volume@1 99TEST:y"},
            {"name": "died", "kind": "truth", "derivation": "y >= 1"},
        ],
        "estimators": [
            {"estimator": "model", "title": "Death", "outcome": "died", "terms": names, "family": "binomial"}
        ],
        "minimum_sites": 3,
    }


def write_rows(path: Path, rows: int, covariates: int, seed: int) -> None:
    """Fill the database of one node with invented subjects; effects run from -0.3 to 0.3."""
    random = np.random.default_rng(seed)
    x = np.round(random.normal(size=(rows, covariates)), 4)
    odds = np.exp(-0.5 + x @ np.linspace(-0.3, 0.3, covariates))
    y = (random.random(rows) < odds / (1 + odds)).astype(float)
    names = ", ".join([*(f"x{place} REAL" for place in range(covariates)), "y REAL"])
    with sqlite3.connect(path) as connection:
        connection.execute(f"CREATE TABLE subject (pseudonym TEXT PRIMARY KEY, {names})")
        marks = ", ".join("?" * (covariates + 2))
        table = np.column_stack([x, y]).tolist()
        records = ([f"P{seed:02d}-{number:06d}", *row] for number, row in enumerate(table))
        connection.executemany(f"INSERT INTO subject VALUES ({marks})", records)  # noqa: S608 - column names are ours
    connection.close()


def answer(
    path: Path, document: Mapping[str, Any], parameters: Mapping[str, Any]
) -> tuple[dict[str, Any], int]:
    """Do one round at one node; returns what its gate lets out, and how many rows stand behind it."""
    plan = parse_plan(document)
    if str(path) not in _TABLES:
        _TABLES[str(path)] = derive_table(plan, _read(path, plan))
    table = _TABLES[str(path)]
    aggregate = compute_round(plan, table, parameters)
    aggregate |= {"plan_hash": plan.hash, "dataset_hash": parameters["dataset_hash"]}
    return dict(protect_round(aggregate, DisclosurePolicy()).payload), len(table.subjects)


def _read(path: Path, plan: AnalysisPlan) -> SubjectTable:
    names = [item.name for item in plan.variables if item.derivation is None]
    connection = sqlite3.connect(path)
    found = connection.execute(
        f"SELECT pseudonym, {', '.join(names)} FROM subject ORDER BY pseudonym"  # noqa: S608 - column names are ours
    ).fetchall()
    connection.close()
    subjects, *columns = zip(*found, strict=True)
    return SubjectTable(tuple(map(Pseudonym, subjects)), dict(zip(names, columns, strict=True)))


def open_study(
    network: Network, sites: int, document: Mapping[str, Any]
) -> tuple[str, dict[str, SimulatedNode]]:
    """Bring a study to released datasets at all sites."""
    label = {"scheme": "99TEST", "meaning": "value"}
    values = sorted({item["source"].rsplit(":", 1)[-1] for item in document["variables"] if "source" in item})
    measurements = [
        {"biomarker": "volume", "version": "1", "label": {**label, "value": value},
         "bins": {"lower": 0.0, "upper": 100.0, "width": 10.0}, "parameters": {}}
        for value in values
    ]  # fmt: skip
    definition = {
        **DEFINITION,
        "training": None,
        "evaluation_sites": [],
        "pool_site": None,
        "measuring": {"kind": "measuring", "name": "values", "measurements": measurements},
        "analyses": [parse_plan(document).to_dict()],
    }
    study_id = str(network.post("pi", "/api/studies", {"definition": definition})["study_id"])
    nodes = {f"SITE{number:02d}": network.enrol(f"SITE{number:02d}") for number in range(sites)}
    network.step(study_id, "pi", "submitted", {"signature": "PI"})
    network.step(study_id, "office", "formal_check")
    network.step(study_id, "office2", "ethics", {"checklist": "ok"})
    network.post("office", f"/api/studies/{study_id}/sites", {"sites": list(nodes)})
    network.step(study_id, "office", "site_voting", {"ethics_vote": {"number": "1"}})
    for node in nodes.values():
        node.decide_up_to(study_id, "opted_in")
    network.activate(study_id)
    network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "freeze"})
    for number, node in enumerate(nodes.values()):
        (offer,) = node.offers()
        node.finish(offer, {"dataset_hash": f"{number + 1:064x}", "subjects": 1000, "series": 1000})
        node.say("track.changed", node.track(study_id, "opted_in", "data_ready", "site_informatician", 8))
        node.say("track.changed", node.track(study_id, "data_ready", "released", "diz", 9))
    return study_id, nodes


def measure(rows: int, sites: int, covariates: int, folder: Path) -> dict[str, Any]:
    """Run the analysis once.

    Returns
    -------
    dict
        Seconds, rounds, bytes from all sites, and by how much CENTRAL's memory grew meanwhile.
    """
    document = plan_document(covariates)
    paths = {f"SITE{number:02d}": folder / f"site-{number:02d}.sqlite" for number in range(sites)}
    each = [rows // sites + (number < rows % sites) for number in range(sites)]
    with ProcessPoolExecutor(PROCESSES) as pool:
        list(pool.map(write_rows, paths.values(), each, [covariates] * sites, range(sites)))
    network = Network(folder)
    study_id, nodes = open_study(network, sites, document)
    # One process per half of the nodes: a node's rows are read where they are computed with.
    pools = [ProcessPoolExecutor(1) for _ in range(PROCESSES)]
    try:
        for pool in pools:
            pool.submit(parse_plan, document).result()
        memory = psutil.Process()
        before = peak = memory.memory_info().rss
        begun, processor = time.perf_counter(), time.process_time()
        children = _child_seconds()
        run_id = str(network.post("pi", f"/api/studies/{study_id}/analyses")["run_id"])
        counted = 0
        while (found := network.get("pi", f"/api/analyses/{run_id}"))["state"] == "running":
            work = []
            for place, (code, node) in enumerate(nodes.items()):
                for offer in node.offers():
                    pool = pools[place % PROCESSES]
                    work.append(
                        (node, offer, pool.submit(answer, paths[code], document, offer["parameters"]))
                    )
            counted = 0
            for node, offer, future in work:
                payload, own = future.result()
                counted += own
                names = {"job_id": offer["job_id"], "run_id": offer["run_id"]}
                receipt = node.send(
                    node.seal("job.accepted", names), node.seal("job.result", node.result(offer, payload))
                )
                assert len(receipt["stored"]) == 2
            carry_on(network)
            peak = max(peak, memory.memory_info().rss)
        seconds, central = time.perf_counter() - begun, time.process_time() - processor
    finally:
        for pool in pools:
            pool.shutdown()
        network.close()
    assert found["state"] == "completed", found["reason"]
    (table,) = found["result"]["tables"]
    truth = np.linspace(-0.3, 0.3, covariates)
    distance = [(row[1] - own) / row[7] for row, own in zip(table["rows"][1:], truth, strict=True)]
    assert float(np.sqrt(np.mean(np.square(distance)))) < 2, "the planted effects are not found"
    return {
        "rows": rows,
        "rows_counted": counted,
        "sites": len(table["sites"]),
        "covariates": covariates,
        "seconds": round(seconds, 1),
        "processor_seconds_nodes": round(_child_seconds() - children, 1),
        "processor_seconds_central": round(central, 1),
        "rounds": found["result"]["rounds"],
        "bytes": found["result"]["bytes"],
        "central_grows_mb": round((peak - before) / 1e6, 1),
        "result_hash": found["result"]["result_hash"],
    }


def _child_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure a tenth and the whole, and print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--sites", type=int, default=SITES)
    parser.add_argument("--covariates", type=int, default=COVARIATES)
    arguments = parser.parse_args()
    found = []
    for rows in (arguments.rows // 10, arguments.rows):
        _TABLES.clear()
        with tempfile.TemporaryDirectory() as folder:
            found.append(measure(rows, arguments.sites, arguments.covariates, Path(folder)))
        print(json.dumps(found[-1]), flush=True)
    print(f"goal {GOAL_S:.0f} s: {GOAL_S / found[-1]['seconds']:.1f} times faster than that")


if __name__ == "__main__":
    main()
