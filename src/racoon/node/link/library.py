"""Ask CENTRAL's library which models are approved, and fetch one."""

from __future__ import annotations

import hashlib

from pydantic import ValidationError

from racoon.node.link.identity import TIMEOUT_S, Identity
from racoon.node.link.model import CentralUnreachable
from racoon.protocol.library import LibraryEntry, LibraryList


def fetch_library(identity: Identity) -> LibraryList:
    """Fetch the list of approved and withdrawn models.

    Raises
    ------
    CentralUnreachable
    """
    try:
        return LibraryList.model_validate_json(_get(identity, "/node/v1/library"))
    except ValidationError as error:
        raise CentralUnreachable("CENTRAL's list of models cannot be read by this version.") from error


def fetch_model(identity: Identity, entry: LibraryEntry) -> bytes:
    """Fetch the file of an approved model; other bytes than announced are not taken.

    Raises
    ------
    CentralUnreachable
    """
    data = _get(identity, f"/node/v1/library/{entry.hash}")
    if len(data) != entry.size or hashlib.sha256(data).hexdigest() != entry.file_sha256:
        raise CentralUnreachable("A model arrived damaged from CENTRAL; fetch it again.")
    return data


def _get(identity: Identity, path: str) -> bytes:
    import httpx  # noqa: PLC0415 - only a process that speaks to CENTRAL loads it

    try:
        with httpx.Client(
            verify=identity.ssl_context(), timeout=httpx.Timeout(TIMEOUT_S, read=300.0)
        ) as client:
            response = client.get(f"{identity.nodes_url}{path}")
            response.raise_for_status()
    except httpx.HTTPError as error:
        raise CentralUnreachable("CENTRAL's library of models does not answer now.") from error
    return response.content
