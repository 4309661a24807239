"""CENTRAL as it is, with nodes whose decisions, jobs and outgoing line are the real ones; only their work is a list.

The wire is a pair of queues one can pump, hold back or feed with forged envelopes.  Nothing here decides anything:
what runs at a site is what that site's own rooms let run.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from racoon.central.orchestration.model import JobOrder
from racoon.domain.identity import Role
from racoon.node.approvals.model import StudyAtSite
from racoon.node.approvals.service import Approvals
from racoon.node.jobs.model import Outcome, Progress
from racoon.node.jobs.service import Jobs
from racoon.node.link import _store as line_store
from racoon.node.link.identity import Identity
from racoon.node.link.service import Line, Outbox
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.service import ReleaseGate
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.protocol.envelope import Envelope, to_wire, verify
from racoon.protocol.messages import JobOffer, JobResult
from tests.simulated_network import Network, SimulatedNode

LADDER: tuple[tuple[str, str, Role, dict[str, Any]], ...] = (
    ("diz_check", "dia", Role.DIZ, {"legal_basis": "broad consent"}),
    ("uac_vote", "uwe", Role.UAC_MEMBER, {"vote": "yes"}),
    ("local_ethics", "inga", Role.SITE_INFORMATICIAN, {"ethics_vote": "E-1"}),
    ("dpo_ok", "dora", Role.DPO, {"data_protection": "agreed"}),
    ("contract_signed", "inga", Role.SITE_INFORMATICIAN, {"contract": "C-1"}),
    ("opted_in", "inga", Role.SITE_INFORMATICIAN, {}),
    ("data_ready", "inga", Role.SITE_INFORMATICIAN, {}),
    ("released", "dia", Role.DIZ, {}),
)
"""The usual way through a site: target, person, role, what is handed in."""

DATASET = "d" * 64


class GovernedNode:
    """One node: real decisions, real jobs, real line."""

    def __init__(self, network: Network, code: str, folder: Path) -> None:
        self.wire = SimulatedNode(network, code)
        self.wire.enrol(network.invite(code))
        assert self.wire.central_key is not None
        self.code = code
        self.database = Database("sqlite://")
        create_all(self.database, "node")
        self.audit = AuditLog("node")
        identity = Identity(
            folder, code, "https://127.0.0.1:1", "test", self.wire.signing_key, self.wire.central_key
        )
        self.outbox = Outbox(identity, folder)
        self.gate = ReleaseGate(DisclosurePolicy(), self.outbox, self.audit)
        self.approvals = Approvals(
            self.audit,
            self.say,
            self.wire.signing_key,
            feasibility_enabled=True,
        )
        self.worked: list[str] = []
        self.jobs = Jobs(
            self.database,
            self.audit,
            self.approvals,
            self.say,
            self._submit,
            dict.fromkeys(("freeze", "measure", "analyse", "train.local", "evaluate"), self._work),
        )
        self.line = Line(
            self.database,
            identity,
            self.outbox,
            self.audit,
            {
                "study.offer": self.approvals.receive_offer,
                "study.state": self.approvals.receive_state,
                "study.reminder": self.approvals.receive_reminder,
                "job.offer": self.jobs.receive,
                "job.cancel": self.jobs.receive_cancel,
                "audit.anchor.central": lambda *_: None,
            },
            folder,
            lambda: None,
        )

    def say(self, connection: Any, kind: str, message: Any) -> None:
        self.gate.announce(connection, kind, message)

    def _work(self, offer: JobOffer, _study: StudyAtSite | None, _report: Progress) -> Outcome:
        self.worked.append(offer.job_id)
        return Outcome({})

    def _submit(self, connection: Any, offer: JobOffer, _outcome: Outcome) -> None:
        result = JobResult(
            job_id=offer.job_id,
            run_id=offer.run_id,
            kind=offer.kind,
            release_id="1",
            policy_version="1",
            payload={},
        )
        self.outbox.put(connection, "job.result", result)

    # ------------------------------------------------------------------------------------------------ wire

    def listen(self) -> None:
        """Fetch and handle what CENTRAL sent; the line itself verifies."""
        answer = self.wire.client.get("/node/v1/messages", params={"after": self.wire.cursor, "wait_s": 0})
        assert answer.status_code == 200, answer.text
        self.wire.cursor = answer.json()["cursor"]
        for document in answer.json()["envelopes"]:
            self.line.receive(document)

    def tell(self) -> dict[str, str]:
        """Post what waits; returns what CENTRAL rejected."""
        with self.database.connect() as connection:
            waiting = line_store.waiting(connection, 100)
        if not waiting:
            return {}
        receipt = self.wire.send(*(envelope for _, envelope in waiting))
        with self.database.begin() as connection:
            for envelope_id in (*receipt["stored"], *receipt["rejected"]):
                line_store.mark_sent(connection, envelope_id, "stored")
        rejected: dict[str, str] = receipt["rejected"]
        return rejected

    def exchange(self) -> None:
        """Tell, listen, and tell what came of it."""
        assert self.tell() == {}
        self.listen()
        assert self.tell() == {}

    # ------------------------------------------------------------------------------------------------ people

    def study(self, study_id: str, study_hash: str | None = None) -> StudyAtSite:
        with self.database.connect() as connection:
            return self.approvals.current(connection, study_id, study_hash)

    def decide(
        self,
        study_id: str,
        target: str,
        actor: str,
        role: Role,
        artefacts: Mapping[str, Any] | None = None,
        study_hash: str | None = None,
    ) -> None:
        with self.database.begin() as connection:
            study = self.approvals.current(connection, study_id, study_hash)
            self.approvals.decide(
                connection, study, target, actor=actor, roles={role}, artefacts=dict(artefacts or {})
            )

    def freeze(self, study_id: str, study_hash: str | None = None, dataset: str = DATASET) -> None:
        with self.database.begin() as connection:
            study = self.approvals.current(connection, study_id, study_hash)
            self.approvals.dataset_frozen(connection, study_id, study.study_hash, dataset)

    def walk(
        self,
        study_id: str,
        last: str,
        extra: Mapping[str, Mapping[str, Any]] | None = None,
        study_hash: str | None = None,
    ) -> None:
        """Take every step of the ladder up to a state; ``extra`` adds artefacts by state."""
        for target, actor, role, artefacts in LADDER:
            if target == "data_ready":
                self.freeze(study_id, study_hash)
            self.decide(
                study_id, target, actor, role, {**artefacts, **(extra or {}).get(target, {})}, study_hash
            )
            if target == last:
                return

    def tick(self) -> None:
        with self.database.begin() as connection:
            self.approvals.tick(connection)

    def work(self) -> None:
        """Run every job that waits."""
        for job in self.jobs.pending():
            self.jobs.run(job.offer.job_id)

    def refusals(self) -> list[tuple[str, str]]:
        """``(code, public reason)`` of each job this site refused, oldest first."""
        with self.database.connect() as connection:
            jobs = self.jobs.newest(connection)
        return [(job.code, job.public_reason) for job in reversed(jobs) if job.state.value == "refused"]

    def close(self) -> None:
        self.database.dispose()


class GovernedNetwork:
    """CENTRAL with governed nodes."""

    def __init__(self, folder: Path, sites: tuple[str, ...] = ("ALPHA", "BRAVO", "CHARLIE")) -> None:
        self.network = Network(folder)
        self.nodes = {code: GovernedNode(self.network, code, folder) for code in sites}

    def exchange(self) -> None:
        for node in self.nodes.values():
            node.exchange()

    def running_study(self, extra: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None) -> str:
        """Bring a study to active, released at every site; ``extra`` adds artefacts by site and state."""
        study_id = self.network.study_in_site_voting(list(self.nodes))
        self.exchange()
        for code, node in self.nodes.items():
            node.walk(study_id, "opted_in", (extra or {}).get(code))
        self.exchange()
        self.network.activate(study_id)
        self.exchange()
        for code, node in self.nodes.items():
            node.freeze(study_id)
            for target, actor, role, artefacts in LADDER[-2:]:
                added = (extra or {}).get(code, {}).get(target, {})
                node.decide(study_id, target, actor, role, {**artefacts, **added})
        self.exchange()
        return study_id

    def offer(self, study_id: str, run_id: str, sites: tuple[str, ...] | None = None) -> None:
        """Let CENTRAL start a measuring run of the study at sites, whatever CENTRAL itself thinks of them."""
        central = self.network.central
        with central.database.begin() as connection:
            study = central.studies.study(connection, study_id)
            plan = study.definition.measuring
            assert plan is not None
            parameters = {"plan": plan.to_dict(), "dataset_hash": DATASET}
            central.runs.start(
                connection,
                run_id=run_id,
                study_id=study_id,
                study_hash=study.hash,
                kind="measure",
                orders=[JobOrder(code, parameters, plan.hash) for code in sites or tuple(self.nodes)],
                deadline=clock.now() + timedelta(days=30),
                quorum=1,
                created_by="pi",
                role="principal_investigator",
            )

    def reason_at_central(self, run_id: str, site: str) -> str | None:
        """Why a site's job of a run has no result, as CENTRAL's pages say it."""
        with self.network.central.database.connect() as connection:
            run = self.network.central.runs.run(connection, run_id)
        reasons: dict[str, str | None] = {job["site"]: job["public_reason"] for job in run["jobs"]}
        return reasons[site]

    def row(self, study_id: str, site: str) -> dict[str, Any]:
        """What CENTRAL's page says about a site."""
        rows = self.network.study(study_id)["sites"]
        found: dict[str, Any] = next(row for row in rows if row["site"] == site)
        return found

    def signatures_hold(self, study_id: str) -> bool:
        """Whether CENTRAL keeps, for every state beyond the request, an envelope that site signed."""

        with self.network.central.database.connect() as connection:
            decisions = self.network.central.studies.decisions(connection, study_id)
            tracks = self.network.central.studies.site_tracks.all(connection, study_id)
        signed: dict[tuple[str, str], str] = {}
        for row in decisions:
            if row["target"] == "requested":
                signed.setdefault((row["site"], row["study_hash"]), "requested")
                continue
            envelope = Envelope.model_validate(row["envelope"])
            key = self.nodes[row["site"]].wire.signing_key.public_key()
            verify(envelope, key, sender=row["site"], recipient="CENTRAL", now=envelope.issued_at)
            if envelope.payload["target"] != row["target"] or to_wire(envelope) != row["envelope"]:
                return False
            signed[(row["site"], row["study_hash"])] = row["target"]
        return all(signed.get((track.site, track.study_hash)) == track.state for track in tracks)

    def close(self) -> None:
        for node in self.nodes.values():
            node.close()
        self.network.close()
