"""One byte form for every document that is hashed, signed or compared."""

from __future__ import annotations

import hashlib
from typing import Any

import rfc8785

from racoon.errors import Defect

NOT_CANONICAL = (
    "This document holds a number or a value that JSON can't write exactly; use finite numbers, and whole numbers of "
    "at most 9007199254740991."
)


class NotCanonical(Defect, ValueError):
    """The document holds something that has no one exact form, so it can't be hashed or signed."""

    code = "document.not_canonical"


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
    NotCanonical
        For NaN, infinities, integers beyond 2**53 - 1 or values JSON has no word for.
    """
    try:
        return rfc8785.dumps(_plain(document))
    except rfc8785.CanonicalizationError as error:
        raise NotCanonical(NOT_CANONICAL, details={"reason": str(error)}) from error


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
    raise NotCanonical(NOT_CANONICAL, details={"reason": f"{type(value).__name__} has no JSON form"})
