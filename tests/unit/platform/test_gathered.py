"""Small pieces leave in portions, whole and in order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from racoon.platform.http.gathered import gather


@given(st.lists(st.text(max_size=9) | st.binary(max_size=9)), st.integers(1, 20))
def test_portions_are_the_same_bytes_and_none_is_too_small_or_too_large(
    pieces: list[str | bytes], portion: int
) -> None:
    whole = b"".join(piece.encode() if isinstance(piece, str) else piece for piece in pieces)
    portions = list(gather(pieces, portion))
    assert b"".join(portions) == whole
    assert all(len(item) >= portion for item in portions[:-1])
    longest = max((len(piece.encode() if isinstance(piece, str) else piece) for piece in pieces), default=0)
    assert all(len(item) < portion + longest for item in portions if item)
