"""What a site has allowed, for which purpose, on which data and until when; and the one rule that asks all of it.

An approval is a record that the site's node signs (``node.approvals``).  A purpose is named by what a job or a reader
wants to do with data.  :func:`find_block` answers with the first thing that is missing, in words that may leave the
site; nothing runs while it answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any


class ApprovalKind(StrEnum):
    """What a site decides on its way to taking part, in the order of the site track."""

    LEGAL_BASIS = "legal_basis"
    UAC = "uac"
    ETHICS = "ethics"
    DATA_PROTECTION = "data_protection"
    CONTRACT = "contract"
    OPT_IN = "opt_in"
    RELEASE = "release"


GRANTED_BY: Mapping[str, ApprovalKind] = {
    "diz_check": ApprovalKind.LEGAL_BASIS,
    "uac_vote": ApprovalKind.UAC,
    "conditions_met": ApprovalKind.UAC,
    "local_ethics": ApprovalKind.ETHICS,
    "dpo_ok": ApprovalKind.DATA_PROTECTION,
    "contract_signed": ApprovalKind.CONTRACT,
    "opted_in": ApprovalKind.OPT_IN,
    "released": ApprovalKind.RELEASE,
}
"""State of the site track → the approval that a step to it grants."""

RENEWABLE: Mapping[ApprovalKind, str] = {
    ApprovalKind.ETHICS: "local_ethics",
    ApprovalKind.DATA_PROTECTION: "dpo_ok",
    ApprovalKind.CONTRACT: "contract_signed",
    ApprovalKind.RELEASE: "released",
}
"""Approvals that can be given again without leaving the state, and the step whose rules they follow."""


class Purpose(StrEnum):
    """What somebody wants to do with a study's data at a site."""

    FREEZE = "freeze"
    MEASURE = "measure"
    ANALYSE = "analyse"
    TRAIN = "train"
    EVALUATE = "evaluate"
    EXPORT = "export"
    VIEW = "view"


PURPOSE_OF_JOB: Mapping[str, Purpose] = {
    "freeze": Purpose.FREEZE,
    "measure": Purpose.MEASURE,
    "analyse": Purpose.ANALYSE,
    "train.local": Purpose.TRAIN,
    "train.federated": Purpose.TRAIN,
    "evaluate": Purpose.EVALUATE,
}
"""Kind of a job → its purpose; feasibility counts touch no study data and have a standing permission instead."""

BEFORE_DATA = (
    ApprovalKind.LEGAL_BASIS,
    ApprovalKind.UAC,
    ApprovalKind.ETHICS,
    ApprovalKind.DATA_PROTECTION,
    ApprovalKind.CONTRACT,
    ApprovalKind.OPT_IN,
)

NEEDED: Mapping[Purpose, tuple[ApprovalKind, ...]] = {
    purpose: BEFORE_DATA if purpose is Purpose.FREEZE else (*BEFORE_DATA, ApprovalKind.RELEASE)
    for purpose in Purpose
}
"""Every purpose needs every approval; only the freeze comes before the release, because it makes what is released."""

MISSING: Mapping[ApprovalKind, str] = {
    ApprovalKind.LEGAL_BASIS: "The check of the legal basis at this site is missing for this version of the study.",
    ApprovalKind.UAC: "A yes of this site's use and access committee is missing for this version of the study.",
    ApprovalKind.ETHICS: "The ethics vote of this site is missing for this version of the study.",
    ApprovalKind.DATA_PROTECTION: (
        "The agreement of this site's data protection officer is missing for this version of the study."
    ),
    ApprovalKind.CONTRACT: "This site's signed contract is missing for this version of the study.",
    ApprovalKind.OPT_IN: "This site has not opted in to this version of the study.",
    ApprovalKind.RELEASE: "This site has not released its data for this version of the study.",
}

EXPIRED: Mapping[ApprovalKind, str] = {
    ApprovalKind.LEGAL_BASIS: "The legal basis at this site has ended",
    ApprovalKind.UAC: "The decision of this site's use and access committee has ended",
    ApprovalKind.ETHICS: "The ethics vote of this site has ended",
    ApprovalKind.DATA_PROTECTION: "The agreement of this site's data protection officer has ended",
    ApprovalKind.CONTRACT: "The contract of this site has ended",
    ApprovalKind.OPT_IN: "This site's opt-in has ended",
    ApprovalKind.RELEASE: "This site's release of data has ended",
}
"""Followed by a colon and the last day."""

TAMPERED = "A decision record of this site does not fit its signature; a person at the site has to look."
OTHER_DATASET = "This site has released another dataset than the one asked for."
OTHER_PURPOSE = "This site's release does not cover this purpose"


@dataclass(frozen=True)
class Approval:
    """One decision of a site, as it is signed.

    Parameters
    ----------
    kind
        What was decided.
    study_id, study_hash
        The study and exactly one version of its definition.
    positive
        Whether the decision is a yes.
    purposes
        What the data may be used for.
    dataset_hash
        The frozen dataset that is released; empty before the release.
    decided_at
        Aware time.
    valid_until
        Last day (UTC) on which the decision holds, or ``None`` without an end.
    actor, actor_role
        Who decided.
    version
        Version of the track after the step; a later one replaces an earlier one of the same kind.
    """

    kind: ApprovalKind
    study_id: str
    study_hash: str
    positive: bool
    purposes: tuple[Purpose, ...]
    dataset_hash: str
    decided_at: datetime
    valid_until: date | None
    actor: str
    actor_role: str
    version: int

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form that is signed."""
        return {
            "kind": self.kind.value,
            "study_id": self.study_id,
            "study_hash": self.study_hash,
            "positive": self.positive,
            "purposes": [purpose.value for purpose in self.purposes],
            "dataset_hash": self.dataset_hash,
            "decided_at": self.decided_at.isoformat(),
            "valid_until": self.valid_until.isoformat() if self.valid_until else None,
            "actor": self.actor,
            "actor_role": self.actor_role,
            "version": self.version,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Approval:
        """Read the JSON form."""
        until = document["valid_until"]
        return cls(
            kind=ApprovalKind(document["kind"]),
            study_id=document["study_id"],
            study_hash=document["study_hash"],
            positive=document["positive"] is True,
            purposes=tuple(Purpose(purpose) for purpose in document["purposes"]),
            dataset_hash=document["dataset_hash"],
            decided_at=datetime.fromisoformat(document["decided_at"]),
            valid_until=date.fromisoformat(until) if until else None,
            actor=document["actor"],
            actor_role=document["actor_role"],
            version=document["version"],
        )

    def has_ended(self, now: datetime) -> bool:
        """Tell whether its last day is over."""
        return self.valid_until is not None and now.date() > self.valid_until


@dataclass(frozen=True)
class Block:
    """Why nothing may happen: a stable code and a sentence that may leave the site."""

    code: str
    public_reason: str


def newest(approvals: Iterable[Approval]) -> dict[ApprovalKind, Approval]:
    """Take the newest decision of each kind: a later no replaces an earlier yes."""
    found: dict[ApprovalKind, Approval] = {}
    for approval in approvals:
        if approval.kind not in found or approval.version > found[approval.kind].version:
            found[approval.kind] = approval
    return found


def find_block(
    purpose: Purpose,
    approvals: Iterable[Approval],
    *,
    study_id: str,
    study_hash: str,
    dataset_hash: str,
    now: datetime,
) -> Block | None:
    """Find the first reason why a site's own records do not allow a purpose; ``None`` when they do.

    Parameters
    ----------
    purpose
        What is wanted.
    approvals
        The site's records whose signatures were verified.
    study_id, study_hash
        The version of the study it is wanted for; records of another version do not count.
    dataset_hash
        The frozen dataset it is wanted on; a freeze has none yet.
    now
        Aware time.
    """
    held = newest(a for a in approvals if (a.study_id, a.study_hash) == (study_id, study_hash))
    for kind in NEEDED[purpose]:
        approval = held.get(kind)
        if approval is None or not approval.positive:
            return Block(f"approvals.missing_{kind.value}", MISSING[kind])
        if approval.has_ended(now):
            return Block(f"approvals.expired_{kind.value}", f"{EXPIRED[kind]}: {approval.valid_until}")
        if kind is ApprovalKind.RELEASE:
            if not dataset_hash or approval.dataset_hash != dataset_hash:
                return Block("approvals.dataset", OTHER_DATASET)
            if purpose not in approval.purposes:
                return Block("approvals.purpose", f"{OTHER_PURPOSE}: {purpose.value}")
    return None
