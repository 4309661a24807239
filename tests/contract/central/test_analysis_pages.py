"""The form that writes an analysis plan, and the three ways of a plan side by side."""

from __future__ import annotations

import io
import json
import re
import zipfile
from typing import Any

import pytest

from racoon.domain.analysis import parse_plan
from racoon.domain.analysis.estimators import ESTIMATORS
from racoon.science.analysis import OpenGate, SiteTable, run_plan
from racoon.science.statistics.derivation import derive
from tests.analysing_sites import (
    PLAN,
    AnalysingSite,
    carry_on,
    cohort,
    definition,
    merged,
    open_study,
    run_to_end,
)
from tests.simulated_network import Network

SMALL = {**PLAN, "estimators": [PLAN["estimators"][0], PLAN["estimators"][3]], "subgroups": []}


def test_a_plan_is_written_in_the_browser(network: Network) -> None:
    study_id = network.post("pi", "/api/studies", {"definition": definition({})})["study_id"]
    pi, path = network.person("pi"), f"/studies/{study_id}/plan"
    assert network.person("auditor").get(path).status_code == 403
    page = pi.get(path, headers={"accept-language": "de"}).text
    for kind in ESTIMATORS:
        assert f"add.estimator.{kind}" in page
    assert "Einen Auswertungsplan schreiben" in page
    assert "Pleural effusion" not in page
    form = {
        "name": "Effusion",
        "minimum_sites": "3",
        "on_dropout": "stop",
        "use.age": "yes",
        "use.sex": "yes",
    }
    form |= {"use.pleural_effusion_volume": "yes", "derived.0.name": "effusion"}
    form["derived.0.derivation"] = "pleural_effusion_volume >= 100"
    form |= {
        "clinical.0.name": "death30",
        "clinical.0.source": "clinical died_within 30",
        "clinical.0.unit": "",
    }
    added = pi.post(path, data={**form, "action": "add.estimator.model"}).text
    assert 'name="estimator.0.outcome"' in added
    assert "autofocus" in added
    own = {"title": "Death", "outcome": "death30", "terms": "age, sex, effusion", "family": "binomial"}
    form |= {"estimator.0.kind": "model", **{f"estimator.0.{key}": value for key, value in own.items()}}
    wrong = pi.post(f"{path}/check", data={**form, "estimator.0.terms": "age, height"}).text
    assert "the plan has no variable" in wrong
    assert "<pre" not in wrong
    right = pi.post(f"{path}/check", data=form).text
    assert "The plan can be run." in right
    assert "derivation: pleural_effusion_volume &gt;= 100" in right
    version = str(network.study(study_id)["version"])
    refused = pi.post(
        path, data={**form, "action": "save", "version": version, "estimator.0.terms": "height"}
    )
    assert 'role="alert"' in refused.text
    saved = pi.post(path, data={**form, "action": "save", "version": version}, follow_redirects=False)
    assert (saved.status_code, saved.headers["location"]) == (303, f"/studies/{study_id}")
    (plan,) = network.study(study_id)["definition"]["analyses"]
    assert parse_plan(plan).hash == parse_plan(plan).hash
    assert [item["name"] for item in plan["variables"]] == [
        "age", "sex", "pleural_effusion_volume", "death30", "effusion"
    ]  # fmt: skip
    assert (plan["on_dropout"], plan["estimators"][0]["terms"]) == ("stop", ["age", "sex", "effusion"])
    again = pi.get(f"{path}?plan=Effusion").text
    fields = {
        key: value.replace("&gt;", ">")
        for key, value in re.findall(r'<input (?:id="[^"]*" )?name="([^"]+)" value="([^"]*)"', again)
    }
    assert fields["estimator.0.terms"] == "age, sex, effusion"
    assert fields["derived.0.derivation"] == "pleural_effusion_volume >= 100"
    without = pi.post(path, data={**form, "action": "remove.estimator.0"}).text
    assert 'name="estimator.0.outcome"' not in without


def run_mode(network: Network, study_id: str, mode: str, sites: dict[str, AnalysingSite]) -> dict[str, Any]:
    body = {"mode": mode}
    run_id = network.post("pi", f"/api/studies/{study_id}/analyses", body)["run_id"]
    found = run_to_end(network, run_id, sites)
    assert found["state"] == "completed", found["reason"]
    result: dict[str, Any] = found["result"]
    return result


def test_one_plan_in_three_ways(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    hospitals = {code: cohort(260, number) for number, code in enumerate(("ALPHA", "BRAVO", "CHARLIE"))}
    tables = {**hospitals, "POOL": merged(hospitals)}
    study = definition(SMALL) | {"pool_site": "POOL"}
    monkeypatch.setattr("tests.analysing_sites.definition", lambda _plan: study)
    study_id, sites = open_study(network, tables, SMALL)
    plan_hash = parse_plan(SMALL).hash
    empty = network.person("pi").get(f"/studies/{study_id}/plans/{plan_hash}").text
    assert "not run yet" in empty
    started = network.person("pi").post(
        f"/studies/{study_id}/plans/{plan_hash}", data={"mode": "federated"}, follow_redirects=False
    )
    assert started.status_code == 303
    (run,) = network.get("pi", f"/api/studies/{study_id}/analyses")
    federated = run_to_end(network, run["run_id"], sites)["result"]
    said = network.person("pi").get(f"/analyses/{run['run_id']}").text
    own_page = f"/analyses/{study_id}/{plan_hash[:12]}"
    assert own_page in said
    assert 'rel="noreferrer"' not in said
    sites["BRAVO"].node.heartbeat(people_url="https://bravo.example")
    linked = network.person("pi").get(f"/analyses/{run['run_id']}").text
    assert f'<a href="https://bravo.example{own_page}" rel="noreferrer">BRAVO</a>' in linked
    assert re.search(rf'<a href="https://bravo.example{own_page}"[^>]*><title>[^<]*BRAVO</title><', linked)
    assert linked.count(own_page) == linked.count("bravo.example") + 1
    pool = run_mode(network, study_id, "pool", sites)
    alone = run_mode(network, study_id, "sites", sites)
    model = {result["mode"]: result["tables"][1] for result in (federated, pool, alone)}
    assert model["pool"]["sites"] == ["POOL"]
    for mine, other in zip(model["federated"]["rows"], model["pool"]["rows"], strict=True):
        assert mine == [cell if isinstance(cell, str) else pytest.approx(cell, rel=1e-9) for cell in other]
    by_site = {}
    for code, table in hospitals.items():
        plan = parse_plan(SMALL)
        own = run_plan(plan, [SiteTable(code, derive(plan, table.columns), OpenGate())])
        by_site[code] = {row[0]: row for row in own.tables[1].rows}
    lines = {(line["site"], line["name"]): line for line in model["sites"]["per_site"]}
    for (site, name), line in lines.items():
        assert line["value"] == pytest.approx(by_site[site][name][1], rel=1e-9)
    common = {row[0]: row[1] for row in model["federated"]["rows"]}
    for row in model["sites"]["rows"]:
        assert row[1] == pytest.approx(common[row[0]], abs=0.5)
        assert row[9] == 3
    for site in sites.values():
        assert all(
            count == 1 for question, count in site.asked.items() if question.coefficients and count > 3
        )
    person = network.person("pi")
    for language, words in (("en", "each site alone"), ("de", "jeder Standort allein")):
        page = person.get(
            f"/studies/{study_id}/plans/{plan_hash}", headers={"accept-language": language}
        ).text
        assert words in page
        assert page.count("calcium") >= 2
    bundle = person.get(f"/api/analyses/{pool['run_id']}/bundle.zip").content
    assert json.loads(zipfile.ZipFile(io.BytesIO(bundle)).read("result.json"))["mode"] == "pool"


def test_the_strictest_site_wins_in_every_way(network: Network) -> None:
    tables = {code: cohort(200, number) for number, code in enumerate(("ALPHA", "BRAVO"))}
    study_id, sites = open_study(network, tables, SMALL)
    result = run_mode(network, study_id, "sites", sites)
    assert all(table["rows"] == [] for table in result["tables"])
    no_pool = network.person("pi").post(f"/api/studies/{study_id}/analyses", json={"mode": "pool"})
    assert (no_pool.status_code, no_pool.json()["code"]) == (409, "analysis.no_pool")
    carry_on(network)
