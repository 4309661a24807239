"""The way back, encrypted at rest: pseudonym to patient, in a database file of its own."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from sqlalchemy.dialects import postgresql, sqlite

from racoon.node.pseudonyms.model import KeyFileBroken
from racoon.platform.database import Database

_METADATA = sa.MetaData()
"""Not the node's collection of tables: this one never shares a file, a backup or a connection with them."""

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

    def open(self, domain: str, pseudonym: str) -> str | None:
        """Give the patient's number behind a pseudonym, None if there is none."""
        query = sa.select(MAPPING.c.sealed).where(
            MAPPING.c.domain == domain, MAPPING.c.pseudonym == pseudonym
        )
        with self._database.connect() as connection:
            sealed = connection.execute(query).scalar_one_or_none()
        if sealed is None:
            return None
        try:
            return self._cipher.decrypt(sealed, [domain.encode(), pseudonym.encode()]).decode()
        except InvalidTag as error:
            raise KeyFileBroken("The pseudonym key does not open the mapping table.") from error
