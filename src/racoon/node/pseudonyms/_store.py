"""The way back, encrypted at rest: pseudonym to patient, in a database file of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy.dialects import postgresql, sqlite

from racoon.node.pseudonyms.model import KeyFileBroken
from racoon.platform.database import Database

_METADATA = sa.MetaData()
"""Not the node's collection of tables: this one never shares a file, a backup or a connection with them."""

AT_ONCE = 500
"""Names in one question."""

MAPPING = sa.Table(
    "mapping",
    _METADATA,
    sa.Column("domain", sa.String(128), primary_key=True),
    sa.Column("pseudonym", sa.String(64), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)


class MappingTable:
    """Sealed patient numbers by domain and pseudonym."""

    def __init__(self, database: Database, key: bytes) -> None:
        self._database = database
        self._cipher = AESSIV(key)
        with database.begin() as connection:
            _METADATA.create_all(connection)

    def close(self) -> None:
        """Close idle connections."""
        self._database.dispose()

    def remember(self, domain: str, pseudonym: str, patient_id: str) -> None:
        """Record a patient once; another call with the same pseudonym changes nothing."""
        self.remember_many([(domain, pseudonym, patient_id)])

    def remember_many(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Record (domain, pseudonym, patient) of many, each once, in one transaction."""
        if not entries:
            return
        insert = postgresql.insert if self._database.dialect == "postgresql" else sqlite.insert
        rows = [
            {
                "domain": domain,
                "pseudonym": pseudonym,
                "sealed": self._cipher.encrypt(patient_id.encode(), [domain.encode(), pseudonym.encode()]),
            }
            for domain, pseudonym, patient_id in entries
        ]
        with self._database.begin() as connection:
            connection.execute(insert(MAPPING).on_conflict_do_nothing(), rows)

    def count(self, domain: str) -> int:
        """Count what a domain holds."""
        with self._database.connect() as connection:
            query = sa.select(sa.func.count()).select_from(MAPPING).where(MAPPING.c.domain == domain)
            return int(connection.execute(query).scalar_one())

    def names(self, domain: str) -> frozenset[str]:
        """Return the keyed names of a domain."""
        with self._database.connect() as connection:
            query = sa.select(MAPPING.c.pseudonym).where(MAPPING.c.domain == domain)
            return frozenset(connection.execute(query).scalars())

    def forget(self, domain: str, pseudonyms: Sequence[str]) -> None:
        """Erase some entries of a domain, in one transaction."""
        with self._database.begin() as connection:
            for start in range(0, len(pseudonyms), AT_ONCE):
                chunk = list(pseudonyms[start : start + AT_ONCE])
                connection.execute(
                    sa.delete(MAPPING).where(MAPPING.c.domain == domain, MAPPING.c.pseudonym.in_(chunk))
                )
        self._database.forget_deleted_pages()

    def replace(self, gone: tuple[str, str], mark: tuple[str, str, str]) -> None:
        """Forget one entry (domain, pseudonym) and record another one, in one transaction."""
        domain, pseudonym, patient_id = mark
        sealed = self._cipher.encrypt(patient_id.encode(), [domain.encode(), pseudonym.encode()])
        with self._database.begin() as connection:
            connection.execute(
                sa.delete(MAPPING).where(MAPPING.c.domain == gone[0], MAPPING.c.pseudonym == gone[1])
            )
            row = {"domain": domain, "pseudonym": pseudonym, "sealed": sealed}
            connection.execute(sa.insert(MAPPING).values(row))

    def iterate(self, domain: str, page: int = 1000) -> Iterator[tuple[str, str]]:
        """Yield pseudonym and patient of a domain, page by page."""
        after = ""
        while True:
            query = (
                sa.select(MAPPING.c.pseudonym)
                .where(MAPPING.c.domain == domain, MAPPING.c.pseudonym > after)
                .order_by(MAPPING.c.pseudonym)
                .limit(page)
            )
            with self._database.connect() as connection:
                found = list(connection.execute(query).scalars())
            for pseudonym in found:
                patient = self.open(domain, pseudonym)
                if patient is not None:
                    yield pseudonym, patient
            if len(found) < page:
                return
            after = found[-1]

    def open(self, domain: str, pseudonym: str) -> str | None:
        """Give the patient's number behind a pseudonym, None if there is none."""
        query = sa.select(MAPPING.c.sealed).where(
            MAPPING.c.domain == domain, MAPPING.c.pseudonym == pseudonym
        )
        with self._database.connect() as connection:
            sealed = connection.execute(query).scalar_one_or_none()
        return None if sealed is None else self._unsealed(domain, pseudonym, sealed)

    def open_many(self, domain: str, pseudonyms: Sequence[str]) -> dict[str, str]:
        """Give the patients' numbers behind some pseudonyms; who is not recorded is left out."""
        found = {}
        with self._database.connect() as connection:
            for start in range(0, len(pseudonyms), AT_ONCE):
                query = sa.select(MAPPING.c.pseudonym, MAPPING.c.sealed).where(
                    MAPPING.c.domain == domain,
                    MAPPING.c.pseudonym.in_(list(pseudonyms[start : start + AT_ONCE])),
                )
                for row in connection.execute(query):
                    found[row.pseudonym] = self._unsealed(domain, row.pseudonym, row.sealed)
        return found

    def _unsealed(self, domain: str, pseudonym: str, sealed: bytes) -> str:
        try:
            return self._cipher.decrypt(sealed, [domain.encode(), pseudonym.encode()]).decode()
        except InvalidTag as error:
            raise KeyFileBroken("The pseudonym key does not open the mapping table.") from error
