"""The three ports to trust services and what they answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from racoon.domain.consent import ConsentDocument
from racoon.domain.identity import PatientId
from racoon.node.clinical.calling import AnswerNotUnderstood
from racoon.standards.fhir.building import Resource

BATCH = 50
"""Persons in one request: what the published examples hold, and a second of work for a service."""

Verdict = Literal["match", "possible", "none"]


class ConsentSource(Protocol):
    """Says what persons consented to."""

    def documents(self, numbers: Sequence[PatientId]) -> Mapping[PatientId, Sequence[ConsentDocument]]:
        """Return for every number its documents as of now; none for a person the source does not know.

        Raises
        ------
        ServiceDown, ServiceRefused, AnswerNotUnderstood
            If there is no whole answer: then nobody of these persons consented to anything.
        """
        ...

    def check(self) -> None:
        """Ask for something harmless; raises as :meth:`documents` where that fails."""
        ...


class PseudonymService(Protocol):
    """Gives the names that subjects have in a study."""

    def pseudonyms(self, numbers: Sequence[PatientId], domain: str) -> Mapping[PatientId, str]:
        """Return a pseudonym for every number, the same whenever it is asked again.

        Raises
        ------
        ServiceDown, ServiceRefused, AnswerNotUnderstood
            If one is missing: none is made up here.
        """
        ...

    def check(self) -> None:
        """Ask for something harmless; raises as :meth:`pseudonyms` where that fails."""
        ...


@dataclass(frozen=True)
class FoundIdentity:
    """What an identity service says of one record.

    Parameters
    ----------
    verdict
        ``match``: it is the person of this number; ``possible``: a person has to look; ``none``: nobody is known.
    number
        Under which the images came.
    """

    verdict: Verdict
    number: PatientId | None = None


class IdentityLink(Protocol):
    """Finds the number under which a person's images came, where a record does not carry it."""

    def find(self, patients: Sequence[Resource]) -> Sequence[FoundIdentity]:
        """Answer for each Patient in its order.

        Raises
        ------
        ServiceDown, ServiceRefused, AnswerNotUnderstood
            If there is no whole answer: then nothing of these records is taken.
        """
        ...

    def check(self) -> None:
        """Ask for something harmless; raises as :meth:`find` where that fails."""
        ...


def parameters(*items: Mapping[str, Any]) -> Resource:
    """Build a Parameters resource."""
    return {"resourceType": "Parameters", "parameter": [dict(item) for item in items]}


def parts(document: Any, name: str) -> list[dict[str, Any]]:
    """Return the parameters or parts of a name; nothing of a document that is no Parameters."""
    found = document.get("parameter", document.get("part")) if isinstance(document, dict) else None
    items = found if isinstance(found, list) else []
    return [item for item in items if isinstance(item, dict) and item.get("name") == name]


def value_of(part: Mapping[str, Any]) -> str:
    """Return the text of a part that is a string or an Identifier; services write either."""
    identifier = part.get("valueIdentifier")
    if isinstance(identifier, dict):
        return str(identifier.get("value") or "")
    return str(part.get("valueString") or "")


def entries(bundle: Any, service: str) -> Iterator[tuple[Resource | None, str]]:
    """Yield resource and status of each entry of a Bundle.

    Raises
    ------
    AnswerNotUnderstood
        If it is no Bundle.
    """
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise AnswerNotUnderstood(f"{service} answered with something that is no Bundle.")
    found = bundle.get("entry", [])
    for entry in found if isinstance(found, list) else []:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        response = entry.get("response") if isinstance(entry, dict) else None
        status = str(response.get("status", "")) if isinstance(response, dict) else ""
        yield (resource if isinstance(resource, dict) else None), status


def chunked(numbers: Sequence[PatientId], size: int = BATCH) -> Iterator[Sequence[PatientId]]:
    """Cut a list into requests."""
    for start in range(0, len(numbers), size):
        yield numbers[start : start + size]
