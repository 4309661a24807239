"""Choose a runtime for a package by what it carries and what is installed, never by trying and failing."""

from __future__ import annotations

import importlib.util

from racoon.domain.plan import TrainingPlan
from racoon.errors import Refused
from racoon.learning.extra import ExtraMissing, require_extra
from racoon.learning.runtimes.port import Network
from racoon.learning.weights import Weights

RUNTIMES = ("auto", "onnx", "torch")


class NoRuntime(Refused):
    """The asked runtime cannot run this package here."""

    code = "infer.no_runtime"


def is_available(runtime: str, graph: bytes | None) -> bool:
    """Tell whether a runtime is installed here and, for ``onnx``, whether there is a graph for it."""
    module = {"onnx": "onnxruntime", "torch": "torch"}[runtime]
    return importlib.util.find_spec(module) is not None and (runtime != "onnx" or graph is not None)


def choose_runtime(graph: bytes | None, wanted: str = "auto") -> str:
    """Return ``onnx`` or ``torch``: what was asked for, else ONNX where there is a graph and ONNX Runtime is installed.

    Parameters
    ----------
    graph
        The package's ONNX graph, if it carries one.
    wanted
        One of :data:`RUNTIMES`.

    Raises
    ------
    NoRuntime
        For a word that is no runtime, or ``onnx`` with a package that carries no ONNX graph.
    ExtraMissing
        If the runtime is not installed.
    """
    if wanted not in RUNTIMES:
        raise NoRuntime(f"A runtime is one of {', '.join(RUNTIMES)}.")
    if wanted == "auto":
        return "onnx" if is_available("onnx", graph) else "torch"
    if wanted == "onnx" and graph is None:
        raise NoRuntime("The package carries no ONNX graph; run it with torch.")
    return wanted


def open_network(plan: TrainingPlan, weights: Weights, graph: bytes | None, runtime: str) -> Network:
    """Open a network; one thread, so that equal input gives equal bits.

    Parameters
    ----------
    plan, weights, graph
        The model; a graph has been checked by ``packages.graph``.
    runtime
        ``onnx`` or ``torch``.

    Raises
    ------
    ExtraMissing, NoRuntime
    """
    if runtime == "onnx":
        if graph is None:
            raise NoRuntime("The package carries no ONNX graph; run it with torch.")
        if not is_available("onnx", graph):
            raise ExtraMissing(
                'ONNX Runtime is not installed here: pip install "racoon[learning]", or run with torch.'
            )
        from racoon.learning.runtimes.onnx_runtime import open_graph

        return open_graph(graph)
    require_extra("torch")
    from racoon.learning.runtimes.torch_runtime import open_torch

    return open_torch(plan, weights)
