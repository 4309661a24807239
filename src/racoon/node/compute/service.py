"""Prepare cases, run training processes, and keep the site's engine process while runs last."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.plan import Target, TrainingPlan
from racoon.errors import Defect
from racoon.learning.architectures import check_plan, initial_weights, tensor_shapes
from racoon.learning.cases import (
    case_name,
    load_case,
    prepare_case,
    prepare_image,
    save_case,
    write_manifest,
)
from racoon.learning.extra import require_extra
from racoon.learning.spending import Purse
from racoon.learning.subprocesses import purse_arguments, run_training_process
from racoon.learning.weights import check_weights, decode_weights, save_weights
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.compute.failures import forget_series, note_series
from racoon.node.compute.limits import Look, Standing
from racoon.node.compute.model import Preparation, label_index, preparation_key
from racoon.node.compute.processes import run_within_limits
from racoon.node.compute.truths import Truth, encode_truths
from racoon.platform.files import write_atomically
from racoon.standards.dicom.resampling import is_resampled

_log = logging.getLogger(__name__)

Report = Callable[[int, int, str], None]
"""``(done, total, public note)``."""

AUTOMATIC = "AUTOMATIC"
"""A mask that a program drew alone is no reference: a model would learn its own mistakes."""


class Compute:
    """Training and evaluation at one site.

    Parameters
    ----------
    folder
        Prepared cases and runs; readable by the node only.
    archive
        Where volumes and masks come from.
    """

    def __init__(self, folder: Path, archive: Archive) -> None:
        self._folder = folder
        self._archive = archive
        self._lock = threading.Lock()

    def prepare(
        self,
        plan: TrainingPlan,
        manifest: DatasetManifest,
        report: Report = lambda _d, _t, _n: None,
        truths: Mapping[str, Sequence[Truth]] | None = None,
    ) -> tuple[Path, Preparation]:
        """Prepare the cases of a frozen dataset once; what was withdrawn since is taken out again.

        Parameters
        ----------
        plan
            Says modality, labels, window and size.
        manifest
            The frozen dataset.
        report
            Called after each series.
        truths
            Of a plan that judges whole images: what the site knows of each series.

        Returns
        -------
        tuple
            Folder of cases, and what became of the series.
        """
        check_plan(plan)
        with self._lock:
            folder = self._folder / "cases" / preparation_key(plan, manifest)
            folder.mkdir(parents=True, exist_ok=True)
            skipped: Counter[str] = Counter()
            used: list[DatasetSeries] = []
            book = _Resampled(folder / "resampled.json")
            for number, entry in enumerate(sorted(manifest.series), start=1):
                known = (truths or {}).get(entry.series_uid, ())
                reason = self._prepare_one(plan, entry, folder, book, known)
                if reason:
                    skipped[reason] += 1
                    (folder / f"{case_name(entry.series_uid)}.npz").unlink(missing_ok=True)
                else:
                    used.append(entry)
                report(number, len(manifest.series), "preparing")
            kept = {f"{case_name(entry.series_uid)}.npz" for entry in used}
            for path in folder.glob("*.npz"):
                # What may no longer be used is not in the dataset any more, and was prepared before.
                if path.name not in kept:
                    path.unlink(missing_ok=True)
            resampled = book.count(case_name(entry.series_uid) for entry in used)
            subjects = {entry.pseudonym for entry in used}
            preparation = Preparation(len(used), len(subjects), dict(skipped), resampled)
            facts = {"cases": len(used), "skipped": dict(skipped), "resampled": resampled}
            write_manifest(folder, {"dataset": manifest.hash, **facts})
            return folder, preparation

    def require_affordable(self, run: str, plan: TrainingPlan, cases: Path, purse: Purse) -> None:
        """Refuse a private training whose rounds together would cost more than plan or site allow.

        Parameters
        ----------
        run
            Name of the work's folder, and of the run in the ledger.
        plan, cases, purse
            What, the folder :meth:`prepare` gave, and the study's account.

        Raises
        ------
        Refused
            ``learning.privacy_budget``.
        """
        if plan.privacy is None:
            return
        require_extra("torch", "opacus")
        folder, plan_file = self._run_folder(run, plan)
        arguments = ["afford", "--plan", str(plan_file), "--cases", str(cases)]
        run_training_process([*arguments, *purse_arguments(purse, run)], folder / "afford.log")

    def train_local(
        self,
        run: str,
        plan: TrainingPlan,
        cases: Path,
        report: Report = lambda _d, _t, _n: None,
        purse: Purse | None = None,
        standing: Look = lambda: Standing.GO,
    ) -> tuple[bytes, list[dict[str, Any]]]:
        """Train on this site's cases alone; resumes after the last finished round.

        Parameters
        ----------
        run
            Name of the work's folder, the job id.
        plan, cases
            What, and the folder :meth:`prepare` gave.
        report
            Called after each round.
        purse
            Account of private trainings.
        standing
            What the site's limits say now; while they say wait, no process runs.

        Returns
        -------
        tuple
            Final weights as safetensors, and the facts of each round.
        """
        require_extra("torch", "safetensors")
        folder, plan_file = self._run_folder(run, plan)
        start = folder / "initial.safetensors"
        if not start.exists():
            save_weights(start, initial_weights(plan))

        done = 0

        def on_event(event: dict[str, Any]) -> None:
            nonlocal done
            if event["event"] == "round":
                done = event["round"] + 1
                report(done, plan.rounds, "training")

        arguments = ["train", "--plan", str(plan_file), "--cases", str(cases), "--folder", str(folder)]
        arguments += purse_arguments(purse, run)
        run_within_limits(
            [*arguments, "--weights", str(start)],
            folder / "train.log",
            on_event,
            standing,
            lambda note: report(done, plan.rounds, note),
        )
        facts = [
            json.loads(line) for line in (folder / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        return (folder / "final.safetensors").read_bytes(), facts

    def evaluate(
        self,
        run: str,
        plan: TrainingPlan,
        cases: Path,
        models: Mapping[str, bytes],
        report: Report = lambda _d, _t, _n: None,
        series_uids: Iterable[str] = (),
    ) -> dict[str, Any]:
        """Score models on this site's cases, with trivial models beside.

        Parameters
        ----------
        run
            Name of the work's folder, the job id.
        plan, cases
            What, and the folder :meth:`prepare` gave.
        models
            Name → safetensors; refused before use if they do not fit the plan's network.
        report
            Called after each model.
        series_uids
            Of the dataset the cases were made from: a picture of a failure opens its series.

        Returns
        -------
        dict
            Per-case, per-label and mean Dice of each model and of the trivial ones; stays at the site until
            ``release`` let an aggregate through.
        """
        require_extra("torch", "safetensors")
        folder, plan_file = self._run_folder(run, plan)
        arguments = ["evaluate", "--plan", str(plan_file), "--cases", str(cases), "--folder", str(folder)]
        for number, (name, content) in enumerate(sorted(models.items())):
            weights = decode_weights(content)
            check_weights(weights, tensor_shapes(plan))
            path = folder / f"model-{number}.safetensors"
            save_weights(path, weights)
            arguments += ["--model", f"{name}={path}"]
        done = 0
        forget_series(folder)

        def on_event(event: dict[str, Any]) -> None:
            nonlocal done
            if event["event"] == "model":
                done += 1
                report(done, len(models), "evaluating")

        run_training_process(arguments, folder / "evaluate.log", on_event)
        result: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
        note_series(folder, result["worst"], series_uids)
        return result

    def forget(self, run: str) -> None:
        """Remove a finished job's folder."""
        shutil.rmtree(self._folder / "runs" / run, ignore_errors=True)

    def _run_folder(self, run: str, plan: TrainingPlan) -> tuple[Path, Path]:
        folder = self._folder / "runs" / run
        folder.mkdir(parents=True, exist_ok=True)
        plan_file = folder / "plan.json"
        write_atomically(plan_file, json.dumps(plan.to_dict()).encode())
        return folder, plan_file

    def _prepare_one(
        self,
        plan: TrainingPlan,
        entry: DatasetSeries,
        folder: Path,
        book: _Resampled,
        truths: Sequence[Truth],
    ) -> str:
        """Prepare one series unless its case is there; return why not, empty if it is."""
        try:
            row = self._archive.series_row(entry.series_uid)
            if row.facts.modality != plan.modality:
                return "other modality"
            if plan.target is not None:
                return self._prepare_whole(plan, plan.target, entry, folder, book, truths)
            if (folder / f"{case_name(entry.series_uid)}.npz").exists():
                return ""
            # The plan says whether an irregular series is refused, with its findings, or interpolated with its masks.
            volume = self._archive.load_volume(entry.series_uid, resample=plan.irregular == "resample")
            masks: list[Any] = [None] * len(plan.labels)
            found = 0
            for segment in self._archive.iterate_masks(entry.series_uid, volume):
                if segment.algorithm_type == AUTOMATIC:
                    continue
                found += 1
                index = label_index(plan.labels, segment.mask.label)
                if index is not None:
                    voxels = segment.mask.voxels
                    masks[index] = voxels if masks[index] is None else masks[index] | voxels
            if not found:
                return "no reference masks"
            book.note(case_name(entry.series_uid), is_resampled=is_resampled(volume))
            spacing = volume.image.spacing_mm
            save_case(folder, prepare_case(plan, entry.series_uid, volume.image.voxels, masks, spacing))
        except (SeriesNotFound, Defect) as error:
            _log.warning("a series is not a training case", extra={"reason": error.error_code})
            return error.error_code
        return ""

    def _prepare_whole(
        self,
        plan: TrainingPlan,
        target: Target,
        entry: DatasetSeries,
        folder: Path,
        book: _Resampled,
        truths: Sequence[Truth],
    ) -> str:
        wanted, reason = encode_truths(target, truths)
        if wanted is None:
            return reason
        path = folder / f"{case_name(entry.series_uid)}.npz"
        if path.exists():
            case = load_case(path)
            if case.target != wanted:
                # The answer was amended, or measured anew, since.
                save_case(folder, replace(case, target=wanted))
            return ""
        volume = self._archive.load_volume(entry.series_uid, resample=plan.irregular == "resample")
        book.note(case_name(entry.series_uid), is_resampled=is_resampled(volume))
        spacing = volume.image.spacing_mm
        save_case(folder, prepare_image(plan, entry.series_uid, volume.image.voxels, wanted, spacing))
        return ""


class _Resampled:
    """Which prepared cases were interpolated; kept beside them, because a case is prepared once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._names: set[str] = set(json.loads(path.read_bytes())) if path.exists() else set()

    def note(self, name: str, *, is_resampled: bool) -> None:
        """Keep how a case was made, before the case itself is written."""
        before = set(self._names)
        self._names = before | {name} if is_resampled else before - {name}
        if self._names != before:
            write_atomically(self._path, json.dumps(sorted(self._names)).encode())

    def count(self, names: Iterable[str]) -> int:
        """Count those among some cases."""
        return len(self._names.intersection(names))


def forget_cases(folder: Path, series_uids: Iterable[str], runs: Iterable[str]) -> int:
    """Remove the prepared cases of some series, and the folders of finished jobs.

    Parameters
    ----------
    folder
        That of :class:`Compute`.
    series_uids
        Series that may no longer be used.
    runs
        Ids of finished jobs whose logs and scores speak of their cases one by one.

    Returns
    -------
    int
        Files and folders removed.
    """
    removed = 0
    for uid in series_uids:
        for path in (folder / "cases").glob(f"*/{case_name(uid)}.npz"):
            path.unlink(missing_ok=True)
            removed += 1
    for run in runs:
        if (folder / "runs" / run).is_dir():
            shutil.rmtree(folder / "runs" / run, ignore_errors=True)
            removed += 1
    return removed
