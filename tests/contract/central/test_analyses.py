"""From counts to the compared training: every number comes from what sites released, each counted once."""

from __future__ import annotations

import csv
import io
import math
from typing import Any

import pytest

from racoon.central.analyses.worker import Comparisons, FederatedModel
from racoon.central.orchestration.model import JobState
from racoon.errors import Refused, Unavailable
from racoon.science.statistics import FixedBins, Moments
from tests.simulated_network import DEFINITION, LIVER, Network, SimulatedNode

BINS = FixedBins(0, 100, 10)


def _released(values: list[float], unit: str = "mL") -> dict[str, Any]:
    return {
        "kind": "measuring",
        "measurements": [
            {
                "key": "volume@1 SCT:10200004",
                "biomarker": "volume",
                "version": "1",
                "label": LIVER,
                "unit": unit,
                "subjects": len(values),
                "moments": Moments.of(values).to_dict(),
                "histogram": BINS.count_values(values).to_dict(),
                "not_valid": {},
            }
        ],
    }


def _suppressed() -> dict[str, Any]:
    payload = _released([1.0])
    payload["measurements"][0] |= {"subjects": None, "moments": None, "histogram": None, "not_valid": None}
    return payload


def _released_network(network: Network, codes: list[str]) -> tuple[str, dict[str, SimulatedNode]]:
    nodes = {code: network.enrol(code) for code in codes}
    study_id = network.study_in_site_voting(codes)
    for node in nodes.values():
        node.decide_up_to(study_id, "opted_in")
    network.activate(study_id)
    network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "freeze"})
    for number, (code, node) in enumerate(nodes.items()):
        (offer,) = node.offers()
        assert offer["kind"] == "freeze"
        node.accept(offer)
        payload = {"dataset_hash": f"{number + 1:064x}", "subjects": 20, "series": 20}
        node.finish(offer, payload)
        node.say("track.changed", node.track(study_id, "opted_in", "data_ready", "site_informatician", 8))
        node.say("track.changed", node.track(study_id, "data_ready", "released", "diz", 9))
        assert network.study(study_id)["sites"][sorted(nodes).index(code)]["state"] == "released"
    return study_id, nodes


def test_count_total_is_a_range_and_small_tables_are_withheld(network: Network) -> None:
    nodes = [network.enrol(code) for code in ("ALPHA", "BRAVO", "CHARLIE")]
    study = network.post("scientist", "/api/studies", {"definition": DEFINITION})
    path = f"/api/studies/{study['study_id']}"
    run_id = network.post("scientist", f"{path}/runs", {"kind": "count"})["run_id"]
    answers = [{"value": 120, "threshold": 10}, {"value": None, "threshold": 10}, {"count": 40}]
    for answered, (node, answer) in enumerate(zip(nodes, answers, strict=True), start=1):
        (offer,) = node.offers()
        assert offer["parameters"]["cohort_hash"]
        node.finish(offer, answer)
        shown = network.get("pi", f"{path}/feasibility")
        assert shown["sites_answered"] == answered
        assert bool(shown["sites"]) == (answered == 3)
    assert shown["total"] == {"lower": 160, "upper": 169}
    assert [entry["text"] for entry in shown["sites"]] == ["≈ 120", "< 10", "≈ 40"]
    run = network.get("pi", f"/api/runs/{run_id}")
    assert (run["state"], run["summary"]["total"]) == ("completed", {"lower": 160, "upper": 169})


def test_pooled_statistics_equal_those_over_all_released_values(network: Network) -> None:
    study_id, nodes = _released_network(network, ["ALPHA", "BRAVO", "CHARLIE", "POOL"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})["run_id"]
    values = {"ALPHA": [10.25, 20.5, 31.0, 15.0, 12.5, 0.1], "BRAVO": [50.0, 61.5, 42.0, 43.0, 44.0]}
    for code, node in nodes.items():
        offers = node.offers()
        if code == "POOL":  # holds copies of other sites' cases
            assert offers == []
            continue
        (offer,) = offers
        assert offer["parameters"]["dataset_hash"] == f"{sorted(nodes).index(code) + 1:064x}"
        node.accept(offer)
        envelope = node.seal(
            "job.result", node.result(offer, _released(values[code]) if code in values else _suppressed())
        )
        node.send(envelope)
        node.send(envelope)
        late = node.result(offer, _released([1e6] * 9))
        node.send(node.seal("job.result", late))  # another result of the same job: the first stays
    assert network.get("pi", f"/api/runs/{run_id}")["state"] == "completed"
    result = network.get("pi", f"/api/studies/{study_id}/results")
    (row,) = result["measuring"]
    everything = [value for part in values.values() for value in part]
    mean = math.fsum(everything) / len(everything)
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in everything) / (len(everything) - 1))
    assert row["n"] == 11
    assert row["mean"] == pytest.approx(mean, abs=1e-9)
    assert row["sd"] == pytest.approx(sd, abs=1e-9)
    assert (row["sites"], row["suppressed_sites"]) == (["ALPHA", "BRAVO"], ["CHARLIE"])
    table = list(
        csv.reader(io.StringIO(network.person("pi").get(f"/api/studies/{study_id}/results.csv").text))
    )
    assert table[1][5:10] == ["(pooled)", "11", repr(row["mean"]), repr(row["sd"]), "mL"]
    for language, word in (("en", "Measurements"), ("de", "Messungen")):
        report = network.person("pi").get(f"/api/studies/{study_id}/report.html", params={"lang": language})
        assert report.status_code == 200
        assert word in report.text
        assert "<script" not in report.text
        # Names of code systems and of SVG are addresses that nothing is loaded from.
        loaded = report.text
        for name in ("http://to_be_decided.com", "http://snomed", 'xmlns="http://www.w3.org/2000/svg"'):
            loaded = loaded.replace(name, "")
        assert "http://" not in loaded
    page = network.person("pi").get(f"/studies/{study_id}")
    assert page.status_code == 200
    assert "CHARLIE" in page.text


def test_unusable_release_counts_as_suppressed(network: Network) -> None:
    study_id, nodes = _released_network(network, ["ALPHA", "BRAVO"])
    network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})
    wrong = _released([1.0, 2.0])
    wrong["measurements"][0]["moments"]["sum_of_squares"] = "-1"
    for code, payload in (("ALPHA", wrong), ("BRAVO", _released([1.0, 3.0]))):
        (offer,) = nodes[code].offers()
        nodes[code].finish(offer, payload)
    (row,) = network.get("pi", f"/api/studies/{study_id}/results")["measuring"]
    assert (row["n"], row["mean"], row["suppressed_sites"]) == (2, 2.0, ["ALPHA"])
    assert row["suppressed"][0]["code"] == "results.unusable"


def test_refusal_and_silence_are_named_and_the_run_ends(network: Network) -> None:
    study_id, nodes = _released_network(network, ["ALPHA", "BRAVO", "CHARLIE"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})["run_id"]
    (offer,) = nodes["ALPHA"].offers()
    nodes["ALPHA"].finish(offer, _released([1.0, 3.0]))
    (offer,) = nodes["BRAVO"].offers()
    reason = {"code": "approvals.not_approved", "public_reason": "Not released here."}
    nodes["BRAVO"].say("job.refused", {"job_id": offer["job_id"], "run_id": run_id, **reason})
    with network.central.database.begin() as connection:
        connection.exec_driver_sql("UPDATE run SET deadline = '2020-01-01 00:00:00' WHERE state = 'running'")
        assert network.central.runs.end_overdue(connection) == 1
        assert network.central.runs.end_overdue(connection) == 0
    jobs = {job["site"]: job for job in network.get("pi", f"/api/runs/{run_id}")["jobs"]}
    assert {site: job["state"] for site, job in jobs.items()} == {
        "ALPHA": "succeeded",
        "BRAVO": "refused",
        "CHARLIE": "cancelled",
    }
    assert jobs["BRAVO"]["public_reason"] == "Not released here."
    assert jobs["CHARLIE"]["reason_code"] == "no_answer"
    assert "job.cancel" in [envelope.type for envelope in nodes["CHARLIE"].poll()]
    assert network.get("pi", f"/api/runs/{run_id}")["state"] == "completed"


def test_rejected_envelope_is_shown_as_the_sites_refusal(network: Network) -> None:
    study_id, nodes = _released_network(network, ["ALPHA"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})["run_id"]
    (envelope,) = nodes["ALPHA"].poll()
    replayed = {"envelope_id": envelope.id, "code": "protocol.replayed", "public_reason": "Seen before."}
    nodes["ALPHA"].say("envelope.rejected", replayed)
    assert network.get("pi", f"/api/runs/{run_id}")["jobs"][0]["state"] == "offered"
    tampered = {
        "envelope_id": envelope.id,
        "code": "protocol.tampered",
        "public_reason": "Signature does not fit.",
    }
    nodes["ALPHA"].say("envelope.rejected", tampered)
    (job,) = network.get("pi", f"/api/runs/{run_id}")["jobs"]
    assert (job["state"], job["public_reason"]) == ("refused", "Signature does not fit.")


def test_central_may_ask_a_site_that_did_not_approve_and_shows_its_answer(network: Network) -> None:
    study_id, _ = _released_network(network, ["ALPHA"])
    bravo = network.enrol("BRAVO")
    body = {"kind": "measure", "sites": ["BRAVO"]}
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", body)["run_id"]
    (offer,) = bravo.offers()
    reason = {"code": "approvals.unknown_study", "public_reason": "This site does not know this study."}
    bravo.say("job.refused", {"job_id": offer["job_id"], "run_id": run_id, **reason})
    run = network.get("pi", f"/api/runs/{run_id}")
    assert (run["state"], run["jobs"][0]["public_reason"]) == (
        "failed",
        "This site does not know this study.",
    )


def test_hold_takes_back_running_work(network: Network) -> None:
    study_id, nodes = _released_network(network, ["ALPHA"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "measure"})["run_id"]
    network.step(study_id, "pi", "data_hold", {"comment": "wait"})
    assert network.get("pi", f"/api/runs/{run_id}")["state"] == "cancelled"
    types = [envelope.type for envelope in nodes["ALPHA"].poll()]
    assert types == ["job.offer", "job.cancel", "study.state"]
    refused = network.person("pi").post(f"/api/studies/{study_id}/runs", json={"kind": "measure"})
    assert (refused.status_code, refused.json()["code"]) == (409, "analysis.study_state")


class _Engine:
    """A training engine whose answers a test writes down; the real one has its own tests."""

    def __init__(self, *answers: FederatedModel | Exception) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, list[str]]] = []

    def __call__(
        self, run_id: str, plan: Any, sites: Any, min_sites: int, is_wanted: Any, on_rounds: Any
    ) -> FederatedModel:
        self.asked.append((run_id, list(sites)))
        on_rounds([{"round": 0, "sites": {site: {"loss": 0.5} for site in sites}, "missing": []}])
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def _tick_until_idle(comparisons: Comparisons) -> None:
    comparisons.tick()
    for thread in comparisons._threads.values():
        thread.join()


def _train_up_to_federated(network: Network) -> tuple[str, str, dict[str, SimulatedNode], dict[str, str]]:
    study_id, nodes = _released_network(network, ["ALPHA", "BRAVO", "HOLDOUT", "POOL"])
    run_id = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "training"})["run_id"]
    weights = {}
    for code in ("ALPHA", "BRAVO", "POOL"):
        (offer,) = nodes[code].offers()
        assert offer["kind"] == "train.local"
        nodes[code].accept(offer)
        weights[code] = nodes[code].upload(f"weights of {code}".encode())
        nodes[code].finish(offer, {"cases": 20}, {"weights": weights[code]})
    assert nodes["HOLDOUT"].offers() == []
    return study_id, run_id, nodes, weights


def _evaluate(node: SimulatedNode, expected: set[str]) -> dict[str, str]:
    (offer,) = node.offers()
    assert offer["kind"] == "evaluate"
    models: dict[str, str] = offer["parameters"]["models"]
    assert set(models) == expected
    for digest in models.values():
        assert node.client.get(f"/node/v1/artifacts/{digest}").status_code == 200
    scores = {"federated": 0.9, "pooled": 0.92, "local:ALPHA": 0.7, "local:BRAVO": 0.6, "baseline:prior": 0.3}
    released = {
        name: {"mean_dice": dice, "labels": [{"n": 2, "sum": 2 * dice, "sum_of_squares": 2 * dice * dice}]}
        for name, dice in scores.items()
        if name in models or name.startswith("baseline")
    }
    node.finish(offer, {"cases": 2, "baseline": "prior", "models": released})
    return models


def test_comparison_walks_through_local_federated_and_evaluation(network: Network) -> None:
    study_id, run_id, nodes, weights = _train_up_to_federated(network)
    rounds = [{"round": number, "sites": {"ALPHA": {}, "BRAVO": {}}, "missing": []} for number in range(2)]
    engine = _Engine(Unavailable("not yet"), FederatedModel(b"federated weights", rounds))
    comparisons = Comparisons(network.central.database, network.central.analyses, engine)
    comparisons._stop.set()  # no pause after "not yet"
    _tick_until_idle(comparisons)
    for code in ("ALPHA", "BRAVO"):
        (offer,) = nodes[code].offers()
        assert (offer["kind"], offer["parameters"]["sites"]) == ("train.federated", ["ALPHA", "BRAVO"])
        assert engine.asked == []
        nodes[code].accept(offer)
    _tick_until_idle(comparisons)
    assert engine.asked == [(f"{run_id}.federated", ["ALPHA", "BRAVO"])]
    so_far = network.get("pi", f"/api/studies/{study_id}/results")["training"]
    assert (so_far["rounds"], so_far["curves"]) == (1, {"ALPHA": [[1, 0.5]], "BRAVO": [[1, 0.5]]})
    assert "Training loss of each site by round" in network.person("pi").get(f"/studies/{study_id}").text
    network.restart()  # the process dies while the engine is wanted: the next one asks it again
    comparisons = Comparisons(network.central.database, network.central.analyses, engine)
    _tick_until_idle(comparisons)
    assert engine.asked == [(f"{run_id}.federated", ["ALPHA", "BRAVO"])] * 2
    models = _evaluate(nodes["HOLDOUT"], {"federated", "pooled", "local:ALPHA", "local:BRAVO"})
    assert models["local:ALPHA"] == weights["ALPHA"]
    assert models["pooled"] == weights["POOL"]
    _tick_until_idle(comparisons)
    run = network.get("pi", f"/api/runs/{run_id}")
    assert (run["kind"], run["state"], len(run["jobs"])) == ("training", "completed", 6)
    assert {job["state"] for job in run["jobs"]} == {JobState.SUCCEEDED}
    training = network.get("pi", f"/api/studies/{study_id}/results")["training"]
    assert training["federated_dice"] == pytest.approx(0.9)
    assert training["pooled_dice"] == pytest.approx(0.92)
    assert training["local_dice"] == {"ALPHA": pytest.approx(0.7), "BRAVO": pytest.approx(0.6)}
    assert (training["baseline"], training["rounds"]) == ("prior", 2)
    assert training["baseline_dice"] == pytest.approx(0.3)
    report = network.person("pi").get(f"/api/studies/{study_id}/report.html").text
    assert "Trivial baseline: prior" in report


def test_comparison_goes_on_without_a_federated_model(network: Network) -> None:
    study_id, _run_id, nodes, _ = _train_up_to_federated(network)
    engine = _Engine(Refused("the engine gave up"))
    comparisons = Comparisons(network.central.database, network.central.analyses, engine)
    _tick_until_idle(comparisons)
    for code in ("ALPHA", "BRAVO"):
        (offer,) = nodes[code].offers()
        nodes[code].accept(offer)
    _tick_until_idle(comparisons)
    _evaluate(nodes["HOLDOUT"], {"pooled", "local:ALPHA", "local:BRAVO"})
    _tick_until_idle(comparisons)
    training = network.get("pi", f"/api/studies/{study_id}/results")["training"]
    assert (training["state"], training["federated_dice"]) == ("completed", None)
    assert training["engine_reason"] == "the engine gave up"
    assert "job.cancel" in [envelope.type for envelope in nodes["ALPHA"].poll()]


def test_too_few_sites_end_the_federated_step(network: Network) -> None:
    _study_id, run_id, nodes, _ = _train_up_to_federated(network)
    comparisons = Comparisons(network.central.database, network.central.analyses, _Engine())
    _tick_until_idle(comparisons)
    (offer,) = nodes["ALPHA"].offers()
    refusal = {"code": "x", "public_reason": "Too few cases."}
    nodes["ALPHA"].say("job.refused", {"job_id": offer["job_id"], "run_id": offer["run_id"], **refusal})
    _tick_until_idle(comparisons)
    run = network.get("pi", f"/api/runs/{run_id}")
    states = {job["job_id"]: job["state"] for job in run["jobs"]}
    assert states[f"{run_id}.federated.ALPHA"] == "refused"
    assert states[f"{run_id}.federated.BRAVO"] == "cancelled"
    assert states[f"{run_id}.evaluate.HOLDOUT"] == "offered"
    network.post("pi", f"/api/runs/{run_id}/cancellation", {"reason": "enough"})
    _tick_until_idle(comparisons)
    assert network.get("pi", f"/api/runs/{run_id}")["state"] == "cancelled"
