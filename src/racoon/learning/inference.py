"""Run a model package on a volume, with whichever runtime it has; only ever in a child process."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.architectures import network_input
from racoon.learning.cases import classes_on_grid, prepare_case, prepare_image
from racoon.learning.contract import broken_rules
from racoon.learning.orientation import Axes
from racoon.learning.packages.card import PackageRefused
from racoon.learning.packages.container import ModelPackage
from racoon.learning.readings import read_image
from racoon.learning.runtimes import choose_runtime, open_network
from racoon.learning.weights import Weights
from racoon.learning.windows import case_shares, uncertainty

GOLDEN_SAMPLES = 2
"""Slices in a package's golden example: enough to notice another network, small enough to carry along."""


class SeriesRefused(Refused):
    """A series does not keep a model's input contract."""

    code = "infer.series_refused"


class Model:
    """A package ready to run.

    Parameters
    ----------
    package
        As ``open_package`` returned it.
    runtime
        ``auto``, ``onnx`` or ``torch``.

    Raises
    ------
    PackageRefused
        ``package.golden`` if this machine does not reproduce the golden example.
    """

    def __init__(self, package: ModelPackage, runtime: str = "auto") -> None:
        self.package = package
        self.runtime = choose_runtime(package.graph, runtime)
        self._network = open_network(package.plan, package.weights, package.graph, self.runtime)
        self.golden_difference = self._check_golden()

    def segment(
        self, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], modality: str = ""
    ) -> npt.NDArray[np.uint8]:
        """Return class indices on the volume's own grid; 0 is background, k the card's label k - 1."""
        return self.look(voxels, affine, modality)[0]

    def look(
        self, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], modality: str = ""
    ) -> tuple[npt.NDArray[np.uint8], float]:
        """Return class indices on the volume's own grid, and how unsure the network is (0 sure, 1 guessing).

        Parameters
        ----------
        voxels, affine
            ``(slice, row, column)`` in output units, and their place in LPS.
        modality
            As the header says; empty where the format has none.

        Raises
        ------
        SeriesRefused
            Naming every rule of the input contract that is broken.
        """
        plan = self.package.plan
        axial, spacing = self._admit(voxels, affine, modality)
        axes = Axes.of(affine)
        case = prepare_case(plan, "series", axial, [None] * len(plan.labels), spacing)
        shape = (axial.shape[0], axial.shape[1], axial.shape[2])
        shares = case_shares([self._network], case, plan)
        found = np.asarray(shares.argmax(axis=0), dtype=np.uint8)
        classes = classes_on_grid(found, plan, shape, spacing)
        for name in plan.postprocessing:
            classes = POSTPROCESSING[name](classes, len(plan.labels))
        return np.ascontiguousarray(axes.undo(classes)), uncertainty(shares)

    def read(
        self, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], modality: str = ""
    ) -> tuple[float, ...]:
        """Return the class probabilities of a whole image, or its number in the target's unit.

        Parameters
        ----------
        voxels, affine, modality
            As :meth:`look`.

        Raises
        ------
        SeriesRefused
            As :meth:`look`.
        """
        plan = self.package.plan
        axial, spacing = self._admit(voxels, affine, modality)
        case = prepare_image(plan, "series", axial, None, spacing)
        return read_image([self._network], case.image, plan)

    def _admit(
        self, voxels: npt.NDArray[np.generic], affine: npt.NDArray[np.float64], modality: str
    ) -> tuple[npt.NDArray[np.generic], tuple[float, float, float]]:
        reasons = broken_rules(self.package.plan, voxels, affine, modality)
        if reasons:
            raise SeriesRefused(f"The series does not fit the model: {'; '.join(reasons)}.")
        axes = Axes.of(affine)
        return axes.apply(voxels), axes.spacing_mm(affine)

    def _check_golden(self) -> float:
        package = self.package
        scores = self._network(package.golden_input)
        difference = float(np.abs(scores - package.golden_scores).max())
        if not difference <= package.card.golden_tolerance * max(1.0, float(np.abs(scores).max())):
            raise PackageRefused(
                "The model does not reproduce its golden example on this machine.",
                code="package.golden",
                details={"difference": difference},
            )
        return difference


def golden_example(
    plan: TrainingPlan, weights: Weights
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Make a synthetic input, drawn from the plan's hash and nobody's image, and the scores it gives."""
    seed = int(hashlib.sha256(plan.hash.encode()).hexdigest()[:16], 16)
    generator = np.random.Generator(np.random.PCG64(seed))
    shape = (GOLDEN_SAMPLES, *network_input(plan))
    images = np.clip(generator.normal(0.0, 0.5, shape), -2.0, 2.0).astype(np.float32)
    return images, open_network(plan, weights, None, "torch")(images)


def reading_hash(read: Sequence[float]) -> str:
    """Compute the SHA-256 of a reading, to six decimal places: what one machine class repeats."""
    return hashlib.sha256(" ".join(f"{value:.6f}" for value in read).encode()).hexdigest()


def mask_hash(classes: npt.NDArray[np.uint8], affine: npt.NDArray[np.float64]) -> str:
    """Compute the SHA-256 of a result: shape, place to a thousandth of a mm, class indices."""
    place = np.rint(np.asarray(affine)[:3] * 1000.0).astype("<i8")
    digest = hashlib.sha256(np.asarray(classes.shape, "<i8").tobytes() + place.tobytes())
    digest.update(np.ascontiguousarray(classes).tobytes())
    return digest.hexdigest()


def _largest_component(classes: npt.NDArray[np.uint8], labels: int) -> npt.NDArray[np.uint8]:
    from scipy import ndimage

    kept = np.zeros_like(classes)
    for label in range(1, labels + 1):
        parts, count = ndimage.label(classes == label)
        if count:
            sizes: Sequence[int] = np.bincount(parts.ravel())[1:].tolist()
            kept[parts == 1 + sizes.index(max(sizes))] = label
    return kept


POSTPROCESSING = {"largest_component": _largest_component}
"""What a plan may name after the network; the names are in ``domain.plan``."""
