"""Training on folders of this machine: prepare, train local or pooled, score on unseen subjects, write packages.

For a data scientist without a network; the federated mode needs both sides of the engine and is put together by the
command (``racoon.cli.federation``).  Every step leaves files and is skipped when they are there.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import content_hash
from racoon.domain.plan import CLASSIFICATION, BadTarget, TrainingPlan
from racoon.domain.training import InputContract
from racoon.errors import RacoonError, Refused
from racoon.learning.architectures import BadPlan, check_plan, initial_weights
from racoon.learning.cases import Case, save_case, write_manifest
from racoon.learning.extra import require_extra
from racoon.learning.fingerprint import Fingerprint, FingerprintSums
from racoon.learning.folders import (
    Pair,
    find_images,
    find_pairs,
    load_pair,
    load_whole,
    split_subjects,
)
from racoon.learning.label_tables import LabelTable
from racoon.learning.packages.container import write_package
from racoon.learning.subprocesses import run_training_process
from racoon.learning.weights import load_weights, save_weights
from racoon.platform.clock import now
from racoon.platform.files import write_atomically

Report = Callable[[str, int, int], None]
"""``(what, done, total)``."""

OPEN_CONTRACT = 2.0
"""A plan without limits gets those of its training data, this factor wider on either side of the mean spacing."""


class BadTraining(Refused):
    """A training on folders that cannot begin."""

    code = "learning.bad_training"


@dataclass(frozen=True)
class PreparedSite:
    """A site's prepared cases.

    Parameters
    ----------
    name
        Site code.
    train, unseen
        Folders of prepared cases.
    cases, unseen_cases, subjects
        How many; subjects in both together.
    skipped
        Image → why it is not used.
    sums
        Order-free sums of the training images.
    class_counts
        Of a classification: training cases of each class, in the order of the plan's labels.
    """

    name: str
    train: Path
    unseen: Path
    cases: int
    unseen_cases: int
    subjects: int
    skipped: Mapping[str, str]
    sums: FingerprintSums
    class_counts: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        own = {"class_counts": list(self.class_counts)} if self.class_counts else {}
        return own | {
            "cases": self.cases,
            "unseen_cases": self.unseen_cases,
            "subjects": self.subjects,
            "skipped": dict(self.skipped),
        }


def read_plan(path: Path) -> TrainingPlan:
    """Read a training plan from JSON.

    Raises
    ------
    BadPlan
        Saying what is wrong with it.
    """
    try:
        plan = TrainingPlan.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise BadPlan(f"{path.name} cannot be read; give the path of a training plan.") from error
    except KeyError as error:
        raise BadPlan(f"The training plan lacks {error.args[0]}.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise BadPlan(f"{path.name} is no training plan: {str(error)[:200]}.") from error
    check_plan(plan)
    return plan


def prepare_site(plan: TrainingPlan, name: str, source: Path, folder: Path, report: Report) -> PreparedSite:
    """Prepare a site's cases, split by subject.

    Parameters
    ----------
    plan
        What to prepare for.
    name, source
        Site code and its folder of images.
    folder
        Gets ``train/`` and ``unseen/``.
    report
        Called after each image.

    Raises
    ------
    BadTraining
        If the site has fewer training cases than the plan's ``min_cases``.
    """
    table = LabelTable(source, plan.target) if plan.target else None
    pairs = find_images(source) if table else find_pairs(source)
    classes: Counter[int] = Counter()
    parts = dict(zip(("train", "unseen"), split_subjects(pairs, plan.holdout, plan.seed), strict=True))
    skipped: dict[str, str] = {}
    counts = {}
    sums = FingerprintSums.empty()
    for part, members in parts.items():
        target = folder / part
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        used = 0
        for number, pair in enumerate(members, start=1):
            try:
                case, own = _prepare(plan, name, pair, table)
            except BadTarget as error:
                skipped[pair.name] = f"{error}."
                continue
            except RacoonError as error:
                skipped[pair.name] = error.public_message
                continue
            save_case(target, case)
            if part == "train":
                sums = sums + own
                classes[int(case.target or 0)] += 1
            used += 1
            report(f"{name}: preparing {part}", number, len(members))
        write_manifest(target, {"cases": used})
        counts[part] = used
    if counts["train"] < plan.min_cases:
        raise BadTraining(
            f"{name} has {counts['train']} usable training cases; the plan wants at least {plan.min_cases}.",
            details=dict(skipped),
        )
    subjects = len({pair.subject for pair in pairs if pair.name not in skipped})
    by_class = [classes[k] for k in range(len(plan.labels))] if plan.task == CLASSIFICATION else ()
    return PreparedSite(
        name,
        folder / "train",
        folder / "unseen",
        counts["train"],
        counts["unseen"],
        subjects,
        skipped,
        sums,
        tuple(by_class),
    )


def _prepare(
    plan: TrainingPlan, site: str, pair: Pair, table: LabelTable | None
) -> tuple[Case, FingerprintSums]:
    if table is None:
        case, sums = load_pair(plan, pair)
    else:
        target = table.find(pair)
        if target is None:
            raise BadTarget("the table has no value for it")
        case, sums = load_whole(plan, pair, target)
    # Two sites may use the same file names; a pooled folder holds both.
    return replace(case, name=content_hash([site, pair.name])[:20]), sums


def forget_other_runs(plan: TrainingPlan, sites: Sequence[PreparedSite], folder: Path) -> None:
    """Remove what another plan or other images left in the folder; only equal work may be gone on with."""
    files = {
        f"{site.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
        for site in sites
        for path in sorted(site.train.glob("*.npz"))
    }
    token = content_hash([plan.hash, files])
    path = folder / "work.txt"
    if not path.exists() or path.read_text(encoding="utf-8") != token:
        shutil.rmtree(folder / "runs", ignore_errors=True)
    write_atomically(path, token.encode(), mode=0o644)


def pool_cases(sites: Sequence[PreparedSite], folder: Path) -> Path:
    """Put every site's training cases into one folder, as the pool node would have them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for site in sites:
        for path in sorted(site.train.glob("*.npz")):
            (folder / path.name).symlink_to(path.resolve())
    return folder


def first_cases(source: Path, count: int, folder: Path) -> Path:
    """Put the first cases of a folder, in the order of their hashes, into one of their own."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for path in sorted(source.glob("*.npz"))[:count]:
        (folder / path.name).symlink_to(path.resolve())
    return folder


def train_here(
    plan: TrainingPlan, cases: Path, folder: Path, report: Report, what: str
) -> tuple[Path, list[Any]]:
    """Train on one folder of cases in a child process; goes on after the last finished round.

    Returns
    -------
    tuple
        File of the final weights, and the facts of each round.
    """
    require_extra("torch", "safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    plan_file = write_plan(plan, folder)
    final = folder / "final.safetensors"
    if not final.exists():
        start = folder / "initial.safetensors"
        save_weights(start, initial_weights(plan))

        def on_event(event: dict[str, Any]) -> None:
            if event["event"] == "round":
                report(f"{what}: training", event["round"] + 1, plan.rounds)

        arguments = ["train", "--plan", str(plan_file), "--cases", str(cases), "--folder", str(folder)]
        arguments += ["--ledger", str(folder / "ledger.jsonl")]
        run_training_process([*arguments, "--weights", str(start)], folder / "log.txt", on_event)
    lines = (folder / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
    return final, [json.loads(line) for line in lines]


def score_models(
    plan: TrainingPlan, cases: Path, models: Mapping[str, Sequence[Path]], folder: Path
) -> dict[str, Any]:
    """Score models, and the trivial ones beside them, on prepared cases in a child process.

    Parameters
    ----------
    plan, cases
        What, and the folder of cases.
    models
        Name → weights; several make an ensemble.
    folder
        For the log and ``scores.json``.
    """
    require_extra("torch", "safetensors")
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        "evaluate",
        "--plan",
        str(write_plan(plan, folder)),
        "--cases",
        str(cases),
        "--folder",
        str(folder),
    ]
    for name, paths in sorted(models.items()):
        for path in paths:
            arguments += ["--model", f"{name}={path}"]
    run_training_process(arguments, folder / "log.txt")
    scores: dict[str, Any] = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    return scores


def package_models(
    plan: TrainingPlan,
    models: Sequence[tuple[Path, Mapping[str, Any]]],
    fingerprint: Fingerprint,
    folder: Path,
    key: Ed25519PrivateKey,
) -> list[Path]:
    """Write models as signed packages with golden examples made by this machine, in one child process.

    Parameters
    ----------
    plan
        Of all models; open limits of the input get those of the fingerprint.
    models
        Weights, and statements for the card as ``write_package`` takes them.
    fingerprint
        Of the training data.
    folder
        Where the packages go.
    key
        Signs them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    bounded = replace(plan, contract=contract_of(plan, fingerprint))
    arguments = ["golden", "--plan", str(write_plan(bounded, folder))]
    for weights, _ in models:
        arguments += ["--weights", str(weights)]
    run_training_process(arguments, folder / "golden.log")
    common = {
        "created": now().date().isoformat(),
        "software": {"racoon": _version(), "python": platform.python_version()},
    }
    packages = []
    for weights, statements in models:
        golden = weights.with_name(f"golden-{weights.name}")
        example = load_weights(golden)
        golden.unlink()
        exported = weights.with_name(f"{weights.stem}.onnx")
        graph = exported.read_bytes()
        exported.unlink()
        packages.append(
            write_package(
                folder,
                bounded,
                load_weights(weights),
                (example["input"], example["scores"]),
                {**common, **statements},
                key,
                graph=graph,
            )
        )
    return packages


def contract_of(plan: TrainingPlan, fingerprint: Fingerprint) -> InputContract:
    """Return the plan's input contract, its open limits closed around the training data's mean spacing."""
    slice_mm, row_mm, column_mm = fingerprint.spacing_mm
    plane = (row_mm + column_mm) / 2
    return replace(
        plan.contract,
        slice_mm=plan.contract.slice_mm or (slice_mm / OPEN_CONTRACT, slice_mm * OPEN_CONTRACT),
        plane_mm=plan.contract.plane_mm or (plane / OPEN_CONTRACT, plane * OPEN_CONTRACT),
    )


def write_plan(plan: TrainingPlan, folder: Path) -> Path:
    """Write a plan beside the work that uses it."""
    path = folder / "plan.json"
    write_atomically(path, json.dumps(plan.to_dict(), indent=1).encode(), mode=0o644)
    return path


def _version() -> str:
    from racoon import __version__

    return __version__
