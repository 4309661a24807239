"""Job handlers of local training, evaluation and the seat in a federated training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect
from racoon.node.approvals.model import StudyAtSite
from racoon.node.compute.model import summarise_scores
from racoon.node.compute.service import Compute, EngineSeat
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.protocol.messages import JobOffer


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
    """

    load_manifest: Callable[[str, str], DatasetManifest]
    fetch_artifact: Callable[[str], bytes]
    is_ended: Callable[[str], bool]
    minimum_cases: int
    minimum_sites: int


def train_local_handler(compute: Compute, ports: Ports) -> Handler:
    """Build the handler of ``train.local``: parameters ``plan``; weights go out as file ``weights``."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan, manifest = _read(offer, study, ports)
        folder, preparation = compute.prepare(plan, manifest, report)
        preparation.require(max(plan.min_cases, ports.minimum_cases))
        weights, facts = compute.train_local(offer.job_id, plan, folder, report)
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
        folder, preparation = compute.prepare(plan, manifest, report)
        preparation.require(1)
        contents = {name: ports.fetch_artifact(digest) for name, digest in models.items()}
        scores = compute.evaluate(offer.job_id, plan, folder, contents, report)
        return Outcome({"plan_hash": plan.hash, **summarise_scores(scores)})

    return handle


def train_federated_handler(compute: Compute, seat: EngineSeat, ports: Ports) -> Handler:
    """Build the handler of ``train.federated``: parameter ``plan``; weights travel by the engine."""

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan, manifest = _read(offer, study, ports)
        if plan.min_sites < ports.minimum_sites:
            raise BadTrainingJob("The plan's minimum number of sites is below this site's own minimum.")
        folder, preparation = compute.prepare(plan, manifest, report)
        preparation.require(max(plan.min_cases, ports.minimum_cases))
        rounds = seat.take_part(
            offer.run_id, plan, folder, report=report, should_stop=lambda: ports.is_ended(offer.job_id)
        )
        return Outcome({"plan_hash": plan.hash, "cases": preparation.cases, "rounds": rounds})

    return handle


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
