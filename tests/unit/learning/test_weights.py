"""Weights as safetensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("safetensors")

from racoon.learning.weights import (
    BadWeights,
    check_weights,
    decode_weights,
    encode_weights,
    load_weights,
    save_weights,
    update_norm,
)


def test_weights_survive_the_exchange_form(tmp_path: Path) -> None:
    weights = {"b": np.arange(6, dtype=np.float32).reshape(2, 3).T, "a": np.zeros((), np.float32)}
    decoded = decode_weights(encode_weights(weights))
    assert set(decoded) == {"a", "b"}
    np.testing.assert_array_equal(decoded["b"], weights["b"])
    save_weights(tmp_path / "w.safetensors", weights)
    np.testing.assert_array_equal(load_weights(tmp_path / "w.safetensors")["b"], weights["b"])
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_equal_weights_give_equal_bytes() -> None:
    a, b = np.ones(3, np.float32), np.zeros(2, np.float32)
    assert encode_weights({"a": a, "b": b}) == encode_weights({"b": b, "a": a})


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\x80\x04}\x94\x8c\x01a\x94K\x01s.", b"\xff" * 64])
def test_anything_else_is_refused(content: bytes) -> None:
    with pytest.raises(BadWeights):
        decode_weights(content)


def test_other_types_than_float32_are_refused() -> None:
    with pytest.raises(BadWeights):
        decode_weights(encode_weights({"a": np.ones(2, np.float64)}))


def test_check_names_the_tensor() -> None:
    with pytest.raises(BadWeights) as caught:
        check_weights({"a": np.ones(2, np.float32)}, {"a": (3,)})
    assert caught.value.details == {"tensor": "a"}


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_file_holds_the_bytes_of_the_encoded_weights(tmp_path: Path, *, is_durable: bool) -> None:
    weights = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(3, np.float32)}
    save_weights(tmp_path / "w.safetensors", weights, is_durable=is_durable)
    assert (tmp_path / "w.safetensors").read_bytes() == encode_weights(weights)


def test_a_file_that_is_none_or_of_another_type_is_refused(tmp_path: Path) -> None:
    from safetensors.numpy import save

    path = tmp_path / "w.safetensors"
    for content in (b"", b"no weights at all", save({"a": np.ones(3, np.float64)})):
        path.write_bytes(content)
        with pytest.raises(BadWeights):
            load_weights(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        load_weights(path)


def test_the_norm_of_an_update_counts_every_tensor_and_piece() -> None:
    before = {"a": np.zeros((3, 50_000), np.float32), "b": np.zeros((), np.float32)}
    after = {"a": np.full((3, 50_000), 2.0, np.float32), "b": np.float32(5.0).reshape(())}
    assert update_norm(before, after) == pytest.approx(np.sqrt(150_000 * 4.0 + 25.0), rel=1e-12)
