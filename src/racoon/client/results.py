"""An analysis on its way through the sites, and its tables once it has ended."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from racoon.errors import Defect, Unavailable

POLL_S = 0.5

_PAUSE = threading.Event()


class StudyServer(Protocol):
    """What an analysis asks of CENTRAL; ``CentralClient`` does all of it."""

    def study(self, study_id: str) -> dict[str, Any]:
        """Get a study."""

    def revise_study(self, study_id: str, definition: dict[str, Any], version: int) -> dict[str, Any]:
        """Replace the definition of a study."""

    def start_analysis(self, study_id: str, plan: str = "", mode: str = "federated") -> str:
        """Start an approved plan."""

    def analysis(self, run_id: str) -> dict[str, Any]:
        """Get an analysis."""

    def get_bytes(self, path: str, **parameters: Any) -> bytes:
        """Get a document as it is."""


class AnalysisFailed(Defect):
    """An analysis ended without a result."""

    code: ClassVar[str] = "client.analysis_failed"


class AnalysisSlow(Unavailable):
    """An analysis has no result yet."""

    code: ClassVar[str] = "client.analysis_slow"


@dataclass(frozen=True)
class ResultFrame:
    """One table of a result.

    Parameters
    ----------
    title, subgroup
        Which one.
    columns, rows
        Header and cells; ``None`` where nothing is known or nothing may be shown.
    notes, withheld, sites
        What speaks against a number, whose part stayed and why, and whose numbers count.
    """

    title: str
    subgroup: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    notes: tuple[str, ...]
    withheld: tuple[tuple[str, str], ...]
    sites: tuple[str, ...]

    def records(self) -> list[dict[str, Any]]:
        """Return one mapping per row, ready for ``pandas.DataFrame``."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]

    def row(self, name: str) -> dict[str, Any]:
        """Return the row whose first cell has a name, e.g. a term of a model."""
        return next(record for record in self.records() if record[self.columns[0]] == name)


@dataclass(frozen=True)
class AnalysisRun:
    """An analysis on its way through the sites."""

    central: StudyServer
    run_id: str

    def status(self) -> dict[str, Any]:
        """Get state, rounds so far and, at the end, the result."""
        return self.central.analysis(self.run_id)

    def wait(self, timeout_s: float = 3600.0) -> AnalysisRun:
        """Wait for the end.

        Raises
        ------
        AnalysisFailed
            With the reason.
        AnalysisSlow
            When the time is over; the analysis goes on, and one may wait again.
        """
        ends = time.monotonic() + timeout_s
        while (found := self.status())["state"] == "running":
            if time.monotonic() > ends:
                raise AnalysisSlow(f"{self.run_id} has no result yet; sites may be slow. Wait again later.")
            _PAUSE.wait(POLL_S)
        if found["state"] != "completed":
            raise AnalysisFailed(f"{self.run_id} is {found['state']}: {found['reason'] or 'no reason given'}")
        return self

    def tables(self) -> list[ResultFrame]:
        """Fetch all tables; waits for the end."""
        result = self.wait().status()["result"]
        return [
            ResultFrame(
                table["title"],
                table["subgroup"],
                tuple(table["columns"]),
                tuple(tuple(row) for row in table["rows"]),
                tuple(table["notes"]),
                tuple((site, reason) for site, reason in table["withheld"]),
                tuple(table["sites"]),
            )
            for table in result["tables"]
        ]

    def table(self, title: str, subgroup: str = "") -> ResultFrame:
        """Fetch one table by its title."""
        return next(table for table in self.tables() if (table.title, table.subgroup) == (title, subgroup))

    def bundle(self) -> bytes:
        """Fetch the result bundle (ZIP)."""
        return self.central.get_bytes(f"/api/analyses/{self.run_id}/bundle.zip")
