"""The rooms of the readiness test: this site's rules on invented images, in a folder that is thrown away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import content_hash
from racoon.domain.coding import Code
from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Role
from racoon.domain.plan import Bins, Measurement, MeasuringPlan
from racoon.domain.study import StudyDefinition
from racoon.node.app import phantoms
from racoon.node.app.administration import prepare
from racoon.node.app.handlers import register_data_handlers
from racoon.node.app.operation import OPERATOR
from racoon.node.app.rooms import Rooms
from racoon.node.approvals.model import job_content_hash
from racoon.node.consent.model import basis_of
from racoon.node.jobs.model import JobState
from racoon.node.link.service import outgoing
from racoon.node.measuring.service import load_values
from racoon.node.settings import (
    ApprovalsSettings,
    ArchiveSettings,
    DizSettings,
    FhirSettings,
    Hl7Settings,
    NodeSettings,
    PoolSettings,
    TrustSettings,
)
from racoon.platform import clock
from racoon.platform.certificates import public_key_text
from racoon.protocol.messages import JobOffer, StudyOffer, StudyState

PATIENTS = 24
STUDY = "READINESS"

STEPS: tuple[tuple[str, str, Role, dict[str, str]], ...] = (
    ("diz_check", "test-1", Role.DIZ, {"legal_basis": "invented images"}),
    ("uac_vote", "test-2", Role.UAC_MEMBER, {"vote": "yes"}),
    ("local_ethics", "test-1", Role.DIZ, {"ethics_vote": "not needed: invented images"}),
    ("dpo_ok", "test-3", Role.DPO, {"data_protection": "invented images"}),
    ("contract_signed", "test-1", Role.SITE_INFORMATICIAN, {"contract": "none"}),
    ("opted_in", "test-1", Role.SITE_INFORMATICIAN, {}),
)
RELEASE: tuple[tuple[str, str, Role, dict[str, str]], ...] = (
    ("data_ready", "test-1", Role.SITE_INFORMATICIAN, {}),
    ("released", "test-2", Role.DIZ, {}),
)

PLAN = MeasuringPlan("readiness", (Measurement("volume", "1", Code(*phantoms.LIVER), Bins(0.0, 20.0, 2.0)),))


class NotReady(Exception):
    """A part of the test found something other than it should."""


@contextmanager
def rooms_apart(settings: NodeSettings, folder: Path) -> Iterator[Trial]:
    """Open rooms of this site's rules in a folder of their own, enrolled in a network that is not there."""
    apart = settings.model_copy(
        update={
            "data_directory": folder,
            "database_url": None,
            "ingest_processes": 1,
            "measuring_processes": 1,
            "count_in_columns": False,
            # The people, services and clinic of the site have no part in it.
            "approvals": ApprovalsSettings(),
            "archive": ArchiveSettings(),
            "trust": TrustSettings(),
            "diz": DizSettings(),
            "fhir": FhirSettings(),
            "hl7": Hl7Settings(),
            "pool": PoolSettings(),
        }
    )
    prepare(apart)
    apart.identity_folder.mkdir(parents=True, exist_ok=True)
    network = {
        "site": apart.site,
        "nodes_url": "https://127.0.0.1:1",
        "network": "readiness",
        "central_signing_key": public_key_text(Ed25519PrivateKey.generate()),
    }
    (apart.identity_folder / "network.json").write_text(json.dumps(network), encoding="utf-8")
    rooms = Rooms(apart)
    try:
        yield Trial(rooms)
    finally:
        rooms.database.dispose()


@dataclass
class Trial:
    """A study from offer to result in the rooms of the test."""

    rooms: Rooms

    def __post_init__(self) -> None:
        cohort = {
            "version": "http://to_be_decided.com/draft-2/schema#",
            "inclusionCriteria": [[{"x-imaging": {"modality": "CT"}}]],
        }
        self.definition = StudyDefinition(
            "Readiness test", "Invented images.", "federated", cohort, measuring=PLAN
        )
        register_data_handlers(self.rooms)

    def take_in(self) -> str:
        """Send invented examinations through spool, de-identification and archive."""
        files = 0
        for number in range(PATIENTS):
            for data in phantoms.examination(number):
                self.rooms.spool.put([data])
                files += 1
        loop = self.rooms.ingest_loop()
        reasons: dict[str, int] = {}
        try:
            while (counts := loop.run_once()).taken:
                for reason, count in counts.reasons.items():
                    reasons[reason] = reasons.get(reason, 0) + count
        finally:
            loop.close()
        held = self.rooms.archive.counts()
        if reasons or held.subjects != PATIENTS or held.series != 2 * PATIENTS:
            stopped = ", ".join(f"{reason} ({count})" for reason, count in sorted(reasons.items()))
            raise NotReady(f"{held.series} of {2 * PATIENTS} series arrived. Stopped: {stopped or 'none'}.")
        with self.rooms.database.begin() as connection:
            words = {
                "kind": "synthetic",
                "document": "readiness",
                "scope": "invented images",
                "approved_by": "test",
            }
            for study_id in (ARCHIVE, STUDY):
                basis = basis_of({"study_id": study_id, **words})
                self.rooms.consent.record_basis(connection, basis, actor="test", actor_role=OPERATOR)
        return f"{files} objects of {PATIENTS} invented patients de-identified and archived"

    def refuse(self) -> str:
        """See that a job runs only after every decision: the offered study alone allows nothing."""
        offer = StudyOffer(
            study_id=STUDY,
            study_hash=self.definition.hash,
            definition=self.definition.to_dict(),
            requested_by="readiness test",
        )
        with self.rooms.database.begin() as connection:
            self.rooms.approvals.receive_offer(connection, offer)
        self._announce("active")
        self._decide(STEPS[:-1])
        freezing = {"cohort": self.definition.cohort, "name": "readiness"}
        if self._run("freeze-too-early", "freeze", freezing) is not JobState.REFUSED:
            raise NotReady("A job ran that this site had not approved.")
        self._decide(STEPS[-1:])
        self._must("freeze", "freeze", freezing)
        if self._run("measure-too-early", "measure", self._measuring()) is not JobState.REFUSED:
            raise NotReady("A job ran on data that this site had not released.")
        self._decide(RELEASE)
        return "jobs without a decision were refused"

    def count(self) -> str:
        """Let a count be answered through the rules of counts."""
        if not self.rooms.settings.release.feasibility:
            return "this site answers no feasibility counts"
        self._must("count", "count", {"cohort": self.definition.cohort})
        return "a protected count was answered"

    def measure(self) -> str:
        """Measure, and compare with the volumes that were drawn."""
        self._must("measure", "measure", self._measuring())
        with self.rooms.database.connect() as connection:
            values = load_values(connection, study_id=STUDY, biomarker="volume")
        found = sorted(value.value for _, value in values if value.value is not None)
        wanted = sorted(phantoms.volume_ml(number) for number in range(PATIENTS))
        worst = max(abs(one - other) for one, other in zip(found, wanted, strict=True)) if found else None
        if worst is None or len(found) != len(wanted) or worst > 0.001:
            raise NotReady("The volumes measured are not those that were drawn.")
        return f"{len(found)} volumes measured, none off by more than {worst:.4f} mL"

    def look_at_gate(self) -> str:
        """See that the measured result went through the rules, and that no single value is in what leaves."""
        with self.rooms.database.connect() as connection:
            sent = [row for row in outgoing(connection) if row["type"] == "job.result"]
            waiting = self.rooms.gate.reviews.waiting(connection)
        leaving = [row for row in sent if row["envelope"]["payload"]["kind"] == "measure"]
        if not leaving and not waiting:
            raise NotReady("The result neither left nor waits for a reviewer.")
        if "READINESS-" in json.dumps([row["envelope"] for row in sent]):
            raise NotReady("A name of a patient was in what leaves.")
        return (
            "the protected result left the rooms of the test"
            if leaving
            else "the result waits for a reviewer"
        )

    # -- steps

    def _measuring(self) -> dict[str, Any]:
        with self.rooms.database.connect() as connection:
            study = self.rooms.approvals.current(connection, STUDY)
        return {"plan": PLAN.to_dict(), "dataset_hash": study.dataset_hash}

    def _announce(self, state: str) -> None:
        message = StudyState(study_id=STUDY, study_hash=self.definition.hash, state=state)
        with self.rooms.database.begin() as connection:
            self.rooms.approvals.receive_state(connection, message)

    def _decide(self, steps: tuple[tuple[str, str, Role, dict[str, str]], ...]) -> None:
        for target, actor, role, artefacts in steps:
            with self.rooms.database.begin() as connection:
                study = self.rooms.approvals.current(connection, STUDY)
                self.rooms.approvals.decide(
                    connection, study, target, actor=actor, roles={role}, artefacts=dict(artefacts)
                )

    def _must(
        self, name: str, kind: Literal["count", "freeze", "measure"], parameters: dict[str, Any]
    ) -> None:
        state = self._run(name, kind, parameters)
        if state is not JobState.SUCCEEDED:
            with self.rooms.database.connect() as connection:
                job = next(
                    job for job in self.rooms.jobs.newest(connection) if job.offer.job_id.startswith(name)
                )
            raise NotReady(f"The job {kind} ended as {state}: {job.public_reason}")

    def _run(
        self, name: str, kind: Literal["count", "freeze", "measure"], parameters: dict[str, Any]
    ) -> JobState:
        job_id = f"{name}.{self.rooms.settings.site}"
        offer = JobOffer(
            job_id=job_id,
            run_id=name,
            study_id=STUDY,
            study_hash=self.definition.hash,
            kind=kind,
            plan_hash=content_hash(parameters["plan"]) if "plan" in parameters else None,
            content_hash=job_content_hash(kind, parameters),
            parameters=parameters,
            not_after=clock.now() + timedelta(hours=1),
        )
        with self.rooms.database.begin() as connection:
            self.rooms.jobs.receive(connection, offer)
        self.rooms.jobs.run(job_id)
        with self.rooms.database.connect() as connection:
            return next(job.state for job in self.rooms.jobs.newest(connection) if job.offer.job_id == job_id)
