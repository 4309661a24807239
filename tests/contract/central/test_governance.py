"""Governance over the wire: what one site decides blocks that site and no other, and both sides can read why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.identity import Role
from racoon.node.approvals._store import site_approval
from racoon.platform import clock
from racoon.protocol.envelope import seal, to_wire
from tests.governed_network import GovernedNetwork
from tests.simulated_network import DEFINITION

AMENDED = {**DEFINITION, "lay_summary": "How large are livers, and why?"}


@pytest.fixture
def governed(tmp_path: Path) -> Iterator[GovernedNetwork]:
    network = GovernedNetwork(tmp_path)
    yield network
    network.close()


@pytest.fixture
def today(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    moment = [datetime.now(UTC)]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    return moment


def run_everywhere(governed: GovernedNetwork, study_id: str, job_id: str) -> None:
    governed.offer(study_id, job_id)
    governed.exchange()
    for node in governed.nodes.values():
        node.work()
    governed.exchange()


def assert_blocked_at_alpha_only(
    governed: GovernedNetwork, study_id: str, code: str, words: str, job_id: str = "after"
) -> None:
    """A further run works at the others, not at ALPHA; both sides say why in the same words."""
    run_everywhere(governed, study_id, job_id)
    for site, node in governed.nodes.items():
        is_blocked = site == "ALPHA"
        assert (f"{job_id}.{site}" in node.worked) is not is_blocked
        row = governed.row(study_id, site)
        assert row["can_run"] is not is_blocked
        assert row["blocked"] == (words if is_blocked else "")
    alpha = governed.nodes["ALPHA"]
    assert alpha.refusals()[-1] == (code, words)
    assert governed.reason_at_central(job_id, "ALPHA") == words
    assert governed.reason_at_central(job_id, "BRAVO") is None
    with alpha.database.connect() as connection:
        standing = alpha.approvals.standing(connection, alpha.approvals.current(connection, study_id))
    assert (standing.code, standing.public_reason) == (code, words)
    assert governed.signatures_hold(study_id)


def test_a_study_that_everybody_allowed_runs_everywhere(governed: GovernedNetwork) -> None:
    study_id = governed.running_study()
    run_everywhere(governed, study_id, "first")
    assert [node.worked for node in governed.nodes.values()] == [
        ["first.ALPHA"],
        ["first.BRAVO"],
        ["first.CHARLIE"],
    ]
    assert governed.signatures_hold(study_id)


def test_an_expired_vote_blocks_that_site_only(governed: GovernedNetwork, today: list[datetime]) -> None:
    last_day = (today[0] + timedelta(days=10)).date()
    study_id = governed.running_study({"ALPHA": {"local_ethics": {"valid_until": last_day.isoformat()}}})
    assert governed.row(study_id, "ALPHA")["last_days"] == {"ethics": last_day.isoformat()}
    run_everywhere(governed, study_id, "before")
    assert all(node.worked for node in governed.nodes.values())
    governed.offer(study_id, "waiting")
    governed.exchange()
    today[0] += timedelta(days=11)
    governed.network.sign_in_again()
    for node in governed.nodes.values():
        node.tick()
    assert governed.nodes["ALPHA"].refusals()[-1][0] == "approvals.expired_ethics"
    assert [len(node.jobs.pending()) for node in governed.nodes.values()] == [0, 1, 1]
    words = f"The ethics vote of this site has ended: {last_day}"
    assert_blocked_at_alpha_only(governed, study_id, "approvals.expired_ethics", words)


def test_a_missing_committee_decision_blocks_that_site_only(governed: GovernedNetwork) -> None:
    """Somebody at the site forged the state in the database; the committee never signed."""
    study_id = governed.running_study()
    alpha = governed.nodes["ALPHA"]
    with alpha.database.begin() as connection:
        connection.execute(site_approval.delete().where(site_approval.c.kind == "uac"))
    alpha.tick()
    words = "A yes of this site's use and access committee is missing for this version of the study."
    assert_blocked_at_alpha_only(governed, study_id, "approvals.missing_uac", words)


def test_a_stop_blocks_that_site_only_and_at_once(governed: GovernedNetwork) -> None:
    study_id = governed.running_study()
    governed.offer(study_id, "waiting")
    governed.exchange()
    stop = {"comment": "for us alone", "public_reason": "The scanner data are under review."}
    governed.nodes["ALPHA"].decide(study_id, "stopped", "dora", Role.DPO, stop)
    assert [len(node.jobs.pending()) for node in governed.nodes.values()] == [0, 1, 1]
    words = "This site has stopped the study: The scanner data are under review."
    assert_blocked_at_alpha_only(governed, study_id, "approvals.stopped", words)
    assert governed.row(study_id, "ALPHA")["state"] == "stopped"
    assert "for us alone" not in str(governed.network.study(study_id))


def forged_envelopes(governed: GovernedNetwork, study_id: str) -> list[dict[str, Any]]:
    """What somebody without CENTRAL's key, or without the site's decision, would send to ALPHA."""
    governed.offer(study_id, "forged", ("ALPHA",))
    wire = governed.nodes["ALPHA"].wire
    answer = wire.client.get("/node/v1/messages", params={"after": wire.cursor, "wait_s": 0}).json()
    genuine = answer["envelopes"][-1]
    wire.cursor = answer["cursor"]
    state = {"study_id": study_id, "study_hash": genuine["payload"]["study_hash"], "state": "active"}
    strange = seal(
        Ed25519PrivateKey.generate(),
        type="study.state",
        sender="CENTRAL",
        recipient="ALPHA",
        payload=state,
        issued_at=clock.now(),
    )
    other_job = {**genuine["payload"], "job_id": "another"}
    return [{**genuine, "payload": other_job}, to_wire(strange)]


def test_a_forged_message_of_central_starts_nothing_and_both_sides_keep_the_reason(
    governed: GovernedNetwork,
) -> None:
    study_id = governed.running_study()
    alpha = governed.nodes["ALPHA"]
    for document in forged_envelopes(governed, study_id):
        alpha.line.receive(document)
    alpha.tell()
    alpha.work()
    assert alpha.worked == []
    with alpha.database.connect() as connection:
        here = [entry for entry in alpha.audit.entries(connection, 20) if entry.action == "envelope.receive"]
    assert [(entry.outcome, entry.details["code"]) for entry in here] == [
        ("refused", "protocol.tampered")
    ] * 2
    with governed.network.central.database.connect() as connection:
        entries = governed.network.central.audit.entries(connection, 50)
    there = [entry for entry in entries if entry.action == "message.rejected_by_site"]
    assert len(there) == 2
    assert all("The message's signature does not fit its content." in str(entry.details) for entry in there)
    assert (
        governed.reason_at_central("forged", "ALPHA") == "The message's signature does not fit its content."
    )
    run_everywhere(governed, study_id, "genuine")
    assert alpha.worked == ["genuine.ALPHA"]


def test_central_itself_cannot_move_a_site(governed: GovernedNetwork) -> None:
    """A message in a site's name that another key signed is refused; the state stays the site's own."""
    study_id = governed.network.study_in_site_voting(list(governed.nodes))
    governed.exchange()
    alpha = governed.nodes["ALPHA"]
    alpha.wire.studies = {study_id: {"study_hash": governed.network.study(study_id)["hash"]}}
    claim = alpha.wire.track(study_id, "requested", "diz_check", "diz", 2)
    standing = {
        "study_id": study_id,
        "study_hash": claim["study_hash"],
        "assessed_at": clock.now().isoformat(),
        "can_run": True,
    }
    key = Ed25519PrivateKey.generate()
    for kind, payload in (("track.changed", claim), ("study.standing", standing)):
        receipt = alpha.wire.send(alpha.wire.seal(kind, payload, key=key))
        assert list(receipt["rejected"].values()) == ["The message's signature does not fit its content."]
    row = governed.row(study_id, "ALPHA")
    assert (row["state"], row["can_run"]) == ("requested", False)


def test_an_amendment_is_voted_on_while_the_old_version_stays_in_force(governed: GovernedNetwork) -> None:
    study_id = governed.running_study()
    network = governed.network
    old = network.study(study_id)["hash"]
    submitted = network.post(
        "pi", f"/api/studies/{study_id}/amendments", {"definition": AMENDED, "reason": "clearer words"}
    )
    assert (submitted["number"], submitted["state"], submitted["sites"]) == (1, "amend_submitted", [])
    path = f"/api/studies/{study_id}/amendments/1/transitions"

    def step(name: str, target: str, **artefacts: str) -> Any:
        return network.person(name).post(path, json={"target": target, "artefacts": artefacts})

    assert step("pi", "amend_check").status_code == 409
    assert step("office", "amend_check").status_code == 200
    assert "second person" in step("office", "amend_voting", checklist="ok").json()["detail"]
    assert step("office2", "amend_voting", checklist="ok").status_code == 200
    governed.exchange()
    run_everywhere(governed, study_id, "meanwhile")
    assert all("meanwhile." + code in node.worked for code, node in governed.nodes.items())
    assert network.study(study_id)["hash"] == old
    refused = step("office", "amend_in_force", protocol_version="2")
    assert "no site has opted in to the new version yet" in refused.json()["detail"]

    new = submitted["hash"]
    for code in ("ALPHA", "BRAVO"):
        governed.nodes[code].walk(study_id, "opted_in", study_hash=new)
    governed.exchange()
    (change,) = network.study(study_id)["amendments"]
    assert [row["state"] for row in change["sites"]] == ["opted_in", "opted_in", "requested"]
    assert governed.row(study_id, "ALPHA")["state"] == "released"
    assert step("office", "amend_in_force", protocol_version="2").status_code == 200
    governed.exchange()
    study = network.study(study_id)
    assert (study["hash"], study["state"]) == (new, "active")
    assert [row["state"] for row in study["sites"]] == ["opted_in", "opted_in", "requested"]

    alpha = governed.nodes["ALPHA"]
    assert alpha.study(study_id).study_hash == new
    alpha.freeze(study_id)
    alpha.decide(study_id, "data_ready", "inga", Role.SITE_INFORMATICIAN)
    alpha.decide(study_id, "released", "dia", Role.DIZ)
    governed.exchange()
    for node in governed.nodes.values():
        node.worked.clear()
    run_everywhere(governed, study_id, "new")
    assert [node.worked for node in governed.nodes.values()] == [["new.ALPHA"], [], []]
    # The old version is no longer in force anywhere.
    assert alpha.study(study_id, old).central_state == "superseded"
    assert governed.signatures_hold(study_id)


@pytest.mark.parametrize("ending", ["amend_refused", "amend_withdrawn"])
def test_an_amendment_that_ends_leaves_everything_as_it_was(governed: GovernedNetwork, ending: str) -> None:
    study_id = governed.running_study()
    network = governed.network
    body = {"definition": AMENDED, "reason": "clearer words"}
    network.post("pi", f"/api/studies/{study_id}/amendments", body)
    again = network.person("pi").post(f"/api/studies/{study_id}/amendments", json=body)
    assert (again.status_code, again.json()["code"]) == (422, "amendment.open")
    path = f"/api/studies/{study_id}/amendments/1/transitions"
    for name, target, artefacts in (
        ("office", "amend_check", {}),
        ("office2", "amend_voting", {"checklist": "ok"}),
        ("office", ending, {"comment": "not now"}),
    ):
        network.post(name, path, {"target": target, "artefacts": artefacts})
    governed.exchange()
    run_everywhere(governed, study_id, "later")
    assert all(node.worked == [f"later.{code}"] for code, node in governed.nodes.items())


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"reason": " "}, "amendment.reason"),
        ({"definition": DEFINITION}, "amendment.same"),
        ({"definition": {**AMENDED, "title": ""}}, "study.invalid"),
    ],
)
def test_an_amendment_that_says_nothing_is_refused(
    governed: GovernedNetwork, changes: dict[str, Any], code: str
) -> None:
    study_id = governed.running_study()
    body = {"definition": AMENDED, "reason": "clearer words", **changes}
    answer = governed.network.person("pi").post(f"/api/studies/{study_id}/amendments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_a_concept_is_revised_not_amended(governed: GovernedNetwork) -> None:
    study = governed.network.post("pi", "/api/studies", {"definition": DEFINITION})
    body = {"definition": AMENDED, "reason": "clearer words"}
    answer = governed.network.person("pi").post(f"/api/studies/{study['study_id']}/amendments", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "amendment.state")


def test_an_ended_lead_vote_holds_the_study_until_it_is_renewed(
    governed: GovernedNetwork, today: list[datetime]
) -> None:
    network = governed.network
    study = network.post("pi", "/api/studies", {"definition": DEFINITION})
    study_id = study["study_id"]
    last_day = (today[0] + timedelta(days=3)).date()
    network.step(study_id, "pi", "submitted", {"signature": "PI"})
    network.step(study_id, "office", "formal_check")
    network.step(study_id, "office2", "ethics", {"checklist": "ok"})
    network.post("office", f"/api/studies/{study_id}/sites", {"sites": list(governed.nodes)})
    past = {"ethics_vote": "L-1", "ethics_valid_until": "2020-01-01"}
    answer = network.person("office").post(
        f"/api/studies/{study_id}/transitions", json={"target": "site_voting", "artefacts": past}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "study.last_day")
    network.step(study_id, "office", "site_voting", {**past, "ethics_valid_until": last_day.isoformat()})
    governed.exchange()
    for node in governed.nodes.values():
        node.walk(study_id, "opted_in")
    governed.exchange()
    network.activate(study_id)

    def clock_works() -> list[str]:
        with network.central.database.begin() as connection:
            return network.central.watch.hold_ended(connection)

    assert clock_works() == []
    today[0] += timedelta(days=4)
    governed.network.sign_in_again()
    assert clock_works() == [study_id]
    assert clock_works() == []
    held = network.study(study_id)
    assert held["state"] == "data_hold"
    event = held["history"][-1]
    assert (event["actor"], event["artefacts"]["comment"]) == (
        "clock",
        f"The lead ethics vote has ended: {last_day}",
    )
    governed.exchange()
    assert governed.nodes["BRAVO"].study(study_id).central_state == "data_hold"
    path = f"/api/studies/{study_id}/transitions"
    back = {"target": "active", "artefacts": {"comment": "on"}}
    refused = network.person("office").post(path, json=back)
    assert refused.status_code == 409
    assert "The lead ethics vote has ended" in refused.json()["detail"]
    step = next(step for step in held["next_steps"] if step["target"] == "active")
    assert "ethics_valid_until" in step["optional"]
    renewed = (today[0] + timedelta(days=100)).date().isoformat()
    network.step(study_id, "office", "active", {"comment": "on", "ethics_valid_until": renewed})
    assert clock_works() == []


def test_a_hold_goes_back_where_it_came_from(governed: GovernedNetwork) -> None:
    study_id = governed.running_study()
    network = governed.network
    network.step(study_id, "pi", "analysis", {"freeze": "hash"})
    network.step(study_id, "pi", "data_hold", {"comment": "a question"})
    path = f"/api/studies/{study_id}/transitions"
    wrong = network.person("office").post(
        path, json={"target": "active", "artefacts": {"comment": "answered"}}
    )
    assert "goes back there" in wrong.json()["detail"]
    network.step(study_id, "office", "analysis", {"comment": "answered"})


def test_sites_that_wait_too_long_are_reminded(governed: GovernedNetwork, today: list[datetime]) -> None:
    network = governed.network
    study_id = network.study_in_site_voting(list(governed.nodes))
    governed.exchange()
    governed.nodes["CHARLIE"].decide(study_id, "stopped", "dora", Role.DPO, {"comment": "no"})
    governed.exchange()

    def remind() -> int:
        with network.central.database.begin() as connection:
            return network.central.watch.remind_waiting(connection)

    assert remind() == 0
    today[0] += timedelta(days=15)
    governed.network.sign_in_again()
    assert remind() == 2
    assert remind() == 0
    today[0] += timedelta(days=7)
    governed.network.sign_in_again()
    assert remind() == 2
    governed.exchange()
    assert governed.nodes["ALPHA"].study(study_id).reminded_at == today[0]
    assert governed.row(study_id, "ALPHA")["reminded_at"] is not None
    network.post("office", f"/api/studies/{study_id}/reminders", {"site": "BRAVO"})
    left = network.person("office").post(f"/api/studies/{study_id}/reminders", json={"site": "CHARLIE"})
    assert (left.status_code, left.json()["code"]) == (422, "study.no_reminder")
