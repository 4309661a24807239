"""The cases an evaluated model failed most on: their pictures, and the series each is of; they stay at this site."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from racoon.learning.cases import case_name
from racoon.learning.gallery import picture_name
from racoon.platform.files import write_atomically

SERIES_OF_PICTURES = "series.json"
"""Beside an evaluation's pictures: the series of each, in their order."""


class Failure(NamedTuple):
    """A picture of a case that a model failed on, and the series it is of, empty if that was not kept."""

    picture: Path
    series_uid: str

    @property
    def link(self) -> str:
        """Path of the page that shows the series, empty without one."""
        return f"/reading/series/{self.series_uid}" if self.series_uid else ""


def pictures_of(folder: Path, job_id: str) -> list[Failure]:
    """Return the pictures of the cases that a job's model failed most on, the worst first.

    They stay at this site; a withdrawal takes away all of a finished job's (``forget_cases``).

    Parameters
    ----------
    folder
        That of ``Compute``.
    job_id
        An evaluation that has ended.
    """
    place = folder / "runs" / job_id / "worst"
    known = place / SERIES_OF_PICTURES
    series: list[str] = json.loads(known.read_bytes()) if known.is_file() else []
    found: list[Failure] = []
    while (path := place / picture_name(len(found))).is_file():
        found.append(Failure(path, series[len(found)] if len(found) < len(series) else ""))
    return found


def note_series(run: Path, names: Sequence[str], series_uids: Iterable[str]) -> None:
    """Keep beside an evaluation's pictures which series each is of.

    Parameters
    ----------
    run
        Folder of the evaluation.
    names
        Names of the pictured cases, in the order of the pictures.
    series_uids
        Of the dataset the cases were made from.
    """
    series = {case_name(series_uid): series_uid for series_uid in series_uids}
    shown = [series.get(name, "") for name in names]
    write_atomically(run / "worst" / SERIES_OF_PICTURES, json.dumps(shown).encode(), mode=0o600)


def forget_series(run: Path) -> None:
    """Remove what an earlier evaluation kept: new pictures must not open another's series."""
    (run / "worst" / SERIES_OF_PICTURES).unlink(missing_ok=True)
