"""A new site from invitation to its first decision: seen from here, ticked by people, watched by a mentor."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from racoon.central.onboarding.model import BY_HAND, CHECKLIST
from racoon.platform import clock
from tests.simulated_network import Network, SimulatedNode

PARTS = ("connection", "keys", "certificate", "intake", "refusal", "count", "measure", "gate")


def said(*, failed: str = "", days_ago: float = 0) -> dict[str, Any]:
    return {
        "version": "1.0",
        "tested_at": (clock.now() - timedelta(days=days_ago)).isoformat(),
        "policy_version": "network-1",
        "checks": [{"code": code, "is_ok": code != failed, "seconds": 0.5} for code in PARTS],
    }


def of(network: Network, code: str) -> dict[str, Any]:
    (found,) = [item for item in network.get("office", "/api/onboarding") if item["site"] == code]
    return dict(found)


def done(network: Network, code: str) -> set[str]:
    return {line["key"] for line in of(network, code)["lines"] if line["is_done"]}


def put(network: Network, path: str, body: dict[str, Any], name: str = "admin") -> Any:
    return network.person(name).put(f"/api/onboarding/{path}", json=body)


def test_site_39_comes_into_the_network(network: Network) -> None:
    mentor = network.enrol("LEIPZIG")
    code = network.invite("NEWCITY")
    assert done(network, "NEWCITY") == set()
    assert of(network, "NEWCITY")["next"] == "mentor"
    assert put(network, "NEWCITY/mentor", {"mentor": "LEIPZIG"}).status_code == 200
    assert done(network, "NEWCITY") == {"mentor"}

    node = SimulatedNode(network, "NEWCITY")
    node.enrol(code)
    node.heartbeat()
    assert done(network, "NEWCITY") == {"mentor", "join_code", "connected", "certificate"}
    for key in sorted(BY_HAND):
        answer = put(network, f"NEWCITY/items/{key}", {"is_done": True})
        assert answer.status_code == 200, answer.text
    assert of(network, "NEWCITY")["next"] == "readiness"

    node.say("site.readiness", said(failed="measure"))
    assert "readiness" not in done(network, "NEWCITY")
    test = of(network, "NEWCITY")["readiness"]
    assert (test["is_ready"], len(test["checks"])) == (False, len(PARTS))
    node.say("site.readiness", said())
    assert of(network, "NEWCITY")["next"] == "decided"
    # An older result that comes late changes nothing.
    node.say("site.readiness", said(failed="gate", days_ago=1))
    assert of(network, "NEWCITY")["readiness"]["is_ready"] is True

    study_id = network.study_in_site_voting(["NEWCITY", "LEIPZIG"])
    assert "decided" not in done(network, "NEWCITY")
    node.decide_up_to(study_id, "diz_check")
    mentor.poll()
    whole = of(network, "NEWCITY")
    assert (whole["done"], whole["next"]) == (len(CHECKLIST), None)

    shown = network.get("office", "/api/onboarding?mentor=LEIPZIG")
    assert [item["site"] for item in shown] == ["NEWCITY"]
    person = network.person("office")
    person.headers["accept-language"] = "de"
    assert "alles ist erledigt" in person.get("/onboarding?mentor=LEIPZIG").text
    assert "Messung bekannter Volumina" in person.get("/onboarding/NEWCITY").text
    # Who reads may not tick.
    assert "Zurücknehmen" not in person.get("/onboarding/NEWCITY").text


def test_an_old_test_no_longer_counts(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    node = network.enrol("NEWCITY")
    node.say("site.readiness", said())
    assert "readiness" in done(network, "NEWCITY")
    later = datetime.now(UTC) + timedelta(days=91)
    monkeypatch.setattr(clock, "now", lambda: later)
    network.sign_in_again()
    assert "readiness" not in done(network, "NEWCITY")


def test_what_makes_no_sense_is_refused(network: Network) -> None:
    network.enrol("ALPHA")
    network.invite("BRAVO")
    for path, body, status in (
        ("BRAVO/mentor", {"mentor": "BRAVO"}, 422),
        ("ALPHA/mentor", {"mentor": "BRAVO"}, 422),
        ("NOWHERE/mentor", {"mentor": "ALPHA"}, 404),
        ("ALPHA/items/connected", {"is_done": True}, 422),
        ("ALPHA/items/nothing", {"is_done": True}, 422),
        ("NOWHERE/items/contract", {"is_done": True}, 404),
    ):
        assert put(network, path, body).status_code == status, path
    assert put(network, "ALPHA/items/contract", {"is_done": True}, "office").status_code == 403
    admin = network.person("admin")
    assert admin.get("/onboarding/NOWHERE").status_code == 404
    refused = admin.post("/onboarding/ALPHA/mentor", data={"mentor": "ALPHA"})
    assert refused.status_code == 422
    assert "A mentor is another site" in refused.text
    ticked = admin.post("/onboarding/ALPHA/items", data={"item": "contract", "done": "yes"})
    assert ticked.status_code == 200
    assert "contract" in done(network, "ALPHA")
    admin.post("/onboarding/ALPHA/items", data={"item": "contract", "done": "no"})
    assert "contract" not in done(network, "ALPHA")


def test_a_forged_result_is_not_believed(network: Network) -> None:
    alpha, bravo = network.enrol("ALPHA"), network.enrol("BRAVO")
    forged = alpha.seal("site.readiness", said(), key=bravo.signing_key)
    assert alpha.send(forged)["rejected"]
    assert of(network, "ALPHA")["readiness"] is None
