"""Who may be read, asked for a whole page: the same on both databases, and what asking one by one says."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Pseudonym
from racoon.node.consent import _store
from racoon.node.consent.model import EVERYTHING, basis_of
from racoon.node.consent.service import Consent
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_page_of_subjects_is_what_each_of_them_is(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    is_sqlite = kind == "sqlite"
    url = f"sqlite:///{tmp_path}/node.sqlite" if is_sqlite else request.getfixturevalue("postgresql_url")
    database = Database(str(url))
    create_all(database, "node")
    consent = Consent(database, AuditLog("node"))
    subjects = [Pseudonym("R1-ANNA"), Pseudonym('R1-"QUOTED"'), Pseudonym("R1-GONE")]
    with database.connect() as connection:
        assert consent.readable_among(connection, subjects) == frozenset()
    with database.begin() as connection:
        words = {"kind": "synthetic", "document": "invented", "scope": "all", "approved_by": "A. Amt"}
        basis = basis_of({"study_id": ARCHIVE, **words})
        consent.record_basis(connection, basis, actor="test", actor_role="test")
        gone = {"pseudonym": "R1-GONE", "scope": EVERYTHING, "withdrawal_id": "1", "blocked_at": clock.now()}
        connection.execute(sa.insert(_store.block).values(**gone))
    with database.connect() as connection:
        assert consent.readable_among(connection, subjects) == frozenset(subjects[:2])
    assert [consent.is_readable(subject) for subject in subjects] == [True, True, False]
    database.dispose()
