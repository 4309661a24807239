"""Where consents come from: gICS, a FHIR server, a folder of FHIR files, or what was imported before."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from racoon.domain.consent import POLICY_ROOT, REFUSALS, WITHDRAWALS, ConsentDocument, Provision
from racoon.domain.identity import PatientId
from racoon.node.clinical.calling import AnswerNotUnderstood, Service, ServiceDown, ServiceRefused
from racoon.node.clinical.numbers import patient_number
from racoon.node.clinical.trust.model import chunked, entries, parameters
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.consents import UnreadableConsent, read_consent
from racoon.standards.fhir.reading import iterate_resources, tolerate

GICS_STATE = "gics:policy-states"
"""Version of the document that stands for what gICS answers: it tells policies, not the paper they were signed on."""

MOST_PAGES = 10_000


class GicsConsents:
    """Consents kept by gICS, by its FHIR gateway.

    ``$currentPolicyStatesForPerson`` is asked for each person, fifty in a Bundle; where something is denied,
    ``$allConsentsForPerson`` tells whether a document of withdrawal is behind it.

    Parameters
    ----------
    service
        Root such as ``https://ths.example.org/ttp-fhir/fhir/gics``.
    domain
        Domain of gICS.
    system
        Identifier system under which gICS keeps the number that is in the images.
    """

    def __init__(self, service: Service, domain: str, system: str) -> None:
        self._service, self._domain, self._system = service, domain, system

    def documents(self, numbers: Sequence[PatientId]) -> Mapping[PatientId, Sequence[ConsentDocument]]:
        """Return the policies in force as one document for each person, and beside it what he withdrew or refused."""
        found: dict[PatientId, list[ConsentDocument]] = {number: [] for number in numbers}
        for batch in chunked(numbers):
            answers = self._ask(batch, "$currentPolicyStatesForPerson")
            denied = []
            for number, states in answers.items():
                document = _state(number, states, self._domain)
                if document is not None:
                    found[number].append(document)
                    if any(not item.is_permit for item in document.provisions):
                        denied.append(number)
            for number, papers in (self._ask(denied, "$allConsentsForPerson") if denied else {}).items():
                found[number] += _withdrawals(number, papers)
        return found

    def is_consented(self, number: PatientId, policy: str, version: str) -> bool:
        """Ask about one policy (``$isConsented``); unknown persons did not consent."""
        answer = self._service.post(
            "$isConsented",
            parameters(
                self._person(number),
                {"name": "domain", "valueString": self._domain},
                {"name": "policy", "valueCoding": {"system": f"urn:oid:{POLICY_ROOT}", "code": policy}},
                {"name": "version", "valueString": version},
                _CONFIG,
            ),
        )
        items = answer.get("parameter", []) if isinstance(answer, dict) else []
        said = [item.get("valueBoolean") for item in items if item.get("name") == "consented"]
        if len(said) != 1 or not isinstance(said[0], bool):
            raise AnswerNotUnderstood("gICS did not say whether the person consented.")
        return said[0]

    def check(self) -> None:
        """Read what the gateway can."""
        self._service.get("metadata")

    def _person(self, number: PatientId) -> dict[str, Any]:
        return {"name": "personIdentifier", "valueIdentifier": {"system": self._system, "value": number}}

    def _ask(self, numbers: Sequence[PatientId], operation: str) -> dict[PatientId, list[Resource]]:
        request = {
            "resourceType": "Bundle",
            "type": "batch",
            "entry": [
                {
                    "resource": parameters(
                        self._person(number), {"name": "domain", "valueString": self._domain}, _CONFIG
                    ),
                    "request": {"method": "POST", "url": operation},
                }
                for number in numbers
            ],
        }
        answered = list(entries(self._service.post("", request), "gICS"))
        if len(answered) != len(numbers):
            raise AnswerNotUnderstood("gICS did not answer for every person it was asked about.")
        found: dict[PatientId, list[Resource]] = {}
        for number, (resource, status) in zip(numbers, answered, strict=True):
            if status.startswith("404"):
                found[number] = []
                continue
            if status.startswith(("429", "5")):
                raise ServiceDown("gICS answered for some persons only.", details={"status": status})
            if not status.startswith("2"):
                raise ServiceRefused(
                    "gICS refused the request for a person. Check trust.consent.domain and"
                    " trust.consent.identifier_system.",
                    details={"status": status},
                )
            found[number] = [item for item, _ in entries(resource, "gICS") if item is not None]
        return found


_CONFIG: Mapping[str, Any] = {
    "name": "config",
    "resource": parameters(
        {
            "name": "idMatchingType",
            "valueCoding": {
                "system": "https://ths-greifswald.de/fhir/CodeSystem/gics/IdMatchingType",
                "code": "AT_LEAST_ONE",
            },
        },
        {"name": "ignoreVersionNumber", "valueBoolean": False},
        # What is unknown is denied: the stricter of the two readings that gICS offers.
        {"name": "unknownStateIsConsideredAsDecline", "valueBoolean": True},
    ),
}


def _state(number: PatientId, states: Sequence[Resource], domain: str) -> ConsentDocument | None:
    """Make one document of the Consents of a person, each of which holds one policy."""
    provisions, days = [], []
    for consent in states:
        rule = consent.get("provision")
        if consent.get("resourceType") != "Consent" or not isinstance(rule, dict):
            raise AnswerNotUnderstood("gICS answered with something that is no policy of a person.")
        period = rule.get("period")
        period = period if isinstance(period, dict) else {}
        start, end = _day(period.get("start")), _day(period.get("end"))
        signed = _day(consent.get("dateTime"))
        is_permit = rule.get("type") == "permit" and consent.get("status") == "active"
        if start is None or end is None or signed is None:
            if is_permit:
                raise AnswerNotUnderstood("gICS permits a policy without saying from when to when.")
            start, end = date.min, date.max
        days += [signed] if signed is not None else []
        provisions += [Provision(code, is_permit, start, end) for code in _policies(rule)]
    if not provisions:
        return None
    return ConsentDocument(
        f"gics/{domain}/{number}", GICS_STATE, "MII", max(days, default=date.min), True, tuple(provisions)
    )


def _withdrawals(number: PatientId, papers: Sequence[Resource]) -> list[ConsentDocument]:
    found: list[ConsentDocument] = []
    for paper in papers:
        try:
            document = read_consent(tolerate(paper)[0], f"gics/{number}/{paper.get('id', '')}")
        except UnreadableConsent:
            # Templates of other studies of the hospital; their policies are in the states where they matter.
            continue
        if document.version in WITHDRAWALS | REFUSALS:
            found.append(document)
    return found


def _policies(rule: Resource) -> list[str]:
    codes = rule.get("code")
    return [
        coding["code"]
        for concept in (codes if isinstance(codes, list) else [])
        for coding in (concept.get("coding", []) if isinstance(concept, dict) else [])
        if isinstance(coding, dict) and str(coding.get("code", "")).startswith(f"{POLICY_ROOT}.")
    ]


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        return None


class FhirConsents:
    """Consents on a FHIR server of the data integration centre.

    Parameters
    ----------
    service
        Root of the server.
    system
        Identifier system of the number that is in the images.
    """

    def __init__(self, service: Service, system: str) -> None:
        self._service, self._system = service, system

    def documents(self, numbers: Sequence[PatientId]) -> Mapping[PatientId, Sequence[ConsentDocument]]:
        """Search the Consents of persons by their numbers."""
        found: dict[PatientId, list[ConsentDocument]] = {number: [] for number in numbers}
        for batch in chunked(numbers):
            wanted = ",".join(f"{self._system}|{number}" for number in batch)
            query = {"patient.identifier": wanted, "_include": "Consent:patient", "_count": "200"}
            resources = self._search(query)
            people = {
                str(item.get("id", "")): patient_number(item, (self._system,))[0]
                for item in resources
                if item.get("resourceType") == "Patient"
            }
            _add(found, people, resources, "fhir")
        return found

    def check(self) -> None:
        """Read what the server can."""
        self._service.get("metadata")

    def _search(self, query: Mapping[str, str]) -> list[Resource]:
        found: list[Resource] = []
        # By POST: numbers of patients do not belong into the access logs of servers and proxies.
        answer = self._service.read(
            self._service.request("POST", "Consent/_search", form=query, headers={"accept": _JSON})
        )
        for _ in range(MOST_PAGES):
            links = {str(item.get("relation")): str(item.get("url")) for item in answer.get("link", [])}
            if "patient.identifier" not in links.get("self", ""):
                raise AnswerNotUnderstood(
                    "The server did not search consents by the patient's number and would have given those of others."
                    ' Choose trust.consent.kind = "folder", or a server that knows patient.identifier.'
                )
            found += [item for item, _ in entries(answer, "The FHIR server") if item is not None]
            if "next" not in links:
                break
            answer = self._service.get(links["next"])
            answer.setdefault("link", []).append({"relation": "self", "url": "patient.identifier"})
        return found


_JSON = "application/fhir+json"


class FolderConsents:
    """Consents in files that a consent management writes out.

    Parameters
    ----------
    folder
        NDJSON and Bundles with Patients and their Consents.
    systems
        Identifier systems of the number that is in the images.
    """

    def __init__(self, folder: Path, systems: Sequence[str]) -> None:
        self._folder, self._systems = folder, tuple(systems)

    def documents(self, numbers: Sequence[PatientId]) -> Mapping[PatientId, Sequence[ConsentDocument]]:
        """Read the folder; a file that cannot be read makes all of it no answer."""
        self.check()
        wanted, found = set(numbers), {number: list[ConsentDocument]() for number in numbers}
        people: dict[str, PatientId] = {}
        papers: list[Resource] = []
        for item in iterate_resources(self._folder):
            if item.deleted:
                continue
            if item.resource is None:
                raise AnswerNotUnderstood(
                    "A file of consents cannot be read, so none of them counts. Write it again, or move it away."
                )
            if item.resource["resourceType"] == "Patient":
                number = patient_number(item.resource, self._systems)[0]
                if number in wanted:
                    people[str(item.resource.get("id", ""))] = number
            elif item.resource["resourceType"] == "Consent":
                papers.append(item.resource)
        _add(found, people, papers, "folder")
        return found

    def check(self) -> None:
        """See that the folder is there."""
        if not self._folder.is_dir():
            raise ServiceDown(
                "The folder of consents is not there. Check trust.consent.folder and its mount."
            )


def _add(
    found: dict[PatientId, list[ConsentDocument]],
    people: Mapping[str, PatientId],
    resources: Sequence[Resource],
    source: str,
) -> None:
    for item in resources:
        if item.get("resourceType") != "Consent":
            continue
        patient = item.get("patient")
        owner = str(patient.get("reference", "")).rpartition("/")[2] if isinstance(patient, dict) else ""
        number = people.get(owner)
        if number not in found:
            continue
        try:
            found[number].append(read_consent(tolerate(item)[0], f"{source}/Consent/{item.get('id', '')}"))
        except UnreadableConsent:
            # It permits nothing, which is what a missing document does.
            continue


class EmbeddedConsents:
    """The documents that were imported at this node: the default.

    Parameters
    ----------
    load
        Loads the documents of a patient.
    """

    def __init__(self, load: Callable[[PatientId], Sequence[ConsentDocument]]) -> None:
        self._load = load

    def documents(self, numbers: Sequence[PatientId]) -> Mapping[PatientId, Sequence[ConsentDocument]]:
        """Return what is known here."""
        return {number: self._load(number) for number in numbers}

    def check(self) -> None:
        """Nothing can be down."""
