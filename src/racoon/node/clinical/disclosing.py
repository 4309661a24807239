"""Puts into the audit of whom something is given out as FHIR: by search, bulk export, files, to another server.

One entry names the subjects of one page, in the order in which they are given; as FHIR it becomes one AuditEvent each.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import sqlalchemy as sa

from racoon.node.clinical.rights import subject_of
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource
from racoon.standards.fhir.disclosures import DISCLOSED

AT_ONCE = 200
"""Resources of a stream that one entry is about."""


class Disclosing:
    """Of one deed of one person.

    Parameters
    ----------
    audit
        The node's log.
    actor, role
        Who asked.
    client
        From which address; None for a command at this machine.
    """

    def __init__(self, audit: AuditLog, actor: str, role: str, client: str | None = None) -> None:
        self._audit = audit
        self._actor = actor
        self._role = role
        self._client = client

    def record(self, connection: sa.Connection, target: str, resources: Iterable[Resource]) -> None:
        """Record of whom some resources are; nothing where they are of nobody."""
        subjects = dict.fromkeys(filter(None, map(subject_of, resources)))
        if subjects:
            self._audit.append(
                connection,
                actor=self._actor,
                actor_role=self._role,
                action=DISCLOSED,
                target=target,
                client=self._client,
                details={"subjects": list(subjects)},
            )

    def stream(self, database: Database, target: str, resources: Iterable[Resource]) -> Iterator[Resource]:
        """Yield resources as they come, each after the entry about it is committed."""
        source = iter(resources)
        while page := list(islice(source, AT_ONCE)):
            with database.begin() as connection:
                self.record(connection, target, page)
            yield from page
