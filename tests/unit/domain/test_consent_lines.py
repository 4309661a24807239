"""The decision table of consent line by line, with every document version and policy that it names.

Section 4.1 of the interoperability notes; each test says its line.  The rows of single decisions are in
``test_consent.py``; that a service that is down permits nothing is in ``tests/unit/node/clinical/test_trusting.py``.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from racoon.domain.consent import (
    COLLECT,
    DOCUMENT_ROOT,
    NEEDED,
    POLICY_ROOT,
    RETROSPECTIVE,
    STORE,
    USE,
    Decision,
    LegalBasis,
    Purpose,
    decide,
)
from racoon.standards.fhir.consents import UnreadableConsent, read_consent
from racoon.standards.fhir.versions import VERSIONS
from tests.unit.domain.test_consent import (
    BASIS,
    BEFORE,
    BROAD,
    FIVE_YEARS,
    INSIDE,
    SIGNED,
    also,
    deny,
    later,
    permit,
    without,
)

SIGNED_VERSIONS = (1790, 1791, 2079)
COMPLETE, PARTIAL, REFUSED, YOUNG = (2718, 2720, 2722), (2719, 2721, 2723), (4053, 4054), (3542, 3543, 3544)


def version(number: int) -> str:
    return f"{DOCUMENT_ROOT}.{number}"


def answer(*documents: object, **changes: object) -> Decision:
    return decide(replace(INSIDE, **changes), list(documents))  # type: ignore[arg-type,type-var]


# 1. no newest active document, or it is a withdrawal or refusal: denied


@pytest.mark.parametrize("number", SIGNED_VERSIONS)
def test_every_version_of_the_broad_consent_permits(number: int) -> None:
    assert answer(replace(BROAD, version=version(number))).is_permitted


@pytest.mark.parametrize("number", COMPLETE)
@pytest.mark.parametrize("signed", SIGNED_VERSIONS)
def test_a_complete_withdrawal_of_any_version_ends_every_version(number: int, signed: int) -> None:
    decision = answer(replace(BROAD, version=version(signed)), later(version(number)))
    assert (decision.is_permitted, decision.reasons) == (False, ("withdrawn",))


@pytest.mark.parametrize("number", PARTIAL)
def test_a_partial_withdrawal_leaves_what_it_lists_and_nothing_else(number: int) -> None:
    assert answer(BROAD, later(version(number))).is_permitted
    assert not answer(BROAD, later(version(number), provisions=(permit(STORE),))).is_permitted
    assert not answer(BROAD, later(version(number), provisions=())).is_permitted


@pytest.mark.parametrize("number", REFUSED)
def test_a_refusal_denies(number: int) -> None:
    assert answer(BROAD, later(version(number))).reasons == ("refused",)


def test_the_newest_active_document_counts() -> None:
    assert answer(BROAD, later(version(2720), is_active=False)).is_permitted
    assert not answer(replace(BROAD, is_active=False), later(version(2720))).is_permitted
    assert answer().reasons == ("no_document",)


# 2. the day of use inside a permit of every policy that the purpose needs


@pytest.mark.parametrize("purpose", list(Purpose))
def test_each_purpose_needs_each_of_its_policies(purpose: Purpose) -> None:
    needed = NEEDED[purpose]
    full = replace(BROAD, provisions=(permit(COLLECT, end=FIVE_YEARS), *map(permit, needed)))
    assert answer(full, purpose=purpose).is_permitted
    for policy in needed:
        missing = replace(full, provisions=tuple(item for item in full.provisions if item.policy != policy))
        assert not answer(missing, purpose=purpose).is_permitted, policy
        denied = replace(full, provisions=(*full.provisions, deny(policy)))
        assert not answer(denied, purpose=purpose).is_permitted, policy


def test_the_policies_of_the_purposes_are_those_of_the_table() -> None:
    numbers = {
        purpose: {policy.rpartition(".")[2] for policy in policies} for purpose, policies in NEEDED.items()
    }
    assert numbers[Purpose.RESEARCH] == {"7", "8"}
    assert numbers[Purpose.OUTSIDE_EU] == {"7", "8", "49"}
    assert numbers[Purpose.LINKAGE] == {"7", "8", "4", "9"}
    assert numbers[Purpose.RECONTACT] - {"7", "8"} <= {"27", "28", "29", "31", "37"}


# 3. the day of acquisition inside .6, or before its start with .45


@pytest.mark.parametrize(
    ("acquired", "retrospective", "permitted"),
    [
        (SIGNED, False, True),
        (FIVE_YEARS, False, True),
        (SIGNED - timedelta(days=1), False, False),
        (SIGNED - timedelta(days=1), True, True),
        (FIVE_YEARS + timedelta(days=1), False, False),
        (FIVE_YEARS + timedelta(days=1), True, False),
        (date(1990, 1, 1), True, True),
    ],
)
def test_the_day_of_acquisition(acquired: date, retrospective: bool, permitted: bool) -> None:
    document = also(permit(RETROSPECTIVE)) if retrospective else BROAD
    assert answer(document, acquired=acquired).is_permitted is permitted


@pytest.mark.parametrize("number", [46, 47])
def test_the_inactive_policies_of_retrospective_use_do_not_help(number: int) -> None:
    assert not decide(BEFORE, [also(permit(f"{POLICY_ROOT}.{number}"))]).is_permitted


def test_the_period_of_the_resource_is_trusted_though_it_is_not_of_five_years() -> None:
    longer = replace(without(COLLECT), provisions=(*without(COLLECT).provisions, permit(COLLECT)))
    assert answer(longer, acquired=FIVE_YEARS + timedelta(days=400)).is_permitted
    assert not answer(longer, acquired=date(2051, 1, 1)).is_permitted


# 4. deny beats permit; a later document replaces; a study's own consent adds for that study only


@pytest.mark.parametrize("policy", [COLLECT, STORE, USE])
def test_deny_beats_permit_for_the_same_policy_and_day(policy: str) -> None:
    assert not answer(also(deny(policy))).is_permitted
    assert answer(also(deny(policy, date(2000, 1, 1), date(2000, 12, 31)))).is_permitted


def test_two_documents_of_one_domain_are_not_added_up() -> None:
    assert not answer(without(USE), later(BROAD.version, provisions=(permit(USE),))).is_permitted
    assert answer(without(USE), later(BROAD.version)).is_permitted


def test_a_study_consent_adds_for_its_own_study_only() -> None:
    own = replace(BROAD, identity="own", domain="study-1")
    assert answer(own, study="study-1").is_permitted
    assert not answer(own, study="study-2").is_permitted
    assert not answer(own).is_permitted
    # What the broad consent permits stays permitted beside a study consent that permits less.
    assert answer(BROAD, replace(own, provisions=()), study="study-1").is_permitted


# 5. other legal bases are records of their own


def test_another_legal_basis_holds_for_its_study_days_and_term() -> None:
    asked = replace(INSIDE, study="study-1")
    assert decide(asked, [], [BASIS]).basis == "legal_basis"
    for changed in (
        replace(BASIS, study="study-2"),
        replace(BASIS, end=date(2020, 1, 1)),
        replace(BASIS, valid_until=asked.on - timedelta(days=1)),
        replace(BASIS, valid_from=asked.on + timedelta(days=1)),
    ):
        assert not decide(asked, [], [changed]).is_permitted
    assert isinstance(BASIS, LegalBasis)
    assert BASIS.approved_by


# minors


@pytest.mark.parametrize("number", YOUNG)
def test_a_document_of_a_minor_ends_on_the_eighteenth_birthday(number: int) -> None:
    document = replace(BROAD, version=version(number))
    assert answer(document, born=date(2010, 6, 1)).is_permitted
    assert answer(document, born=date(2008, 1, 1)).reasons == ("came_of_age",)
    # Signed again as an adult.
    assert answer(document, later(BROAD.version, 1000), born=date(2008, 1, 1)).is_permitted


# the answer carries its reasons


def test_the_answer_names_codes_and_document() -> None:
    decision = answer(BROAD)
    assert decision.documents == ("broad",)
    assert COLLECT in decision.reasons
    assert answer(BROAD, later(version(2720))).reasons == ("withdrawn",)


# traps of the resource: what is compared, and what is no permit


def consent(name: str = "2026", *, display: str = "", inner: bool = True) -> dict[str, object]:
    period = {"start": "2020-09-01", "end": "2050-08-31"}
    code = {"system": f"urn:oid:{POLICY_ROOT}", "display": display}
    permits = [
        {"type": "permit", "period": period, "code": [{"coding": [code | {"code": policy}]}]}
        for policy in (COLLECT, STORE, USE)
    ]
    category = VERSIONS[name].consent_category_system
    provision: dict[str, object] = {"type": "deny", "period": period}
    return {
        "resourceType": "Consent",
        "status": "active",
        "scope": {"coding": [{"code": "research"}]},
        "category": [{"coding": [{"system": category, "code": "2.16.840.1.113883.3.1937.777.24.2.184"}]}],
        "patient": {"reference": "Patient/1"},
        "dateTime": "2020-09-01",
        "policy": [{"uri": f"urn:oid:{DOCUMENT_ROOT}.1791"}],
        "provision": provision | ({"provision": permits} if inner else {}),
    }


@pytest.mark.parametrize("name", sorted(VERSIONS))
def test_the_category_of_any_version_is_read(name: str) -> None:
    assert answer(read_consent(consent(name), "c")).is_permitted


@pytest.mark.parametrize("display", ["", "MDAT erheben", "refused by the patient"])
def test_texts_are_never_compared(display: str) -> None:
    assert answer(read_consent(consent(display=display), "c")).is_permitted


def test_the_period_of_the_outer_deny_is_no_permit() -> None:
    assert not answer(read_consent(consent(inner=False), "c")).is_permitted


@pytest.mark.parametrize("missing", ["start", "end"])
def test_a_permit_without_an_end_or_a_start_permits_nothing(missing: str) -> None:
    resource = consent()
    for item in resource["provision"]["provision"]:  # type: ignore[index]
        item["period"] = {name: text for name, text in item["period"].items() if name != missing}
    try:
        read = read_consent(resource, "c")
    except UnreadableConsent:
        return
    assert not answer(read).is_permitted


def test_days_without_a_time_are_inclusive() -> None:
    document = read_consent(consent(), "c")
    assert answer(document, acquired=SIGNED, on=SIGNED).is_permitted
    assert answer(document, acquired=SIGNED, on=date(2050, 8, 31)).is_permitted
    assert not answer(document, acquired=SIGNED, on=date(2050, 9, 1)).is_permitted
