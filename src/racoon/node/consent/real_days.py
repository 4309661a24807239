"""Days of acquisition before they were shifted, and names of subjects in one study: for who holds the door."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.consent.model import Item
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN, UnknownPseudonym
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.dicom.dates import parse_date

NameInStudy = Callable[[PatientId, str], str]
"""Names a patient in one study."""


class RealDays:
    """Days of acquisition before they were shifted; for processes that hold the door to who is who.

    Parameters
    ----------
    names
        The door.
    shift_limit_days
        Of the de-identification profile in force.
    name_in_study
        The site's pseudonymisation service; the node's own key where there is none.
    """

    def __init__(
        self, names: Pseudonymiser, shift_limit_days: int, name_in_study: NameInStudy | None = None
    ) -> None:
        self._names = names
        self._limit = shift_limit_days
        self._name_in_study = name_in_study

    def acquired(self, item: Item) -> date | None:
        """Return the day of an image, or None where it cannot be told."""
        shifted = parse_date(item.day_shifted)
        if shifted is None:
            return None
        try:
            patient = self._names.reveal(item.pseudonym, ARCHIVE_DOMAIN)
        except UnknownPseudonym:
            return None
        # An object that came before a merge keeps the shift of the number it came with.
        days = self._names.date_shift_days(patient, limit_days=self._limit, is_merged=False)
        return shifted - timedelta(days=days)

    def study_pseudonym(self, pseudonym: Pseudonym, study_id: str) -> str:
        """Return the name a subject has in one study only, for those outside.

        Raises
        ------
        racoon.errors.RacoonError
            If a service names subjects and does not answer.
        """
        try:
            patient = self._names.reveal(pseudonym, ARCHIVE_DOMAIN)
        except UnknownPseudonym:
            # Nobody recorded a patient, as for an object that came de-identified: a token as stable and as blind.
            return f"T-{self._names.token(f'subject/{pseudonym}', study_id)}"
        if self._name_in_study is not None:
            return self._name_in_study(patient, study_id)
        return str(self._names.pseudonym(patient, study_id, is_merged=False))
