"""A node's API."""

from __future__ import annotations

import csv
import io
from typing import Any
from urllib.parse import quote

from racoon.client.connection import Connection


class NodeClient(Connection):
    """A person's or program's access to the node of a site."""

    def intake(self) -> dict[str, Any]:
        """Get what arrived, what waits and what was set aside."""
        return dict(self.get("/api/intake/status"))

    def studies(self) -> list[dict[str, Any]]:
        """List the studies this site was asked for."""
        return list(self.get("/api/studies"))

    def decide(
        self, study_id: str, target: str, version: int, artefacts: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """Take one step of the site's track for a study."""
        body = {"target": target, "version": version, "artefacts": artefacts or {}}
        return dict(self.post(f"/api/studies/{study_id}/track", body))

    def record_basis(
        self, study_id: str, *, kind: str, document: str, scope: str, approved_by: str, **days: str
    ) -> dict[str, Any]:
        """Record a legal basis of the site for a study, or for its own archive (``site:archive``).

        Parameters
        ----------
        days
            ``acquired_from``, ``acquired_until``, ``valid_from``, ``valid_until`` as ``2026-01-31``; open without.
        """
        body = {
            "study_id": study_id,
            "kind": kind,
            "document": document,
            "scope": scope,
            "approved_by": approved_by,
        }
        return dict(self.post("/api/consent/bases", body | days))

    def withdraw(self, pseudonym: str, reason: str, study_id: str = "") -> dict[str, Any]:
        """End the use of a subject's data, for everything or for one study."""
        body = {"pseudonym": pseudonym, "reason": reason, "study_id": study_id}
        return dict(self.post("/api/consent/withdrawals", body))

    def analysis_table(self, study_id: str, plan: str) -> list[dict[str, str]]:
        """Get the rows of this site's frozen dataset with the variables of a plan, for a notebook at the site.

        Parameters
        ----------
        study_id
            The study.
        plan
            Name or hash of one of its analysis plans.

        Returns
        -------
        list of dict
            One per subject, texts; empty where something is unknown.  Ready for ``pandas.DataFrame``.
        """
        path = f"/api/studies/{study_id}/analyses/{quote(plan, safe='')}/table.csv"
        return list(csv.DictReader(io.StringIO(self.get_bytes(path).decode())))

    def jobs(self) -> list[dict[str, Any]]:
        """List the newest jobs of the site."""
        return list(self.get("/api/jobs"))

    def pool(self) -> dict[str, Any]:
        """Get what this node sent to pools, what it took as a pool, and whose keys it knows."""
        return dict(self.get("/api/pool"))

    def export_to_pool(self, study_id: str, reason: str) -> str:
        """Ask to send a released dataset to its pool; returns the shipment's id.  It waits for a reviewer."""
        return str(self.post("/api/pool/exports", {"study_id": study_id, "reason": reason})["shipment_id"])

    def reviews(self) -> list[dict[str, Any]]:
        """List what waits for a reviewer, and what reviewers said."""
        return list(self.get("/api/reviews"))

    def review(self, review_id: str, reason: str, *, accept: bool) -> dict[str, Any]:
        """Say yes or no to what waits for a reviewer."""
        return dict(self.post(f"/api/reviews/{review_id}/decision", {"accept": accept, "reason": reason}))

    def delete_pooled(self, study_id: str, reason: str) -> str:
        """Ask to delete what a pool holds of a study that has ended; a second person's call confirms.

        Returns
        -------
        str
            ``"asked"`` or ``"confirmed"``.
        """
        return str(self.post(f"/api/pool/studies/{study_id}/deletion", {"reason": reason})["state"])

    def measurements(self, study_id: str) -> list[dict[str, Any]]:
        """List the values measured here for a study, each with the link to its pixels."""
        rows: list[dict[str, Any]] = []
        after: int | None = 0
        while after is not None:
            page = self.get("/api/measurements", study=study_id, after=after)
            rows += page["measurements"]
            after = page["next_after"]
        return rows
