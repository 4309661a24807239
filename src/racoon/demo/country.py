"""Writes an invented country as DICOM files: hospitals, patients, images, outlines and the truth about them.

Layout::

    FOLDER/pacs/<SITE>/<case>/*.dcm     what each hospital's PACS holds
    FOLDER/country.json                 sites, cases, splits, labels, statement on the data
    FOLDER/truth.json                   exact truth per case

Two more institutions may stand beside the training sites: ``POOL`` holds copies of all training cases (the
same instances) for pooled training, ``HOLDOUT`` is a hospital that takes no part in training and has unseen
cases.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.demo.case import Case, choose_grid, make_case
from racoon.demo.hospitals import (
    HOLDOUT,
    HOLDOUT_HOSPITAL,
    HOSPITALS,
    POOL,
    POOL_HOSPITAL,
    Hospital,
    get_style,
)
from racoon.demo.labels import FINDINGS, LABELS, LIGHT_ORGANS, ORGANS
from racoon.demo.patients import Patient, draw_patient
from racoon.demo.real_data import plan_real_institutions, write_real_country
from racoon.demo.records import (
    CaseRecord,
    Country,
    Progress,
    SiteRecord,
    Split,
    load_country,
    run_jobs,
)
from racoon.demo.segmentation import build_segmentation
from racoon.demo.series import Affine, SeriesPlan, build_series, write_datasets
from racoon.errors import Refused

__all__ = ["CaseRecord", "Country", "SiteRecord", "load_country", "plan_institutions", "write_country"]

SMALLEST_SITE = 5
"""Fewest cases of an ordinary site: the release gate's smallest cell."""

STATEMENT = (
    "Synthetic: drawn and scanned by this program from a seed. No patient, no clinical evidence. "
    "The truth of every finding is exact by construction."
)
UNEQUAL = (0, -2, 2, -1, 1)
"""Sites differ in size; added to the mean in turn."""


class CountryRefused(Refused):
    """The country cannot be written as asked."""

    code = "demo.country"


def write_country(  # noqa: PLR0913  one keyword per thing a user can choose on the command line
    folder: Path,
    *,
    sites: int = 3,
    cases_per_site: int | None = None,
    seed: int = 1,
    light: bool = False,
    source: Path | None = None,
    progress: Progress | None = None,
    holdout_cases: int = 8,
    pool: bool | None = None,
    holdout: bool | None = None,
    small_site: int | None = None,
    processes: int = 2,
) -> Country:
    """Write a country's images, outlines, index and truth.

    Parameters
    ----------
    folder
        Where; its ``pacs`` is replaced.
    sites
        Number of training sites, 1 to 38 (real data: what the manifest says, at most this many).
    cases_per_site
        Mean number of cases; sites differ by up to two. Default 8, light 6.
    seed
        Same seed, same country, whatever ``processes`` is.
    light
        Small images, 24 slices of 96 x 96.
    source
        A folder or a manifest of real images instead of synthetic ones.
    progress
        Called with cases done, cases in all, name of the last.
    holdout_cases
        Unseen cases at the hold-out hospital.
    pool, holdout
        Whether to add these institutions; default: yes unless light.
    small_site
        Index of a site that gets only three cases, to show suppression.
    processes
        Worker processes.

    Returns
    -------
    Country
        Index of what was written; also on disk.
    """
    with_pool = (not light) if pool is None else pool
    with_holdout = (not light) if holdout is None else holdout
    shutil.rmtree(folder / "pacs", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    say = progress or _say_nothing
    if source is not None:
        country = write_real_country(
            folder,
            source,
            sites=sites,
            cases_per_site=cases_per_site,
            seed=seed,
            holdout=with_holdout,
            holdout_cases=holdout_cases,
            progress=say,
            processes=processes,
        )
    else:
        hospitals = _choose_hospitals(sites, with_holdout=with_holdout)
        tasks = plan_cases(sites, cases_per_site or (6 if light else 8), small_site)
        if with_holdout:
            tasks += [(HOLDOUT, number % sites, number) for number in range(holdout_cases)]
        jobs = [CaseJob(folder, seed, code, style, number, light) for code, style, number in tasks]
        records = run_jobs(write_case, jobs, processes, say)
        country = Country(
            folder=folder,
            kind="synthetic",
            title="Synthetic chest and torso CT",
            statement=STATEMENT,
            licence="Apache-2.0, made by this program",
            labels=tuple(
                {"key": key, "code": label.code.to_dict(), "modality": "CT"} for key, label in LABELS.items()
            ),
            training={
                "name": "lung opacity",
                "modality": "CT",
                "labels": [LABELS["lung_opacity"].code.to_dict()],
            },
            sites=describe_sites(hospitals, records),
            cases=tuple(records),
        )
    if with_pool:
        country = add_pool(country)
    country.save()
    return country


def plan_institutions(
    *, sites: int = 3, light: bool = False, source: Path | None = None
) -> tuple[SiteRecord, ...]:
    """List the institutions that :func:`write_country` will write for the same arguments, without their cases.

    Raises
    ------
    CountryRefused, racoon.demo.manifest.ManifestRefused
    """
    if source is not None:
        places = plan_real_institutions(source, sites=sites, holdout=not light)
    else:
        places = describe_sites(_choose_hospitals(sites, with_holdout=not light), [])
    return places if light else (*places, _describe_pool(()))


def _choose_hospitals(sites: int, *, with_holdout: bool) -> list[Hospital]:
    if not 1 <= sites <= len(HOSPITALS):
        raise CountryRefused(
            f"The country has 1 to {len(HOSPITALS)} hospitals; choose --sites in that range."
        )
    return [*HOSPITALS[:sites], *([HOLDOUT_HOSPITAL] if with_holdout else [])]


def plan_cases(sites: int, mean: int, small_site: int | None) -> list[tuple[str, int, int]]:
    """List (site code, style, case number) of all training cases."""
    tasks = []
    for index, hospital in enumerate(HOSPITALS[:sites]):
        count = max(SMALLEST_SITE, mean + UNEQUAL[index % len(UNEQUAL)])
        if index == small_site:
            count = 3
        tasks += [(hospital.code, index, number) for number in range(count)]
    return tasks


@dataclass(frozen=True)
class CaseJob:
    """What a worker process needs to write one synthetic case."""

    folder: Path
    seed: int
    code: str
    style: int
    number: int
    light: bool


def write_case(job: CaseJob) -> CaseRecord:
    """Make one synthetic case and write its files."""
    hospital = next(h for h in (*HOSPITALS, HOLDOUT_HOSPITAL) if h.code == job.code)
    word = sum(ord(letter) << (5 * place) for place, letter in enumerate(job.code))
    rng = np.random.default_rng([job.seed, word, job.number])
    patient = draw_patient(
        rng,
        site=job.code,
        number=job.number + 1,
        institution=hospital.name,
        city=hospital.city,
        description="CT Thorax und Oberbauch",
    )
    style = get_style(job.style)
    grid = choose_grid(style, light=job.light)
    case = make_case(rng, style, grid, is_female=patient.sex == "F", age=patient.age)
    identity = ("synthetic", str(job.seed), job.code, str(job.number), str(job.light))
    plan = SeriesPlan(
        identity=identity,
        modality="CT",
        patient=patient,
        equipment=hospital.get_equipment(style.scanner),
        description=f"Thorax {grid.spacing_mm[0]:.1f} mm {style.scanner.kernel}",
        protocol="Thorax Routine" if case.phase.name == "none" else "Thorax KM",
        kernel=style.scanner.kernel,
        slice_thickness_mm=grid.spacing_mm[0],
        intercept=-1024 if job.style % 2 else 0,
        contrast="" if case.phase.name == "none" else "Iopromid 370",
    )
    isocentre = np.array([rng.uniform(-8, 8), rng.uniform(-150, -110), rng.uniform(-900, -200)]).round(1)
    name = f"{job.code.lower()}-{job.number + 1:03d}"
    target = job.folder / "pacs" / job.code / name
    files = write_patient_files(target, plan, case, compute_affine(case, isocentre), light=job.light)
    split: Split = "test" if job.code == HOLDOUT else "train"
    return CaseRecord(name, job.code, split, "CT", files, describe_truth(case, job, patient))


def compute_affine(case: Case, isocentre_mm: npt.NDArray[np.float64]) -> Affine:
    """Build the 4x4 from (slice, row, column, 1) to LPS mm for a scan at a table position."""
    z, y, x = case.grid.axes()
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = case.grid.spacing_mm
    affine[:3, 3] = np.array([x[0], y[0], z[0]], dtype=np.float64) + isocentre_mm
    affine[3, 3] = 1
    return affine


def write_patient_files(folder: Path, plan: SeriesPlan, case: Case, affine: Affine, *, light: bool) -> int:
    """Write the image series and the annotator's two segmentations; return the number of files."""
    sources = build_series(plan, case.voxels, affine)
    count = len(write_datasets(folder, sources, "CT"))
    organs = LIGHT_ORGANS if light else ORGANS
    for keys, word, title, number in (
        (organs, "organs", "Organe und Gewebe", 301),
        (FINDINGS, "findings", "Befunde", 302),
    ):
        segmentation = build_segmentation(
            sources,
            {key: case.masks[key] for key in keys},
            identity=(*plan.identity, word),
            description=title,
            creator=plan.patient.performing_physician,
            series_number=number,
        )
        if segmentation is not None:
            count += len(write_datasets(folder, [segmentation], f"SEG-{word}"))
    return count


def describe_truth(case: Case, job: CaseJob, patient: Patient) -> dict[str, Any]:
    """Collect what is known about a case by construction, and the seed to make it again."""
    voxel_ml = case.grid.voxel_volume_ml
    return {
        "seed": [job.seed, job.code, job.number],
        "style": job.style,
        "phase": case.phase.name,
        "shape": list(case.grid.shape),
        "spacing_mm": list(case.grid.spacing_mm),
        "patient_id": patient.patient_id,
        "finding_volume_ml": dict(case.volumes_ml),
        "mask_volume_ml": {
            key: float(mask.sum()) * voxel_ml for key, mask in case.masks.items() if mask.any()
        },
        "findings": [asdict(finding) for finding in case.findings if finding.kind != "emphysema"],
    }


def describe_sites(hospitals: Iterable[Hospital], records: Iterable[CaseRecord]) -> tuple[SiteRecord, ...]:
    """Group cases by hospital."""
    by_site: dict[str, list[str]] = {}
    for record in records:
        by_site.setdefault(record.site, []).append(record.case)
    return tuple(
        SiteRecord(
            hospital.code,
            hospital.name,
            hospital.city,
            "holdout" if hospital.code == HOLDOUT else "training",
            tuple(by_site.get(hospital.code, ())),
        )
        for hospital in hospitals
    )


def add_pool(country: Country) -> Country:
    """Add the pool with copies of all training cases (hard links where the disk allows)."""
    copies = []
    for case in country.cases:
        if case.split != "train" or case.modality != country.training["modality"]:
            continue
        source, target = (country.get_pacs(site) / case.case for site in (case.site, POOL))
        target.mkdir(parents=True, exist_ok=True)
        for path in sorted(source.iterdir()):
            try:
                os.link(path, target / path.name)
            except OSError:
                shutil.copyfile(path, target / path.name)
        copies.append(CaseRecord(case.case, POOL, "train", case.modality, case.files, case.truth))
    site = _describe_pool(copies)
    return replace(country, sites=(*country.sites, site), cases=(*country.cases, *copies))


def _describe_pool(copies: Iterable[CaseRecord]) -> SiteRecord:
    hospital = POOL_HOSPITAL
    cases = tuple(copy.case for copy in copies)
    return SiteRecord(hospital.code, hospital.name, hospital.city, "pool", cases)


def _say_nothing(done: int, total: int, case: str) -> None:
    del done, total, case
