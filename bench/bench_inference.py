"""Inference on a CPU: ONNX Runtime against eager torch, the same weights, the same images, one thread each.

    python bench/bench_inference.py             one volume of 48 slices per network, five passes each, medians
    python bench/bench_inference.py --threads 2

Passes of the two alternate, so that a busy machine hurts both.  Processor time is printed beside wall time: on a shared
machine only the first is ours.  The largest difference of the scores is printed as well.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time

import numpy as np
import onnxruntime
import torch

from racoon.domain.coding import Code
from racoon.domain.plan import TrainingPlan
from racoon.learning.architectures import ARCHITECTURES, initial_weights, network_input
from racoon.learning.inference import golden_example
from racoon.learning.runtimes.exporting import TOLERANCE, export_graph
from racoon.learning.runtimes.torch_runtime import ready_network

SIDES = {2: (128, 128), 3: (32, 64, 64)}
BATCH = {2: 8, 3: 1}
GOAL = 1.0
"""ONNX Runtime must not be slower; 2.2 to 3.3 times as fast was measured when it was chosen."""


def plan_of(name: str) -> TrainingPlan:
    """A plan with one label for an architecture."""
    return TrainingPlan(
        "bench",
        "CT",
        (Code("1", "99T", "Block"),),
        architecture=name,
        size=SIDES[ARCHITECTURES[name].dimensions],
    )


def measure(name: str, passes: int, threads: int) -> dict[str, float | str]:
    """Medians of wall and processor time per pass, and how far apart the scores are."""
    plan = plan_of(name)
    weights = initial_weights(plan)
    graph = export_graph(plan, weights, *golden_example(plan, weights))
    torch.set_num_threads(threads)
    network = ready_network(plan, weights)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    shape = (BATCH[ARCHITECTURES[name].dimensions], *network_input(plan))
    images = np.random.default_rng(1).normal(0.0, 0.5, shape).astype(np.float32)

    def by_torch() -> np.ndarray:
        with torch.inference_mode():
            return np.asarray(network(torch.from_numpy(images)).numpy())

    def by_onnx() -> np.ndarray:
        return np.asarray(session.run(None, {"image": images})[0])

    runs = {"torch": by_torch, "onnx": by_onnx}
    found = {key: run() for key, run in runs.items()}
    wall: dict[str, list[float]] = {key: [] for key in runs}
    cpu: dict[str, list[float]] = {key: [] for key in runs}
    for _ in range(passes):
        for key, run in runs.items():
            begun, used = time.perf_counter(), time.process_time()
            run()
            wall[key].append(time.perf_counter() - begun)
            cpu[key].append(time.process_time() - used)
    wall_s = {key: statistics.median(values) for key, values in wall.items()}
    cpu_s = {key: statistics.median(values) for key, values in cpu.items()}
    return {
        "network": name,
        "torch_s": round(wall_s["torch"], 4),
        "onnx_s": round(wall_s["onnx"], 4),
        "ratio": round(wall_s["torch"] / wall_s["onnx"], 2),
        "cpu_ratio": round(cpu_s["torch"] / cpu_s["onnx"], 2),
        "difference": float(np.abs(found["torch"] - found["onnx"]).max()),
    }


def measure_all(
    passes: int = 5, threads: int = 1, names: tuple[str, ...] = ()
) -> list[dict[str, float | str]]:
    """Measure every network of the registry, or those named."""
    return [measure(name, passes, threads) for name in names or tuple(ARCHITECTURES)]


def main() -> int:
    """Print one line per network; 1 if ONNX Runtime is slower or the scores differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--passes", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = measure_all(options.passes, options.threads)
    if options.json:
        print(json.dumps(rows))
    for row in () if options.json else rows:
        print(
            f"{row['network']}: torch {row['torch_s']} s, ONNX Runtime {row['onnx_s']} s, ratio {row['ratio']} "
            f"(processor time {row['cpu_ratio']}), largest difference {row['difference']:.1e}"
        )
    bad = [row for row in rows if float(row["cpu_ratio"]) < GOAL or float(row["difference"]) > 10 * TOLERANCE]
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
