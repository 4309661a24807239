"""Job handler that freezes a dataset."""

from __future__ import annotations

from racoon.domain.cohort import parse_cohort
from racoon.node.approvals.model import StudyAtSite
from racoon.node.approvals.service import Approvals
from racoon.node.archive.service import Archive
from racoon.node.cohorts.service import Readable
from racoon.node.curation import service
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.platform.database import Database
from racoon.protocol.messages import JobOffer


def freeze_handler(
    database: Database,
    archive: Archive,
    approvals: Approvals,
    *,
    readable: Readable,
    usable: service.Usable,
) -> Handler:
    """Build the handler of ``freeze`` jobs; the manifest stays here, counts and hash go to ``release``.

    Parameters
    ----------
    database, archive, approvals
        The node's own.
    readable, usable
        Conditions of ``consent``.
    """

    def handle(offer: JobOffer, _study: StudyAtSite | None, report: Progress) -> Outcome:
        definition = parse_cohort(offer.parameters["cohort"])
        with database.begin() as connection:
            manifest, matched = service.freeze_matched(
                connection,
                archive,
                offer.study_id,
                offer.parameters["name"],
                definition,
                readable=readable,
                usable=usable,
            )
            approvals.dataset_frozen(connection, offer.study_id, offer.study_hash, manifest.hash)
        report(1, 1, "")
        aggregate = {
            "dataset_hash": manifest.hash,
            "subjects": manifest.subject_count,
            "series": len(manifest.series),
            "instances": sum(entry.instance_count for entry in manifest.series),
        }
        return Outcome(aggregate | ({"matching": matched.aggregate()} if matched is not None else {}))

    return handle
