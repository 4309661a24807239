"""Real images in the invented country: every image gets an invented patient and hospital.

DICOM stays as it is apart from the patient; NIfTI becomes a DICOM series with the same voxels in the same
places. Magnetic resonance has no unit, and the classic MR object has no rescale slope (DICOM PS3.3 C.8.3.1):
values that fit 16 bits are stored rounded to whole numbers, larger ones are divided by a power of ten
first.  The factor stands in the case's truth.
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError

from racoon.demo.contours import rasterise
from racoon.demo.hospitals import HOLDOUT, HOLDOUT_HOSPITAL, HOSPITALS, Hospital
from racoon.demo.labels import Label
from racoon.demo.manifest import ImageGroup, Manifest, ManifestRefused, SiteRule, load_manifest
from racoon.demo.nifti import Volume, load_nifti, match_labels
from racoon.demo.patients import Patient, draw_patient
from racoon.demo.records import CaseRecord, Country, Progress, SiteRecord, Split, run_jobs
from racoon.demo.segmentation import build_segmentation
from racoon.demo.series import Affine, Equipment, SeriesPlan, build_series, write_datasets
from racoon.errors import Defect

LARGEST_STORED = 65535


class SeriesDefect(Defect):
    """A folder or archive of DICOM files without a usable series."""

    code = "demo.series"


@dataclass(frozen=True)
class ImageJob:
    """One image and where it goes."""

    folder: Path
    manifest: Manifest
    group: ImageGroup
    path: Path
    site: str
    number: int
    split: Split
    seed: int


def write_real_country(
    folder: Path,
    source: Path,
    *,
    sites: int,
    cases_per_site: int | None,
    seed: int,
    holdout: bool,
    holdout_cases: int,
    progress: Progress,
    processes: int,
) -> Country:
    """Write the images of a manifest or folder; parameters as :func:`racoon.demo.country.write_country`."""
    manifest = load_manifest(source)
    codes = manifest.site_codes[:sites]
    plan = Plan(folder, manifest, tuple(codes), cases_per_site, seed, holdout_cases if holdout else 0)
    jobs: list[ImageJob] = []
    for group in manifest.images:
        jobs += _plan_group(plan, group, len(jobs))
    if not jobs:
        raise ManifestRefused("The manifest matches no image; check 'root' and the 'images' patterns.")
    records = run_jobs(write_image, jobs, processes, progress)
    return Country(
        folder=folder,
        kind="real",
        title=manifest.title,
        statement=manifest.statement,
        licence=manifest.licence,
        labels=tuple(
            {
                "key": t.key,
                "code": t.get_label().code.to_dict(),
                "modality": t.modality,
                "largest_ml": t.largest_ml,
            }
            for t in manifest.labels
        ),
        training=_describe_training(manifest),
        sites=_describe_institutions(manifest, codes, records, holdout=holdout),
        cases=tuple(records),
    )


def plan_real_institutions(source: Path, *, sites: int, holdout: bool) -> tuple[SiteRecord, ...]:
    """List a manifest's institutions, without their cases."""
    manifest = load_manifest(source)
    return _describe_institutions(manifest, manifest.site_codes[:sites], [], holdout=holdout)


def _describe_institutions(
    manifest: Manifest, codes: Sequence[str], records: Sequence[CaseRecord], *, holdout: bool
) -> tuple[SiteRecord, ...]:
    hospitals = {hospital.code: hospital for hospital in (*HOSPITALS, HOLDOUT_HOSPITAL)}
    # A share of unseen cases is at least one case, so this is known before any image is read.
    has_unseen = holdout and any(group.holdout_share for group in manifest.images)
    present = [*codes, *([HOLDOUT] if has_unseen else [])]
    return tuple(_describe_site(code, hospitals.get(code), records) for code in present)


def _describe_training(manifest: Manifest) -> dict[str, object]:
    labels = manifest.get_labels()
    training = manifest.training
    return {
        **training.model_dump(mode="json", exclude={"labels"}),
        "labels": [labels[key].code.to_dict() for key in training.labels],
    }


def _describe_site(code: str, hospital: Hospital | None, records: Iterable[CaseRecord]) -> SiteRecord:
    known = hospital or Hospital(code, f"Klinikum {code.title()}", code.title())
    cases = tuple(record.case for record in records if record.site == code)
    return SiteRecord(code, known.name, known.city, "holdout" if code == HOLDOUT else "training", cases)


@dataclass(frozen=True)
class Plan:
    """What is the same for all images of a country."""

    folder: Path
    manifest: Manifest
    codes: tuple[str, ...]
    cases_per_site: int | None
    seed: int
    holdout_cases: int


def _plan_group(plan: Plan, group: ImageGroup, first: int) -> list[ImageJob]:
    """Share a group's images out to sites and split off unseen ones, the same share of every site's."""
    by_rule: dict[str, tuple[SiteRule, list[Path]]] = {rule.code: (rule, []) for rule in group.sites}
    for position, path in enumerate(find_images(plan.manifest.root, group)):
        rule = _choose_rule(group, path, position)
        if rule is not None:
            by_rule[rule.code][1].append(path)
    rng = np.random.default_rng([plan.seed, sum(map(ord, group.name))])
    jobs: list[ImageJob] = []
    unseen = 0
    wanted = sum(len(paths) for _, paths in by_rule.values())
    for code, (rule, paths) in by_rule.items():
        if code not in plan.codes:
            continue
        order = [paths[int(index)] for index in rng.permutation(len(paths))]
        kept_out = 0
        if plan.holdout_cases and group.holdout_share:
            fair = max(1, round(plan.holdout_cases * len(paths) / max(wanted, 1)))
            kept_out = min(max(1, round(group.holdout_share * len(paths))), fair + 1)
        limit = min(rule.cases or len(paths), plan.cases_per_site or len(paths))
        for path in order[:kept_out]:
            jobs.append(
                ImageJob(plan.folder, plan.manifest, group, path, HOLDOUT, first + unseen, "test", plan.seed)
            )
            unseen += 1
        jobs += [
            ImageJob(plan.folder, plan.manifest, group, path, code, first + number, "train", plan.seed)
            for number, path in enumerate(order[kept_out : kept_out + limit])
        ]
    return jobs


def find_images(root: Path, group: ImageGroup) -> list[Path]:
    """Find a group's images: files of a pattern; for DICOM a folder, an archive, or folders of a pattern."""
    if (root / group.images).exists():
        place = root / group.images
        if group.kind == "dicom" and place.is_dir() and group.images == ".":
            return sorted({path.parent for path in place.rglob("*") if path.is_file()})
        return [place]
    found = sorted(root.glob(group.images))
    if not found:
        raise ManifestRefused(
            f"Group {group.name!r}: nothing matches {group.images!r} under the manifest's root."
        )
    return found


def _choose_rule(group: ImageGroup, path: Path, position: int) -> SiteRule | None:
    if all(rule.stored is None and rule.maximum_below is None for rule in group.sites):
        return group.sites[position % len(group.sites)]
    volume = load_nifti(path)
    top = float(volume.data.max())
    for rule in group.sites:
        is_stored_so = rule.stored is None or (rule.stored == "integer") == volume.is_integer
        if is_stored_so and (rule.maximum_below is None or top < rule.maximum_below):
            return rule
    return None


def write_image(job: ImageJob) -> CaseRecord:
    """Write one image with an invented patient."""
    hospital = next((h for h in (*HOSPITALS, HOLDOUT_HOSPITAL) if h.code == job.site), None)
    hospital = hospital or Hospital(job.site, f"Klinikum {job.site.title()}", job.site.title())
    name = f"{job.group.name}-{_stem(job.path)}"
    rng = np.random.default_rng([job.seed, *name.encode()])
    patient = draw_patient(
        rng,
        site=job.site,
        number=job.number + 1,
        institution=hospital.name,
        city=hospital.city,
        description=job.group.description or f"{job.group.modality} {job.group.body_part.title()}",
    )
    target = job.folder / "pacs" / job.site / name
    labels = job.manifest.get_labels()
    if job.group.kind == "nifti":
        files, truth = _write_nifti(job, target, patient, hospital, labels)
    else:
        files, truth = _write_dicom(job, target, patient, labels)
    truth |= {
        "source": job.path.relative_to(job.manifest.root).as_posix(),
        "patient_id": patient.patient_id,
        "outlined_by": job.group.truth,
    }
    return CaseRecord(name, job.site, job.split, job.group.modality, files, truth)


def _stem(path: Path) -> str:
    return path.name.split(".")[0].lower().replace("_", "-")


def _write_nifti(
    job: ImageJob, target: Path, patient: Patient, hospital: Hospital, labels: dict[str, Label]
) -> tuple[int, dict[str, object]]:
    volume = load_nifti(job.path)
    voxels, factor = store_values(volume, job.group.modality)
    plan = SeriesPlan(
        identity=("real", job.manifest.title, job.group.name, _stem(job.path)),
        modality=job.group.modality,
        patient=patient,
        equipment=Equipment("unbekannt", "NIfTI", f"{job.group.modality}-{hospital.code[:6]}", "0", "NIfTI"),
        description=job.group.description or job.group.name,
        protocol=job.group.name,
        extra={"BodyPartExamined": job.group.body_part},
    )
    sources = build_series(plan, voxels, volume.affine)
    files = len(write_datasets(target, sources, job.group.modality))
    masks = _masks_from_label_map(job, voxels.shape, volume.affine)
    segmentation = build_segmentation(
        sources,
        masks,
        identity=(*plan.identity, "outlines"),
        description=f"Outlines: {job.group.name}"[:64],
        creator=patient.performing_physician,
        labels=labels,
    )
    if segmentation is not None:
        files += len(write_datasets(target, [segmentation], "SEG"))
    return files, {"divided_by": factor, "mask_volume_ml": _volumes(masks, volume.affine)}


def store_values(volume: Volume, modality: str) -> tuple[npt.NDArray[np.int32], float]:
    """Turn values into what a series stores; return them and the number they were divided by."""
    data = volume.data.astype(np.float64)
    if modality == "CT":
        return np.clip(np.rint(data), -1024, 32767).astype(np.int32), 1.0
    data = np.maximum(data, 0)
    factor = 1.0
    while float(data.max()) / factor > LARGEST_STORED:
        factor *= 10
    return np.rint(data / factor).astype(np.int32), factor


def _masks_from_label_map(
    job: ImageJob, shape: tuple[int, ...], affine: Affine
) -> dict[str, npt.NDArray[np.bool_]]:
    if job.group.outlines is None:
        return {}
    path = job.manifest.root / job.group.outlines.replace("{name}", job.path.name)
    if not path.is_file():
        raise ManifestRefused(f"Group {job.group.name!r}: the outlines of {job.path.name} are missing.")
    label_map = match_labels(load_nifti(path), (shape[0], shape[1], shape[2]), affine)
    return {key: np.isin(label_map, values) for key, values in job.group.values.items()}


def _volumes(masks: dict[str, npt.NDArray[np.bool_]], affine: Affine) -> dict[str, float]:
    voxel_ml = abs(float(np.linalg.det(affine[:3, :3]))) / 1000
    return {key: float(mask.sum()) * voxel_ml for key, mask in masks.items() if mask.any()}


def _write_dicom(
    job: ImageJob, target: Path, patient: Patient, labels: dict[str, Label]
) -> tuple[int, dict[str, object]]:
    datasets = list(read_datasets(job.path))
    images = sort_slices(datasets, job.group.modality)
    structures = dcmread(job.manifest.root / job.group.contours) if job.group.contours else None
    everything = [*datasets, *([structures] if structures is not None else [])]
    for dataset in everything:
        patient.identify(dataset)
    target.mkdir(parents=True, exist_ok=True)
    for number, dataset in enumerate(everything, start=1):
        # As it is: same transfer syntax, same pixels, same UIDs; only the patient is invented.
        dataset.save_as(target / f"{dataset.Modality}-{number:04d}.dcm", enforce_file_format=True)
    shape, affine = compute_geometry(images)
    masks = _masks_from_label_map(job, shape, affine)
    if structures is not None:
        masks |= {
            key: rasterise(structures, region, shape, affine) for key, region in job.group.regions.items()
        }
    segmentation = build_segmentation(
        images,
        masks,
        identity=("real", job.manifest.title, job.group.name, _stem(job.path), "outlines"),
        description=f"Outlines: {job.group.name}"[:64],
        creator=patient.performing_physician,
        labels=labels,
    )
    files = len(everything)
    if segmentation is not None:
        files += len(write_datasets(target, [segmentation], "SEG"))
    return files, {"mask_volume_ml": _volumes(masks, affine)}


def read_datasets(path: Path) -> Iterator[Dataset]:
    """Read the DICOM files of a folder, a zip or a tar archive; other files in it are passed over."""
    for content in _read_contents(path):
        try:
            yield dcmread(io.BytesIO(content))
        except InvalidDicomError:
            continue


def _read_contents(path: Path) -> Iterator[bytes]:
    if path.is_dir():
        for part in sorted(p for p in path.rglob("*") if p.is_file()):
            yield part.read_bytes()
    elif zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            for name in sorted(archive.namelist()):
                if not name.endswith("/"):
                    yield archive.read(name)
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream is not None:
                    yield stream.read()
    else:
        yield path.read_bytes()


def sort_slices(datasets: Iterable[Dataset], modality: str) -> list[Dataset]:
    """Choose the largest image series and sort it along its normal."""
    series: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        if dataset.get("Modality") == modality and "ImagePositionPatient" in dataset:
            series.setdefault(str(dataset.SeriesInstanceUID), []).append(dataset)
    if not series:
        raise SeriesDefect(f"There is no {modality} image series in the place the manifest names.")
    largest = max(series.values(), key=len)
    right, down = np.array(largest[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
    normal = np.cross(right, down)
    return sorted(largest, key=lambda part: float(np.array(part.ImagePositionPatient, dtype=float) @ normal))


def compute_geometry(images: list[Dataset]) -> tuple[tuple[int, int, int], Affine]:
    """Shape and 4x4 from (slice, row, column, 1) to LPS mm of sorted slices."""
    first, last = images[0], images[-1]
    right, down = np.array(first.ImageOrientationPatient, dtype=float).reshape(2, 3)
    row_mm, column_mm = (float(value) for value in first.PixelSpacing)
    origin = np.array(first.ImagePositionPatient, dtype=float)
    affine = np.eye(4)
    step = np.array(last.ImagePositionPatient, dtype=float) - origin
    affine[:3, 0] = step / max(len(images) - 1, 1) if len(images) > 1 else np.cross(right, down)
    affine[:3, 1], affine[:3, 2], affine[:3, 3] = down * row_mm, right * column_mm, origin
    return (len(images), int(first.Rows), int(first.Columns)), affine
