"""A site's approvals as the engine's processes see them: one file per approved plan, outside anything a job
brings.

The site's own rooms write them (``node.compute``); FLARE's site process, its job processes and the gates only
read.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.masking import Round, SumKeys, load_or_make_sum_key
from racoon.learning.spending import Purse
from racoon.platform.files import write_atomically

APPROVALS_VARIABLE = "RACOON_ENGINE_APPROVALS"
"""Environment variable by which a site's job process finds the folder; a job cannot set it."""


def progress_file(folder: Path, run_id: str) -> Path:
    """Return where a site's job processes note the rounds they trained."""
    return folder.parent / "progress" / f"{content_hash(run_id)[:24]}.jsonl"


def local_folder(folder: Path, run_id: str) -> Path:
    """Return where a run keeps the weights that do not leave this site."""
    return folder / "local" / content_hash(run_id)[:24]


@dataclass(frozen=True)
class SecureSums:
    """What this site brings into secure sums.

    Parameters
    ----------
    site
        Its code.
    key
        File of its own key.
    peers
        Site → public key of the others, as its administrator entered them.
    minimum
        Fewest sites of a sum.
    """

    site: str
    key: Path
    peers: dict[str, str]
    minimum: int = 3

    def open(self) -> SumKeys:
        """Load the own key; made where there is none."""
        return SumKeys(self.site, load_or_make_sum_key(self.key), self.peers, self.minimum)


class NotApproved(Refused):
    """A job wants something that the site did not approve."""

    code = "learning.not_approved"


@dataclass(frozen=True)
class Approval:
    """What one site allows.

    Parameters
    ----------
    plan
        Exactly this plan.
    run_ids
        Runs that may use it.
    signer
        Who must have signed the job.
    cases
        Folder of prepared cases at this site; never named by a job.
    purse
        Account of private trainings.
    sums
        Keys of secure sums.
    """

    plan: TrainingPlan
    run_ids: tuple[str, ...]
    signer: str
    cases: Path
    purse: Purse | None = None
    sums: SecureSums | None = None


class MaskedRounds:
    """Which rounds this site has masked: the same mask twice would show the difference of two updates.

    Parameters
    ----------
    folder
        The run's own folder at the site.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "masked.json"

    def use(self, this: Round) -> None:
        """Note a round durably before its mask is used.

        Raises
        ------
        NotApproved
            If a mask of this job's round was used before.
        """
        used: list[list[Any]] = json.loads(self._path.read_bytes()) if self._path.exists() else []
        if [this.job, this.index] in used:
            raise NotApproved("The engine asks twice for the masked update of one round.")
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._path, json.dumps([*used, [this.job, this.index]]).encode(), mode=0o600)


class Approvals:
    """The folder of one site's approvals.

    Parameters
    ----------
    folder
        Writable by the node only.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def grant(self, approval: Approval) -> None:
        """Write an approval; another run of the same plan is added to the existing one."""
        runs = set(approval.run_ids)
        path = self._path(approval.plan.hash)
        if path.exists():
            runs |= set(self._read(path).run_ids)
        document = {
            "plan": approval.plan.to_dict(),
            "plan_hash": approval.plan.hash,
            "run_ids": sorted(runs),
            "signer": approval.signer,
            "cases": str(approval.cases),
        }
        if approval.purse is not None:
            document["purse"] = {"ledger": str(approval.purse.ledger), "budget": approval.purse.budget}
        if approval.sums is not None:
            sums = approval.sums
            document["sums"] = {
                "site": sums.site,
                "key": str(sums.key),
                "peers": sums.peers,
                "minimum": sums.minimum,
            }
        write_atomically(path, json.dumps(document, indent=1, sort_keys=True).encode(), mode=0o600)

    def withdraw(self, plan_hash: str) -> None:
        """Remove an approval; idempotent."""
        self._path(plan_hash).unlink(missing_ok=True)

    def require(self, plan_hash: str, run_id: str, signer: str | None = None) -> Approval:
        """Return the approval for a plan and run.

        Parameters
        ----------
        plan_hash, run_id
            What the job says.
        signer
            Who signed it; not asked where the caller cannot know.

        Raises
        ------
        NotApproved
            With a reason that may cross the wall.
        """
        path = self._path(plan_hash)
        try:
            approval = self._read(path)
        except FileNotFoundError:
            raise NotApproved("This site has not approved the training plan.") from None
        if approval.plan.hash != plan_hash:
            raise NotApproved("This site's approval does not match the training plan.")
        if run_id not in approval.run_ids:
            raise NotApproved("This site has not approved this run of the training plan.")
        if signer is not None and signer != approval.signer:
            raise NotApproved("The job is not signed by the signer this site approved.")
        return approval

    def _path(self, plan_hash: str) -> Path:
        if len(plan_hash) != 64 or not set(plan_hash) <= set("0123456789abcdef"):
            raise NotApproved("The job names no training plan.")
        return self.folder / f"{plan_hash}.json"

    @staticmethod
    def _read(path: Path) -> Approval:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        purse, sums = document.get("purse"), document.get("sums")
        return Approval(
            plan=TrainingPlan.from_dict(document["plan"]),
            run_ids=tuple(document["run_ids"]),
            signer=document["signer"],
            cases=Path(document["cases"]),
            purse=Purse(Path(purse["ledger"]), purse["budget"]) if purse else None,
            sums=SecureSums(**{**sums, "key": Path(sums["key"])}) if sums else None,
        )
