"""Who finds the number under which images came: nobody but the record itself, E-PIX, or Mainzelliste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from racoon.domain.identity import PatientId
from racoon.node.clinical.calling import AnswerNotUnderstood, Service, secret_of
from racoon.node.clinical.trust.model import FoundIdentity, parameters, parts
from racoon.standards.fhir.building import Resource

EPIX = "https://ths-greifswald.de/fhir/CodeSystem/epix"

_SURE = frozenset({"MATCH", "PERFECT_MATCH", "PERFECT_MATCH_WITH_UPDATE"})
_UNSURE = frozenset({"POSSIBLE_MATCH", "MULTIPLE_MATCH"})

NOBODY = FoundIdentity("none")
DOUBTFUL = FoundIdentity("possible")


class EmbeddedIdentities:
    """Only what a record says itself: the default.  Names alone never make two records one person here."""

    def find(self, patients: Sequence[Resource]) -> Sequence[FoundIdentity]:
        """Know nobody."""
        return [NOBODY for _ in patients]

    def check(self) -> None:
        """Nothing can be down."""


class EpixIdentities:
    """Identities kept by E-PIX (``$addPatient`` of its FHIR gateway).

    Parameters
    ----------
    service
        Root such as ``https://ths.example.org/ttp-fhir/fhir/epix``.
    domain, source
        Domain of matching, and the data source as which this node asks.
    systems
        Identifier systems of the number that is in the images.
    """

    def __init__(self, service: Service, domain: str, source: str, systems: Sequence[str]) -> None:
        self._service, self._domain, self._source = service, domain, source
        self._systems = tuple(systems)

    def find(self, patients: Sequence[Resource]) -> Sequence[FoundIdentity]:
        """Ask for all at once; E-PIX answers with one result for each, in their order."""
        if not patients:
            return []
        answer = self._service.post(
            "$addPatient",
            parameters(
                {"name": "domain", "valueString": self._domain},
                {"name": "source", "valueString": self._source},
                *({"name": "identity", "resource": _demographics(item)} for item in patients),
                {
                    "name": "saveAction",
                    # A record that is there already is not written once more.
                    "valueCoding": {"system": f"{EPIX}/SaveAction", "code": "DONT_SAVE_ON_PERFECT_MATCH"},
                },
                {"name": "forceReferenceUpdate", "valueBoolean": False},
            ),
        )
        results = parts(answer, "matchResult")
        if len(results) != len(patients):
            raise AnswerNotUnderstood("E-PIX did not answer for every record it was asked about.")
        return [self._read(item) for item in results]

    def check(self) -> None:
        """Read what the gateway can."""
        self._service.get("metadata")

    def _read(self, result: Mapping[str, Any]) -> FoundIdentity:
        coded = parts(result, "matchStatus")
        coding = coded[0].get("valueCoding") if len(coded) == 1 else None
        status = str(coding.get("code", "")) if isinstance(coding, dict) else ""
        if status == "NO_MATCH":
            return NOBODY
        if status in _UNSURE:
            return DOUBTFUL
        if status not in _SURE:
            raise AnswerNotUnderstood("E-PIX answered with a match status that it does not publish.")
        numbers = {
            str(entry["value"])
            for part in parts(result, "identity")
            for entry in _identifiers(part.get("resource"))
            if entry.get("system") in self._systems and entry.get("value")
        }
        if len(numbers) == 1:
            return FoundIdentity("match", PatientId(numbers.pop()))
        # One person with two numbers of the hospital is for a person to look at.
        return DOUBTFUL if numbers else NOBODY


class MainzellisteIdentities:
    """Identities kept by Mainzelliste 3: a session, a token, then one request for each record.

    Parameters
    ----------
    service
        Root of Mainzelliste.
    id_type
        Its type of id that is the number in the images.
    api_version
        Version of its interface.
    """

    def __init__(self, service: Service, id_type: str, api_version: str = "3.1") -> None:
        self._service, self._id_type, self._version = service, id_type, api_version

    def find(self, patients: Sequence[Resource]) -> Sequence[FoundIdentity]:
        """Ask record by record under one session."""
        if not patients:
            return []
        session = self._session()
        token = self._service.post(
            f"sessions/{session}/tokens",
            {
                "type": "addPatient",
                "allowedUses": len(patients),
                "data": {"idTypes": [self._id_type]},
            },
            self._headers(),
        )
        token_id = token.get("id", token.get("tokenId")) if isinstance(token, dict) else None
        if not isinstance(token_id, str) or not token_id:
            raise AnswerNotUnderstood("Mainzelliste gave no token. Check the rights of its API key.")
        try:
            return [self._one(item, token_id) for item in patients]
        finally:
            self._service.request(
                "DELETE", f"sessions/{session}", headers=self._headers(), accepted=frozenset({404})
            )

    def check(self) -> None:
        """Open a session and close it."""
        session = self._session()
        self._service.request(
            "DELETE", f"sessions/{session}", headers=self._headers(), accepted=frozenset({404})
        )

    def _session(self) -> str:
        answer = self._service.read(self._service.request("POST", "sessions", headers=self._headers()))
        session = answer.get("sessionId") if isinstance(answer, dict) else None
        if not isinstance(session, str) or not session:
            raise AnswerNotUnderstood("Mainzelliste opened no session.")
        return session

    def _headers(self) -> dict[str, str]:
        file = self._service.address.password_file
        key = secret_of(file) if file is not None else ""
        return {
            "mainzellisteApiKey": key,
            "mainzellisteApiVersion": self._version,
            "accept": "application/json",
        }

    def _one(self, patient: Resource, token: str) -> FoundIdentity:
        answer = self._service.request(
            "POST",
            f"patients?tokenId={token}",
            form=_mainzelliste_fields(patient),
            headers={"mainzellisteApiVersion": self._version, "accept": "application/json"},
            accepted=frozenset({409}),
        )
        if answer.status_code == 409:
            return DOUBTFUL
        found = self._service.read(answer)
        ids = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
        mine = [item for item in ids if item.get("idType") == self._id_type]
        if len(mine) != 1 or not mine[0].get("idString"):
            raise AnswerNotUnderstood(
                f"Mainzelliste gave no id of type {self._id_type}. Check trust.identity.id_type."
            )
        if mine[0].get("tentative"):
            return DOUBTFUL
        return FoundIdentity("match", PatientId(str(mine[0]["idString"])))


def _identifiers(resource: Any) -> list[Resource]:
    found = resource.get("identifier", []) if isinstance(resource, dict) else []
    return [item for item in (found if isinstance(found, list) else [found]) if isinstance(item, dict)]


def _demographics(patient: Resource) -> Resource:
    """Give what identifies a person, and nothing clinical."""
    kept = ("identifier", "name", "gender", "birthDate", "address")
    return {"resourceType": "Patient"} | {name: patient[name] for name in kept if name in patient}


def _mainzelliste_fields(patient: Resource) -> dict[str, str]:
    names = [item for item in patient.get("name", []) if isinstance(item, dict)]
    official = next((item for item in names if item.get("use") == "official"), names[0] if names else {})
    maiden: Resource = next((item for item in names if item.get("use") == "maiden"), {})
    address: Resource = next((item for item in patient.get("address", []) if isinstance(item, dict)), {})
    year, _, rest = str(patient.get("birthDate", "")).partition("-")
    month, _, day = rest.partition("-")
    return {
        "vorname": " ".join(str(item) for item in official.get("given", [])),
        "nachname": str(official.get("family", "")),
        "geburtsname": str(maiden.get("family", "")),
        "geburtstag": day,
        "geburtsmonat": month,
        "geburtsjahr": year,
        "plz": str(address.get("postalCode", "")),
        "ort": str(address.get("city", "")),
    }
