"""ONNX Runtime gives torch's scores within the stated tolerance, and a graph is read as data or refused."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("onnx", reason='needs the extra: pip install "racoon[learning]"')
pytest.importorskip("onnxruntime", reason='needs the extra: pip install "racoon[learning]"')

import onnx

from racoon.learning.files_inference import infer_files
from racoon.learning.inference import Model, golden_example
from racoon.learning.packages import PackageRefused, open_package, write_package
from racoon.learning.packages.running import check_golden
from racoon.learning.runtimes import choose_runtime, open_network
from racoon.learning.runtimes.choosing import NoRuntime
from racoon.learning.runtimes.exporting import OPSET, TOLERANCE, ExportDiffers, export_graph
from tests.unit.learning.making import (
    KEY,
    PLAN,
    STATEMENTS,
    make_volume,
    trained_weights,
    write_nifti_site,
)
from tests.unit.learning.test_inference import AXIAL

pytestmark = pytest.mark.learning

Golden = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def golden() -> Golden:
    return golden_example(PLAN, trained_weights())


@pytest.fixture(scope="module")
def graph(golden: Golden) -> bytes:
    return export_graph(PLAN, trained_weights(), *golden)


def _write(folder: Path, golden: Golden, graph: bytes, *, with_weights: bool = True) -> Path:
    folder.mkdir()
    return write_package(
        folder,
        PLAN,
        trained_weights(),
        golden,
        STATEMENTS,
        KEY,
        graph=graph,
        with_weights=with_weights,
    )


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, golden: Golden, graph: bytes) -> Path:
    return _write(tmp_path_factory.mktemp("onnx") / "both", golden, graph)


def test_onnx_gives_torchs_scores_within_the_tolerance_and_repeats_its_bits(graph: bytes) -> None:
    weights = trained_weights()
    images = np.random.default_rng(3).normal(size=(5, 3, 32, 32)).astype(np.float32)
    wanted = open_network(PLAN, weights, None, "torch")(images)
    fast = open_network(PLAN, weights, graph, "onnx")
    assert np.abs(fast(images) - wanted).max() <= TOLERANCE * max(1.0, np.abs(wanted).max())
    assert fast(images).tobytes() == fast(images).tobytes()


def test_the_same_weights_export_to_the_same_bytes(golden: Golden, graph: bytes) -> None:
    assert export_graph(PLAN, trained_weights(), *golden) == graph


def test_an_export_that_differs_is_not_written(golden: Golden) -> None:
    images, scores = golden
    with pytest.raises(ExportDiffers):
        export_graph(PLAN, trained_weights(), images, scores + np.float32(1.0))


def test_a_package_runs_on_either_runtime_and_finds_the_same(package: Path) -> None:
    found = open_package(package)
    voxels, mask = make_volume(77)
    masks = {name: Model(found, name).segment(voxels, AXIAL, "CT") for name in ("onnx", "torch")}
    assert Model(found).runtime == "onnx"
    np.testing.assert_array_equal(masks["onnx"], masks["torch"])
    assert 2.0 * ((masks["onnx"] == 1) & mask).sum() / ((masks["onnx"] == 1).sum() + mask.sum()) > 0.7


def test_a_package_with_the_graph_alone_holds_the_weights_all_the_same(
    tmp_path: Path, golden: Golden, graph: bytes, package: Path
) -> None:
    alone = _write(tmp_path / "alone", golden, graph, with_weights=False)
    found = open_package(alone)
    assert alone.stat().st_size < package.stat().st_size * 0.7
    weights = trained_weights()
    assert set(found.weights) == set(weights)
    assert all(found.weights[name].tobytes() == weights[name].tobytes() for name in weights)
    for runtime in ("onnx", "torch"):
        assert check_golden(alone, runtime)["runtime"] == runtime


def test_the_onnx_path_loads_no_torch(package: Path) -> None:
    import subprocess

    from racoon.learning.subprocesses import child_environment

    program = f"""
import sys
from pathlib import Path
from racoon.learning.inference import Model
from racoon.learning.packages import open_package
model = Model(open_package(Path({str(package)!r})))
assert model.runtime == "onnx"
assert not {{"torch", "monai"}} & set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], env=child_environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_each_result_says_its_runtime_and_another_runtime_makes_it_anew(
    package: Path, tmp_path: Path
) -> None:
    site = write_nifti_site(tmp_path / "site", 5, 1)
    out = tmp_path / "out"
    first = infer_files(package, site, out)
    assert [row["runtime"] for row in first["series"]] == ["onnx"]
    stamp = (out / "case50.nii.gz").stat().st_mtime_ns
    infer_files(package, site, out)
    assert (out / "case50.nii.gz").stat().st_mtime_ns == stamp
    second = infer_files(package, site, out, runtime="torch")
    assert [row["runtime"] for row in second["series"]] == ["torch"]
    assert (out / "case50.nii.gz").stat().st_mtime_ns != stamp


def test_a_runtime_that_is_not_there_is_refused_by_name(graph: bytes) -> None:
    assert choose_runtime(None) == "torch"
    for wanted, given in (("onnx", None), ("tensorrt", graph)):
        with pytest.raises(NoRuntime):
            choose_runtime(given, wanted)


def _loop(model: Any) -> None:
    model.graph.node[0].op_type = "Loop"


def _domain(model: Any) -> None:
    model.opset_import.append(onnx.helper.make_opsetid("com.example", 1))


def _external(model: Any) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def _function(model: Any) -> None:
    model.functions.append(
        onnx.helper.make_function("own", "f", ["x"], ["y"], [], [onnx.helper.make_opsetid("", OPSET)])
    )


def _other_weight(model: Any) -> None:
    tensor = next(item for item in model.graph.initializer if item.name == "head.bias")
    tensor.CopyFrom(onnx.numpy_helper.from_array(np.zeros(2, np.float32), "head.bias"))


def _branch(model: Any) -> None:
    inner = onnx.helper.make_graph([], "inner", [], [])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("then_branch", inner))


def _constant(model: Any) -> None:
    tensor = onnx.numpy_helper.from_array(np.zeros(5000, np.float32), "large")
    model.graph.node.append(onnx.helper.make_node("Constant", [], ["large"], value=tensor))


def _second_output(model: Any) -> None:
    model.graph.output.append(model.graph.output[0])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (_loop, "Loop is not on the list"),
        (_domain, "another domain"),
        (_external, "outside the file"),
        (_function, "functions"),
        (_branch, "graph of its own"),
        (_constant, "too large"),
        (_second_output, "one end scores"),
        (_other_weight, "other weights"),
    ],
    ids=["loop", "domain", "external", "function", "branch", "constant", "output", "weight"],
)
def test_a_graph_that_breaks_a_rule_is_refused(
    tmp_path: Path, golden: Golden, graph: bytes, change: Callable[[Any], None], reason: str
) -> None:
    model = onnx.load_from_string(graph)
    change(model)
    path = _write(tmp_path / "bad", golden, model.SerializeToString())
    with pytest.raises(PackageRefused, match=reason) as caught:
        open_package(path)
    assert caught.value.error_code == "package.onnx"


@pytest.mark.parametrize(
    ("data", "code"), [(b"\x80\x05K\x01.", "package.code"), (b"no protobuf", "package.onnx")]
)
def test_a_file_that_is_no_graph_is_refused(tmp_path: Path, golden: Golden, data: bytes, code: str) -> None:
    path = _write(tmp_path / "bad", golden, data)
    with pytest.raises(PackageRefused) as caught:
        open_package(path)
    assert caught.value.error_code == code
