"""Prepare cases, run training processes, and keep the site's engine process while runs last."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect, Unavailable
from racoon.learning.architectures import check_plan, initial_weights, tensor_shapes
from racoon.learning.cases import case_name, prepare_case, save_case, write_manifest
from racoon.learning.engine import EngineIdentity, SiteEngine
from racoon.learning.extra import require_extra
from racoon.learning.subprocesses import run_training_process
from racoon.learning.weights import check_weights, decode_weights, save_weights
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.compute.model import Preparation, label_index, preparation_key
from racoon.platform.files import write_atomically
from racoon.standards.dicom.resampling import is_resampled

_log = logging.getLogger(__name__)

Report = Callable[[int, int, str], None]
"""``(done, total, public note)``."""

RESTART_WAITS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Pauses before the site's engine process is started again; the last repeats."""

AUTOMATIC = "AUTOMATIC"
"""A mask that a program drew alone is no reference: a model would learn its own mistakes."""

LOOK_S = 0.5
LINGER_S = 12.0
"""After its last round a site stays this long without a job process: a resumed run may still need it."""


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
        self, plan: TrainingPlan, manifest: DatasetManifest, report: Report = lambda _d, _t, _n: None
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
                reason = self._prepare_one(plan, entry, folder, book)
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

    def train_local(
        self, run: str, plan: TrainingPlan, cases: Path, report: Report = lambda _d, _t, _n: None
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

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "round":
                report(event["round"] + 1, plan.rounds, "training")

        arguments = ["train", "--plan", str(plan_file), "--cases", str(cases), "--folder", str(folder)]
        run_training_process([*arguments, "--weights", str(start)], folder / "train.log", on_event)
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

        def on_event(event: dict[str, Any]) -> None:
            nonlocal done
            if event["event"] == "model":
                done += 1
                report(done, len(models), "evaluating")

        run_training_process(arguments, folder / "evaluate.log", on_event)
        result: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
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

    def _prepare_one(self, plan: TrainingPlan, entry: DatasetSeries, folder: Path, book: _Resampled) -> str:
        """Prepare one series unless its case is there; return why not, empty if it is."""
        try:
            row = self._archive.series_row(entry.series_uid)
            if row.facts.modality != plan.modality:
                return "other modality"
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
            save_case(folder, prepare_case(plan, entry.series_uid, volume.image.voxels, masks))
        except (SeriesNotFound, Defect) as error:
            _log.warning("a series is not a training case", extra={"reason": error.error_code})
            return error.error_code
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


class EngineSeat:
    """The site's one engine process, shared by all runs that last.

    Parameters
    ----------
    engine
        The engine's site side.
    request_identity
        Sends a signing request to CENTRAL and returns its answer; raises ``Unavailable`` while CENTRAL is
        away.
    """

    def __init__(self, engine: SiteEngine, request_identity: Callable[[str], EngineIdentity]) -> None:
        self._engine = engine
        self._request_identity = request_identity
        self._runs: dict[str, str] = {}
        self._lock = threading.Lock()

    def take_part(
        self,
        run_id: str,
        plan: TrainingPlan,
        cases: Path,
        *,
        report: Report = lambda _d, _t, _n: None,
        should_stop: Callable[[], bool] = lambda: False,
        linger_s: float = LINGER_S,
    ) -> list[dict[str, Any]]:
        """Sit in the engine until the run ends; restartable at any moment with the same arguments.

        Parameters
        ----------
        run_id, plan, cases
            What this site approved: the engine's gates let exactly this through, nothing else.
        report
            Called after each round trained here.
        should_stop
            Asked about twice a second: the site or CENTRAL ended the job.
        linger_s
            Time without a job process, after the last round, after which the run counts as ended.

        Returns
        -------
        list
            Facts of the rounds trained here, oldest first.
        """
        check_plan(plan)
        with self._lock:
            self._engine.install(self._request_identity(self._engine.request()))
            self._engine.approve(plan, run_id, cases)
            self._runs[run_id] = plan.hash
        try:
            return self._sit(run_id, plan, report, should_stop, linger_s)
        finally:
            with self._lock:
                self._runs.pop(run_id, None)
                if plan.hash not in self._runs.values():
                    self._engine.withdraw(plan.hash)
                if not self._runs:
                    self._engine.stop()

    def _sit(
        self,
        run_id: str,
        plan: TrainingPlan,
        report: Report,
        should_stop: Callable[[], bool],
        linger_s: float,
    ) -> list[dict[str, Any]]:
        pause = threading.Event()
        restarts, idle_s, told = 0, 0.0, -1
        while not should_stop():
            with self._lock:
                alive = self._engine.is_alive()
                if not alive:
                    try:
                        self._engine.start()
                    except OSError as error:
                        raise Unavailable("The training engine's process cannot be started.") from error
            if not alive:
                pause.wait(RESTART_WAITS_S[min(restarts, len(RESTART_WAITS_S) - 1)])
                restarts += 1
            rounds = self._engine.trained_rounds(run_id)
            if len(rounds) != told:
                told = len(rounds)
                report(min(told, plan.rounds), plan.rounds, "training in the federation")
            finished = bool(rounds) and rounds[-1]["round"] == plan.rounds - 1
            idle_s = 0.0 if not finished or self._engine.is_working() else idle_s + LOOK_S
            if idle_s >= linger_s:
                break
            pause.wait(LOOK_S)
        return self._engine.trained_rounds(run_id)
