"""The page on which a cohort is built, over the wire."""

from __future__ import annotations

import re

from racoon.domain.cohort import parse_cohort
from racoon.domain.cohort_flow import flow_of
from tests.simulated_network import DEFINITION, Network, SimulatedNode

FORM = {
    "include.0.0.kind": "imaging",
    "include.0.0.modality": "CT",
    "include.1.0.kind": "condition",
    "include.1.0.system": "http://fhir.de/CodeSystem/bfarm/icd-10-gm",
    "include.1.0.codes": "J90",
}


def test_a_cohort_is_built_saved_and_counted(network: Network) -> None:
    study_id = network.post("pi", "/api/studies", {"definition": DEFINITION})["study_id"]
    earlier = network.post("pi", "/api/studies", {"definition": {**DEFINITION, "title": "Earlier"}})[
        "study_id"
    ]
    pi, path = network.person("pi"), f"/studies/{study_id}/cohort"
    assert network.person("auditor").get(path).status_code == 403
    assert pi.get("/studies/nothing/cohort").status_code == 404
    assert pi.post("/studies/nothing/cohort/check", data=FORM).status_code == 404
    page = pi.get(path, headers={"accept-language": "de"}).text
    assert "Kohorte zusammenstellen" in page
    assert "Personen mit einer Bildserie (Modalität CT)." in page
    assert f"?start={earlier}" in page
    assert 'name="include.0.0.modality" value="CT"' in pi.get(f"{path}?start={earlier}").text

    added = pi.post(path, data={**FORM, "kind.exclude.new": "age", "action": "add.exclude.new"}).text
    assert 'name="exclude.0.0.years"' in added
    assert "autofocus" in added
    wrong = pi.post(f"{path}/check", data={**FORM, "include.1.0.codes": ""}).text
    assert "Give at least one code" in wrong
    assert "cohort-hash" not in wrong
    right = pi.post(f"{path}/check", data=FORM).text
    found = re.search(r'id="cohort-hash">([0-9a-f]{64})<', right)
    assert found is not None

    version = str(network.study(study_id)["version"])
    refused = pi.post(path, data={**FORM, "include.0.0.modality": "", "action": "save", "version": version})
    assert 'aria-invalid="true"' in refused.text
    stale = pi.post(path, data={**FORM, "action": "save", "version": "77"})
    assert (stale.status_code, 'role="alert"' in stale.text) == (409, True)
    saved = pi.post(path, data={**FORM, "action": "save", "version": version}, follow_redirects=False)
    assert (saved.status_code, saved.headers["location"]) == (303, f"/studies/{study_id}")
    study = network.study(study_id)
    assert parse_cohort(study["definition"]["cohort"]).hash == found[1]

    nodes = [network.enrol(code) for code in ("ALPHA", "BRAVO", "CHARLIE", "DELTA")]
    data = {**FORM, "action": "count", "version": str(study["version"])}
    asked = pi.post(path, data=data, follow_redirects=False)
    assert (asked.status_code, asked.headers["location"]) == (303, f"{path}#count")
    assert network.study(study_id)["version"] == study["version"]
    assert "No site has answered yet." in pi.get(path).text
    answers = [{"value": 120, "threshold": 10}, None, {"value": None, "threshold": 10}]
    for node, answer in zip(nodes[:3], answers, strict=True):
        (offer,) = node.offers()
        assert offer["parameters"]["cohort_hash"] == found[1]
        node.finish(offer, {"cohort_hash": found[1], "count": answer})
    page = pi.get(path).text
    assert "only the total is shown" in page
    assert "No answer available at: BRAVO." in page
    assert "Without an answer so far: DELTA." in page
    assert "120" not in page.partition('id="count"')[2].replace("120–129", "")
    (offer,) = nodes[3].offers()
    nodes[3].finish(offer, {"cohort_hash": found[1], "count": {"value": 40, "threshold": 10}})
    page = pi.get(path).text
    assert re.findall(r'<th scope="row">(\w+)</th><td>([^<]+)</td>', page) == [
        ("ALPHA", "≈ 120"), ("CHARLIE", "&lt; 10"), ("DELTA", "≈ 40"),
    ]  # fmt: skip
    assert "earlier version" not in page
    changed = {**FORM, "include.1.0.codes": "J91", "action": "save", "version": str(study["version"])}
    assert pi.post(path, data=changed, follow_redirects=False).status_code == 303
    assert "earlier version" in pi.get(path).text
    _flow(network, study_id, nodes)


def _flow(network: Network, study_id: str, nodes: list[SimulatedNode]) -> None:
    """Ask with the flow diagram: sites send disjoint sets, the page adds them up from the end."""
    pi, path = network.person("pi"), f"/studies/{study_id}/cohort"
    form = {**FORM, "exclude.0.0.kind": "age", "exclude.0.0.compare": "lt", "exclude.0.0.years": "18"}
    data = {**form, "action": "flow", "version": str(network.study(study_id)["version"])}
    assert pi.post(path, data=data, follow_redirects=False).status_code == 303
    sites = [(200, 300, None), (100, None, 40), (50, 60, 70)]
    for node, numbers in zip(nodes, sites, strict=False):
        (offer,) = node.offers()
        definition = parse_cohort(offer["parameters"]["cohort"])
        assert offer["parameters"]["flow"] is True
        hashes = [definition.hash, *(step.left_out.hash for step in flow_of(definition) if step.left_out)]
        answers = [
            {"cohort_hash": name, "count": {"value": value, "threshold": 10}}
            for name, value in zip(hashes, numbers, strict=True)
        ]
        node.finish(offer, {**answers[0], "flow": answers[1:]})
    (offer,) = nodes[3].offers()
    nodes[3].finish(offer, {"cohort_hash": offer["parameters"]["cohort_hash"], "count": None, "flow": None})
    page = pi.get(path, headers={"accept-language": "de"}).text
    assert "Wer nach jedem Schritt bleibt" in page
    table = page.partition('class="cohort-flow"')[2].partition("</table>")[0]
    rows = re.findall(r'<th scope="row">.*?</th><td>([^<]*)</td><td>([^<]*)</td>', table)
    assert rows == [("", "820–838"), ("360–369", "460–469"), ("110–119", "≈ 350")]
    found = network.get("pi", f"/api/studies/{study_id}/feasibility")["flow"]
    assert [step["left"]["lower"] for step in found] == [820, 460, 350]
    by_api = network.get("pi", f"/api/studies/{study_id}/flow?lang=de")
    assert by_api["steps"] == found
    assert [row["left"]["upper"] for row in by_api["words"]] == [838, 469, 350]
    assert all(row["words"] for row in by_api["words"][1:])
    run = network.post("pi", f"/api/studies/{study_id}/runs", {"kind": "count", "flow": True})
    assert run["run_id"]
    assert nodes[0].offers()[0]["parameters"]["flow"] is True
    assert network.get("pi", f"/api/studies/{study_id}/flow")["steps"] == []
