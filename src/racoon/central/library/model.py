"""Words and rules of the library.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from racoon.errors import Refused


class ModelState(StrEnum):
    """Where a package stands."""

    OFFERED = "offered"
    APPROVED = "approved"
    WITHDRAWN = "withdrawn"


class LibraryRefused(Refused):
    """A step that the library's rules forbid."""

    code: ClassVar[str] = "library.refused"


class ModelNotFound(Refused):
    """No package of this hash, or none that may be fetched; both look the same."""

    code: ClassVar[str] = "library.not_found"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class Entry:
    """One package in the library.

    Parameters
    ----------
    hash
        Its name.
    name, version
        Of the model; one pair belongs to one package.
    study_id
        The study it comes from.
    signer
        Public key of who signed it.
    file_sha256, size
        Of the package file.
    card
        What the package says of itself.
    state
        Where it stands.
    offered_by, offered_at
        Who promoted it from the study, and when.
    decided_by, decided_at
        Who approved or withdrew it last.
    reason
        Why it was withdrawn, in public words.
    """

    hash: str
    name: str
    version: str
    study_id: str
    signer: str
    file_sha256: str
    size: int
    card: Mapping[str, Any]
    state: ModelState
    offered_by: str
    offered_at: datetime
    decided_by: str = ""
    decided_at: datetime | None = None
    reason: str = ""


def check_offer(entry: Entry, others: Iterable[Entry]) -> None:
    """Refuse a package without evidence, or with the name and version of another one.

    Raises
    ------
    LibraryRefused
    """
    if not site_metrics(entry.card):
        raise LibraryRefused(
            "The package's card has no result on subjects that nobody trained on; score it first.",
            code="library.no_evidence",
        )
    for other in others:
        if (other.name, other.version) == (entry.name, entry.version) and other.hash != entry.hash:
            raise LibraryRefused(
                f"The library has another {entry.name} {entry.version}; give the new one a version of its own.",
                code="library.version_taken",
            )


def check_approval(entry: Entry, actor: str) -> None:
    """Refuse an approval by who offered the package, or of one that is not offered.

    Raises
    ------
    LibraryRefused
    """
    if entry.state is not ModelState.OFFERED:
        raise LibraryRefused("Only an offered model can be approved.", code="library.wrong_state")
    if entry.offered_by == actor:
        raise LibraryRefused(
            "Who offered a model does not approve it; ask somebody else.", code="library.same_person"
        )


def check_withdrawal(entry: Entry, reason: str) -> None:
    """Refuse a withdrawal without a reason, or of what is withdrawn already.

    Raises
    ------
    LibraryRefused
    """
    if entry.state is ModelState.WITHDRAWN:
        raise LibraryRefused("The model is withdrawn already.", code="library.wrong_state")
    if len(reason.strip()) < 3:
        raise LibraryRefused("Say why the model is withdrawn; every site reads it.", code="library.no_reason")


def site_metrics(card: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the card's results on unseen subjects, one row per site, the row over all sites last."""
    rows = [
        {"site": site, **{name: found.get(name) for name in ("n", "mean", "lower", "upper")}}
        for site, found in card["metrics"].items()
        if isinstance(found, Mapping) and found.get("mean") is not None
    ]
    return sorted(rows, key=lambda row: (row["site"] == "all", str(row["site"])))
