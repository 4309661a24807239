"""De-identify one object.

``Deidentifier.apply`` gives an object that may enter the archive or raises ``Quarantined``; nothing in
between.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.deid._blanking import CannotBlank, blank, kept_and_blanked
from racoon.node.deid._correcting import corrected
from racoon.node.deid._engine import encode_header
from racoon.node.deid._handlers import little_endian_words
from racoon.node.deid._introducing import card_of
from racoon.node.deid._job import Job
from racoon.node.deid._risk import Risk
from racoon.node.deid.identifiers import (
    KnownIdentifiers,
    confirm,
    known_identifiers,
    survivors,
    survivors_in_stream,
)
from racoon.node.deid.model import (
    NEEDED_OPTION,
    Correction,
    Deidentified,
    Profile,
    Quarantined,
    QuarantineReason,
)
from racoon.node.deid.naming import subjects_named
from racoon.node.deid.profiles import profile_named, profiles
from racoon.node.deid.rules import RuleSet, rules_for
from racoon.node.deid.screening import FLOATING, completed, number_of, screen, screen_pixels, screen_risk
from racoon.node.deid.text_detection import (
    DetectText,
    TextDetector,
    UndecodablePixels,
    frames_with_text,
    is_worth_a_look,
)
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN, UnknownPseudonym
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.dicom.codestream import blank_comments
from racoon.standards.dicom.elements import (
    PIXEL_DATA,
    Dataset,
    MalformedDicom,
    NotDicom,
    TooLarge,
    TruncatedDicom,
)
from racoon.standards.dicom.reading import DicomFile, read_file
from racoon.standards.dicom.text import encodings_of, text_of
from racoon.standards.dicom.uids import EXPLICIT_LITTLE_ENDIAN, NATIVE
from racoon.standards.dicom.writing import encode_file_meta, join_file, pixel_header

MAXIMUM_FILE_BYTES = 8 << 30

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
_ACCESSION = 0x00080050
_PATIENT_ID, _BITS_ALLOCATED, _PIXEL_REPRESENTATION = 0x00100020, 0x00280100, 0x00280103

_BROKEN = (struct.error, ValueError, KeyError, IndexError, TypeError, OverflowError, RecursionError)
"""What a hostile header can provoke beyond :class:`MalformedDicom`; the object goes to quarantine, the batch
goes on."""


class Deidentifier:
    """Applies one profile in one pseudonym domain.

    Parameters
    ----------
    profile
        A profile or the name of a shipped one.
    pseudonymiser
        The node's, or an ephemeral one.
    domain
        Pseudonym domain; the node's archive by default.
    detector, detect_text
        Reader of text in pixels, where one is installed, and which images it looks at.
    introduces
        Whether the room that knows who is who keeps what headers say of their patient, to find doubtful numbers.
    """

    def __init__(
        self,
        profile: Profile | str,
        pseudonymiser: Pseudonymiser,
        *,
        domain: str = ARCHIVE_DOMAIN,
        detector: TextDetector | None = None,
        detect_text: DetectText = "derived",
        introduces: bool = False,
    ) -> None:
        self.introduces = introduces
        self._detector = detector
        self._detect_text = detect_text
        self.profile = profile_named(profile) if isinstance(profile, str) else profile
        self.domain = domain
        self._names = pseudonymiser

    def apply(
        self,
        source: Path | bytes,
        *,
        released: frozenset[QuarantineReason] = frozenset(),
        correction: Correction | None = None,
    ) -> Deidentified:
        """Give an object without identity.

        Parameters
        ----------
        source
            A file's path or its bytes.
        released
            Suspicions that a person has looked at and overruled.
        correction
            What a person set right; every rule sees the object as it should have come.

        Raises
        ------
        Quarantined
            With the reason; nothing was written anywhere.
        """
        try:
            data = source if isinstance(source, bytes) else _load(source)
            return self._apply(data, completed(read_file(data)), released, correction)
        except MalformedDicom as error:
            raise Quarantined(_reason_of(error), {"detail": error.public_message}) from error
        except _BROKEN as error:
            raise Quarantined(QuarantineReason.UNDECODABLE_HEADER, {"kind": type(error).__name__}) from error

    def subjects_in(self, data: bytes) -> frozenset[Pseudonym]:
        """Say whom an object names, also one that no rule could pass; empty where nothing does."""
        return subjects_named(data, lambda patient: self._names.pseudonym(patient, self.domain))

    def _apply(
        self,
        data: bytes,
        original: DicomFile,
        released: frozenset[QuarantineReason],
        correction: Correction | None,
    ) -> Deidentified:
        file = original if correction is None else corrected(original, correction)
        screen(file)
        rules = self._rules(file)
        has_pixels = rules.kind in ("image", "segmentation")
        pixels = "none"
        if has_pixels:
            is_released = QuarantineReason.BURNED_IN_SUSPECTED in released
            risk = screen_risk(file, profile=self.profile, is_released=is_released)
            screen_pixels(file)
            pixels = "untouched" if not file.is_big_endian else "same values, byte order changed"
            if risk.remedy is not None:
                file, pixels = _blanked(data, file, risk)
            elif risk.suspicions:
                pixels = f"untouched; a person released: {', '.join(risk.suspicions)}"
        job = self._job(file, rules, correction)
        if correction is not None:
            # The number that was replaced must not survive elsewhere in the object either.
            wrong = known_identifiers(original.dataset, is_report=rules.kind == "report")
            job.known = job.known.united(wrong)
            job.corrected = correction.elements
        job.is_blanked = pixels.startswith("blanked")
        dataset = file.dataset
        header = encode_header(job, dataset)
        uids = {
            tag: self._names.uid(text_of(dataset[tag]), self.domain)
            for tag in (_SOP_INSTANCE, _SERIES, _STUDY)
        }
        if self.domain == ARCHIVE_DOMAIN:
            accession = text_of(dataset.get(_ACCESSION), encodings_of(dataset)).strip()
            self._names.note_accession(accession, uids[_STUDY])
        sop_class = text_of(dataset[_SOP_CLASS])
        syntax = EXPLICIT_LITTLE_ENDIAN if file.transfer_syntax_uid in NATIVE else file.transfer_syntax_uid
        head = [encode_file_meta(sop_class, uids[_SOP_INSTANCE], syntax), header]
        parts = _pixel_parts(job, file) if has_pixels else []
        found = survivors(b"".join(head), job.known, job.original_uids, job.written_dates)
        in_stream = (
            survivors_in_stream(parts[1], job.known) if len(parts) > 1 and syntax not in NATIVE else []
        )
        output = join_file(head, parts)
        if found or in_stream:
            places = confirm(output, found) + ["(7FE0,0010)"] * bool(in_stream)
            if places:
                raise Quarantined(QuarantineReason.IDENTIFIER_SURVIVED, {"elements": places})
        if has_pixels and QuarantineReason.BURNED_IN_SUSPECTED not in released:
            pixels += self._read_pixels(file, rules, output)
        return Deidentified(
            output,
            sop_class,
            uids[_SOP_INSTANCE],
            uids[_SERIES],
            uids[_STUDY],
            job.pseudonym,
            self._evidence(job, file, chance_hits=len(found), pixels=pixels),
        )

    def _rules(self, file: DicomFile) -> RuleSet:
        sop_class = text_of(file.dataset[_SOP_CLASS])
        rules = rules_for(sop_class, self.profile)
        if rules is None:
            raise Quarantined(QuarantineReason.UNSUPPORTED_SOP_CLASS, {"sop_class": sop_class})
        if rules.kind == "document":
            raise Quarantined(QuarantineReason.ENCAPSULATED_DOCUMENT, {"sop_class": sop_class})
        needed = NEEDED_OPTION.get(rules.kind)
        is_refused = sop_class in self.profile.refused_sop_classes
        if is_refused or (needed is not None and needed not in self.profile.options):
            raise Quarantined(QuarantineReason.NOT_IN_PROFILE, {"sop_class": sop_class})
        return rules

    def _job(self, file: DicomFile, rules: RuleSet, correction: Correction | None) -> Job:
        dataset = file.dataset
        subject = "" if correction is None else correction.subject
        patient_id = PatientId(text_of(dataset.get(_PATIENT_ID), encodings_of(dataset)))
        if patient_id and self.introduces:
            self._names.introduce(card_of(dataset, str(patient_id)))
        if not patient_id:
            # Without a number, objects of one imaging study still belong to one subject; two studies never
            # do.
            patient_id = PatientId(f"imaging-study:{text_of(dataset[_STUDY])}")
        if subject:
            patient_id = self._patient_of(Pseudonym(subject))
        return Job(
            names=self._names,
            domain=self.domain,
            patient_id=patient_id,
            pseudonym=Pseudonym(subject) if subject else self._names.pseudonym(patient_id, self.domain),
            shift_days=self._names.date_shift_days(
                # Filed under a named subject, an object moves with that one's own, whatever was merged since.
                patient_id,
                self.domain,
                limit_days=self.profile.date_shift_limit_days,
                is_merged=not subject,
            ),
            profile=self.profile,
            rules=rules,
            known=self._known(dataset, rules),
            is_big_endian=file.is_big_endian,
            is_signed=number_of(dataset.get(_PIXEL_REPRESENTATION), file) == 1,
        )

    def _known(self, dataset: Dataset, rules: RuleSet) -> KnownIdentifiers:
        return known_identifiers(dataset, is_report=rules.kind == "report")

    def _read_pixels(self, file: DicomFile, rules: RuleSet, output: bytes) -> str:
        """Let a reader look for text in what would go out, and say for the evidence that it did."""
        if self._detector is None or rules.kind == "segmentation":
            return ""
        if not is_worth_a_look(file.dataset, self._detect_text):
            return ""
        try:
            found = frames_with_text(self._detector, output)
        except UndecodablePixels as error:
            raise Quarantined(QuarantineReason.UNDECODABLE_PIXELS) from error
        if found:
            details = {"frames_with_text": found, "rule": self._detector.name}
            raise Quarantined(QuarantineReason.BURNED_IN_SUSPECTED, details)
        return f"; no words found by {self._detector.name}"

    def _patient_of(self, subject: Pseudonym) -> PatientId:
        """Find whose dates a corrected object has to move with; the number leaves neither this call nor the job."""
        try:
            return self._names.reveal(subject, self.domain)
        except UnknownPseudonym as error:
            details = {"detail": "There is no subject with this pseudonym."}
            raise Quarantined(QuarantineReason.INCONSISTENT_PATIENT, details) from error

    def _evidence(self, job: Job, file: DicomFile, *, chance_hits: int, pixels: str) -> dict[str, Any]:
        return {
            "rule_set": job.rules.version,
            "sop_class": job.rules.sop_class_name,
            "profile": job.profile.name,
            "options": sorted(job.profile.options),
            "actions": dict(sorted(job.counts.items())),
            "tolerated": list(file.tolerated),
            "corrected_by_a_person": list(job.corrected),
            "has_patient_id": _PATIENT_ID in file.dataset and bool(file.dataset[_PATIENT_ID].value),
            "self_scan": {
                "tokens": len(job.known.tokens) + len(job.original_uids),
                "numbers_that_agree_by_chance": chance_hits,
                "survivors": 0,
            },
            "pixels": pixels,
        }


def _load(path: Path) -> bytes:
    if path.stat().st_size > MAXIMUM_FILE_BYTES:
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE)
    return path.read_bytes()


def _blanked(data: bytes, file: DicomFile, risk: Risk) -> tuple[DicomFile, str]:
    assert risk.remedy is not None
    try:
        kept, boxes = kept_and_blanked(risk.remedy, file)
    except CannotBlank as error:
        details = {"suspicions": list(risk.suspicions), "rule": risk.remedy["id"]}
        raise Quarantined(QuarantineReason.BURNED_IN_SUSPECTED, details) from error
    try:
        return blank(data, file, kept, boxes), f"blanked by rule {risk.remedy['id']}"
    except CannotBlank as error:
        raise Quarantined(QuarantineReason.UNDECODABLE_PIXELS, {"rule": risk.remedy["id"]}) from error


def _pixel_parts(job: Job, file: DicomFile) -> list[bytes | memoryview]:
    floating = next((tag for tag in FLOATING if tag in file.dataset and PIXEL_DATA not in file.dataset), None)
    if floating is not None:
        vr, value = ("OF" if FLOATING[floating] == 4 else "OD"), file.dataset[floating].value
        return [pixel_header(floating, vr, len(value), is_encapsulated=False), value]
    pixels = file.dataset[PIXEL_DATA]
    if pixels.is_undefined_length:
        stream, blanked = blank_comments(pixels.value)
        job.counts["codestream_comments_blanked"] += blanked
        return [pixel_header(PIXEL_DATA, "OB", 0, is_encapsulated=True), stream]
    bits = number_of(file.dataset.get(_BITS_ALLOCATED), file)
    # Both are legal up to 8 bit (PS3.5 section A.2); above, words it must be.
    vr = "OB" if bits <= 8 and pixels.vr == "OB" else "OW"
    value = pixels.value
    if file.is_big_endian and vr == "OW":
        value = little_endian_words(bytes(value), max(bits // 8, 2))
    parts: list[bytes | memoryview] = [pixel_header(PIXEL_DATA, vr, len(value), is_encapsulated=False), value]
    return [*parts, b"\0"] if len(value) % 2 else parts


def _reason_of(error: MalformedDicom) -> QuarantineReason:
    if isinstance(error, NotDicom):
        return QuarantineReason.NOT_DICOM
    if isinstance(error, TruncatedDicom):
        return QuarantineReason.TRUNCATED
    if isinstance(error, TooLarge):
        return QuarantineReason.SUSPICIOUS_SIZE
    return QuarantineReason.UNDECODABLE_HEADER


def iterate_profiles() -> Iterator[tuple[str, str]]:
    """Names and titles of the shipped profiles."""
    for name, profile in profiles().items():
        yield name, profile.title
