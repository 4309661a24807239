"""Two numbers become one patient (ADT^A40), or two again (A37): rows move at once, later data follow, images that lie
there are listed.

Every step may be cut off and is done again: rows first, then the alias behind the door, then rows that came between.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.clinical import _between, _merge_store, _origins
from racoon.node.clinical import _store as _clinical
from racoon.node.clinical._merge_store import Merge
from racoon.node.clinical.hl7.model import HeldMessage
from racoon.node.clinical.importing import RowsListener
from racoon.node.clinical.rebasing import move_subject
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN, MergedElsewhere, UnknownPseudonym, canonical_id
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.fhir.building import Resource

ACTOR, ROLE = "hl7", "system"


def joined(connection: sa.Connection, pseudonym: Pseudonym) -> set[Pseudonym]:
    """Return the other pseudonyms of a person whose numbers were merged."""
    return _merge_store.joined(connection, pseudonym)


class Merger:
    """Merges patients at one node.

    Parameters
    ----------
    database, audit
        The node's own.
    names
        The door to who is who.
    shift_limit_days
        Of the de-identification profile in force.
    on_stored
        Listeners that keep tables of their own.
    withdrawn
        Tells from what a subject withdrew.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        names: Pseudonymiser,
        *,
        shift_limit_days: int,
        on_stored: Sequence[RowsListener] = (),
        withdrawn: Callable[[Pseudonym], frozenset[str]] = lambda _: frozenset(),
    ) -> None:
        self._database, self._audit, self._names = database, audit, names
        self._limit = shift_limit_days
        self._on_stored = tuple(on_stored)
        self._withdrawn = withdrawn

    def merge(self, old_number: str, surviving_number: str) -> None:
        """Let one number go on as another one; again without harm, also where neither is known yet.

        Raises
        ------
        HeldMessage
            If the old number was merged into another patient before, or the two did not withdraw from the same:
            nothing is changed.
        """
        names, old = self._names, PatientId(old_number)
        survivor, present = names.survivor(PatientId(surviving_number)), names.survivor(old)
        own = PatientId(canonical_id(old))
        if own == survivor:
            # They are one patient already, merged in the other direction.
            return
        if present not in (own, survivor):
            raise HeldMessage("merged_elsewhere")
        if present == own and self._withdrawn(self._own(own)) != self._withdrawn(self._own(survivor)):
            # A withdrawal must not end, nor begin, because an office found two numbers to be one person.
            raise HeldMessage("withdrawn")
        self._move(own, survivor)
        try:
            names.merge(old, survivor)
        except MergedElsewhere as error:
            raise HeldMessage("merged_elsewhere") from error
        self._move(own, survivor)

    def part(self, first_number: str, second_number: str) -> int:
        """Take a merge of two numbers back; again without harm, also where they never were merged.

        Returns
        -------
        int
            Resources that went back.  What came under the surviving number stays there, and a person decides about it.

        Raises
        ------
        HeldMessage
            If they are one patient by way of a third number: nothing is changed.
        """
        names, pair = self._names, (PatientId(first_number), PatientId(second_number))
        parted = names.part(*pair)
        if parted is None and names.survivor(pair[0]) == names.survivor(pair[1]):
            raise HeldMessage("merged_through")
        with self._database.connect() as connection:
            owns = [self._own(PatientId(canonical_id(number))) for number in pair]
            # After a crash the alias may be gone already and the record of the merge still there.
            known = [
                found
                for own, other in (owns, owns[::-1])
                if (found := _merge_store.load_merge(connection, own)) is not None
                and found.surviving == other
            ]
        return sum(self._take_back(item) for item in known)

    def _take_back(self, item: Merge) -> int:
        names = self._names
        current = names.survivor(names.reveal(Pseudonym(item.surviving), ARCHIVE_DOMAIN))
        here, moved = self._own(current), 0
        before = names.date_shift_days(current, limit_days=self._limit, is_merged=False)
        with self._database.begin() as connection:
            for own, keys in _origins.of_subject(connection, here).items():
                target = names.survivor(names.reveal(own, ARCHIVE_DOMAIN))
                if target == current:
                    continue
                days = names.date_shift_days(target, limit_days=self._limit, is_merged=False) - before
                moved += move_subject(connection, here, self._own(target), days, self._on_stored, keys=keys)
            _merge_store.record_parting(connection, item, moved)
            undecided = self._list_undecided(connection, here, Pseudonym(item.old))
            self._audit.append(
                connection,
                actor=ACTOR,
                actor_role=ROLE,
                action="clinical.part",
                target=f"{ARCHIVE_DOMAIN}/{item.surviving}",
                details={"old": item.old, "moved": moved, "undecided": undecided},
            )
        return moved

    def _list_undecided(self, connection: sa.Connection, here: Pseudonym, old: Pseudonym) -> int:
        """List what came under the surviving number while the other one led to it."""
        keys = _origins.among_merged(connection, here)
        target = self._own(self._names.survivor(self._names.reveal(old, ARCHIVE_DOMAIN)))
        if target == here:
            return 0
        _between.note(connection, keys, target, here)
        if here not in _merge_store.surviving(connection):
            _origins.forget(connection, keys)
        return len(keys)

    def settle(self, keys: Collection[str], *, goes: bool, actor: str, actor_role: str) -> int:
        """Record whose some resources are that came while two numbers were one; returns how many were decided.

        Parameters
        ----------
        keys
            Of the list; what is not on it any more is left out.
        goes
            They belong to the number that had been merged away: they go there, dates moved with its shift.
        """
        names = self._names
        with self._database.begin() as connection:
            rows = _between.load(connection, sorted(keys))
            pairs: dict[tuple[Pseudonym, Pseudonym], list[str]] = {}
            for row in rows:
                pair = (Pseudonym(row["surviving_pseudonym"]), Pseudonym(row["old_pseudonym"]))
                pairs.setdefault(pair, []).append(row["key"])
            for (here, target), found in sorted(pairs.items()):
                if goes:
                    shifts = [
                        names.date_shift_days(
                            names.reveal(name, ARCHIVE_DOMAIN), limit_days=self._limit, is_merged=False
                        )
                        for name in (here, target)
                    ]
                    days = shifts[1] - shifts[0]
                    move_subject(connection, here, target, days, self._on_stored, keys=found)
                _between.forget(connection, found)
                self._audit.append(
                    connection,
                    actor=actor,
                    actor_role=actor_role,
                    action="clinical.part.settle",
                    target=f"{ARCHIVE_DOMAIN}/{here}",
                    details={"old": target, "resources": len(found), "goes": goes},
                )
        return len(rows)

    def note_origins(self, number: PatientId, resources: Sequence[Resource]) -> set[str]:
        """Note of resources that are new here under which number they come, where it leads to another one.

        Parameters
        ----------
        number
            Under which they came.
        resources
            As made of a message; the Patient is the surviving one's, whoever told it.

        Returns
        -------
        set of str
            Keys that were noted now.
        """
        token = self._names.token
        keys = {
            token(f"fhir/{item['resourceType']}/{item['id']}")
            for item in resources
            if item["resourceType"] != "Patient"
        }
        with self._database.begin() as connection:
            fresh = keys - set(_clinical.known_hashes(connection, sorted(keys)))
            _origins.note(connection, sorted(fresh), self._own(PatientId(canonical_id(number))))
        return fresh

    def forget_origins(self, keys: Collection[str]) -> None:
        """Forget notes of resources that were not taken after all."""
        with self._database.begin() as connection:
            _origins.forget(connection, keys)

    def sweep(self) -> int:
        """Move what another process filed under an old pseudonym while a merge was under way; returns how many."""
        with self._database.connect() as connection:
            merges = _merge_store.load_merges(connection)
        moved = 0
        for item in merges:
            try:
                own = self._names.reveal(Pseudonym(item.old), ARCHIVE_DOMAIN)
            except UnknownPseudonym:
                continue
            survivor = self._names.survivor(own)
            if survivor != own:
                moved += self._move(own, survivor)
        return moved

    def merges(self) -> list[Merge]:
        """List merges, newest first."""
        with self._database.connect() as connection:
            return _merge_store.load_merges(connection)

    def _move(self, own: PatientId, survivor: PatientId) -> int:
        names, old, surviving = self._names, self._own(own), self._own(survivor)
        before = names.date_shift_days(own, limit_days=self._limit, is_merged=False)
        days = names.date_shift_days(survivor, limit_days=self._limit, is_merged=False) - before
        with self._database.begin() as connection:
            moved = move_subject(connection, old, surviving, days, self._on_stored)
            is_new = _merge_store.record_merge(connection, old, surviving, moved)
            if is_new and (waiting := _between.keys_of_pair(connection, old, surviving)):
                # They are one again: should they be parted once more, these wait once more.
                _between.forget(connection, waiting)
                _origins.note(connection, sorted(waiting), surviving)
            if is_new or moved:
                self._record(connection, old, surviving, moved)
        return moved

    def _own(self, number: PatientId) -> Pseudonym:
        return self._names.pseudonym(number, is_merged=False)

    def _record(self, connection: sa.Connection, old: Pseudonym, surviving: Pseudonym, moved: int) -> None:
        self._audit.append(
            connection,
            actor=ACTOR,
            actor_role=ROLE,
            action="clinical.merge",
            target=f"{ARCHIVE_DOMAIN}/{surviving}",
            details={"old": old, "moved": moved},
        )
