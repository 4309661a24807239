"""What has no one exact form is refused as a defect of the document, not as a fault of the program."""

from __future__ import annotations

from typing import Any

import pytest

from racoon.domain.canonical import NotCanonical, canonical_json, content_hash
from racoon.errors import Defect


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), {1, 2}, "\ud800"], ids=repr)
def test_what_json_cannot_write_exactly_is_refused(value: Any) -> None:
    for write in (canonical_json, content_hash):
        with pytest.raises(NotCanonical) as refused:
            write({"deep": [value]})
        assert isinstance(refused.value, Defect)
        assert isinstance(refused.value, ValueError)
        assert refused.value.status == 422


def test_the_largest_whole_number_is_written() -> None:
    assert canonical_json({"b": 2**53 - 1, "a": 1.0}) == b'{"a":1,"b":9007199254740991}'
