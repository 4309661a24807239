"""Weights as safetensors."""

from __future__ import annotations

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
)


def test_weights_survive_the_exchange_form(tmp_path) -> None:
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
