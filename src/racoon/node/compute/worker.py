"""Job handlers of local training, evaluation and the seat in a federated training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from racoon.domain.canonical import content_hash
from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect, Refused
from racoon.learning.spending import Purse
from racoon.node.approvals.model import StudyAtSite
from racoon.node.compute.limits import Gate, Look
from racoon.node.compute.model import Preparation, summarise_scores
from racoon.node.compute.seat import EngineSeat
from racoon.node.compute.service import Compute
from racoon.node.compute.truths import LoadTruths, NoTruths
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.protocol.messages import JobOffer


class PrivacyWanted(Refused):
    """A training that does not protect single subjects as this site demands."""

    code = "compute.privacy"


class BadTrainingJob(Defect):
    """A job's parameters do not have the form of its kind."""

    code = "compute.bad_job"


@dataclass(frozen=True)
class Ports:
    """What the handlers need from other rooms; ``app`` fills it.

    Parameters
    ----------
    load_manifest
        ``(study_id, dataset_hash)`` → the frozen dataset.
    fetch_artifact
        Hash → bytes of a file CENTRAL offers (model weights to evaluate).
    is_ended
        Whether a job was cancelled or ended, asked while it runs.
    minimum_cases, minimum_sites
        This site's own limits; a plan can only ask for more.
    gate
        Limits of trainings; asked while they run.
    ledgers
        Folder of the accounts of private trainings, one file per study.
    epsilon
        Largest ε of all trainings of one study here; with it a plan without differential privacy is refused. ``None``
        leaves ε to the plans.
    load_truths
        What this site knows of whole images; without it, plans that judge them are refused.
    """

    load_manifest: Callable[[str, str], DatasetManifest]
    fetch_artifact: Callable[[str], bytes]
    is_ended: Callable[[str], bool]
    minimum_cases: int
    minimum_sites: int
    gate: Gate
    ledgers: Path
    epsilon: float | None = None
    load_truths: LoadTruths | None = None

    @contextmanager
    def seat_of(self, job_id: str) -> Iterator[Look]:
        """Ask the site's limits for a training while it lasts, and free its place at the end."""
        try:
            yield lambda: self.gate.look(job_id)
        finally:
            self.gate.leave(job_id)

    def purse(self, study_id: str) -> Purse:
        """Return a study's account."""
        return Purse(self.ledgers / f"{content_hash(study_id)[:24]}.jsonl", self.epsilon)


def train_local_handler(compute: Compute, ports: Ports) -> Handler:
    """Build the handler of ``train.local``: parameters ``plan``; weights go out as file ``weights``."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan, manifest = _read(offer, study, ports)
        folder, preparation = _prepare(compute, ports, offer, plan, manifest, report)
        preparation.require(max(plan.min_cases, ports.minimum_cases))
        purse = _open_purse(compute, ports, offer, plan, folder, preparation)
        with ports.seat_of(offer.job_id) as standing:
            weights, facts = compute.train_local(offer.job_id, plan, folder, report, purse, standing)
        return Outcome(
            {
                "plan_hash": plan.hash,
                "cases": preparation.cases,
                "skipped": dict(preparation.skipped),
                "resampled": preparation.resampled,
                "rounds": facts,
            },
            {"weights": weights},
        )

    return handle


def evaluate_handler(compute: Compute, ports: Ports) -> Handler:
    """Build the handler of ``evaluate``: parameters ``plan`` and ``models`` (name → hash)."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan, manifest = _read(offer, study, ports)
        models: dict[str, str] = offer.parameters.get("models") or {}
        if not models:
            raise BadTrainingJob("The evaluation names no model.")
        folder, preparation = _prepare(compute, ports, offer, plan, manifest, report)
        preparation.require(1)
        contents = {name: ports.fetch_artifact(digest) for name, digest in models.items()}
        series_uids = [entry.series_uid for entry in manifest.series]
        scores = compute.evaluate(offer.job_id, plan, folder, contents, report, series_uids)
        return Outcome({"plan_hash": plan.hash, **summarise_scores(scores)})

    return handle


def train_federated_handler(compute: Compute, seat: EngineSeat, ports: Ports) -> Handler:
    """Build the handler of ``train.federated``: parameter ``plan``; weights travel by the engine."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan, manifest = _read(offer, study, ports)
        if plan.min_sites < ports.minimum_sites:
            raise BadTrainingJob("The plan's minimum number of sites is below this site's own minimum.")
        folder, preparation = _prepare(compute, ports, offer, plan, manifest, report)
        preparation.require(max(plan.min_cases, ports.minimum_cases))
        purse = _open_purse(compute, ports, offer, plan, folder, preparation)
        with ports.seat_of(offer.job_id) as standing:
            rounds = seat.take_part(
                offer.run_id,
                plan,
                folder,
                purse=purse,
                report=report,
                should_stop=lambda: ports.is_ended(offer.job_id),
                standing=standing,
            )
        return Outcome({"plan_hash": plan.hash, "cases": preparation.cases, "rounds": rounds})

    return handle


def _prepare(
    compute: Compute,
    ports: Ports,
    offer: JobOffer,
    plan: TrainingPlan,
    manifest: DatasetManifest,
    report: Progress,
) -> tuple[Path, Preparation]:
    """Prepare a plan's cases, with what this site knows of them where the plan judges whole images."""
    if plan.target is None:
        return compute.prepare(plan, manifest, report)
    if ports.load_truths is None:
        raise NoTruths("This site looks up no labels of whole images.")
    return compute.prepare(plan, manifest, report, ports.load_truths(offer.study_id, plan.target, manifest))


def _open_purse(
    compute: Compute,
    ports: Ports,
    offer: JobOffer,
    plan: TrainingPlan,
    folder: Path,
    preparation: Preparation,
) -> Purse:
    """Return the study's account, once it is sure that this plan may be paid from it."""
    purse = ports.purse(offer.study_id)
    if plan.privacy is None:
        if ports.epsilon is not None:
            raise PrivacyWanted("This site trains with differential privacy only; the plan has none.")
        return purse
    if preparation.cases != preparation.subjects:
        raise PrivacyWanted("A subject has several series here; a private training protects one case each.")
    name = offer.run_id if offer.kind == "train.federated" else offer.job_id
    if not purse.holds(name):
        compute.require_affordable(name, plan, folder, purse)
    return purse


def _read(offer: JobOffer, study: StudyAtSite | None, ports: Ports) -> tuple[TrainingPlan, DatasetManifest]:
    document: Any = offer.parameters.get("plan")
    try:
        plan = TrainingPlan.from_dict(document)
    except (KeyError, TypeError, ValueError) as error:
        raise BadTrainingJob("The job's training plan cannot be read.") from error
    if plan.hash != offer.plan_hash:
        raise BadTrainingJob("The job's training plan does not have the hash it names.")
    if study is None or study.dataset_hash is None:
        raise BadTrainingJob("This site has frozen no dataset for the study.")
    return plan, ports.load_manifest(offer.study_id, study.dataset_hash)
