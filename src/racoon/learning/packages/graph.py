"""Read an ONNX graph as data: a closed list of operators, nothing outside the file, exactly the registry's tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import network_input, network_output
from racoon.learning.extra import require_extra
from racoon.learning.packages.card import PackageRefused
from racoon.learning.runtimes.onnx_runtime import INPUT, OUTPUT
from racoon.learning.weights import Weights

OPERATORS = frozenset(
    {
        "Add",
        "AveragePool",
        "Cast",
        "Concat",
        "Constant",
        "ConstantOfShape",
        "Conv",
        "ConvTranspose",
        "Div",
        "Flatten",
        "Gather",
        "Gemm",
        "GlobalAveragePool",
        "Identity",
        "InstanceNormalization",
        "LeakyRelu",
        "MatMul",
        "MaxPool",
        "Mul",
        "Pad",
        "PRelu",
        "ReduceMean",
        "Relu",
        "Reshape",
        "Resize",
        "Shape",
        "Slice",
        "Squeeze",
        "Sub",
        "Transpose",
        "Unsqueeze",
    }
)
"""What our architectures are made of; no loop, no branch, no text, no file."""

OPSETS = range(13, 22)

MAXIMUM_NODES = 5000

MAXIMUM_CONSTANT = 4096
"""Elements of a constant in the graph; weights live in the initializers, where they are compared."""


def read_graph_weights(data: bytes, plan: TrainingPlan) -> Weights:
    """Check an ONNX graph and return the weights in it, by the registry's names.

    Parameters
    ----------
    data
        The file.
    plan
        Says input, output and tensors.

    Raises
    ------
    PackageRefused
        ``package.onnx``, saying which rule is broken.
    """
    require_extra("onnx")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load_from_string(data)
    except (DecodeError, ValueError) as error:
        raise _refused("it is no ONNX file") from error
    _check_form(model)
    graph = model.graph
    _check_ends(graph, plan)
    for node in graph.node:
        _check_node(node)
    found = {}
    for item in graph.initializer:
        if item.data_location == onnx.TensorProto.EXTERNAL or item.external_data:
            raise _refused("it has data outside the file")
        if item.data_type != onnx.TensorProto.FLOAT:
            raise _refused("a weight is not float32")
        found[item.name] = np.array(onnx.numpy_helper.to_array(item), dtype=np.float32)
    # Equal tensors are stored once and named by an Identity.
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
    return found


def _check_form(model: Any) -> None:
    if len(model.graph.node) > MAXIMUM_NODES or model.functions or model.training_info:
        raise _refused("it holds functions, training steps or too many nodes")
    if model.graph.sparse_initializer or model.graph.quantization_annotation:
        raise _refused("it holds sparse or quantised tensors")
    for item in model.opset_import:
        if item.domain not in {"", "ai.onnx"} or item.version not in OPSETS:
            raise _refused("it needs operators of another domain or version")


def _check_ends(graph: Any, plan: TrainingPlan) -> None:
    ends = {
        INPUT: (list(graph.input), network_input(plan)),
        OUTPUT: (list(graph.output), network_output(plan)),
    }
    for name, (values, shape) in ends.items():
        if [value.name for value in values] != [name]:
            raise _refused(f"it has not the one end {name}")
        sides = tuple(side.dim_value for side in values[0].type.tensor_type.shape.dim)
        # A side without a number is free; the golden example shows what comes out.
        if len(sides) != len(shape) + 1 or any(
            a not in {0, b} for a, b in zip(sides[1:], shape, strict=True)
        ):
            raise _refused(f"the shape of {name} is not the plan's")


def _check_node(node: Any) -> None:
    if node.domain not in {"", "ai.onnx"} or node.op_type not in OPERATORS:
        raise _refused(f"the operator {node.op_type[:40]} is not on the list")
    for attribute in node.attribute:
        if attribute.HasField("g") or attribute.graphs or attribute.sparse_tensors:
            raise _refused("a node holds a graph of its own")
        if attribute.HasField("t"):
            tensor = attribute.t
            if tensor.external_data or int(np.prod(tensor.dims, dtype=np.int64)) > MAXIMUM_CONSTANT:
                raise _refused("a constant is too large or outside the file")


def _refused(reason: str) -> PackageRefused:
    return PackageRefused(f"The package's ONNX graph is refused: {reason}.", code="package.onnx")
