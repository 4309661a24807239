"""Images and clinical record of one number: do they tell of one person?  What disagrees stops the case until somebody
looked.

Both sides carry the same number of the hospital; that is the match.  Sex and year of birth, which both keep, tell
where a number was reused or mistyped at the scanner: no names are needed for that, and none are here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Refused
from racoon.node.archive.records import people_of_images, studies_of_subjects, subjects_of_studies
from racoon.node.clinical import _between, _store
from racoon.node.clinical._matching_tables import match
from racoon.node.clinical.doubts import stopped_by_doubt
from racoon.node.clinical.hl7.merging import joined
from racoon.node.clinical.ordering import linked_orders, stopped_by_orders
from racoon.node.clinical.ordering import quality as orders_of
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.standards.dicom.dates import OLDEST_AGE_YEARS

GENDER_OF_SEX: Mapping[str, str] = {"F": "female", "M": "male"}

REASONS: Mapping[str, str] = {
    "sex": "The images say another sex than the clinical record.",
    "birth_year": "The images say another year of birth than the clinical record.",
    "images_differ": "The images under this number disagree among themselves.",
    "order": "The order of these images is another patient's.",
}
"""Why a case is stopped."""


LONGEST_LIST = 200


class NoSuchSuspicion(Refused):
    """Nothing waits under this pseudonym, or it changed meanwhile."""

    code: ClassVar[str] = "clinical.no_suspicion"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Comparison:
    """One subject's two sides.

    Parameters
    ----------
    sexes, years
        What the images say.
    gender, birth_year
        What the clinical record says; empty where there is none or it does not say.
    reasons
        Keys of :data:`REASONS`; empty where nothing disagrees.
    is_same
        What somebody decided about exactly this; None where nobody did.
    """

    pseudonym: Pseudonym
    sexes: frozenset[str]
    years: frozenset[str]
    gender: str
    birth_year: str
    reasons: tuple[str, ...]
    is_same: bool | None = None
    ordered_for: frozenset[str] = frozenset()
    """Whom the orders of these images name, where it is somebody else."""

    @property
    def facts(self) -> str:
        """What a decision is about."""
        parts = ("/".join(sorted(self.sexes)), "/".join(sorted(self.years)), self.gender, self.birth_year)
        others = ["/".join(sorted(self.ordered_for))] if self.ordered_for else []
        return "|".join((*parts, *others))[:200]

    @property
    def is_stopped(self) -> bool:
        """Whether nothing of the subject is used for a study."""
        return bool(self.reasons) and self.is_same is not True


def compare(
    connection: sa.Connection, subjects: Collection[Pseudonym] | None = None
) -> dict[Pseudonym, Comparison]:
    """Compare the sides of subjects that have images.

    Parameters
    ----------
    subjects
        Only these; all when None.
    """
    images = people_of_images(connection, subjects)
    clinic = _store.load_people(connection, subjects)
    decided = {row.pseudonym: row for row in connection.execute(sa.select(match))}
    oldest = clock.now().year - OLDEST_AGE_YEARS
    ordered = _ordered_for(connection, subjects)
    found = {}
    for pseudonym, (sexes, years) in images.items():
        gender, birth_year = clinic.get(pseudonym, ("", ""))
        others = ordered.get(pseudonym, frozenset())
        reasons = _reasons(sexes, years, gender, birth_year, oldest) + (("order",) if others else ())
        item = Comparison(pseudonym, sexes, years, gender, birth_year, reasons, ordered_for=others)
        row = decided.get(pseudonym)
        if row is not None and row.facts == item.facts:
            item = replace(item, is_same=row.is_same)
        found[pseudonym] = item
    return found


def _ordered_for(
    connection: sa.Connection, subjects: Collection[Pseudonym] | None
) -> dict[Pseudonym, frozenset[str]]:
    """Return of subjects whose images were ordered for somebody else whom the orders name."""
    if subjects is None:
        orders = _store.load_orders(connection)
        named = {item.imaging_study_uid for item in orders} | {uid for _, _, uid in linked_orders(connection)}
        owners = subjects_of_studies(connection, named)
    else:
        owners = studies_of_subjects(connection, subjects)
        orders = _store.load_orders(connection, sorted(owners))
    found: dict[Pseudonym, set[str]] = {}
    for order in orders:
        owner = owners.get(order.imaging_study_uid)
        if (
            owner is not None
            and order.pseudonym != owner
            and order.pseudonym not in joined(connection, owner)
        ):
            found.setdefault(owner, set()).add(order.pseudonym)
    for subject, _, uid in linked_orders(connection):
        # A person may have said that the images are the order's; then whose they are is asked here.
        owner = owners.get(uid)
        if owner is not None and subject != owner and subject not in joined(connection, owner):
            found.setdefault(owner, set()).add(subject)
    return {owner: frozenset(names) for owner, names in found.items()}


def _reasons(
    sexes: frozenset[str], years: frozenset[str], gender: str, birth_year: str, oldest: int
) -> tuple[str, ...]:
    found = []
    if len(sexes) > 1 or len(years) > 1:
        found.append("images_differ")
    said = {GENDER_OF_SEX[sex] for sex in sexes if sex in GENDER_OF_SEX}
    if said and gender in ("female", "male") and gender not in said:
        found.append("sex")
    known = {int(year) for year in years if year.isdigit()}
    if known and birth_year.isdigit():
        # Both sides write very old people as one age, each as of its own day.
        are_old = min(*known, int(birth_year)) <= oldest + 1 and max(*known, int(birth_year)) <= oldest + 2
        if int(birth_year) not in known and not are_old:
            found.append("birth_year")
    return tuple(found)


def stopped(connection: sa.Connection, subjects: Collection[Pseudonym]) -> set[Pseudonym]:
    """Return the subjects of whom nothing may be used for a study, because two people may be mixed up."""
    found = {name for name, item in compare(connection, subjects).items() if item.is_stopped}
    return (
        found
        | stopped_by_doubt(connection, subjects)
        | (_between.waiting_subjects(connection) & set(subjects))
        | stopped_by_orders(connection, subjects)
    )


def undecided(connection: sa.Connection) -> list[dict[str, Any]]:
    """List what came while two numbers were one, of which nobody knows whose it is, with both subjects."""
    return [
        {
            "key": row["key"],
            "kind": row["kind"],
            "code": _code(row["content"]),
            "day": _day(row["content"]),
            "here": Pseudonym(row["surviving_pseudonym"]),
            "other": Pseudonym(row["old_pseudonym"]),
            "parted_at": row["parted_at"],
        }
        for row in _between.load(connection)[:LONGEST_LIST]
    ]


def _code(content: Mapping[str, Any]) -> str:
    concept = content.get("code") or content.get("medicationCodeableConcept") or content.get("class") or {}
    found = concept.get("coding", [concept]) if isinstance(concept, dict) else []
    return next((str(item.get("code", "")) for item in found if item.get("code")), "")


def _day(content: Mapping[str, Any]) -> str:
    period = content.get("period") or content.get("effectivePeriod") or content.get("performedPeriod") or {}
    names = ("effectiveDateTime", "recordedDate", "performedDateTime", "authoredOn", "dateTime", "started")
    found = next((str(content[name]) for name in names if content.get(name)), "")
    return (found or str(period.get("start", "")))[:10]


def suspicions(connection: sa.Connection) -> list[Comparison]:
    """List all cases that are stopped, those that nobody looked at first."""
    found = [item for item in compare(connection).values() if item.is_stopped]
    return sorted(found, key=lambda item: (item.is_same is not None, item.pseudonym))


def decide_match(
    connection: sa.Connection,
    audit: AuditLog,
    pseudonym: Pseudonym,
    facts: str,
    *,
    is_same: bool,
    actor: str,
    actor_role: str,
) -> None:
    """Record that somebody looked into the hospital's systems: one person, or two.

    Parameters
    ----------
    facts
        As shown when it was decided; what changed since asks again.
    is_same
        One person: the case goes on.  Two: it stays stopped, nothing is moved by itself.

    Raises
    ------
    NoSuchSuspicion
        If these facts are not on the list.
    """
    item = compare(connection, [pseudonym]).get(pseudonym)
    if item is None or not item.reasons or item.facts != facts:
        raise NoSuchSuspicion("This case changed meanwhile. Look at the list again.")
    connection.execute(sa.delete(match).where(match.c.pseudonym == pseudonym))
    connection.execute(
        sa.insert(match).values(
            pseudonym=pseudonym, facts=facts, is_same=is_same, decided_by=actor[:80], decided_at=clock.now()
        )
    )
    audit.append(
        connection,
        actor=actor,
        actor_role=actor_role,
        action="clinical.match.decide",
        target=f"subject/{pseudonym}",
        details={"is_same": is_same, "reasons": list(item.reasons)},
    )


def quality(connection: sa.Connection, subjects: Collection[Pseudonym]) -> dict[str, Any]:
    """Report how well images and clinical course of some subjects belong together, such as a dataset's; counts only."""
    found = compare(connection, subjects)
    clinic = _store.load_people(connection, subjects)
    reasons = Counter(reason for item in found.values() for reason in item.reasons)
    with_both = [item for item in found.values() if item.pseudonym in clinic]
    return {
        "subjects": len(set(subjects)),
        "with_clinical_record": len(with_both),
        "sex_compared": sum(bool(item.sexes) and item.gender in ("female", "male") for item in with_both),
        "birth_year_compared": sum(bool(item.years) and bool(item.birth_year) for item in with_both),
        "disagree": {name: reasons[name] for name in REASONS},
        "orders": orders_of(connection, subjects),
        "confirmed_by_a_person": sum(bool(item.reasons) and item.is_same is True for item in found.values()),
        "stopped": len(stopped(connection, subjects)),
    }
