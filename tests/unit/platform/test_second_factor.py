"""One-time codes: RFC 6238's own numbers, no code twice, no new tries at the code by the password."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from racoon.domain.identity import Role
from racoon.platform import clock
from racoon.platform.auth import (
    AccountStore,
    CodeNeeded,
    LoginThrottled,
    NotSignedIn,
    User,
    WrongCode,
    second_factor,
)
from racoon.platform.database import Database, create_all

PASSWORD = "correct horse"
RFC_SECRET = base64.b32encode(b"12345678901234567890").decode()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    yield database
    database.dispose()


@pytest.fixture
def accounts(database: Database) -> AccountStore:
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER])
    return accounts


@pytest.mark.parametrize(
    ("second", "code"),
    [
        (59, "287082"),
        (1111111109, "081804"),
        (1111111111, "050471"),
        (1234567890, "005924"),
        (2000000000, "279037"),
        (20000000000, "353130"),
    ],
)
def test_codes_are_those_of_the_standard(second: int, code: str) -> None:
    """RFC 6238 appendix B, the last six of its eight digits."""
    moment = datetime.fromtimestamp(second, UTC)
    assert second_factor.code_at(RFC_SECRET, moment) == code
    assert second_factor.step_of(RFC_SECRET, f" {code[:3]} {code[3:]} ", moment, after_step=0) == second // 30


def test_a_code_fits_its_step_and_its_neighbours_only() -> None:
    moment = datetime(2026, 11, 23, tzinfo=UTC)
    code = second_factor.code_at(RFC_SECRET, moment)
    for shift, fits in ((-60, False), (-30, True), (0, True), (30, True), (60, False)):
        found = second_factor.step_of(RFC_SECRET, code, moment + timedelta(seconds=shift), after_step=0)
        assert (found is not None) == fits, shift
    step = second_factor.step_of(RFC_SECRET, code, moment, after_step=0)
    assert step is not None
    assert second_factor.step_of(RFC_SECRET, code, moment, after_step=step) is None
    for wrong in ("", "12345", "1234567", "abcdef", "١٢٣٤٥٦"):
        assert second_factor.step_of(RFC_SECRET, wrong, moment, after_step=0) is None


def with_factor(accounts: AccountStore, database: Database) -> tuple[str, list[str]]:
    secret = second_factor.make_secret()
    # The code of the step before is taken when it is set up: the next one is there at once.
    earlier = clock.now() - timedelta(seconds=30)
    return secret, accounts.set_second_factor(
        database, "rita", secret, second_factor.code_at(secret, earlier)
    )


def test_password_and_code_are_both_needed_and_a_code_works_once(
    accounts: AccountStore, database: Database
) -> None:
    secret, recovery = with_factor(accounts, database)
    with pytest.raises(CodeNeeded):
        accounts.verify(database, "rita", PASSWORD)
    code = second_factor.code_at(secret, clock.now())
    assert accounts.verify(database, "rita", PASSWORD, code).has_second_factor
    with pytest.raises(WrongCode):
        accounts.verify(database, "rita", PASSWORD, code)
    assert accounts.verify(database, "rita", PASSWORD, recovery[0].upper()).name == "rita"
    with pytest.raises(WrongCode):
        accounts.verify(database, "rita", PASSWORD, recovery[0])
    with database.connect() as connection:
        stored = str(connection.exec_driver_sql("SELECT recovery_hashes FROM account").scalar())
    assert not any(code in stored for code in recovery)


def test_the_right_password_gives_no_new_tries_at_the_code(
    accounts: AccountStore, database: Database
) -> None:
    with_factor(accounts, database)
    refusals = []
    for _ in range(12):
        try:
            accounts.verify(database, "rita", PASSWORD, "000000")
        except (WrongCode, LoginThrottled) as refusal:
            refusals.append(type(refusal))
    assert LoginThrottled in refusals
    assert refusals.count(WrongCode) <= 6


def test_a_password_that_waits_for_its_code_is_no_session(
    accounts: AccountStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = with_factor(accounts, database)
    waiting = accounts.open_session(
        database, User("rita", frozenset()), lifetime=timedelta(minutes=5), awaits_code=True
    )
    assert accounts.user_of_session(database, waiting.token) is None
    opened = accounts.finish_session(database, waiting.token, second_factor.code_at(secret, clock.now()))
    assert opened.token != waiting.token
    user = accounts.user_of_session(database, opened.token)
    assert user is not None
    assert user.roles == {Role.READER}
    with pytest.raises(NotSignedIn):
        accounts.finish_session(database, waiting.token, "000000")
    late = accounts.open_session(
        database, User("rita", frozenset()), lifetime=timedelta(minutes=5), awaits_code=True
    )
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(minutes=6))
    with pytest.raises(NotSignedIn):
        accounts.finish_session(database, late.token, second_factor.code_at(secret, clock.now()))
