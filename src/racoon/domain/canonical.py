"""One byte form for every document that is hashed, signed or compared."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785


def canonical_json(document: Any) -> bytes:
    """Serialise a JSON document in the one form that is hashed and signed.

    Parameters
    ----------
    document
        Mappings with string keys, sequences, strings, finite floats, integers within ±(2**53 - 1), booleans, ``None``.

    Returns
    -------
    bytes
        UTF-8, RFC 8785 (JSON Canonicalization Scheme).

    Raises
    ------
    ValueError
        For NaN, infinities, integers beyond 2**53 - 1 or values JSON has no word for.
    """
    try:
        return rfc8785.dumps(_plain(document))
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"not a canonical JSON document: {error}") from error


def content_hash(document: Any) -> str:
    """Compute the SHA-256 of a document's canonical form.

    Returns
    -------
    str
        64 lower-case hexadecimal digits.
    """
    return hashlib.sha256(canonical_json(document)).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, (str, bool, int, float)) or value is None:
        return value
    raise ValueError(f"{type(value).__name__} has no JSON form")
