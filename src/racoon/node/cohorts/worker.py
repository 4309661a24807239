"""Job handler of feasibility counts."""

from __future__ import annotations

from racoon.domain.cohort import parse_cohort
from racoon.node.approvals.model import StudyAtSite
from racoon.node.cohorts import service
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.platform.database import Database
from racoon.protocol.messages import JobOffer


def count_handler(database: Database, readable: service.Readable) -> Handler:
    """Build the handler of ``count`` jobs; the exact count goes to ``release``, which protects it.

    Parameters
    ----------
    database
        The node's own.
    readable
        Condition of ``consent``.
    """

    def handle(offer: JobOffer, _study: StudyAtSite | None, report: Progress) -> Outcome:
        definition = parse_cohort(offer.parameters["cohort"])
        with database.connect() as connection:
            members = service.members(connection, definition, readable)
        report(1, 1, "")
        return Outcome({"cohort_hash": definition.hash, "count": len(members), "members": members})

    return handle
