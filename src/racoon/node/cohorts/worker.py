"""Job handler of feasibility counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.domain.cohort import CohortDefinition, parse_cohort
from racoon.domain.cohort_flow import flow_of
from racoon.domain.identity import Pseudonym
from racoon.node.approvals.model import StudyAtSite
from racoon.node.cohorts import service
from racoon.node.jobs.model import Handler, Outcome, Progress
from racoon.platform.database import Database
from racoon.protocol.messages import JobOffer

CountedElsewhere = Callable[[str], frozenset[Pseudonym] | None]
"""Returns whom of a study another site counts after a linkage; None where nothing was linked."""


def nothing_linked(_study_id: str) -> frozenset[Pseudonym] | None:
    """Say that nothing was linked: the default."""
    return None


def count_handler(
    database: Database,
    readable: service.Readable,
    columns: service.ColumnCopy | None = None,
    counted_elsewhere: CountedElsewhere = nothing_linked,
) -> Handler:
    """Build the handler of ``count`` jobs; the exact count goes to ``release``, which protects it.

    With ``flow`` the sets that each step leaves out are counted too.

    Parameters
    ----------
    database
        The node's own.
    readable
        Condition of ``consent``.
    columns
        The copy of the fact tables in columns, where the site keeps one.
    counted_elsewhere
        Whom another site counts: after a linkage a person of two sites counts at one of them, where that site finds
        the person in the cohort too; the answer says so.
    """

    def handle(offer: JobOffer, _study: StudyAtSite | None, report: Progress) -> Outcome:
        definition = parse_cohort(offer.parameters["cohort"])
        away = counted_elsewhere(offer.study_id)

        def count(connection: sa.Connection, asked: CohortDefinition) -> dict[str, Any]:
            members = service.members(connection, asked, readable, columns) - (away or frozenset())
            counted = {"cohort_hash": asked.hash, "count": len(members), "members": members}
            if away is None:
                return counted
            # Another question than without the linkage, so another answer is stored for it.
            key = content_hash({"cohort": asked.hash, "linked": offer.study_id})
            return counted | {"is_linked": True, "answer_key": key}

        with database.connect() as connection:
            if columns is not None:
                service.refresh(connection, columns)
            aggregate = count(connection, definition)
            if offer.parameters.get("flow") is True:
                left_out = [step.left_out for step in flow_of(definition)]
                aggregate["flow"] = [count(connection, asked) for asked in left_out if asked is not None]
        report(1, 1, "")
        return Outcome(aggregate)

    return handle
