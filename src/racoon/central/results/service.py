"""What one may ask about results."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa

from racoon import __version__
from racoon.central.analyses.service import Analyses
from racoon.central.cohorts.service import Cohorts
from racoon.central.orchestration.model import JobState
from racoon.central.orchestration.service import Runs
from racoon.central.results.agreement import agreement_rows, compare_sites
from racoon.central.results.model import (
    SiteRelease,
    csv_rows,
    pool_measurements,
    summarise_training,
)
from racoon.central.studies.service import Studies
from racoon.domain.plan import MeasuringPlan, TrainingPlan
from racoon.platform import clock

RESEARCH_USE = "Research use only. Not a medical device; not for diagnosis or treatment."


class Results:
    """Results of studies, always computed anew from what the sites released.

    Parameters
    ----------
    studies, runs, analyses, cohorts
        Where released aggregates come from.
    """

    def __init__(self, studies: Studies, runs: Runs, analyses: Analyses, cohorts: Cohorts) -> None:
        self._studies = studies
        self._runs = runs
        self._analyses = analyses
        self._cohorts = cohorts

    def result(self, connection: sa.Connection, study_id: str) -> dict[str, Any]:
        """Return the study's whole result as one JSON document."""
        study = self._studies.study(connection, study_id)
        measured = self._newest(connection, study_id, "measure")
        trainings = self._analyses.trainings(connection, study_id)
        training = self._training(connection, trainings[0]) if trainings else None
        return {
            "study_id": study_id,
            "title": study.definition.title,
            "lay_summary": study.definition.lay_summary,
            "study_hash": study.hash,
            "state": study.state,
            "mode": study.definition.mode,
            "data_origin": study.definition.application.get("data_origin", "unknown"),
            "software": f"racoon {__version__}",
            "produced_at": clock.to_text(clock.now()),
            "research_use": RESEARCH_USE,
            "feasibility": self._cohorts.newest(connection, study_id),
            "datasets": self._datasets(connection, study_id),
            "measuring": _measuring(measured),
            "agreement": _agreement(measured),
            "measuring_run": _account(measured),
            "training": training,
            "sites": self._sites(connection, study_id),
        }

    def definition(self, connection: sa.Connection, study_id: str) -> dict[str, Any]:
        """Return the study's definition document: the protocol of the result."""
        return self._studies.study(connection, study_id).definition.to_dict()

    def csv(self, connection: sa.Connection, study_id: str) -> str:
        """Return the result as CSV (RFC 4180, UTF-8, decimal points)."""
        stream = io.StringIO()
        csv.writer(stream).writerows(csv_rows(self.result(connection, study_id)))
        return stream.getvalue()

    def agreement_csv(self, connection: sa.Connection, study_id: str) -> str:
        """Return manual against automatic per site as CSV (RFC 4180, UTF-8, decimal points)."""
        stream = io.StringIO()
        csv.writer(stream).writerows(agreement_rows(self.result(connection, study_id)))
        return stream.getvalue()

    def measuring_summary(self, connection: sa.Connection, run_id: str) -> dict[str, Any]:
        """Return what a measuring run gave, short, for its own page."""
        run = self._runs.run(connection, run_id)
        return {
            "measurements": [
                {name: row[name] for name in ("key", "unit", "n", "mean", "sd", "sites", "suppressed_sites")}
                for row in _measuring(run)
            ]
        }

    def _training(self, connection: sa.Connection, row: Mapping[str, Any]) -> dict[str, Any]:
        plan = TrainingPlan.from_dict(row["plan"])
        parts = {
            part["run_id"].rsplit(".", 1)[-1]: part
            for part in self._runs.runs(connection, parent=row["run_id"])
        }
        releases = _releases(parts["evaluate"]) if "evaluate" in parts else []
        summary = summarise_training(releases, row["rounds"], [label.to_dict() for label in plan.labels])
        return {
            "run_id": row["run_id"],
            "state": row["state"],
            **summary,
            "plan": row["plan"],
            "plan_hash": plan.hash,
            "training_sites": sorted(row["setup"]["training"]),
            "pool_site": row["setup"]["pool_site"],
            "engine_reason": row["engine_reason"],
            "accounts": [
                _account(parts[name]) for name in ("local", "federated", "evaluate") if name in parts
            ],
        }

    def _datasets(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        frozen = self._analyses.frozen(connection, study_id)
        return [{"site": site, **payload} for site, payload in sorted(frozen.items())]

    def _sites(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        return [
            {"site": row.site, "state": row.state, "since": row.since, "public_reason": row.public_reason}
            for row in self._studies.matrix(connection, study_id)
        ]

    def _newest(self, connection: sa.Connection, study_id: str, kind: str) -> dict[str, Any] | None:
        runs = self._runs.runs(connection, study_id=study_id, kinds=(kind,))
        with_results = [run for run in runs if any(job["result"] for job in run["jobs"])]
        return next(iter(with_results or runs), None)


def _measuring(run: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if run is None or not run["jobs"]:
        return []
    # The plan as it was run, not as the study's definition may read now.
    plan = MeasuringPlan.from_dict(run["jobs"][0]["parameters"]["plan"])
    entries = zip(plan.to_dict()["measurements"], plan.measurements, strict=True)
    keyed = [{**entry, "key": measurement.key} for entry, measurement in entries]
    return pool_measurements({"measurements": keyed}, _releases(run))


def _agreement(run: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    if run is None or not run["jobs"]:
        return []
    return compare_sites(MeasuringPlan.from_dict(run["jobs"][0]["parameters"]["plan"]), _releases(run))


def _releases(run: Mapping[str, Any]) -> list[SiteRelease]:
    return [
        SiteRelease(
            job["site"],
            job["result"]["payload"],
            job["result"].get("suppressed", ()),
            job["result"].get("release_id", ""),
            job["result"].get("policy_version", ""),
        )
        for job in run["jobs"]
        if job["state"] == JobState.SUCCEEDED and job["result"]
    ]


def _account(run: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Say who took part in a run, who did not and why, and what the gates held back."""
    if run is None:
        return None
    return {
        "run_id": run["run_id"],
        "kind": run["kind"],
        "state": run["state"],
        "created_by": run["created_by"],
        "created_at": run["created_at"],
        "ended_at": run["ended_at"],
        "sites": [
            {
                "site": job["site"],
                "state": job["state"],
                "reason_code": job["reason_code"],
                "public_reason": job["public_reason"],
                "release_id": (job["result"] or {}).get("release_id"),
                "policy_version": (job["result"] or {}).get("policy_version"),
                "suppressed": (job["result"] or {}).get("suppressed", []),
            }
            for job in run["jobs"]
        ],
    }
