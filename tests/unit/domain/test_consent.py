"""The consent decision as a table: policy, period, retrospective, withdrawal, two documents, minors, other bases."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.consent import (
    COLLECT,
    DOCUMENT_ROOT,
    MERGE,
    MERGE_IDENTITIES,
    MINORS,
    OUTSIDE_EU,
    RETROSPECTIVE,
    STORE,
    USE,
    ConsentDocument,
    LegalBasis,
    Provision,
    Purpose,
    Question,
    decide,
    permitted_periods,
)

SIGNED = date(2020, 9, 1)
FIVE_YEARS = date(2025, 8, 31)
THIRTY_YEARS = date(2050, 8, 31)
V16F = f"{DOCUMENT_ROOT}.1791"
WITHDRAWN = f"{DOCUMENT_ROOT}.2720"
REFUSED = f"{DOCUMENT_ROOT}.4053"


def permit(policy: str, start: date = SIGNED, end: date = THIRTY_YEARS) -> Provision:
    return Provision(policy, True, start, end)


def deny(policy: str, start: date = SIGNED, end: date = THIRTY_YEARS) -> Provision:
    return Provision(policy, False, start, end)


BROAD = ConsentDocument(
    "broad", V16F, "MII", SIGNED, True, (permit(COLLECT, end=FIVE_YEARS), permit(STORE), permit(USE))
)
INSIDE = Question(date(2023, 1, 1), date(2026, 1, 1))
BEFORE = replace(INSIDE, acquired=date(2019, 1, 1))
AFTER = replace(INSIDE, acquired=date(2025, 9, 1))
MINOR = replace(BROAD, version=min(MINORS))
BASIS = LegalBasis("hospital-law", "study-1", date(2010, 1, 1), date(2030, 1, 1), "A. Amt")


def also(*provisions: Provision, of: ConsentDocument = BROAD) -> ConsentDocument:
    return replace(of, provisions=(*of.provisions, *provisions))


def without(policy: str) -> ConsentDocument:
    return replace(BROAD, provisions=tuple(item for item in BROAD.provisions if item.policy != policy))


def later(version: str, days: int = 30, **changes: object) -> ConsentDocument:
    return replace(BROAD, identity="later", version=version, given=SIGNED + timedelta(days=days), **changes)


TABLE: list[tuple[str, Question, list[ConsentDocument], list[LegalBasis], bool, str]] = [
    ("nothing is known", INSIDE, [], [], False, "no_document"),
    ("inside both periods", INSIDE, [BROAD], [], True, COLLECT),
    ("first day of collection", replace(INSIDE, acquired=SIGNED), [BROAD], [], True, COLLECT),
    ("last day of collection", replace(INSIDE, acquired=FIVE_YEARS), [BROAD], [], True, COLLECT),
    ("a day too late", AFTER, [BROAD], [], False, "acquired_after"),
    ("before, without retrospective", BEFORE, [BROAD], [], False, "acquired_before"),
    ("before, with retrospective", BEFORE, [also(permit(RETROSPECTIVE))], [], True, RETROSPECTIVE),
    ("after, retrospective does not help", AFTER, [also(permit(RETROSPECTIVE))], [], False, "acquired_after"),
    ("before, retrospective denied", BEFORE, [also(deny(RETROSPECTIVE))], [], False, "acquired_before"),
    ("storing is not permitted", INSIDE, [without(STORE)], [], False, "policy_missing"),
    ("using is not permitted", INSIDE, [without(USE)], [], False, "policy_missing"),
    ("use after thirty years", replace(INSIDE, on=date(2050, 9, 1)), [BROAD], [], False, "policy_missing"),
    ("use on the last day", replace(INSIDE, on=THIRTY_YEARS), [BROAD], [], True, COLLECT),
    ("use before the signature", replace(INSIDE, on=date(2020, 8, 31)), [BROAD], [], False, "not_yet_given"),
    ("deny beats permit", INSIDE, [also(deny(USE))], [], False, "policy_missing"),
    ("deny of another day", INSIDE, [also(deny(USE, end=date(2020, 12, 31)))], [], True, COLLECT),
    ("not active", INSIDE, [replace(BROAD, is_active=False)], [], False, "no_document"),
    ("withdrawn later", INSIDE, [BROAD, later(WITHDRAWN)], [], False, "withdrawn"),
    (
        "withdrawn, then signed again",
        INSIDE,
        [later(WITHDRAWN, 10), later(V16F, 20), BROAD],
        [],
        True,
        COLLECT,
    ),
    ("withdrawn on the same day", INSIDE, [BROAD, later(WITHDRAWN, 0)], [], False, "withdrawn"),
    ("refused later", INSIDE, [BROAD, later(REFUSED)], [], False, "refused"),
    (
        "a later document with less",
        INSIDE,
        [BROAD, later(V16F, provisions=(permit(STORE),))],
        [],
        False,
        "policy_missing",
    ),
    (
        "partial withdrawal keeps what it lists",
        INSIDE,
        [BROAD, later(f"{DOCUMENT_ROOT}.2721")],
        [],
        True,
        COLLECT,
    ),
    (
        "outside the EU needs its own policy",
        replace(INSIDE, purpose=Purpose.OUTSIDE_EU),
        [BROAD],
        [],
        False,
        "policy_missing",
    ),
    (
        "outside the EU",
        replace(INSIDE, purpose=Purpose.OUTSIDE_EU),
        [also(permit(OUTSIDE_EU))],
        [],
        True,
        COLLECT,
    ),
    (
        "linkage",
        replace(INSIDE, purpose=Purpose.LINKAGE),
        [also(permit(MERGE), permit(MERGE_IDENTITIES))],
        [],
        True,
        COLLECT,
    ),
    (
        "linkage without identities",
        replace(INSIDE, purpose=Purpose.LINKAGE),
        [also(permit(MERGE))],
        [],
        False,
        "policy_missing",
    ),
    ("recontact", replace(INSIDE, purpose=Purpose.RECONTACT), [BROAD], [], False, "policy_missing"),
    ("minor", replace(INSIDE, born=date(2010, 1, 1)), [MINOR], [], True, COLLECT),
    ("minor comes of age today", replace(INSIDE, born=date(2008, 1, 1)), [MINOR], [], False, "came_of_age"),
    ("minor comes of age tomorrow", replace(INSIDE, born=date(2008, 1, 2)), [MINOR], [], True, COLLECT),
    ("minor of unknown age", INSIDE, [MINOR], [], False, "came_of_age"),
    ("of another study", INSIDE, [replace(BROAD, domain="study-1")], [], False, "no_document"),
    (
        "of this study",
        replace(INSIDE, study="study-1"),
        [replace(BROAD, domain="study-1")],
        [],
        True,
        COLLECT,
    ),
    (
        "of this study, general one missing it",
        replace(INSIDE, study="study-1"),
        [without(USE), replace(BROAD, domain="study-1")],
        [],
        True,
        COLLECT,
    ),
    ("another legal basis", replace(INSIDE, study="study-1"), [], [BASIS], True, "legal_basis"),
    (
        "another legal basis of another study",
        replace(INSIDE, study="study-2"),
        [],
        [BASIS],
        False,
        "no_document",
    ),
    ("another legal basis without a study", INSIDE, [], [BASIS], False, "no_document"),
    (
        "another legal basis of another time",
        replace(INSIDE, study="study-1", acquired=date(2009, 1, 1)),
        [],
        [BASIS],
        False,
        "no_document",
    ),
    (
        "study consent withdrawn stops the other basis",
        replace(INSIDE, study="study-1"),
        [replace(later(WITHDRAWN), domain="study-1")],
        [BASIS],
        False,
        "withdrawn",
    ),
]


@pytest.mark.parametrize("row", TABLE, ids=[row[0].replace(" ", "-") for row in TABLE])
def test_decision_table(
    row: tuple[str, Question, list[ConsentDocument], list[LegalBasis], bool, str],
) -> None:
    _, question, documents, bases, is_permitted, reason = row
    decision = decide(question, documents, bases)
    assert (decision.is_permitted, decision.reasons[0]) == (is_permitted, reason)
    assert (decision.basis == "none") == (not is_permitted)


@given(
    acquired=st.dates(date(2015, 1, 1), date(2030, 1, 1)),
    on=st.dates(date(2020, 9, 1), date(2060, 1, 1)),
    order=st.permutations([BROAD, later(V16F, 5), later(WITHDRAWN, 9)]),
)
def test_nothing_is_permitted_after_a_withdrawal_in_any_order(
    acquired: date, on: date, order: list[ConsentDocument]
) -> None:
    assert not decide(Question(acquired, on), order).is_permitted


@given(
    acquired=st.dates(date(2015, 1, 1), date(2030, 1, 1)),
    on=st.dates(date(2020, 9, 1), date(2060, 1, 1)),
    policy=st.sampled_from([STORE, USE, COLLECT]),
)
def test_more_denial_never_permits_more(acquired: date, on: date, policy: str) -> None:
    question = Question(acquired, on)
    stricter = also(deny(policy, date(2000, 1, 1), date(2100, 1, 1)))
    assert not decide(question, [stricter]).is_permitted


@given(
    st.lists(
        st.builds(
            Provision,
            policy=st.sampled_from([STORE, USE]),
            is_permit=st.booleans(),
            start=st.integers(0, 12).map(lambda day: SIGNED + timedelta(days=day)),
            end=st.integers(0, 12).map(lambda day: SIGNED + timedelta(days=day)),
        ),
        max_size=4,
    ),
    st.integers(0, 12),
)
def test_periods_hold_exactly_the_days_that_are_permitted(rules: list[Provision], after: int) -> None:
    paper = replace(BROAD, provisions=tuple(rules), given=SIGNED + timedelta(days=after))
    found = permitted_periods([paper])
    for number in range(15):
        day = SIGNED + timedelta(days=number)
        for policy in (STORE, USE):
            own = [rule for rule in rules if rule.policy == policy and rule.start <= day <= rule.end]
            permitted = number >= after and bool(own) and all(rule.is_permit for rule in own)
            assert permitted == any(name == policy and first <= day <= last for name, first, last in found)


def test_no_periods_where_nothing_is_permitted() -> None:
    assert permitted_periods([]) == []
    assert permitted_periods([BROAD, later(WITHDRAWN)]) == []
    assert permitted_periods([later(REFUSED)]) == []
    assert permitted_periods([MINOR]) == []
    born = date(2010, 5, 1)
    assert {last for _, _, last in permitted_periods([MINOR], born)} == {FIVE_YEARS, date(2028, 4, 30)}
