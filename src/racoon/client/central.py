"""CENTRAL's API."""

from __future__ import annotations

from typing import Any

from racoon.client.analysis import ResearchStudy
from racoon.client.connection import Connection


class CentralClient(Connection):
    """A person's or program's access to CENTRAL."""

    def sites(self) -> list[dict[str, Any]]:
        """List the sites of the network."""
        return list(self.get("/api/sites"))

    def add_site(self, code: str, name: str, city: str) -> dict[str, Any]:
        """Register a site."""
        return dict(self.post("/api/sites", {"code": code, "name": name, "city": city}))

    def join_code(self, site: str) -> str:
        """Make a one-time join code for a site."""
        return str(self.post(f"/api/sites/{site}/join-code", {})["join_code"])

    def create_study(self, definition: dict[str, Any]) -> dict[str, Any]:
        """Create a study in state ``concept``."""
        return dict(self.post("/api/studies", {"definition": definition}))

    def study(self, study_id: str) -> dict[str, Any]:
        """Get a study with its site matrix and possible next steps."""
        return dict(self.get(f"/api/studies/{study_id}"))

    def transition(
        self, study_id: str, target: str, version: int, artefacts: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take a study one step further."""
        body = {"target": target, "version": version, "artefacts": artefacts or {}}
        return dict(self.post(f"/api/studies/{study_id}/transitions", body))

    def request_sites(self, study_id: str, sites: list[str]) -> Any:
        """Ask sites to take part."""
        return self.post(f"/api/studies/{study_id}/sites", {"sites": sites})

    def start_run(self, study_id: str, kind: str) -> dict[str, Any]:
        """Start a run of the study: ``count``, ``freeze``, ``measure`` or ``training``."""
        return dict(self.post(f"/api/studies/{study_id}/runs", {"kind": kind}))

    def count_cohort(self, study_id: str, *, flow: bool = False) -> str:
        """Ask all sites for a protected count of the study's cohort; returns the run's id.

        Parameters
        ----------
        study_id
            The study.
        flow
            Ask too how many each step of the definition leaves out; sites charge that as two counts.
        """
        answer = self.post(f"/api/studies/{study_id}/runs", {"kind": "count", "flow": flow})
        return str(answer["run_id"])

    def feasibility(self, study_id: str) -> dict[str, Any] | None:
        """Get the newest protected count of the study's cohort; ``None`` before the first."""
        found = self.get(f"/api/studies/{study_id}/feasibility")
        return dict(found) if found else None

    def flow(self, study_id: str, language: str = "en") -> dict[str, Any]:
        """Get the flow diagram of the newest count: how many are left after each step, and how many were left out."""
        return dict(self.get(f"/api/studies/{study_id}/flow", lang=language))

    def portfolio(self) -> dict[str, Any]:
        """Get all studies with the time in each state, cases against targets and where each site stands."""
        return dict(self.get("/api/portfolio"))

    def open_study(self, study_id: str) -> ResearchStudy:
        """Open a study to analyse it as one would a data frame."""
        return ResearchStudy(self, study_id)

    def revise_study(self, study_id: str, definition: dict[str, Any], version: int) -> dict[str, Any]:
        """Replace the definition of a study that is a concept or in rework."""
        return dict(
            self.put(f"/api/studies/{study_id}/definition", {"definition": definition, "version": version})
        )

    def start_analysis(self, study_id: str, plan: str = "", mode: str = "federated") -> str:
        """Start an approved analysis plan, by hash or name, in one of its ways; returns the run's id."""
        body = {"plan": plan, "mode": mode}
        return str(self.post(f"/api/studies/{study_id}/analyses", body)["run_id"])

    def analysis(self, run_id: str) -> dict[str, Any]:
        """Get an analysis: plan, state and, at the end, its result with everything it came from."""
        return dict(self.get(f"/api/analyses/{run_id}"))

    def run(self, run_id: str) -> dict[str, Any]:
        """Get a run with its jobs."""
        return dict(self.get(f"/api/runs/{run_id}"))

    def results(self, study_id: str) -> dict[str, Any]:
        """Get the pooled results of a study."""
        return dict(self.get(f"/api/studies/{study_id}/results"))

    def report(self, study_id: str, language: str = "en") -> bytes:
        """Get the self-contained HTML report."""
        return self.get_bytes(f"/api/studies/{study_id}/report.html", lang=language)

    def results_csv(self, study_id: str) -> bytes:
        """Get the results as CSV."""
        return self.get_bytes(f"/api/studies/{study_id}/results.csv")

    def monitoring(self) -> dict[str, Any]:
        """Get how each site is."""
        return dict(self.get("/api/monitoring"))
