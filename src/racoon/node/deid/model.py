"""Words of de-identification: what comes out, why something does not, and what a profile is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Literal

from racoon.domain.identity import Pseudonym
from racoon.errors import Defect, Refused


class QuarantineReason(StrEnum):
    """Why an object does not pass.  The value is a stable code; :data:`PLAIN_WORDS` says it to people."""

    NOT_DICOM = "not_dicom"
    TRUNCATED = "truncated"
    UNDECODABLE_HEADER = "undecodable_header"
    MISSING_UIDS = "missing_uids"
    UNSUPPORTED_SOP_CLASS = "unsupported_sop_class"
    UNSUPPORTED_TRANSFER_SYNTAX = "unsupported_transfer_syntax"
    MISSING_PIXEL_DATA = "missing_pixel_data"
    BURNED_IN_SUSPECTED = "burned_in_suspected"
    SUSPICIOUS_SIZE = "suspicious_size"
    INCONSISTENT_PATIENT = "inconsistent_patient"
    ENCAPSULATED_DOCUMENT = "encapsulated_document"
    NOT_IN_PROFILE = "not_in_profile"
    FACE_RECOGNISABLE = "face_recognisable"
    UNDECODABLE_PIXELS = "undecodable_pixels"
    IDENTIFIER_SURVIVED = "identifier_survived"
    CONFLICT = "conflict"


PLAIN_WORDS: Mapping[QuarantineReason, tuple[str, str]] = {
    QuarantineReason.NOT_DICOM: (
        "This is not a DICOM file.",
        "Das ist keine DICOM-Datei.",
    ),
    QuarantineReason.TRUNCATED: (
        "The file ends too early. Send it again.",
        "Die Datei endet zu früh. Bitte noch einmal senden.",
    ),
    QuarantineReason.UNDECODABLE_HEADER: (
        "The header cannot be read.",
        "Der Kopf der Datei ist nicht lesbar.",
    ),
    QuarantineReason.MISSING_UIDS: (
        "A UID of the imaging study, the series or the object is missing or malformed.",
        "Eine UID der Untersuchung, der Serie oder des Objekts fehlt oder ist fehlerhaft.",
    ),
    QuarantineReason.UNSUPPORTED_SOP_CLASS: (
        "There are no de-identification rules for this kind of object (SOP class).",
        "Für diese Art von Objekt (SOP-Klasse) gibt es keine Regeln zur De-Identifizierung.",
    ),
    QuarantineReason.UNSUPPORTED_TRANSFER_SYNTAX: (
        "The transfer syntax is unknown.",
        "Die Transfersyntax ist unbekannt.",
    ),
    QuarantineReason.MISSING_PIXEL_DATA: (
        "The image has no pixel data, or its size is not stated.",
        "Das Bild hat keine Pixeldaten oder nennt seine Größe nicht.",
    ),
    QuarantineReason.BURNED_IN_SUSPECTED: (
        "Text may be written into the pixels (screen save, dose sheet, colour picture or marked so).",
        "In die Pixel könnte Text geschrieben sein (Bildschirmfoto, Dosisblatt, Farbbild, Kennzeichen).",
    ),
    QuarantineReason.SUSPICIOUS_SIZE: (
        "The object claims a size that no honest object has.",
        "Das Objekt gibt eine Größe an, die kein echtes Objekt hat.",
    ),
    QuarantineReason.INCONSISTENT_PATIENT: (
        "Objects of one imaging study carry different patients.",
        "Objekte einer Untersuchung tragen verschiedene Patienten.",
    ),
    QuarantineReason.ENCAPSULATED_DOCUMENT: (
        "The object is a document (PDF, CDA or a 3D model). Nobody can clean a document, so it stays here.",
        "Das Objekt ist ein Dokument (PDF, CDA oder 3D-Modell). Dokumente lassen sich nicht bereinigen.",
    ),
    QuarantineReason.NOT_IN_PROFILE: (
        "The chosen profile does not let this kind of object pass.",
        "Das gewählte Profil lässt diese Art von Objekt nicht zu.",
    ),
    QuarantineReason.FACE_RECOGNISABLE: (
        "The study asks for images without faces; this one may show a head, and no tool here removes faces.",
        "Die Studie verlangt Bilder ohne Gesicht; dieses zeigt vielleicht einen Kopf. Hier entfernt nichts Gesichter.",
    ),
    QuarantineReason.UNDECODABLE_PIXELS: (
        "The pixels are compressed in a way from which nobody can get back the values that were stored.",
        "Die Pixel sind so komprimiert, dass sich die gespeicherten Werte nicht verlässlich zurückgewinnen lassen.",
    ),
    QuarantineReason.IDENTIFIER_SURVIVED: (
        "The self-scan found something known of the patient in the output.",
        "Die Selbstprüfung fand in der Ausgabe etwas, das die Patientin oder den Patienten kennzeichnet.",
    ),
    QuarantineReason.CONFLICT: (
        "Another object with the same UID and different content is archived already.",
        "Ein anderes Objekt mit derselben UID und anderem Inhalt ist schon archiviert.",
    ),
}

RELEASABLE = frozenset({QuarantineReason.BURNED_IN_SUSPECTED})
"""Suspicions a person may overrule after looking; everything else is only tried again."""


class Quarantined(Defect):
    """An object that must not pass.

    Parameters
    ----------
    reason
        Its code and plain words.
    details
        For the local log only; without values of the object.
    """

    code = "deid.quarantined"

    def __init__(self, reason: QuarantineReason, details: Mapping[str, object] | None = None) -> None:
        super().__init__(PLAIN_WORDS[reason][0], code=f"deid.{reason.value}", details=details)
        self.reason = reason

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with its reason: de-identification may run in another process."""
        return (Quarantined, (self.reason, self.details))


class BadCorrection(Refused):
    """A correction that makes no sense."""

    code = "deid.bad_correction"
    status = 400


CORRECTABLE_UIDS: Mapping[str, int] = {
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
}
"""UIDs without which no object can be filed (PS3.3 C.7.2.1, C.7.3.1, C.12.1)."""


@dataclass(frozen=True)
class Correction:
    """What a person sets right in an object before the rules see it; the original bytes stay as they are.

    Parameters
    ----------
    subject
        Pseudonym of the subject whose the object is, as the archive shows it.
    patient_id
        The patient's number in this hospital, instead of ``subject``.
    uids
        New values by keyword of :data:`CORRECTABLE_UIDS`.
    """

    subject: str = ""
    patient_id: str = ""
    uids: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # Settings read this module, and commands that only read settings load no images.
        from racoon.standards.dicom.uids import is_uid  # noqa: PLC0415

        if self.subject and self.patient_id:
            raise BadCorrection("Name the subject or the patient number, not both.")
        printable = (
            self.patient_id.isascii() and self.patient_id.isprintable() and "\\" not in self.patient_id
        )
        if len(self.patient_id) > 64 or not printable:
            raise BadCorrection("A patient number has up to 64 plain characters and no backslash.")
        if self.uids.keys() - CORRECTABLE_UIDS.keys() or not all(map(is_uid, self.uids.values())):
            raise BadCorrection("A UID has up to 64 characters: digits and dots, such as 1.2.826.0.1.")

    @property
    def elements(self) -> tuple[str, ...]:
        """Keywords of what it sets, for evidence and audit; never the values."""
        return (*(("PatientID",) if self.subject or self.patient_id else ()), *sorted(self.uids))

    def merged(self, later: Correction) -> Correction:
        """Give both corrections as one; the later one decides."""
        names_whose = later if later.subject or later.patient_id else self
        return Correction(names_whose.subject, names_whose.patient_id, {**self.uids, **later.uids})


class UnknownProfile(Refused):
    """No such profile, or one that does not make sense."""

    code = "deid.unknown_profile"


OPTIONS: Mapping[str, tuple[str, str]] = {
    "modified_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "clean_descriptors": ("113105", "Clean Descriptors Option"),
    "clean_structured_content": ("113104", "Clean Structured Content Option"),
    "clean_graphics": ("113103", "Clean Graphics Option"),
    "clean_pixel_data": ("113101", "Clean Pixel Data Option"),
    "patient_characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device_identity": ("113109", "Retain Device Identity Option"),
}
"""Options of PS3.15 table E.1-1 that a profile may switch on, with their codes of CID 7050.

The table's columns for original UIDs, full dates and the institution are shipped too and never offered.
"""

BASIC_PROFILE_CODE = ("113100", "Basic Application Confidentiality Profile")
SAFE_PRIVATE_CODE = ("113111", "Retain Safe Private Option")

NEEDED_OPTION: Mapping[str, str] = {"report": "clean_structured_content", "presentation": "clean_graphics"}
"""Kinds of objects that are nothing but content: without the option that cleans it they do not pass."""


@dataclass(frozen=True)
class Profile:
    """What a study chose and a site may tighten; data, not code.

    Parameters
    ----------
    name, title
        Key and one line for people.
    options
        Names of :data:`OPTIONS` that are on.
    date_shift_limit_days
        Dates move by 1 to this many days in either direction.
    birth_date
        ``"remove"`` empties it; ``"year"`` keeps the first of January of the year, unless older than 89.
    faces
        ``"refuse"`` stops CT and MR that may show a head; ``"keep"`` lets them pass.
    also_remove
        Keywords that go although the options would keep them.
    safe_private
        ``"CREATOR|gggg|ee"`` of private elements that may stay (block-relative element number).
    refused_sop_classes
        UIDs of SOP classes that do not pass although there are rules for them.
    """

    name: str
    title: str = ""
    options: frozenset[str] = frozenset()
    date_shift_limit_days: int = 14
    birth_date: Literal["remove", "year"] = "remove"
    faces: Literal["keep", "refuse"] = "keep"
    also_remove: frozenset[str] = frozenset()
    safe_private: frozenset[str] = frozenset()
    refused_sop_classes: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        unknown = self.options - OPTIONS.keys()
        if unknown:
            raise UnknownProfile(
                f"The profile {self.name} names unknown options: {', '.join(sorted(unknown))}."
            )

    def tighten(
        self,
        *,
        without: frozenset[str] = frozenset(),
        also_remove: frozenset[str] = frozenset(),
        without_private: frozenset[str] = frozenset(),
        refused_sop_classes: frozenset[str] = frozenset(),
        refuse_faces: bool = False,
        no_birth_date: bool = False,
    ) -> Profile:
        """Give a profile that keeps less.  There is no argument by which it could keep more.

        Parameters
        ----------
        without, without_private
            Options and safe private elements to take away.
        also_remove, refused_sop_classes
            Keywords and SOP classes to stop besides.
        refuse_faces, no_birth_date
            Stop heads; never keep a year of birth.
        """
        return replace(
            self,
            name=f"{self.name}-tightened",
            options=self.options - without,
            also_remove=self.also_remove | also_remove,
            safe_private=self.safe_private - without_private,
            refused_sop_classes=self.refused_sop_classes | refused_sop_classes,
            faces="refuse" if refuse_faces else self.faces,
            birth_date="remove" if no_birth_date else self.birth_date,
        )


@dataclass(frozen=True)
class Deidentified:
    """One object without identity.

    Parameters
    ----------
    dataset_bytes
        A whole DICOM file (PS3.10), preamble zeroed.
    sop_class_uid, sop_instance_uid, series_uid, imaging_study_uid
        UIDs inside the file, already replaced.
    pseudonym
        Subject.
    evidence
        Rule set, profile, counts per action and class of element, result of the self-scan.  No original
        values.
    """

    dataset_bytes: bytes
    sop_class_uid: str
    sop_instance_uid: str
    series_uid: str
    imaging_study_uid: str
    pseudonym: Pseudonym
    evidence: Mapping[str, Any] = field(default_factory=dict)
