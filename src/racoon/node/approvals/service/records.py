"""What the site's own signed records say: the technical gate that every use of data asks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import canonical_json
from racoon.domain.governance.approval import Approval, Purpose
from racoon.domain.governance.local_process import LocalDecision, LocalProcess, find_local_block
from racoon.node.approvals import _store
from racoon.node.approvals.model import (
    WAITING_VERSIONS,
    NotApproved,
    Records,
    StudyAtSite,
    check_job,
    find_obstacle,
    standing_of,
)
from racoon.platform import clock
from racoon.platform.certificates import public_key_text, verify
from racoon.protocol.messages import JobOffer, SiteStanding

DOMAIN = b"racoon-approval-v1\x00"
"""Separates signatures of approvals from any other use of the same key."""

LOCAL_DOMAIN = b"racoon-local-step-v1\x00"
"""The same for decisions of the site's own process."""


class ApprovalRecords:
    """The site's records of studies, to be asked.

    Parameters
    ----------
    key
        The node's Ed25519 key: the signature of each record is checked whenever something asks whether it may run.
    feasibility_enabled
        Standing permission to answer protected feasibility counts.
    process
        The site's own process; its decisions are asked beside those of the site track.
    """

    def __init__(self, key: Ed25519PrivateKey, *, feasibility_enabled: bool, process: LocalProcess) -> None:
        self._feasibility_enabled = feasibility_enabled
        self._public = public_key_text(key)
        self._verified: dict[tuple[bytes, str], dict[str, Any]] = {}
        self.process = process

    def studies(self, connection: sa.Connection) -> list[StudyAtSite]:
        """Return all studies this site was asked for, newest first."""
        return _store.load_all(connection)

    def study(self, connection: sa.Connection, study_id: str, study_hash: str) -> StudyAtSite | None:
        """Return one version of a study, or ``None``."""
        return _store.load(connection, study_id, study_hash)

    def current(self, connection: sa.Connection, study_id: str, study_hash: str | None = None) -> StudyAtSite:
        """Return the version of a study that is in force, or the newest one while none is.

        Parameters
        ----------
        study_id
            The study.
        study_hash
            Return exactly this version instead.

        Raises
        ------
        NotApproved
            When the site does not know it.
        """
        found = self.versions(connection, study_id)
        if study_hash:
            found = [study for study in found if study.study_hash == study_hash]
        in_force = [study for study in found if study.central_state not in WAITING_VERSIONS]
        for study in (*in_force, *found):
            return study
        raise NotApproved("This site does not know this study.", code="approvals.unknown_study")

    def versions(self, connection: sa.Connection, study_id: str) -> list[StudyAtSite]:
        """Return all versions of a study this site was asked for, newest first."""
        return _store.load_versions(connection, study_id)

    def history(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return all steps taken at this site for a study, oldest first."""
        return _store.load_events(connection, study_id)

    def waiting_since(self, connection: sa.Connection) -> dict[tuple[str, str], datetime]:
        """Return since when each version of a study stands where it stands, by study id and version."""
        return _store.load_entered(connection)

    def authorise(self, connection: sa.Connection, offer: JobOffer) -> StudyAtSite | None:
        """Check a job against the site's own records.

        Raises
        ------
        NotApproved
            With the first rule that says no.
        """
        study = _store.load(connection, offer.study_id, offer.study_hash)
        records = self.records(connection, study) if study else Records()
        check_job(offer, study, records, feasibility_enabled=self._feasibility_enabled, now=clock.now())
        return study

    def records(self, connection: sa.Connection, study: StudyAtSite) -> Records:
        """Return the signed decisions on a version of a study whose signatures fit."""
        stored = _store.load_approvals(connection, study.study_id, study.study_hash)
        found = [Approval.from_dict(record) for record in self._genuine(DOMAIN, stored)]
        # Where the site has no process of its own, nothing that was decided in one counts.
        local, are_whole = self.local_decisions(connection, study) if self.process.steps else ([], True)
        now = clock.now()
        return Records(
            tuple(found),
            len(found) == len(stored) and are_whole,
            find_local_block(self.process, local, now),
            find_local_block(self.process.up_to("opted_in"), local, now),
        )

    def local_decisions(
        self, connection: sa.Connection, study: StudyAtSite
    ) -> tuple[list[LocalDecision], bool]:
        """Return the decisions of the site's own process, oldest first, and whether all signatures fitted."""
        stored = _store.load_local_decisions(connection, study.study_id, study.study_hash)
        found = [LocalDecision.from_dict(record) for record in self._genuine(LOCAL_DOMAIN, stored)]
        return found, len(found) == len(stored)

    def _genuine(self, domain: bytes, stored: list[tuple[dict[str, Any], str]]) -> list[dict[str, Any]]:
        found = []
        for record, signature in stored:
            # A signature that fitted once fits for ever; looking it up is what makes reading images cheap.
            known = self._verified.get((domain, signature))
            if known == record:
                found.append(known)
            elif verify(self._public, signature, domain + canonical_json(record)):
                self._verified[domain, signature] = record
                found.append(record)
        return found

    def require(self, connection: sa.Connection, study: StudyAtSite, purpose: Purpose) -> None:
        """Check that this site allows a purpose on the dataset it froze for a version of a study.

        Raises
        ------
        NotApproved
            With the first rule that says no.
        """
        block = find_obstacle(purpose, study, self.records(connection, study), clock.now())
        if block is not None:
            raise NotApproved(block.public_reason, code=block.code)

    def allows(self, connection: sa.Connection, study_id: str, purpose: Purpose) -> bool:
        """Tell whether this site allows a purpose for the version of a study that is in force."""
        try:
            self.require(connection, self.current(connection, study_id), purpose)
        except NotApproved:
            return False
        return True

    def standing(self, connection: sa.Connection, study: StudyAtSite) -> SiteStanding:
        """Say whether work of a study may run here now, and if not, why."""
        return standing_of(study, self.records(connection, study), clock.now())
