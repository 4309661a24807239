"""What a step of the site track is made of: roles, renewals, the message to CENTRAL."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from racoon.domain.governance.machine import Transition
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.node.approvals.model import StudyAtSite
from racoon.protocol.messages import TrackChanged


def first_role(roles: Collection[Role]) -> str:
    """One role for a record: the first in alphabetical order."""
    return min(roles, default="none")


def check_renewal(
    row: Transition,
    study: StudyAtSite,
    actor: str,
    roles: Collection[Role],
    artefacts: dict[str, Any],
    previous_actor: str | None,
) -> None:
    """Check that a decision may be made again by these people, as if its step were taken anew."""
    SITE_TRACK_TABLE.check(
        row.source,
        row.target,
        actor=actor,
        roles=roles,
        artefacts=artefacts,
        facts={"vote": "yes", "dataset_hash": study.dataset_hash},
        previous_actor=previous_actor,
    )


def track_message(
    study: StudyAtSite, target: str, role: str, decided_at: datetime, artefacts: dict[str, Any]
) -> TrackChanged:
    """Say a step to CENTRAL; the site's reason travels, nothing else that people wrote."""
    return TrackChanged(
        study_id=study.study_id,
        study_hash=study.study_hash,
        source=study.track_state,
        target=target,
        actor_role=role,
        decided_at=decided_at,
        public_reason=str(artefacts.get("public_reason", ""))[:500],
        version=study.version + 1,
    )
