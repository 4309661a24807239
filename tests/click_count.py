"""What each person has to do for a study of many sites, counted: forms sent, and pages opened to find them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from racoon.science.statistics import FixedBins, Moments
from tests.simulated_network import DEFINITION, LIVER, SITE_STEPS, Network, SimulatedNode

BINS = FixedBins(0, 100, 10)


class CountingNetwork(Network):
    """A network that counts the forms of each person at CENTRAL."""

    def __init__(self, folder: Path) -> None:
        self.forms: Counter[str] = Counter()
        self.kinds: dict[str, Counter[str]] = {}
        super().__init__(folder)

    def post(self, name: str, path: str, document: Any = None) -> Any:
        self.forms[name] += 1
        kind = "/".join(part for part in path.split("/") if part and not any(sign.isdigit() for sign in part))
        self.kinds.setdefault(name, Counter())[kind] += 1
        return super().post(name, path, document)


def study_with(folder: Path, sites: int) -> dict[str, Any]:
    """Bring a study from concept to a measured result at many sites.

    Returns
    -------
    dict
        ``central``: forms by person at CENTRAL; ``per_site``: forms of each role at one site; ``submissions``,
        ``offers``: how often the application was written, and how many sites got exactly it; ``results``: sites whose
        result arrived.
    """
    folder.mkdir(parents=True, exist_ok=True)
    network = CountingNetwork(folder)
    try:
        nodes = [network.enrol(f"S{number:02d}") for number in range(1, sites + 1)]
        network.forms.clear()
        network.kinds.clear()
        definition = {**DEFINITION, "training": None, "evaluation_sites": [], "pool_site": None}
        study_id = network.study_in_site_voting([node.code for node in nodes], definition)
        for node in nodes:
            node.decide_up_to(study_id, "opted_in")
        network.activate(study_id)
        hashes = {node.studies[study_id]["study_hash"] for node in nodes}
        per_site = Counter(role for source, _, role in SITE_STEPS if source)
        _freeze_and_release(network, nodes, study_id)
        results = _measure(network, nodes, study_id)
        return {
            "central": dict(network.forms),
            "per_site": dict(per_site),
            "submissions": network.kinds["pi"]["api/studies"],
            "versions": len(hashes),
            "offers": len(nodes),
            "results": results,
        }
    finally:
        network.close()


def _freeze_and_release(network: CountingNetwork, nodes: list[SimulatedNode], study_id: str) -> None:
    network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "freeze"})
    for number, node in enumerate(nodes):
        (offer,) = node.offers()
        node.accept(offer)
        node.finish(offer, {"dataset_hash": f"{number + 1:064x}", "subjects": 30, "series": 40})
        for version, (source, target, role) in enumerate(SITE_STEPS[-2:], start=8):
            node.say("track.changed", node.track(study_id, source, target, role, version))


def _measure(network: CountingNetwork, nodes: list[SimulatedNode], study_id: str) -> int:
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})["run_id"]
    values = [float(value) for value in range(10, 40)]
    measurement = {
        "key": "volume@1 SCT:10200004",
        "biomarker": "volume",
        "version": "1",
        "label": LIVER,
        "unit": "mL",
        "subjects": len(values),
        "moments": Moments.of(values).to_dict(),
        "histogram": BINS.count_values(values).to_dict(),
        "not_valid": {},
    }
    for node in nodes:
        (offer,) = node.offers()
        node.accept(offer)
        node.finish(offer, {"kind": "measuring", "policy_version": "1", "measurements": [measurement]})
    shown = network.get("pi", f"/api/runs/{run_id}")
    (row,) = network.get("pi", f"/api/studies/{study_id}/results")["measuring"]
    assert row["n"] == len(values) * len(nodes)
    return sum(job["state"] in ("succeeded", "completed") for job in shown["jobs"])
