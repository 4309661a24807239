"""Ask for a subject's pseudonym, a replaced UID, a date shift; and, with two people and a reason, for the
patient.

Scheme: ``psn = base32(HMAC-SHA256(K[node, domain, version], domain || 0x1f || canonical id))`` cut to 128
bit, with the key version in front and a check character behind.  UIDs and date shifts come from sibling keys;
they need no table.
"""

from __future__ import annotations

import base64
import hmac
import secrets
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from racoon.domain.identity import PatientId, Pseudonym, Role
from racoon.domain.permission import is_permitted
from racoon.node.pseudonyms._store import MappingTable
from racoon.node.pseudonyms.cards import Card, Cards
from racoon.node.pseudonyms.keys import MasterKey, load_or_create_key, make_ephemeral_key
from racoon.node.pseudonyms.model import (
    ACCESSION_DOMAIN,
    ARCHIVE_DOMAIN,
    BODY_LENGTH,
    DEFAULT_DATE_SHIFT_DAYS,
    LINK_DOMAIN,
    LONGEST_DATE_SHIFT_DAYS,
    MERGED_DOMAIN,
    PARTED_DOMAIN,
    SHORTEST_REASON,
    STUDIES_OF_A_NUMBER,
    MergedElsewhere,
    ReidentificationRefused,
    ReidentificationRequest,
    UnknownPseudonym,
    canonical_id,
    check_character,
)
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.standards.dicom.uids import is_standard, uid_from_digest

REIDENTIFY = "subject.reidentify"
"""Action of the permission table that both people need."""

LOOK_FOR_MERGES_S = 1.0
"""How soon another process of the node follows a merge; what it files in between is found and moved, or listed."""


class Pseudonymiser:
    """Pseudonyms, UIDs and date shifts of one node.

    Parameters
    ----------
    key_file
        Master key, made on first use (mode 0600); None makes a key that ends with the process.
    database_url
        The mapping's own database; None keeps no way back at all.

    Examples
    --------
    >>> names = Pseudonymiser(None, None)
    >>> names.pseudonym(PatientId("4711")) == names.pseudonym(PatientId(" 4711 "))
    True
    >>> names.pseudonym(PatientId("4711")) == names.pseudonym(PatientId("4711"), "study-a")
    False
    """

    def __init__(self, key_file: Path | None, database_url: str | None) -> None:
        self._made_from = (key_file, database_url)
        self._key: MasterKey = (
            make_ephemeral_key() if key_file is None else load_or_create_key(Path(key_file))
        )
        self._table: MappingTable | None = None
        self.cards: Cards | None = None
        """Who numbers are said to be; None where nothing is kept."""
        self._introduced: set[tuple[str, str]] = set()
        self._accessions: set[tuple[str, str]] = set()
        if database_url is not None:
            database = Database(database_url, synchronous="FULL")
            self.cards = Cards(
                database,
                self._key.derive("cards", "", version=self._oldest, length=64),
                self._key.derive("card-words", "", version=self._oldest),
            )
            self._table = MappingTable(
                database, self._key.derive("mapping", "", version=self._oldest, length=64)
            )
        self._remembered: dict[tuple[str, str], Pseudonym] = {}
        self._uids: dict[tuple[str, str], str] = {}
        self._survivors: dict[str, str] = {}
        self._merged: frozenset[str] = frozenset()
        self._known = (0, 0)
        self._looked_at = float("-inf")

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to a helper process as the place of the key, never as the key."""
        if self._made_from[0] is None:
            raise TypeError("an ephemeral key does not leave its process")
        return (Pseudonymiser, self._made_from)

    def close(self) -> None:
        """Close the connections to the mapping's database; the next use opens new ones."""
        if self._table is not None:
            self._table.close()

    @property
    def _oldest(self) -> int:
        return self._key.versions[0][0]

    def _digest(self, purpose: str, domain: str, text: str) -> bytes:
        # UIDs and shifts stay on the oldest key: a new key version renames subjects, it must not tear series
        # apart.
        version = self._key.current_version if purpose == "pseudonym" else self._oldest
        key = self._key.derive(purpose, domain, version=version)
        return hmac.digest(key, f"{domain}\x1f{text}".encode(), sha256)

    def pseudonym(
        self, patient_id: PatientId, domain: str = ARCHIVE_DOMAIN, *, is_merged: bool = True
    ) -> Pseudonym:
        """Give the subject's pseudonym in a domain, and record the way back before anybody sees it.

        Parameters
        ----------
        patient_id
            Number of the patient in this hospital.
        domain
            ``"archive"`` or the id of a study.
        is_merged
            A number that was merged into another gets that one's pseudonym; False for its own, under which objects
            lie that came before.
        """
        canonical = self._survivor(patient_id) if is_merged else canonical_id(patient_id)
        known = self._remembered.get((domain, canonical))
        if known is not None:
            return known
        psn = self._derive_pseudonym(canonical, domain)
        if self._table is not None:
            self._table.remember(domain, psn, canonical)
        self._keep(domain, canonical, psn)
        return psn

    def _derive_pseudonym(self, canonical: str, domain: str) -> Pseudonym:
        body = base64.b32encode(self._digest("pseudonym", domain, canonical)[:17]).decode()[:BODY_LENGTH]
        return Pseudonym(f"R{self._key.current_version}-{body}{check_character(body)}")

    def _keep(self, domain: str, canonical: str, psn: Pseudonym) -> None:
        if len(self._remembered) > 100_000:
            self._remembered.clear()
        self._remembered[domain, canonical] = psn

    def uid(self, original: str, domain: str = ARCHIVE_DOMAIN) -> str:
        """Replace a UID by a keyed hash under ``2.25.``; UIDs of the standard itself stay."""
        if is_standard(original) or not original:
            return original
        known = self._uids.get((domain, original))
        if known is None:
            known = uid_from_digest(self._digest("uid", domain, original))
            if len(self._uids) > 200_000:
                self._uids.clear()
            self._uids[domain, original] = known
        return known

    def date_shift_days(
        self,
        patient_id: PatientId,
        domain: str = ARCHIVE_DOMAIN,
        *,
        limit_days: int = DEFAULT_DATE_SHIFT_DAYS,
        is_merged: bool = True,
    ) -> int:
        """Give the patient's one shift in a domain: -limit to +limit days, never 0.

        With ``is_merged=False`` it is the number's own, by which objects moved that came before a merge.
        """
        if not 1 <= limit_days <= LONGEST_DATE_SHIFT_DAYS:
            raise ValueError(f"a date shift is 1 to {LONGEST_DATE_SHIFT_DAYS} days")
        canonical = self._survivor(patient_id) if is_merged else canonical_id(patient_id)
        number = int.from_bytes(self._digest("date", domain, canonical)[:8], "big") % (2 * limit_days)
        return number - limit_days if number < limit_days else number - limit_days + 1

    def token(self, text: str, domain: str = ARCHIVE_DOMAIN) -> str:
        """Replace a short local text, such as a local code, by 12 stable characters."""
        # Ten bytes hold the twelve characters; a whole digest would be spelled out for nothing.
        return base64.b32encode(self._digest("token", domain, text)[:10]).decode()[:12]

    def introduce(self, card: Card) -> None:
        """Keep what a source says of a number, once as long as it says the same."""
        seen = (card.source, f"{card.number}\x1f{card.person}")
        if self.cards is None or seen in self._introduced:
            return
        if len(self._introduced) > 100_000:
            self._introduced.clear()
        self.cards.put(card)
        self._introduced.add(seen)

    def accession_token(self, number: str) -> str:
        """Return the token that an order's accession number becomes in the clinical course."""
        return self.token(f"fhir/code/None/{number}")

    def note_accession(self, number: str, study_uid: str) -> None:
        """Keep under which accession number an imaging study came: a token, and the study's replaced UID sealed."""
        seen = (number, study_uid)
        if self._table is None or not number or seen in self._accessions:
            return
        token = self.accession_token(number)
        places = [f"{token}.{place}" for place in range(STUDIES_OF_A_NUMBER)]
        while study_uid not in (found := self._table.open_many(ACCESSION_DOMAIN, places)).values():
            free = [place for place in places if place not in found]
            if not free:
                break
            # Another process may be quicker; then the next place is tried.
            self._table.remember(ACCESSION_DOMAIN, free[0], study_uid)
        if len(self._accessions) > 100_000:
            self._accessions.clear()
        self._accessions.add(seen)

    def count_accessions(self) -> int:
        """Count the imaging studies whose accession number was noted."""
        return 0 if self._table is None else self._table.count(ACCESSION_DOMAIN)

    def new_accessions(self, known: Mapping[str, int]) -> dict[str, list[str]]:
        """Return the tokens whose studies are more than are known, with the replaced UIDs of all of them."""
        if self._table is None:
            return {}
        fresh: dict[str, list[str]] = {}
        for name in self._table.names(ACCESSION_DOMAIN):
            token, _, place = name.rpartition(".")
            if int(place) >= known.get(token, 0):
                fresh.setdefault(token, [])
        wanted = [f"{token}.{place}" for token in sorted(fresh) for place in range(STUDIES_OF_A_NUMBER)]
        for name, uid in self._table.open_many(ACCESSION_DOMAIN, wanted).items():
            fresh[name.rpartition(".")[0]].append(uid)
        return fresh

    def forget_accessions(self, study_uids: Collection[str]) -> int:
        """Erase under which accession numbers some imaging studies came; returns how many entries.

        Parameters
        ----------
        study_uids
            Replaced UIDs.
        """
        if self._table is None or not study_uids:
            return 0
        known = self._table.open_many(ACCESSION_DOMAIN, sorted(self._table.names(ACCESSION_DOMAIN)))
        gone = [name for name, uid in known.items() if uid in study_uids]
        self._table.forget(ACCESSION_DOMAIN, gone)
        self._accessions = {seen for seen in self._accessions if seen[1] not in study_uids}
        return len(gone)

    def link(self, sources: Mapping[str, PatientId]) -> None:
        """Record which patient a record of another system belongs to, sealed; one transaction for all.

        The patients' pseudonyms in the archive's domain are recorded with it.

        Parameters
        ----------
        sources
            Name of the record in its own system, e.g. ``"fhir/Patient/17"``, to the patient's number.  A record that
            is linked already keeps its patient.
        """
        if self._table is None:
            return
        links = [(self.token(name, LINK_DOMAIN), canonical_id(to)) for name, to in sources.items()]
        survivors = {self._survivor(PatientId(canonical)) for _, canonical in links}
        subjects = {canonical: self._derive_pseudonym(canonical, ARCHIVE_DOMAIN) for canonical in survivors}
        self._table.remember_many(
            [(LINK_DOMAIN, token, canonical) for token, canonical in links]
            + [(ARCHIVE_DOMAIN, psn, canonical) for canonical, psn in subjects.items()]
        )
        for canonical, psn in subjects.items():
            self._keep(ARCHIVE_DOMAIN, canonical, psn)

    def remember(self, patients: Iterable[PatientId]) -> None:
        """Record the pseudonyms of patients in the archive's domain; one transaction for all that are new here."""
        wanted = {self._survivor(patient) for patient in patients}
        subjects = {
            canonical: self._derive_pseudonym(canonical, ARCHIVE_DOMAIN)
            for canonical in wanted
            if (ARCHIVE_DOMAIN, canonical) not in self._remembered
        }
        if self._table is not None:
            self._table.remember_many(
                [(ARCHIVE_DOMAIN, psn, canonical) for canonical, psn in subjects.items()]
            )
        for canonical, psn in subjects.items():
            self._keep(ARCHIVE_DOMAIN, canonical, psn)

    def linked(self, source: str) -> PatientId | None:
        """Tell which patient a record of another system belongs to; None when nobody recorded it.

        For the rooms behind this door only: they need it to shift a record's dates as those of the images.
        """
        token = self.token(source, LINK_DOMAIN)
        found = None if self._table is None else self._table.open(LINK_DOMAIN, token)
        return None if found is None else PatientId(found)

    def linked_many(self, sources: Collection[str]) -> dict[str, PatientId]:
        """Tell of many records which patient each belongs to; a record that nobody linked is left out."""
        if self._table is None:
            return {}
        tokens = {self.token(source, LINK_DOMAIN): source for source in sources}
        found = self._table.open_many(LINK_DOMAIN, sorted(tokens))
        return {tokens[token]: PatientId(number) for token, number in found.items()}

    def subjects(self) -> Iterator[tuple[Pseudonym, PatientId]]:
        """Yield everybody of the archive's domain with the number under which he goes on after merges.

        For the rooms behind this door only: a consent is asked for by the number.
        """
        if self._table is not None:
            for pseudonym, patient in self._table.iterate(ARCHIVE_DOMAIN):
                yield Pseudonym(pseudonym), self.survivor(PatientId(patient))

    def survivor(self, patient_id: PatientId) -> PatientId:
        """Tell under which number a patient goes on after merges; his own where there was none."""
        return PatientId(self._survivor(patient_id))

    def merge(self, old: PatientId, surviving: PatientId) -> None:
        """Let an old number lead to a surviving one from now on; sealed, until :meth:`part` takes it back.

        Two numbers that are one patient already change nothing, in whatever direction they are named.

        Raises
        ------
        MergedElsewhere
            If the old number was merged into another patient before.
        """
        self._looked_at = float("-inf")
        wanted, canonical = self._survivor(surviving), canonical_id(old)
        present = self._survivor(old)
        if present == wanted:
            return
        if present != canonical:
            raise MergedElsewhere("The old number was merged into another patient before.")
        if self._table is None:
            raise TypeError("an ephemeral key keeps no merges")
        token = self.token(canonical, MERGED_DOMAIN)
        self._table.remember(MERGED_DOMAIN, token, wanted)
        self._merged |= {token}
        self._survivors.clear()

    def part(self, first: PatientId, second: PatientId) -> tuple[PatientId, PatientId] | None:
        """Take a merge of two numbers back, in whatever direction it was: the old one stands for itself again.

        Returns
        -------
        tuple
            The old number and the one it led to; None where neither leads to the other one directly.
        """
        self._looked_at = float("-inf")
        if self._table is None:
            return None
        pairs = [(canonical_id(first), canonical_id(second)), (canonical_id(second), canonical_id(first))]
        for old, surviving in pairs:
            token = self.token(old, MERGED_DOMAIN)
            if self._table.open(MERGED_DOMAIN, token) == surviving:
                self._table.replace((MERGED_DOMAIN, token), (PARTED_DOMAIN, secrets.token_hex(16), old))
                self._merged = self._table.names(MERGED_DOMAIN)
                self._survivors.clear()
                return PatientId(old), PatientId(surviving)
        return None

    def _survivor(self, patient_id: PatientId) -> str:
        canonical = canonical_id(patient_id)
        if self._table is None:
            return canonical
        now = time.monotonic()
        if now - self._looked_at >= LOOK_FOR_MERGES_S:
            self._looked_at = now
            # Merges and what was taken back of them: one of the two grows with every change.
            known = (self._table.count(MERGED_DOMAIN), self._table.count(PARTED_DOMAIN))
            if known != self._known:
                self._known = known
                self._merged = self._table.names(MERGED_DOMAIN)
                self._survivors.clear()
        if not self._merged:
            return canonical
        if canonical not in self._survivors:
            found = canonical
            # No circle: a number is merged once, and only into one that does not lead back to it.
            while (token := self.token(found, MERGED_DOMAIN)) in self._merged:
                found = self._table.open(MERGED_DOMAIN, token) or found
            if len(self._survivors) > 100_000:
                self._survivors.clear()
            self._survivors[canonical] = found
        return self._survivors[canonical]

    def reveal(self, pseudonym: Pseudonym, domain: str) -> PatientId:
        """Look up the patient.

        Only :func:`reidentify` tells the answer to people, after its checks and its audit entry; ``deid`` asks to file
        an object under the subject that a person named, and tells nobody.

        Raises
        ------
        UnknownPseudonym
            If nothing is recorded.
        """
        found = None if self._table is None else self._table.open(domain, pseudonym)
        if found is None:
            raise UnknownPseudonym("No patient is recorded under this pseudonym.")
        return PatientId(found)


def reidentify(
    pseudonymiser: Pseudonymiser,
    pseudonym: Pseudonym,
    domain: str,
    request: ReidentificationRequest,
    *,
    database: Database,
    audit: AuditLog,
) -> PatientId:
    """Tell who a subject is, to two different people with the right and a reason; every try is audited.

    Raises
    ------
    ReidentificationRefused
        If the right, the second person or the reason is missing.
    UnknownPseudonym
        If nothing is recorded.
    """
    refusal = _refusal(request)
    with database.begin() as connection:
        # The entry is committed before the answer is looked up: no answer without its trace.
        audit.append(
            connection,
            actor=request.actor,
            actor_role=",".join(sorted(request.actor_roles)),
            action=REIDENTIFY,
            target=f"{domain}/{pseudonym}",
            purpose=request.reason,
            outcome="refused" if refusal else "success",
            details={"second_person": request.second_person, "refusal": refusal},
        )
    if refusal:
        raise ReidentificationRefused(refusal)
    return pseudonymiser.reveal(pseudonym, domain)


def _refusal(request: ReidentificationRequest) -> str:
    if len(request.reason.strip()) < SHORTEST_REASON:
        return "Re-identification needs a reason in plain words."
    if not request.second_person.strip() or request.second_person == request.actor:
        return "Re-identification needs a second person."
    for roles in (request.actor_roles, request.second_roles):
        if not is_permitted("node", (Role(role) for role in roles), REIDENTIFY):
            return "Re-identification needs a role that may do it, for both people."
    return ""
