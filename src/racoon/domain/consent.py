"""May an image be used for research?  The decision over consents and other legal bases, as one pure function.

The policies are those of the medical informatics initiative's broad consent.  Deny by default: every permission
names the codes and the document it rests on, every denial the rule that said no.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Literal

POLICY_ROOT = "2.16.840.1.113883.3.1937.777.24.5.3"

COLLECT = f"{POLICY_ROOT}.6"
"""Medical data may be collected: the period in which an image has to be acquired."""

STORE = f"{POLICY_ROOT}.7"
USE = f"{POLICY_ROOT}.8"
MERGE = f"{POLICY_ROOT}.9"
MERGE_IDENTITIES = f"{POLICY_ROOT}.4"
RETROSPECTIVE = f"{POLICY_ROOT}.45"
"""Images from before the consent may be stored and used too."""

OUTSIDE_EU = f"{POLICY_ROOT}.49"
RECONTACT_FURTHER_COLLECTION = f"{POLICY_ROOT}.28"

DOCUMENT_ROOT = "2.16.840.1.113883.3.1937.777.24.2"

WITHDRAWALS = frozenset(f"{DOCUMENT_ROOT}.{number}" for number in (2718, 2720, 2722))
"""Complete withdrawals of document versions 1.6d, 1.6f and 1.7.2."""

PARTIAL_WITHDRAWALS = frozenset(f"{DOCUMENT_ROOT}.{number}" for number in (2719, 2721, 2723))
"""They leave the permits that they still list."""

REFUSALS = frozenset(f"{DOCUMENT_ROOT}.{number}" for number in (4053, 4054))

MINORS = frozenset(f"{DOCUMENT_ROOT}.{number}" for number in (3542, 3543, 3544))
"""Documents of minors and their guardians: they end when the person comes of age."""

ADULT_YEARS = 18

ARCHIVE = "site:archive"
"""Stands for a study where images are kept and looked at in the site's own archive, for no study in particular.  No
study can have this id: the protocol allows no colon."""


class Purpose(StrEnum):
    """What the image is wanted for."""

    RESEARCH = "research"
    OUTSIDE_EU = "outside_eu"
    LINKAGE = "linkage"
    RECONTACT = "recontact"


NEEDED: dict[Purpose, tuple[str, ...]] = {
    Purpose.RESEARCH: (STORE, USE),
    Purpose.OUTSIDE_EU: (STORE, USE, OUTSIDE_EU),
    Purpose.LINKAGE: (STORE, USE, MERGE_IDENTITIES, MERGE),
    Purpose.RECONTACT: (STORE, USE, RECONTACT_FURTHER_COLLECTION),
}
"""Policies that have to be permitted on the day of use, by purpose."""


@dataclass(frozen=True)
class Provision:
    """One rule of a document: a policy permitted or denied for a period, both days inclusive."""

    policy: str
    is_permit: bool
    start: date
    end: date

    def covers(self, day: date) -> bool:
        """Tell whether a day lies inside the period."""
        return self.start <= day <= self.end


@dataclass(frozen=True)
class ConsentDocument:
    """One signed document.

    Parameters
    ----------
    identity
        Names it in reasons.
    version
        OID of the document version (``policy.uri`` without ``urn:oid:``).
    domain
        ``"MII"`` or the id of a study; a study's own consent adds for that study only.
    given
        Day of signature.
    is_active
        False when its status is anything but active.
    provisions
        Its rules.
    """

    identity: str
    version: str
    domain: str
    given: date
    is_active: bool
    provisions: tuple[Provision, ...]


@dataclass(frozen=True)
class LegalBasis:
    """A site's own basis other than consent: a hospital law, a statute on health data use, an ethics waiver.

    Parameters
    ----------
    identity, study
        Names it; the one study it holds for.
    start, end
        Days of acquisition it covers.
    approved_by
        Person at the site who signed it.
    valid_from, valid_until
        Days on which it may be relied on.
    """

    identity: str
    study: str
    start: date
    end: date
    approved_by: str
    valid_from: date = date.min
    valid_until: date = date.max

    def is_in_force(self, on: date) -> bool:
        """Tell whether it may be relied on that day."""
        return self.valid_from <= on <= self.valid_until

    @property
    def covers_every_day(self) -> bool:
        """Whether it asks for no day of acquisition."""
        return self.start == date.min and self.end == date.max


@dataclass(frozen=True)
class Question:
    """What is asked.

    Parameters
    ----------
    acquired
        Day of the image; not shifted.
    on
        Day of use.
    purpose
        What for.
    study
        For which study; empty for none in particular.
    born
        Day of birth, where it is known.
    """

    acquired: date
    on: date
    purpose: Purpose = Purpose.RESEARCH
    study: str = ""
    born: date | None = None


@dataclass(frozen=True)
class Decision:
    """The answer; it is stored with whatever is made from the image.

    Parameters
    ----------
    is_permitted
        Whether the image may be used.
    basis
        ``consent``, ``legal_basis`` or ``none``.
    reasons
        Codes of what decided, the deciding one first.
    documents
        What it rests on.
    """

    is_permitted: bool
    basis: Literal["consent", "legal_basis", "none"]
    reasons: tuple[str, ...]
    documents: tuple[str, ...] = ()


def decide(
    question: Question, documents: Sequence[ConsentDocument], bases: Iterable[LegalBasis] = ()
) -> Decision:
    """Decide whether an image may be used.

    Parameters
    ----------
    question
        Image, day, purpose and study.
    documents
        All documents of the person, of every domain, in any order.
    bases
        The site's other legal bases.

    Returns
    -------
    Decision

    Notes
    -----
    In each domain the newest document counts, whatever it says: a later one replaces an earlier one, and of two of
    one day the stricter wins.  A study's own consent adds to the general one for that study only.  The site's other
    legal bases are its own responsibility: they hold beside a general consent that is missing or taken back, but not
    against a person who took back or refused the study's own consent.
    """
    general = newest_document(documents, "MII")
    verdict = _by_document(question, general)
    if verdict.is_permitted:
        return verdict
    if question.study:
        own = _by_document(question, newest_document(documents, question.study))
        if own.is_permitted:
            return own
        if own.reasons[0] in ("withdrawn", "refused"):
            # Who takes back the study's own consent does not want to be in that study, whatever else allows it.
            return own
    for basis in bases:
        if (
            basis.study == question.study
            and question.study
            and basis.is_in_force(question.on)
            and basis.start <= question.acquired <= basis.end
        ):
            return Decision(True, "legal_basis", ("legal_basis",), (basis.identity,))
    return verdict


@dataclass(frozen=True)
class Window:
    """Days on which a subject's images may be kept and used, both inclusive, and the document that says so."""

    start: date
    end: date
    document: str


def window_of_use(
    documents: Sequence[ConsentDocument], on: date, born: date | None = None, domain: str = "MII"
) -> Window | None:
    """Find the days from ``on`` on at which a consent permits keeping and using anything of a person at all.

    Which of the person's images it permits is another question, for :func:`decide`.

    Parameters
    ----------
    documents
        All documents of the person.
    on
        First day that matters.
    born
        Day of birth, where it is known.
    domain
        ``"MII"`` or the id of a study.

    Returns
    -------
    Window or None
        The one that holds ``on``, or else the next; None when there is none.
    """
    newest = newest_document(documents, domain)
    if newest is None or newest.version in WITHDRAWALS | REFUSALS:
        return None
    needed = NEEDED[Purpose.RESEARCH]

    def is_permitted(day: date) -> bool:
        question = Question(acquired=day, on=day, born=born)
        of_age = newest.version in MINORS and _is_of_age(question)
        return (
            newest.given <= day
            and not of_age
            and all(_is_permitted(newest, policy, day) for policy in needed)
        )

    changes = {on, max(on, newest.given)}
    for item in newest.provisions:
        changes.add(item.start)
        if item.end < date.max:
            changes.add(item.end + timedelta(days=1))
    if born is not None:
        changes.add(_birthday(born, ADULT_YEARS))
    days = sorted(day for day in changes if day >= on)
    start = next((day for day in days if is_permitted(day)), None)
    if start is None:
        return None
    stop = next((day for day in days if day > start and not is_permitted(day)), None)
    return Window(start, stop - timedelta(days=1) if stop else date.max, newest.identity)


def permitted_periods(
    documents: Sequence[ConsentDocument], born: date | None = None
) -> list[tuple[str, date, date]]:
    """List the periods in which the newest broad consent of a person permits each of its policies.

    Parameters
    ----------
    documents
        All documents of the person.
    born
        Day of birth, where it is known; a document of a minor of unknown age permits nothing.

    Returns
    -------
    list
        Policy, first and last day; periods of one policy do not touch.
    """
    newest = newest_document(documents, "MII")
    if newest is None or newest.version in WITHDRAWALS | REFUSALS:
        return []
    last = date.max
    if newest.version in MINORS:
        if born is None:
            return []
        last = _birthday(born, ADULT_YEARS) - timedelta(days=1)
    found = []
    for policy in sorted({item.policy for item in newest.provisions}):
        own = [item for item in newest.provisions if item.policy == policy]
        starts = {max(item.start, newest.given) for item in own} | {newest.given}
        starts |= {item.end + timedelta(days=1) for item in own if item.end < date.max}
        begun: date | None = None
        for day in sorted(day for day in starts if newest.given <= day <= last):
            is_permitted = _is_permitted(newest, policy, day)
            if is_permitted and begun is None:
                begun = day
            if not is_permitted and begun is not None:
                found.append((policy, begun, day - timedelta(days=1)))
                begun = None
        if begun is not None:
            found.append((policy, begun, last))
    return found


def _birthday(born: date, years: int) -> date:
    """The day on which somebody is so many years old; born on 29 February, on 1 March of a common year."""
    try:
        return born.replace(year=born.year + years)
    except ValueError:
        return date(born.year + years, 3, 1)


def newest_document(documents: Sequence[ConsentDocument], domain: str) -> ConsentDocument | None:
    """Return the active document of a domain that replaces all others: the newest, of one day the strictest."""
    found = [item for item in documents if item.domain == domain and item.is_active]
    if not found:
        return None
    return max(found, key=lambda item: (item.given, _strictness(item), item.identity))


def _strictness(document: ConsentDocument) -> int:
    if document.version in WITHDRAWALS | REFUSALS:
        return 2
    return 1 if document.version in PARTIAL_WITHDRAWALS else 0


def _by_document(question: Question, document: ConsentDocument | None) -> Decision:
    if document is None:
        return Decision(False, "none", ("no_document",))
    names = (document.identity,)
    if document.version in WITHDRAWALS:
        return Decision(False, "none", ("withdrawn",), names)
    if document.version in REFUSALS:
        return Decision(False, "none", ("refused",), names)
    if document.given > question.on:
        return Decision(False, "none", ("not_yet_given",), names)
    if document.version in MINORS and _is_of_age(question):
        return Decision(False, "none", ("came_of_age",), names)
    for policy in NEEDED[question.purpose]:
        if not _is_permitted(document, policy, question.on):
            return Decision(False, "none", ("policy_missing", policy), names)
    if _is_permitted(document, COLLECT, question.acquired):
        return Decision(True, "consent", (COLLECT, *NEEDED[question.purpose]), names)
    starts = [item.start for item in document.provisions if item.policy == COLLECT and item.is_permit]
    is_before = question.acquired < (min(starts) if starts else document.given)
    if is_before and _is_permitted(document, RETROSPECTIVE, question.on):
        return Decision(True, "consent", (RETROSPECTIVE, *NEEDED[question.purpose]), names)
    return Decision(False, "none", ("acquired_before" if is_before else "acquired_after",), names)


def _is_permitted(document: ConsentDocument, policy: str, day: date) -> bool:
    """Deny beats permit for the same policy and day."""
    covering = [item for item in document.provisions if item.policy == policy and item.covers(day)]
    return bool(covering) and all(item.is_permit for item in covering)


def _is_of_age(question: Question) -> bool:
    """Unknown birth counts as of age: then the person has to be asked."""
    born, on = question.born, question.on
    if born is None:
        return True
    return on.year - born.year - ((on.month, on.day) < (born.month, born.day)) >= ADULT_YEARS
