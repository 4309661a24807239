"""An analysis over the real protocol: what comes out is the pooled fit, whatever dies, leaves or refuses on the way."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from PIL import Image
from rocrate.rocrate import ROCrate

from racoon.domain.analysis import parse_plan
from racoon.node.analysing.model import SubjectTable
from racoon.node.release.policy import DisclosurePolicy
from racoon.science.analysis import OpenGate, SiteTable, run_plan
from racoon.science.statistics.derivation import derive
from tests.analysing_sites import PLAN, AnalysingSite, carry_on, cohort, merged, open_study, run_to_end, start
from tests.simulated_network import Network

SITES = ("ALPHA", "BRAVO", "CHARLIE", "DELTA")


@pytest.fixture(scope="module")
def tables() -> dict[str, SubjectTable]:
    return {code: cohort(260 + 30 * number, number) for number, code in enumerate(SITES)}


@pytest.fixture(scope="module")
def small_plan() -> dict[str, Any]:
    """One model, one table: enough rounds to be interrupted in each."""
    return {**PLAN, "estimators": [PLAN["estimators"][0], PLAN["estimators"][3]], "subgroups": []}


def pooled(
    tables: Mapping[str, SubjectTable], plan: Mapping[str, Any] = PLAN
) -> dict[tuple[str, str], dict[str, Any]]:
    parsed = parse_plan(plan)
    rows = SiteTable("all", derive(parsed, merged(tables).columns), OpenGate())
    found = run_plan(parsed, [rows]).to_dict()["tables"]
    return {(table["title"], table["subgroup"]): table for table in found}


def by_title(result: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(table["title"], table["subgroup"]): table for table in result["tables"]}


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, int]]:
    """Every whole number of a message that counts something, with its place; coefficients and sums are no counts."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in {"question", "least_sites", "bins", "edges"}:
                yield from numbers(item, f"{path}/{key}")
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, path)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield path, value


def test_federated_is_pooled_and_no_small_cell_is_on_the_wire(
    network: Network, tables: dict[str, SubjectTable]
) -> None:
    everyone = {**tables, "TINY": cohort(4, 99)}
    study_id, sites = open_study(network, everyone)
    found = run_to_end(network, start(network, study_id), sites)
    assert found["state"] == "completed", found["reason"]
    result = found["result"]
    federated, expected = by_title(result), pooled(tables)
    assert federated.keys() == expected.keys()
    for title in ("Ventilation", "Score", "Hazard, grid"):
        assert federated[title, ""]["rows"] == [list(row) for row in expected[title, ""]["rows"]], title
        assert federated[title, ""]["sites"] == sorted(SITES)
        assert [site for site, _ in federated[title, ""]["withheld"]] == ["TINY"]
    for title in ("Age", "Sex", "Survival"):
        table = federated[title, ""]
        assert len(table["sites"]) >= 3
        counted = pooled({code: tables[code] for code in table["sites"]})
        for mine, other in zip(table["rows"], counted[title, ""]["rows"], strict=True):
            assert mine == [
                pytest.approx(cell, rel=1e-9) if isinstance(cell, float) else cell for cell in other
            ]
    for mine, other in zip(federated["Table 1", ""]["rows"], expected["Table 1", ""]["rows"], strict=True):
        assert (mine[3], mine[5], mine[6]) == (other[3], pytest.approx(other[5]), pytest.approx(other[6]))
    assert federated["Hazard, by site", ""]["rows"]
    assert {line["site"] for line in federated["Ventilation", ""]["per_site"]} == set(SITES)
    sent = [json.loads(text) for site in sites.values() for text in site.sent]
    counts = [count for payload in sent for count in numbers(payload)]
    assert len(counts) > 500
    assert [item for item in counts if 0 < item[1] < DisclosurePolicy().minimum_cell] == []
    # Proof that small counts could have leaked: the tiny site has four subjects, and ages are missing.
    assert sum(age is None for age in tables["ALPHA"].columns["age"]) > 0
    assert all("left_out" in text for text in sites["ALPHA"].sent[:1])
    assert result["bytes"] > 0
    assert result["rounds"] == max(table["rounds"] for table in result["tables"])
    assert {entry["site"]: entry["dataset_hash"] for entry in result["sites"]}["ALPHA"] == f"{1:064x}"
    assert {entry["code"] for entry in result["held_back"]} >= {"release.minimum_cell"}


def test_a_restart_in_every_round_changes_nothing_and_nobody_is_asked_twice(
    network: Network, tables: dict[str, SubjectTable], small_plan: dict[str, Any]
) -> None:
    study_id, sites = open_study(network, tables, small_plan)
    calm = run_to_end(network, start(network, study_id), sites)["result"]
    asked = {code: dict(site.asked) for code, site in sites.items()}
    assert all(count == 1 for own in asked.values() for count in own.values())
    run_id = start(network, study_id)
    for _ in range(100):
        network.restart()
        if network.get("pi", f"/api/analyses/{run_id}")["state"] != "running":
            break
        for site in sites.values():
            for offer in site.node.offers():
                site.answer(offer)
            network.restart()
            carry_on(network)
            carry_on(network)
    stormy = network.get("pi", f"/api/analyses/{run_id}")["result"]
    assert stormy["result_hash"] == calm["result_hash"]
    assert stormy["tables"] == calm["tables"]
    for code, site in sites.items():
        assert dict(site.asked) == dict.fromkeys(asked[code], 2), "one time per run"


@pytest.mark.parametrize("leaves_in", [1, 2, 4])
def test_a_site_that_leaves_is_named_and_the_rest_is_the_fit_without_it(
    network: Network, tables: dict[str, SubjectTable], small_plan: dict[str, Any], leaves_in: int
) -> None:
    study_id, sites = open_study(network, tables, small_plan)
    run_id = start(network, study_id)
    round_ = 0
    while network.get("pi", f"/api/analyses/{run_id}")["state"] == "running":
        round_ += 1
        for code, site in sites.items():
            for offer in site.node.offers():
                if code == "CHARLIE" and round_ == leaves_in:
                    reason = {"code": "approvals.study_state", "public_reason": "Stopped here."}
                    site.node.say(
                        "job.refused", {"job_id": offer["job_id"], "run_id": offer["run_id"], **reason}
                    )
                else:
                    assert code != "CHARLIE" or round_ < leaves_in
                    site.answer(offer)
        carry_on(network)
    result = network.get("pi", f"/api/analyses/{run_id}")["result"]
    without = {code: table for code, table in tables.items() if code != "CHARLIE"}
    model = by_title(result)["Ventilation", ""]
    for mine, other in zip(
        model["rows"], pooled(without, small_plan)["Ventilation", ""]["rows"], strict=True
    ):
        assert mine == [cell if isinstance(cell, str) else pytest.approx(cell, rel=1e-6) for cell in other]
    assert ["CHARLIE", f"Left in round {leaves_in}: Stopped here."] in model["withheld"]
    assert ("CHARLIE" in by_title(result)["Table 1", ""]["sites"]) == (leaves_in > 1)
    assert all(count == 1 for site in sites.values() for count in site.asked.values())


def test_a_plan_may_say_that_a_site_that_leaves_stops_it(
    network: Network, tables: dict[str, SubjectTable], small_plan: dict[str, Any]
) -> None:
    study_id, sites = open_study(network, tables, {**small_plan, "on_dropout": "stop"})
    run_id = start(network, study_id)
    for code, site in sites.items():
        (offer,) = site.node.offers()
        if code == "BRAVO":
            wrong = {"plan_hash": site.plan.hash, "dataset_hash": "0" * 64, "answers": []}
            site.node.finish(offer, wrong)
        else:
            site.answer(offer)
    carry_on(network)
    found = network.get("pi", f"/api/analyses/{run_id}")
    assert (found["state"], found["result"]) == ("failed", None)
    assert found["reason"] == "BRAVO: Left in round 1: What the site answered can't be used."
    assert network.get("pi", f"/api/runs/{run_id}")["state"] == "failed"


def test_the_strictest_site_wins_over_the_plan(
    network: Network, tables: dict[str, SubjectTable], small_plan: dict[str, Any]
) -> None:
    policies = {"DELTA": DisclosurePolicy(training_minimum_sites=5)}
    study_id, sites = open_study(network, tables, small_plan, policies)
    result = run_to_end(network, start(network, study_id), sites)["result"]
    for table in result["tables"]:
        assert (table["rows"], table["notes"]) == ([], ["Too few sites take part in this analysis."])


def test_only_an_approved_plan_of_a_live_study_starts(
    network: Network, tables: dict[str, SubjectTable], small_plan: dict[str, Any]
) -> None:
    study_id, sites = open_study(network, {"ALPHA": tables["ALPHA"]}, small_plan)
    path = f"/api/studies/{study_id}/analyses"
    refused = network.person("pi").post(path, json={"plan": "0" * 64})
    assert (refused.status_code, refused.json()["code"]) == (409, "analysis.plan_not_approved")
    assert network.person("auditor").post(path, json={}).status_code == 403
    assert network.person("pi").get("/api/analyses/none").status_code == 404
    run_id = start(network, study_id)
    network.post("pi", f"/api/runs/{run_id}/cancellation", {"reason": "not needed"})
    carry_on(network)
    assert network.get("pi", f"/api/analyses/{run_id}")["state"] == "cancelled"
    assert [row["run_id"] for row in network.get("pi", path)] == [run_id]
    assert isinstance(sites["ALPHA"], AnalysingSite)


def manifest_plan(archive: zipfile.ZipFile) -> str:
    return parse_plan(json.loads(archive.read("plan.json"))).hash


def test_page_and_bundle_say_everything_in_both_languages_and_a_rerun_has_the_same_hash(
    network: Network, tables: dict[str, SubjectTable], tmp_path: Path
) -> None:
    plan = {**PLAN, "estimators": [PLAN["estimators"][place] for place in (0, 2, 3, 5)], "subgroups": []}
    study_id, sites = open_study(network, {**tables, "TINY": cohort(4, 99)}, plan)
    hashes = []
    for _ in range(2):
        run_id = start(network, study_id)
        waiting = network.person("pi").get(f"/analyses/{run_id}")
        assert "data-live" in waiting.text
        assert network.person("pi").get(f"/api/analyses/{run_id}/bundle.zip").status_code == 404
        run_to_end(network, run_id, sites)
        answer = network.person("pi").get(f"/api/analyses/{run_id}/bundle.zip")
        archive = zipfile.ZipFile(io.BytesIO(answer.content))
        manifest = json.loads(archive.read("manifest.json"))
        for name, digest in manifest["files"].items():
            assert hashlib.sha256(archive.read(name)).hexdigest() == digest
        hashes.append(manifest["bundle_hash"])
    assert len(set(hashes)) == 1
    names = archive.namelist()
    assert {"plan.json", "methods-de.md", "methods-en.md", "provenance.json", "tables/01-table-1.csv"} <= set(
        names
    )
    drawings = [name for name in names if name.endswith(".svg")]
    assert {name.split("-")[-1] for name in drawings} >= {"survival.svg", "ratios.svg"}
    for name in drawings:
        ET.fromstring(archive.read(name))
    assert "logistisches Modell" in archive.read("methods-de.md").decode()
    assert "doi:10.1080/01621459.1958.10501452" in archive.read("methods-en.md").decode()
    for name in drawings:
        assert Image.open(io.BytesIO(archive.read(name.replace(".svg", ".png")))).width >= 1280
    rows = list(csv.reader(io.StringIO(archive.read("tables/02-sex.csv").decode())))
    parquet = pytest.importorskip("pyarrow.parquet", reason="the reader of others is the extra 'parquet'")
    table = parquet.read_table(io.BytesIO(archive.read("tables/02-sex.parquet")))
    assert table.column_names == rows[0]
    assert float(rows[1][rows[0].index("p")]) == table.to_pydict()["p"][0]
    assert parse_plan(yaml.safe_load(archive.read("plan.yaml"))).hash == manifest_plan(archive)
    for language, words in (
        ("en", "Statistical methods | See methods-en.md."),
        ("de", "Statistische Methoden | Siehe"),
    ):
        assert words in archive.read(f"checklists/strobe-{language}.md").decode()
        assert "plan " in archive.read(f"checklists/claim-{language}.md").decode()
    flow = archive.read("figures/00-flow-de.svg").decode()
    assert "Personen" in flow
    assert "Zurückgehalten" in flow
    archive.extractall(tmp_path / "crate")
    crate = ROCrate(tmp_path / "crate")
    assert crate.name == "Effusion"
    assert {entity.id for entity in crate.data_entities if entity.type == "File"} == set(names) - {
        "ro-crate-metadata.json"
    }
    assert {
        entity["identifier"] for entity in crate.get_by_type("Dataset") if "Frozen" in str(entity.get("name"))
    } == {f"sha256:{number + 1:064x}" for number in range(5)}
    kept = json.loads(archive.read("result.json"))
    assert (kept["mode"], kept["seeds"], len(kept["code_hash"])) == ("federated", {}, 64)
    assert kept["subjects"]["ALPHA"] == len(tables["ALPHA"].subjects)
    provenance = json.loads(archive.read("provenance.json"))
    assert (provenance["run_id"], len(provenance["sites"])) == (run_id, 5)
    for language, words in (
        (
            "en",
            ("Too few subjects stand behind this result.", "at risk", "Where it comes from", "meta-analysis"),
        ),
        (
            "de",
            ("Zu wenige Personen hinter diesem Ergebnis", "unter Risiko", "Woher es kommt", "Metaanalyse"),
        ),
    ):
        person = network.person("pi")
        page = person.get(f"/analyses/{run_id}", headers={"accept-language": language}).text
        for word in words:
            assert word in page, (language, word)
        assert page.count("<svg") >= len(drawings) - 1, "the flow diagram stands there in one language"
        assert "TINY" in page
    overview = network.person("pi").get(f"/studies/{study_id}").text
    assert f"/analyses/{run_id}" in overview
    assert "Effusion" in overview
