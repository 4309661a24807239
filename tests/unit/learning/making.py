"""Small images, plans and packages that the tests of the learning room share."""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.coding import Code
from racoon.domain.plan import Target, TrainingPlan
from racoon.domain.training import InputContract
from racoon.learning.architectures import initial_weights
from racoon.learning.cases import Case, prepare_case, prepare_image
from racoon.learning.packages import write_package

PLAN = TrainingPlan(
    name="blocks",
    modality="CT",
    labels=(Code("1", "99T", "Block"),),
    size=(32, 32),
    rounds=2,
    local_steps=3,
    batch_size=4,
    min_sites=2,
    min_cases=2,
    contract=InputContract((0.5, 5.0), (0.5, 2.0), 2),
)

STATEMENTS = {
    "name": "blocks",
    "intended_use": "Tests.",
    "licence": "CC0-1.0",
    "data": {"north": {"cases": 3}},
    "metrics": {"north": {"mean": 0.5}},
    "training": {"mode": "local"},
    "software": {"racoon": "0"},
    "created": "2026-01-01",
}

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def make_volume(seed: int, shape: tuple[int, int, int] = (6, 32, 32)) -> tuple[np.ndarray, np.ndarray]:
    """HU and mask of a bright block, ``(slice, row, column)``."""
    generator = np.random.default_rng(seed)
    mask = np.zeros(shape, bool)
    row, column = generator.integers(4, 18, 2)
    mask[1:5, row : row + 9, column : column + 9] = True
    return generator.normal(-700, 60, shape) + 500.0 * mask, mask


def make_cases(seed: int, count: int, plan: TrainingPlan = PLAN) -> list[Case]:
    cases = []
    for index in range(count):
        voxels, mask = make_volume(100 * seed + index)
        cases.append(prepare_case(plan, f"{seed}.{index}", voxels, [mask]))
    return cases


def write_nifti_site(folder: Path, seed: int, count: int) -> Path:
    """``images/`` and ``labels/`` of one site."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True)
    for index in range(count):
        voxels, mask = make_volume(100 * seed + index)
        for part, array in (("images", voxels.astype(np.float32)), ("labels", mask.astype(np.uint8))):
            image = nib.Nifti1Image(
                np.ascontiguousarray(array.transpose(2, 1, 0)), np.diag([-1.0, -1.0, 1.0, 1.0])
            )
            nib.save(image, folder / part / f"case{seed}{index}.nii.gz")
    return folder


@functools.cache
def trained_weights(rounds: int = 3) -> dict[str, np.ndarray]:
    """Weights that segment the blocks well; trained once per process."""
    from racoon.learning.training import train_local

    plan = replace(PLAN, rounds=rounds, local_steps=8)
    return train_local(plan, make_cases(1, 4), initial_weights(plan))


def make_package(folder: Path, plan: TrainingPlan = PLAN, **statements: object) -> Path:
    from racoon.learning.inference import golden_example

    weights = trained_weights() if plan.labels == PLAN.labels else initial_weights(plan)
    return write_package(
        folder, plan, weights, golden_example(plan, weights), {**STATEMENTS, **statements}, KEY
    )


SIZE = TrainingPlan(
    name="sizes",
    modality="CT",
    labels=(Code("1", "99T", "Small"), Code("2", "99T", "Large")),
    architecture="encoder3d-small",
    size=(8, 32, 32),
    rounds=2,
    local_steps=20,
    batch_size=6,
    learning_rate=1e-2,
    min_sites=2,
    min_cases=4,
    contract=InputContract((0.5, 5.0), (0.5, 2.0), 2),
    task="classification",
    target=Target("table", "size", words=("small", "large")),
)
"""Whether a block is small or large."""

AREA = replace(
    SIZE,
    name="areas",
    labels=(Code("3", "99T", "Area"),),
    task="regression",
    target=Target("table", "area", "cm2", (0.0, 4.0)),
    loss="mse",
)
"""How large it is."""


def make_block(seed: int) -> tuple[np.ndarray, float]:
    """HU of a bright block that is small or large in turn, and its area in cm² at 1 mm."""
    generator = np.random.default_rng(seed)
    side = int(generator.integers(5, 8) if seed % 2 else generator.integers(12, 17))
    row, column = generator.integers(2, 12, 2)
    mask = np.zeros((6, 32, 32), bool)
    mask[1:5, row : row + side, column : column + side] = True
    return generator.normal(-700, 60, mask.shape) + 700.0 * mask, side * side / 100


def truth_of_block(plan: TrainingPlan, area: float) -> float:
    assert plan.target is not None
    return plan.target.encode(("small" if area < 1 else "large") if plan.task == "classification" else area)


def make_whole_cases(seed: int, count: int, plan: TrainingPlan = SIZE) -> list[Case]:
    cases = []
    for index in range(count):
        voxels, area = make_block(100 * seed + index)
        cases.append(prepare_image(plan, f"{seed}.{index}", voxels, truth_of_block(plan, area)))
    return cases


def write_table_site(folder: Path, seed: int, count: int) -> Path:
    """``images/`` and ``labels.csv`` of one site."""
    (folder / "images").mkdir(parents=True)
    rows = ["image,size,area,area_unit"]
    for index in range(count):
        voxels, area = make_block(100 * seed + index)
        image = nib.Nifti1Image(
            np.ascontiguousarray(voxels.astype(np.float32).transpose(2, 1, 0)),
            np.diag([-1.0, -1.0, 1.0, 1.0]),
        )
        nib.save(image, folder / "images" / f"case{seed}{index}.nii.gz")
        rows.append(f"case{seed}{index},{'small' if area < 1 else 'large'},{area},cm2")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder
