"""What one may ask about feasibility."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.central.cohorts.flow import DrawnStep, draw_flow, flow_to_dict
from racoon.central.cohorts.model import combine, read_answer, to_dict
from racoon.central.orchestration.model import JobOrder, JobState
from racoon.central.orchestration.service import Runs
from racoon.central.sites.service import Sites
from racoon.central.studies.model import Study
from racoon.central.studies.service import STOPPING_STATES, Studies
from racoon.domain.canonical import content_hash
from racoon.domain.cohort import CohortDefinition, parse_cohort
from racoon.errors import Refused
from racoon.platform import clock

COUNT_TIME = timedelta(hours=24)
"""A count is a question of minutes; a site that is off for the night may still answer."""


class Cohorts:
    """Feasibility counts of studies.

    Parameters
    ----------
    sites, studies, runs
        The rooms a count needs.
    """

    def __init__(self, sites: Sites, studies: Studies, runs: Runs) -> None:
        self._sites = sites
        self._studies = studies
        self._runs = runs

    def start_count(
        self, connection: sa.Connection, study_id: str, actor: str, role: str, *, with_flow: bool = False
    ) -> str:
        """Ask every enrolled site for its protected count of the study's cohort; allowed from concept on.

        Parameters
        ----------
        with_flow
            Ask for the sets too that each step leaves out; the sites charge that as two counts.

        Returns
        -------
        str
            Id of the run.
        """
        study = self._studies.study(connection, study_id)
        if study.state in STOPPING_STATES - {"data_hold"} | {"rejected"}:
            raise Refused(f"No counts while the study is {study.state}.", code="cohort.study_state")
        cohort = parse_cohort(study.definition.cohort).cases
        asked_as = hashlib.sha256(f"requester/{actor}".encode()).hexdigest()[:16]
        question: dict[str, Any] = {"cohort": cohort.to_dict(), "cohort_hash": cohort.hash}
        if with_flow:
            question["flow"] = True
        # Sites charge what a person asks to that person, whom they know by a code only.
        parameters = question | {"requester": asked_as}
        # The pool holds copies of other sites' cases: it would count them twice.
        asked = [site for site in self._sites.enrolled(connection) if site != study.definition.pool_site]
        earlier = len(self._runs.runs(connection, study_id=study_id, kinds=("count",)))
        return self._runs.start(
            connection,
            run_id=f"{study_id}.count-{earlier + 1}-{content_hash(question)[:8]}",
            study_id=study_id,
            study_hash=study.hash,
            kind="count",
            orders=[JobOrder(site, parameters) for site in asked],
            deadline=clock.now() + COUNT_TIME,
            quorum=1,
            created_by=actor,
            role=role,
        )

    def study(self, connection: sa.Connection, study_id: str) -> Study:
        """Return the study that a cohort is written for."""
        return self._studies.study(connection, study_id)

    def saved(self, connection: sa.Connection) -> list[tuple[str, str, CohortDefinition]]:
        """Return the cohorts of all studies, one may start from them: study id, title, definition."""
        return [
            (study.study_id, study.definition.title, parse_cohort(study.definition.cohort))
            for study in self._studies.studies(connection)
        ]

    def propose(
        self,
        connection: sa.Connection,
        study_id: str,
        cohort: CohortDefinition,
        version: int,
        actor: str,
        role: str,
    ) -> None:
        """Put a cohort into a study whose definition may still change; the same one leaves it as it is."""
        definition = self._studies.study(connection, study_id).definition
        if parse_cohort(definition.cohort).hash == cohort.hash:
            return
        document = replace(definition, cohort=cohort.to_dict()).to_dict()
        self._studies.revise(connection, study_id, document, version, actor, role)

    def feasibility(self, connection: sa.Connection, run_id: str) -> dict[str, Any]:
        """Return what may be shown of a count run."""
        run = self._runs.run(connection, run_id)
        answers = [
            read_answer(job["site"], job["result"]["payload"])
            for job in run["jobs"]
            if job["state"] == JobState.SUCCEEDED
            and job["result"]
            # A site that says "not available" is silent, not small.
            and job["result"]["payload"].get("count", "") is not None
        ]
        combined = combine(answers, [job["site"] for job in run["jobs"]])
        withheld = [
            job["site"]
            for job in run["jobs"]
            if job["state"] == JobState.SUCCEEDED
            and job["result"]
            and job["result"]["payload"].get("count", "") is None
        ]
        return {
            "run_id": run_id,
            "state": run["state"],
            "created_at": run["created_at"],
            **to_dict(combined),
            "withheld_sites": sorted(withheld),
            "flow": flow_to_dict(self.flow(connection, run_id)),
            "cohort_hash": next((job["parameters"]["cohort_hash"] for job in run["jobs"]), ""),
        }

    def flow(self, connection: sa.Connection, run_id: str) -> list[DrawnStep]:
        """Return the flow diagram of a count run; empty when none was asked for, or no site answered."""
        run = self._runs.run(connection, run_id)
        asked: dict[str, Any] = next((job["parameters"] for job in run["jobs"]), {})
        if not asked.get("flow"):
            return []
        answers = [
            (job["site"], job["result"]["payload"])
            for job in run["jobs"]
            if job["state"] == JobState.SUCCEEDED and job["result"]
        ]
        return draw_flow(parse_cohort(asked["cohort"]), answers)

    def newest(self, connection: sa.Connection, study_id: str) -> dict[str, Any] | None:
        """Return the study's newest count, or ``None``."""
        runs = self._runs.runs(connection, study_id=study_id, kinds=("count",))
        return self.feasibility(connection, runs[0]["run_id"]) if runs else None
