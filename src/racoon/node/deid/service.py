"""De-identify one object, or a folder of them.

``Deidentifier.apply`` gives an object that may enter the archive or raises ``Quarantined``; nothing in
between.
"""

from __future__ import annotations

import json
import logging
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from racoon.domain.identity import PatientId
from racoon.node.deid._engine import Job, encode_header, little_endian_words
from racoon.node.deid.identifiers import confirm, known_identifiers, survivors
from racoon.node.deid.model import (
    PLAIN_WORDS,
    Deidentified,
    Profile,
    Quarantined,
    QuarantineReason,
)
from racoon.node.deid.rules import RuleSet, profile_named, rule_set_version, rules_for
from racoon.node.deid.screening import number_of, screen, screen_pixels
from racoon.node.pseudonyms.model import ARCHIVE_DOMAIN
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.files import write_atomically
from racoon.standards.dicom.elements import PIXEL_DATA, MalformedDicom, NotDicom, TooLarge, TruncatedDicom
from racoon.standards.dicom.reading import DicomFile, read_file
from racoon.standards.dicom.text import encodings_of, text_of
from racoon.standards.dicom.uids import EXPLICIT_LITTLE_ENDIAN, NATIVE
from racoon.standards.dicom.writing import encode_file_meta, join_file, pixel_header

LOG = logging.getLogger(__name__)

MAXIMUM_FILE_BYTES = 8 << 30

_SOP_CLASS, _SOP_INSTANCE, _STUDY, _SERIES = 0x00080016, 0x00080018, 0x0020000D, 0x0020000E
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
    """

    def __init__(
        self, profile: Profile | str, pseudonymiser: Pseudonymiser, *, domain: str = ARCHIVE_DOMAIN
    ) -> None:
        self.profile = profile_named(profile) if isinstance(profile, str) else profile
        self.domain = domain
        self._names = pseudonymiser

    def apply(
        self, source: Path | bytes, *, released: frozenset[QuarantineReason] = frozenset()
    ) -> Deidentified:
        """Give an object without identity.

        Parameters
        ----------
        source
            A file's path or its bytes.
        released
            Suspicions that a person has looked at and overruled.

        Raises
        ------
        Quarantined
            With the reason; nothing was written anywhere.
        """
        try:
            data = source if isinstance(source, bytes) else _load(source)
            return self._apply(read_file(data), released)
        except MalformedDicom as error:
            raise Quarantined(_reason_of(error), {"detail": error.public_message}) from error
        except _BROKEN as error:
            raise Quarantined(QuarantineReason.UNDECODABLE_HEADER, {"kind": type(error).__name__}) from error

    def _apply(self, file: DicomFile, released: frozenset[QuarantineReason]) -> Deidentified:
        screen(file)
        dataset = file.dataset
        rules = rules_for(text_of(dataset[_SOP_CLASS]), self.profile)
        if rules is None:
            raise Quarantined(
                QuarantineReason.UNSUPPORTED_SOP_CLASS, {"sop_class": text_of(dataset[_SOP_CLASS])}
            )
        screen_pixels(file, may_be_burned_in=QuarantineReason.BURNED_IN_SUSPECTED in released)
        job = self._job(file, rules)
        header = encode_header(job, dataset)
        uids = {
            tag: self._names.uid(text_of(dataset[tag]), self.domain)
            for tag in (_SOP_INSTANCE, _SERIES, _STUDY)
        }
        sop_class = text_of(dataset[_SOP_CLASS])
        syntax = EXPLICIT_LITTLE_ENDIAN if file.transfer_syntax_uid in NATIVE else file.transfer_syntax_uid
        head = [encode_file_meta(sop_class, uids[_SOP_INSTANCE], syntax), header]
        found = survivors(b"".join(head), job.known, job.original_uids, job.written_dates)
        output = join_file(head, _pixel_parts(file))
        if found:
            places = confirm(output, found)
            if places:
                raise Quarantined(QuarantineReason.IDENTIFIER_SURVIVED, {"elements": places})
        return Deidentified(
            output,
            sop_class,
            uids[_SOP_INSTANCE],
            uids[_SERIES],
            uids[_STUDY],
            job.pseudonym,
            self._evidence(job, file, chance_hits=len(found)),
        )

    def _job(self, file: DicomFile, rules: RuleSet) -> Job:
        dataset = file.dataset
        patient_id = PatientId(text_of(dataset.get(_PATIENT_ID), encodings_of(dataset)))
        if not patient_id:
            # Without a number, objects of one imaging study still belong to one subject; two studies never
            # do.
            patient_id = PatientId(f"imaging-study:{text_of(dataset[_STUDY])}")
        return Job(
            names=self._names,
            domain=self.domain,
            patient_id=patient_id,
            pseudonym=self._names.pseudonym(patient_id, self.domain),
            shift_days=self._names.date_shift_days(
                patient_id, self.domain, limit_days=self.profile.date_shift_limit_days
            ),
            profile=self.profile,
            rules=rules,
            known=known_identifiers(dataset),
            is_big_endian=file.is_big_endian,
            is_signed=number_of(dataset.get(_PIXEL_REPRESENTATION), file) == 1,
        )

    def _evidence(self, job: Job, file: DicomFile, *, chance_hits: int) -> dict[str, Any]:
        return {
            "rule_set": job.rules.version,
            "profile": job.profile.name,
            "options": sorted(job.profile.options),
            "actions": dict(sorted(job.counts.items())),
            "tolerated": list(file.tolerated),
            "has_patient_id": _PATIENT_ID in file.dataset and bool(file.dataset[_PATIENT_ID].value),
            "self_scan": {
                "tokens": len(job.known.tokens) + len(job.original_uids),
                "numbers_that_agree_by_chance": chance_hits,
                "survivors": 0,
            },
            "pixels": "untouched" if not file.is_big_endian else "same values, byte order changed",
        }


def _load(path: Path) -> bytes:
    if path.stat().st_size > MAXIMUM_FILE_BYTES:
        raise Quarantined(QuarantineReason.SUSPICIOUS_SIZE)
    return path.read_bytes()


def _pixel_parts(file: DicomFile) -> list[bytes | memoryview]:
    pixels = file.dataset[PIXEL_DATA]
    if pixels.is_undefined_length:
        return [pixel_header(PIXEL_DATA, "OB", 0, is_encapsulated=True), pixels.value]
    bits = number_of(file.dataset.get(_BITS_ALLOCATED), file)
    # Both are legal up to 8 bit (PS3.5 section A.2); above, words it must be.
    vr = "OB" if bits <= 8 and pixels.vr == "OB" else "OW"
    value: bytes | memoryview = pixels.value
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


# ------------------------------------------------------------------------------------------------ folders


def deidentify_folder(
    in_dir: Path,
    out_dir: Path,
    profile: str = "basic",
    report: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """De-identify every file of a folder with a key that ends with this call.

    Objects go to ``out_dir/<pseudonym>/<series UID>/<SOP instance UID>.dcm``; what must not pass is copied to
    ``out_dir`` + ``.quarantine/<n>/object.bin`` beside a ``reason.json``.

    Parameters
    ----------
    in_dir, out_dir
        Folder in, folder out; subfolders are followed.
    profile
        Name of a shipped profile.
    report
        JSON file for the summary with the evidence of every object.
    progress
        Called with (done, total) after each file.

    Returns
    -------
    dict
        ``files``, ``written``, ``duplicates``, ``quarantined``, ``reasons`` (code to count), ``profile``,
        ``rule_set``, ``subjects``, ``series``, ``out``, ``quarantine``.
    """
    deidentifier = Deidentifier(profile, Pseudonymiser(None, None))
    files = sorted(path for path in Path(in_dir).rglob("*") if path.is_file())
    run = _FolderRun(Path(in_dir), Path(out_dir))
    for number, path in enumerate(files, start=1):
        run.take(deidentifier, path, number)
        if progress is not None:
            progress(number, len(files))
    summary = run.summary(deidentifier.profile, len(files))
    if report is not None:
        content = summary | {"objects": run.objects}
        write_atomically(Path(report), json.dumps(content, indent=1, ensure_ascii=False).encode(), mode=0o644)
    return summary


class _FolderRun:
    """State of one folder: which patient an imaging study belongs to, what came out, what did not."""

    def __init__(self, in_dir: Path, out_dir: Path) -> None:
        self._in, self._out = in_dir, out_dir
        self._quarantine = out_dir.with_name(out_dir.name + ".quarantine")
        self._subject_of: dict[str, str] = {}
        self._written: dict[str, bytes] = {}
        self._series: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()
        self.objects: list[dict[str, Any]] = []

    def take(self, deidentifier: Deidentifier, path: Path, number: int) -> None:
        """Bring one file to one of its two ends."""
        try:
            result = deidentifier.apply(path)
            if self._subject_of.setdefault(result.imaging_study_uid, result.pseudonym) != result.pseudonym:
                raise Quarantined(QuarantineReason.INCONSISTENT_PATIENT)
            outcome = self._write(result)
        except Quarantined as error:
            self._set_aside(path, number, error)
            return
        self._counts[outcome] += 1
        self.objects.append(
            {
                "outcome": outcome,
                "sop_instance_uid": result.sop_instance_uid,
                "series_uid": result.series_uid,
                "pseudonym": result.pseudonym,
                "evidence": dict(result.evidence),
            }
        )

    def _write(self, result: Deidentified) -> str:
        target = self._out / result.pseudonym / result.series_uid / f"{result.sop_instance_uid}.dcm"
        if result.sop_instance_uid in self._written:
            if target.is_file() and target.read_bytes() == result.dataset_bytes:
                return "duplicate"
            raise Quarantined(QuarantineReason.CONFLICT)
        self._written[result.sop_instance_uid] = b""
        self._series.add(result.series_uid)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(result.dataset_bytes)
        return "written"

    def _set_aside(self, path: Path, number: int, error: Quarantined) -> None:
        folder = self._quarantine / f"{number:06d}"
        reason = {
            "code": error.reason.value,
            "reason": PLAIN_WORDS[error.reason][0],
            "reason_de": PLAIN_WORDS[error.reason][1],
            "source": str(path.relative_to(self._in)),
        }
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / "object.bin", path.read_bytes())
        write_atomically(folder / "reason.json", json.dumps(reason, indent=1, ensure_ascii=False).encode())
        self._reasons[error.reason.value] += 1
        self.objects.append({"outcome": "quarantined", "code": error.reason.value, "quarantine": folder.name})
        LOG.info("object quarantined", extra={"reason": error.reason.value})

    def summary(self, profile: Profile, total: int) -> dict[str, Any]:
        """Count what happened."""
        return {
            "files": total,
            "written": self._counts["written"],
            "duplicates": self._counts["duplicate"],
            "quarantined": sum(self._reasons.values()),
            "reasons": dict(sorted(self._reasons.items())),
            "profile": profile.name,
            "rule_set": rule_set_version(),
            "subjects": len(set(self._subject_of.values())),
            "series": len(self._series),
            "out": str(self._out),
            "quarantine": str(self._quarantine),
        }


def iterate_profiles() -> Iterator[tuple[str, str]]:
    """Names and titles of the shipped profiles."""
    for name in ("basic", "device", "strict"):
        yield name, profile_named(name).title
