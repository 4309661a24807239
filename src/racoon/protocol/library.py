"""What CENTRAL tells a node about the network's library of models."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from racoon.protocol.messages import Id, Message, PublicText, Sha256


class LibraryEntry(Message):
    """One package a node may fetch, or must stop running.

    Attributes
    ----------
    hash
        Name of the package: SHA-256 of its card.
    name, version, study_id
        Which model, and which study it comes from.
    signer
        Public key of who signed it; the node decides whether it runs models of this signer.
    file_sha256, size
        Of the package file, so that a damaged transfer shows before the package is opened.
    is_withdrawn, reason
        Whether it was taken back, and why.
    """

    hash: Sha256
    name: Annotated[str, StringConstraints(max_length=64)]
    version: Annotated[str, StringConstraints(max_length=20)]
    study_id: Id
    signer: Annotated[str, StringConstraints(max_length=64)]
    file_sha256: Sha256
    size: Annotated[int, Field(ge=1)]
    is_withdrawn: bool = False
    reason: PublicText = ""


class LibraryList(Message):
    """Everything approved or withdrawn, at the time of asking."""

    models: tuple[LibraryEntry, ...]
