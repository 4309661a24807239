"""What one may ask of the legal basis: may this be read, may this be used for that study, and take it back.

Reads ask one condition in SQL: no block, and a permit of the subject or a basis of the site.  Studies ask item by item,
with the day of acquisition; only a process that holds the door to who is who can answer for a period of acquisition,
all others deny.
"""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from racoon.domain.consent import (
    ARCHIVE,
    REFUSALS,
    WITHDRAWALS,
    Decision,
    LegalBasis,
    Question,
    decide,
    newest_document,
    permitted_periods,
    window_of_use,
)
from racoon.domain.dataset import DatasetManifest
from racoon.domain.identity import Pseudonym
from racoon.node.cohorts import service as cohorts
from racoon.node.consent import _store
from racoon.node.consent.bases import Bases
from racoon.node.consent.model import (
    EVERYTHING,
    Affected,
    Item,
    KnownDocument,
    Withdrawal,
    WithdrawalState,
    fresh_documents,
    taken_back,
)
from racoon.node.consent.real_days import RealDays
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, UtcDateTime
from racoon.platform.prepared import PreparedSelect
from racoon.platform.texts import each_text

LIVE_FOR = timedelta(hours=24)
"""A consent that a server confirmed counts so long without being confirmed again; then it is denied."""

CENTRAL_RECIPIENT = "CENTRAL"

WithdrawnListener = Callable[[sa.Connection, Withdrawal], None]
"""Called in the transaction of a withdrawal: a room stops what it does with the subject."""

FindRecipients = Callable[[sa.Connection, Pseudonym], Sequence[tuple[str, str]]]
"""Pools that got a subject's data: pairs of study and site; ``app`` registers it."""

FindAffected = Callable[[sa.Connection, Pseudonym], Sequence[Affected]]
"""Frozen datasets that hold a subject, and what was trained on them; ``app`` registers it."""


def _is_permitted(
    pseudonym: sa.ColumnElement[Any], today: sa.ColumnElement[str], now: sa.ColumnElement[datetime]
) -> sa.ColumnElement[bool]:
    block, permit, basis = _store.block.alias(), _store.permit.alias(), _store.basis.alias()
    is_blocked = sa.exists().where(block.c.pseudonym == pseudonym, block.c.scope == EVERYTHING)
    has_permit = sa.exists().where(
        permit.c.pseudonym == pseudonym,
        permit.c.permitted_from <= today,
        permit.c.permitted_until >= today,
        sa.or_(permit.c.fresh_until.is_(None), permit.c.fresh_until > now),
    )
    has_basis = sa.exists().where(
        basis.c.study_id == ARCHIVE,
        basis.c.ended_at.is_(None),
        basis.c.valid_from <= today,
        sa.or_(basis.c.valid_until == "", basis.c.valid_until >= today),
    )
    return sa.and_(sa.not_(is_blocked), sa.or_(has_basis, has_permit))


@functools.cache
def _readable_among() -> PreparedSelect:
    name = each_text("names")
    today, now = sa.bindparam("today", type_=sa.Text), sa.bindparam("now", type_=UtcDateTime)
    return PreparedSelect(sa.select(name).where(_is_permitted(name, today, now)))


class Consent(Bases):
    """The legal basis of one node.

    Parameters
    ----------
    database, audit
        The node's own.
    days
        Real days of acquisition; None in a process that must not know them.
    on_withdrawn
        Rooms that act in the withdrawing transaction.
    find_affected
        Tells where a subject was used.
    find_recipients
        Tells to which pools a subject's data were sent.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        *,
        days: RealDays | None = None,
        on_withdrawn: Sequence[WithdrawnListener] = (),
        find_affected: FindAffected = lambda _connection, _pseudonym: (),
        find_recipients: FindRecipients = lambda _connection, _pseudonym: (),
    ) -> None:
        self._database = database
        super().__init__(audit)
        self._audit = audit
        self._days = days
        self._on_withdrawn = tuple(on_withdrawn)
        self._find_affected = find_affected
        self._find_recipients = find_recipients

    # -- reading

    def is_readable(self, pseudonym: Pseudonym) -> bool:
        """Tell whether anything of a subject may be read at this node now."""
        with self._database.connect() as connection:
            return pseudonym in self.readable_among(connection, (pseudonym,))

    def readable_among(
        self, connection: sa.Connection, pseudonyms: Collection[Pseudonym]
    ) -> frozenset[Pseudonym]:
        """Return those of some subjects of whom anything may be read at this node now, by one statement."""
        names = json.dumps(sorted(set(pseudonyms)))
        values = {"names": names, "today": _today().isoformat(), "now": clock.now()}
        found = _readable_among().scalars(connection, values)
        return frozenset(map(Pseudonym, found))

    def condition(self, pseudonym: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
        """Return the condition every statement over subjects joins: not blocked, and permitted.

        Parameters
        ----------
        pseudonym
            Column with the subject.
        """
        return _is_permitted(
            pseudonym, sa.literal(_today().isoformat()), sa.literal(clock.now(), UtcDateTime)
        )

    # -- using for a study

    def decide_items(
        self, connection: sa.Connection, study_id: str, items: Iterable[Item]
    ) -> dict[str, Decision]:
        """Decide item by item whether a study may use it; the answer carries its reasons.

        Returns
        -------
        dict
            Decision by series UID.
        """
        wanted = list(items)
        subjects = {item.pseudonym for item in wanted}
        blocked = _store.load_blocks(connection, subjects)
        documents = _store.load_documents(connection, subjects)
        bases = [basis.rule() for basis in _store.load_bases(connection, study_id, only_open=True)]
        today, now = _today(), clock.now()
        found: dict[str, Decision] = {}
        for item in wanted:
            if blocked.get(item.pseudonym, set()) & {EVERYTHING, study_id}:
                found[item.series_uid] = Decision(False, "none", ("withdrawn",))
                continue
            known = documents.get(item.pseudonym, [])
            found[item.series_uid] = self._decide(item, study_id, known, bases, today, now)
        return found

    def _decide(
        self,
        item: Item,
        study_id: str,
        known: Sequence[KnownDocument],
        bases: Sequence[LegalBasis],
        today: date,
        now: datetime,
    ) -> Decision:
        papers = fresh_documents(known, now)
        acquired = self._days.acquired(item) if self._days is not None else None
        if acquired is None:
            # A period of acquisition cannot be checked: only a basis that asks for none can hold, and no consent of
            # the study's own may have been taken back.
            bases = [basis for basis in bases if basis.covers_every_day]
            newest = newest_document(papers, study_id)
            own = [newest] if newest is not None and newest.version in WITHDRAWALS | REFUSALS else []
            verdict = decide(Question(today, today, study=study_id), own, bases)
            if verdict.basis == "legal_basis":
                return verdict
            return Decision(False, "none", ("day_unknown",), verdict.documents)
        born = min((entry.born for entry in known if entry.born), default=None)
        return decide(Question(acquired, today, study=study_id, born=born), papers, bases)

    def usable_part(
        self, connection: sa.Connection, manifest: DatasetManifest, days_shifted: Mapping[str, str]
    ) -> DatasetManifest:
        """Return what of a frozen dataset may still be used; it keeps the hash it was frozen with.

        Parameters
        ----------
        manifest
            As it was frozen.
        days_shifted
            Study Date by series UID.
        """
        items = [
            Item(entry.series_uid, entry.pseudonym, days_shifted.get(entry.series_uid, ""))
            for entry in manifest.series
        ]
        decisions = self.decide_items(connection, manifest.study_id, items)
        return manifest.without(uid for uid, verdict in decisions.items() if not verdict.is_permitted)

    # -- consents

    def record_documents(
        self, connection: sa.Connection, items: Sequence[KnownDocument], *, actor: str, actor_role: str
    ) -> list[Withdrawal]:
        """Record consent documents; one that withdraws or refuses takes effect in this transaction.

        Returns
        -------
        list of Withdrawal
            New ones.
        """
        moment = clock.now()
        changed = [item for item in items if _store.save_document(connection, item, moment)]
        subjects = {item.pseudonym for item in changed}
        self.renew_permits(connection, subjects)
        if changed:
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="consent.document.record",
                target="consent/documents",
                details={"documents": len(changed), "subjects": len(subjects)},
            )
        started = []
        for pseudonym, known in sorted(_store.load_documents(connection, subjects).items()):
            verdicts = taken_back(known)
            for domain, paper in sorted(verdicts.items()):
                scope = EVERYTHING if domain == "MII" else domain
                new = self.withdraw(
                    connection,
                    pseudonym,
                    scope,
                    reason=f"document {paper.version}",
                    source="consent",
                    actor=actor,
                    actor_role=actor_role,
                )
                started += [new] if new is not None else []
        return started

    def renew_permits(self, connection: sa.Connection, subjects: Collection[Pseudonym]) -> None:
        """Work out again what the documents of some subjects permit; reads ask the outcome."""
        documents = _store.load_documents(connection, subjects)
        for pseudonym in sorted(subjects):
            known = documents.get(pseudonym, [])
            born = min((entry.born for entry in known if entry.born), default=None)
            window = window_of_use([entry.document for entry in known], _today(), born)
            ages = [entry.fresh_until for entry in known if entry.fresh_until is not None]
            permitted = (window.start, window.end, window.document) if window else None
            _store.save_permit(connection, pseudonym, permitted, min(ages, default=None))
            periods = permitted_periods([entry.document for entry in known], born)
            cohorts.record_consent(connection, pseudonym, periods, min(ages, default=None))

    def documents(self, connection: sa.Connection, pseudonym: Pseudonym) -> list[KnownDocument]:
        """List the documents of a subject."""
        return _store.load_documents(connection, [pseudonym]).get(pseudonym, [])

    # -- taking back

    def withdraw(
        self,
        connection: sa.Connection,
        pseudonym: Pseudonym,
        scope: str = EVERYTHING,
        *,
        reason: str,
        source: str,
        actor: str,
        actor_role: str,
    ) -> Withdrawal | None:
        """End the use of a subject's data, in force when the caller's transaction commits.

        Parameters
        ----------
        connection
            Open write transaction.
        pseudonym
            Of the archive.
        scope
            :data:`EVERYTHING`, or the id of the one study that it is withdrawn from.
        reason, source
            Why, in words without names; and ``consent``, ``manual`` or ``central``.

        Returns
        -------
        Withdrawal or None
            None when it was withdrawn before.
        """
        withdrawal_id, moment = secrets.token_hex(8), clock.now()
        if not _store.insert_block(connection, pseudonym, scope, withdrawal_id, moment):
            return None
        affected = tuple(
            item
            for item in self._find_affected(connection, pseudonym)
            if scope in (EVERYTHING, item.study_id)
        )
        values: dict[str, Any] = {
            "withdrawal_id": withdrawal_id,
            "pseudonym": pseudonym,
            "scope": scope,
            "reason": reason[:500],
            "source": source[:40],
            "recorded_by": actor[:80],
            "recorded_role": actor_role[:200],
            "recorded_at": moment,
            "state": WithdrawalState.BLOCKED.value,
            "proof": None,
            "proof_hash": "",
        }
        number = _store.insert_withdrawal(
            connection,
            **values,
            affected=[
                {"study_id": item.study_id, "dataset_hash": item.dataset_hash, "run_ids": list(item.run_ids)}
                for item in affected
            ],
        )
        runs: dict[str, set[str]] = {}
        for item in affected:
            runs.setdefault(item.study_id, set()).update(item.run_ids)
        told = [(study_id, CENTRAL_RECIPIENT, sorted(run_ids)) for study_id, run_ids in sorted(runs.items())]
        told += [
            (study_id, pool, [])
            for study_id, pool in self._find_recipients(connection, pseudonym)
            if scope in (EVERYTHING, study_id)
        ]
        for study_id, recipient, trained in told:
            connection.execute(
                _store.tombstone.insert().values(
                    tombstone_id=secrets.token_hex(16),
                    withdrawal_number=number,
                    recipient=recipient,
                    study_id=study_id,
                    study_pseudonym="",
                    run_ids=trained,
                    created_at=moment,
                    attempts=0,
                )
            )
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action="consent.withdraw",
            target=f"subject/{pseudonym}",
            purpose=scope or "all",
            details={
                "withdrawal": withdrawal_id,
                "studies": sorted(runs),
                "trainings": sorted(set().union(*runs.values())) if runs else [],
            },
        )
        written = _store.load_withdrawals(connection, _store.withdrawal.c.number == number)[0]
        for listener in self._on_withdrawn:
            listener(connection, written)
        return written

    def withdrawals(self, connection: sa.Connection) -> list[Withdrawal]:
        """List all withdrawals, newest first."""
        return _store.load_withdrawals(connection)

    def newest(self, connection: sa.Connection) -> int:
        """Return the number of the newest withdrawal; a job remembers the one it began with."""
        return _store.newest_withdrawal(connection)

    def withdrawn_since(
        self, connection: sa.Connection, number: int, study_id: str, subjects: Collection[Pseudonym] | None
    ) -> bool:
        """Tell whether one of some subjects withdrew after a withdrawal, from everything or from a study.

        Parameters
        ----------
        subjects
            Whom the work was about; None when it may have been anybody.
        """
        found = _store.load_withdrawals(
            connection,
            _store.withdrawal.c.number > number,
            _store.withdrawal.c.scope.in_((EVERYTHING, study_id)),
        )
        return any(subjects is None or item.pseudonym in subjects for item in found)


def _today() -> date:
    return clock.now().astimezone().date()
