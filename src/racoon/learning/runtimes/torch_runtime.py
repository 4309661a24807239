"""A network in eager torch: what every package can run on, and what ONNX is checked against."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import tensor_shapes
from racoon.learning.networks import build_network, load_into
from racoon.learning.runtimes.port import Network
from racoon.learning.weights import Weights, check_weights


def ready_network(plan: TrainingPlan, weights: Weights) -> nn.Module:
    """Build a plan's network with these weights, in evaluation mode."""
    check_weights(weights, tensor_shapes(plan))
    network = build_network(plan)
    load_into(network, weights)
    network.eval()
    return network


def open_torch(plan: TrainingPlan, weights: Weights) -> Network:
    """Open a plan's network in torch, deterministic and on one thread."""
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    network = ready_network(plan, weights)

    def scores(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            found = network(torch.from_numpy(np.ascontiguousarray(images, dtype=np.float32)))
        return np.asarray(found.numpy(), dtype=np.float32)

    return scores
