"""The index of a written country: institutions, cases, splits, labels and truth, in memory and on disk."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

Split = Literal["train", "test"]
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class CaseRecord:
    """One case as the country's index lists it.

    Parameters
    ----------
    case
        Name of the case and of its folder.
    site
        Site code.
    split
        ``test`` for cases no site trains on.
    modality
        ``CT`` or ``MR``.
    files
        Number of DICOM files.
    truth
        Facts known by construction, or from the source of real images.
    """

    case: str
    site: str
    split: Split
    modality: str
    files: int
    truth: Mapping[str, Any]


@dataclass(frozen=True)
class SiteRecord:
    """One institution: its code, name, city, what it is for, and its cases."""

    code: str
    name: str
    city: str
    purpose: Literal["training", "pool", "holdout"]
    cases: tuple[str, ...]


@dataclass(frozen=True)
class Country:
    """What was written.

    Parameters
    ----------
    folder
        Its root.
    kind
        ``synthetic`` or ``real``.
    title, statement, licence
        What the data are and may be used for; shown beside every result.
    labels
        Everything outlined: key, code, modality, largest plausible volume in ml.
    training
        What a network learns: name, modality, codes of the labels, and settings of the training plan.
    sites, cases
        Index.
    """

    folder: Path
    kind: Literal["synthetic", "real"]
    title: str
    statement: str
    licence: str
    labels: tuple[Mapping[str, Any], ...]
    training: Mapping[str, Any]
    sites: tuple[SiteRecord, ...]
    cases: tuple[CaseRecord, ...] = field(repr=False, default=())

    @property
    def instance_count(self) -> int:
        """DICOM files of all sites together."""
        return sum(case.files for case in self.cases)

    def get_pacs(self, site: str) -> Path:
        """Folder that plays the PACS of a site."""
        return self.folder / "pacs" / site

    def save(self) -> None:
        """Write ``country.json`` and ``truth.json``."""
        index = asdict(self)
        index.pop("folder")
        truth = [{"site": c.site, "case": c.case, "split": c.split, **c.truth} for c in self.cases]
        for case in index["cases"]:
            case.pop("truth")
        _write_json(self.folder / "country.json", index)
        _write_json(self.folder / "truth.json", truth)


def load_country(folder: Path) -> Country:
    """Load the index of a country that was written before."""
    index = json.loads((folder / "country.json").read_text(encoding="utf-8"))
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    cases = tuple(
        CaseRecord(**case, truth=facts) for case, facts in zip(index.pop("cases"), truth, strict=True)
    )
    sites = tuple(SiteRecord(**{**site, "cases": tuple(site["cases"])}) for site in index.pop("sites"))
    labels = tuple(index.pop("labels"))
    return Country(folder=folder, sites=sites, cases=cases, labels=labels, **index)


def run_jobs(
    work: Callable[[Any], CaseRecord], jobs: Iterable[Any], processes: int, progress: Progress
) -> list[CaseRecord]:
    """Run jobs in worker processes; results come back in the order of the jobs, whoever finished first."""
    todo = list(jobs)
    records: list[CaseRecord] = []
    if processes <= 1:
        results: Iterable[CaseRecord] = map(work, todo)
        for record in results:
            records.append(record)
            progress(len(records), len(todo), record.case)
        return records
    # spawn: the caller may hold threads and sockets that a forked child must not inherit.
    pool = ProcessPoolExecutor(
        processes, mp_context=get_context("spawn"), initializer=_settle, initargs=(work,)
    )
    with pool:
        for record in pool.map(work, todo):
            records.append(record)
            progress(len(records), len(todo), record.case)
    return records


def _settle(work: Callable[[Any], CaseRecord]) -> None:
    """Begin a worker process: its modules are loaded with its argument, and never collected."""
    del work
    gc.freeze()


def _write_json(path: Path, document: object) -> None:
    path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
