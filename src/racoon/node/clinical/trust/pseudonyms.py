"""Who names subjects in a study: this node's own key, the MII pseudonymisation interface, or gPAS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from racoon.domain.identity import PatientId
from racoon.node.clinical.calling import AnswerNotUnderstood, Service, ServiceDown, ServiceRefused
from racoon.node.clinical.trust.model import chunked, entries, parameters, parts, value_of
from racoon.node.pseudonyms.service import Pseudonymiser


class EmbeddedPseudonyms:
    """Pseudonyms from the node's own key: the default.

    Parameters
    ----------
    names
        The door to who is who.
    """

    def __init__(self, names: Pseudonymiser) -> None:
        self._names = names

    def pseudonyms(self, numbers: Sequence[PatientId], domain: str) -> Mapping[PatientId, str]:
        """Derive them; a merged number keeps its own, under which it left."""
        return {number: str(self._names.pseudonym(number, domain, is_merged=False)) for number in numbers}

    def check(self) -> None:
        """Nothing can be down."""


class GpasPseudonyms:
    """Pseudonyms from gPAS (``$pseudonymizeAllowCreate`` of its FHIR gateway).

    Parameters
    ----------
    service
        Root such as ``https://ths.example.org/ttp-fhir/fhir/gpas``.
    domains
        Domain of gPAS for each study; ``{study}`` in the pattern is the study's id.
    """

    def __init__(self, service: Service, domains: str = "{study}") -> None:
        self._service, self._domains = service, domains

    def pseudonyms(self, numbers: Sequence[PatientId], domain: str) -> Mapping[PatientId, str]:
        """Ask for a batch at once."""
        target = self._domains.format(study=domain)
        found: dict[PatientId, str] = {}
        for batch in chunked(numbers):
            asked = [{"name": "original", "valueString": str(number)} for number in batch]
            answer = self._service.post(
                "$pseudonymizeAllowCreate", parameters({"name": "target", "valueString": target}, *asked)
            )
            if parts(answer, "error"):
                raise ServiceRefused(
                    "gPAS made no pseudonym for a number. Check that the domain exists and takes such numbers."
                )
            for item in parts(answer, "pseudonym"):
                original, name = _text(item, "original"), _text(item, "pseudonym")
                if original and name:
                    found[PatientId(original)] = name
        return _whole(numbers, found, "gPAS")

    def check(self) -> None:
        """Read what the gateway can."""
        self._service.get("metadata")


class MiiPseudonyms:
    """Pseudonyms by the MII interface (``$pseudonymize``, lists as a Bundle of type batch).

    Parameters
    ----------
    service
        Root of the interface.
    system
        Identifier system of the number that is in the images.
    context_system
        System of the names of contexts.
    domains
        Context for each study; ``{study}`` in the pattern is the study's id.
    """

    def __init__(self, service: Service, system: str, context_system: str, domains: str = "{study}") -> None:
        self._service, self._system = service, system
        self._context_system, self._domains = context_system, domains

    def pseudonyms(self, numbers: Sequence[PatientId], domain: str) -> Mapping[PatientId, str]:
        """Ask for a batch at once."""
        found: dict[PatientId, str] = {}
        context = {"system": self._context_system, "value": self._domains.format(study=domain)}
        for batch in chunked(numbers):
            request = {
                "resourceType": "Bundle",
                "type": "batch",
                "entry": [self._entry(number, context) for number in batch],
            }
            answered = list(entries(self._service.post("", request), "The pseudonymisation service"))
            if len(answered) != len(batch):
                raise AnswerNotUnderstood("The pseudonymisation service did not answer for every number.")
            for number, (resource, status) in zip(batch, answered, strict=True):
                if status.startswith(("429", "5")):
                    raise ServiceDown("The pseudonymisation service answered for some numbers only.")
                if not status.startswith("2") or resource is None:
                    raise ServiceRefused(
                        "The pseudonymisation service made no pseudonym for a number. Check that the context exists.",
                        details={"status": status},
                    )
                found[number] = _text(resource, "pseudonym")
        return _whole(numbers, found, "The pseudonymisation service")

    def check(self) -> None:
        """Read what the service can."""
        self._service.get("metadata")

    def _entry(self, number: PatientId, context: Mapping[str, str]) -> dict[str, Any]:
        return {
            "resource": parameters(
                {"name": "context", "valueIdentifier": dict(context)},
                {"name": "original", "valueIdentifier": {"system": self._system, "value": str(number)}},
                {"name": "allowCreate", "valueBoolean": True},
            ),
            "request": {"method": "POST", "url": "$pseudonymize"},
        }


def _text(document: Mapping[str, Any], name: str) -> str:
    found = parts(document, name)
    return value_of(found[0]) if len(found) == 1 else ""


def _whole(
    numbers: Sequence[PatientId], found: Mapping[PatientId, str], service: str
) -> Mapping[PatientId, str]:
    """See that everybody has a name of his own."""
    wanted = {number: found.get(number, "") for number in numbers}
    if not all(wanted.values()) or len(set(wanted.values())) != len(wanted):
        raise AnswerNotUnderstood(
            f"{service} did not give every number a pseudonym of its own; none of them is used."
        )
    return wanted
