"""What permits and what does not: deny by default, bases, consents with periods, servers that fall silent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from racoon.domain.cohort import CohortDefinition, ConsentCriterion
from racoon.domain.consent import (
    ARCHIVE,
    COLLECT,
    DOCUMENT_ROOT,
    STORE,
    USE,
    ConsentDocument,
    Decision,
    Provision,
    Question,
    decide,
    window_of_use,
)
from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.app.permission import open_consent
from racoon.node.cohorts import service as cohorts
from racoon.node.consent.model import BadBasis, Item, KnownDocument, basis_of
from racoon.node.consent.service import Consent
from racoon.platform import clock
from racoon.standards.fhir.consents import UnreadableConsent, read_consent
from tests.dicom_objects import uid
from tests.node_rooms import NodeInProcess

TODAY = clock.now().date()
SIGNED = TODAY - timedelta(days=300)
LATER = TODAY + timedelta(days=9000)
V16F = f"{DOCUMENT_ROOT}.1791"
WITHDRAWN = f"{DOCUMENT_ROOT}.2720"


def broad(collect_from: date = SIGNED, collect_until: date = LATER) -> ConsentDocument:
    return ConsentDocument(
        "broad",
        V16F,
        "MII",
        SIGNED,
        True,
        (
            Provision(COLLECT, True, collect_from, collect_until),
            Provision(STORE, True, SIGNED, LATER),
            Provision(USE, True, SIGNED, LATER),
        ),
    )


def record(node: NodeInProcess, *items: KnownDocument) -> int:
    with node.rooms.database.begin() as connection:
        return len(node.consent.record_documents(connection, items, actor="test", actor_role="test"))


def decide_one(consent: Consent, node: NodeInProcess, subject: Pseudonym, day: date | None) -> Decision:
    text = day.strftime("%Y%m%d") if day else ""
    with node.rooms.database.connect() as connection:
        return consent.decide_items(connection, "liver", [Item(uid(1, 1), subject, text)])[uid(1, 1)]


def shifted(node: NodeInProcess, patient: str, day: date) -> date:
    limit = node.settings.deid.in_force().date_shift_limit_days
    return day + timedelta(days=node.names.date_shift_days(PatientId(patient), limit_days=limit))


def test_nothing_is_read_without_a_basis_or_a_consent(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    assert not node.rooms.archive.is_readable(subject)
    basis = node.rely_on()
    assert node.rooms.archive.is_readable(subject)
    with node.rooms.database.begin() as connection:
        node.consent.end_basis(connection, basis, actor="test", actor_role="test")
    assert not node.rooms.archive.is_readable(subject)


def test_a_basis_of_a_study_opens_neither_the_archive_nor_another_study(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    node.rely_on("other")
    assert not node.rooms.archive.is_readable(subject)
    assert decide_one(node.consent, node, subject, TODAY).reasons == ("no_document",)
    node.rely_on("liver")
    assert decide_one(node.consent, node, subject, TODAY).basis == "legal_basis"


@pytest.mark.parametrize(
    ("more", "permitted"),
    [
        ({"valid_until": (TODAY - timedelta(days=1)).isoformat()}, False),
        ({"valid_from": (TODAY + timedelta(days=1)).isoformat()}, False),
        ({"valid_from": TODAY.isoformat(), "valid_until": TODAY.isoformat()}, True),
    ],
)
def test_a_basis_holds_on_its_days_only(node: NodeInProcess, more: dict[str, str], permitted: bool) -> None:
    subject = node.store(1, "4711")
    node.rely_on(**more)
    node.rely_on("liver", **more)
    assert node.rooms.archive.is_readable(subject) is permitted
    assert decide_one(node.consent, node, subject, TODAY).is_permitted is permitted


def test_a_period_of_acquisition_means_the_real_day(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    edge = date(2024, 3, 10)
    node.rely_on("liver", acquired_until=edge.isoformat())
    assert decide_one(node.consent, node, subject, shifted(node, "4711", edge)).is_permitted
    late = shifted(node, "4711", edge + timedelta(days=1))
    assert not decide_one(node.consent, node, subject, late).is_permitted


def test_who_does_not_hold_the_door_denies_what_needs_a_day(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    blind = open_consent(node.settings, node.rooms.database, node.rooms.audit)
    node.rely_on("liver", acquired_until="2030-01-01")
    record(node, KnownDocument(subject, broad(), None, "paper"))
    assert decide_one(blind, node, subject, TODAY).reasons == ("day_unknown",)
    assert decide_one(node.consent, node, subject, None).reasons == ("day_unknown",)
    node.rely_on("liver")
    assert decide_one(blind, node, subject, TODAY).basis == "legal_basis"


def test_a_consent_permits_reading_and_only_images_of_its_period(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    record(node, KnownDocument(subject, broad(), None, "paper"))
    assert node.rooms.archive.is_readable(subject)
    inside = decide_one(node.consent, node, subject, shifted(node, "4711", SIGNED))
    assert (inside.basis, inside.documents) == ("consent", ("broad",))
    before = decide_one(node.consent, node, subject, shifted(node, "4711", SIGNED - timedelta(days=1)))
    assert before.reasons == ("acquired_before",)


def test_a_server_that_falls_silent_denies(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    day = shifted(node, "4711", TODAY)
    fresh = KnownDocument(subject, broad(), None, "fhir", clock.now() + timedelta(minutes=5))
    record(node, fresh)
    assert node.rooms.archive.is_readable(subject)
    assert decide_one(node.consent, node, subject, day).is_permitted
    record(node, replace(fresh, fresh_until=clock.now() - timedelta(seconds=1)))
    assert not node.rooms.archive.is_readable(subject)
    assert decide_one(node.consent, node, subject, day).reasons == ("no_document",)
    record(node, fresh)
    assert node.rooms.archive.is_readable(subject)


def test_a_withdrawing_document_takes_effect_with_its_import(node: NodeInProcess) -> None:
    node.rely_on()
    subject = node.store(1, "4711")
    record(node, KnownDocument(subject, broad(), None, "paper"))
    paper = replace(broad(), identity="back", version=WITHDRAWN, given=TODAY, provisions=())
    assert record(node, KnownDocument(subject, paper, None, "paper")) == 1
    assert not node.rooms.archive.is_readable(subject)
    assert record(node, KnownDocument(subject, paper, None, "paper")) == 0
    assert decide_one(node.consent, node, subject, TODAY).reasons == ("withdrawn",)


def test_who_leaves_one_study_stays_in_the_others(node: NodeInProcess) -> None:
    node.rely_on()
    node.rely_on("liver")
    subject = node.store(1, "4711")
    node.withdraw(subject, "liver")
    assert node.rooms.archive.is_readable(subject)
    assert decide_one(node.consent, node, subject, TODAY).reasons == ("withdrawn",)


@pytest.mark.parametrize("missing", ["document", "scope", "approved_by"])
def test_a_basis_needs_document_scope_and_who_approved_it(missing: str) -> None:
    words = {"study_id": ARCHIVE, "kind": "contract", "document": "abc", "scope": "abc", "approved_by": "abc"}
    with pytest.raises(BadBasis):
        basis_of(words | {missing: " x "})
    with pytest.raises(BadBasis):
        basis_of(words | {"valid_from": "2026-02-31"})
    with pytest.raises(BadBasis):
        basis_of(words | {"study_id": "site:other"})


def test_routes_record_and_end_a_basis(node: NodeInProcess) -> None:
    body = {
        "study_id": "liver",
        "kind": "hospital_law",
        "document": "state hospital act, section 6",
        "scope": "CT of the liver",
        "approved_by": "A. Amt",
    }
    diz, reader = node.person("diz"), node.person("reader")
    assert reader.post("/api/consent/bases", json=body).status_code == 403
    first = diz.post("/api/consent/bases", json=body)
    assert first.status_code == 201
    again = diz.post("/api/consent/bases", json=body).json()
    assert again["basis_id"] == first.json()["basis_id"]
    assert [item["ended_at"] for item in diz.get("/api/consent/bases").json()] == [None]
    assert diz.delete(f"/api/consent/bases/{again['basis_id']}").status_code == 204
    assert diz.delete(f"/api/consent/bases/{again['basis_id']}").status_code == 404
    assert diz.post("/api/consent/bases", json=body | {"valid_from": "2026-13-01"}).status_code == 422


def test_the_window_of_use_is_what_the_decision_says_day_by_day() -> None:
    start, end = date(2026, 1, 10), date(2026, 3, 1)
    paper = ConsentDocument(
        "p",
        V16F,
        "MII",
        date(2026, 1, 5),
        True,
        (
            Provision(STORE, True, start, end),
            Provision(USE, True, date(2026, 1, 1), date(2026, 12, 31)),
            Provision(USE, False, date(2026, 2, 1), date(2026, 2, 10)),
            Provision(COLLECT, True, date(2020, 1, 1), date(2030, 1, 1)),
        ),
    )
    for offset in range(0, 100, 3):
        on = date(2026, 1, 1) + timedelta(days=offset)
        window = window_of_use([paper], on)
        expected = [
            day
            for day in (on + timedelta(days=n) for n in range(120))
            if decide(Question(day, day), [paper]).is_permitted
        ]
        if window is None:
            assert expected == []
            continue
        run = [day for day in expected if window.start <= day <= window.end]
        assert run == [window.start + timedelta(days=n) for n in range((window.end - window.start).days + 1)]
        assert expected[0] == window.start


def test_a_consent_resource_without_a_full_period_permits_nothing() -> None:
    resource = {
        "resourceType": "Consent",
        "status": "active",
        "dateTime": "2024-02-23T12:00:00+01:00",
        "policy": [{"uri": f"urn:oid:{V16F}"}],
        "provision": {
            "type": "deny",
            "provision": [
                {
                    "type": "permit",
                    "period": {"start": "2024-02-23", "end": "2054-01-31"},
                    "code": [{"coding": [{"code": STORE}]}],
                }
            ],
        },
    }
    found = read_consent(resource, "k")
    assert (found.version, found.domain, found.given) == (V16F, "MII", date(2024, 2, 23))
    assert found.provisions == (Provision(STORE, True, date(2024, 2, 23), date(2054, 1, 31)),)
    resource["provision"]["provision"][0]["period"] = {"start": "2024-02-23"}  # type: ignore[index]  # built above
    with pytest.raises(UnreadableConsent):
        read_consent(resource, "k")
    with pytest.raises(UnreadableConsent):
        read_consent(resource | {"policy": []}, "k")


def test_cohorts_ask_for_consents_in_force(node: NodeInProcess) -> None:
    subject = node.store(1, "4711")
    node.rely_on()
    asked = CohortDefinition(((ConsentCriterion((USE,)),),))

    def found() -> frozenset[Pseudonym]:
        with node.rooms.database.connect() as connection:
            return cohorts.members(connection, asked, node.consent.condition)

    assert found() == frozenset()
    record(node, KnownDocument(subject, broad(), None, "test"))
    assert found() == {subject}
    stale = KnownDocument(subject, broad(), None, "test", clock.now() - timedelta(hours=1))
    record(node, stale)
    assert found() == frozenset(), "what a server did not confirm in time is denied"
    record(node, KnownDocument(subject, broad(), None, "test"))
    assert found() == {subject}
    record(node, KnownDocument(subject, replace(broad(), identity="w", version=WITHDRAWN), None, "test"))
    assert found() == frozenset()
