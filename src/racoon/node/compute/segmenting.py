"""Run a model package on a frozen dataset: masks go into the archive as pre-labels for the readers.

Works in batches in a process without network; a run that was killed goes on with the series that are not done.
"""

from __future__ import annotations

import io
import json
import logging
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.errors import Defect, RacoonError, Refused
from racoon.learning.cases import case_name
from racoon.learning.extra import require_extra
from racoon.learning.files_inference import most_uncertain_first
from racoon.learning.outputs import reading_report
from racoon.learning.packages import ModelPackage, open_package
from racoon.learning.packages.card import RESEARCH_USE
from racoon.learning.packages.running import run_package
from racoon.node.archive.service import Archive
from racoon.node.compute.shelf import require_named_signer
from racoon.platform.files import write_atomically
from racoon.standards.dicom.segmenting import Algorithm, build_automatic_segmentation

_log = logging.getLogger(__name__)

BATCH = 8
"""Series taken out of the archive at once: bounds disk, and torch is loaded once per batch."""

StoreDerived = Callable[[bytes], str]
"""Stores one SEG in the archive; returns the reason where it was not taken, empty where it was."""

Report = Callable[[int, int], None]


class Segmenting:
    """Runs packages on frozen datasets of this site.

    Parameters
    ----------
    folder
        For work in hand; readable by the node only.
    archive
        Where the images are.
    store
        The archive's door for derived objects.
    signers
        Public keys whose packages this site runs; nobody's when empty.
    """

    def __init__(self, folder: Path, archive: Archive, store: StoreDerived, signers: Collection[str]) -> None:
        self._folder = folder
        self._archive = archive
        self._store = store
        self._signers = frozenset(signers)

    def admit(self, path: Path) -> ModelPackage:
        """Check a package, and that this site runs models of its signer.

        Raises
        ------
        PackageRefused
            ``package.signer`` beside the codes of ``open_package``.
        """
        package = open_package(path)
        require_named_signer(package, self._signers)
        return package

    def run(
        self, path: Path, manifest: DatasetManifest, report: Report = lambda _done, _total: None
    ) -> dict[str, Any]:
        """Segment every series of a dataset that has no result of this model yet.

        Parameters
        ----------
        path
            Model package.
        manifest
            The frozen dataset.
        report
            Called after each series with done and total.

        Returns
        -------
        dict
            ``model``, ``dataset_hash``, ``series`` (series UID → ``stored``, ``nothing found`` or ``refused`` with its
            reason), ``most_uncertain_first``, ``counts`` of the states, and the statement of research use.
        """
        require_extra("safetensors")
        package = self.admit(path)
        folder = self._folder / "segmenting" / f"{package.hash[:16]}-{manifest.hash[:16]}"
        folder.mkdir(parents=True, exist_ok=True)
        book = _Book(folder / "done.json")
        series = sorted(manifest.series)
        waiting = [entry for entry in series if entry.series_uid not in book.rows]
        report(len(series) - len(waiting), len(series))
        for start in range(0, len(waiting), BATCH):
            batch = waiting[start : start + BATCH]
            self._run_batch(package, path, batch, folder / "batch", book)
            report(len(series) - len(waiting) + start + len(batch), len(series))
        rows = {entry.series_uid: book.rows[entry.series_uid] for entry in series}
        states = [row["state"] for row in rows.values()]
        return {
            "model": {"hash": package.hash, "name": package.card.name, "version": package.card.version},
            "dataset_hash": manifest.hash,
            "series": rows,
            "most_uncertain_first": most_uncertain_first(rows),
            "counts": {state: states.count(state) for state in sorted(set(states))},
            "use": RESEARCH_USE,
        }

    def _run_batch(
        self, package: ModelPackage, path: Path, batch: Sequence[DatasetSeries], folder: Path, book: _Book
    ) -> None:
        # What a killed run left here is taken out of the archive again: consent may have changed since.
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        try:
            work = []
            for entry in batch:
                try:
                    work.append(self._take_out(entry, folder))
                except (Refused, Defect) as error:
                    book.note(entry.series_uid, "refused", error)
            names = {case_name(entry.series_uid): entry for entry in batch}

            def on_series(row: dict[str, Any]) -> None:
                entry = names[row["name"]]
                if row["state"] == "read":
                    self._put_reading(package, entry, row, book)
                    return
                if row["state"] == "refused":
                    book.note(entry.series_uid, "refused", Refused(row["reason"], code=row["code"]))
                    return
                self._put_in(package, entry, folder / f"{row['name']}.mask.npz", row, book)

            if work:
                run_package(path.resolve(), work, folder, on_series)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _take_out(self, entry: DatasetSeries, folder: Path) -> dict[str, Any]:
        row = self._archive.series_row(entry.series_uid)
        image = self._archive.load_volume(entry.series_uid).image
        name = case_name(entry.series_uid)
        arrays = folder / f"{name}.npz"
        with arrays.open("wb") as file:
            np.savez(file, voxels=image.voxels, affine=image.affine)
        return {
            "name": name,
            "arrays": str(arrays),
            "mask": str(folder / f"{name}.mask.npz"),
            "modality": row.facts.modality,
        }

    def _put_in(
        self, package: ModelPackage, entry: DatasetSeries, mask: Path, row: Mapping[str, Any], book: _Book
    ) -> None:
        with np.load(mask, allow_pickle=False) as content:
            classes = content["classes"]
        sources = self._sources(entry)
        made_by = Algorithm(package.card.name, package.card.version, package.hash, RESEARCH_USE)
        try:
            segmentation = build_automatic_segmentation(sources, classes, package.plan.labels, made_by)
            if segmentation is None:
                book.note(entry.series_uid, "nothing found", found=row)
                return
            stream = io.BytesIO()
            segmentation.save_as(stream, enforce_file_format=True)
            reason = self._store(stream.getvalue())
        except RacoonError as error:
            book.note(entry.series_uid, "refused", error)
            return
        if reason:
            book.note(entry.series_uid, "refused", Refused(reason, code="compute.not_archived"))
        else:
            book.note(entry.series_uid, "stored", found=row)

    def _put_reading(
        self, package: ModelPackage, entry: DatasetSeries, row: Mapping[str, Any], book: _Book
    ) -> None:
        read = row.get("probabilities") or [row["value"]]
        try:
            report = reading_report(package, self._sources(entry), read)
            stream = io.BytesIO()
            report.save_as(stream, enforce_file_format=True)
            reason = self._store(stream.getvalue())
        except RacoonError as error:
            book.note(entry.series_uid, "refused", error)
            return
        if reason:
            book.note(entry.series_uid, "refused", Refused(reason, code="compute.not_archived"))
        else:
            book.note(entry.series_uid, "stored", found=row)

    def _sources(self, entry: DatasetSeries) -> list[pydicom.Dataset]:
        volume = self._archive.load_volume(entry.series_uid)
        rows = {row.sop_instance_uid: row for row in self._archive.instances(entry.series_uid)}
        return [
            pydicom.dcmread(io.BytesIO(self._archive.read_object(rows[uid])))
            for uid in dict.fromkeys(volume.instance_uids)
        ]


_KEPT = ("hash", "runtime", "uncertainty", "probabilities", "value", "unit", "outside_limits")


class _Book:
    """What became of each series, written after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = json.loads(path.read_bytes()) if path.exists() else {}

    def note(
        self,
        series_uid: str,
        state: str,
        error: RacoonError | None = None,
        *,
        found: Mapping[str, Any] | None = None,
    ) -> None:
        """Keep an outcome, also that a series was refused: the same model refuses it again."""
        row: dict[str, Any] = {"state": state}
        if found is not None:
            row |= {name: found[name] for name in _KEPT if name in found}
        if error is not None:
            row |= {"code": error.error_code, "reason": error.public_message}
            _log.warning("a series was not segmented", extra={"reason": error.error_code})
        self.rows[series_uid] = row
        write_atomically(self._path, json.dumps(self.rows).encode())
