"""One suite for each port to a trust service, run on every adapter against a stand-in of what is published."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from racoon.domain.consent import ConsentDocument, Question, decide
from racoon.domain.identity import PatientId
from racoon.errors import RacoonError
from racoon.node.clinical.calling import (
    BREAK_S,
    FAILURES_BEFORE_BREAK,
    Address,
    AnswerNotUnderstood,
    Breaker,
    Service,
    ServiceDown,
    ServiceRefused,
)
from racoon.node.clinical.trust.consents import EmbeddedConsents, FhirConsents, FolderConsents, GicsConsents
from racoon.node.clinical.trust.identities import EmbeddedIdentities, EpixIdentities, MainzellisteIdentities
from racoon.node.clinical.trust.model import ConsentSource, FoundIdentity, IdentityLink, PseudonymService
from racoon.node.clinical.trust.pseudonyms import EmbeddedPseudonyms, GpasPseudonyms, MiiPseudonyms
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.http.serving import Listener, serve_in_thread
from racoon.standards.fhir.consents import read_consent
from tests.trust_services import API_KEY, NUMBERS, Hospital, build_app, paper

ANNA, BERT, CARL, NOBODY = (PatientId(text) for text in ("4711", "4712", "4713", "4719"))
HOSPITAL = Hospital()


@pytest.fixture(scope="module")
def root() -> Iterator[str]:
    app = build_app(HOSPITAL)

    @app.post("/fhir/Consent/_search")
    async def search(request: Request) -> Any:
        form = {key: str(value) for key, value in (await request.form()).items()}
        wanted = [item.partition("|")[2] for item in form["patient.identifier"].split(",")]
        found = [item for number in wanted for item in HOSPITAL.papers.get(number, [])]
        people = [_patient(number) for number in wanted if number in HOSPITAL.papers]
        link = [{"relation": "self", "url": "Consent?patient.identifier=…" if wanted else "Consent"}]
        entry = [{"resource": item} for item in (*found, *people)]
        return {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry}

    app.add_api_route("/fhir/metadata", lambda: {"resourceType": "CapabilityStatement"}, methods=["GET"])
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield f"http://127.0.0.1:{listener.port}"


@pytest.fixture(autouse=True)
def hospital() -> Hospital:
    fresh = Hospital()
    for name in vars(fresh):
        setattr(HOSPITAL, name, getattr(fresh, name))
    HOSPITAL.permits = {ANNA: (6, 7, 8, 9), BERT: (9,), CARL: ()}
    HOSPITAL.papers = {
        ANNA: [paper(ANNA, "1790")],
        BERT: [paper(BERT, "1790") | {"status": "inactive"}],
        CARL: [paper(CARL, "1790"), paper(CARL, "2718", "2024-05-01")],
    }
    HOSPITAL.people = {"Sicher": ("match", "4711"), "Fraglich": ("possible", ""), "Neu": ("none", "")}
    return HOSPITAL


def _patient(number: str) -> dict[str, Any]:
    identifier = [{"system": NUMBERS, "value": number}]
    return {"resourceType": "Patient", "id": f"of-{number}", "identifier": identifier}


def _service(root: str, place: str, **more: Any) -> Service:
    return Service(Address(place, f"{root}/{place}", timeout_s=2, **more))


# Consents

Source = Callable[[str, Path], ConsentSource]


def _gics(root: str, folder: Path) -> ConsentSource:
    return GicsConsents(_service(root, "gics"), "MII", NUMBERS)


def _fhir(root: str, folder: Path) -> ConsentSource:
    return FhirConsents(_service(root, "fhir"), NUMBERS)


def _folder(root: str, folder: Path) -> ConsentSource:
    lines = [_patient(number) for number in HOSPITAL.papers]
    lines += [item for found in HOSPITAL.papers.values() for item in found]
    (folder / "all.ndjson").write_text("\n".join(json.dumps(line) for line in lines), "utf-8")
    return FolderConsents(folder, [NUMBERS])


def _embedded(root: str, folder: Path) -> ConsentSource:
    def load(number: PatientId) -> Sequence[ConsentDocument]:
        return [read_consent(item, item["id"]) for item in HOSPITAL.papers.get(number, [])]

    return EmbeddedConsents(load)


@pytest.mark.parametrize("make", [_gics, _fhir, _folder, _embedded])
def test_a_consent_source_tells_who_permits_and_who_took_it_back(
    make: Source, root: str, tmp_path: Path
) -> None:
    found = make(root, tmp_path).documents([ANNA, BERT, CARL, NOBODY])
    question = Question(acquired=date(2024, 6, 1), on=date(2026, 1, 1))
    verdicts = {number: decide(question, found[number]) for number in (ANNA, BERT, CARL, NOBODY)}
    assert [verdicts[number].is_permitted for number in (ANNA, BERT, CARL, NOBODY)] == [
        True,
        False,
        False,
        False,
    ]
    assert verdicts[CARL].reasons[0] == "withdrawn"
    assert verdicts[NOBODY].reasons[0] == "no_document"


@pytest.mark.parametrize("make", [_gics, _fhir])
def test_a_consent_source_that_is_down_says_nothing(make: Source, root: str, tmp_path: Path) -> None:
    HOSPITAL.status = 503
    with pytest.raises(ServiceDown):
        make(root, tmp_path).documents([ANNA])
    HOSPITAL.status = 401
    with pytest.raises(ServiceRefused) as caught:
        make(root, tmp_path).documents([ANNA])
    assert caught.value.error_code == "clinical.service_not_let_in"


def test_many_persons_are_asked_in_batches(root: str) -> None:
    numbers = [PatientId(f"{number}") for number in range(120)]
    GicsConsents(_service(root, "gics"), "MII", NUMBERS).documents(numbers)
    assert HOSPITAL.asked == ["POST /gics"] * 3


def test_gics_is_asked_about_one_policy(root: str) -> None:
    source = GicsConsents(_service(root, "gics"), "MII", NUMBERS)
    policy = "2.16.840.1.113883.3.1937.777.24.5.3.8"
    assert source.is_consented(ANNA, policy, "1.1")
    assert not source.is_consented(BERT, policy, "1.1")
    assert not source.is_consented(NOBODY, policy, "1.1")


def test_a_wrong_domain_of_gics_permits_nobody(root: str) -> None:
    found = GicsConsents(_service(root, "gics"), "other", NUMBERS).documents([ANNA])
    assert found == {ANNA: []}


def test_a_folder_that_is_gone_or_broken_says_nothing(tmp_path: Path) -> None:
    with pytest.raises(ServiceDown):
        FolderConsents(tmp_path / "gone", [NUMBERS]).documents([ANNA])
    (tmp_path / "broken.ndjson").write_text('{"resourceType": "Consent"', "utf-8")
    with pytest.raises(AnswerNotUnderstood):
        FolderConsents(tmp_path, [NUMBERS]).documents([ANNA])


# Pseudonyms


def _pseudonyms(root: str, folder: Path) -> Mapping[str, PseudonymService]:
    names = Pseudonymiser(folder / "key", f"sqlite:///{folder}/names.sqlite")
    return {
        "embedded": EmbeddedPseudonyms(names),
        "gpas": GpasPseudonyms(_service(root, "gpas")),
        "mii": MiiPseudonyms(_service(root, "mii"), NUMBERS, "http://hospital.example/contexts"),
    }


@pytest.mark.parametrize("kind", ["embedded", "gpas", "mii"])
def test_a_pseudonym_stays_and_joins_nothing_across_studies(kind: str, root: str, tmp_path: Path) -> None:
    service = _pseudonyms(root, tmp_path)[kind]
    # Long enough that no pseudonym holds one by chance.
    numbers = [PatientId(f"HOSPITAL-NUMBER-{number}") for number in range(60)]
    first = service.pseudonyms(numbers, "study-a")
    assert set(first) == set(numbers)
    assert len(set(first.values())) == 60
    assert service.pseudonyms(numbers[:3], "study-a") == {number: first[number] for number in numbers[:3]}
    assert not set(service.pseudonyms(numbers, "study-b").values()) & set(first.values())
    assert not any(number in name for number, name in first.items())


@pytest.mark.parametrize("kind", ["gpas", "mii"])
def test_an_unknown_domain_and_a_service_that_is_down_give_no_pseudonym(
    kind: str, root: str, tmp_path: Path
) -> None:
    service = _pseudonyms(root, tmp_path)[kind]
    with pytest.raises(ServiceRefused):
        service.pseudonyms([ANNA], "study-unknown")
    HOSPITAL.status = 429
    with pytest.raises(ServiceDown):
        service.pseudonyms([ANNA], "study-a")


# Identities


def _identities(root: str, folder: Path) -> Mapping[str, IdentityLink]:
    (folder / "api.key").write_text(API_KEY, "utf-8")
    mainzelliste = _service(root, "mainzelliste", password_file=folder / "api.key")
    return {
        "embedded": EmbeddedIdentities(),
        "epix": EpixIdentities(_service(root, "epix"), "Demo", "racoon", [NUMBERS]),
        "mainzelliste": MainzellisteIdentities(mainzelliste, "mrn"),
    }


def _named(family: str) -> dict[str, Any]:
    return {
        "resourceType": "Patient",
        "id": family,
        "name": [{"family": family, "given": ["Änne"]}],
        "birthDate": "1962-12-17",
        "maritalStatus": {"text": "nobody else's business"},
    }


@pytest.mark.parametrize("kind", ["epix", "mainzelliste"])
def test_an_identity_service_answers_for_each_record_in_its_order(
    kind: str, root: str, tmp_path: Path
) -> None:
    found = _identities(root, tmp_path)[kind].find([_named("Fraglich"), _named("Sicher")])
    assert list(found) == [FoundIdentity("possible"), FoundIdentity("match", ANNA)]
    assert not HOSPITAL.sessions, "a session is left open"


def test_epix_that_knows_nobody_and_the_embedded_answer_find_nobody(root: str, tmp_path: Path) -> None:
    for kind in ("epix", "embedded"):
        assert list(_identities(root, tmp_path)[kind].find([_named("Neu")])) == [FoundIdentity("none")]


@pytest.mark.parametrize("kind", ["epix", "mainzelliste"])
def test_an_identity_service_that_is_down_finds_nobody(kind: str, root: str, tmp_path: Path) -> None:
    HOSPITAL.status = 503
    with pytest.raises(ServiceDown):
        _identities(root, tmp_path)[kind].find([_named("Sicher")])


def test_a_wrong_api_key_says_what_to_do(root: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.key").write_text("wrong", "utf-8")
    service = _service(root, "mainzelliste", password_file=tmp_path / "wrong.key")
    with pytest.raises(ServiceRefused) as caught:
        MainzellisteIdentities(service, "mrn").check()
    assert "does not let this node in" in caught.value.public_message


# Calling


def test_the_breaker_asks_nobody_for_a_while_and_then_once_more(root: str) -> None:
    moment = [0.0]
    service = Service(Address("gICS", f"{root}/gics", timeout_s=2), Breaker(lambda: moment[0]))
    HOSPITAL.status = 503
    for _ in range(FAILURES_BEFORE_BREAK):
        with pytest.raises(ServiceDown):
            service.get("metadata")
    asked = len(HOSPITAL.asked)
    HOSPITAL.status = 0
    with pytest.raises(ServiceDown):
        service.get("metadata")
    assert len(HOSPITAL.asked) == asked, "the open breaker let a call through"
    moment[0] += BREAK_S
    assert service.get("metadata") == {"resourceType": "CapabilityStatement"}


def test_a_server_says_when_to_come_again(root: str) -> None:
    HOSPITAL.status, HOSPITAL.headers = 429, {"retry-after": "7"}
    with pytest.raises(ServiceDown) as caught:
        _service(root, "gics").get("metadata")
    assert caught.value.wait_s == 7


def test_a_link_to_another_server_is_not_followed_with_our_password(root: str) -> None:
    with pytest.raises(ServiceRefused) as caught:
        _service(root, "gics").get("http://127.0.0.1:1/elsewhere")
    assert caught.value.error_code == "clinical.foreign_link"


def test_nobody_listening_is_a_service_that_is_down() -> None:
    with pytest.raises(RacoonError) as caught:
        Service(Address("gICS", "http://127.0.0.1:1/gics", timeout_s=1)).get("metadata")
    assert isinstance(caught.value, ServiceDown)
