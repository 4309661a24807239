"""The network's policy as one signed file: what CENTRAL's people agreed on, and no byte else, is in force.  Pure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from racoon.domain.canonical import canonical_json, content_hash
from racoon.node.release.policy import BadPolicy, DisclosurePolicy
from racoon.platform.certificates import verify

FORMAT = "racoon-disclosure-policy/1"

_DOMAIN = b"racoon-policy-v1\x00"
"""Separates these signatures from any other use of the same key."""


def sign_policy(limits: Mapping[str, Any], signed_by: str, sign: Callable[[bytes], str]) -> dict[str, Any]:
    """Write the signed file.

    Parameters
    ----------
    limits
        Keys of :class:`DisclosurePolicy`; those that are not given are written with their defaults, so that the file
        says every limit.
    signed_by
        Who signs, in words.
    sign
        Signs bytes with an Ed25519 key.

    Raises
    ------
    BadPolicy
    """
    policy = DisclosurePolicy.from_dict(limits)
    content = {"format": FORMAT, "policy": policy.to_dict(), "signed_by": signed_by}
    return {**content, "signature": sign(_DOMAIN + canonical_json(content))}


def read_signed_policy(data: bytes, key: str) -> DisclosurePolicy:
    """Read a signed file.

    Parameters
    ----------
    data
        The file.
    key
        Public Ed25519 key that has to have signed it, base64url.

    Returns
    -------
    DisclosurePolicy
        Its version carries the beginning of the document's hash: two documents never share a version.

    Raises
    ------
    BadPolicy
        For anything but a whole document with this signature.
    """
    try:
        document = json.loads(data)
    except ValueError as error:
        raise BadPolicy("The policy file is not JSON.") from error
    if not isinstance(document, dict) or set(document) != {"format", "policy", "signed_by", "signature"}:
        raise BadPolicy("The policy file is not a signed disclosure policy.")
    signature = document.pop("signature")
    if document["format"] != FORMAT or not isinstance(document["policy"], dict):
        raise BadPolicy(f"The policy file is not of the form {FORMAT}.")
    if not isinstance(signature, str) or not verify(key, signature, _DOMAIN + canonical_json(document)):
        raise BadPolicy(
            "The signature of the policy file does not fit its content and the key in the settings."
        )
    policy = DisclosurePolicy.from_dict(document["policy"])
    return replace(policy, version=f"{policy.version}#{content_hash(document['policy'])[:8]}")
