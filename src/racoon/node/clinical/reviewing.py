"""The reviewed list in use: two descriptions side by side, a decision that merges or parts, records that wait for it.

Opens the door to who is who for as long as a question takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import ClassVar

from racoon.domain.identity import PatientId
from racoon.errors import Refused
from racoon.node.clinical import doubts
from racoon.node.clinical.doubts import Doubt, NoSuchDoubt, State
from racoon.node.clinical.hl7.merging import Merger
from racoon.node.clinical.hl7.model import HeldMessage
from racoon.node.clinical.trust.model import FoundIdentity, IdentityLink
from racoon.node.pseudonyms.cards import Card
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.science.linkage.filters import Person
from racoon.standards.fhir.building import Resource


class CannotDecide(Refused):
    """A decision that would not do what it says."""

    code: ClassVar[str] = "clinical.cannot_decide"
    status: ClassVar[int] = 409


class Review:
    """The list of doubtful identities of one node.

    Parameters
    ----------
    database, audit
        The node's own.
    open_names
        Opens the door to who is who.
    open_merger
        Makes what merges and parts numbers.
    compares_names
        Whether this node keeps names to compare them; else nothing new comes onto the list.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        open_names: Callable[[], Pseudonymiser],
        open_merger: Callable[[Pseudonymiser], Merger],
        *,
        compares_names: bool = True,
    ) -> None:
        self.compares_names = compares_names
        self._database, self._audit = database, audit
        self._open_names, self._open_merger = open_names, open_merger

    @contextmanager
    def _names(self) -> Iterator[Pseudonymiser]:
        names = self._open_names()
        try:
            yield names
        finally:
            names.close()

    def side_by_side(self, number: int, *, actor: str, actor_role: str) -> tuple[Doubt, Card, Card]:
        """Show the two descriptions of a pair to a person, without any pseudonym; audited before it is answered.

        Raises
        ------
        NoSuchDoubt
        """
        with self._database.begin() as connection:
            item = doubts.load_doubt(connection, number)
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="clinical.doubt.look",
                target=f"doubt/{number}",
                details={"kind": item.kind},
            )
        with self._names() as names:
            left, right = self._cards(names, item)
        return item, left, right

    def decide(
        self, number: int, state: State, *, reason: str, standing: str = "", actor: str, actor_role: str
    ) -> None:
        """Decide a pair: one person, two, or later; a match of two numbers merges them at once.

        Parameters
        ----------
        standing
            ``left`` or ``right``: the number that stands, where two numbers become one patient.

        Raises
        ------
        NoSuchDoubt
        CannotDecide
            If the numbers cannot be merged; nothing is changed.
        """
        with self._database.connect() as connection:
            item = doubts.load_doubt(connection, number)
        if item.state not in doubts.OPEN_STATES:
            raise NoSuchDoubt("Somebody decided this pair before. Undo that first.")
        if (state != "later" and reason == "unclear") or reason not in doubts.REASONS:
            raise CannotDecide(
                "Say how you know: a decision needs a reason, and 'it cannot be told' means later."
            )
        with self._names() as names:
            merges = state == "match" and item.kind == "two_numbers"
            if merges:
                if standing not in ("left", "right"):
                    raise CannotDecide("Choose the number that stands.")
                left, right = self._cards(names, item)
                old, surviving = (right, left) if standing == "left" else (left, right)
                self._record(item, state, reason, standing, actor, actor_role)
                try:
                    self._open_merger(names).merge(old.number, surviving.number)
                except HeldMessage as error:
                    with self._database.connect() as connection:
                        decided = doubts.load_doubt(connection, number)
                    self._record(decided, "open", "", "", actor, actor_role)
                    raise CannotDecide(error.public_message) from error
                return
        self._record(item, state, reason, "", actor, actor_role)

    def settle(self, keys: Sequence[str], *, goes: bool, actor: str, actor_role: str) -> int:
        """Decide whose some resources are that came while two numbers were one; returns how many were decided."""
        with self._names() as names:
            return self._open_merger(names).settle(keys, goes=goes, actor=actor, actor_role=actor_role)

    def undo(self, number: int, *, actor: str, actor_role: str) -> None:
        """Take a decision back: the pair is on the list again, and numbers that it merged are two patients again.

        Raises
        ------
        NoSuchDoubt
        CannotDecide
        """
        with self._database.connect() as connection:
            item = doubts.load_doubt(connection, number)
        if item.state in doubts.OPEN_STATES:
            raise NoSuchDoubt("Nobody decided this pair. Look at the list again.")
        if item.state == "match" and item.kind == "two_numbers":
            with self._names() as names:
                left, right = self._cards(names, item)
                try:
                    self._open_merger(names).part(left.number, right.number)
                except HeldMessage as error:
                    raise CannotDecide(error.public_message) from error
        self._record(item, "open", "", "", actor, actor_role)

    def _cards(self, names: Pseudonymiser, item: Doubt) -> tuple[Card, Card]:
        found = names.cards.open([item.left_token, item.right_token]) if names.cards is not None else {}
        if len(found) != 2:
            raise NoSuchDoubt("One of the two descriptions was erased meanwhile. Look at the list again.")
        return found[item.left_token], found[item.right_token]

    def _record(
        self, item: Doubt, state: State, reason: str, standing: str, actor: str, actor_role: str
    ) -> None:
        with self._database.begin() as connection:
            doubts.record(
                connection,
                self._audit,
                item,
                state,
                reason=reason,
                standing=standing,
                actor=actor,
                actor_role=actor_role,
            )


def look_for_doubts(database: Database, names: Pseudonymiser) -> int:
    """Compare the descriptions that are new, and list what is doubtful; returns how many pairs are new."""
    cards, found = names.cards, 0
    if cards is None:
        return 0
    while tokens := cards.uncompared(doubts.AT_ONCE):
        with database.begin() as connection:
            found += doubts.look(connection, cards, names.pseudonym, _are_one(names), tokens)
        cards.mark_compared(tokens)
    return found


def _are_one(names: Pseudonymiser) -> Callable[[str, str], bool]:
    return lambda left, right: names.survivor(PatientId(left)) == names.survivor(PatientId(right))


class ReviewedIdentities:
    """Asks the hospital's service first; a record that may be somebody who is known waits for a person.

    Parameters
    ----------
    inner
        The service that the settings name.
    database
        The node's own.
    names
        The door to who is who.
    """

    def __init__(self, inner: IdentityLink, database: Database, names: Pseudonymiser) -> None:
        self._inner, self._database, self._names = inner, database, names

    def find(self, patients: Sequence[Resource]) -> Sequence[FoundIdentity]:
        """Answer for each record: what the service is sure of, else what a person decided of those near to it."""
        answers = self._inner.find(patients)
        return [
            answer if answer.verdict == "match" else self._reviewed(patient, answer)
            for patient, answer in zip(patients, answers, strict=True)
        ]

    def check(self) -> None:
        """Ask the service."""
        self._inner.check()

    def _reviewed(self, patient: Resource, answer: FoundIdentity) -> FoundIdentity:
        cards = self._names.cards
        if cards is None:
            return answer
        card = Card(f"fhir/Patient/{patient['id']}", "", person_of(patient))
        token = cards.token_of(card.source, "")
        if cards.put(card):
            with self._database.begin() as connection:
                doubts.look(connection, cards, self._names.pseudonym, _are_one(self._names), [token])
            cards.mark_compared([token])
        with self._database.connect() as connection:
            decided = doubts.decisions_about(connection, token)
        matches = [other for other, state in decided.items() if state == "match"]
        numbers = {
            self._names.survivor(PatientId(found.number))
            for found in cards.open(matches).values()
            if found.number
        }
        if len(numbers) == 1:
            return FoundIdentity("match", numbers.pop())
        if numbers or any(state in doubts.OPEN_STATES for state in decided.values()):
            return FoundIdentity("possible")
        # Who was looked at and is none of those known here; where the service has doubts of its own, they stay.
        return answer if not decided else FoundIdentity("none")


def person_of(patient: Resource) -> Person:
    """Return what a Patient says of a person."""
    names = [item for item in patient.get("name", []) if isinstance(item, dict)]
    official = next((item for item in names if item.get("use") == "official"), names[0] if names else {})
    maiden: Resource = next((item for item in names if item.get("use") == "maiden"), {})
    address: Resource = next((item for item in patient.get("address", []) if isinstance(item, dict)), {})
    born = str(patient.get("birthDate", ""))
    return Person(
        given=" ".join(str(item) for item in official.get("given", [])),
        family=str(official.get("family", "")),
        birth_name=str(maiden.get("family", "")),
        born=born if len(born) == len("1961-05-17") else "",
        sex=str(patient.get("gender", "")),
        postcode=str(address.get("postalCode", "")),
    )
