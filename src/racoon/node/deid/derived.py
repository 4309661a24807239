"""The gate for objects that were made from de-identified images: the same rules, but the names are given already.

A mask or a report drawn on archived images carries their pseudonym, their UIDs and their shifted dates.  Replacing
these once more would cut it off from its images; everything else is treated as in any object that comes in.
"""

from __future__ import annotations

from pathlib import Path

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.deid.identifiers import KnownIdentifiers, known_identifiers
from racoon.node.deid.model import Deidentified, Profile
from racoon.node.deid.rules import RuleSet
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN, DEFAULT_DATE_SHIFT_DAYS
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.dicom.elements import Dataset
from racoon.standards.dicom.text import encodings_of, text_of
from racoon.standards.dicom.uids import is_uid

_PATIENT_NAME, _PATIENT_ID = 0x00100010, 0x00100020


class DerivedGate:
    """Applies a profile to objects that already carry a pseudonym.

    Parameters
    ----------
    profile
        The profile in force at this node.
    key_file
        Key for tokens of local texts, made on first use; another key than that of the pseudonyms, which this
        gate does not need.  None makes a key that ends with the process.
    """

    def __init__(self, profile: Profile | str, key_file: Path | None) -> None:
        self._deidentifier = _ForDerived(profile, _GivenNames(key_file, None))

    def apply(self, data: bytes) -> Deidentified:
        """Give the object with its own UIDs, pseudonym and dates, and with nothing that the profile forbids.

        Parameters
        ----------
        data
            A whole DICOM file.

        Raises
        ------
        Quarantined
            With the reason; nothing was written anywhere.
        """
        return self._deidentifier.apply(data)


class _GivenNames(Pseudonymiser):
    """Leaves names, UIDs and dates as they are; local texts still become tokens."""

    def pseudonym(
        self,
        patient_id: PatientId,
        domain: str = ARCHIVE_DOMAIN,  # noqa: ARG002 -- the signature of the port
        *,
        is_merged: bool = True,  # noqa: ARG002 -- the signature of the port
    ) -> Pseudonym:
        return Pseudonym(patient_id)

    def uid(self, original: str, domain: str = ARCHIVE_DOMAIN) -> str:
        # The engine also asks for UIDs in place of values that may not stay; those are no UIDs.
        return original if is_uid(original) else super().uid(original, domain)

    def date_shift_days(
        self,
        patient_id: PatientId,  # noqa: ARG002 -- the signature of the port
        domain: str = ARCHIVE_DOMAIN,  # noqa: ARG002 -- the signature of the port
        *,
        limit_days: int = DEFAULT_DATE_SHIFT_DAYS,  # noqa: ARG002 -- the signature of the port
        is_merged: bool = True,  # noqa: ARG002 -- the signature of the port
    ) -> int:
        return 0


class _ForDerived(Deidentifier):
    """Does not take the pseudonym, which stays in the object, for something known of the patient."""

    def _known(self, dataset: Dataset, rules: RuleSet) -> KnownIdentifiers:
        pseudonym = text_of(dataset.get(_PATIENT_ID), encodings_of(dataset))
        own = {_PATIENT_ID}
        if text_of(dataset.get(_PATIENT_NAME), encodings_of(dataset)).strip("^= ") == pseudonym:
            own.add(_PATIENT_NAME)
        others = Dataset({tag: element for tag, element in dataset.items() if tag not in own})
        return known_identifiers(others, is_report=rules.kind == "report")
