"""A network as an ONNX graph in ONNX Runtime's CPU provider."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from racoon.learning.runtimes.port import Network

INPUT, OUTPUT = "image", "scores"
"""Names of the one input and the one output of every graph RACOON writes or takes."""


def open_graph(graph: bytes) -> Network:
    """Open a graph that ``packages.graph`` has checked.

    Notes
    -----
    One thread and no spinning: sites share their machines, and the order of additions stays the same.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def scores(images: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        (found,) = session.run([OUTPUT], {INPUT: np.ascontiguousarray(images, dtype=np.float32)})
        return np.asarray(found, dtype=np.float32)

    return scores
