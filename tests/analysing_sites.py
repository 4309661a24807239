"""Simulated nodes that analyse: the protocol by hand, and behind it the node's own computing and its release gate."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from racoon.central.analysing.worker import drive
from racoon.domain.analysis import AnalysisPlan, parse_plan
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import SubjectTable
from racoon.node.analysing.worker import compute_round
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.rounds import protect_round
from racoon.science.analysis import Question
from tests.simulated_network import DEFINITION, Network, SimulatedNode

NUMBERS = ("effusion_ml", "muscle", "calcium", "days", "dead", "air", "score")
"""Variables that the sites measure; each is the volume of an invented structure."""

BINS = {"lower": 0.0, "upper": 100.0, "width": 10.0}


MEANINGS = {"effusion_ml": "Pleural effusion", "calcium": "Coronary calcium"}


def _label(name: str) -> dict[str, str]:
    meaning = MEANINGS.get(name, name)
    return {"value": str(NUMBERS.index(name) + 1), "scheme": "99TEST", "meaning": meaning}


PLAN: dict[str, Any] = {
    "kind": "analysis",
    "name": "Effusion",
    "variables": [
        {"name": "age", "kind": "number", "unit": "a", "source": "subject.age_years",
         "bins": {"lower": 0, "upper": 120, "width": 10}},
        {"name": "sex", "kind": "category", "levels": ["female", "male"], "source": "subject.gender"},
        *(
            {"name": name, "kind": "number", "source": f"measured volume@1 99TEST:{_label(name)['value']}"}
            for name in NUMBERS
        ),
        {"name": "effusion", "kind": "truth", "derivation": "effusion_ml >= 100"},
        {"name": "muscle_loss", "kind": "truth", "derivation": "muscle >= 1"},
        {"name": "died", "kind": "truth", "derivation": "dead >= 1"},
        {"name": "ventilated", "kind": "truth", "derivation": "air >= 1"},
    ],
    "estimators": [
        {"estimator": "description", "title": "Table 1", "variables": ["age", "sex", "calcium"], "by": "effusion"},
        {"estimator": "comparison", "title": "Age", "variable": "age", "by": "effusion", "test": "welch"},
        {"estimator": "comparison", "title": "Sex", "variable": "sex", "by": "effusion", "test": "chi-square"},
        {"estimator": "model", "title": "Ventilation", "outcome": "ventilated",
         "terms": ["age", "sex", "calcium", "age:sex"], "family": "binomial"},
        {"estimator": "model", "title": "Score", "outcome": "score", "terms": ["age", "effusion"],
         "family": "gaussian", "variance": "robust"},
        {"estimator": "survival", "title": "Survival", "time": "days", "event": "died", "edges": [30, 60, 120],
         "by": "effusion"},
        {"estimator": "cox", "title": "Hazard, grid", "time": "days", "event": "died",
         "terms": ["effusion", "muscle_loss", "age"], "edges": [15, 30, 60, 180]},
        {"estimator": "cox", "title": "Hazard, by site", "time": "days", "event": "died",
         "terms": ["effusion", "muscle_loss"]},
    ],
    "subgroups": [{"name": "men", "condition": "sex = 'male'"}],
    "minimum_sites": 3,
}  # fmt: skip


def definition(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Write a study that measures all variables and analyses them."""
    study = deepcopy(DEFINITION)
    study |= {"training": None, "evaluation_sites": [], "pool_site": None}
    study["measuring"]["measurements"] = [
        {"biomarker": "volume", "version": "1", "label": _label(name), "bins": BINS, "parameters": {}}
        for name in NUMBERS
    ]
    return study | ({"analyses": [parse_plan(plan).to_dict()]} if plan else {})


def cohort(rows: int, seed: int) -> SubjectTable:
    """Invent subjects with planted effects."""
    random = np.random.default_rng(seed)
    columns: dict[str, list[float | str | None]] = {name: [] for name in ("age", "sex", *NUMBERS)}
    for number in range(rows):
        age, male = round(random.normal(62, 12), 1), bool(random.integers(0, 2))
        effusion = round(random.exponential(150) * (random.random() < 0.6), 1)
        muscle, calcium = float(random.random() < 0.3), round(random.gamma(1, 4), 2)
        hazard = 0.006 * math.exp(0.8 * (effusion >= 100) + 1.1 * muscle + 0.02 * (age - 62))
        time, censoring = random.exponential(1 / hazard), random.uniform(5, 180)
        odds = math.exp(-1.2 + 0.1 * calcium + 0.01 * (age - 62))
        facts: dict[str, float | str | None] = {
            "age": None if number % 40 == 7 else age,
            "sex": "male" if male else "female",
            "effusion_ml": effusion,
            "muscle": muscle,
            "calcium": calcium,
            "days": round(min(time, censoring), 2),
            "dead": float(time <= censoring),
            "air": float(random.random() < odds / (1 + odds)),
            "score": round(2 + 0.05 * age + 1.5 * (effusion >= 100) + random.normal(), 3),
        }
        for name, value in facts.items():
            columns[name].append(value)
    subjects = tuple(Pseudonym(f"P{seed}-{number:05d}") for number in range(rows))
    return SubjectTable(subjects, {name: tuple(values) for name, values in columns.items()})


def merged(tables: Mapping[str, SubjectTable]) -> SubjectTable:
    """Put the rows of several sites into one table."""
    names = next(iter(tables.values())).columns
    return SubjectTable(
        tuple(subject for table in tables.values() for subject in table.subjects),
        {name: tuple(value for table in tables.values() for value in table.columns[name]) for name in names},
    )


@dataclass
class AnalysingSite:
    """A site that answers rounds from its own rows through its own gate."""

    node: SimulatedNode
    plan: AnalysisPlan
    table: SubjectTable
    policy: DisclosurePolicy = field(default_factory=DisclosurePolicy)
    asked: Counter[Question] = field(default_factory=Counter)
    sent: list[str] = field(default_factory=list)

    def answer(self, offer: Mapping[str, Any]) -> None:
        """Do one round."""
        assert offer["kind"] == "analyse"
        parameters = offer["parameters"]
        self.asked.update(Question.from_dict(document) for document in parameters["questions"])
        aggregate = compute_round(self.plan, self.table, parameters)
        released = protect_round(
            {**aggregate, "plan_hash": self.plan.hash, "dataset_hash": parameters["dataset_hash"]},
            self.policy,
        )
        self.node.accept(offer)
        result = self.node.result(offer, released.payload)
        result["suppressed"] = [
            {
                "part": f"{item.item}: {item.part}"[:200],
                "code": item.reason_code,
                "public_reason": item.public_reason,
            }
            for item in released.suppressed
        ]
        self.sent.append(json.dumps(result["payload"]))
        self.node.say("job.result", result)


def open_study(
    network: Network,
    tables: Mapping[str, SubjectTable],
    plan: Mapping[str, Any] = PLAN,
    policies: Mapping[str, DisclosurePolicy] | None = None,
) -> tuple[str, dict[str, AnalysingSite]]:
    """Bring a study with an analysis plan to released datasets at all sites."""
    study = network.post("pi", "/api/studies", {"definition": definition(plan)})
    return str(study["study_id"]), release_study(network, str(study["study_id"]), tables, plan, policies)


def release_study(
    network: Network,
    study_id: str,
    tables: Mapping[str, SubjectTable],
    plan: Mapping[str, Any],
    policies: Mapping[str, DisclosurePolicy] | None = None,
) -> dict[str, AnalysingSite]:
    """Take a concept through votes and freezing to released datasets at all sites."""
    nodes = {code: network.enrol(code) for code in tables}
    network.step(study_id, "pi", "submitted", {"signature": "PI"})
    network.step(study_id, "office", "formal_check")
    network.step(study_id, "office2", "ethics", {"checklist": "ok"})
    network.post("office", f"/api/studies/{study_id}/sites", {"sites": list(nodes)})
    network.step(study_id, "office", "site_voting", {"ethics_vote": {"number": "1"}})
    for node in nodes.values():
        node.decide_up_to(study_id, "opted_in")
    network.activate(study_id)
    network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "freeze"})
    for number, (code, node) in enumerate(nodes.items()):
        (offer,) = node.offers()
        rows = len(tables[code].subjects)
        node.finish(offer, {"dataset_hash": f"{number + 1:064x}", "subjects": rows, "series": rows})
        node.say("track.changed", node.track(study_id, "opted_in", "data_ready", "site_informatician", 8))
        node.say("track.changed", node.track(study_id, "data_ready", "released", "diz", 9))
    parsed = parse_plan(plan)
    own = policies or {}
    return {
        code: AnalysingSite(node, parsed, tables[code], own.get(code, DisclosurePolicy()))
        for code, node in nodes.items()
    }


def start(network: Network, study_id: str) -> str:
    """Start the study's analysis."""
    return str(network.post("pi", f"/api/studies/{study_id}/analyses")["run_id"])


def carry_on(network: Network) -> None:
    """Do what CENTRAL's worker does now and then."""
    drive(network.central.database, network.central.analysis_runs)


def run_to_end(network: Network, run_id: str, sites: Mapping[str, AnalysingSite]) -> dict[str, Any]:
    """Answer every round until there is a result."""
    for _ in range(100):
        found: dict[str, Any] = network.get("pi", f"/api/analyses/{run_id}")
        if found["state"] != "running":
            return found
        for site in sites.values():
            for offer in site.node.offers():
                site.answer(offer)
        carry_on(network)
    raise AssertionError("the analysis does not end")


def write_csv(path: Path, tables: Mapping[str, SubjectTable]) -> None:
    """Write the rows of all sites as one table."""
    names = list(next(iter(tables.values())).columns)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["site", *names])
        for site, table in tables.items():
            for row in zip(*(table.columns[name] for name in names), strict=True):
                writer.writerow([site, *("" if value is None else value for value in row)])
