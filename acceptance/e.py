"""Issue E, learning across hospitals: train, compare, package, infer."""

from __future__ import annotations

from pathlib import Path

from tools.acceptance import Figures, Step
from tools.compare_modes import FULL, compare

TITLE = "learning across hospitals: train, compare, package, infer"


def _figures(name: str, folder: Path) -> Figures:
    found = compare(name, FULL, folder)
    figures: Figures = {f"cases of {site}": count for site, count in found["sites"].items()}
    for key, value in found["mean"].items():
        figures[key] = round(value, 4)
    for run in found["runs"]:
        for row in run["table"]:
            if row["site"] == "all":
                text = f"{row['mean']:.3f} ({row['lower']:.3f} to {row['upper']:.3f})"
                figures[f"{row['model']}, run {run['plan_hash'][:6]}"] = text
    return figures


def hippocampus(folder: Path) -> Figures:
    """Four unequal sites by intensity class, mean of three seeds: the goals decide."""
    figures = _figures("hippocampus", folder)
    assert float(figures["federated_to_pooled"]) >= 0.99, figures
    assert float(figures["federated_minus_mean_local"]) > 0.02, figures
    assert float(figures["worst_site_difference"]) >= -0.01, figures
    return figures


def sarcoma(folder: Path) -> Figures:
    """Sites by true MR vendor: the same table, above the trivial baseline."""
    found = compare("sarcoma", FULL, folder)
    means = {row["model"]: row["mean"] for row in found["runs"][0]["table"] if row["site"] == "all"}
    assert means["federated"] > found["runs"][0]["verdict"]["best_trivial"], means
    return _figures("sarcoma", folder)


STEPS = [
    Step("hippocampus", "federated against pooled and local on real MR, three seeds", action=hippocampus),
    Step("sarcoma", "federated against pooled and local on real PET by vendor", action=sarcoma),
    Step(
        "modes-reduced",
        "the whole comparison on real data in the engine's real processes, in a setting of minutes",
        tests=("tests/network/test_modes_on_real_data.py",),
    ),
    Step(
        "properties",
        "one site is central training; order of sites; fingerprint is pooled; memory is flat",
        tests=(
            "tests/unit/learning/test_strategies.py",
            "tests/unit/learning/test_aggregation.py",
            "tests/unit/learning/test_fingerprint.py",
            "tests/unit/learning/test_memory.py",
        ),
    ),
    Step(
        "chaos",
        "trainers, a site, the engine's server and its driver killed: the same bits, and an account",
        tests=("tests/network/test_federated_training.py", "tests/network/test_faults_in_training.py"),
    ),
    Step(
        "refusals",
        "malicious packages, updates and plans are refused with the reason",
        tests=(
            "tests/unit/learning/packages",
            "tests/unit/learning/test_weights.py",
            "tests/unit/learning/test_updates.py",
        ),
    ),
    Step(
        "inference",
        "contract, isolation, resume, SEG with algorithm identification, scores with intervals",
        tests=("tests/unit/learning/test_inference.py", "tests/network/test_train_command.py"),
    ),
]
