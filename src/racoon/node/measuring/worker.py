"""Job handler of ``measure``: run the plan, then hand the aggregates to the release gate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from racoon.domain.dataset import DatasetManifest
from racoon.domain.plan import MeasuringPlan
from racoon.errors import Defect
from racoon.node.approvals.model import StudyAtSite
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.node.measuring import service
from racoon.node.measuring.checks import NetworkReference
from racoon.platform.database import Database
from racoon.protocol.messages import JobOffer


class BadMeasuringJob(Defect):
    """A job's parameters do not have the form of its kind."""

    code = "measuring.bad_job"


def measure_handler(
    database: Database,
    archive: service.ImageSource,
    load_manifest: Callable[[str, str], DatasetManifest],
    processes: service.Processes | None = None,
) -> Handler:
    """Build the handler of ``measure`` jobs; parameters ``plan`` and ``dataset_hash``.

    Parameters
    ----------
    database
        The node's own.
    archive
        Where image and masks come from; also asked, when values are summed up, whose may still be used.
    load_manifest
        ``(study_id, dataset_hash)`` → the frozen dataset.
    processes
        Further processes to measure in.
    """

    def handle(offer: JobOffer, study: StudyAtSite | None, report: Progress) -> Outcome:
        plan = _read_plan(offer.parameters.get("plan"), offer.plan_hash)
        if study is None or study.dataset_hash is None:
            raise BadMeasuringJob("This site has frozen no dataset for the study.")
        manifest = load_manifest(offer.study_id, study.dataset_hash)
        network = _read_network(offer.parameters.get("network"))
        with database.begin() as connection:
            service.note_network(connection, offer.study_id, network)
        service.run_protocol(plan, manifest, archive, database, report, processes)
        with database.connect() as connection:
            aggregates = service.aggregates(connection, plan, manifest, archive.is_readable)
        return Outcome(
            {"dataset_hash": manifest.hash, "aggregates": aggregates, "software": service.SOFTWARE}
        )

    return handle


def _read_network(document: Any) -> dict[str, NetworkReference]:
    """Read the pooled figures that CENTRAL sends along; a run without any is the first one."""
    if document is None:
        return {}
    try:
        return {
            str(key)[:300]: NetworkReference(
                int(item["sites"]), int(item["subjects"]), float(item["mean"]), float(item["sd"])
            )
            for key, item in document.items()
        }
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadMeasuringJob("The job's figures of the network cannot be read.") from error


def _read_plan(document: Any, plan_hash: str | None) -> MeasuringPlan:
    try:
        plan = MeasuringPlan.from_dict(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadMeasuringJob("The job's measuring plan cannot be read.") from error
    if plan.hash != plan_hash:
        raise BadMeasuringJob("The job's measuring plan does not have the hash it names.")
    return plan
