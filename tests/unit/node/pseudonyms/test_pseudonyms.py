"""Pseudonyms: stable, unlinkable between domains, reversible only with two people, and nothing in plain
text."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.pseudonyms import model
from racoon.node.pseudonyms.model import (
    KeyFileBroken,
    KeyFileUnsafe,
    ReidentificationRefused,
    ReidentificationRequest,
    UnknownPseudonym,
)
from racoon.node.pseudonyms.service import Pseudonymiser, reidentify
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all

NAMES = Pseudonymiser(None, None)
REQUEST = ReidentificationRequest(
    "anna", frozenset({"dpo"}), "bernd", frozenset({"diz"}), "incidental finding, study 7"
)


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Pseudonymiser]:
    names = Pseudonymiser(tmp_path / "keys" / "pseudonyms.json", f"sqlite:///{tmp_path}/mapping.sqlite")
    yield names
    names.close()


@given(st.text(min_size=1, max_size=64), st.text(min_size=1, max_size=64))
def test_same_patient_same_pseudonym_other_patient_other(first: str, second: str) -> None:
    one, two = (NAMES.pseudonym(PatientId(text)) for text in (first, second))
    assert model.is_pseudonym(one)
    assert (one == two) == (model.canonical_id(PatientId(first)) == model.canonical_id(PatientId(second)))


@given(st.text(min_size=1, max_size=64), st.sampled_from(range(26)), st.sampled_from(model.ALPHABET))
def test_check_character_finds_a_wrong_one(patient: str, position: int, character: str) -> None:
    good = NAMES.pseudonym(PatientId(patient))
    start = good.index("-") + 1 + position
    wrong = good[:start] + character + good[start + 1 :]
    assert model.is_pseudonym(wrong) == (wrong == good)


def test_domains_cannot_be_joined() -> None:
    patient = PatientId("4711")
    assert NAMES.pseudonym(patient, "a") != NAMES.pseudonym(patient, "b")
    assert NAMES.uid("1.2.3", "a") != NAMES.uid("1.2.3", "b")


@given(st.text(min_size=1), st.integers(1, 180))
def test_shift_is_one_number_never_zero(patient: str, limit: int) -> None:
    shift = NAMES.date_shift_days(PatientId(patient), limit_days=limit)
    assert shift == NAMES.date_shift_days(PatientId(patient), limit_days=limit)
    assert 1 <= abs(shift) <= limit


def test_shifts_cover_both_directions() -> None:
    shifts = {NAMES.date_shift_days(PatientId(str(number)), limit_days=2) for number in range(200)}
    assert shifts == {-2, -1, 1, 2}


@given(st.from_regex(r"1\.[1-9][0-9]{0,8}(\.[1-9][0-9]{0,8}){1,5}", fullmatch=True))
def test_uids_are_replaced_consistently(uid: str) -> None:
    new = NAMES.uid(uid)
    assert new == NAMES.uid(uid)
    assert new.startswith("2.25.")
    assert len(new) <= 64
    assert str(int(new[5:])) == new[5:]


@pytest.mark.parametrize("uid", ["1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.1"])
def test_uids_of_the_standard_stay(uid: str) -> None:
    assert NAMES.uid(uid) == uid


def test_number_under_the_standard_s_root_is_not_the_standard_s() -> None:
    assert NAMES.uid("1.2.840.10008.5.1.19510829.4711").startswith("2.25.")


def test_key_outlives_the_process(names: Pseudonymiser, tmp_path: Path) -> None:
    again = Pseudonymiser(tmp_path / "keys" / "pseudonyms.json", f"sqlite:///{tmp_path}/mapping.sqlite")
    assert again.pseudonym(PatientId("4711")) == names.pseudonym(PatientId("4711"))
    again.close()
    assert stat.S_IMODE((tmp_path / "keys" / "pseudonyms.json").stat().st_mode) == 0o600


def test_key_that_others_can_read_is_refused(names: Pseudonymiser, tmp_path: Path) -> None:
    (tmp_path / "keys" / "pseudonyms.json").chmod(0o644)
    with pytest.raises(KeyFileUnsafe):
        Pseudonymiser(tmp_path / "keys" / "pseudonyms.json", None)


def test_damaged_key_is_never_replaced(names: Pseudonymiser, tmp_path: Path) -> None:
    (tmp_path / "keys" / "pseudonyms.json").write_text("{}")
    with pytest.raises(KeyFileBroken):
        Pseudonymiser(tmp_path / "keys" / "pseudonyms.json", None)


def test_mapping_holds_no_plain_text(names: Pseudonymiser, tmp_path: Path) -> None:
    for number in range(50):
        names.pseudonym(PatientId(f"PATIENT-{number:04d}-MUELLER"))
    for file in tmp_path.glob("mapping.sqlite*"):
        content = file.read_bytes()
        assert b"MUELLER" not in content
        assert b"PATIENT-" not in content


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    yield database
    database.dispose()


def test_two_people_with_a_reason_reidentify_and_leave_a_trace(
    names: Pseudonymiser, database: Database
) -> None:
    subject = names.pseudonym(PatientId("4711"))
    audit = AuditLog("node")
    assert reidentify(names, subject, "archive", REQUEST, database=database, audit=audit) == "4711"
    with database.connect() as connection:
        entry = next(iter(audit.entries(connection, 1)))
    assert (entry.action, entry.actor, entry.outcome) == ("subject.reidentify", "anna", "success")
    assert entry.details["second_person"] == "bernd"
    assert "4711" not in repr(entry)


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": "why not"},
        {"second_person": "anna"},
        {"second_person": " "},
        {"actor_roles": frozenset({"site_informatician"})},
        {"second_roles": frozenset({"reader"})},
    ],
)
def test_anything_less_is_refused_and_audited(
    names: Pseudonymiser, database: Database, changes: dict[str, object]
) -> None:
    subject = names.pseudonym(PatientId("4711"))
    audit = AuditLog("node")
    request = ReidentificationRequest(**{**REQUEST.__dict__, **changes})
    with pytest.raises(ReidentificationRefused):
        reidentify(names, subject, "archive", request, database=database, audit=audit)
    with database.connect() as connection:
        assert next(iter(audit.entries(connection, 1))).outcome == "refused"


def test_unknown_pseudonym_and_other_domain_are_unknown(names: Pseudonymiser) -> None:
    subject = names.pseudonym(PatientId("4711"))
    for pseudonym, domain in ((Pseudonym("R1-X"), "archive"), (subject, "study-a")):
        with pytest.raises(UnknownPseudonym):
            names.reveal(pseudonym, domain)
