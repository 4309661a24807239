"""Write a network as an ONNX graph from the weights at hand, and prove that it gives the same scores.

Only when a package is made: torch and onnx together, in a child process.
"""

from __future__ import annotations

import io
import warnings

import numpy as np
import numpy.typing as npt
import torch

from racoon.domain.plan import TrainingPlan
from racoon.errors import Defect
from racoon.learning.runtimes.onnx_runtime import INPUT, OUTPUT, open_graph
from racoon.learning.runtimes.torch_runtime import ready_network
from racoon.learning.weights import Weights

OPSET = 17
"""Every ONNX Runtime since 1.13 knows it; the networks need nothing newer."""

TOLERANCE = 1e-4
"""Largest difference of class scores between torch and ONNX Runtime, as a share of the largest score (at least 1).

3e-5 was measured on three networks; a difference of this size moves a probability by 0.00003 at most.
"""


class ExportDiffers(Defect):
    """The ONNX graph does not give torch's scores."""

    code = "learning.export_differs"


def export_graph(
    plan: TrainingPlan,
    weights: Weights,
    images: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
) -> bytes:
    """Export a network and compare it with torch on an example.

    Parameters
    ----------
    plan, weights
        The model.
    images, scores
        An example input and torch's class scores for it.

    Returns
    -------
    bytes
        ONNX graph; its initializers have the names and bits of the weights.

    Raises
    ------
    ExportDiffers
        If the scores differ by more than :data:`TOLERANCE`.
    """
    network = ready_network(plan, weights)
    stream = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter through TorchScript is deprecated; its successor needs one more package and renames the weights,
        # which a stranger then could not compare with the safetensors.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.from_numpy(np.ascontiguousarray(images[:1])),),
            stream,
            dynamo=False,
            opset_version=OPSET,
            do_constant_folding=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "sample"}, OUTPUT: {0: "sample"}},
        )
    graph = _with_weight_names(stream.getvalue(), network)
    found = open_graph(graph)(images)
    difference = float(np.abs(found - scores).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(scores).max())):
        raise ExportDiffers(
            "The ONNX graph does not give the network's scores; the package is written without it.",
            details={"difference": difference},
        )
    return graph


def _with_weight_names(graph: bytes, network: torch.nn.Module) -> bytes:
    """Give tensors that a network holds under two names the one the registry knows; drop what tells of this machine."""
    import onnx

    model = onnx.load_from_string(graph)
    canonical = {id(value): name for name, value in network.named_parameters()}
    renamed = {
        name: canonical[id(value)]
        for name, value in network.state_dict(keep_vars=True).items()
        if canonical[id(value)] != name
    }
    for item in model.graph.initializer:
        item.name = renamed.get(item.name, item.name)
    for node in model.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
        node.doc_string = ""
    model.doc_string = model.graph.doc_string = ""
    return bytes(model.SerializeToString(deterministic=True))
